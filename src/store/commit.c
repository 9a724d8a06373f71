/* SPDX-License-Identifier: MIT
 *
 * Transactions of the lock's holder: begin, publish, commit, give up (store.h).
 *
 *   publish   buckets, nodes, maps, indices; then a meta; then the root word
 *   commit    the same, with a flush before the meta and one behind it
 *
 * The holder may die behind each step.  Before the meta is whole nothing leads to what was written, and who comes next
 * takes another number.  Behind it, before the root word: who comes next finds it (root_settle) and must take it,
 * because the disk may have it too, and after a death of the machine it would count.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "store/handle.h"
#include "store/node.h"

/* A publish commits by itself when it holds back more pages than both of these. */
#define HELD_BYTES_MAX ((uint64_t)64 << 20)
#define HELD_SHARE 2 /* of the file */
#define CUT_PAGES 256u /* a file is cut when it saves so many */
#define STAY_TRANSACTIONS 1000u /* behind one for which the disk had no room */

/* -- Lock ---------------------------------------------------------------------------------------- */

static int refused(const struct store *store)
{
    return error_set(SHOAL_ESTORE,
                     "%s: a flush failed, so it is not known what is on disk: nothing is written to it until this machine "
                     "has been started again", store->name);
}

static int flush(struct store *store)
{
    int why = file_flush(store->file);
    if (why == 0)
        return SHOAL_OK;
    store_seq_u32(&store->board.page->refused, 1); /* [store-root] */
    (void)pager_failed(&store->pager, "flush", why);
    return SHOAL_ESTORE;
}

/* A root of a dead holder that may be on disk already counts after a death of the machine, whatever comes behind it: so
 * it must be durable, or what it leads to would be written over. */
static int root_adopt(struct store *store, const struct meta_choice *choice)
{
    struct board_page *page = store->board.page;
    bool flushed = (choice->meta.flags & META_FLUSHED) != 0 && choice->durable != choice->root;
    int rc = flushed ? flush(store) : SHOAL_OK;
    if (rc != SHOAL_OK)
        return rc;
    store->root = choice->root;
    store->durable = flushed ? choice->root : choice->durable;
    store_release_u64(&page->durable, store->durable); /* [store-root] */
    store_release_u64(&page->root, store->root);       /* [store-root] */
    return SHOAL_OK;
}

/* What a holder left who died between the meta and the root word. */
static int root_settle(struct store *store)
{
    uint64_t started = load_acquire_u64(&store->board.page->started); /* [store-root] */
    if (BOARD_TXN(store->root) >= started || store->seen_started == started)
        return SHOAL_OK;
    struct meta_choice choice;
    int rc = meta_choose(store, &choice);
    if (rc != SHOAL_OK)
        return rc;
    if (BOARD_TXN(choice.root) > BOARD_TXN(store->root) && BOARD_TXN(choice.root) <= started) {
        choice.durable = store->durable;
        rc = root_adopt(store, &choice);
    }
    if (rc == SHOAL_OK)
        store->seen_started = started;
    return rc;
}

/* Nobody has filled the board in this life of the machine, or its file was lost.  Who made the store may have died
 * before its name was on disk. */
static int board_fill(struct store *store)
{
    struct board_page *page = store->board.page;
    struct meta_choice choice;
    bool lost = false;
    int rc = meta_choose(store, &choice);
    if (rc != SHOAL_OK)
        return rc;
    store_seq_u64(&page->ready, 0); /* [store-root] */
    store_relaxed_u32(&page->refused, 0);
    rc = names_flush(store, &lost);
    if (rc != SHOAL_OK && !lost)
        return rc; /* another time */
    if (lost)
        store_seq_u32(&page->refused, 1); /* [store-root] */
    else
        rc = root_adopt(store, &choice);
    if (rc != SHOAL_OK) { /* a flush failed: there to be read, for everybody in this life */
        store_relaxed_u64(&page->root, choice.root);
        store_relaxed_u64(&page->durable, choice.durable);
    }
    store_relaxed_u64(&page->started, choice.newest_txn + TXN_JUMP);
    store_relaxed_u64(&page->horizon, 0);
    store->seen_started = choice.newest_txn + TXN_JUMP;
    store_release_u64(&page->ready, meta_ready(store)); /* [store-root] */
    return rc;
}

static void writer_drop(struct store *store)
{
    queue_drop(&store->queue);
    if (store->loaded) {
        tree_drop(&store->tree);
        space_drop(&store->space);
    }
    if (store->batch != NULL)
        batch_drop(store->batch);
    store->loaded = store->changed = false;
    store->broken = SHOAL_OK;
}

