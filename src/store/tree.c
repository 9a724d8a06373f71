/* SPDX-License-Identifier: MIT
 *
 * The directory while it is changed (tree.h).
 */
#include "store/tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "store/node.h"

#define JOINED_BYTES_MAX (PAGE_BODY_BYTES * 3 / 4) /* joined: so full that it is not divided again at once */
#define SPARSE_BYTES (PAGE_BODY_BYTES / 4)
#define BUCKETS_AT_ONCE 1024u
#define NODES_MAX 8192u /* in memory from one transaction to the next: 64 MiB */

/* Answers of what joins, beside the public codes: 0 nothing was joined, 1 it was. */

struct tree_child {
    struct page_ref ref;
    uint8_t depth;
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
    struct tree_child child[NODE_ENTRIES];
};

/* From the root to the node of level 0. */
struct way {
    struct tree_node *node[LEVELS_MAX];
    unsigned n;
};

static struct tree_node *leaf_of(const struct way *way) { return way->node[way->n - 1]; }

/* -- Memory -------------------------------------------------------------------------------------- */

static int no_memory(const struct tree *tree) { return error_os("%s: memory for changes", tree->pager->name); }

static struct tree_node *node_alloc(struct tree *tree, unsigned level, unsigned depth, uint64_t prefix)
{
    struct tree_node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    node->level = (uint8_t)level;
    node->depth = (uint8_t)depth;
    node->prefix = prefix;
    node->changed = true;
    tree->nodes_n++;
    return node;
}

/* The node alone. */
static void node_release(struct tree *tree, struct tree_node *node)
{
    tree->nodes_n--;
    free(node);
}

static void bucket_release(struct tree *tree, struct bucket *bucket)
{
    if (bucket != NULL)
        tree->changed_n--;
    free(bucket);
}

static uint32_t span_of(const struct tree_node *node, uint32_t entry)
{
    return node_span(node->depth, node->child[entry].depth);
}

/* With all below it.  Nodes have LEVELS_MAX levels, so this ends. */
static void node_drop(struct tree *tree, struct tree_node *node)
{
    if (node == NULL)
        return;
    for (uint32_t i = 0; i < NODE_ENTRIES; i += span_of(node, i)) {
        if (node->level > 0)
            node_drop(tree, node->child[i].node);
        else
            bucket_release(tree, node->child[i].bucket);
    }
    node_release(tree, node);
}

void tree_drop(struct tree *tree)
{
    node_drop(tree, tree->root);
    tree->root = NULL;
    free(tree->scratch);
    tree->scratch = NULL;
}

/* -- Nodes in memory ----------------------------------------------------------------------------- */

static bool same_ref(struct page_ref a, struct page_ref b) { return a.page == b.page && a.txn == b.txn; }

/* What the page says.  Nodes below stay in memory, to be brought up to date when a way leads there, if their place is
 * still one. */
static void node_fill(struct tree *tree, struct tree_node *node, struct page_ref ref, const struct page_node *page)
{
    struct tree_child old[NODE_ENTRIES];
    memcpy(old, node->child, sizeof old);
    for (uint32_t i = 0; i < NODE_ENTRIES; i++) {
        struct node_child child = node_child_at(page, i);
        node->child[i] = (struct tree_child){ .ref = child.ref, .depth = (uint8_t)child.depth };
    }
    for (uint32_t i = 0; node->level > 0 && i < NODE_ENTRIES;) {
        uint32_t span = old[i].node == NULL ? 1 : node_span(node->depth, old[i].depth);
        if (old[i].node != NULL && node->child[i].depth == old[i].depth)
            for (uint32_t j = i; j < i + span; j++)
                node->child[j].node = old[i].node;
        else
            node_drop(tree, old[i].node);
        i += span;
    }
    node->ref = ref;
    node->changed = false;
}

/* *io_node as it is under that name: read where there is none, or another one's bytes in memory. */
static int node_load(struct tree *tree, struct page_ref ref, unsigned level, unsigned depth, uint64_t hash,
                     struct tree_node **io_node)
{
    struct page_node page;
    int rc = node_read(tree->pager, ref, level, depth, hash, &page);
    if (rc != SHOAL_OK)
        return rc;
    if (*io_node == NULL && (*io_node = node_alloc(tree, level, depth, page.head.prefix)) == NULL)
        return no_memory(tree);
    node_fill(tree, *io_node, ref, &page);
    return SHOAL_OK;
}

