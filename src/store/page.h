/* SPDX-License-Identifier: MIT
 *
 * The store's file: pages of 4096 bytes, little-endian, each of them written once and never changed while a root that
 * counts leads to it.
 *
 *   page 0, 1, 2   metas: a root each.  Never overwritten: the one that readers use, the last durable one.
 *   zones          ZONE_PAGES pages each, beginning at page 0.  The first pages of a zone (in zone 0 those behind the
 *                  metas) are three places for its map: one for the map of the present root, one for that of the last
 *                  durable root, one for the next.
 *   elsewhere      nodes, buckets, indices of zones, lists of runs, and runs: the bytes of large records, without heads.
 *
 * Identity: a page is named by its number and the transaction that wrote it, both exact, in whatever leads to it and in
 * its own head.  So a page that was lost, misdirected, torn or overwritten since is noticed by who reads it:
 *   P1  sum matches the page's other bytes; of a bucket, its head and words, and each word has the sum of its record
 *   P2  page, txn, kind and store are those that the reader was led to
 *   P3  prefix and depth are those of the way that led there
 * Whoever sees all of it has the bytes that were written under that name, whenever he reads them.
 *
 * Directory: a tree of nodes over the hash, most significant bit first.  A node of depth p covers the hashes that begin
 * with its prefix of p bits; its 256 entries divide them by the next 8.  A child of depth d, p <= d <= p + 8, takes
 * 2^(p+8-d) entries in a row.  Children of a node of level 0 are buckets, those of level n are nodes of level n-1.
 *   N1  the entries of a node cover its prefix, each child whole and once
 *   N2  a child's level is one less; all ways from the root to buckets have one length
 *   N3  an entry without a child (page 0) is empty, and keeps its depth
 * A bucket that overflows is divided; where its node has no entries left to tell the halves apart, the node is divided
 * first, and so on upwards; the root gets a root above it.
 */
#ifndef SHOAL_STORE_PAGE_H
#define SHOAL_STORE_PAGE_H

#include <assert.h>
#include <stdint.h>

#define PAGE_BYTES 4096u
#define PAGE_HEAD_BYTES 64u
#define PAGE_BODY_BYTES (PAGE_BYTES - PAGE_HEAD_BYTES)
#define PAGE_MAGIC 0x6c6f6853u /* "Shol" */
#define STORE_VERSION 1u

/* Numbers of pages have 40 bits, 4 PiB; transactions 48, as many as a million in a second are in eight years. */
#define PAGE_NUMBER_BITS 40
#define TXN_BITS 48
#define PAGE_NUMBER_MAX (((uint64_t)1 << PAGE_NUMBER_BITS) - 1)
#define TXN_MAX (((uint64_t)1 << TXN_BITS) - 1)

enum page_kind { PAGE_META = 1, PAGE_NODE, PAGE_BUCKET, PAGE_ZONE, PAGE_INDEX, PAGE_RUNS };

struct page_ref {
    uint64_t page, txn; /* page 0: nothing */
};

struct page_head {
    uint32_t magic;      /*  0 */
    uint8_t kind, level; /*  4  level: of a node; of a meta: of its root node */
    uint8_t depth;       /*  6  bits of prefix: node, bucket */
    uint8_t unused;      /*  7 */
    uint64_t page;       /*  8 */
    uint64_t txn;        /* 16 */
    uint64_t prefix;     /* 24  node, bucket: the least hash that is covered; zone, index: its number */
    uint32_t used_n;     /* 32  records, entries, runs */
    uint32_t used_bytes; /* 36  bucket: of the body, holes left out */
    uint64_t store;      /* 40  which store: the first half of its id */
    uint64_t free_at;    /* 48  bucket: the lowest byte of a record; runs: the next list */
    uint64_t sum;        /* 56  page_sum */
};
static_assert(sizeof(struct page_head) == PAGE_HEAD_BYTES, "one line");

/* -- Node ------------------------------------------------------------------------------------------------ */

#define NODE_BITS 8u
#define NODE_ENTRIES 256u
/* Hashes that agree in so many bits stay in one bucket.  More than two records of 2000 bytes that do so are not met: of
 * 10^12 keys three agree in 56 bits once in 10^4 stores. */
#define DEPTH_MAX 56u

struct page_node {
    struct page_head head;
    uint64_t where[NODE_ENTRIES]; /*   64  page:40 | depth:8 | txn, upper 16 bits */
    uint32_t txn[NODE_ENTRIES];   /* 2112  lower 32 bits */
    uint8_t unused[PAGE_BODY_BYTES - NODE_ENTRIES * 12];
};
static_assert(sizeof(struct page_node) == PAGE_BYTES, "a page");

/* -- Bucket ---------------------------------------------------------------------------------------------- */

/* Behind the head used_n words, one for each record: fingerprint:16 | where in the page:16 | sum of the record:32.  The
 * records lie at the page's end, the last that came lowest.  The head's sum covers the words, and through them the records,
 * so that who looks for one of them sums up some hundred bytes instead of all. */
