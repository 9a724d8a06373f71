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
