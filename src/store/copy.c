/* SPDX-License-Identifier: MIT
 *
 * A root from one file to another (copy.h).
 */
#include "store/copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "store/node.h"
#include "store/runs.h"

#define PAGES_AT_ONCE 64u
#define RUN_AT_ONCE ((uint64_t)1 << 18) /* of whole pages */
#define PROGRESS_EVERY 256u             /* pages */

struct copying {
    const struct copy_asked *asked;
    const struct pager *from, *to; /* to NULL: only read */
    struct space space;            /* of the copy */
    uint64_t there_bytes;          /* of the other file, before: behind its end there is nothing to compare with */
    uint64_t done, total, next;    /* pages; when progress is told of */
    uint8_t *run, *there;          /* RUN_AT_ONCE each */
    struct page_out outs[PAGES_AT_ONCE];
    uint8_t bytes[PAGES_AT_ONCE][PAGE_BYTES]; /* that they point to */
    size_t outs_n;
    struct queue maps;
};

/* -- Pages --------------------------------------------------------------------------------------- */

static int progress(struct copying *c, uint64_t pages_n)
{
    c->done += pages_n;
    if (c->asked->progress == NULL || c->done < c->next)
        return SHOAL_OK;
    c->next = c->done + PROGRESS_EVERY;
    return c->asked->progress(c->done, c->total, c->asked->arg);
}

static int batch_write(struct copying *c)
{
    int rc = c->outs_n > 0 ? pager_write_pages(c->to, c->outs, c->outs_n) : SHOAL_OK;
    c->outs_n = 0;
    return rc;
}

/* Are these the bytes that lie there already? */
static int is_there(const struct copying *c, uint64_t page, const void *bytes, uint64_t n, bool *ret_is)
{
    *ret_is = false;
    if (page * PAGE_BYTES + n > c->there_bytes)
        return SHOAL_OK;
    int rc = pager_read(c->to, page, n, c->there);
    *ret_is = rc == SHOAL_OK && memcmp(c->there, bytes, n) == 0;
    return rc;
}

static int page_copy(struct copying *c, uint64_t page, const void *bytes)
{
    bool is = true;
    int rc = space_claim(&c->space, page, 1);
    if (rc == SHOAL_OK && c->to != NULL)
        rc = is_there(c, page, bytes, PAGE_BYTES, &is);
    if (rc == SHOAL_OK && !is) {
        memcpy(c->bytes[c->outs_n], bytes, PAGE_BYTES);
        c->outs[c->outs_n] = (struct page_out){ page, c->bytes[c->outs_n] };
        c->outs_n++;
        if (c->outs_n == PAGES_AT_ONCE)
            rc = batch_write(c);
    }
    return rc == SHOAL_OK ? progress(c, 1) : rc;
}

/* -- Runs ---------------------------------------------------------------------------------------- */

static int run_part(struct copying *c, uint64_t page, uint64_t n)
{
    bool is = true;
    int rc = pager_read(c->from, page, n, c->run);
    if (rc == SHOAL_OK && c->to != NULL)
        rc = is_there(c, page, c->run, n, &is);
    if (rc == SHOAL_OK && !is)
        rc = pager_write(c->to, page, c->run, n);
    return rc == SHOAL_OK ? progress(c, (n + PAGE_BYTES - 1) / PAGE_BYTES) : rc;
}

static int run_copy(void *arg, const struct page_run *run, uint64_t at)
{
    struct copying *c = arg;
    XXH3_state_t state;
    (void)at;
    (void)XXH3_64bits_reset(&state);
    int rc = space_claim(&c->space, run->page, (run->bytes + PAGE_BYTES - 1) / PAGE_BYTES);
    for (uint64_t done = 0; rc == SHOAL_OK && done < run->bytes; done += RUN_AT_ONCE) {
        uint64_t n = run->bytes - done < RUN_AT_ONCE ? run->bytes - done : RUN_AT_ONCE;
        rc = run_part(c, run->page + done / PAGE_BYTES, n);
        (void)XXH3_64bits_update(&state, c->run, n);
    }
    if (rc == SHOAL_OK && XXH3_64bits_digest(&state) != run->sum)
        return page_bad(c->from, run->page, "the checksum of the %" PRIu64 " bytes from here on does not match", run->bytes);
    return rc;
}

