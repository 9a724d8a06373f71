/* SPDX-License-Identifier: MIT
 *
 * Pages in and out (pager.h).
 */
#include "store/pager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "store/file.h"

#define PARTS_AT_ONCE 256

/* -- Texts --------------------------------------------------------------------------------------- */

int page_bad(const struct pager *pager, uint64_t page, const char *what, ...)
{
    char text[200];
    va_list args;
    va_start(args, what);
    (void)vsnprintf(text, sizeof text, what, args);
    va_end(args);
    return error_set(SHOAL_ECORRUPT, "%s, page %" PRIu64 ": %s", pager->name, page, text);
}

static int code_of(int why) { return why == ENOSPC || why == EDQUOT ? SHOAL_EFULL : SHOAL_ESTORE; }

int pager_failed(const struct pager *pager, const char *what, int why)
{
    int keep = errno;
    errno = why;
    (void)error_os("%s: %s", pager->name, what);
    errno = keep;
    return code_of(why);
}

static int page_failed(const struct pager *pager, uint64_t page, const char *what, int why)
{
    int keep = errno;
    errno = why;
    (void)error_os("%s, page %" PRIu64 ": %s", pager->name, page, what);
    errno = keep;
    return code_of(why);
}

/* -- One page ------------------------------------------------------------------------------------ */

/* The head's part is the seed of the body's, so no byte but the sum itself is left out. */
uint64_t page_sum(const void *page)
{
    const struct page_head *head = page;
    uint64_t seed = hash_bytes(page, offsetof(struct page_head, sum), 0), bytes = PAGE_BODY_BYTES;
    if (head->kind == PAGE_BUCKET) {
        uint64_t n = head->used_n < BUCKET_RECORDS_MAX ? head->used_n : BUCKET_RECORDS_MAX;
        bytes = n * sizeof(uint64_t);
    }
    return hash_bytes((const uint8_t *)page + PAGE_HEAD_BYTES, bytes, seed);
}

void page_seal(const struct pager *pager, void *page, enum page_kind kind, struct page_ref ref)
{
    struct page_head *head = page;
    head->magic = PAGE_MAGIC;
    head->kind = (uint8_t)kind;
    head->unused = 0;
    head->page = ref.page;
    head->txn = ref.txn;
    head->store = pager->store;
    head->sum = page_sum(page);
}

int pager_read(const struct pager *pager, uint64_t page, uint64_t bytes, void *ret_bytes)
{
    size_t got;
    if (page > PAGE_NUMBER_MAX || bytes > SIZE_MAX)
        return page_bad(pager, page, "no such number");
    int why = file_read(pager->file, ret_bytes, bytes, page * PAGE_BYTES, &got);
    if (why != 0)
        return page_failed(pager, page, "read", why);
    return got == bytes ? SHOAL_OK : page_bad(pager, page, "behind the file's end");
}

int page_read(const struct pager *pager, struct page_ref ref, enum page_kind kind, void *ret_page)
{
    const struct page_head *head = ret_page;
    int rc = pager_read(pager, ref.page, PAGE_BYTES, ret_page);
    if (rc != SHOAL_OK)
        return rc;
    if (head->magic != PAGE_MAGIC || head->sum != page_sum(ret_page))
        return page_bad(pager, ref.page, "its checksum does not match its bytes");
    if (head->kind != kind || head->page != ref.page || head->txn != ref.txn || head->store != pager->store)
        return page_bad(pager, ref.page,
                        "kind %u of transaction %" PRIu64 " is there, kind %u of transaction %" PRIu64 " should be",
                        head->kind, head->txn, (unsigned)kind, ref.txn);
    return SHOAL_OK;
}

/* -- Writing ------------------------------------------------------------------------------------- */

int pager_write(const struct pager *pager, uint64_t page, const void *bytes, uint64_t bytes_n)
{
    int why = file_write(pager->file, &(struct file_part){ bytes, bytes_n }, 1, page * PAGE_BYTES);
    return why == 0 ? SHOAL_OK : page_failed(pager, page, "write", why);
}

static int by_page(const void *a, const void *b)
{
    const struct page_out *left = a, *right = b;
    return (left->page > right->page) - (left->page < right->page);
}

/* Most are: pages are taken in the order in which they are written. */
static bool in_order(const struct page_out *outs, size_t outs_n)
{
    size_t i = 1;
    while (i < outs_n && outs[i - 1].page < outs[i].page)
        i++;
    return i >= outs_n;
}

int pager_write_pages(const struct pager *pager, struct page_out *outs, size_t outs_n)
{
    struct file_part parts[PARTS_AT_ONCE];
    if (!in_order(outs, outs_n))
        qsort(outs, outs_n, sizeof *outs, by_page);
    for (size_t i = 0; i < outs_n;) {
        size_t n = 0;
        uint64_t first = outs[i].page;
        while (i < outs_n && n < PARTS_AT_ONCE && outs[i].page == first + n)
            parts[n++] = (struct file_part){ outs[i++].bytes, PAGE_BYTES };
        int why = file_write(pager->file, parts, n, first * PAGE_BYTES);
        if (why != 0)
            return page_failed(pager, first, "write", why);
    }
    return SHOAL_OK;
}
