/* SPDX-License-Identifier: MIT
 *
 * A key's record in its bucket (find.h).
 */
#include "store/find.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/runs.h"

static int bad_item(const struct pager *pager, const struct bucket *bucket)
{
    return page_bad(pager, bucket->head.page, "a record is not what its checksum says");
}

/* A key in a run of its own. */
static int key_elsewhere_is(const struct pager *pager, const struct bucket_large *large, const void *key, size_t key_bytes,
                            bool *ret_same)
{
    void *there = malloc(key_bytes);
    if (there == NULL)
        return error_os("%s: a key of %zu bytes", pager->name, key_bytes);
    int rc = runs_read_key(pager, large, (uint32_t)key_bytes, there);
    *ret_same = rc == SHOAL_OK && memcmp(there, key, key_bytes) == 0;
    free(there);
    return rc;
}

static int key_is(const struct pager *pager, const struct bucket *bucket, const struct bucket_item *item, uint64_t hash,
                  const void *key, size_t key_bytes, bool *ret_same)
{
    struct bucket_large large;
    *ret_same = false;
    if (item->key_bytes != key_bytes)
        return SHOAL_OK;
    if ((item->flags & RECORD_LARGE_KEY) == 0) {
        *ret_same = memcmp(item->key, key, key_bytes) == 0;
        return SHOAL_OK;
    }
    if (!bucket_item_large(item, &large))
        return bad_item(pager, bucket);
    return large.hash == hash ? key_elsewhere_is(pager, &large, key, key_bytes, ret_same) : SHOAL_OK;
}

int find_item(const struct pager *pager, const struct bucket *bucket, uint64_t hash, const void *key, size_t key_bytes,
              uint32_t *ret_i, struct bucket_item *ret_item)
{
    for (uint32_t i = bucket_next(bucket, 0, hash); i < bucket->head.used_n; i = bucket_next(bucket, i + 1, hash)) {
        bool same;
        if (!bucket_item(bucket, i, ret_item))
            return bad_item(pager, bucket);
        int rc = key_is(pager, bucket, ret_item, hash, key, key_bytes, &same);
        if (rc != SHOAL_OK)
            return rc;
        if (same) {
            *ret_i = i;
            return SHOAL_OK;
        }
    }
    return SHOAL_MISSING;
}

int find_copy(const struct pager *pager, const struct bucket_item *item, void *buf, uint64_t room,
              struct store_record *ret_record)
{
    struct bucket_large large;
    bool is_large = (item->flags & RECORD_LARGE) != 0;
    if (is_large && !bucket_item_large(item, &large))
        return error_set(SHOAL_ECORRUPT, "%s: an impossible record", pager->name);
    *ret_record = (struct store_record){
        .value = buf, .value_bytes = is_large ? large.value_bytes : item->value_bytes, .version = item->version,
        .expires_ns = item->expires_ns, .mtime_ns = item->mtime_ns, .type = item->type,
    };
    if (ret_record->value_bytes > room)
        return SHOAL_SHORT;
    if (is_large)
        return runs_read_value(pager, &large, buf);
    if (item->value_bytes > 0)
        memcpy(buf, item->value, item->value_bytes);
    return SHOAL_OK;
}