/* runs_walk has seen that it is the page. */
static int list_copy(void *arg, uint64_t page, uint64_t pages_n)
{
    struct copying *c = arg;
    struct page_runs list;
    (void)pages_n;
    int rc = pager_read(c->from, page, sizeof list, &list);
    return rc == SHOAL_OK ? page_copy(c, page, &list) : rc;
}

/* -- Down ---------------------------------------------------------------------------------------- */

static int bucket_copy(struct copying *c, struct node_child child, uint64_t hash)
{
    struct bucket bucket;
    int rc = bucket_read(c->from, child.ref, child.depth, hash, &bucket);
    for (uint32_t i = 0; rc == SHOAL_OK && i < bucket.head.used_n; i++) {
        struct bucket_item item;
        struct bucket_large large;
        if (!bucket_item(&bucket, i, &item))
            return page_bad(c->from, child.ref.page, "record %u is not what its checksum says", i);
        if ((item.flags & RECORD_LARGE) == 0)
            continue;
        if (!bucket_item_large(&item, &large))
            return page_bad(c->from, child.ref.page, "record %u is an impossible one", i);
        rc = runs_walk(c->from, &large, (item.flags & RECORD_LARGE_KEY) != 0, run_copy, list_copy, c);
    }
    return rc == SHOAL_OK ? page_copy(c, child.ref.page, &bucket) : rc;
}

static int node_copy(struct copying *c, struct node_child child, unsigned level, uint64_t hash)
{
    struct page_node node;
    int rc = node_read(c->from, child.ref, level, child.depth, hash, &node);
    for (uint32_t i = 0; rc == SHOAL_OK && i < NODE_ENTRIES;) {
        struct node_child next = node_child_at(&node, i);
        uint64_t first = node.head.prefix | (uint64_t)i << (64 - NODE_BITS) >> child.depth;
        i += node_span(child.depth, next.depth);
        if (level > 0)
            rc = node_copy(c, next, level - 1, first);
        else if (next.ref.page != 0)
            rc = bucket_copy(c, next, first);
    }
    return rc == SHOAL_OK ? page_copy(c, child.ref.page, &node) : rc;
}

/* -- All ----------------------------------------------------------------------------------------- */

static int copy_all(struct copying *c, struct page_meta *ret_meta)
{
    const struct page_meta *meta = c->asked->meta;
    int rc = node_copy(c, (struct node_child){ meta->root, 0 }, meta->head.level, 0);
    *ret_meta = *meta;
    if (c->to == NULL || rc != SHOAL_OK)
        return rc;
    rc = batch_write(c);
    memset(ret_meta->index, 0, sizeof ret_meta->index);
    if (rc == SHOAL_OK)
        rc = space_write(&c->space, &c->maps, ret_meta);
    ret_meta->durable_txn = meta->head.txn;
    memset(ret_meta->boot, 0, sizeof ret_meta->boot);
    int why = rc == SHOAL_OK ? file_resize(c->to->file, ret_meta->pages_end * PAGE_BYTES) : 0;
    return why == 0 ? rc : pager_failed(c->to, "its size", why);
}

static int there_bytes(struct copying *c)
{
    int why = c->to != NULL ? file_size(c->to->file, &c->there_bytes) : 0;
    return why == 0 ? SHOAL_OK : pager_failed(c->to, "its size", why);
}

int copy_root(const struct copy_asked *asked, struct page_meta *ret_meta)
{
    const struct page_meta *meta = asked->meta;
    struct copying *c = calloc(1, sizeof *c);
    if (c == NULL)
        return error_os("%s: memory for a copy", asked->from->name);
    c->asked = asked;
    c->from = &asked->from->pager;
    c->to = asked->to != NULL ? &asked->to->pager : NULL;
    c->maps.pager = c->to;
    c->total = meta->pages_end - meta->free_n - meta->held_n;
    c->run = malloc(RUN_AT_ONCE);
    c->there = malloc(RUN_AT_ONCE);
    int rc = c->run != NULL && c->there != NULL ? there_bytes(c) : error_os("%s: memory for a copy", asked->from->name);
    if (rc == SHOAL_OK && meta->head.level >= LEVELS_MAX)
        rc = page_bad(c->from, meta->head.page, "%u levels", meta->head.level + 1u);
    if (rc == SHOAL_OK)
        rc = space_make(&c->space, c->to != NULL ? c->to : c->from, meta->head.txn);
    if (rc == SHOAL_OK)
        rc = copy_all(c, ret_meta);
    space_drop(&c->space);
    free(c->run);
    free(c->there);
    free(c);
    return rc;
}