/* Space and tree of the meta that was read; what is in memory of an older root serves where it still holds. */
static int writer_follow(struct store *store)
{
    if (store->loaded) {
        tree_follow(&store->tree, &store->meta);
        return space_follow(&store->space, &store->meta);
    }
    int rc = space_load(&store->space, &store->pager, &store->meta);
    if (rc != SHOAL_OK)
        return rc;
    tree_open(&store->tree, &store->pager, &store->space, &store->queue, &store->meta);
    store->loaded = true;
    return SHOAL_OK;
}

/* The state of the present root in memory. */
static int writer_load(struct store *store)
{
    if (store->loaded && BOARD_ROOT(store->meta.head.txn, store->meta.head.page) == store->root)
        return SHOAL_OK;
    int rc = meta_read(store, BOARD_PLACE(store->root), &store->meta);
    if (rc == SHOAL_OK && store->meta.head.txn != BOARD_TXN(store->root))
        rc = page_bad(&store->pager, store->meta.head.page, "the meta of transaction %" PRIu64 ", not of %" PRIu64,
                      store->meta.head.txn, BOARD_TXN(store->root));
    if (rc == SHOAL_OK && store->meta.head.level >= LEVELS_MAX)
        rc = page_bad(&store->pager, store->meta.head.page, "%u levels", store->meta.head.level + 1u);
    if (rc == SHOAL_OK)
        rc = writer_follow(store);
    if (rc != SHOAL_OK) {
        writer_drop(store);
        return rc;
    }
    store->records_n = store->meta.records_n;
    store->record_bytes = store->meta.record_bytes;
    store->version_next = store->meta.version_next;
    return SHOAL_OK;
}

static int locked(struct store *store)
{
    struct board_page *page = store->board.page;
    if (os_file_unlinked(store->file))
        return error_set(SHOAL_ESTORE, "%s: was deleted", store->name);
    if (load_acquire_u64(&page->ready) != meta_ready(store)) { /* [store-root] */
        int rc = board_fill(store);
        if (rc != SHOAL_OK)
            return rc;
    }
    if (load_acquire_u32(&page->refused) != 0) /* [store-root] */
        return refused(store);
    store->root = load_acquire_u64(&page->root);       /* [store-root] */
    store->durable = load_acquire_u64(&page->durable); /* [store-root] */
    int rc = root_settle(store);
    return rc == SHOAL_OK ? writer_load(store) : rc;
}

int store_lock(struct store *store, int timeout_ms)
{
    if (!store->writable)
        return error_set(SHOAL_EREADONLY, "%s: opened read-only", store->name);
    int why = board_lock(&store->board, timeout_ms);
    if (why != 0)
        return why == ETIMEDOUT ? lock_is_held(store, timeout_ms, SHOAL_EFULL) : pager_failed(&store->pager, "its lock", why);
    int rc = locked(store);
    if (rc != SHOAL_OK)
        board_unlock(&store->board);
    return rc;
}

void store_unlock(struct store *store)
{
    if (store->changed || store->broken != SHOAL_OK)
        writer_drop(store);
    board_unlock(&store->board);
    store_tidy(store);
}

/* -- Begin and give up --------------------------------------------------------------------------- */

int txn_begin(struct store *store)
{
    struct board_page *page = store->board.page;
    struct board_pins pins;
    if (store->broken != SHOAL_OK)
        return error_set(store->broken, "%s: an earlier change of this transaction failed: it can only be given up",
                         store->name);
    if (store->changed)
        return SHOAL_OK;
    uint64_t started = load_acquire_u64(&page->started); /* [store-root] */
    uint64_t txn = (started > BOARD_TXN(store->root) ? started : BOARD_TXN(store->root)) + 1;
    if (txn > TXN_MAX)
        return error_set(SHOAL_EFULL, "%s: has had all transactions that it can have", store->name);
    store_seq_u64(&page->started, txn);     /* [store-root] */
    store_seq_u64(&page->horizon, BOARD_TXN(store->durable)); /* [store-horizon] */
    store->txn = txn;
    store->changed = true;
    board_pins(&store->board, &pins);
    space_begin(&store->space, txn, BOARD_TXN(store->durable), pins.oldest, pins.newest);
    if (store->stays > 0) {
        store->stays--;
        space_stay(&store->space);
    }
    tree_begin(&store->tree, txn);
    return SHOAL_OK;
}

