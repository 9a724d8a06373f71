/* SPDX-License-Identifier: MIT
 *
 * Every page of a store against every other (store.h: store_check; page.h: P1..P3, N1..N3; space.h: Z1).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/handle.h"
#include "store/runs.h"

#define LOCK_MS 10000
#define KEPT_MAX 32u  /* faults; more are only counted */
#define ROUNDS_MAX 16 /* without the lock: others have written meanwhile */
#define PROGRESS_EVERY 256u /* pages */

struct checking {
    struct store *store;
    struct page_meta meta;
    struct space space;
    uint64_t *used;        /* a bit for each page that something leads to */
    uint64_t records_n, record_bytes;
    shoal_progress_fn *progress; /* may be NULL */
    void *progress_arg;
    uint64_t done, next; /* pages; when progress is asked */
    int ended;           /* what it answered */
    struct store_fault kept[KEPT_MAX]; /* until it is known that nobody has written over what was read */
    uint64_t faults_n;
};

/* -- Faults -------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void fault(struct checking *c, uint64_t page, const char *format, ...)
{
    struct store_fault it = { .page = page };
    va_list args;
    va_start(args, format);
    (void)vsnprintf(it.text, sizeof it.text, format, args);
    va_end(args);
    if (c->faults_n < KEPT_MAX)
        c->kept[c->faults_n] = it;
    c->faults_n++;
}

/* What failed has said it in the thread's text. */
static void fault_said(struct checking *c, uint64_t page) { fault(c, page, "%s", shoal_error_text()); }

/* -- Pages --------------------------------------------------------------------------------------- */

static int mark(void *arg, uint64_t page, uint64_t pages_n)
{
    struct checking *c = arg;
    for (uint64_t i = page; i < page + pages_n; i++) {
        if (i >= c->meta.pages_end || i < META_PAGES) {
            fault(c, i, "in use, outside of the file");
            return SHOAL_OK;
        }
        uint64_t *word = &c->used[i / 64], bit = (uint64_t)1 << i % 64;
        if ((*word & bit) != 0)
            fault(c, i, "in use twice");
        *word |= bit;
    }
    c->done += pages_n;
    return SHOAL_OK;
}

static bool has_ended(struct checking *c)
{
    if (c->progress != NULL && c->ended == 0 && c->done >= c->next) {
        const struct page_meta *meta = &c->meta;
        uint64_t total = meta->pages_end - meta->free_n - meta->held_n;
        c->next = c->done + PROGRESS_EVERY;
        c->ended = c->progress(c->done < total ? c->done : total, total, c->progress_arg);
    }
    return c->ended != 0;
}

static void mark_space(struct checking *c)
{
    for (unsigned i = 0; i < META_INDICES; i++)
        if (c->meta.index[i].page != 0)
            (void)mark(c, c->meta.index[i].page, 1);
}

/* A zone's own pages are in use without anything that leads there: those before its first other page. */
static bool zone_own_page(uint64_t page)
{
    uint64_t in_zone = page % ZONE_PAGES;
    return in_zone < ZONE_MAPS + (page < ZONE_PAGES ? META_PAGES : 0);
}

static void check_space(struct checking *c)
{
    for (uint64_t page = 0; page < c->meta.pages_end; page++) {
        enum page_use use;
        bool used = (c->used[page / 64] >> page % 64 & 1) != 0;
        if (space_use(&c->space, page, &use) != SHOAL_OK) {
            fault_said(c, page);
            page += ZONE_PAGES - 1 - page % ZONE_PAGES;
            continue;
        }
        if (used && zone_own_page(page))
            fault(c, page, "in use, but belongs to a zone's maps");
        else if (used != (use == PAGE_USED || use == PAGE_NEW) && !zone_own_page(page))
            fault(c, page, used ? "in use, but free in the map of its zone" : "in use in the map of its zone alone: lost");
    }
}

/* -- Records ------------------------------------------------------------------------------------- */

