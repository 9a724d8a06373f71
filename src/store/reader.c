/* SPDX-License-Identifier: MIT
 *
 * Reading without a lock (reader.h, store.h).
 *
 * store_get: load the root word [store-root], go down by identity, look into the bucket.  Each page was verified to be
 * the one that the root leads to, so what is found was true when the root word was loaded.  A page that is not that one
 * has been written over, which needs another root: then again with that.  Runs have no heads: their sums tell, and for
 * certain the horizon, which is raised before any page that this root leads to is written over [store-horizon].
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/rcu.h"
#include "store/find.h"
#include "store/handle.h"

#define ROUNDS_FREE 8     /* lost to writers before the reader takes their lock */
#define ROUNDS_MAX 64
#define LOCK_MS 1000

/* -- What is kept -------------------------------------------------------------------------------- */

static int cached_alloc(const struct store *store, struct cached **ret_cached)
{
    *ret_cached = malloc(sizeof **ret_cached);
    return *ret_cached != NULL ? SHOAL_OK : error_os("%s: memory for a page", store->name);
}

bool store_is_untidy(const struct store *store) { return cache_is_untidy(&store->cache); }
void store_tidy(struct store *store) { cache_tidy(&store->cache); }

/* -- Root ---------------------------------------------------------------------------------------- */

static bool board_counts(const struct store *store)
{
    return store->board.page != NULL && load_acquire_u64(&store->board.page->ready) == meta_ready(store); /* [store-root] */
}

static struct reader_root root_of(uint64_t word, const struct page_meta *meta)
{
    return (struct reader_root){ word, meta->root, meta->head.level };
}

/* The meta of a root word, from memory or from the file. */
static int root_read(struct store *store, uint64_t word, struct reader_root *ret_root)
{
    RCU_READ_LOCK();
    const struct cached *kept = RCU_LOAD(store->cache.meta);
    bool same = kept != NULL && kept->word == word;
    if (same)
        *ret_root = root_of(word, &kept->meta);
    RCU_READ_UNLOCK();
    if (same)
        return SHOAL_OK;
    struct cached *read;
    int rc = cached_alloc(store, &read);
    if (rc != SHOAL_OK)
        return rc;
    rc = meta_read(store, BOARD_PLACE(word), &read->meta);
    if (rc == SHOAL_OK && read->meta.head.txn != BOARD_TXN(word))
        rc = page_bad(&store->pager, BOARD_PLACE(word), "the meta of another transaction");
    if (rc == SHOAL_OK && read->meta.head.level >= LEVELS_MAX)
        rc = page_bad(&store->pager, BOARD_PLACE(word), "%u levels", read->meta.head.level + 1u);
    if (rc != SHOAL_OK) {
        free(read);
        return rc;
    }
    read->word = word;
    *ret_root = root_of(word, &read->meta);
    cache_keep(&store->cache, &store->cache.meta, read);
    return SHOAL_OK;
}

int reader_root(struct store *store, struct reader_root *ret_root)
{
    struct meta_choice choice;
    while (board_counts(store)) {
        uint64_t word = load_acquire_u64(&store->board.page->root); /* [store-root] */
        int rc = root_read(store, word, ret_root);
        if (rc == SHOAL_OK || load_acquire_u64(&store->board.page->root) == word) /* [store-root] */
            return rc;
    }
    int rc = meta_choose(store, &choice);
    if (rc == SHOAL_OK && choice.meta.head.level >= LEVELS_MAX)
        rc = page_bad(&store->pager, choice.meta.head.page, "%u levels", choice.meta.head.level + 1u);
    *ret_root = root_of(choice.root, &choice.meta);
    return rc;
}

bool reader_moved(struct store *store, const struct reader_root *root)
{
    struct meta_choice choice;
    if (board_counts(store))
        return load_acquire_u64(&store->board.page->root) != root->word; /* [store-root] */
    return meta_choose(store, &choice) == SHOAL_OK && choice.root != root->word;
}

bool reader_passed(struct store *store, const struct reader_root *root)
{
    if (board_counts(store))
        return load_acquire_u64(&store->board.page->horizon) > BOARD_TXN(root->word); /* [store-horizon] */
    return reader_moved(store, root);
}

/* -- Down ---------------------------------------------------------------------------------------- */

/* What the node that the root leads to says about the hash. */
static int node_step(struct store *store, unsigned level, struct node_child *io_child, uint64_t hash)
{
    struct cache_place *place = cache_node_place(&store->cache, io_child->ref.page);
    if (place == NULL)
        return error_os("%s: memory for nodes", store->name);
    RCU_READ_LOCK();
    const struct cached *kept = RCU_LOAD(place->cached);
    bool same = kept != NULL && kept->ref.page == io_child->ref.page && kept->ref.txn == io_child->ref.txn &&
                kept->node.head.level == level && kept->node.head.depth == io_child->depth &&
                kept->node.head.prefix == hash_prefix(hash, io_child->depth);
    if (same)
        *io_child = node_child_at(&kept->node, node_entry(io_child->depth, hash));
    RCU_READ_UNLOCK();
    if (same)
        return SHOAL_OK;
    struct cached *read;
    int rc = cached_alloc(store, &read);
    if (rc != SHOAL_OK)
        return rc;
    rc = node_read(&store->pager, io_child->ref, level, io_child->depth, hash, &read->node);
    if (rc != SHOAL_OK) {
        free(read);
        return rc;
    }
    read->ref = io_child->ref;
    *io_child = node_child_at(&read->node, node_entry(io_child->depth, hash));
    cache_keep(&store->cache, &place->cached, read);
    return SHOAL_OK;
}

