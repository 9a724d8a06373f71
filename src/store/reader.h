/* SPDX-License-Identifier: MIT
 *
 * Reading without a lock: from the root that counts at some instant of the call to a bucket, by way of nodes that this
 * process keeps in memory.
 *
 * What is kept has an identity (page.h), so it never becomes wrong, only useless: a node is used only where a root that
 * counts leads to exactly it.  It is read under RCU, since another thread may put another one in its place.
 */
#ifndef SHOAL_STORE_READER_H
#define SHOAL_STORE_READER_H

#include "store/bucket.h"
#include "store/node.h"

struct kept; /* a page in memory */

/* Each page has one place where it may be kept, by its number. */
struct places {
    uint64_t n; /* up to 2^32 */
    struct place {
        struct kept *kept; /* RCU */
        uint64_t asked;    /* the page that was read last, since it was not kept; relaxed: a hint */
    } place[];
};

#define READER_NODES 16384u /* 64 MiB at most; all nodes of 20 million records of 100 bytes */
/* A get of a bucket that is kept is without a system call, which costs more than all else (bench/README.md).  At most 256
 * MiB, and no more of the machine's memory than 1/64, since each process has its own.  Taken as buckets are read twice. */
#define READER_BUCKETS_MAX 65536u
#define READER_BUCKETS_LEAST 1024u
#define READER_MEMORY_SHARE 64u

struct reader {
    struct kept *meta;      /* RCU */
    struct places *nodes;   /* RCU; NULL before the first is kept, then as it is */
    struct places *buckets; /* likewise */
    struct kept *left;    /* replaced, still to be freed; a list, pushed one by one and taken whole */
    unsigned long left_n; /* about how many */
};

void reader_close(struct reader *reader); /* nobody reads any more */

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
