/* SPDX-License-Identifier: MIT
 *
 * A node of the directory as it lies in its page (page.h: N1, N3): for who reads it there, and for the tree.
 */
#ifndef SHOAL_STORE_NODE_H
#define SHOAL_STORE_NODE_H

#include <stdbool.h>

#include "store/pager.h"

#define LEVELS_MAX 8u /* each takes 8 bits of DEPTH_MAX */
static_assert(LEVELS_MAX * NODE_BITS >= DEPTH_MAX + NODE_BITS, "enough of them");

struct node_child {
    struct page_ref ref;
    unsigned depth;
};

/* Which entry a hash leads to in a node of this depth. */
static inline uint32_t node_entry(unsigned depth, uint64_t hash)
{
    return (uint32_t)(hash << depth >> (64 - NODE_BITS));
}

/* How many entries a child takes, and the first of them. */
static inline uint32_t node_span(unsigned depth, unsigned child_depth)
{
    return (uint32_t)1 << (depth + NODE_BITS - child_depth);
}
static inline uint32_t node_first(uint32_t entry, uint32_t span) { return entry & ~(span - 1); }

/* The hash's first bits, depth (0..63) of them. */
static inline uint64_t hash_prefix(uint64_t hash, unsigned depth) { return depth == 0 ? 0 : hash >> (64 - depth) << (64 - depth); }

static inline struct node_child node_child_at(const struct page_node *node, uint32_t entry)
{
    uint64_t where = node->where[entry];
    return (struct node_child){
        .ref = { where & PAGE_NUMBER_MAX, (where >> 48) << 32 | node->txn[entry] },
        .depth = (unsigned)(where >> PAGE_NUMBER_BITS & 0xff),
    };
}

static inline void node_child_set(struct page_node *node, uint32_t entry, struct node_child child)
{
    node->where[entry] = child.ref.page | (uint64_t)child.depth << PAGE_NUMBER_BITS | (child.ref.txn >> 32) << 48;
    node->txn[entry] = (uint32_t)child.ref.txn;
}

/* The page of that name, if it is the node of that level that covers the hash to that depth. */
int node_read(const struct pager *pager, struct page_ref ref, unsigned level, unsigned depth, uint64_t hash,
              struct page_node *ret_node);

/* Likewise.  Its records are summed when bucket_item looks at them. */
struct bucket;
int bucket_read(const struct pager *pager, struct page_ref ref, unsigned depth, uint64_t hash, struct bucket *ret_bucket);

#endif
