/* SPDX-License-Identifier: MIT */
#include "map/key.h"

int key_refuse(const struct segment *s, const void *key, size_t key_bytes)
{
    if (key == NULL)
        return error_set(SHOAL_EINVAL, "key is NULL");
    if (key_bytes == 0)
        return error_set(SHOAL_EINVAL, "key has 0 bytes; 1..%llu allowed", (unsigned long long)s->geo.max_key_bytes);
    return error_set(SHOAL_ETOOBIG, "key has %zu bytes; this map takes 1..%llu", key_bytes,
                     (unsigned long long)s->geo.max_key_bytes);
}

int value_refuse(const struct segment *s, const void *value, size_t value_bytes)
{
    if (value == NULL && value_bytes != 0)
        return error_set(SHOAL_EINVAL, "value is NULL but has %zu bytes", value_bytes);
    return error_set(SHOAL_ETOOBIG, "value has %zu bytes; this map takes at most %llu", value_bytes,
                     (unsigned long long)s->geo.max_value_bytes);
}

int key_call(struct shoal *map, const void *key, size_t key_bytes, bool write, struct call *ret_call,
             struct probe *ret_probe)
{
    int rc = call_begin(map, ret_call);
    if (rc != 0)
        return rc;
    rc = key_check(ret_call->segment, key, key_bytes);
    if (rc == 0 && write)
        rc = call_attach(ret_call);
    if (rc != 0) {
        call_end(ret_call);
        return rc;
    }
    *ret_probe = probe_make(ret_call->segment, key, key_bytes);
    return 0;
}
