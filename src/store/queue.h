/* SPDX-License-Identifier: MIT
 *
 * Pages that are sealed and wait to be written: those that lie beside each other in the file go there in one call.
 */
#ifndef SHOAL_STORE_QUEUE_H
#define SHOAL_STORE_QUEUE_H

#include "store/cache.h"
#include "store/pager.h"

#define QUEUE_PAGES 1024u

struct queue {
    const struct pager *pager;
    struct cache *cache; /* whose memory buckets and nodes are, and that keeps them when they are written; NULL: none come */
    uint32_t n;
    struct page_out out[QUEUE_PAGES];
};

/* The bytes stay as they are until queue_write or queue_drop.  After a failure only that helps. */
int queue_add(struct queue *queue, const struct page_head *page);
int queue_write(struct queue *queue);
void queue_drop(struct queue *queue);

#endif
