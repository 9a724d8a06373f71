/* SPDX-License-Identifier: MIT
 *
 * The directory while it is changed (tree.h): found, read, divided.
 */
#include "store/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "store/branch.h"

#define NODES_MAX 8192u /* in memory from one transaction to the next: 64 MiB */

/* -- Memory -------------------------------------------------------------------------------------- */

int tree_no_memory(const struct tree *tree) { return error_os("%s: memory for changes", tree->pager->name); }

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

void tree_node_release(struct tree *tree, struct tree_node *node)
{
    tree->nodes_n--;
    free(node);
}

struct bucket *tree_bucket_alloc(struct tree *tree)
{
    struct cached *cached = cache_alloc(tree->cache);
    return cached != NULL ? &cached->bucket : NULL;
}

static void bucket_free(struct tree *tree, struct bucket *bucket)
{
    if (bucket != NULL)
        cache_free(tree->cache, cached_of(bucket));
}

void tree_bucket_release(struct tree *tree, struct bucket *bucket)
{
    if (bucket != NULL)
        tree->changed_n--;
    bucket_free(tree, bucket);
}

/* With all below it.  Nodes have LEVELS_MAX levels, so this ends. */
static void node_drop(struct tree *tree, struct tree_node *node)
{
    if (node == NULL)
        return;
    for (uint32_t i = 0; i < NODE_ENTRIES; i += tree_span(node, i)) {
        if (node->level > 0)
            node_drop(tree, node->child[i].node);
        else
            tree_bucket_release(tree, node->child[i].bucket);
    }
    tree_node_release(tree, node);
}

void tree_drop(struct tree *tree)
{
    node_drop(tree, tree->root);
    tree->root = NULL;
    bucket_free(tree, tree->scratch);
    tree->scratch = NULL;
    tree->scratch_ref = (struct page_ref){ 0, 0 };
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
        node->child[i] = (struct tree_child){ .ref = child.ref, .depth = (uint8_t)child.depth,
                                               .used_bytes = USED_UNKNOWN };
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
    tree_note_buckets(node);
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
        return tree_no_memory(tree);
    node_fill(tree, *io_node, ref, &page);
    return SHOAL_OK;
}

/* The node that the entry leads to. */
int tree_child_load(struct tree *tree, struct tree_node *node, uint32_t entry, uint64_t hash)
{
    struct tree_child child = node->child[entry];
    if (child.node != NULL && (child.node->changed || same_ref(child.node->ref, child.ref)))
        return SHOAL_OK;
    int rc = node_load(tree, child.ref, node->level - 1u, child.depth, hash, &child.node);
    if (rc == SHOAL_OK)
        tree_child_set(node, entry, child);
    return rc;
}

int tree_way(struct tree *tree, uint64_t hash, struct way *ret_way)
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
        rc = tree_child_load(tree, node, entry, hash);
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

int tree_node_change(struct tree *tree, struct tree_node *node)
{
    if (node->changed)
        return SHOAL_OK;
    node->changed = true;
    struct page_ref old = node->ref;
    node->ref = (struct page_ref){ 0, 0 };
    return page_leave(tree, old);
}

int tree_way_change(struct tree *tree, const struct way *way)
{
    int rc = SHOAL_OK;
    for (unsigned i = 0; i < way->n && rc == SHOAL_OK; i++)
        rc = tree_node_change(tree, way->node[i]);
    return rc;
}

/* -- Open ---------------------------------------------------------------------------------------- */

void tree_open(struct tree *tree, const struct pager *pager, struct space *space, struct queue *queue,
               const struct page_meta *meta)
{
    *tree = (struct tree){
        .pager = pager, .space = space, .cache = queue->cache, .queue = queue, .seed = meta->seed, .root_ref = meta->root,
        .root_level = meta->head.level,
    };
}

