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

#define LEFT_MAX 256ul    /* freed together, because waiting for all readers takes time */
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
        struct bucket bucket;
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

static void places_free(struct places *places)
{
    for (uint64_t i = 0; places != NULL && i < places->n; i++)
        free(places->place[i].kept);
    free(places);
}

void reader_close(struct reader *reader)
{
    places_free(reader->nodes);
    places_free(reader->buckets);
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

static uint64_t nodes_n(void) { return READER_NODES; }

static uint64_t buckets_n(void)
{
    uint64_t n = READER_BUCKETS_MAX, most = os_memory_bytes() / READER_MEMORY_SHARE / PAGE_BYTES;
    while (n > READER_BUCKETS_LEAST && n > most)
        n /= 2;
    return n;
}

/* Where a page is kept.  The places are made for the first one: many stores are opened for one lookup, or none. */
static struct place *place_of(struct places **io_places, uint64_t how_many(void), struct page_ref ref)
{
    struct places *places = urcu_bp_dereference(*io_places);
    if (places == NULL) {
        uint64_t n = how_many();
        struct places *made = calloc(1, sizeof *made + n * sizeof made->place[0]);
        if (made == NULL)
            return NULL;
        made->n = n;
        places = urcu_bp_cmpxchg_pointer(io_places, NULL, made);
        if (places == NULL)
            places = made;
        else
            free(made);
    }
    uint64_t mixed = ref.page * 0x9e3779b97f4a7c15u; /* neighbours far apart (Knuth, vol. 3, 6.4) */
    return &places->place[(mixed >> 32) * places->n >> 32];
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
    struct place *place = place_of(&store->reader.nodes, nodes_n, io_child->ref);
    if (place == NULL)
        return error_os("%s: memory for nodes", store->name);
    urcu_bp_read_lock();
    const struct kept *kept = urcu_bp_dereference(place->kept);
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
    keep(&store->reader, &place->kept, read);
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
static int get_kept(struct store *store, struct place *place, struct node_child child, const struct wanted *w,
                    struct store_record *ret_record)
{
    bool large;
    int rc = NOT_KEPT;
    urcu_bp_read_lock();
    const struct kept *kept = urcu_bp_dereference(place->kept);
    if (kept != NULL && kept->ref.page == child.ref.page && kept->ref.txn == child.ref.txn &&
        kept->bucket.head.depth == child.depth && kept->bucket.head.prefix == hash_prefix(w->hash, child.depth))
        rc = get_in(store, &kept->bucket, w, ret_record, &large);
    urcu_bp_read_unlock();
    return rc;
}

/* One with large records is not kept: they are read from the file, for which nobody should wait who frees what is left. */
static bool is_to_be_kept(const struct bucket *bucket)
{
    for (uint32_t i = 0; i < bucket->head.used_n; i++) {
        struct bucket_item item;
        if (!bucket_item(bucket, i, &item) || (item.flags & RECORD_LARGE) != 0)
            return false;
    }
    return true;
}

/* The second time in a row that it is read for want of it here: else each get of a store that is much larger than the places
 * would copy a page in vain.  Without memory nothing is kept. */
static void bucket_keep(struct store *store, struct place *place, struct page_ref ref, const struct bucket *bucket)
{
    struct kept *made;
    if (uatomic_read(&place->asked) != ref.page) {
        uatomic_set(&place->asked, ref.page);
        return;
    }
    if (!is_to_be_kept(bucket) || (made = malloc(sizeof *made)) == NULL)
        return;
    made->ref = ref;
    made->bucket = *bucket;
    keep(&store->reader, &place->kept, made);
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
    struct place *place = place_of(&store->reader.buckets, buckets_n, child.ref);
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
