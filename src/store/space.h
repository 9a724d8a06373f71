/* SPDX-License-Identifier: MIT
 *
 * Which pages are in use: maps of zones, as the holder of the store's lock sees and changes them.
 *
 * The last durable root may come back, so what it leads to is not written over before another is durable:
 *
 *   FREE -> NEW     taken
 *   NEW  -> FREE    freed before it was durable: at once where it has a head, because who is led there by an older root
 *                   sees that it is another page now; but not before the transaction's end, since the present root still
 *                   leads there
 *   NEW  -> USED    a later root is durable
 *   USED -> HELD    freed; likewise NEW pages of runs, which have no heads, and those that a pinned root leads to
 *   HELD -> FREE    a later root is durable, and none is pinned that is older than the map in which it is HELD
 *
 * The two steps that another durable root makes are not written down anywhere: a map remembers the transaction that wrote
 * it last, and whenever that is not later than the durable one they have happened to all of it; but HELD -> FREE only where
 * it is not later than any pinned one either.  NEW -> USED asks for no pin: a page that is still NEW when the durable root
 * leads to it would be free again as soon as it is freed.
 *
 *   Z1  every page below pages_end that a root leads to is USED or NEW in the map of that root; no other page is, but
 *       the places of maps
 *   Z2  what the last durable root leads to is USED or HELD
 *   Z3  a map is written to a place that neither the published root nor the last durable one uses
 *   Z4  what a pinned root leads to, but the maps of zones, is not FREE in the map of any later root.  A pin is set under
 *       the store's lock, on the published root P, so each later transaction knows of it.  Take a page of P, written by
 *       t <= P, and freed by F > P.  It is not given back at F's end, since t is not later than the newest pin; it is HELD
 *       in F's map, and whoever rewrites that later finds it to be of F or behind, which is later than P.
 */
#ifndef SHOAL_STORE_SPACE_H
#define SHOAL_STORE_SPACE_H

#include <stdbool.h>
#include <stddef.h>

#include "store/queue.h"

struct zone;

struct space {
    const struct pager *pager;
    uint64_t txn;         /* that changes are made by */
    uint64_t durable_txn;
    uint64_t release_txn; /* what is held in maps of up to this one is free */
    uint64_t pinned_txn;  /* the newest that is pinned; 0: none */
    struct zone *zone;    /* [zones_n] */
    uint64_t zones_n, zones_room;
    uint64_t first_free;  /* no zone before it has a page to give */
    uint64_t next;        /* where the next row is looked for: behind the last one, so that all of the file is gone through */
    uint64_t row_end;     /* rows may be put behind the file's end up to here */
    uint64_t rows_missed; /* pages that this transaction has looked at since it found one */
    bool packs;           /* the lowest pages are taken */
    uint64_t aside, aside_n; /* pages taken for the next index */
    uint64_t pages_end;
    struct page_ref index[META_INDICES];
    bool index_changed[META_INDICES];
    uint64_t *later;      /* [later_n] pages that are free from the next transaction on */
    uint64_t later_n, later_room;
};

/* As the meta says; the zones' entries are read, their maps when they are needed. */
int space_load(struct space *space, const struct pager *pager, const struct page_meta *meta);
/* The same, of another root of the same store, after space_load.  Nothing is changed. */
int space_follow(struct space *space, const struct page_meta *meta);
/* Of a file that has only metas. */
int space_make(struct space *space, const struct pager *pager, uint64_t txn);
void space_drop(struct space *space);

/* Before the first change of a transaction.  Pinned: the oldest and newest one; UINT64_MAX and 0 where none is. */
void space_begin(struct space *space, uint64_t txn, uint64_t durable_txn, uint64_t oldest_pinned, uint64_t newest_pinned);

/* In this transaction no rows are put behind the file's end. */
void space_stay(struct space *space);
/* One run of 1..pages_n pages; of at least `least` (1..SPACE_RUN_SURE). */
#define SPACE_RUN_SURE 64u
int space_take(struct space *space, uint64_t pages_n, uint64_t least, uint64_t *ret_page, uint64_t *ret_pages_n);
/* Pages that are written together; a few of them get one run, which is one call and one write of the disk, where there is one
 * at hand or the file may grow by it. */
int space_take_row(struct space *space, uint64_t pages_n, uint64_t *ret_page, uint64_t *ret_pages_n);
#define SPACE_INDEX_LIKELY 1u /* index that is written behind them: */
/* pages of a row that are for it, and free again otherwise. */
void space_set_aside(struct space *space, uint64_t page, uint64_t pages_n);
/* In this transaction the lowest pages are taken. */
void space_pack(struct space *space);
enum space_freed {
    SPACE_OWN,    /* this transaction took them */
    SPACE_HEADED, /* a page with a head */
    SPACE_RUN     /* pages without */
};
int space_free(struct space *space, uint64_t page, uint64_t pages_n, enum space_freed how);
/* One with a head, of which nothing but the transaction that wrote it need be known. */
int space_free_page(struct space *space, struct page_ref ref);

/* For a copy: that something leads to these pages. */
int space_claim(struct space *space, uint64_t page, uint64_t pages_n);

/* Writes the maps and indices that changed, with what the queue has, and says in the meta where they are.  Afterwards the
 * queue is empty, and the space is that of the meta.  Nothing may be taken or freed between this and space_begin. */
int space_write(struct space *space, struct queue *queue, struct page_meta *io_meta);

/* In a transaction: what may be free again is, in all zones; without this a zone's map waits until something in it changes. */
int space_release(struct space *space);
/* The same, where the file is longer than it should be: else what is held in a zone that nobody writes to any more would keep
 * it so. */
int space_shorten(struct space *space);
/* Below this page there would be room for everything that lies behind it. */
int space_limit(struct space *space, uint64_t *ret_page);

/* Pages that nobody may take before a transaction is durable. */
uint64_t space_held(const struct space *space);

/* How one page is used; PAGE_USE_BAD behind the last zone. */
int space_use(struct space *space, uint64_t page, enum page_use *ret_use);

#endif