static int check_large(struct checking *c, const struct bucket_item *item, const struct bucket_large *large)
{
    int rc = runs_check_value(&c->store->pager, large);
    if (rc != SHOAL_OK || (item->flags & RECORD_LARGE_KEY) == 0)
        return rc;
    uint8_t *key = malloc(item->key_bytes);
    if (key == NULL)
        return error_os("%s: a key of %u bytes", c->store->name, item->key_bytes);
    rc = runs_read_key(&c->store->pager, large, item->key_bytes, key);
    if (rc == SHOAL_OK && store_hash(c->store, key, item->key_bytes) != large->hash)
        rc = page_bad(&c->store->pager, large->key.page, "a key with another hash");
    free(key);
    return rc;
}

static void check_item(struct checking *c, const struct bucket *bucket, const struct bucket_item *item)
{
    struct bucket_large large;
    uint64_t value_bytes = item->value_bytes, page = bucket->head.page;
    uint64_t hash = tree_item_hash(c->store->seed, item);
    if ((item->flags & RECORD_LARGE) != 0 && bucket_item_large(item, &large)) {
        value_bytes = large.value_bytes;
        if (runs_each(&c->store->pager, &large, (item->flags & RECORD_LARGE_KEY) != 0, mark, c) != SHOAL_OK ||
            check_large(c, item, &large) != SHOAL_OK)
            fault_said(c, page);
    }
    if (hash_prefix(hash, bucket->head.depth) != bucket->head.prefix)
        fault(c, page, "a record with hash %016" PRIx64 ", of another bucket", hash);
    if (item->version == 0 || item->version >= c->meta.version_next)
        fault(c, page, "a record of version %" PRIu64 ", which was not given out", item->version);
    c->records_n++;
    c->record_bytes += item->key_bytes + value_bytes;
}

static bool same_key(const struct bucket_item *a, const struct bucket_item *b)
{
    return a->key_bytes == b->key_bytes && a->key != NULL && b->key != NULL &&
           memcmp(a->key, b->key, a->key_bytes) == 0;
}

static void check_bucket(struct checking *c, struct node_child child, uint64_t hash)
{
    struct bucket bucket;
    if (bucket_read(&c->store->pager, child.ref, child.depth, hash, &bucket) != SHOAL_OK) {
        fault_said(c, child.ref.page);
        return;
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < bucket.head.used_n; i++) {
        struct bucket_item item, other;
        if (!bucket_item(&bucket, i, &item)) {
            fault(c, child.ref.page, "record %u is not what its checksum says", i);
            continue;
        }
        uint64_t of = tree_item_hash(c->store->seed, &item);
        bytes += bucket_item_bytes(&item);
        check_item(c, &bucket, &item);
        if (bucket_next(&bucket, i, of) != i)
            fault(c, child.ref.page, "record %u has another fingerprint", i);
        for (uint32_t j = bucket_next(&bucket, i + 1, of); j < bucket.head.used_n; j = bucket_next(&bucket, j + 1, of))
            if (bucket_item(&bucket, j, &other) && same_key(&item, &other))
                fault(c, child.ref.page, "a key twice");
    }
    if (bytes != bucket.head.used_bytes)
        fault(c, child.ref.page, "%" PRIu64 " bytes of records, the head says %u", bytes, bucket.head.used_bytes);
}

static void check_node(struct checking *c, struct node_child child, unsigned level, uint64_t hash)
{
    struct page_node node;
    (void)mark(c, child.ref.page, 1);
    if (node_read(&c->store->pager, child.ref, level, child.depth, hash, &node) != SHOAL_OK) {
        fault_said(c, child.ref.page);
        return;
    }
    for (uint32_t i = 0; i < NODE_ENTRIES && !has_ended(c);) {
        struct node_child next = node_child_at(&node, i);
        uint64_t first = node.head.prefix | (uint64_t)i << (64 - NODE_BITS) >> child.depth;
        i += node_span(child.depth, next.depth);
        if (level > 0) {
            check_node(c, next, level - 1, first);
        } else if (next.ref.page != 0) {
            (void)mark(c, next.ref.page, 1);
            check_bucket(c, next, first);
        }
    }
}

