/* SPDX-License-Identifier: MIT
 *
 * Metas: which of them counts, and how they are written (page.h, board.h).
 *
 * Recovery is this choice and nothing else.  In the life of the machine in which it was written a published meta is
 * whole, whoever died: everything that it leads to was written before it, and the kernel keeps what was written.  In
 * another life only a meta that says META_FLUSHED is: what it leads to was on disk before it was written.  Pages that
 * the last durable root leads to are not written over until another is durable, so there is always one.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "store/handle.h"

/* Each further look found another meta than the one before: somebody writes. */
#define LOOKS_MAX 1000

/* -- Reading ------------------------------------------------------------------------------------- */

static bool meta_sound(const struct store *store, unsigned place, const struct page_meta *meta)
{
    static const uint8_t none[STORE_ID_BYTES];
    return meta->head.magic == PAGE_MAGIC && meta->head.kind == PAGE_META && meta->head.page == place &&
           meta->head.txn <= TXN_MAX && meta->head.sum == page_sum(meta) &&
           (memcmp(store->id, none, sizeof none) == 0 || memcmp(store->id, meta->id, sizeof meta->id) == 0);
}

int meta_read(const struct store *store, unsigned place, struct page_meta *ret_meta)
{
    int rc = pager_read(&store->pager, place, PAGE_BYTES, ret_meta);
    if (rc != SHOAL_OK)
        return rc;
    if (!meta_sound(store, place, ret_meta))
        return page_bad(&store->pager, place, "not a meta of this store, or damaged");
    if (ret_meta->version != STORE_VERSION)
        return error_set(SHOAL_EVERSION, "%s: layout version %u, this library reads %u", store->name, ret_meta->version,
                         STORE_VERSION);
    return SHOAL_OK;
}

/* All three with one call.  A file that is too short for them has none. */
static int metas_read(const struct store *store, struct page_meta metas[META_PAGES])
{
    size_t got;
    memset(metas, 0, META_PAGES * sizeof *metas);
    int why = file_read(store->file, metas, META_PAGES * sizeof *metas, 0, &got);
    return why == 0 ? SHOAL_OK : pager_failed(&store->pager, "read", why);
}

static bool counts(const struct store *store, const struct page_meta *meta)
{
    return (meta->flags & META_FLUSHED) != 0 || memcmp(meta->boot, store->boot, sizeof meta->boot) == 0;
}

/* The newest meta that counts; NULL: none. */
static const struct page_meta *newest(const struct store *store, const struct page_meta metas[META_PAGES],
                                      struct meta_choice *io_choice)
{
    const struct page_meta *best = NULL;
    for (unsigned place = 0; place < META_PAGES; place++) {
        const struct page_meta *meta = &metas[place];
        if (!meta_sound(store, place, meta))
            continue;
        if (meta->head.txn > io_choice->newest_txn)
            io_choice->newest_txn = meta->head.txn;
        if (counts(store, meta) && (best == NULL || meta->head.txn > best->head.txn))
            best = meta;
    }
    return best;
}

/* In this life of the machine a flushed root may not be on disk yet itself: then the one that was durable before it is
 * the last durable one.  That one's place is written over only when a later one is durable. */
static const struct page_meta *durable_of(const struct store *store, const struct page_meta metas[META_PAGES],
                                          const struct page_meta *root)
{
    for (unsigned place = 0; place < META_PAGES; place++)
        if (meta_sound(store, place, &metas[place]) && metas[place].head.txn == root->durable_txn &&
            (metas[place].flags & META_FLUSHED) != 0 && memcmp(root->boot, store->boot, sizeof root->boot) == 0)
            return &metas[place];
    return root;
}

