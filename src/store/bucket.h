/* SPDX-License-Identifier: MIT
 *
 * Records in a bucket's page (page.h).  Functions of the page alone: nothing is read from or written to a file.
 */
#ifndef SHOAL_STORE_BUCKET_H
#define SHOAL_STORE_BUCKET_H

#include <stdbool.h>

#include "store/page.h"

struct bucket {
    struct page_head head;
    uint64_t word[BUCKET_RECORDS_MAX]; /* and, at the end, records */
};
static_assert(sizeof(struct bucket) == PAGE_BYTES, "a page");

/* A record, as it lies there or is to lie there. */
struct bucket_item {
    uint64_t version;
    uint8_t type, flags;
    uint32_t hash;         /* lower half */
    uint32_t key_bytes;
    const void *key;       /* NULL with RECORD_LARGE_KEY */
    uint32_t value_bytes;  /* of what lies here: the value, or a struct bucket_large */
    const void *value;
    int64_t expires_ns, mtime_ns; /* where flagged */
};

void bucket_make(struct bucket *bucket, uint64_t prefix, unsigned depth);

/* Whether the head tells the truth about the words: then all functions below may be called. */
bool bucket_check(const struct bucket *bucket);

/* The first record from i on that has the hash's fingerprint; used_n where there is none. */
uint32_t bucket_next(const struct bucket *bucket, uint32_t i, uint64_t hash);
/* A hint: that one follows, and its record has about so many bytes. */
void bucket_expect(const struct bucket *bucket, uint64_t hash, uint32_t bytes);
/* False: it does not lie within the page, or is not what its word says. */
bool bucket_item(const struct bucket *bucket, uint32_t i, struct bucket_item *ret_item);
/* Whether any record is RECORD_LARGE; nothing is summed. */
bool bucket_has_large(const struct bucket *bucket);
/* The large value's description.  False: it is not one. */
bool bucket_item_large(const struct bucket_item *item, struct bucket_large *ret_large);

/* With its word. */
uint32_t bucket_item_bytes(const struct bucket_item *item);
enum bucket_added { BUCKET_ADDED, BUCKET_FULL, BUCKET_BAD }; /* bad: another record is not what its word says */
enum bucket_added bucket_add(struct bucket *bucket, uint64_t hash, const struct bucket_item *item);
/* In the place of one that bucket_item gave.  False: it is not of the same length. */
bool bucket_replace(struct bucket *bucket, uint32_t i, const struct bucket_item *old, uint64_t hash,
                    const struct bucket_item *item);
/* One that bucket_item gave. */
void bucket_remove(struct bucket *bucket, uint32_t i, const struct bucket_item *item);

#endif