/* All entries of the child there. */
static void child_set(struct tree_node *node, uint32_t entry, struct tree_child child)
{
    uint32_t span = node_span(node->depth, child.depth), first = node_first(entry, span);
    for (uint32_t i = first; i < first + span; i++)
        node->child[i] = child;
}

/* The node that the entry leads to. */
static int child_load(struct tree *tree, struct tree_node *node, uint32_t entry, uint64_t hash)
{
    struct tree_child child = node->child[entry];
    if (child.node != NULL && (child.node->changed || same_ref(child.node->ref, child.ref)))
        return SHOAL_OK;
    int rc = node_load(tree, child.ref, node->level - 1u, child.depth, hash, &child.node);
    if (rc == SHOAL_OK)
        child_set(node, entry, child);
    return rc;
}

static int way_find(struct tree *tree, uint64_t hash, struct way *ret_way)
{
    int rc = SHOAL_OK;
    if (tree->root == NULL || !(tree->root->changed || same_ref(tree->root->ref, tree->root_ref)))
        rc = node_load(tree, tree->root_ref, tree->root_level, 0, 0, &tree->root);
    if (rc != SHOAL_OK)
        return rc;
    ret_way->n = 0;
    for (struct tree_node *node = tree->root;;) {
        ret_way->node[ret_way->n++] = node;
        if (node->level == 0)
            return SHOAL_OK;
        uint32_t entry = node_entry(node->depth, hash);
        rc = child_load(tree, node, entry, hash);
        if (rc != SHOAL_OK)
            return rc;
        node = node->child[entry].node;
    }
}

/* What a changed node or bucket was before stays until nobody needs it. */
static int page_leave(struct tree *tree, struct page_ref ref)
{
    return ref.page == 0 ? SHOAL_OK : space_free_page(tree->space, ref);
}

static int node_change(struct tree *tree, struct tree_node *node)
{
    if (node->changed)
        return SHOAL_OK;
    node->changed = true;
    struct page_ref old = node->ref;
    node->ref = (struct page_ref){ 0, 0 };
    return page_leave(tree, old);
}

static int way_change(struct tree *tree, const struct way *way)
{
    int rc = SHOAL_OK;
    for (unsigned i = 0; i < way->n && rc == SHOAL_OK; i++)
        rc = node_change(tree, way->node[i]);
    return rc;
}

/* -- Open ---------------------------------------------------------------------------------------- */

int tree_open(struct tree *tree, const struct pager *pager, struct space *space, const struct page_meta *meta)
{
    *tree = (struct tree){
        .pager = pager, .space = space, .seed = meta->seed, .root_ref = meta->root, .root_level = meta->head.level,
    };
    tree->scratch = malloc(sizeof *tree->scratch);
    return tree->scratch != NULL ? SHOAL_OK : no_memory(tree);
}

int tree_make(struct tree *tree, const struct pager *pager, struct space *space, uint64_t seed, uint64_t txn)
{
    *tree = (struct tree){ .pager = pager, .space = space, .seed = seed, .txn = txn };
    tree->root = node_alloc(tree, 0, 0, 0);
    return tree->root != NULL ? SHOAL_OK : no_memory(tree);
}

void tree_begin(struct tree *tree, uint64_t txn) { tree->txn = txn; }

void tree_follow(struct tree *tree, const struct page_meta *meta)
{
    if (tree->nodes_n > NODES_MAX || tree->root_level != meta->head.level) {
        node_drop(tree, tree->root);
        tree->root = NULL;
    }
    tree->root_ref = meta->root;
    tree->root_level = meta->head.level;
}

/* -- Buckets ------------------------------------------------------------------------------------- */

int tree_bad_record(const struct tree *tree)
{
    return error_set(SHOAL_ECORRUPT, "%s: a record in a bucket that is changed is not what its checksum says",
                     tree->pager->name);
}

