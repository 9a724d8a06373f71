/* SPDX-License-Identifier: MIT
 *
 * The floor of a store on disk: what it costs to find a record in a bucket of a page, and to write each page that changed
 * once for a transaction, whole, by write(2), when nothing else is done.
 *
 * An extendible hash table in this process's memory: all buckets of it, each in the image of its page, changed in place.  A
 * transaction writes the changed images one behind the other, 256 in a call, round about in a file of twice their number.
 * So the pages' number is what any table writes whose pages never change where a root leads to them, and each call is as
 * long as it can be.  There is no directory in the file, no checksum, no map of free pages, no version, nobody who reads
 * at the same time and no other process: it could not be opened again.
 *
 *   page    records:16 | bytes up to the lowest record:16 | depth:8 | .. | records * (fingerprint:16 | where:16) .. records
 *   record  key bytes:16 | value bytes:16 | key | value
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "peers.h"

#define PAGE 4096u
#define CALL_PAGES 256u
#define DEPTH_MAX 40u

struct word {
    uint16_t finger, at;
};

struct page {
    uint16_t used_n, free_at;
    uint8_t depth;
    bool changed;
    uint8_t unused[10];
    struct word word[];
};
_Static_assert(sizeof(struct page) == 16, "");

struct record {
    uint16_t key_bytes, value_bytes;
    uint8_t bytes[];
} __attribute__((packed));

struct handle {
    int file;
    char *pages; /* [pages_room], of which pages_n are in use */
    uint64_t pages_n, pages_room;
    uint32_t *directory; /* [1 << depth], page numbers */
    unsigned depth;
    uint32_t *changed;   /* [pages_room] */
    uint64_t changed_n, next; /* next: page of the file */
    unsigned writes;
};

/* -- Open --------------------------------------------------------------------------------------- */

static void close_it(void *handle)
{
    struct handle *own = handle;
    if (own->pages)
        munmap(own->pages, own->pages_room * PAGE);
    if (own->file >= 0)
        close(own->file);
    free(own->directory);
    free(own->changed);
    free(own);
}

static struct page *page_at(const struct handle *own, uint64_t i) { return (struct page *)(own->pages + i * PAGE); }

static uint64_t page_make(struct handle *own, unsigned depth)
{
    struct page *page = page_at(own, own->pages_n);
    page->free_at = PAGE;
    page->depth = (uint8_t)depth;
    return own->pages_n++;
}

/* Buckets are more than a third full in the mean, or hold one record. */
static uint64_t room_for(const struct driver_setup *setup)
{
    uint64_t bytes = sizeof(struct word) + sizeof(struct record) + setup->key_bytes + setup->value_bytes;
    uint64_t each = (PAGE - sizeof(struct page)) / bytes;
    return each > 2 ? setup->keys * 3 / each + 64 : setup->keys * 2 + 64;
}

/* The host only makes the file. */
static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct handle *own = calloc(1, sizeof *own);
    if (!own)
        return driver_fail("no memory");
    own->file = open(setup->path, O_RDWR | O_CLOEXEC | (host ? 0 : O_CREAT | O_TRUNC), 0600);
    own->pages_room = room_for(setup);
    if (own->file < 0) {
        free(own);
        return driver_fail("%s: %s", setup->path, strerror(errno));
    }
    if (host) {
        own->pages = mmap(NULL, own->pages_room * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        own->directory = calloc(1, sizeof *own->directory);
        own->changed = malloc(own->pages_room * sizeof *own->changed);
        if (own->pages == MAP_FAILED)
            own->pages = NULL;
        if (!own->pages || !own->directory || !own->changed) {
            close_it(own);
            return driver_fail("no memory");
        }
        page_make(own, 0);
    }
    *ret_handle = own;
    return DRIVER_OK;
}

static void unlink_it(const struct driver_setup *setup) { unlink(setup->path); }

/* -- Buckets ------------------------------------------------------------------------------------ */

static uint64_t hash_of(const void *key, size_t key_bytes) { return XXH3_64bits(key, key_bytes); }

static uint64_t entry_of(const struct handle *own, uint64_t hash) { return own->depth == 0 ? 0 : hash >> (64 - own->depth); }