int meta_choose(const struct store *store, struct meta_choice *ret_choice)
{
    struct page_meta metas[META_PAGES], again[META_PAGES];
    int rc = metas_read(store, metas);
    for (int looks = 0; rc == SHOAL_OK && looks < LOOKS_MAX; looks++) {
        rc = metas_read(store, again);
        if (memcmp(metas, again, sizeof metas) == 0)
            break;
        memcpy(metas, again, sizeof metas);
    }
    if (rc != SHOAL_OK)
        return rc;
    ret_choice->newest_txn = 0;
    const struct page_meta *root = newest(store, metas, ret_choice);
    if (root == NULL)
        return error_set(SHOAL_ECORRUPT, "%s: none of its three metas is sound: not a store, or damaged", store->name);
    if (root->version != STORE_VERSION)
        return error_set(SHOAL_EVERSION, "%s: layout version %u, this library reads %u", store->name, root->version,
                         STORE_VERSION);
    const struct page_meta *durable = durable_of(store, metas, root);
    ret_choice->meta = *root;
    ret_choice->root = BOARD_ROOT(root->head.txn, root->head.page);
    ret_choice->durable = BOARD_ROOT(durable->head.txn, durable->head.page);
    return SHOAL_OK;
}

int meta_current(const struct store *store, struct page_meta *ret_meta)
{
    const struct board_page *page = store->board.page;
    while (page != NULL && load_acquire_u64(&page->ready) == meta_ready(store)) { /* [store-root] */
        uint64_t word = load_acquire_u64(&page->root);                             /* [store-root] */
        int rc = meta_read(store, BOARD_PLACE(word), ret_meta);
        if (rc == SHOAL_OK && ret_meta->head.txn != BOARD_TXN(word))
            rc = page_bad(&store->pager, BOARD_PLACE(word), "the meta of transaction %" PRIu64 ", not of %" PRIu64,
                          ret_meta->head.txn, BOARD_TXN(word));
        if (rc == SHOAL_OK || load_acquire_u64(&page->root) == word) /* [store-root] */
            return rc;
    }
    struct meta_choice choice;
    int rc = meta_choose(store, &choice);
    *ret_meta = choice.meta;
    return rc;
}

uint64_t meta_ready(const struct store *store)
{
    return hash_bytes(store->id, sizeof store->id, hash_bytes(store->boot, sizeof store->boot, STORE_VERSION)) | 1;
}

/* -- Writing ------------------------------------------------------------------------------------- */

int meta_write(const struct store *store, struct page_meta *meta, uint64_t root, uint64_t durable, uint64_t *ret_word)
{
    unsigned place = 0;
    while (place == BOARD_PLACE(root) || place == BOARD_PLACE(durable))
        place++;
    page_seal(&store->pager, meta, PAGE_META, (struct page_ref){ place, meta->head.txn });
    *ret_word = BOARD_ROOT(meta->head.txn, place);
    return pager_write(&store->pager, place, meta, sizeof *meta);
}

/* The two other places get their pages too, so that a meta never finds the disk full. */
static int metas_make(struct store *store, struct page_meta *meta)
{
    static const uint8_t zeros[PAGE_BYTES];
    uint64_t word;
    for (unsigned place = 1; place < META_PAGES; place++) {
        int rc = pager_write(&store->pager, place, zeros, sizeof zeros);
        if (rc != SHOAL_OK)
            return rc;
    }
    return meta_write(store, meta, BOARD_ROOT(0, 1), BOARD_ROOT(0, 2), &word);
}

int meta_make_store(struct store *store)
{
    struct space space;
    struct tree tree = { .root = NULL };
    struct page_meta meta = {
        .head = { .txn = 1 }, .version = STORE_VERSION, .flags = META_FLUSHED, .durable_txn = 1, .seed = store->seed,
        .version_next = 1, .created_ns = (uint64_t)os_wall_ns(),
    };
    memcpy(meta.id, store->id, sizeof meta.id);
    memcpy(meta.boot, store->boot, sizeof meta.boot);
    int rc = space_make(&space, &store->pager, 1);
    if (rc == SHOAL_OK)
        rc = tree_make(&tree, &store->pager, &space, &store->queue, store->seed, 1);
    if (rc == SHOAL_OK)
        rc = tree_write(&tree, &meta);
    if (rc == SHOAL_OK)
        rc = space_write(&space, &store->queue, &meta);
    if (rc == SHOAL_OK)
        rc = metas_make(store, &meta);
    queue_drop(&store->queue);
    tree_drop(&tree);
    space_drop(&space);
    return rc;
}
