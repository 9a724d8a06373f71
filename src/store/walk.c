/* SPDX-License-Identifier: MIT
 *
 * Walking through a store by hash (store.h).
 *
 * The cursor is a hash, and a bucket covers a range of hashes: each step takes the bucket that covers the cursor now,
 * whichever it is, and what lies in it at the cursor or behind.  Buckets may be divided and joined between two steps;
 * records never change their hash, so none is met twice and none is passed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/handle.h"
#include "store/runs.h"

#define ROUNDS_MAX 64

struct store_walk {
    struct store *store;
    uint64_t cursor;          /* the next hash to come */
    bool over;
    struct reader_root root;  /* that the bucket is of */
    struct bucket bucket;
    struct { uint64_t hash; uint32_t i; } order[BUCKET_RECORDS_MAX]; /* of its records, from the cursor on */
    uint32_t n, next;
    struct bucket_item item;  /* the last one that was returned */
    uint8_t *space;           /* for its key and value, where they are large */
    uint64_t room;
};

int store_walk_open(struct store *store, uint64_t from_hash, struct store_walk **ret_walk)
{
    *ret_walk = calloc(1, sizeof **ret_walk);
    if (*ret_walk == NULL)
        return error_os("%s: memory for a walk", store->name);
    (*ret_walk)->store = store;
    (*ret_walk)->cursor = from_hash;
    return SHOAL_OK;
}

void store_walk_seek(struct store_walk *walk, uint64_t from_hash)
{
    walk->cursor = from_hash;
    walk->next = walk->n = 0;
    walk->over = false;
}

void store_walk_close(struct store_walk *walk)
{
    free(walk->space);
    free(walk);
}

/* -- Buckets ------------------------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static int take_records(struct store_walk *walk)
{
    const struct bucket *bucket = &walk->bucket;
    walk->n = walk->next = 0;
    for (uint32_t i = 0; i < bucket->head.used_n; i++) {
        struct bucket_item item;
        if (!bucket_item(bucket, i, &item))
            return page_bad(&walk->store->pager, bucket->head.page, "a record is not what its checksum says");
        uint64_t hash = tree_item_hash(walk->store->seed, &item);
        if (hash_prefix(hash, bucket->head.depth) != bucket->head.prefix)
            return page_bad(&walk->store->pager, bucket->head.page, "a record of another bucket");
        if (hash < walk->cursor)
            continue;
        walk->order[walk->n].hash = hash;
        walk->order[walk->n++].i = i;
    }
    qsort(walk->order, walk->n, sizeof walk->order[0], by_hash);
    return SHOAL_OK;
}

/* The bucket that covers the cursor, in a root that counts. */
static int take_bucket(struct store_walk *walk)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        int rc = reader_root(walk->store, &walk->root);
        if (rc != SHOAL_OK)
            return rc;
        rc = reader_bucket(walk->store, &walk->root, walk->cursor, &walk->bucket);
        if (rc == SHOAL_OK)
            rc = take_records(walk);
        if (rc == SHOAL_OK || !reader_moved(walk->store, &walk->root))
            return rc;
    }
    return error_set(SHOAL_CHANGED, "%s: changed %d times while a bucket was read", walk->store->name, ROUNDS_MAX);
}

static void pass_bucket(struct store_walk *walk)
{
    unsigned depth = walk->bucket.head.depth;
    uint64_t range = depth == 0 ? 0 : (uint64_t)1 << (64 - depth);
    walk->cursor = walk->bucket.head.prefix + range;
    walk->over = walk->cursor == 0;
}

/* -- Records ------------------------------------------------------------------------------------- */

static int make_room(struct store_walk *walk, uint64_t bytes)
{
    if (bytes <= walk->room)
        return SHOAL_OK;
    uint8_t *space = realloc(walk->space, bytes);
    if (space == NULL)
        return error_os("%s: memory for a record of %llu bytes", walk->store->name, (unsigned long long)bytes);
    walk->space = space;
    walk->room = bytes;
    return SHOAL_OK;
}

/* Runs that were read count unless they may have been written over meanwhile. */
static int runs_count(struct store_walk *walk, int rc)
{
    return reader_passed(walk->store, &walk->root) ? SHOAL_CHANGED : rc;
}

static int large_record(struct store_walk *walk, struct store_record *io_record)
{
    struct bucket_large large;
    const struct bucket_item *item = &walk->item;
    if (!bucket_item_large(item, &large))
        return page_bad(&walk->store->pager, walk->bucket.head.page, "an impossible record");
    bool with_key = (item->flags & RECORD_LARGE_KEY) != 0, with_value = large.value_bytes <= STORE_WALK_VALUE;
    uint64_t key_bytes = with_key ? item->key_bytes : 0;
    int rc = make_room(walk, key_bytes + (with_value ? large.value_bytes : 0) + 1);
    if (rc == SHOAL_OK && with_key)
        rc = runs_read_key(&walk->store->pager, &large, item->key_bytes, walk->space);
    if (rc == SHOAL_OK && with_value)
        rc = runs_read_value(&walk->store->pager, &large, walk->space + key_bytes);
    if (with_key)
        io_record->key = walk->space;
    io_record->value = with_value ? walk->space + key_bytes : NULL;
    io_record->value_bytes = large.value_bytes;
    return runs_count(walk, rc);
}

static int record_at(struct store_walk *walk, uint32_t i, struct store_record *ret_record)
{
    (void)bucket_item(&walk->bucket, i, &walk->item); /* as take_records saw it */
    const struct bucket_item *item = &walk->item;
    *ret_record = (struct store_record){
        .key = item->key, .key_bytes = item->key_bytes, .value = item->value, .value_bytes = item->value_bytes,
        .version = item->version, .expires_ns = item->expires_ns, .mtime_ns = item->mtime_ns, .type = item->type,
    };
    return (item->flags & RECORD_LARGE) != 0 ? large_record(walk, ret_record) : SHOAL_OK;
}

int store_walk_next(struct store_walk *walk, uint64_t *ret_hash, struct store_record *ret_record)
{
    for (int lost = 0; lost < ROUNDS_MAX;) {
        if (walk->next == walk->n) {
            if (walk->over)
                return SHOAL_END;
            int rc = take_bucket(walk);
            if (rc != SHOAL_OK)
                return rc;
            if (walk->n == 0)
                pass_bucket(walk);
            continue;
        }
        uint64_t hash = walk->order[walk->next].hash;
        int rc = record_at(walk, walk->order[walk->next].i, ret_record);
        if (rc == SHOAL_CHANGED) { /* the bucket again, from this hash on */
            walk->cursor = hash;
            walk->next = walk->n = 0;
            lost++;
            continue;
        }
        if (rc != SHOAL_OK)
            return rc;
        if (++walk->next == walk->n)
            pass_bucket(walk);
        store_tidy(walk->store);
        *ret_hash = hash;
        return SHOAL_OK;
    }
    return error_set(SHOAL_CHANGED, "%s: a value was replaced %d times while it was read", walk->store->name, ROUNDS_MAX);
}

int store_walk_value(struct store_walk *walk, void *buf, uint64_t room)
{
    struct bucket_large large;
    if (!bucket_item_large(&walk->item, &large))
        return error_set(SHOAL_EINVAL, "%s: this record's value came with it", walk->store->name);
    if (large.value_bytes > room)
        return error_set(SHOAL_SHORT, "%s: a value of %llu bytes", walk->store->name,
                         (unsigned long long)large.value_bytes);
    return runs_count(walk, runs_read_value(&walk->store->pager, &large, buf));
}
