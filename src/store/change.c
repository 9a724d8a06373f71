/* SPDX-License-Identifier: MIT
 *
 * Records put, deleted and looked at by the lock's holder (store.h).
 */
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "store/find.h"
#include "store/handle.h"
#include "store/runs.h"

#define BUCKETS_SHARE 4u      /* of those that may be kept: at most 64 MiB */
#define BUCKETS_LEAST 4096u

static int key_check(const struct store *store, size_t key_bytes)
{
    if (key_bytes == 0 || key_bytes > STORE_KEY_MAX)
        return error_set(SHOAL_EINVAL, "%s: a key of %zu bytes; 1..%u are allowed", store->name, key_bytes, STORE_KEY_MAX);
    return SHOAL_OK;
}

uint64_t store_hash(const struct store *store, const void *key, size_t key_bytes)
{
    return hash_bytes(key, key_bytes, store->seed);
}

void store_expect(const struct store *store, uint64_t hash, bool near)
{
    if (store->loaded)
        tree_expect(&store->tree, hash, near);
}

/* -- Put ----------------------------------------------------------------------------------------- */

/* A record is to leave its bucket: what it has elsewhere is free. */
static int item_leave(struct store *store, const struct bucket_item *item)
{
    struct bucket_large large;
    uint64_t value_bytes = item->value_bytes;
    int rc = SHOAL_OK;
    if (bucket_item_large(item, &large)) {
        value_bytes = large.value_bytes;
        rc = runs_free(&store->space, &large, (item->flags & RECORD_LARGE_KEY) != 0);
    }
    store->records_n--;
    store->record_bytes -= item->key_bytes + value_bytes;
    return rc;
}

/* How the record is to lie in its bucket; what does not fit there is written. */
static int item_make(struct store *store, const struct store_record *record, uint64_t hash, struct bucket_large *large,
                     struct bucket_item *ret_item)
{
    *ret_item = (struct bucket_item){
        .version = store->version_next, .type = record->type,
        .key_bytes = (uint32_t)record->key_bytes, .key = record->key, .value = record->value,
        .expires_ns = record->expires_ns, .mtime_ns = record->mtime_ns,
        .flags = (uint8_t)((record->expires_ns != 0 ? RECORD_EXPIRES : 0) | (record->mtime_ns != 0 ? RECORD_MTIME : 0)),
    };
    if (record->value_bytes <= RECORD_BYTES_MAX && record->key_bytes <= RECORD_BYTES_MAX) {
        ret_item->value_bytes = (uint32_t)record->value_bytes;
        if (bucket_item_bytes(ret_item) <= RECORD_BYTES_MAX)
            return SHOAL_OK;
    }
    bool with_key = record->key_bytes > KEY_HERE_MAX;
    int rc = runs_write(&store->space, record->key, (uint32_t)record->key_bytes, with_key, record->value,
                        record->value_bytes, large);
    large->hash = hash;
    ret_item->flags |= (uint8_t)(RECORD_LARGE | (with_key ? RECORD_LARGE_KEY : 0));
    ret_item->value = large;
    ret_item->value_bytes = sizeof *large;
    return rc;
}

static int item_add(struct store *store, uint64_t hash, const struct bucket_item *item)
{
    for (;;) {
        struct bucket *bucket;
        int rc = tree_change(&store->tree, hash, &bucket);
        if (rc != SHOAL_OK)
            return rc;
        enum bucket_added added = tree_add(bucket, hash, item);
        if (added != BUCKET_FULL)
            return added == BUCKET_ADDED ? SHOAL_OK : tree_bad_record(&store->tree);
        rc = tree_divide(&store->tree, hash);
        if (rc != SHOAL_OK)
            return rc;
    }
}

/* In the place of another one, or beside the others. */
static int item_put(struct store *store, uint64_t hash, const struct store_record *record, const struct bucket_item *item)
{
    struct bucket *bucket;
    struct bucket_item old;
    uint32_t i;
    int rc = tree_change(&store->tree, hash, &bucket);
    if (rc == SHOAL_OK)
        rc = find_item(&store->pager, bucket, hash, record->key, record->key_bytes, &i, &old);
    if (rc == SHOAL_MISSING)
        return item_add(store, hash, item);
    if (rc == SHOAL_OK)
        rc = item_leave(store, &old);
    if (rc != SHOAL_OK || tree_replace(bucket, i, &old, hash, item))
        return rc;
    bucket_remove(bucket, i, &old);
    return item_add(store, hash, item);
}