/* The bucket of that name in tree->scratch; the one that is there already is not read again: who deletes looks first. */
static int scratch_read(struct tree *tree, const struct tree_child *child, uint64_t hash)
{
    if (same_ref(tree->scratch_ref, child->ref) && tree->scratch->head.depth == child->depth &&
        tree->scratch->head.prefix == hash_prefix(hash, child->depth))
        return SHOAL_OK;
    tree->scratch_ref = (struct page_ref){ 0, 0 };
    int rc = bucket_read(tree->pager, child->ref, child->depth, hash, tree->scratch);
    if (rc == SHOAL_OK)
        tree->scratch_ref = child->ref;
    return rc;
}

int tree_look(struct tree *tree, uint64_t hash, const struct bucket **ret_bucket)
{
    struct way way;
    int rc = way_find(tree, hash, &way);
    if (rc != SHOAL_OK)
        return rc;
    struct tree_child child = leaf_of(&way)->child[node_entry(leaf_of(&way)->depth, hash)];
    *ret_bucket = child.bucket;
    if (child.bucket == NULL && child.ref.page != 0) {
        rc = scratch_read(tree, &child, hash);
        *ret_bucket = tree->scratch;
    }
    return rc;
}

/* The entry's bucket in memory, to be changed; its page is left. */
static int child_change(struct tree *tree, struct tree_node *leaf, uint32_t entry, uint64_t hash)
{
    struct tree_child child = leaf->child[entry];
    if (child.bucket != NULL)
        return SHOAL_OK;
    child.bucket = malloc(sizeof *child.bucket);
    if (child.bucket == NULL)
        return no_memory(tree);
    int rc = SHOAL_OK;
    if (child.ref.page == 0) {
        bucket_make(child.bucket, hash_prefix(hash, child.depth), child.depth);
    } else if ((rc = scratch_read(tree, &child, hash)) == SHOAL_OK) {
        *child.bucket = *tree->scratch;
        tree->scratch_ref = (struct page_ref){ 0, 0 }; /* this transaction may take the page again, under the same name */
        rc = page_leave(tree, child.ref);
    }
    if (rc != SHOAL_OK) {
        free(child.bucket);
        return rc;
    }
    tree->changed_n++;
    child.ref = (struct page_ref){ 0, 0 };
    child_set(leaf, entry, child);
    return SHOAL_OK;
}

int tree_change(struct tree *tree, uint64_t hash, struct bucket **ret_bucket)
{
    struct way way;
    int rc = way_find(tree, hash, &way);
    if (rc == SHOAL_OK)
        rc = way_change(tree, &way);
    if (rc != SHOAL_OK)
        return rc;
    struct tree_node *leaf = leaf_of(&way);
    uint32_t entry = node_entry(leaf->depth, hash);
    rc = child_change(tree, leaf, entry, hash);
    *ret_bucket = leaf->child[entry].bucket;
    return rc;
}

uint64_t tree_item_hash(uint64_t seed, const struct bucket_item *item)
{
    struct bucket_large large;
    if ((item->flags & RECORD_LARGE) != 0 && bucket_item_large(item, &large))
        return large.hash;
    return hash_bytes(item->key, item->key_bytes, seed);
}

/* -- Divide -------------------------------------------------------------------------------------- */

/* The halves of a node: each entry of it is two of one half.  No child spans both: it would be the only one. */
static int node_divide(struct tree *tree, struct tree_node *parent, struct tree_node *node)
{
    struct tree_node *high = node_alloc(tree, node->level, node->depth + 1u,
                                        node->prefix | (uint64_t)1 << (63 - node->depth));
    if (high == NULL)
        return no_memory(tree);
    struct tree_child old[NODE_ENTRIES];
    memcpy(old, node->child, sizeof old);
    node->depth++;
    for (uint32_t i = 0; i < NODE_ENTRIES; i++) {
        node->child[i] = old[i / 2];
        high->child[i] = old[NODE_ENTRIES / 2 + i / 2];
    }
    struct tree_child half = { .depth = node->depth, .node = node };
    child_set(parent, node_entry(parent->depth, node->prefix), half);
    half.node = high;
    child_set(parent, node_entry(parent->depth, high->prefix), half);
    return SHOAL_OK;
}

