/* SPDX-License-Identifier: MIT
 *
 * The inside of the directory in memory, for the files that change it: tree.c, join.c, write.c.
 */
#ifndef SHOAL_STORE_BRANCH_H
#define SHOAL_STORE_BRANCH_H

#include "store/node.h"
#include "store/tree.h"

#define USED_UNKNOWN UINT16_MAX

struct tree_child {
    struct page_ref ref;
    uint8_t depth;
    uint16_t used_bytes; /* of a bucket's body, as it was written or looked at last; USED_UNKNOWN */
    union { /* in memory; the same in all entries of the child */
        struct tree_node *node;
        struct bucket *bucket;
    };
};

struct tree_node {
    struct page_ref ref;
    uint64_t prefix;
    uint8_t level, depth;
    bool changed;
    /* Level 0: the first entries of all children that have their bucket in memory, and perhaps others. */
    uint64_t in_memory[NODE_ENTRIES / 64];
    struct tree_child child[NODE_ENTRIES];
};

/* From the root to the node of level 0. */
struct way {
    struct tree_node *node[LEVELS_MAX];
    unsigned n;
};

static inline struct tree_node *tree_leaf(const struct way *way) { return way->node[way->n - 1]; }

static inline uint32_t tree_span(const struct tree_node *node, uint32_t entry)
{
    return node_span(node->depth, node->child[entry].depth);
}

/* All entries of the child there. */
static inline void tree_child_set(struct tree_node *node, uint32_t entry, struct tree_child child)
{
    uint32_t span = node_span(node->depth, child.depth), first = node_first(entry, span);
    for (uint32_t i = first; i < first + span; i++)
        node->child[i] = child;
    if (node->level == 0 && child.bucket != NULL)
        node->in_memory[first / 64] |= (uint64_t)1 << first % 64;
}

/* Behind a change of its entries that was not tree_child_set's. */
void tree_note_buckets(struct tree_node *node);

int tree_no_memory(const struct tree *tree);
void tree_node_release(struct tree *tree, struct tree_node *node); /* the node alone */

/* A bucket's memory is a struct cached's. */
struct bucket *tree_bucket_alloc(struct tree *tree);
void tree_bucket_release(struct tree *tree, struct bucket *bucket); /* a changed one */

/* The node that the entry leads to is in memory. */
int tree_child_load(struct tree *tree, struct tree_node *node, uint32_t entry, uint64_t hash);
int tree_way(struct tree *tree, uint64_t hash, struct way *ret_way);

/* To be changed: what they were before stays until nobody needs it. */
int tree_node_change(struct tree *tree, struct tree_node *node);
int tree_way_change(struct tree *tree, const struct way *way);
int tree_child_change(struct tree *tree, struct tree_node *leaf, uint32_t entry, uint64_t hash);

/* The bucket of that name in tree->scratch. */
int tree_scratch(struct tree *tree, const struct tree_child *child, uint64_t hash);
/* An entry with an empty bucket has none. */
void tree_child_empty(struct tree *tree, struct tree_node *leaf, uint32_t entry);

#endif
