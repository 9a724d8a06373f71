/* SPDX-License-Identifier: MIT
 *
 * The changed part of the directory goes to the file (tree.h): buckets, then the nodes that name them.
 */
#include "store/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/branch.h"

#define BUCKETS_AT_ONCE 1024u

struct batch {
    struct page_out outs[BUCKETS_AT_ONCE];
    uint32_t n;
    uint64_t page, pages_n; /* taken and not used yet */
    uint64_t want;          /* how many more will be asked for */
};

static int batch_page(struct tree *tree, struct batch *batch, uint64_t *ret_page)
{
    if (batch->pages_n == 0) {
        int rc = space_take(tree->space, batch->want > 0 ? batch->want : 1, 1, &batch->page, &batch->pages_n);
        if (rc != SHOAL_OK)
            return rc;
    }
    batch->pages_n--;
    batch->want -= batch->want > 0;
    *ret_page = batch->page++;
    return SHOAL_OK;
}

/* Whoever wants to read or to change them next finds them in memory. */
static int batch_write(struct tree *tree, struct batch *batch)
{
    int rc = pager_write_pages(tree->pager, batch->outs, batch->n);
    if (rc != SHOAL_OK)
        return rc;
    for (uint32_t i = 0; i < batch->n; i++)
        cache_written(tree->cache, (struct page_ref){ batch->outs[i].page, tree->txn },
                      tree_bucket_cached((struct bucket *)(uintptr_t)batch->outs[i].bytes));
    tree->changed_n -= batch->n;
    batch->n = 0;
    return SHOAL_OK;
}

static int bucket_write(struct tree *tree, struct tree_node *leaf, uint32_t entry, struct batch *batch)
{
    struct tree_child child = leaf->child[entry];
    tree_child_empty(tree, leaf, entry);
    if (leaf->child[entry].bucket == NULL)
        return SHOAL_OK;
    child.ref.txn = tree->txn;
    int rc = batch_page(tree, batch, &child.ref.page);
    if (rc != SHOAL_OK)
        return rc;
    page_seal(tree->pager, child.bucket, PAGE_BUCKET, child.ref);
    batch->outs[batch->n++] = (struct page_out){ child.ref.page, child.bucket };
    child.bucket = NULL;
    tree_child_set(leaf, entry, child);
    return batch->n == BUCKETS_AT_ONCE ? batch_write(tree, batch) : SHOAL_OK;
}

/* Below this node: in the order of hashes, so that neighbours lie beside each other. */
static int buckets_write(struct tree *tree, struct tree_node *node, struct batch *batch)
{
    int rc = SHOAL_OK;
    for (uint32_t i = 0; node->changed && rc == SHOAL_OK && i < NODE_ENTRIES; i += tree_span(node, i)) {
        if (node->level == 0)
            rc = bucket_write(tree, node, i, batch);
        else if (node->child[i].node != NULL)
            rc = buckets_write(tree, node->child[i].node, batch);
    }
    return rc;
}

int tree_write_buckets(struct tree *tree)
{
    if (tree->changed_n == 0)
        return SHOAL_OK;
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return tree_no_memory(tree);
    batch->want = tree->changed_n;
    int rc = buckets_write(tree, tree->root, batch);
    if (rc == SHOAL_OK)
        rc = batch_write(tree, batch);
    if (rc == SHOAL_OK && batch->pages_n > 0)
        rc = space_free(tree->space, batch->page, batch->pages_n, SPACE_OWN);
    for (uint32_t i = 0; i < batch->n; i++) /* not written: something failed */
        tree_bucket_release(tree, (struct bucket *)(uintptr_t)batch->outs[i].bytes);
    free(batch);
    return rc;
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

static int node_write(struct tree *tree, struct tree_node *node)
{
    uint64_t got;
    struct cached *cached = malloc(sizeof *cached);
    if (cached == NULL)
        return tree_no_memory(tree);
    node_fill(node, &cached->node);
    node->ref.txn = tree->txn;
    int rc = space_take(tree->space, 1, 1, &node->ref.page, &got);
    if (rc == SHOAL_OK) {
        page_seal(tree->pager, &cached->node, PAGE_NODE, node->ref);
        node->changed = false;
        rc = pager_write(tree->pager, node->ref.page, &cached->node, sizeof cached->node);
    }
    cached->ref = node->ref;
    struct cache_place *place = rc == SHOAL_OK && tree->cache != NULL ? cache_node_place(tree->cache, node->ref.page) : NULL;
    if (place != NULL)
        cache_keep(tree->cache, &place->cached, cached);
    else
        free(cached);
    return rc;
}

/* Those below first: a node names their pages. */
static int nodes_write(struct tree *tree, struct tree_node *node)
{
    if (!node->changed)
        return SHOAL_OK;
    for (uint32_t i = 0; node->level > 0 && i < NODE_ENTRIES; i += tree_span(node, i)) {
        struct tree_child child = node->child[i];
        if (child.node == NULL || !child.node->changed)
            continue;
        int rc = nodes_write(tree, child.node);
        if (rc != SHOAL_OK)
            return rc;
        child.ref = child.node->ref;
        tree_child_set(node, i, child);
    }
    return node_write(tree, node);
}

int tree_write(struct tree *tree, struct page_meta *io_meta)
{
    int rc = tree_write_buckets(tree);
    bool changed = tree->root != NULL && tree->root->changed; /* else it may be one that another holder has replaced */
    if (rc == SHOAL_OK && changed)
        rc = nodes_write(tree, tree->root);
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
