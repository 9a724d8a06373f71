/* SPDX-License-Identifier: MIT
 *
 * Buckets and nodes become one where both together are what they were before a division (tree.h).
 */
#include "store/tree.h"

#include "base/error.h"
#include "store/branch.h"

#define JOINED_BYTES_MAX (PAGE_BODY_BYTES * 3 / 4) /* joined: so full that it is not divided again at once */
#define SPARSE_BYTES (PAGE_BODY_BYTES / 4)

/* Answers of what joins, beside the public codes: 0 nothing was joined, 1 it was. */

/* The entry's child and the one beside it, where both together are what they were before a division; else false. */
static bool siblings(const struct tree_node *node, uint32_t entry, uint32_t *ret_low, uint32_t *ret_high)
{
    unsigned depth = node->child[entry].depth;
    if (depth <= node->depth)
        return false;
    uint32_t span = node_span(node->depth, depth);
    *ret_low = node_first(entry, span * 2);
    *ret_high = *ret_low + span;
    return node->child[*ret_low].depth == depth && node->child[*ret_high].depth == depth;
}

static uint64_t entry_hash(const struct tree_node *node, uint32_t entry)
{
    return node->prefix | (uint64_t)entry << (64 - NODE_BITS) >> node->depth;
}

static bool child_is_empty(const struct tree_child *child) { return child->bucket == NULL && child->ref.page == 0; }

static int child_bytes(struct tree *tree, struct tree_node *leaf, uint32_t entry, uint32_t *ret_bytes)
{
    struct tree_child child = leaf->child[entry];
    int rc = SHOAL_OK;
    if (child.bucket != NULL) {
        *ret_bytes = child.bucket->head.used_bytes;
    } else if (child.ref.page == 0) {
        *ret_bytes = 0;
    } else if (child.used_bytes != USED_UNKNOWN) {
        *ret_bytes = child.used_bytes;
    } else if ((rc = tree_scratch(tree, &child, entry_hash(leaf, entry))) == SHOAL_OK) {
        *ret_bytes = tree->scratch->head.used_bytes;
        child.used_bytes = (uint16_t)*ret_bytes;
        tree_child_set(leaf, entry, child);
    }
    return rc;
}

/* 1: both go into one. */
static int buckets_fit(struct tree *tree, struct tree_node *leaf, uint32_t low_i, uint32_t high_i)
{
    uint32_t low_bytes, high_bytes = 0;
    int rc = child_bytes(tree, leaf, low_i, &low_bytes);
    if (rc == SHOAL_OK)
        rc = child_bytes(tree, leaf, high_i, &high_bytes);
    return rc == SHOAL_OK ? low_bytes + high_bytes <= JOINED_BYTES_MAX : rc;
}

/* Both in memory, as one; 1: they were joined. */
static int buckets_join(struct tree *tree, struct tree_node *leaf, uint32_t low_i, uint32_t high_i)
{
    int rc = buckets_fit(tree, leaf, low_i, high_i);
    if (rc != 1)
        return rc;
    for (int i = 0; i < 2; i++) {
        uint32_t entry = i == 0 ? low_i : high_i;
        rc = child_is_empty(&leaf->child[entry]) ? SHOAL_OK : tree_child_change(tree, leaf, entry, entry_hash(leaf, entry));
        if (rc != SHOAL_OK)
            return rc;
    }
    struct tree_child child = leaf->child[low_i];
    struct bucket *low = child.bucket, *high = leaf->child[high_i].bucket;
    if (low == NULL) {
        low = high;
        high = NULL;
    }
    child.depth--;
    child.bucket = low;
    for (uint32_t i = 0; high != NULL && i < high->head.used_n; i++) {
        struct bucket_item item;
        if (!bucket_item(high, i, &item) || tree_add(low, tree_item_hash(tree->seed, &item), &item) != BUCKET_ADDED)
            return tree_bad_record(tree);
    }
    tree_bucket_release(tree, high);
    if (low != NULL) {
        low->head.depth = child.depth;
        low->head.prefix = hash_prefix(entry_hash(leaf, low_i), child.depth);
    }
    tree_child_set(leaf, low_i, child);
    return 1;
}

static bool has_depth(const struct tree_node *node, unsigned depth)
{
    for (uint32_t i = 0; i < NODE_ENTRIES; i += tree_span(node, i))
        if (node->child[i].depth == depth)
            return true;
    return false;
}