/* On a full disk the next one finds room in the file, if there is any. */
int txn_broken(struct store *store, int rc)
{
    if (rc < 0)
        store->broken = rc;
    if (rc == SHOAL_EFULL)
        store->stays = STAY_TRANSACTIONS;
    return rc;
}

void store_abort(struct store *store)
{
    if (store->changed || store->broken != SHOAL_OK)
        writer_drop(store);
    if (!store->loaded && writer_load(store) != SHOAL_OK)
        store->broken = SHOAL_ESTORE;
}

/* -- Publish and commit -------------------------------------------------------------------------- */

/* After a failure the meta may be whole nevertheless: then it counts, since the next holder would find it.  Where that
 * cannot be seen nobody may go on. */
static int meta_put(struct store *store, struct page_meta *meta, uint64_t *ret_word)
{
    struct page_meta there;
    int rc = meta_write(store, meta, store->root, store->durable, ret_word);
    if (rc == SHOAL_OK)
        return rc;
    int seen = meta_read(store, BOARD_PLACE(*ret_word), &there);
    if (seen == SHOAL_OK && there.head.txn == meta->head.txn)
        return SHOAL_OK;
    if (seen == SHOAL_ESTORE)
        store_seq_u32(&store->board.page->refused, 1); /* [store-root] */
    return error_set(SHOAL_ESTORE, "%s, page %u: the meta of a transaction could not be written", store->name,
                     BOARD_PLACE(*ret_word));
}

/* Durable first: a flushed root that is not known to be durable would have what it leads to written over, and count
 * again after a death of the machine. */
static void root_set(struct store *store, const struct page_meta *meta, uint64_t word, bool durable)
{
    struct board_page *page = store->board.page;
    if (durable) {
        store->durable = word;
        store_release_u64(&page->durable, word); /* [store-root] */
    }
    store->meta = *meta;
    store->root = word;
    store_release_u64(&page->root, word); /* [store-root] */
    tree_follow(&store->tree, meta);
    store->changed = false;
}

static int publish(struct store *store, bool durable)
{
    uint64_t word;
    struct page_meta meta = store->meta;
    int rc = tree_write(&store->tree, &meta);
    if (rc == SHOAL_OK)
        rc = space_write(&store->space, &store->queue, &meta);
    if (rc == SHOAL_OK && durable)
        rc = flush(store);
    if (rc != SHOAL_OK)
        return rc;
    meta.head.txn = store->txn;
    meta.flags = durable ? META_FLUSHED : 0;
    meta.durable_txn = BOARD_TXN(store->durable);
    meta.records_n = store->records_n;
    meta.record_bytes = store->record_bytes;
    meta.version_next = store->version_next;
    memcpy(meta.boot, store->boot, sizeof meta.boot);
    rc = meta_put(store, &meta, &word);
    if (rc == SHOAL_OK && durable)
        rc = flush(store);
    if (rc == SHOAL_OK)
        root_set(store, &meta, word, durable);
    return rc;
}

/* Pages behind the last one in use go back to the file system.  No durable root leads there any more; a reader of an
 * older one reads again. */
void txn_cut(struct store *store, uint64_t pages)
{
    uint64_t bytes, wanted = store->meta.pages_end * PAGE_BYTES;
    if (file_size(store->file, &bytes) == 0 && bytes > wanted + pages * PAGE_BYTES)
        (void)file_resize(store->file, wanted); /* where it fails, nothing is lost but room */
}

int store_commit(struct store *store)
{
    if (!store->changed && store->broken == SHOAL_OK && store->root == store->durable)
        return SHOAL_OK;
    int rc = txn_begin(store);
    if (rc == SHOAL_OK)
        rc = txn_changes(store);
    if (rc == SHOAL_OK)
        rc = txn_broken(store, space_shorten(&store->space));
    if (rc == SHOAL_OK)
        rc = txn_broken(store, publish(store, true));
    if (rc == SHOAL_OK)
        txn_cut(store, CUT_PAGES);
    return rc;
}

int store_publish(struct store *store)
{
    if (store->broken == SHOAL_OK && !store->changed)
        return SHOAL_OK;
    int rc = txn_begin(store);
    if (rc == SHOAL_OK)
        rc = txn_changes(store);
    uint64_t held = space_held(&store->space) * PAGE_BYTES;
    bool pinned = store->space.pinned_txn != 0; /* then a commit would release nothing */
    if (rc == SHOAL_OK && !pinned && held > HELD_BYTES_MAX && held > store->space.pages_end * PAGE_BYTES / HELD_SHARE)
        return store_commit(store);
    return rc == SHOAL_OK ? txn_broken(store, publish(store, false)) : rc;
}
