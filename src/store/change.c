/* SPDX-License-Identifier: MIT
 *
 * Records put, deleted and looked at by the lock's holder (store.h).
 */
#include <stdlib.h>
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

/* -- One record ------------------------------------------------------------------------------------ */

/* Key and value, wherever they lie. */
static uint64_t payload_bytes(const struct bucket_item *item)
{
    struct bucket_large large;
    return item->key_bytes + (bucket_item_large(item, &large) ? large.value_bytes : item->value_bytes);
}

/* A record is to leave its bucket: what it has elsewhere is free. */
static int item_leave(struct store *store, const struct bucket_item *item)
{
    struct bucket_large large;
    store->records_n--;
    store->record_bytes -= payload_bytes(item);
    return bucket_item_large(item, &large) ? runs_free(&store->space, &large, (item->flags & RECORD_LARGE_KEY) != 0)
                                           : SHOAL_OK;
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
static int item_put(struct store *store, uint64_t hash, const struct bucket_item *item)
{
    struct bucket *bucket;
    struct bucket_item old;
    uint32_t i;
    int rc = tree_change(&store->tree, hash, &bucket);
    if (rc == SHOAL_OK)
        rc = find_item(&store->pager, bucket, hash, item->key, item->key_bytes, &i, &old);
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

static int put(struct store *store, uint64_t hash, const struct bucket_item *item)
{
    int rc = item_put(store, hash, item);
    if (rc != SHOAL_OK)
        return rc;
    store->records_n++;
    store->record_bytes += payload_bytes(item);
    return store->tree.changed_n > buckets_max(store) ? tree_write_buckets(&store->tree) : SHOAL_OK;
}

/* The key's record; where it lies in its bucket. */
static int find(struct store *store, uint64_t hash, const void *key, size_t key_bytes, uint32_t *ret_i,
                struct bucket_item *ret_item)
{
    const struct bucket *bucket;
    int rc = tree_look(&store->tree, hash, &bucket);
    if (rc == SHOAL_OK && bucket == NULL)
        return SHOAL_MISSING;
    return rc == SHOAL_OK ? find_item(&store->pager, bucket, hash, key, key_bytes, ret_i, ret_item) : rc;
}

/* Just found. */
static int item_delete(struct store *store, uint64_t hash, uint32_t i, const struct bucket_item *item)
{
    struct bucket *bucket;
    int rc = tree_change(&store->tree, hash, &bucket);
    if (rc == SHOAL_OK)
        rc = item_leave(store, item);
    if (rc != SHOAL_OK)
        return rc;
    bucket_remove(bucket, i, item);
    return tree_shrink(&store->tree, hash);
}

static int item_remove(struct store *store, uint64_t hash, const struct bucket_item *item)
{
    struct bucket_item there;
    uint32_t i;
    int rc = find(store, hash, item->key, item->key_bytes, &i, &there);
    if (rc == SHOAL_MISSING)
        return SHOAL_OK;
    return rc == SHOAL_OK ? item_delete(store, hash, i, &there) : rc;
}

/* -- Changes that wait (batch.h) ------------------------------------------------------------------ */

static int change_make(struct store *store, const struct batch_change *change)
{
    return change->removes ? item_remove(store, change->hash, &change->item) : put(store, change->hash, &change->item);
}

/* All of them take each step before one takes the next. */
static int changes_make(struct store *store, const struct batch *batch)
{
    int rc = SHOAL_OK;
    for (enum tree_step step = TREE_PLACE; step <= TREE_RECORD; step++)
        for (uint32_t i = 0; i < batch->n; i++) {
            const struct batch_change *change = &batch->change[i];
            if (change->entry != NULL)
                tree_expect(&store->tree, change->entry, change->hash, step, bucket_item_bytes(&change->item));
        }
    for (uint32_t i = 0; i < batch->n && rc == SHOAL_OK; i++)
        rc = change_make(store, &batch->change[i]);
    return rc;
}

int txn_changes(struct store *store)
{
    if (store->batch == NULL || store->batch->n == 0)
        return SHOAL_OK;
    int rc = changes_make(store, store->batch);
    batch_drop(store->batch);
    return txn_broken(store, rc);
}

static int change_later(struct store *store, uint64_t hash, const struct bucket_item *item, bool removes)
{
    if (store->batch == NULL)
        store->batch = calloc(1, sizeof *store->batch);
    struct batch_change *change = batch_add(store->batch, hash, item, removes);
    if (change == NULL) {
        int rc = txn_changes(store);
        if (rc != SHOAL_OK)
            return rc;
        change = batch_add(store->batch, hash, item, removes);
    }
    if (change == NULL)
        return removes ? item_remove(store, hash, item) : put(store, hash, item);
    change->entry = tree_expect_entry(&store->tree, hash);
    return SHOAL_OK;
}

/* -- Put ----------------------------------------------------------------------------------------- */

/* How the record is to lie in its bucket.  False: its value, or all of it, goes elsewhere. */
static bool item_make(const struct store *store, const struct store_record *record, struct bucket_item *ret_item)
{
    *ret_item = (struct bucket_item){
        .version = store->version_next, .type = record->type,
        .key_bytes = (uint32_t)record->key_bytes, .key = record->key, .value = record->value,
        .expires_ns = record->expires_ns, .mtime_ns = record->mtime_ns,
        .flags = (uint8_t)((record->expires_ns != 0 ? RECORD_EXPIRES : 0) | (record->mtime_ns != 0 ? RECORD_MTIME : 0)),
    };
    if (record->value_bytes > RECORD_BYTES_MAX || record->key_bytes > RECORD_BYTES_MAX)
        return false;
    ret_item->value_bytes = (uint32_t)record->value_bytes;
    return bucket_item_bytes(ret_item) <= RECORD_BYTES_MAX;
}

static int put_large(struct store *store, uint64_t hash, const struct store_record *record, struct bucket_item *item)
{
    struct bucket_large large;
    bool with_key = record->key_bytes > KEY_HERE_MAX;
    int rc = txn_changes(store);
    if (rc == SHOAL_OK)
        rc = runs_write(&store->space, record->key, (uint32_t)record->key_bytes, with_key, record->value,
                        record->value_bytes, &large);
    if (rc != SHOAL_OK)
        return rc;
    large.hash = hash;
    item->flags |= (uint8_t)(RECORD_LARGE | (with_key ? RECORD_LARGE_KEY : 0));
    item->value = &large;
    item->value_bytes = sizeof large;
    return put(store, hash, item);
}

int store_put(struct store *store, const struct store_record *record, uint64_t *ret_version)
{
    struct bucket_item item;
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
    uint64_t hash = store_hash(store, record->key, record->key_bytes);
    bool small = item_make(store, record, &item);
    rc = txn_broken(store, small ? change_later(store, hash, &item, false) : put_large(store, hash, record, &item));
    if (rc == SHOAL_OK)
        store->version_next++;
    return rc;
}

/* -- Look ---------------------------------------------------------------------------------------- */

/* Of what this transaction has changed, too. */
static int look(struct store *store, const void *key, size_t key_bytes, uint64_t *ret_hash, uint32_t *ret_i,
                struct bucket_item *ret_item)
{
    int rc = key_check(store, key_bytes);
    if (rc != SHOAL_OK)
        return rc;
    if (store->broken != SHOAL_OK)
        return error_set(store->broken, "%s: an earlier change of this transaction failed: it can only be given up",
                         store->name);
    *ret_hash = store_hash(store, key, key_bytes);
    rc = txn_changes(store);
    return rc == SHOAL_OK ? find(store, *ret_hash, key, key_bytes, ret_i, ret_item) : rc;
}

int store_look(struct store *store, const void *key, size_t key_bytes, void *buf, uint64_t room,
               struct store_record *ret_record)
{
    struct bucket_item item;
    uint64_t hash;
    uint32_t i;
    int rc = look(store, key, key_bytes, &hash, &i, &item);
    if (rc == SHOAL_OK)
        rc = find_copy(&store->pager, &item, buf, room, ret_record);
    if (rc == SHOAL_OK || rc == SHOAL_SHORT) {
        ret_record->key = key;
        ret_record->key_bytes = key_bytes;
    }
    return rc;
}

/* -- Delete -------------------------------------------------------------------------------------- */

/* Looked at before a transaction begins for nothing. */
int store_delete(struct store *store, const void *key, size_t key_bytes)
{
    struct bucket_item item;
    uint64_t hash = 0;
    uint32_t i = 0;
    int rc = look(store, key, key_bytes, &hash, &i, &item);
    if (rc != SHOAL_OK)
        return rc;
    rc = txn_begin(store);
    return rc == SHOAL_OK ? txn_broken(store, item_delete(store, hash, i, &item)) : rc;
}

int store_erase(struct store *store, const void *key, size_t key_bytes)
{
    int rc = key_check(store, key_bytes);
    if (rc == SHOAL_OK)
        rc = txn_begin(store);
    if (rc != SHOAL_OK)
        return rc;
    struct bucket_item item = { .key = key, .key_bytes = (uint32_t)key_bytes };
    return txn_broken(store, change_later(store, store_hash(store, key, key_bytes), &item, true));
}
