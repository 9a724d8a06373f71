/* SPDX-License-Identifier: MIT
 *
 * Reading without a lock: from the root that counts at some instant of the call to a bucket, by way of nodes that this
 * process keeps in memory (cache.h).
 */
#ifndef SHOAL_STORE_READER_H
#define SHOAL_STORE_READER_H

#include "store/bucket.h"
#include "store/node.h"

struct store;

/* A root, as long as a call lasts. */
struct reader_root {
    uint64_t word; /* of the board; or what it would be */
    struct page_ref node;
    unsigned level;
};
int reader_root(struct store *store, struct reader_root *ret_root);
/* Whether the root that counts is another one now: then what went wrong means nothing. */
bool reader_moved(struct store *store, const struct reader_root *root);
/* Whether pages that the root leads to may have been written over. */
bool reader_passed(struct store *store, const struct reader_root *root);

/* The hash's bucket, and the range of hashes that it covers; used_n is 0 where there is none. */
int reader_bucket(struct store *store, const struct reader_root *root, uint64_t hash, struct bucket *ret_bucket);

#endif