/* A root above the root, with one child. */
static int root_raise(struct tree *tree)
{
    if (tree->root->level + 1u >= LEVELS_MAX)
        return error_set(SHOAL_EFULL, "%s: too many keys with nearly the same hash", tree->pager->name);
    struct tree_node *root = node_alloc(tree, tree->root->level + 1u, 0, 0);
    if (root == NULL)
        return no_memory(tree);
    child_set(root, 0, (struct tree_child){ .depth = 0, .node = tree->root });
    tree->root = root;
    return SHOAL_OK;
}

/* Makes room in the node at way[level_i] for children one bit deeper than its entries can tell apart: divides it, and
 * before that those above it that are as full.  All of the way is changed. */
static int way_divide(struct tree *tree, const struct way *way, unsigned i)
{
    while (i > 0 && way->node[i]->depth == way->node[i - 1]->depth + NODE_BITS)
        i--;
    if (i > 0)
        return node_divide(tree, way->node[i - 1], way->node[i]);
    int rc = root_raise(tree);
    return rc != SHOAL_OK ? rc : node_divide(tree, tree->root, way->node[0]);
}

static int bucket_divide(struct tree *tree, struct tree_node *leaf, uint32_t entry)
{
    struct tree_child child = leaf->child[entry];
    struct bucket *low = child.bucket, old = *low, *high = malloc(sizeof *high);
    if (high == NULL)
        return no_memory(tree);
    unsigned depth = child.depth + 1u;
    uint64_t bit = (uint64_t)1 << (64 - depth);
    bucket_make(low, old.head.prefix, depth);
    bucket_make(high, old.head.prefix | bit, depth);
    tree->changed_n++;
    for (uint32_t i = 0; i < old.head.used_n; i++) {
        struct bucket_item item;
        bool whole = bucket_item(&old, i, &item);
        uint64_t hash = whole ? tree_item_hash(tree->seed, &item) : 0;
        if (!whole || bucket_add((hash & bit) != 0 ? high : low, hash, &item) != BUCKET_ADDED) {
            bucket_release(tree, high);
            return tree_bad_record(tree);
        }
    }
    child.depth = (uint8_t)depth;
    child_set(leaf, node_entry(leaf->depth, low->head.prefix), child);
    child.bucket = high;
    child_set(leaf, node_entry(leaf->depth, high->head.prefix), child);
    return SHOAL_OK;
}

int tree_divide(struct tree *tree, uint64_t hash)
{
    for (;;) {
        struct way way;
        int rc = way_find(tree, hash, &way);
        if (rc != SHOAL_OK)
            return rc;
        struct tree_node *leaf = leaf_of(&way);
        uint32_t entry = node_entry(leaf->depth, hash);
        unsigned depth = leaf->child[entry].depth;
        if (depth >= DEPTH_MAX)
            return error_set(SHOAL_EFULL, "%s: too many keys with nearly the same hash", tree->pager->name);
        if (depth < leaf->depth + NODE_BITS)
            return bucket_divide(tree, leaf, entry);
        rc = way_divide(tree, &way, way.n - 1);
        if (rc != SHOAL_OK)
            return rc;
    }
}

/* -- Join ---------------------------------------------------------------------------------------- */

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

/* An entry with an empty bucket has none. */
static void child_empty(struct tree *tree, struct tree_node *leaf, uint32_t entry)
{
    struct tree_child child = leaf->child[entry];
    if (child.bucket == NULL || child.bucket->head.used_n > 0)
        return;
    bucket_release(tree, child.bucket);
    child.bucket = NULL;
    child_set(leaf, entry, child);
}

static bool child_is_empty(const struct tree_child *child) { return child->bucket == NULL && child->ref.page == 0; }

