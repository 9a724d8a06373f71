/* SPDX-License-Identifier: MIT
 *
 * The changed part of the directory goes to the file (tree.h): buckets, then the nodes that name them.
 */
#include "store/tree.h"

#include <string.h>

#include "base/error.h"
#include "store/branch.h"

#define FETCH_AHEAD 8u /* buckets, as others are summed up */

/* -- Pages --------------------------------------------------------------------------------------- */

/* Taken and not used yet; how many more will be asked for. */
struct row {
    uint64_t page, pages_n, want;
};

static int row_take(struct tree *tree, struct row *row, struct page_ref *ret_ref)
{
    if (row->pages_n == 0) {
        int rc = space_take_row(tree->space, row->want > 0 ? row->want : 1, &row->page, &row->pages_n);
        if (rc != SHOAL_OK)
            return rc;
    }
    row->pages_n--;
    row->want -= row->want > 0;
    *ret_ref = (struct page_ref){ row->page++, tree->txn };
    return SHOAL_OK;
}

/* -- Buckets ------------------------------------------------------------------------------------- */

static int bucket_write(struct tree *tree, struct tree_node *leaf, uint32_t entry, struct row *row)
{
    tree_child_empty(tree, leaf, entry);
    struct tree_child child = leaf->child[entry];
    if (child.bucket == NULL)
        return SHOAL_OK;
    int rc = row_take(tree, row, &child.ref);
    if (rc != SHOAL_OK)
        return rc;
    struct bucket *bucket = child.bucket;
    page_seal(tree->pager, bucket, PAGE_BUCKET, child.ref);
    child.used_bytes = (uint16_t)bucket->head.used_bytes;
    child.bucket = NULL;
    tree_child_set(leaf, entry, child);
    tree->changed_n--;
    return queue_add(tree->queue, &bucket->head);
}

/* The entries of a leaf that have a bucket in memory; how many. */
static uint32_t entries_take(struct tree_node *leaf, uint8_t *ret_entries)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < NODE_ENTRIES / 64; i++) {
        for (uint64_t bits = leaf->in_memory[i]; bits != 0; bits &= bits - 1) {
            ret_entries[n] = (uint8_t)(i * 64 + (uint32_t)__builtin_ctzll(bits));
            __builtin_prefetch(&leaf->child[ret_entries[n++]], 1);
        }
        leaf->in_memory[i] = 0;
    }
    return n;
}

/* Buckets were changed long ago, as caches count: those a few entries on are fetched meanwhile. */
static void bucket_fetch(const struct tree_node *leaf, uint8_t entry)
{
    if (leaf->child[entry].bucket != NULL)
        cache_expect_lines(leaf->child[entry].bucket);
}

static int leaf_write(struct tree *tree, struct tree_node *leaf, struct row *row)
{
    uint8_t entries[NODE_ENTRIES];
    uint32_t n = entries_take(leaf, entries);
    int rc = SHOAL_OK;
    for (uint32_t i = 0; i < n && i < FETCH_AHEAD; i++)
        bucket_fetch(leaf, entries[i]);
    for (uint32_t i = 0; i < n && rc == SHOAL_OK; i++) {
        if (i + FETCH_AHEAD < n)
            bucket_fetch(leaf, entries[i + FETCH_AHEAD]);
        rc = bucket_write(tree, leaf, entries[i], row);
    }
    return rc;
}

/* Below this node: in the order of hashes, so that neighbours lie beside each other. */
static int buckets_write(struct tree *tree, struct tree_node *node, struct row *row)
{
    if (!node->changed)
        return SHOAL_OK;
    if (node->level == 0)
        return leaf_write(tree, node, row);
    int rc = SHOAL_OK;
    for (uint32_t i = 0; rc == SHOAL_OK && i < NODE_ENTRIES; i += tree_span(node, i))
        if (node->child[i].node != NULL)
            rc = buckets_write(tree, node->child[i].node, row);
    return rc;
}

int tree_write_buckets(struct tree *tree)
{
    struct row row = { .want = tree->changed_n };
    int rc = tree->changed_n > 0 ? buckets_write(tree, tree->root, &row) : SHOAL_OK;
    if (rc == SHOAL_OK)
        rc = queue_write(tree->queue);
    if (rc == SHOAL_OK && row.pages_n > 0)
        rc = space_free(tree->space, row.page, row.pages_n, SPACE_OWN);
    return rc;
}

/* -- Nodes --------------------------------------------------------------------------------------- */

/* Changed ones, this one and below. */
static uint64_t nodes_count(const struct tree_node *node)
{
    uint64_t n = node->changed;
    for (uint32_t i = 0; node->changed && node->level > 0 && i < NODE_ENTRIES; i += tree_span(node, i))
        n += node->child[i].node != NULL ? nodes_count(node->child[i].node) : 0;
    return n;
}

static void node_fill(const struct tree_node *node, struct page_node *page)
{
    memset(page, 0, sizeof *page);
    page->head.level = node->level;
    page->head.depth = node->depth;
    page->head.prefix = node->prefix;
    page->head.used_n = NODE_ENTRIES;
    for (uint32_t i = 0; i < NODE_ENTRIES; i++)
        node_child_set(page, i, (struct node_child){ node->child[i].ref, node->child[i].depth });
}

static int node_write(struct tree *tree, struct tree_node *node, struct row *row)
{
    int rc = row_take(tree, row, &node->ref);
    if (rc != SHOAL_OK)
        return rc;
    struct cached *cached = cache_alloc(tree->cache);
    if (cached == NULL)
        return tree_no_memory(tree);
    node_fill(node, &cached->node);
    page_seal(tree->pager, &cached->node, PAGE_NODE, node->ref);
    node->changed = false;
    return queue_add(tree->queue, &cached->node.head);
}

/* Those below first: a node names their pages. */
static int nodes_write(struct tree *tree, struct tree_node *node, struct row *row)
{
    if (!node->changed)
        return SHOAL_OK;
    for (uint32_t i = 0; node->level > 0 && i < NODE_ENTRIES; i += tree_span(node, i)) {
        struct tree_child child = node->child[i];
        if (child.node == NULL || !child.node->changed)
            continue;
        int rc = nodes_write(tree, child.node, row);
        if (rc != SHOAL_OK)
            return rc;
        child.ref = child.node->ref;
        tree_child_set(node, i, child);
    }
    return node_write(tree, node, row);
}

/* -- All ----------------------------------------------------------------------------------------- */

static int changed_write(struct tree *tree)
{
    struct row row = { .want = tree->changed_n + nodes_count(tree->root) + SPACE_INDEX_LIKELY };
    int rc = buckets_write(tree, tree->root, &row);
    if (rc == SHOAL_OK)
        rc = nodes_write(tree, tree->root, &row);
    if (rc == SHOAL_OK && row.pages_n > 0)
        space_set_aside(tree->space, row.page, row.pages_n);
    return rc;
}

int tree_write(struct tree *tree, struct page_meta *io_meta)
{
    bool changed = tree->root != NULL && tree->root->changed; /* else it may be one that another holder has replaced */
    int rc = changed ? changed_write(tree) : SHOAL_OK;
    if (rc != SHOAL_OK)
        return rc;
    if (changed) {
        tree->root_ref = tree->root->ref;
        tree->root_level = tree->root->level;
    }
    io_meta->root = tree->root_ref;
    io_meta->head.level = (uint8_t)tree->root_level;
    return SHOAL_OK;
}