static struct page *page_of(const struct handle *own, uint64_t hash)
{
    return page_at(own, own->directory[entry_of(own, hash)]);
}

static struct record *record_at(const struct page *page, unsigned i)
{
    return (struct record *)((uintptr_t)page + page->word[i].at);
}

static size_t record_bytes(const struct record *record)
{
    return sizeof *record + record->key_bytes + record->value_bytes;
}

/* used_n: it is not there. */
static unsigned find(const struct page *page, uint64_t hash, const void *key, size_t key_bytes)
{
    unsigned i = 0;
    for (; i < page->used_n; i++) {
        if (page->word[i].finger != (uint16_t)hash)
            continue;
        const struct record *record = record_at(page, i);
        if (record->key_bytes == key_bytes && memcmp(record->bytes, key, key_bytes) == 0)
            break;
    }
    return i;
}

static void change(struct handle *own, struct page *page)
{
    if (page->changed)
        return;
    page->changed = true;
    own->changed[own->changed_n++] = (uint32_t)(((char *)page - own->pages) / PAGE);
}

static bool add(struct page *page, uint64_t hash, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    size_t bytes = sizeof(struct record) + key_bytes + value_bytes;
    if (sizeof *page + (page->used_n + 1u) * sizeof(struct word) + bytes > page->free_at)
        return false;
    page->free_at = (uint16_t)(page->free_at - bytes);
    page->word[page->used_n] = (struct word){ (uint16_t)hash, page->free_at };
    struct record *record = record_at(page, page->used_n++);
    *record = (struct record){ (uint16_t)key_bytes, (uint16_t)value_bytes };
    memcpy(record->bytes, key, key_bytes);
    memcpy(record->bytes + key_bytes, value, value_bytes);
    return true;
}

/* Without a hole. */
static void take_out(struct page *page, unsigned i)
{
    uint16_t at = page->word[i].at;
    size_t bytes = record_bytes(record_at(page, i));
    memmove((char *)page + page->free_at + bytes, (char *)page + page->free_at, at - page->free_at);
    page->free_at = (uint16_t)(page->free_at + bytes);
    page->word[i] = page->word[--page->used_n];
    for (unsigned k = 0; k < page->used_n; k++)
        if (page->word[k].at < at)
            page->word[k].at = (uint16_t)(page->word[k].at + bytes);
}

static int directory_double(struct handle *own)
{
    uint64_t n = (uint64_t)1 << own->depth;
    uint32_t *made = own->depth < DEPTH_MAX ? malloc(2 * n * sizeof *made) : NULL;
    if (!made)
        return driver_fail("no memory for a directory of depth %u", own->depth + 1);
    for (uint64_t i = 0; i < 2 * n; i++)
        made[i] = own->directory[i / 2];
    free(own->directory);
    own->directory = made;
    own->depth++;
    return DRIVER_OK;
}

static int divide(struct handle *own, uint64_t hash)
{
    char image[PAGE];
    struct page *low = page_of(own, hash), *old = (struct page *)image;
    if (low->depth == own->depth && directory_double(own) != DRIVER_OK)
        return DRIVER_FAILED;
    if (own->pages_n == own->pages_room)
        return driver_fail("more than %llu buckets", (unsigned long long)own->pages_room);
    memcpy(image, low, PAGE);
    unsigned depth = low->depth + 1u;
    uint64_t made = page_make(own, depth);
    struct page *high = page_at(own, made);
    *low = (struct page){ .free_at = PAGE, .depth = (uint8_t)depth, .changed = low->changed };
    uint64_t n = (uint64_t)1 << (own->depth - depth), first = (entry_of(own, hash) / n | 1) * n;
    for (uint64_t i = first; i < first + n; i++)
        own->directory[i] = (uint32_t)made;
    for (unsigned i = 0; i < old->used_n; i++) {
        const struct record *record = record_at(old, i);
        uint64_t its = hash_of(record->bytes, record->key_bytes);
        (void)add(its >> (64 - depth) & 1 ? high : low, its, record->bytes, record->key_bytes,
                  record->bytes + record->key_bytes, record->value_bytes);
    }
    change(own, low);
    change(own, high);
    return DRIVER_OK;
}