static int child_bytes(struct tree *tree, struct tree_node *leaf, uint32_t entry, uint32_t *ret_bytes)
{
    struct tree_child child = leaf->child[entry];
    int rc = SHOAL_OK;
    *ret_bytes = child.bucket != NULL ? child.bucket->head.used_bytes : 0;
    if (child.bucket == NULL && child.ref.page != 0) {
        rc = scratch_read(tree, &child, entry_hash(leaf, entry));
        *ret_bytes = tree->scratch->head.used_bytes;
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
        rc = child_is_empty(&leaf->child[entry]) ? SHOAL_OK : child_change(tree, leaf, entry, entry_hash(leaf, entry));
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
        if (!bucket_item(high, i, &item) || bucket_add(low, tree_item_hash(tree->seed, &item), &item) != BUCKET_ADDED)
            return tree_bad_record(tree);
    }
    bucket_release(tree, high);
    if (low != NULL) {
        low->head.depth = child.depth;
        low->head.prefix = hash_prefix(entry_hash(leaf, low_i), child.depth);
    }
    child_set(leaf, low_i, child);
    return 1;
}

static bool has_depth(const struct tree_node *node, unsigned depth)
{
    for (uint32_t i = 0; i < NODE_ENTRIES; i += span_of(node, i))
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
        int rc = child_load(tree, parent, entry, entry_hash(parent, entry));
        if (rc != SHOAL_OK)
            return rc;
    }
    struct tree_node *low = parent->child[low_i].node, *high = parent->child[high_i].node;
    if (has_depth(low, low->depth + NODE_BITS) || has_depth(high, high->depth + NODE_BITS))
        return 0;
    int rc = node_change(tree, low);
    if (rc == SHOAL_OK)
        rc = node_change(tree, high);
    if (rc != SHOAL_OK)
        return rc;
    low->depth--;
    for (uint32_t i = 0; i < NODE_ENTRIES / 2; i++)
        low->child[i] = low->child[2 * i];
    for (uint32_t i = 0; i < NODE_ENTRIES / 2; i++)
        low->child[NODE_ENTRIES / 2 + i] = high->child[2 * i];
    node_release(tree, high);
    child_set(parent, low_i, (struct tree_child){ .depth = low->depth, .node = low });
    return 1;
}

/* A root with one child is none. */
static int root_lower(struct tree *tree)
{
    while (tree->root->level > 0 && tree->root->child[0].depth == 0) {
        struct tree_node *root = tree->root;
        int rc = child_load(tree, root, 0, 0);
        if (rc != SHOAL_OK)
            return rc;
        tree->root = root->child[0].node;
        node_release(tree, root);
    }
    return SHOAL_OK;
}

