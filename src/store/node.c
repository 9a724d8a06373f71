/* SPDX-License-Identifier: MIT
 *
 * Nodes and buckets from their pages, checked (node.h).
 */
#include "store/node.h"

#include <inttypes.h>

#include "base/error.h"
#include "store/bucket.h"

static bool same_child(struct node_child a, struct node_child b)
{
    return a.ref.page == b.ref.page && a.ref.txn == b.ref.txn && a.depth == b.depth;
}

/* N1, N3. */
static bool entries_good(const struct page_node *node)
{
    unsigned depth = node->head.depth;
    for (uint32_t i = 0; i < NODE_ENTRIES;) {
        struct node_child child = node_child_at(node, i);
        if (child.depth < depth || child.depth > depth + NODE_BITS || child.depth > DEPTH_MAX ||
            (child.ref.page == 0 && (child.ref.txn != 0 || node->head.level > 0)) ||
            (child.ref.page != 0 && child.ref.page < META_PAGES))
            return false;
        uint32_t span = node_span(depth, child.depth);
        if (i % span != 0)
            return false;
        for (uint32_t end = i + span; i < end; i++)
            if (!same_child(node_child_at(node, i), child))
                return false;
    }
    return true;
}

int node_read(const struct pager *pager, struct page_ref ref, unsigned level, unsigned depth, uint64_t hash,
              struct page_node *ret_node)
{
    int rc = page_read(pager, ref, PAGE_NODE, ret_node);
    if (rc != SHOAL_OK)
        return rc;
    const struct page_head *head = &ret_node->head;
    if (head->level != level || head->depth != depth || depth > DEPTH_MAX - NODE_BITS ||
        head->prefix != hash_prefix(hash, depth))
        return page_bad(pager, ref.page, "level %u, depth %u, hashes from %016" PRIx64 ": another node", head->level,
                        head->depth, head->prefix);
    return entries_good(ret_node) ? SHOAL_OK : page_bad(pager, ref.page, "an impossible entry");
}

int bucket_read(const struct pager *pager, struct page_ref ref, unsigned depth, uint64_t hash, struct bucket *ret_bucket)
{
    int rc = page_read(pager, ref, PAGE_BUCKET, ret_bucket);
    if (rc != SHOAL_OK)
        return rc;
    const struct page_head *head = &ret_bucket->head;
    if (head->depth != depth || head->prefix != hash_prefix(hash, depth))
        return page_bad(pager, ref.page, "depth %u, hashes from %016" PRIx64 ": another bucket", head->depth, head->prefix);
    return bucket_check(ret_bucket) ? SHOAL_OK : page_bad(pager, ref.page, "an impossible record");
}