/* Two nodes as one, where their entries can tell all children apart; 1: they were joined. */
static int nodes_join(struct tree *tree, struct tree_node *parent, struct tree_node *node)
{
    uint32_t low_i, high_i;
    if (has_depth(node, node->depth + NODE_BITS) ||
        !siblings(parent, node_entry(parent->depth, node->prefix), &low_i, &high_i))
        return 0;
    for (int i = 0; i < 2; i++) {
        uint32_t entry = i == 0 ? low_i : high_i;
        int rc = tree_child_load(tree, parent, entry, entry_hash(parent, entry));
        if (rc != SHOAL_OK)
            return rc;
    }
    struct tree_node *low = parent->child[low_i].node, *high = parent->child[high_i].node;
    if (has_depth(low, low->depth + NODE_BITS) || has_depth(high, high->depth + NODE_BITS))
        return 0;
    int rc = tree_node_change(tree, low);
    if (rc == SHOAL_OK)
        rc = tree_node_change(tree, high);
    if (rc != SHOAL_OK)
        return rc;
    low->depth--;
    for (uint32_t i = 0; i < NODE_ENTRIES / 2; i++)
        low->child[i] = low->child[2 * i];
    for (uint32_t i = 0; i < NODE_ENTRIES / 2; i++)
        low->child[NODE_ENTRIES / 2 + i] = high->child[2 * i];
    tree_note_buckets(low);
    tree_node_release(tree, high);
    tree_child_set(parent, low_i, (struct tree_child){ .depth = low->depth, .node = low });
    return 1;
}

/* A root with one child is none. */
static int root_lower(struct tree *tree)
{
    while (tree->root->level > 0 && tree->root->child[0].depth == 0) {
        struct tree_node *root = tree->root;
        int rc = tree_child_load(tree, root, 0, 0);
        if (rc != SHOAL_OK)
            return rc;
        tree->root = root->child[0].node;
        tree_node_release(tree, root);
    }
    return SHOAL_OK;
}

/* Upwards from level 0, as far as nodes join. */
static int way_join(struct tree *tree, uint64_t hash)
{
    for (;;) {
        struct way way;
        int joined = tree_way(tree, hash, &way);
        for (unsigned i = way.n; joined == 0 && --i > 0;)
            joined = nodes_join(tree, way.node[i - 1], way.node[i]);
        if (joined != 1)
            return joined != 0 ? joined : root_lower(tree);
    }
}

/* All of the way is changed. */
static int leaf_join(struct tree *tree, struct tree_node *leaf, uint64_t hash)
{
    uint32_t entry = node_entry(leaf->depth, hash), low_i, high_i;
    int joined = 1;
    bool any = false;
    while (joined == 1 && siblings(leaf, entry, &low_i, &high_i)) {
        joined = buckets_join(tree, leaf, low_i, high_i);
        any = any || joined == 1;
    }
    if (joined < 0)
        return joined;
    return any ? way_join(tree, hash) : SHOAL_OK;
}

int tree_shrink(struct tree *tree, uint64_t hash)
{
    struct way way;
    int rc = tree_way(tree, hash, &way);
    if (rc != SHOAL_OK)
        return rc;
    struct tree_node *leaf = tree_leaf(&way);
    uint32_t entry = node_entry(leaf->depth, hash);
    const struct bucket *bucket = leaf->child[entry].bucket;
    if (bucket == NULL || bucket->head.used_bytes > SPARSE_BYTES)
        return SHOAL_OK;
    tree_child_empty(tree, leaf, entry);
    return leaf_join(tree, leaf, hash);
}

int tree_join(struct tree *tree, uint64_t hash)
{
    struct way way;
    uint32_t low_i, high_i;
    int rc = tree_way(tree, hash, &way);
    if (rc != SHOAL_OK)
        return rc;
    struct tree_node *leaf = tree_leaf(&way);
    if (!siblings(leaf, node_entry(leaf->depth, hash), &low_i, &high_i))
        return SHOAL_OK;
    int fit = buckets_fit(tree, leaf, low_i, high_i);
    if (fit != 1)
        return fit;
    rc = tree_way_change(tree, &way);
    return rc == SHOAL_OK ? leaf_join(tree, leaf, hash) : rc;
}
