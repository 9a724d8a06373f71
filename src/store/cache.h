/* SPDX-License-Identifier: MIT
 *
 * Pages that this process keeps in memory, for who reads without a lock and for the holder of the lock.
 *
 * What is kept has an identity (page.h), so it never becomes wrong, only useless: it is used only where a root that counts,
 * or the transaction that is being made, leads to exactly it.  It is read under RCU, since another thread may put another
 * one in its place; what was replaced is left, and freed when nobody can be reading it.
 *
 *   C1  no two buckets of the same name are ever kept: what a transaction writes under a name that it has used before takes
 *       the place of what it wrote then.  A node is written once under its name, so two in memory are the same.
 *   C2  no bucket that is kept has large values: those are read from the file, for which nobody should wait who frees what
 *       is left
 *   C3  who changes a bucket changes the memory in which it was kept, if nobody else can be reading that: then no copy is
 *       made.  `reader` is the only thread that has ever looked for a bucket here, or says that there were more.  It is
 *       written before the place is looked at; who changes takes the bucket out of its place, and then looks at `reader`.
 *       So either he knows of the other one, or the other one finds the place empty.
 */
#ifndef SHOAL_STORE_CACHE_H
#define SHOAL_STORE_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "store/bucket.h"
#include "store/node.h"

/* A page in memory. */
struct cached {
    struct cached *next; /* among those that are left, or spare */
    struct cached *list; /* the next list of spare ones */
    struct page_ref ref;
    uint64_t word;       /* meta: its root word */
    bool has_large;      /* bucket: perhaps */
    union {
        struct page_node node;
        struct page_meta meta;
        struct bucket bucket;
    };
};
static_assert(offsetof(struct cached, node) == offsetof(struct cached, bucket), "where the page lies");

/* Of the page that lies in it. */
static inline struct cached *cached_of(const void *page)
{
    return (struct cached *)((uintptr_t)page - offsetof(struct cached, node));
}

/* A bucket has one place where it may be kept, by its page's number.  There are more places than buckets may be kept, so that few
 * of a file meet in one: pages in use are spread over a file of two or three times their number.  A node has NODE_WAYS of them,
 * in one line, because each get needs its node, and makes it anew from the file where two take turns in one place.
 *
 * Lower halves of page numbers are relaxed, hints: `page` is written by who keeps something there, before `cached`, so that who
 * looks for a page touches no other one's memory; `asked` by who found nothing.  Where two who keep something cross, the place
 * may tell of the one and have the other, which nobody finds until something is kept there again: he reads the file. */
struct cache_place {
    struct cached *cached; /* RCU */
    uint32_t page;         /* that is kept */
    uint32_t asked;        /* that was read last, since it was not kept; of a node's first place: which one is the next to go */
};

#define NODE_WAYS 4u
#define CACHE_NODES 16384u /* 64 MiB at most; nearly all nodes of 20 million records of 100 bytes find a place */
/* A get of a bucket that is kept is without a system call, which costs more than all else (bench/README.md).  At most 256
 * MiB, and no more of the machine's memory than 1/64, since each process has its own.  Taken as buckets are read twice, or
 * written. */
#define CACHE_BUCKETS_MAX 65536u
#define CACHE_BUCKETS_LEAST 1024u
#define CACHE_MEMORY_SHARE 64u

struct cache_places;
struct cache {
    struct cached *meta;          /* RCU */
    const void *reader;           /* C3; NULL: nobody yet, or an address of its own for each thread */
    struct cache_places *nodes;   /* RCU; NULL before the first is kept, then as it is */
    struct cache_places *buckets; /* likewise */
    unsigned long nodes_n;        /* places that have one */
    unsigned long kept_n;         /* of buckets */
    unsigned long wanted_n;       /* buckets that would have been kept, but that another one had to leave; relaxed: a hint */
    unsigned long hand;           /* the place whose bucket leaves next where another one comes */
    struct cached *left;  /* replaced, still to be freed; a list, pushed one by one and taken whole */
    unsigned long left_n; /* about how many */
    struct cached *spare; /* lists of free ones, for who writes; likewise */
    unsigned long spare_n;
    struct cached *own, *own_lists; /* of them, those that the holder of the lock has taken */
};

void cache_close(struct cache *cache); /* nobody reads any more */

/* Where a page is kept, of a node the first of its places; NULL: no memory. */
struct cache_place *cache_node_places(struct cache *cache, uint64_t page);
struct cache_place *cache_bucket_place(struct cache *cache, uint64_t page);

uint64_t cache_buckets_n(struct cache *cache); /* that may be kept; 0: no memory */

/* Whether a bucket should be kept that was read for want of it in that place.  Each time counts. */
bool cache_wants(struct cache *cache, struct cache_place *place, uint64_t page);

/* A meta in the place of what was there, which is left. */
void cache_keep_meta(struct cache *cache, struct cached *cached);
/* A node, likewise. */
void cache_keep_node(struct cache *cache, struct cache_place *places, struct cached *cached);
/* Likewise; another one leaves for it where as many are kept as may be. */
void cache_keep_bucket(struct cache *cache, struct cache_place *place, struct cached *cached);
/* Under RCU: the node of that name, if it is kept there. */
const struct cached *cache_node(const struct cache_place *places, struct page_ref ref);
/* Under RCU: the bucket of that name and range, if it is kept there. */
const struct bucket *cache_bucket(const struct cache_place *place, struct page_ref ref, unsigned depth, uint64_t hash);
/* Before the place of a bucket is looked at by who does not hold the lock. */
void cache_come(struct cache *cache);
/* -- For the holder of the lock -- */

/* Memory for a page that may be kept later; NULL: none. */
struct cached *cache_alloc(struct cache *cache);
void cache_free(struct cache *cache, struct cached *cached);
/* C3: it is kept no more, and the caller's.  NULL: it is not kept, or others may be reading it. */
struct cached *cache_take(struct cache *cache, struct page_ref ref, unsigned depth, uint64_t hash);
/* Again as it was. */
void cache_put_back(struct cache *cache, struct cached *cached);
/* False: it is not kept. */
bool cache_copy(struct cache *cache, struct page_ref ref, unsigned depth, uint64_t hash, struct bucket *ret_bucket);
/* Hints: cache_take or cache_copy of that page follow.  First its place is asked for, then what lies there, then the record of
 * that hash, of about so many bytes. */
void cache_expect_lines(const struct bucket *bucket); /* of one that is not kept */
void cache_expect_place(struct cache *cache, uint64_t page);
void cache_expect_bucket(struct cache *cache, uint64_t page);
void cache_expect_record(struct cache *cache, uint64_t page, uint64_t hash, uint32_t bytes);
/* The next root will not lead to it: its memory is of more use elsewhere. */
void cache_forget(struct cache *cache, struct page_ref ref);
/* A bucket that he has written: it is kept, or freed, and what was kept under its name before is not kept any more. */
void cache_written(struct cache *cache, struct page_ref ref, struct cached *cached);
void cache_node_written(struct cache *cache, struct page_ref ref, struct cached *cached);

/* Enough is left that it should be freed. */
bool cache_is_untidy(const struct cache *cache);
/* Frees it.  Not inside an RCU read-side section, and not by the holder of the lock: who waits for that may be in one. */
void cache_tidy(struct cache *cache);

#endif