/* Beyond these changed buckets are written before the transaction ends.  Not earlier than needed: one that is changed again
 * is written again. */
static uint64_t buckets_max(struct store *store)
{
    uint64_t most = cache_buckets_n(&store->cache) / BUCKETS_SHARE;
    return most > BUCKETS_LEAST ? most : BUCKETS_LEAST;
}

static int put(struct store *store, const struct store_record *record)
{
    struct bucket_item item;
    struct bucket_large large;
    uint64_t hash = store_hash(store, record->key, record->key_bytes);
    int rc = item_make(store, record, hash, &large, &item);
    if (rc == SHOAL_OK)
        rc = item_put(store, hash, record, &item);
    if (rc != SHOAL_OK)
        return rc;
    store->version_next++;
    store->records_n++;
    store->record_bytes += record->key_bytes + record->value_bytes;
    return store->tree.changed_n > buckets_max(store) ? tree_write_buckets(&store->tree) : SHOAL_OK;
}

int store_put(struct store *store, const struct store_record *record, uint64_t *ret_version)
{
    int rc = key_check(store, record->key_bytes);
    if (rc == SHOAL_OK && record->value_bytes > STORE_VALUE_MAX)
        rc = error_set(SHOAL_ETOOBIG, "%s: a value of %llu bytes; %llu are allowed", store->name,
                       (unsigned long long)record->value_bytes, (unsigned long long)STORE_VALUE_MAX);
    if (rc == SHOAL_OK)
        rc = txn_begin(store);
    if (rc != SHOAL_OK)
        return rc;
    if (store->version_next > VERSION_MAX)
        return error_set(SHOAL_EFULL, "%s: has had all versions that it can have", store->name);
    if (ret_version != NULL)
        *ret_version = store->version_next;
    return txn_broken(store, put(store, record));
}

/* -- Delete -------------------------------------------------------------------------------------- */

static int delete_there(struct store *store, uint64_t hash, const void *key, size_t key_bytes)
{
    struct bucket *bucket;
    struct bucket_item item;
    uint32_t i;
    int rc = tree_change(&store->tree, hash, &bucket);
    if (rc == SHOAL_OK)
        rc = find_item(&store->pager, bucket, hash, key, key_bytes, &i, &item);
    if (rc == SHOAL_OK)
        rc = item_leave(store, &item);
    if (rc != SHOAL_OK)
        return rc;
    bucket_remove(bucket, i, &item);
    return tree_shrink(&store->tree, hash);
}

/* Looked at before a transaction begins for nothing. */
int store_delete(struct store *store, const void *key, size_t key_bytes)
{
    struct store_record record;
    int rc = store_look(store, key, key_bytes, NULL, 0, &record);
    if (rc != SHOAL_OK && rc != SHOAL_SHORT)
        return rc;
    rc = txn_begin(store);
    if (rc == SHOAL_OK)
        rc = txn_broken(store, delete_there(store, store_hash(store, key, key_bytes), key, key_bytes));
    return rc;
}

/* -- Look ---------------------------------------------------------------------------------------- */

int store_look(struct store *store, const void *key, size_t key_bytes, void *buf, uint64_t room,
               struct store_record *ret_record)
{
    const struct bucket *bucket;
    struct bucket_item item;
    uint32_t i;
    int rc = key_check(store, key_bytes);
    if (rc != SHOAL_OK)
        return rc;
    if (store->broken != SHOAL_OK)
        return error_set(store->broken, "%s: an earlier change of this transaction failed: it can only be given up",
                         store->name);
    uint64_t hash = store_hash(store, key, key_bytes);
    rc = tree_look(&store->tree, hash, &bucket);
    if (rc == SHOAL_OK && bucket == NULL)
        return SHOAL_MISSING;
    if (rc == SHOAL_OK)
        rc = find_item(&store->pager, bucket, hash, key, key_bytes, &i, &item);
    if (rc == SHOAL_OK)
        rc = find_copy(&store->pager, &item, buf, room, ret_record);
    if (rc == SHOAL_OK || rc == SHOAL_SHORT) {
        ret_record->key = key;
        ret_record->key_bytes = key_bytes;
    }
    return rc;
}
