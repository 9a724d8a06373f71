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

/* Under RCU: of a word whose meta is in memory. */
static bool root_kept(const struct store *store, uint64_t word, struct reader_root *ret_root)
{
    const struct cached *kept = RCU_LOAD(store->cache.meta);
    if (kept == NULL || kept->word != word)
        return false;
    *ret_root = root_of(word, &kept->meta);
    return true;
}

/* The meta of a root word, from memory or from the file. */
static int root_read(struct store *store, uint64_t word, struct reader_root *ret_root)
{
    RCU_READ_LOCK();
    bool kept = root_kept(store, word, ret_root);
    RCU_READ_UNLOCK();
    if (kept)
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
    cache_keep_meta(&store->cache, read);
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

/* From a root to the entry of level 0. */
struct way {
    struct reader_root root;
    struct node_child child; /* that it has come to */
    unsigned left;           /* levels of nodes still to be gone down */
};

static void way_begin(struct way *way)
{
    way->child = (struct node_child){ way->root.node, 0 };
    way->left = way->root.level + 1;
}

/* Under RCU: one level, by a node in memory. */
static bool node_kept(struct store *store, struct way *io_way, uint64_t hash)
{
    struct node_child *child = &io_way->child;
    const struct cache_place *places = cache_node_places(&store->cache, child->ref.page);
    const struct cached *kept = places != NULL ? cache_node(places, child->ref) : NULL;
    if (kept == NULL || kept->node.head.level != io_way->left - 1 || kept->node.head.depth != child->depth ||
        kept->node.head.prefix != hash_prefix(hash, child->depth))
        return false;
    *child = node_child_at(&kept->node, node_entry(child->depth, hash));
    io_way->left--;
    return true;
}

/* Under RCU: as far as nodes are in memory.  True: all the way. */
static bool way_kept(struct store *store, struct way *io_way, uint64_t hash)
{
    while (io_way->left > 0 && node_kept(store, io_way, hash))
        ;
    return io_way->left == 0;
}

/* One level, by a node that is read. */
static int node_fetch(struct store *store, struct way *io_way, uint64_t hash)
{
    struct node_child *child = &io_way->child;
    struct cache_place *places = cache_node_places(&store->cache, child->ref.page);
    struct cached *read;
    int rc = places != NULL ? cached_alloc(store, &read) : error_os("%s: memory for nodes", store->name);
    if (rc != SHOAL_OK)
        return rc;
    rc = node_read(&store->pager, child->ref, io_way->left - 1, child->depth, hash, &read->node);
    if (rc != SHOAL_OK) {
        free(read);
        return rc;
    }
    read->ref = child->ref;
    *child = node_child_at(&read->node, node_entry(child->depth, hash));
    io_way->left--;
    cache_keep_node(&store->cache, places, read);
    return SHOAL_OK;
}

static int way_down(struct store *store, struct way *io_way, uint64_t hash)
{
    int rc = SHOAL_OK;
    while (rc == SHOAL_OK) {
        RCU_READ_LOCK();
        bool there = way_kept(store, io_way, hash);
        RCU_READ_UNLOCK();
        if (there)
            break;
        rc = node_fetch(store, io_way, hash);
    }
    return rc;
}

int reader_bucket(struct store *store, const struct reader_root *root, uint64_t hash, struct bucket *ret_bucket)
{
    struct way way = { .root = *root };
    way_begin(&way);
    int rc = way_down(store, &way, hash);
    if (rc != SHOAL_OK)
        return rc;
    if (way.child.ref.page != 0)
        return bucket_read(&store->pager, way.child.ref, way.child.depth, hash, ret_bucket);
    ret_bucket->head.used_n = 0;
    ret_bucket->head.depth = (uint8_t)way.child.depth;
    ret_bucket->head.prefix = hash_prefix(hash, way.child.depth);
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

/* All of it is read, to be kept.  Without memory nothing is. */
static int get_keeping(struct store *store, struct cache_place *place, struct node_child child, const struct wanted *w,
                       struct store_record *ret_record, bool *ret_large)
{
    struct cached *made;
    if (cached_alloc(store, &made) != SHOAL_OK)
        return NOT_KEPT;
    int rc = bucket_read(&store->pager, child.ref, child.depth, w->hash, &made->bucket);
    if (rc != SHOAL_OK) {
        free(made);
        return rc;
    }
    rc = get_in(store, &made->bucket, w, ret_record, ret_large);
    if (bucket_has_large(&made->bucket)) { /* C2 */
        free(made);
        return rc;
    }
    made->ref = child.ref;
    made->has_large = false;
    cache_keep_bucket(&store->cache, place, made);
    return rc;
}

/* On its way through. */
static int get_passing(struct store *store, struct node_child child, const struct wanted *w, struct store_record *ret_record,
                       bool *ret_large)
{
    struct bucket bucket;
    int rc = bucket_read(&store->pager, child.ref, child.depth, w->hash, &bucket);
    return rc == SHOAL_OK ? get_in(store, &bucket, w, ret_record, ret_large) : rc;
}

/* Under RCU: by what is in memory alone.  NOT_KEPT: `io_way` says how far it came. */
static int get_near(struct store *store, struct way *io_way, const struct wanted *w, struct store_record *ret_record)
{
    bool large; /* never: C2 */
    if (!way_kept(store, io_way, w->hash))
        return NOT_KEPT;
    if (io_way->child.ref.page == 0)
        return SHOAL_MISSING;
    const struct cache_place *place = cache_bucket_place(&store->cache, io_way->child.ref.page);
    cache_come(&store->cache);
    const struct bucket *bucket =
        place != NULL ? cache_bucket(place, io_way->child.ref, io_way->child.depth, w->hash) : NULL;
    return bucket != NULL ? get_in(store, bucket, w, ret_record, &large) : NOT_KEPT;
}

/* As most gets are: nothing is asked of the system.  *ret_begun: the way has a root. */
static int get_at_once(struct store *store, struct way *ret_way, bool *ret_begun, const struct wanted *w,
                       struct store_record *ret_record)
{
    int rc = NOT_KEPT;
    RCU_READ_LOCK();
    *ret_begun = board_counts(store) &&
                 root_kept(store, load_acquire_u64(&store->board.page->root), &ret_way->root); /* [store-root] */
    if (*ret_begun) {
        way_begin(ret_way);
        rc = get_near(store, ret_way, w, ret_record);
    }
    RCU_READ_UNLOCK();
    return rc;
}

/* Nodes are not in memory: others have written them.  The bucket may be. */
static int get_by_nodes(struct store *store, struct way *io_way, const struct wanted *w, struct store_record *ret_record)
{
    int rc = way_down(store, io_way, w->hash);
    if (rc != SHOAL_OK)
        return rc;
    RCU_READ_LOCK();
    rc = get_near(store, io_way, w, ret_record);
    RCU_READ_UNLOCK();
    return rc;
}

static int get_from_file(struct store *store, struct node_child child, const struct wanted *w, struct store_record *ret_record,
                         bool *ret_large)
{
    struct cache_place *place = cache_bucket_place(&store->cache, child.ref.page);
    int rc = NOT_KEPT;
    if (place != NULL && cache_wants(&store->cache, place, child.ref.page))
        rc = get_keeping(store, place, child, w, ret_record, ret_large);
    return rc == NOT_KEPT ? get_passing(store, child, w, ret_record, ret_large) : rc;
}

static int get_once(struct store *store, const struct wanted *w, struct store_record *ret_record)
{
    struct way way;
    bool begun, large = false;
    int rc = get_at_once(store, &way, &begun, w, ret_record);
    if (rc == NOT_KEPT && !begun) {
        rc = reader_root(store, &way.root);
        if (rc != SHOAL_OK)
            return rc;
        way_begin(&way);
        rc = NOT_KEPT;
    }
    if (rc == NOT_KEPT && way.left > 0)
        rc = get_by_nodes(store, &way, w, ret_record);
    if (rc == NOT_KEPT)
        rc = get_from_file(store, way.child, w, ret_record, &large);
    if (rc < 0)
        return reader_moved(store, &way.root) ? LOST : rc;
    return rc == SHOAL_OK && large && reader_passed(store, &way.root) ? LOST : rc;
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
