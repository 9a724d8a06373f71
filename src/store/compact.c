/* SPDX-License-Identifier: MIT
 *
 * The file made smaller while others use the store (store.h: store_compact).
 *
 * A pass goes through the hashes.  Whatever lies at or behind `limit`, the page below which there is room for it, is marked
 * as changed, so it is written anew, at the lowest page that is free: a bucket, a node, a large record with its runs.  Each
 * transaction is like any other one, so death, power loss, readers and walkers meet nothing that they do not know.  What
 * was left is held until the next durable root, and given back by the transaction behind that: a pass ends with both.
 *
 * Others change the store between two transactions, so a pass may leave something at the end; the next one begins with
 * another limit.  Large values are to lie in long runs, but the gaps between buckets are short: when a pass has gained
 * little, the next one takes shorter ones, and when that has a page for its shortest run, the last ones
 * move large records one by one: each needs as much room as it will leave, and together they would have to go to the end.
 */
#include <string.h>

#include "base/error.h"
#include "store/handle.h"
#include "store/runs.h"

#define LOCK_MS 10000
#define PASSES_MAX 12
#define LEAST_STEP 4u           /* RUN_LEAST, 4, 1 */
#define GAIN_SHARE 64u          /* a pass that gains less of the file is the last */
#define ONE_BY_ONE_MAX 2u       /* passes */
#define CHANGES_MAX 1024u       /* buckets of one transaction */
#define LOOKS_MAX 4096u         /* likewise, looked at */
#define RUN_PAGES_MAX 2048u     /* of large records */
#define SETTLES_MAX 4

struct packing {
    struct store *store;
    uint64_t limit, least;      /* see above */
    uint64_t hash;              /* the next one */
    bool over;
    uint32_t one_by_one; /* passes so far where what a large record leaves is free for the next one */
    uint64_t looks, changes, run_pages; /* of this transaction */
    shoal_progress_fn *progress;
    void *arg;
};

/* -- Records ------------------------------------------------------------------------------------- */

struct reach {
    uint64_t last, pages_n;
};

static int reach_of(void *arg, uint64_t page, uint64_t pages_n)
{
    struct reach *reach = arg;
    if (page + pages_n > reach->last)
        reach->last = page + pages_n;
    reach->pages_n += pages_n;
    return SHOAL_OK;
}

static int item_reach(const struct packing *p, const struct bucket_item *item, struct bucket_large *ret_large,
                      struct reach *ret_reach)
{
    *ret_reach = (struct reach){ 0, 0 };
    if ((item->flags & RECORD_LARGE) == 0 || !bucket_item_large(item, ret_large))
        return SHOAL_OK;
    return runs_each(&p->store->pager, ret_large, (item->flags & RECORD_LARGE_KEY) != 0, reach_of, ret_reach);
}

/* The bucket is changed.  A record that is taken out and put back is the last one then, so the others come up. */
static int large_move(struct packing *p, struct bucket *bucket)
{
    for (uint32_t i = 0, left = bucket->head.used_n; left > 0; left--) {
        struct bucket_item item;
        struct bucket_large large, moved;
        struct reach reach;
        uint8_t key[KEY_HERE_MAX];
        if (!bucket_item(bucket, i, &item))
            return tree_bad_record(&p->store->tree);
        int rc = item_reach(p, &item, &large, &reach);
        if (rc != SHOAL_OK)
            return rc;
        if (reach.last <= p->limit) {
            i++;
            continue;
        }
        bool with_key = (item.flags & RECORD_LARGE_KEY) != 0;
        if (!with_key && item.key_bytes > sizeof key)
            return tree_bad_record(&p->store->tree);
        rc = runs_move(&p->store->space, &large, item.key_bytes, with_key, p->least, &moved);
        if (rc != SHOAL_OK)
            return rc;
        p->run_pages += reach.pages_n;
        if (!with_key)
            memcpy(key, item.key, item.key_bytes);
        bucket_remove(bucket, i, &item);
        item.key = with_key ? NULL : key;
        item.value = &moved;
        if (bucket_add(bucket, moved.hash, &item) != BUCKET_ADDED)
            return tree_bad_record(&p->store->tree);
    }
    return SHOAL_OK;
}

/* Does a large record of the bucket reach beyond? */
static int reaches(const struct packing *p, uint64_t hash, bool *ret_does)
{
    const struct bucket *bucket;
    *ret_does = false;
    int rc = tree_look(&p->store->tree, hash, &bucket);
    for (uint32_t i = 0; rc == SHOAL_OK && bucket != NULL && !*ret_does && i < bucket->head.used_n; i++) {
        struct bucket_item item;
        struct bucket_large large;
        struct reach reach;
        if (!bucket_item(bucket, i, &item))
            return page_bad(&p->store->pager, bucket->head.page, "record %u is not what its checksum says", i);
        rc = item_reach(p, &item, &large, &reach);
        *ret_does = rc == SHOAL_OK && reach.last > p->limit;
    }
    return rc;
}

/* -- One bucket ---------------------------------------------------------------------------------- */

