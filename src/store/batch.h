/* SPDX-License-Identifier: MIT
 *
 * Changes of a transaction that wait to be made together.
 *
 * In a store of many buckets each of them waits four or five times for memory: for the entry, the place of its bucket in
 * memory, the bucket, its record.  Of those that are made together the processor asks for all entries, then for all places,
 * and so on, and waits once for each.
 *
 * Who waits here has not happened yet: whoever holds the lock makes them before he looks at the store, deletes, publishes.
 * What fails then has failed the transaction, as it would have when it was put.
 */
#ifndef SHOAL_STORE_BATCH_H
#define SHOAL_STORE_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "store/bucket.h"

struct tree_child;

#define BATCH_CHANGES 32u
#define BATCH_BYTES (BATCH_CHANGES * 1024u) /* of keys and values */

struct batch_change {
    uint64_t hash;
    struct bucket_item item; /* key and value in `bytes` */
    bool removes;            /* whatever has the key */
    const struct tree_child *entry; /* tree_expect_entry's */
};

struct batch {
    uint32_t n;
    size_t used; /* of bytes */
    struct batch_change change[BATCH_CHANGES];
    uint8_t bytes[BATCH_BYTES];
};

/* Copies key and value.  NULL: there is no room, or no batch. */
struct batch_change *batch_add(struct batch *batch, uint64_t hash, const struct bucket_item *item, bool removes);

void batch_drop(struct batch *batch);

#endif