/* Upwards from level 0, as far as nodes join. */
static int way_join(struct tree *tree, uint64_t hash)
{
    for (;;) {
        struct way way;
        int joined = way_find(tree, hash, &way);
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
    int rc = way_find(tree, hash, &way);
    if (rc != SHOAL_OK)
        return rc;
    struct tree_node *leaf = leaf_of(&way);
    uint32_t entry = node_entry(leaf->depth, hash);
    const struct bucket *bucket = leaf->child[entry].bucket;
    if (bucket == NULL || bucket->head.used_bytes > SPARSE_BYTES)
        return SHOAL_OK;
    child_empty(tree, leaf, entry);
    return leaf_join(tree, leaf, hash);
}

int tree_join(struct tree *tree, uint64_t hash)
{
    struct way way;
    uint32_t low_i, high_i;
    int rc = way_find(tree, hash, &way);
    if (rc != SHOAL_OK)
        return rc;
    struct tree_node *leaf = leaf_of(&way);
    if (!siblings(leaf, node_entry(leaf->depth, hash), &low_i, &high_i))
        return SHOAL_OK;
    int fit = buckets_fit(tree, leaf, low_i, high_i);
    if (fit != 1)
        return fit;
    rc = way_change(tree, &way);
    return rc == SHOAL_OK ? leaf_join(tree, leaf, hash) : rc;
}

/* -- Places -------------------------------------------------------------------------------------- */

int tree_place(struct tree *tree, uint64_t hash, struct tree_place *ret_place)
{
    struct way way;
    int rc = way_find(tree, hash, &way);
    if (rc != SHOAL_OK)
        return rc;
    const struct tree_child *child = &leaf_of(&way)->child[node_entry(leaf_of(&way)->depth, hash)];
    uint64_t range = child->depth == 0 ? 0 : (uint64_t)1 << (64 - child->depth);
    *ret_place = (struct tree_place){ .bucket = child->bucket != NULL ? 0 : child->ref.page,
                                      .next = hash_prefix(hash, child->depth) + range };
    for (unsigned i = 0; i < way.n; i++)
        if (way.node[i]->ref.page > ret_place->nodes)
            ret_place->nodes = way.node[i]->ref.page;
    return SHOAL_OK;
}

int tree_change_nodes(struct tree *tree, uint64_t hash)
{
    struct way way;
    int rc = way_find(tree, hash, &way);
    return rc == SHOAL_OK ? way_change(tree, &way) : rc;
}

/* -- Write --------------------------------------------------------------------------------------- */

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

/* Writes them, and they need memory no longer. */
static int batch_write(struct tree *tree, struct batch *batch)
{
    int rc = pager_write_pages(tree->pager, batch->outs, batch->n);
    for (uint32_t i = 0; i < batch->n; i++)
        bucket_release(tree, (struct bucket *)(uintptr_t)batch->outs[i].bytes);
    batch->n = 0;
    return rc;
}

static int bucket_write(struct tree *tree, struct tree_node *leaf, uint32_t entry, struct batch *batch)
{
    struct tree_child child = leaf->child[entry];
    child_empty(tree, leaf, entry);
    if (leaf->child[entry].bucket == NULL)
        return SHOAL_OK;
    child.ref.txn = tree->txn;
    int rc = batch_page(tree, batch, &child.ref.page);
    if (rc != SHOAL_OK)
        return rc;
    page_seal(tree->pager, child.bucket, PAGE_BUCKET, child.ref);
    batch->outs[batch->n++] = (struct page_out){ child.ref.page, child.bucket };
    child.bucket = NULL;
    child_set(leaf, entry, child);
    return batch->n == BUCKETS_AT_ONCE ? batch_write(tree, batch) : SHOAL_OK;
}

/* Below this node: in the order of hashes, so that neighbours lie beside each other. */
static int buckets_write(struct tree *tree, struct tree_node *node, struct batch *batch)
{
    int rc = SHOAL_OK;
    for (uint32_t i = 0; node->changed && rc == SHOAL_OK && i < NODE_ENTRIES; i += span_of(node, i)) {
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
        return no_memory(tree);
    batch->want = tree->changed_n;
    int rc = buckets_write(tree, tree->root, batch);
    if (rc == SHOAL_OK)
        rc = batch_write(tree, batch);
    if (rc == SHOAL_OK && batch->pages_n > 0)
        rc = space_free(tree->space, batch->page, batch->pages_n, SPACE_OWN);
    for (uint32_t i = 0; i < batch->n; i++) /* not written: something failed */
        bucket_release(tree, (struct bucket *)(uintptr_t)batch->outs[i].bytes);
    free(batch);
    return rc;
}

static int node_write(struct tree *tree, struct tree_node *node)
{
    struct page_node page;
    uint64_t got;
    memset(&page, 0, sizeof page);
    page.head.level = node->level;
    page.head.depth = node->depth;
    page.head.prefix = node->prefix;
    page.head.used_n = NODE_ENTRIES;
    for (uint32_t i = 0; i < NODE_ENTRIES; i++)
        node_child_set(&page, i, (struct node_child){ node->child[i].ref, node->child[i].depth });
    node->ref.txn = tree->txn;
    int rc = space_take(tree->space, 1, 1, &node->ref.page, &got);
    if (rc != SHOAL_OK)
        return rc;
    page_seal(tree->pager, &page, PAGE_NODE, node->ref);
    node->changed = false;
    return pager_write(tree->pager, node->ref.page, &page, sizeof page);
}

/* Those below first: a node names their pages. */
static int nodes_write(struct tree *tree, struct tree_node *node)
{
    if (!node->changed)
        return SHOAL_OK;
    for (uint32_t i = 0; node->level > 0 && i < NODE_ENTRIES; i += span_of(node, i)) {
        struct tree_child child = node->child[i];
        if (child.node == NULL || !child.node->changed)
            continue;
        int rc = nodes_write(tree, child.node);
        if (rc != SHOAL_OK)
            return rc;
        child.ref = child.node->ref;
        child_set(node, i, child);
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