struct bucket_record {         /* 12 bytes, then key and value, then expiry and mtime if so marked; unaligned */
    uint64_t version_and_type; /*  0  version:48 | type:8 | flags:8 */
    uint16_t key_bytes;        /*  8 */
    uint16_t value_bytes;      /* 10  of the value as it lies here */
} __attribute__((packed));
static_assert(sizeof(struct bucket_record) == 12, "");
#define BUCKET_RECORDS_MAX (PAGE_BODY_BYTES / 8)
#define RECORD_LARGE 0x01u     /* the value lies in runs; here is a struct bucket_large */
#define RECORD_LARGE_KEY 0x02u /* the key too, in a run of its own; here are no bytes of it */
#define RECORD_EXPIRES 0x04u   /* 8 bytes behind the value, wall clock in ns */
#define RECORD_MTIME 0x08u     /* 8 bytes behind that, likewise */
#define RECORD_FLAGS 0x0fu
#define VERSION_MAX (((uint64_t)1 << 48) - 1)

/* Of a record with its word: two of them always fit a page. */
#define RECORD_BYTES_MAX (PAGE_BODY_BYTES / 2)
#define KEY_HERE_MAX 1024u

/* A run: pages in a row, with bytes of a key or a value and nothing else. */
struct page_run {
    uint64_t page;  /*  0 */
    uint64_t bytes; /*  8  whole pages, except in a value's last run */
    uint64_t sum;   /* 16  XXH3-64 of them */
};

/* Two ways: one run, which is named here; or several, and here is the page of their first list. */
struct bucket_large {
    uint64_t hash;        /*  0  whole */
    uint64_t value_bytes; /*  8 */
    uint64_t txn;         /* 16  that wrote it */
    uint64_t runs_n;      /* 24 */
    struct page_run run;  /* 32 */
    struct page_run key;  /* 56  with RECORD_LARGE_KEY */
};
static_assert(sizeof(struct bucket_large) == 80, "");

#define RUNS_PER_PAGE (PAGE_BODY_BYTES / sizeof(struct page_run))
struct page_runs {
    struct page_head head; /* prefix: how many runs lie in the lists before; free_at: the next list's page, or 0 */
    struct page_run run[RUNS_PER_PAGE];
};
static_assert(sizeof(struct page_runs) == PAGE_BYTES, "a page");

/* -- Space ----------------------------------------------------------------------------------------------- */

#define META_PAGES 3u
#define ZONE_MAPS 3u
#define ZONE_PAGES (PAGE_BODY_BYTES * 4)

/* Two bits for each page of the zone. */
enum page_use {
    PAGE_FREE,
    PAGE_USED, /* in the last durable root too, as far as it is known */
    PAGE_HELD, /* free in this root, in use in one that may come back: the last durable one */
    PAGE_NEW,  /* in use, taken since the last durable root */
    PAGE_USE_BAD
};

struct page_zone {
    struct page_head head; /* prefix: the zone's number */
    uint64_t use[PAGE_BODY_BYTES / 8];
};
static_assert(sizeof(struct page_zone) == PAGE_BYTES, "a page");

struct zone_entry {
    uint64_t txn;           /* of its map */
    uint16_t free_n;        /* pages */
    uint16_t held_n;        /*  */
    uint8_t place;          /* of the map, 0..2 */
    uint8_t durable_place;  /* of the last map that was durable when this one was written; ZONE_MAPS: none */
    uint16_t unused;
};
static_assert(sizeof(struct zone_entry) == 16, "");

#define INDEX_ZONES (PAGE_BODY_BYTES / sizeof(struct zone_entry))
struct page_index {
    struct page_head head; /* prefix: its number */
    struct zone_entry zone[INDEX_ZONES];
};
static_assert(sizeof(struct page_index) == PAGE_BYTES, "a page");

/* -- Meta ------------------------------------------------------------------------------------------------ */

#define META_FLUSHED 0x01u  /* everything that it leads to was on disk before it was written */
#define META_BACKUP 0x02u   /* of a backup, which nobody writes to as to a store */
#define STORE_ID_BYTES 16
#define META_INDICES 232u   /* 3.5 TiB */

struct page_meta {
    struct page_head head;   /* level: of the root node */
    uint32_t version;        /*  64  STORE_VERSION */
    uint32_t flags;          /*  68 */
    uint8_t id[16];          /*  72  STORE_ID_BYTES, by chance, once; the first half also that of the store which it was restored from */
    uint8_t boot[16];        /*  88  FILE_BOOT_BYTES: in which life of the machine it was written */
    struct page_ref root;    /* 104  the root node; its depth is 0 */
    uint64_t durable_txn;    /* 120  the last one that was durable when this one was written */
    uint64_t seed;           /* 128  of the hash of keys */
    uint64_t records_n;      /* 136 */
    uint64_t record_bytes;   /* 144  keys and values */
    uint64_t version_next;   /* 152  no record has had this version or a later one */
    uint64_t pages_end;      /* 160  no page from here on is in use */
    uint64_t zones_n;        /* 168 */
    uint64_t held_n;         /* 176  pages, over all zones */
    uint64_t free_n;         /* 184 */
    uint64_t created_ns;     /* 192  wall clock */
    uint64_t unused[23];     /* 200 */
    struct page_ref index[META_INDICES]; /* 384 */
};
static_assert(sizeof(struct page_meta) == PAGE_BYTES, "a page");

#endif