static int pack_bucket(struct packing *p)
{
    struct tree *tree = &p->store->tree;
    struct tree_place place;
    struct bucket *bucket;
    bool large = false;
    int rc = tree_join(tree, p->hash);
    if (rc == SHOAL_OK)
        rc = reaches(p, p->hash, &large);
    if (rc == SHOAL_OK)
        rc = tree_place(tree, p->hash, &place);
    if (rc != SHOAL_OK)
        return rc;
    if (large || place.bucket >= p->limit) {
        rc = tree_change(tree, p->hash, &bucket);
        if (rc == SHOAL_OK && large)
            rc = large_move(p, bucket);
        p->changes++;
    } else if (place.nodes >= p->limit) {
        rc = tree_change_nodes(tree, p->hash);
    }
    p->hash = place.next;
    p->over = place.next == 0;
    p->looks++;
    return rc;
}

int store_hashes(struct store *store, uint64_t hash, store_hash_fn *each, void *arg, uint64_t *ret_next)
{
    const struct bucket *bucket;
    struct tree_place place;
    int rc = txn_changes(store);
    if (rc == SHOAL_OK)
        rc = tree_place(&store->tree, hash, &place);
    if (rc == SHOAL_OK)
        rc = tree_look(&store->tree, hash, &bucket);
    for (uint32_t i = 0; rc == SHOAL_OK && bucket != NULL && i < bucket->head.used_n; i++) {
        struct bucket_item item;
        if (!bucket_item(bucket, i, &item))
            return page_bad(&store->pager, bucket->head.page, "record %u is not what its checksum says", i);
        each(arg, tree_item_hash(store->seed, &item));
    }
    if (rc == SHOAL_OK)
        *ret_next = place.next;
    return rc;
}

void store_give_way(struct store *store) { board_give_way(&store->board); }

/* -- Transactions -------------------------------------------------------------------------------- */

static int refuse_pinned(const struct store *store)
{
    struct board_pins pins;
    board_pins(&store->board, &pins);
    return pins.n == 0 ? SHOAL_OK
                       : error_set(SHOAL_EFULL, "%s: cannot be made smaller while it is copied (%u backups)", store->name,
                                   pins.n);
}

static int locked_and_free(struct store *store)
{
    int rc = store_lock(store, LOCK_MS);
    if (rc != SHOAL_OK)
        return rc;
    rc = refuse_pinned(store);
    if (rc != SHOAL_OK)
        store_unlock(store);
    return rc;
}

static int pack_begin(struct store *store)
{
    int rc = txn_begin(store);
    if (rc == SHOAL_OK)
        space_pack(&store->space);
    return rc;
}

static int pack_some(struct packing *p)
{
    int rc = locked_and_free(p->store);
    if (rc != SHOAL_OK)
        return rc;
    p->looks = p->changes = p->run_pages = 0;
    rc = pack_begin(p->store);
    while (rc == SHOAL_OK && !p->over && p->looks < LOOKS_MAX && p->changes < CHANGES_MAX && p->run_pages < (p->one_by_one > 0 ? 1 : RUN_PAGES_MAX))
        rc = txn_broken(p->store, pack_bucket(p));
    if (rc == SHOAL_OK)
        rc = store_publish(p->store);
    store_unlock(p->store);
    board_give_way(&p->store->board);
    return rc;
}

static int settle(struct packing *p, uint64_t *ret_pages_n);

static int pass(struct packing *p, uint64_t pages_n)
{
    uint64_t ignored;
    int rc = SHOAL_OK;
    p->hash = 0;
    p->over = false;
    while (rc == SHOAL_OK && !p->over) {
        rc = pack_some(p);
        if (rc == SHOAL_OK && p->one_by_one > 0 && p->run_pages > 0 && !p->over)
            rc = settle(p, &ignored);
        uint64_t done = p->over ? pages_n : (uint64_t)((unsigned __int128)p->hash * pages_n >> 64);
        if (rc == SHOAL_OK && p->progress != NULL)
            rc = p->progress(done, pages_n, p->arg);
    }
    return rc;
}

/* Everything is durable, and what was held for others is free; twice, because the maps' indices leave pages too. */
static int settle(struct packing *p, uint64_t *ret_pages_n)
{
    struct store *store = p->store;
    uint64_t before = UINT64_MAX;
    int rc = locked_and_free(store);
    if (rc != SHOAL_OK)
        return rc;
    rc = pack_begin(store);
    if (rc == SHOAL_OK)
        rc = store_commit(store);
    for (int i = 0; rc == SHOAL_OK && i < SETTLES_MAX && store->meta.pages_end < before; i++) {
        before = store->meta.pages_end;
        rc = pack_begin(store);
        if (rc == SHOAL_OK)
            rc = txn_broken(store, space_release(&store->space));
        if (rc == SHOAL_OK)
            rc = store_commit(store);
    }
    if (rc == SHOAL_OK) {
        txn_cut(store, 0);
        *ret_pages_n = p->limit = store->meta.pages_end;
        rc = space_limit(&store->space, &p->limit);
    }
    store_unlock(store);
    return rc;
}

int store_compact(struct store *store, shoal_progress_fn *progress, void *arg)
{
    struct packing p = { .store = store, .least = RUN_LEAST, .progress = progress, .arg = arg };
    uint64_t pages_n, before;
    int rc = settle(&p, &pages_n);
    for (int i = 0; rc == SHOAL_OK && i < PASSES_MAX; i++) {
        before = pages_n;
        rc = pass(&p, pages_n);
        if (rc == SHOAL_OK)
            rc = settle(&p, &pages_n);
        if (rc != SHOAL_OK || pages_n + before / GAIN_SHARE < before)
            continue;
        if (p.one_by_one == ONE_BY_ONE_MAX)
            break;
        if (p.least == 1)
            p.one_by_one++;
        else
            p.least /= LEAST_STEP;
    }
    return rc;
}
