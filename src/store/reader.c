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
#include <urcu/urcu-bp.h>

#include "base/error.h"
#include "store/find.h"
#include "store/handle.h"

#define LEFT_MAX 64ul     /* freed together, because waiting for all readers takes time */
#define ROUNDS_FREE 8     /* lost to writers before the reader takes their lock */
#define ROUNDS_MAX 64
#define LOCK_MS 1000

struct kept {
    struct kept *next; /* in reader->left */
    uint64_t word;     /* meta: its root word */
    struct page_ref ref;
    union {
        struct page_node node;
        struct page_meta meta;
    };
};

/* -- What is kept -------------------------------------------------------------------------------- */

static int kept_alloc(const struct store *store, struct kept **ret_kept)
{
    *ret_kept = malloc(sizeof **ret_kept);
    return *ret_kept != NULL ? SHOAL_OK : error_os("%s: memory for a page", store->name);
}

static void list_free(struct kept *kept)
{
    while (kept != NULL) {
        struct kept *next = kept->next;
        free(kept);
        kept = next;
    }
}

void reader_close(struct reader *reader)
{
    struct kept **places = reader->places;
    for (uint32_t i = 0; places != NULL && i < READER_PLACES; i++)
        free(places[i]);
    free(places);
    free(reader->meta);
    list_free(reader->left);
}

/* In the place of what was there, which is left: freed when nobody can be reading it. */
static void keep(struct reader *reader, struct kept **place, struct kept *kept)
{
    struct kept *old = urcu_bp_xchg_pointer(place, kept), *list;
    if (old == NULL)
        return;
    do {
        list = uatomic_read(&reader->left);
        old->next = list;
    } while (uatomic_cmpxchg(&reader->left, list, old) != list);
    uatomic_inc(&reader->left_n);
}

bool store_is_untidy(const struct store *store) { return uatomic_read(&store->reader.left_n) >= LEFT_MAX; }

void store_tidy(struct store *store)
{
    struct reader *reader = &store->reader;
    if (!store_is_untidy(store) || urcu_bp_read_ongoing())
        return;
    uatomic_set(&reader->left_n, 0);
    struct kept *list = uatomic_xchg(&reader->left, NULL);
    urcu_bp_synchronize_rcu();
    list_free(list);
}

/* Where a node is kept.  The places are made for the first one: many stores are opened for one lookup, or none. */
static struct kept **place_of(struct reader *reader, struct page_ref ref)
{
    struct kept **places = urcu_bp_dereference(reader->places);
    if (places == NULL) {
        struct kept **made = calloc(READER_PLACES, sizeof *made);
        if (made == NULL)
            return NULL;
        places = urcu_bp_cmpxchg_pointer(&reader->places, NULL, made);
        if (places == NULL)
            places = made;
        else
            free(made);
    }
    uint64_t mixed = (ref.page ^ ref.page >> 14) * 0x9e3779b97f4a7c15u;
    return &places[mixed >> 32 & (READER_PLACES - 1)];
}

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
    urcu_bp_read_lock();
    const struct kept *kept = urcu_bp_dereference(store->reader.meta);
    bool same = kept != NULL && kept->word == word;
    if (same)
        *ret_root = root_of(word, &kept->meta);
    urcu_bp_read_unlock();
    if (same)
        return SHOAL_OK;
    struct kept *read;
    int rc = kept_alloc(store, &read);
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
    keep(&store->reader, &store->reader.meta, read);
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
    struct kept **place = place_of(&store->reader, io_child->ref);
    if (place == NULL)
        return error_os("%s: memory for nodes", store->name);
    urcu_bp_read_lock();
    const struct kept *kept = urcu_bp_dereference(*place);
    bool same = kept != NULL && kept->ref.page == io_child->ref.page && kept->ref.txn == io_child->ref.txn &&
                kept->node.head.level == level && kept->node.head.depth == io_child->depth &&
                kept->node.head.prefix == hash_prefix(hash, io_child->depth);
    if (same)
        *io_child = node_child_at(&kept->node, node_entry(io_child->depth, hash));
    urcu_bp_read_unlock();
    if (same)
        return SHOAL_OK;
    struct kept *read;
    int rc = kept_alloc(store, &read);
    if (rc != SHOAL_OK)
        return rc;
    rc = node_read(&store->pager, io_child->ref, level, io_child->depth, hash, &read->node);
    if (rc != SHOAL_OK) {
        free(read);
        return rc;
    }
    read->ref = io_child->ref;
    *io_child = node_child_at(&read->node, node_entry(io_child->depth, hash));
    keep(&store->reader, place, read);
    return SHOAL_OK;
}

int reader_bucket(struct store *store, const struct reader_root *root, uint64_t hash, struct bucket *ret_bucket)
{
    struct node_child child = { root->node, 0 };
    for (unsigned level = root->level + 1; level-- > 0;) {
        int rc = node_step(store, level, &child, hash);
        if (rc != SHOAL_OK)
            return rc;
    }
    if (child.ref.page != 0)
        return bucket_read(&store->pager, child.ref, child.depth, hash, ret_bucket);
    ret_bucket->head.used_n = 0;
    ret_bucket->head.depth = (uint8_t)child.depth;
    ret_bucket->head.prefix = hash_prefix(hash, child.depth);
    return SHOAL_OK;
}

/* -- Get ----------------------------------------------------------------------------------------- */

#define LOST 1000 /* to a writer: again */

static int get_once(struct store *store, uint64_t hash, const void *key, size_t key_bytes, void *buf, uint64_t room,
                    struct store_record *ret_record)
{
    struct reader_root root;
    struct bucket bucket;
    struct bucket_item item;
    uint32_t i;
    int rc = reader_root(store, &root);
    if (rc != SHOAL_OK)
        return rc;
    rc = reader_bucket(store, &root, hash, &bucket);
    if (rc == SHOAL_OK)
        rc = find_item(&store->pager, &bucket, hash, key, key_bytes, &i, &item);
    if (rc == SHOAL_OK)
        rc = find_copy(&store->pager, &item, buf, room, ret_record);
    if (rc < 0)
        return reader_moved(store, &root) ? LOST : rc;
    return rc == SHOAL_OK && (item.flags & RECORD_LARGE) != 0 && reader_passed(store, &root) ? LOST : rc;
}

int store_get(struct store *store, const void *key, size_t key_bytes, void *buf, uint64_t room,
              struct store_record *ret_record)
{
    if (key_bytes == 0 || key_bytes > STORE_KEY_MAX)
        return error_set(SHOAL_EINVAL, "%s: a key of %zu bytes; 1..%u are allowed", store->name, key_bytes, STORE_KEY_MAX);
    uint64_t hash = store_hash(store, key, key_bytes);
    int rc = LOST;
    for (int round = 1; rc == LOST && round <= ROUNDS_MAX; round++) {
        rc = get_once(store, hash, key, key_bytes, buf, room, ret_record);
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