/* -- All ----------------------------------------------------------------------------------------- */

static int check_all(struct checking *c)
{
    const struct page_meta *meta = &c->meta;
    if (meta->head.level >= LEVELS_MAX || meta->pages_end > PAGE_NUMBER_MAX)
        return page_bad(&c->store->pager, meta->head.page, "%u levels, %" PRIu64 " pages", meta->head.level + 1u,
                        meta->pages_end);
    int rc = space_load(&c->space, &c->store->pager, meta);
    if (rc != SHOAL_OK)
        return rc;
    c->used = calloc(meta->pages_end / 64 + 1, sizeof *c->used);
    if (c->used == NULL) {
        space_drop(&c->space);
        return error_os("%s: memory for %" PRIu64 " pages", c->store->name, meta->pages_end);
    }
    mark_space(c);
    check_node(c, (struct node_child){ meta->root, 0 }, meta->head.level, 0);
    if (c->ended == 0)
        check_space(c);
    if (c->ended == 0 && (c->records_n != meta->records_n || c->record_bytes != meta->record_bytes))
        fault(c, meta->head.page, "%" PRIu64 " records of %" PRIu64 " bytes are there, the meta says %" PRIu64 " of %" PRIu64,
              c->records_n, c->record_bytes, meta->records_n, meta->record_bytes);
    free(c->used);
    space_drop(&c->space);
    return c->ended;
}

/* Another root counts by now, so what the first one led to may have been written over. */
static bool has_moved(struct checking *c)
{
    struct page_meta meta;
    return meta_current(c->store, &meta) == SHOAL_OK && meta.head.txn != c->meta.head.txn;
}

/* The root that counts, with what it leads to kept as it is: under the lock, or else for as long as nobody writes. */
static int check_root(struct checking *c, bool locked)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        c->faults_n = c->records_n = c->record_bytes = c->done = c->next = 0;
        int rc = meta_current(c->store, &c->meta);
        if (rc == SHOAL_OK)
            rc = check_all(c);
        if (c->ended != 0 || (rc == SHOAL_OK && c->faults_n == 0) || locked || !has_moved(c))
            return rc;
    }
    c->faults_n = 0;
    return error_set(SHOAL_CHANGED, "%s: others wrote to it each of the %d times that it was checked without its lock",
                     c->store->name, ROUNDS_MAX);
}

int store_check(struct store *store, store_fault_fn *each, void *arg, uint64_t *ret_faults_n)
{
    return store_check_with(store, each, arg, NULL, NULL, ret_faults_n);
}

int store_check_with(struct store *store, store_fault_fn *each, void *arg, shoal_progress_fn *progress, void *progress_arg,
                     uint64_t *ret_faults_n)
{
    struct checking *c = calloc(1, sizeof *c);
    if (c == NULL)
        return error_os("%s: memory to check it", store->name);
    c->store = store;
    c->progress = progress;
    c->progress_arg = progress_arg;
    int rc = store->writable ? store_lock(store, LOCK_MS) : SHOAL_OK;
    bool locked = store->writable && rc == SHOAL_OK;
    if (rc == SHOAL_EFULL) {
        free(c);
        return rc; /* where the lock is refused for another reason nobody else writes either */
    }
    rc = check_root(c, store->writable);
    if (locked)
        store_unlock(store);
    uint64_t n = c->faults_n;
    for (uint64_t i = 0; each != NULL && i < n && i < KEPT_MAX; i++)
        each(arg, &c->kept[i]);
    free(c);
    *ret_faults_n = n;
    return rc != SHOAL_OK || n == 0 ? rc : error_set(SHOAL_ECORRUPT, "%s: %" PRIu64 " faults", store->name, n);
}