int tree_make(struct tree *tree, const struct pager *pager, struct space *space, struct queue *queue, uint64_t seed,
              uint64_t txn)
{
    *tree = (struct tree){ .pager = pager, .space = space, .cache = queue->cache, .queue = queue, .seed = seed, .txn = txn };
    tree->root = node_alloc(tree, 0, 0, 0);
    return tree->root != NULL ? SHOAL_OK : tree_no_memory(tree);
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

static int scratch_alloc(struct tree *tree)
{
    if (tree->scratch == NULL)
        tree->scratch = tree_bucket_alloc(tree);
    return tree->scratch != NULL ? SHOAL_OK : tree_no_memory(tree);
}

static int scratch_fill(struct tree *tree, const struct tree_child *child, uint64_t hash)
{
    int rc = scratch_alloc(tree);
    bool kept = rc == SHOAL_OK && cache_copy(tree->cache, child->ref, child->depth, hash, tree->scratch);
    if (rc == SHOAL_OK && !kept)
        rc = bucket_read(tree->pager, child->ref, child->depth, hash, tree->scratch);
    if (rc == SHOAL_OK)
        cached_of(tree->scratch)->has_large = !kept && bucket_has_large(tree->scratch);
    return rc;
}

/* Nothing of it was changed. */
static void scratch_give_back(struct tree *tree)
{
    if (tree->scratch_taken && tree->scratch_ref.page != 0) {
        cache_put_back(tree->cache, cached_of(tree->scratch));
        tree->scratch = NULL;
    }
    tree->scratch_taken = false;
    tree->scratch_ref = (struct page_ref){ 0, 0 };
}

/* The one that is there already is not read again: who deletes looks first. */
int tree_scratch(struct tree *tree, const struct tree_child *child, uint64_t hash)
{
    if (same_ref(tree->scratch_ref, child->ref) && tree->scratch->head.depth == child->depth &&
        tree->scratch->head.prefix == hash_prefix(hash, child->depth))
        return SHOAL_OK;
    scratch_give_back(tree);
    struct cached *taken = cache_take(tree->cache, child->ref, child->depth, hash);
    if (taken != NULL) {
        bucket_free(tree, tree->scratch);
        tree->scratch = &taken->bucket;
    }
    int rc = taken != NULL ? SHOAL_OK : scratch_fill(tree, child, hash);
    if (rc != SHOAL_OK)
        return rc;
    tree->scratch_taken = taken != NULL;
    tree->scratch_ref = child->ref;
    return SHOAL_OK;
}

int tree_look(struct tree *tree, uint64_t hash, const struct bucket **ret_bucket)
{
    struct way way;
    int rc = tree_way(tree, hash, &way);
    if (rc != SHOAL_OK)
        return rc;
    struct tree_child child = tree_leaf(&way)->child[node_entry(tree_leaf(&way)->depth, hash)];
    *ret_bucket = child.bucket;
    if (child.bucket == NULL && child.ref.page != 0) {
        rc = tree_scratch(tree, &child, hash);
        *ret_bucket = tree->scratch;
    }
    return rc;
}

/* The entry's bucket in memory, to be changed; its page is left.  It takes the scratch's memory, so nobody finds it there any
 * more: this transaction may take the page again, under the same name. */
int tree_child_change(struct tree *tree, struct tree_node *leaf, uint32_t entry, uint64_t hash)
{
    struct tree_child child = leaf->child[entry];
    if (child.bucket != NULL)
        return SHOAL_OK;
    int rc = child.ref.page != 0 ? tree_scratch(tree, &child, hash) : scratch_alloc(tree);
    tree->scratch_ref = (struct page_ref){ 0, 0 };
    if (rc == SHOAL_OK && child.ref.page != 0) {
        cache_forget(tree->cache, child.ref);
        rc = page_leave(tree, child.ref);
    }
    if (rc != SHOAL_OK)
        return rc;
    if (child.ref.page == 0) {
        bucket_make(tree->scratch, hash_prefix(hash, child.depth), child.depth);
        cached_of(tree->scratch)->has_large = false;
    }
    child.bucket = tree->scratch;
    tree->scratch = NULL;
    tree->changed_n++;
    child.ref = (struct page_ref){ 0, 0 };
    tree_child_set(leaf, entry, child);
    return SHOAL_OK;
}

void tree_child_empty(struct tree *tree, struct tree_node *leaf, uint32_t entry)
{
    struct tree_child child = leaf->child[entry];
    if (child.bucket == NULL || child.bucket->head.used_n > 0)
        return;
    tree_bucket_release(tree, child.bucket);
    child.bucket = NULL;
    tree_child_set(leaf, entry, child);
}

/* A node's depth is in its parent, too, so the one of level 0 need not be here. */
const struct tree_child *tree_expect_entry(const struct tree *tree, uint64_t hash)
{
    const struct tree_node *node = tree->root;
    unsigned depth = 0, level = node != NULL ? node->level : 0;
    for (; node != NULL && level > 0; level--) {
        const struct tree_child *child = &node->child[node_entry(depth, hash)];
        node = child->node;
        depth = child->depth;
    }
    if (node == NULL)
        return NULL;
    const struct tree_child *entry = &node->child[node_entry(depth, hash)];
    __builtin_prefetch(node);
    __builtin_prefetch(entry, 1);
    return entry;
}

void tree_expect(const struct tree *tree, const struct tree_child *entry, uint64_t hash, enum tree_step step, uint32_t bytes)
{
    if (entry->bucket != NULL && step == TREE_PLACE)
        cache_expect_lines(entry->bucket);
    else if (entry->bucket != NULL && step == TREE_RECORD)
        bucket_expect(entry->bucket, hash, bytes);
    else if (entry->bucket != NULL || entry->ref.page == 0)
        return;
    else if (step == TREE_PLACE)
        cache_expect_place(tree->cache, entry->ref.page);
    else if (step == TREE_BUCKET)
        cache_expect_bucket(tree->cache, entry->ref.page);
    else
        cache_expect_record(tree->cache, entry->ref.page, hash, bytes);
}

int tree_change(struct tree *tree, uint64_t hash, struct bucket **ret_bucket)
{
    struct way way;
    int rc = tree_way(tree, hash, &way);
    if (rc == SHOAL_OK)
        rc = tree_way_change(tree, &way);
    if (rc != SHOAL_OK)
        return rc;
    struct tree_node *leaf = tree_leaf(&way);
    uint32_t entry = node_entry(leaf->depth, hash);
    rc = tree_child_change(tree, leaf, entry, hash);
    *ret_bucket = leaf->child[entry].bucket;
    return rc;
}

static void note_large(struct bucket *bucket, const struct bucket_item *item)
{
    if ((item->flags & RECORD_LARGE) != 0)
        cached_of(bucket)->has_large = true;
}

enum bucket_added tree_add(struct bucket *bucket, uint64_t hash, const struct bucket_item *item)
{
    note_large(bucket, item);
    return bucket_add(bucket, hash, item);
}

bool tree_replace(struct bucket *bucket, uint32_t i, const struct bucket_item *old, uint64_t hash,
                  const struct bucket_item *item)
{
    note_large(bucket, item);
    return bucket_replace(bucket, i, old, hash, item);
}

uint64_t tree_item_hash(uint64_t seed, const struct bucket_item *item)
{
    struct bucket_large large;
    if ((item->flags & RECORD_LARGE) != 0 && bucket_item_large(item, &large))
        return large.hash;
    return hash_bytes(item->key, item->key_bytes, seed);
}

void tree_note_buckets(struct tree_node *node)
{
    memset(node->in_memory, 0, sizeof node->in_memory);
    for (uint32_t i = 0; node->level == 0 && i < NODE_ENTRIES; i += tree_span(node, i))
        if (node->child[i].bucket != NULL)
            node->in_memory[i / 64] |= (uint64_t)1 << i % 64;
}

/* -- Divide -------------------------------------------------------------------------------------- */

/* The halves of a node: each entry of it is two of one half.  No child spans both: it would be the only one. */
static int node_divide(struct tree *tree, struct tree_node *parent, struct tree_node *node)
{
    struct tree_node *high = node_alloc(tree, node->level, node->depth + 1u,
                                        node->prefix | (uint64_t)1 << (63 - node->depth));
    if (high == NULL)
        return tree_no_memory(tree);
    struct tree_child old[NODE_ENTRIES];
    memcpy(old, node->child, sizeof old);
    node->depth++;
    for (uint32_t i = 0; i < NODE_ENTRIES; i++) {
        node->child[i] = old[i / 2];
        high->child[i] = old[NODE_ENTRIES / 2 + i / 2];
    }
    tree_note_buckets(node);
    tree_note_buckets(high);
    struct tree_child half = { .depth = node->depth, .node = node };
    tree_child_set(parent, node_entry(parent->depth, node->prefix), half);
    half.node = high;
    tree_child_set(parent, node_entry(parent->depth, high->prefix), half);
    return SHOAL_OK;
}

/* A root above the root, with one child. */
static int root_raise(struct tree *tree)
{
    if (tree->root->level + 1u >= LEVELS_MAX)
        return error_set(SHOAL_EFULL, "%s: too many keys with nearly the same hash", tree->pager->name);
    struct tree_node *root = node_alloc(tree, tree->root->level + 1u, 0, 0);
    if (root == NULL)
        return tree_no_memory(tree);
    tree_child_set(root, 0, (struct tree_child){ .depth = 0, .node = tree->root });
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
    struct bucket *low = child.bucket, old = *low, *high = tree_bucket_alloc(tree);
    if (high == NULL)
        return tree_no_memory(tree);
    cached_of(high)->has_large = cached_of(low)->has_large;
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
            tree_bucket_release(tree, high);
            return tree_bad_record(tree);
        }
    }
    child.depth = (uint8_t)depth;
    tree_child_set(leaf, node_entry(leaf->depth, low->head.prefix), child);
    child.bucket = high;
    tree_child_set(leaf, node_entry(leaf->depth, high->head.prefix), child);
    return SHOAL_OK;
}

int tree_divide(struct tree *tree, uint64_t hash)
{
    for (;;) {
        struct way way;
        int rc = tree_way(tree, hash, &way);
        if (rc != SHOAL_OK)
            return rc;
        struct tree_node *leaf = tree_leaf(&way);
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

/* -- Places -------------------------------------------------------------------------------------- */

int tree_place(struct tree *tree, uint64_t hash, struct tree_place *ret_place)
{
    struct way way;
    int rc = tree_way(tree, hash, &way);
    if (rc != SHOAL_OK)
        return rc;
    const struct tree_child *child = &tree_leaf(&way)->child[node_entry(tree_leaf(&way)->depth, hash)];
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
    int rc = tree_way(tree, hash, &way);
    return rc == SHOAL_OK ? tree_way_change(tree, &way) : rc;
}
