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
 *   USED -> HELD    freed; likewise NEW pages of runs, which have no heads
 *   HELD -> FREE    a later root is durable
 *
 * The two steps that another durable root makes are not written down anywhere: a map remembers the transaction that wrote
 * it last, and whenever that is not later than the durable one they have happened to all of it.
 *
 *   Z1  every page below pages_end that a root leads to is USED or NEW in the map of that root; no other page is, but
 *       the places of maps
 *   Z2  what the last durable root leads to is USED or HELD
 *   Z3  a map is written to a place that neither the published root nor the last durable one uses
 */
#ifndef SHOAL_STORE_SPACE_H
#define SHOAL_STORE_SPACE_H

#include <stdbool.h>
#include <stddef.h>

#include "store/pager.h"

struct zone;

struct space {
    const struct pager *pager;
    uint64_t txn;         /* that changes are made by */
    uint64_t durable_txn;
    struct zone *zone;    /* [zones_n] */
    uint64_t zones_n, zones_room;
    uint64_t first_free;  /* no zone before it has a page to give */
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

/* Before the first change of a transaction. */
void space_begin(struct space *space, uint64_t txn, uint64_t durable_txn);

/* One run of 1..pages_n pages; of at least `least` (1..SPACE_RUN_SURE). */
#define SPACE_RUN_SURE 64u
int space_take(struct space *space, uint64_t pages_n, uint64_t least, uint64_t *ret_page, uint64_t *ret_pages_n);
enum space_freed {
    SPACE_OWN,    /* this transaction took them */
    SPACE_HEADED, /* a page with a head */
    SPACE_RUN     /* pages without */
};
int space_free(struct space *space, uint64_t page, uint64_t pages_n, enum space_freed how);

/* Writes the maps and indices that changed, and says in the meta where they are.  Afterwards the space is that of the
 * meta.  Nothing may be taken or freed between this and space_begin. */
int space_write(struct space *space, struct page_meta *io_meta);

/* Pages that nobody may take before a transaction is durable. */
uint64_t space_held(const struct space *space);

/* How one page is used; PAGE_USE_BAD behind the last zone. */
int space_use(struct space *space, uint64_t page, enum page_use *ret_use);

#endif
