/* SPDX-License-Identifier: MIT
 *
 * One root of a store, page by page, from its file to another.
 *
 * Every page is read by its identity and every run by its sum, so what arrives is what the root leads to or an error that
 * names the page.  A page keeps its number.  What lies at the other side already is compared with it, and written only
 * where it differs: so a copy that was begun before is gone on with, and one that is whole costs what has changed.  Maps
 * of zones and their indices are made anew, since those of a pinned root are written over.
 */
#ifndef SHOAL_STORE_COPY_H
#define SHOAL_STORE_COPY_H

#include "shoal/shoal.h"
#include "store/handle.h"

struct copy_asked {
    struct store *from;           /* nobody writes over what the meta leads to */
    const struct page_meta *meta;
    struct store *to;             /* its file and pager; NULL: everything is read, and nothing is written */
    shoal_progress_fn *progress;  /* of pages; may be NULL */
    void *arg;
};

/* *ret_meta: the same root over there, sealed by nobody yet; what it leads to is written, not flushed. */
int copy_root(const struct copy_asked *asked, struct page_meta *ret_meta);

#endif