/* -- Transactions ------------------------------------------------------------------------------- */

static int write_some(struct handle *own, uint64_t first, unsigned n)
{
    struct iovec parts[CALL_PAGES];
    for (unsigned i = 0; i < n; i++) {
        struct page *page = page_at(own, own->changed[first + i]);
        page->changed = false;
        parts[i] = (struct iovec){ page, PAGE };
    }
    if (pwritev(own->file, parts, (int)n, (off_t)(own->next * PAGE)) != (ssize_t)n * PAGE)
        return driver_fail("pwritev: %s", strerror(errno));
    own->next += n;
    return DRIVER_OK;
}

static int commit(void *handle)
{
    struct handle *own = handle;
    uint64_t pages_n = 2 * own->pages_n + CALL_PAGES;
    for (uint64_t i = 0; i < own->changed_n;) {
        uint64_t n = own->changed_n - i < CALL_PAGES ? own->changed_n - i : CALL_PAGES;
        if (own->next + n > pages_n)
            own->next = 0;
        if (write_some(own, i, (unsigned)n) != DRIVER_OK)
            return DRIVER_FAILED;
        i += n;
    }
    own->changed_n = 0;
    own->writes = 0;
    return DRIVER_OK;
}

/* Behind all else a page that says so, as whoever wants to find it again must. */
static int sync_it(void *handle)
{
    struct handle *own = handle;
    static const char meta[PAGE];
    if (commit(own) != DRIVER_OK)
        return DRIVER_FAILED;
    if (fdatasync(own->file) != 0 || pwrite(own->file, meta, PAGE, (off_t)(own->next * PAGE)) != PAGE ||
        fdatasync(own->file) != 0)
        return driver_fail("sync: %s", strerror(errno));
    own->next++;
    return DRIVER_OK;
}

static int written(struct handle *own) { return ++own->writes == WRITES_PER_COMMIT ? commit(own) : DRIVER_OK; }

/* -- Calls -------------------------------------------------------------------------------------- */

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    const struct handle *own = handle;
    uint64_t hash = hash_of(key, key_bytes);
    const struct page *page = page_of(own, hash);
    unsigned i = find(page, hash, key, key_bytes);
    if (i == page->used_n)
        return DRIVER_MISSING;
    const struct record *record = record_at(page, i);
    *ret_bytes = record->value_bytes;
    memcpy(buf, record->bytes + key_bytes, *ret_bytes < buf_bytes ? *ret_bytes : buf_bytes);
    return DRIVER_OK;
}

/* In its place, where it has its size. */
static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct handle *own = handle;
    uint64_t hash = hash_of(key, key_bytes);
    struct page *page = page_of(own, hash);
    unsigned i = find(page, hash, key, key_bytes);
    change(own, page);
    if (i < page->used_n && record_at(page, i)->value_bytes == value_bytes) {
        memcpy(record_at(page, i)->bytes + key_bytes, value, value_bytes);
        return written(own);
    }
    if (i < page->used_n)
        take_out(page, i);
    while (!add(page_of(own, hash), hash, key, key_bytes, value, value_bytes))
        if (divide(own, hash) != DRIVER_OK)
            return DRIVER_FAILED;
    return written(own);
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return put(handle, key, key_bytes, value, value_bytes);
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct handle *own = handle;
    uint64_t hash = hash_of(key, key_bytes);
    struct page *page = page_of(own, hash);
    unsigned i = find(page, hash, key, key_bytes);
    if (i == page->used_n)
        return DRIVER_MISSING;
    take_out(page, i);
    change(own, page);
    return written(own);
}

const struct driver driver_store_floor = {
    .name = "floor",
    .settings = "buckets in memory, changed in place; each changed page written once for 10000 writes, 256 in a call; sync = "
                "fdatasync twice",
    .workers = DRIVER_THREADS, /* what one of them has made is nobody else's */
    .group = DRIVER_FLOOR,
    .memory = DRIVER_MEMORY_FILE,
    .open = open_it,
    .close = close_it,
    .unlink = unlink_it,
    .insert = insert,
    .get = get,
    .put = put,
    .del = del,
    .commit = commit,
    .sync = sync_it,
};
