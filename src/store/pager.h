/* SPDX-License-Identifier: MIT
 *
 * Pages in and out of the store's file, by their identity (page.h: P1, P2).
 */
#ifndef SHOAL_STORE_PAGER_H
#define SHOAL_STORE_PAGER_H

#include <stddef.h>

#include "store/page.h"

struct pager {
    int file;
    uint64_t store;   /* first half of its id: in the head of each of its pages */
    const char *name; /* of the file, for texts */
};

uint64_t page_sum(const void *page);

/* Fills in all of the head that makes a page known, its sum last. */
void page_seal(const struct pager *pager, void *page, enum page_kind kind, struct page_ref ref);

/* The page that was written under that name, or SHOAL_ECORRUPT; SHOAL_ESTORE: it cannot be read. */
int page_read(const struct pager *pager, struct page_ref ref, enum page_kind kind, void *ret_page);

/* Bytes without a head. */
int pager_read(const struct pager *pager, uint64_t page, uint64_t bytes, void *ret_bytes);
int pager_write(const struct pager *pager, uint64_t page, const void *bytes, uint64_t bytes_n);

/* Pages that are sealed: put into order and written in as few calls as that takes. */
struct page_out {
    uint64_t page;
    const void *bytes;
};
int pager_write_pages(const struct pager *pager, struct page_out *outs, size_t outs_n);

/* What failed, as a result: SHOAL_ESTORE, or SHOAL_EFULL where the disk is. */
int pager_failed(const struct pager *pager, const char *what, int why);

/* SHOAL_ECORRUPT: "DIR/pages, page 17: what". */
__attribute__((format(printf, 3, 4))) int page_bad(const struct pager *pager, uint64_t page, const char *what, ...);

#endif
