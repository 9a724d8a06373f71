/* SPDX-License-Identifier: MIT
 *
 * Pages on their way to the file (queue.h).
 */
#include "store/queue.h"

#include "shoal/shoal.h"

int queue_add(struct queue *queue, const struct page_head *page)
{
    queue->out[queue->n++] = (struct page_out){ page->page, page };
    return queue->n == QUEUE_PAGES ? queue_write(queue) : SHOAL_OK;
}

/* Whoever wants to read or to change it next finds it in memory. */
static void page_written(struct queue *queue, const struct page_head *page)
{
    struct page_ref ref = { page->page, page->txn };
    if (page->kind == PAGE_BUCKET)
        cache_written(queue->cache, ref, cached_of(page));
    else if (page->kind == PAGE_NODE)
        cache_node_written(queue->cache, ref, cached_of(page));
}

int queue_write(struct queue *queue)
{
    int rc = pager_write_pages(queue->pager, queue->out, queue->n);
    if (rc != SHOAL_OK)
        return rc;
    for (uint32_t i = 0; i < queue->n; i++)
        page_written(queue, queue->out[i].bytes);
    queue->n = 0;
    return SHOAL_OK;
}

void queue_drop(struct queue *queue)
{
    for (uint32_t i = 0; i < queue->n; i++) {
        const struct page_head *page = queue->out[i].bytes;
        if (page->kind == PAGE_BUCKET || page->kind == PAGE_NODE)
            cache_free(queue->cache, cached_of(page));
    }
    queue->n = 0;
}
