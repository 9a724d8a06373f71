/* SPDX-License-Identifier: MIT
 *
 * Judging the arguments that every call has.
 */
#ifndef SHOAL_MAP_KEY_H
#define SHOAL_MAP_KEY_H

#include "base/error.h"
#include "map/registry.h"
#include "table/record.h"

COLD int key_refuse(const struct segment *s, const void *key, size_t key_bytes);
COLD int value_refuse(const struct segment *s, const void *value, size_t value_bytes);

HOT_INLINE bool key_is_fit(const struct segment *s, const void *key, size_t key_bytes)
{
    return key != NULL && key_bytes - 1 < s->geo.max_key_bytes;
}
/* 0, SHOAL_EINVAL, SHOAL_ETOOBIG. */
static inline int key_check(const struct segment *s, const void *key, size_t key_bytes)
{
    return key_is_fit(s, key, key_bytes) ? 0 : key_refuse(s, key, key_bytes);
}

HOT_INLINE bool value_is_fit(const struct segment *s, const void *value, size_t value_bytes)
{
    return value_bytes <= s->geo.max_value_bytes && (value != NULL || value_bytes == 0);
}
static inline int value_check(const struct segment *s, const void *value, size_t value_bytes)
{
    return value_is_fit(s, value, value_bytes) ? 0 : value_refuse(s, value, value_bytes);
}

/* Begin a call on one key: map, key and, for `write`, the attachment.  On 0 call_end must follow. */
HOT_INLINE int key_call(struct shoal *map, const void *key, size_t key_bytes, bool write, struct call *ret_call,
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

#endif