/* To the entry of level 0. */
static int way_down(struct store *store, const struct reader_root *root, uint64_t hash, struct node_child *ret_child)
{
    *ret_child = (struct node_child){ root->node, 0 };
    for (unsigned level = root->level + 1; level-- > 0;) {
        int rc = node_step(store, level, ret_child, hash);
        if (rc != SHOAL_OK)
            return rc;
    }
    return SHOAL_OK;
}

int reader_bucket(struct store *store, const struct reader_root *root, uint64_t hash, struct bucket *ret_bucket)
{
    struct node_child child;
    int rc = way_down(store, root, hash, &child);
    if (rc != SHOAL_OK)
        return rc;
    if (child.ref.page != 0)
        return bucket_read(&store->pager, child.ref, child.depth, hash, ret_bucket);
    ret_bucket->head.used_n = 0;
    ret_bucket->head.depth = (uint8_t)child.depth;
    ret_bucket->head.prefix = hash_prefix(hash, child.depth);
    return SHOAL_OK;
}

/* -- Get ----------------------------------------------------------------------------------------- */

#define LOST 1000 /* to a writer: again */

#define NOT_KEPT 1001

struct wanted {
    uint64_t hash;
    const void *key;
    size_t key_bytes;
    void *buf;
    uint64_t room;
};

static int get_in(struct store *store, const struct bucket *bucket, const struct wanted *w, struct store_record *ret_record,
                  bool *ret_large)
{
    struct bucket_item item;
    uint32_t i;
    int rc = find_item(&store->pager, bucket, w->hash, w->key, w->key_bytes, &i, &item);
    if (rc != SHOAL_OK)
        return rc;
    *ret_large = (item.flags & RECORD_LARGE) != 0;
    return find_copy(&store->pager, &item, w->buf, w->room, ret_record);
}

/* In the bucket's place, under RCU. */
static int get_kept(struct store *store, const struct cache_place *place, struct node_child child, const struct wanted *w,
                    struct store_record *ret_record)
{
    bool large;
    RCU_READ_LOCK();
    const struct bucket *bucket = cache_bucket(place, child.ref, child.depth, w->hash);
    int rc = bucket != NULL ? get_in(store, bucket, w, ret_record, &large) : NOT_KEPT;
    RCU_READ_UNLOCK();
    return rc;
}

/* The second time in a row that it is read for want of it here: else each get of a store that is much larger than the places
 * would copy a page in vain.  Without memory nothing is kept. */
static void bucket_keep(struct store *store, struct cache_place *place, struct page_ref ref, const struct bucket *bucket)
{
    struct cached *made;
    if (uatomic_read(&place->asked) != ref.page) {
        uatomic_set(&place->asked, ref.page);
        return;
    }
    if (bucket_has_large(bucket) || (made = malloc(sizeof *made)) == NULL)
        return;
    made->ref = ref;
    made->has_large = false; /* C2 */
    made->bucket = *bucket;
    cache_keep_bucket(&store->cache, place, made);
}

static int get_below(struct store *store, const struct reader_root *root, const struct wanted *w,
                     struct store_record *ret_record, bool *ret_large)
{
    struct bucket bucket;
    struct node_child child;
    int rc = way_down(store, root, w->hash, &child);
    if (rc != SHOAL_OK)
        return rc;
    if (child.ref.page == 0)
        return SHOAL_MISSING;
    struct cache_place *place = cache_bucket_place(&store->cache, child.ref.page);
    cache_come(&store->cache);
    rc = place != NULL ? get_kept(store, place, child, w, ret_record) : NOT_KEPT;
    if (rc != NOT_KEPT)
        return rc;
    rc = bucket_read(&store->pager, child.ref, child.depth, w->hash, &bucket);
    if (rc != SHOAL_OK)
        return rc;
    if (place != NULL)
        bucket_keep(store, place, child.ref, &bucket);
    return get_in(store, &bucket, w, ret_record, ret_large);
}

static int get_once(struct store *store, const struct wanted *w, struct store_record *ret_record)
{
    struct reader_root root;
    bool large = false;
    int rc = reader_root(store, &root);
    if (rc != SHOAL_OK)
        return rc;
    rc = get_below(store, &root, w, ret_record, &large);
    if (rc < 0)
        return reader_moved(store, &root) ? LOST : rc;
    return rc == SHOAL_OK && large && reader_passed(store, &root) ? LOST : rc;
}

int store_get(struct store *store, const void *key, size_t key_bytes, void *buf, uint64_t room,
              struct store_record *ret_record)
{
    if (key_bytes == 0 || key_bytes > STORE_KEY_MAX)
        return error_set(SHOAL_EINVAL, "%s: a key of %zu bytes; 1..%u are allowed", store->name, key_bytes, STORE_KEY_MAX);
    const struct wanted wanted = { store_hash(store, key, key_bytes), key, key_bytes, buf, room };
    int rc = LOST;
    for (int round = 1; rc == LOST && round <= ROUNDS_MAX; round++) {
        rc = get_once(store, &wanted, ret_record);
        /* A value that is replaced faster than it is read: without writers for once.  Whoever holds the lock for longer
         * than this does not write over anything meanwhile. */
        if (rc == LOST && store->writable && round % ROUNDS_FREE == 0 && store_lock(store, LOCK_MS) == SHOAL_OK) {
            rc = store_look(store, key, key_bytes, buf, room, ret_record);
            store_unlock(store);
        }
    }
    store_tidy(store);
    if (rc == LOST)
        return error_set(SHOAL_CHANGED, "%s: the value was replaced %d times while it was read", store->name, ROUNDS_MAX);
    if (rc == SHOAL_OK || rc == SHOAL_SHORT) {
        ret_record->key = key;
        ret_record->key_bytes = key_bytes;
    }
    return rc;
}
