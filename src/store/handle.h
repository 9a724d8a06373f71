/* SPDX-License-Identifier: MIT
 *
 * A store as one process has it open.
 */
#ifndef SHOAL_STORE_HANDLE_H
#define SHOAL_STORE_HANDLE_H

#include "store/batch.h"
#include "store/board.h"
#include "store/cache.h"
#include "store/file.h"
#include "store/queue.h"
#include "store/reader.h"
#include "store/space.h"
#include "store/store.h"
#include "store/tree.h"

#define PAGES_NAME "pages"
#define DRAFT_NAME "pages.new"  /* a store that is not whole yet */
#define PART_NAME "pages.part" /* a backup that is not */

/* In another life of the machine transactions begin so much later: beyond any that a dead holder may have begun. */
#define TXN_JUMP ((uint64_t)1 << 20)

struct store {
    char *name;    /* of the file of pages, for texts */
    char *parent;  /* of the directory */
    int dir, file;
    int bind_file; /* says whose the store is, as long as it is open; -1: nobody's */
    bool writable;
    bool is_backup;
    struct pager pager;
    uint8_t id[STORE_ID_BYTES], boot[FILE_BOOT_BYTES];
    uint64_t seed;
    struct board board;
    struct cache cache;

    /* Of the lock's holder.  space and tree are what `meta` leads to, and may serve its next holder too. */
    bool loaded;
    bool changed;           /* a transaction has begun */
    int broken;             /* it failed: why, as a result; only giving up helps */
    struct page_meta meta;  /* published */
    uint64_t root, durable; /* words of the board, as they are */
    uint64_t txn;           /* that changes are made by */
    uint64_t records_n, record_bytes, version_next; /* as the next meta will say */
    unsigned stays;         /* transactions to come that do not make the file longer for the sake of rows */
    uint64_t seen_started;  /* no meta of a dead holder is newer than `root`, up to here */
    struct space space;
    struct tree tree;
    struct queue queue;
    struct batch *batch; /* changes of this transaction that are still to be made; NULL: none yet */
};

/* -- Metas (meta.c) ------------------------------------------------------------------------------ */

/* The meta at that place, if it is sound and of this store (an id of zeros: of any). */
int meta_read(const struct store *store, unsigned place, struct page_meta *ret_meta);

/* Which root counts, from the metas alone: the newest of this life of the machine, else the newest durable one.  Looks
 * until two looks are the same, for who does not hold the lock. */
struct meta_choice {
    struct page_meta meta;
    uint64_t root, durable; /* words of a board */
    uint64_t newest_txn;    /* of any sound meta */
};
int meta_choose(const struct store *store, struct meta_choice *ret_choice);

/* The meta of the root that counts now, by the board or, where that does not count, by choice. */
int meta_current(const struct store *store, struct page_meta *ret_meta);

/* What `ready` is in this life of the machine, for this store. */
uint64_t meta_ready(const struct store *store);

/* Writes the meta to a place that neither root nor durable uses; *ret_word is its root word. */
int meta_write(const struct store *store, struct page_meta *meta, uint64_t root, uint64_t durable, uint64_t *ret_word);

/* Writes a store without records to the file; file and pager are open, id, boot and seed known. */
int meta_make_store(struct store *store);

/* One without files: NULL, no memory. */
struct store *store_alloc(const char *directory, bool writable);

/* board_lock has timed out: the code, with a text that says who has it. */
int lock_is_held(const struct store *store, int timeout_ms, int code);

/* -- Names (store.c) ------------------------------------------------------------------------------ */

/* That of the pages, and that of the directory that holds them, are on disk.  *ret_lost: they may never be, in this life
 * of the machine. */
int names_flush(struct store *store, bool *ret_lost);

/* -- Transactions (commit.c) --------------------------------------------------------------------- */

/* Begins one, unless it has.  The lock is held. */
int txn_begin(struct store *store);
/* What waits in the batch, before anything else that looks at this transaction or ends it. */
int txn_changes(struct store *store);
/* The file ends behind the last page in use, where that saves more than so many. */
void txn_cut(struct store *store, uint64_t pages);
/* Keeps the failure: nothing but store_abort helps now. */
int txn_broken(struct store *store, int rc);

#endif
