/* SPDX-License-Identifier: MIT
 *
 * Large keys and values (runs.h).
 */
#include "store/runs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "store/store.h"

#define SUM_AT_ONCE ((uint64_t)1 << 18) /* read and summed while it is in the cache */

#define SCRATCH_BYTES (4 * PAGE_BYTES)

static_assert(RUN_LEAST <= SPACE_RUN_SURE, "a new zone has one");

static uint64_t pages_of(uint64_t bytes) { return bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0); }

/* -- Lists of runs ------------------------------------------------------------------------------- */

/* The next list of a value; how many runs it must have. */
static int list_read(const struct pager *pager, const struct bucket_large *large, uint64_t page, uint64_t before,
                     struct page_runs *ret_list)
{
    int rc = page_read(pager, (struct page_ref){ page, large->txn }, PAGE_RUNS, ret_list);
    if (rc != SHOAL_OK)
        return rc;
    uint64_t left = large->runs_n - before, n = left < RUNS_PER_PAGE ? left : RUNS_PER_PAGE;
    if (ret_list->head.prefix != before || ret_list->head.used_n != n)
        return page_bad(pager, page, "not the list of runs from %" PRIu64 " on", before);
    return SHOAL_OK;
}

/* Whole pages but in the last run, and all of the value together. */
static int run_check(const struct pager *pager, const struct bucket_large *large, uint64_t page,
                     const struct page_run *run, uint64_t at)
{
    uint64_t left = large->value_bytes - at;
    if (run->bytes == 0 || run->bytes > left || (run->bytes < left && run->bytes % PAGE_BYTES != 0) ||
        run->page == 0 || run->page > PAGE_NUMBER_MAX)
        return page_bad(pager, page, "a run of %" PRIu64 " bytes at page %" PRIu64 " of a value with %" PRIu64 " left",
                        run->bytes, run->page, left);
    return SHOAL_OK;
}

static int run_visit(const struct pager *pager, const struct bucket_large *large, uint64_t page,
                     const struct page_run *run, uint64_t *io_at, run_fn *fn, void *arg)
{
    int rc = run_check(pager, large, page, run, *io_at);
    if (rc == SHOAL_OK && fn != NULL)
        rc = fn(arg, run, *io_at);
    *io_at += run->bytes;
    return rc;
}

/* Each run of the value, and each page of a list; either function may be NULL. */
static int value_each(const struct pager *pager, const struct bucket_large *large, run_fn *each_run, runs_fn *each_list,
                      void *arg)
{
    uint64_t at = 0, page = large->run.page;
    int rc = SHOAL_OK;
    if (large->value_bytes > STORE_VALUE_MAX || large->runs_n > large->value_bytes)
        return page_bad(pager, page, "a value of %" PRIu64 " bytes in %" PRIu64 " runs", large->value_bytes, large->runs_n);
    if (large->runs_n == 1)
        rc = run_visit(pager, large, page, &large->run, &at, each_run, arg);
    for (uint64_t before = 0; large->runs_n > 1 && before < large->runs_n && rc == SHOAL_OK; before += RUNS_PER_PAGE) {
        struct page_runs list;
        rc = list_read(pager, large, page, before, &list);
        for (uint32_t i = 0; rc == SHOAL_OK && i < list.head.used_n; i++)
            rc = run_visit(pager, large, page, &list.run[i], &at, each_run, arg);
        if (rc == SHOAL_OK && each_list != NULL)
            rc = each_list(arg, page, 1);
        if (rc == SHOAL_OK)
            page = list.head.free_at;
    }
    if (rc == SHOAL_OK && at != large->value_bytes)
        return page_bad(pager, page, "runs of %" PRIu64 " bytes for a value of %" PRIu64, at, large->value_bytes);
    return rc;
}

/* -- Writing ------------------------------------------------------------------------------------- */

static int run_write(struct space *space, const void *bytes, uint64_t bytes_n, struct page_run *ret_run)
{
    uint64_t pages = pages_of(bytes_n), got;
    int rc = space_take(space, pages, pages < RUN_LEAST ? pages : RUN_LEAST, &ret_run->page, &got);
    if (rc != SHOAL_OK)
        return rc;
    ret_run->bytes = got == pages ? bytes_n : got * PAGE_BYTES;
    ret_run->sum = hash_bytes(bytes, ret_run->bytes, 0);
    return pager_write(space->pager, ret_run->page, bytes, ret_run->bytes);
}

static int lists_write(struct space *space, const struct page_run *runs, uint64_t runs_n, struct bucket_large *io_large)
{
    uint64_t lists_n = (runs_n + RUNS_PER_PAGE - 1) / RUNS_PER_PAGE, next = 0, got;
    for (uint64_t list_i = lists_n; list_i-- > 0;) { /* the last one first: each names the next */
        struct page_runs list;
        uint64_t before = list_i * RUNS_PER_PAGE, page;
        int rc = space_take(space, 1, 1, &page, &got);
        if (rc != SHOAL_OK)
            return rc;
        memset(&list, 0, sizeof list);
        list.head.prefix = before;
        list.head.free_at = next;
        list.head.used_n = (uint32_t)(runs_n - before < RUNS_PER_PAGE ? runs_n - before : RUNS_PER_PAGE);
        memcpy(list.run, runs + before, list.head.used_n * sizeof *runs);
        page_seal(space->pager, &list, PAGE_RUNS, (struct page_ref){ page, space->txn });
        rc = pager_write(space->pager, page, &list, sizeof list);
        if (rc != SHOAL_OK)
            return rc;
        next = page;
    }
    io_large->run = (struct page_run){ .page = next };
    return SHOAL_OK;
}

static int value_write(struct space *space, const uint8_t *value, struct bucket_large *io_large)
{
    struct page_run *runs = NULL;
    uint64_t room = 0;
    int rc = SHOAL_OK;
    for (uint64_t at = 0; at < io_large->value_bytes && rc == SHOAL_OK;) {
        if (io_large->runs_n == room) {
            room = room * 2 + 4;
            struct page_run *more = realloc(runs, room * sizeof *runs);
            if (more == NULL) {
                rc = error_os("%s: a list of runs", space->pager->name);
                break;
            }
            runs = more;
        }
        struct page_run *run = &runs[io_large->runs_n++];
        rc = run_write(space, value + at, io_large->value_bytes - at, run);
        at += run->bytes;
    }
    if (rc == SHOAL_OK && io_large->runs_n == 1)
        io_large->run = runs[0];
    else if (rc == SHOAL_OK && io_large->runs_n > 1)
        rc = lists_write(space, runs, io_large->runs_n, io_large);
    free(runs);
    return rc;
}

int runs_write(struct space *space, const void *key, uint32_t key_bytes, bool with_key, const void *value,
               uint64_t value_bytes, struct bucket_large *ret_large)
{
    *ret_large = (struct bucket_large){ .value_bytes = value_bytes, .txn = space->txn };
    if (with_key) {
        int rc = run_write(space, key, key_bytes, &ret_large->key);
        if (rc != SHOAL_OK)
            return rc;
    }
    return value_write(space, value, ret_large);
}

/* -- Reading ------------------------------------------------------------------------------------- */

struct reading {
    const struct pager *pager;
    uint8_t *to; /* NULL: only summed */
};

/* Summed while it comes in: a second way through 63 MiB would come from memory. */
static int run_read(void *arg, const struct page_run *run, uint64_t at)
{
    const struct reading *reading = arg;
    uint8_t scratch[SCRATCH_BYTES];
    uint64_t most = reading->to != NULL ? SUM_AT_ONCE : sizeof scratch;
    XXH3_state_t state;
    (void)XXH3_64bits_reset(&state);
    for (uint64_t done = 0; done < run->bytes;) {
        uint64_t n = run->bytes - done < most ? run->bytes - done : most;
        uint8_t *to = reading->to != NULL ? reading->to + at + done : scratch;
        int rc = pager_read(reading->pager, run->page + done / PAGE_BYTES, n, to);
        if (rc != SHOAL_OK)
            return rc;
        (void)XXH3_64bits_update(&state, to, n);
        done += n;
    }
    if (XXH3_64bits_digest(&state) != run->sum)
        return page_bad(reading->pager, run->page, "the checksum of the %" PRIu64 " bytes from here on does not match",
                        run->bytes);
    return SHOAL_OK;
}

int runs_read_value(const struct pager *pager, const struct bucket_large *large, void *ret_value)
{
    struct reading reading = { pager, ret_value };
    return value_each(pager, large, run_read, NULL, &reading);
}

int runs_check_value(const struct pager *pager, const struct bucket_large *large)
{
    struct reading reading = { pager, NULL };
    return value_each(pager, large, run_read, NULL, &reading);
}

int runs_read_key(const struct pager *pager, const struct bucket_large *large, uint32_t key_bytes, void *ret_key)
{
    struct reading reading = { pager, ret_key };
    if (large->key.bytes != key_bytes || large->key.page > PAGE_NUMBER_MAX)
        return page_bad(pager, large->key.page, "a key of %" PRIu64 " bytes, not %u", large->key.bytes, key_bytes);
    return run_read(&reading, &large->key, 0);
}

/* -- Pages --------------------------------------------------------------------------------------- */

int runs_walk(const struct pager *pager, const struct bucket_large *large, bool with_key, run_fn *each_run,
              runs_fn *each_list, void *arg)
{
    if (with_key && (large->key.page > PAGE_NUMBER_MAX || large->key.bytes > STORE_KEY_MAX))
        return page_bad(pager, large->key.page, "a key of %" PRIu64 " bytes", large->key.bytes);
    int rc = with_key ? each_run(arg, &large->key, 0) : SHOAL_OK;
    return rc == SHOAL_OK ? value_each(pager, large, each_run, each_list, arg) : rc;
}

struct visiting {
    runs_fn *fn;
    void *arg;
};

static int visit_run(void *arg, const struct page_run *run, uint64_t at)
{
    const struct visiting *visiting = arg;
    (void)at;
    return visiting->fn(visiting->arg, run->page, pages_of(run->bytes));
}

static int visit_list(void *arg, uint64_t page, uint64_t pages_n)
{
    const struct visiting *visiting = arg;
    return visiting->fn(visiting->arg, page, pages_n);
}

int runs_each(const struct pager *pager, const struct bucket_large *large, bool with_key, runs_fn *fn, void *arg)
{
    struct visiting visiting = { fn, arg };
    int rc = with_key ? fn(arg, large->key.page, pages_of(large->key.bytes)) : SHOAL_OK;
    return rc == SHOAL_OK ? value_each(pager, large, visit_run, visit_list, &visiting) : rc;
}

struct freeing {
    struct space *space;
    enum space_freed how;
};

static int give_back(void *arg, uint64_t page, uint64_t pages_n)
{
    const struct freeing *freeing = arg;
    return space_free(freeing->space, page, pages_n, freeing->how);
}

int runs_free(struct space *space, const struct bucket_large *large, bool with_key)
{
    struct freeing freeing = { space, large->txn == space->txn ? SPACE_OWN : SPACE_RUN };
    return runs_each(space->pager, large, with_key, give_back, &freeing);
}

/* -- Moving -------------------------------------------------------------------------------------- */

#define MOVE_AT_ONCE ((uint64_t)1 << 18) /* whole pages */

struct moving {
    struct space *space;
    uint8_t *bytes;           /* MOVE_AT_ONCE */
    struct page_run *runs;    /* that are written */
    uint64_t runs_n, runs_room;
    uint64_t least;           /* pages of a run */
    uint64_t left, room;      /* of the value, and of the run that is being written: bytes to come */
    XXH3_state_t state;       /* of that run */
};

static int moving_run(struct moving *m)
{
    if (m->runs_n == m->runs_room) {
        uint64_t room = m->runs_room * 2 + 4;
        struct page_run *runs = realloc(m->runs, room * sizeof *runs);
        if (runs == NULL)
            return error_os("%s: a list of runs", m->space->pager->name);
        m->runs = runs;
        m->runs_room = room;
    }
    struct page_run *run = &m->runs[m->runs_n];
    uint64_t pages = pages_of(m->left), got;
    int rc = space_take(m->space, pages, pages < m->least ? pages : m->least, &run->page, &got);
    if (rc != SHOAL_OK)
        return rc;
    m->runs_n++;
    m->room = run->bytes = got == pages ? m->left : got * PAGE_BYTES;
    (void)XXH3_64bits_reset(&m->state);
    return SHOAL_OK;
}

static int moving_write(struct moving *m, const uint8_t *bytes, uint64_t n)
{
    while (n > 0) {
        int rc = m->room == 0 ? moving_run(m) : SHOAL_OK;
        if (rc != SHOAL_OK)
            return rc;
        struct page_run *run = &m->runs[m->runs_n - 1];
        uint64_t part = n < m->room ? n : m->room;
        rc = pager_write(m->space->pager, run->page + (run->bytes - m->room) / PAGE_BYTES, bytes, part);
        if (rc != SHOAL_OK)
            return rc;
        (void)XXH3_64bits_update(&m->state, bytes, part);
        m->room -= part;
        m->left -= part;
        bytes += part;
        n -= part;
        if (m->room == 0)
            run->sum = XXH3_64bits_digest(&m->state);
    }
    return SHOAL_OK;
}

/* What does not match its sum does not get another one. */
static int move_run(void *arg, const struct page_run *run, uint64_t at)
{
    struct moving *m = arg;
    XXH3_state_t state;
    int rc = SHOAL_OK;
    (void)at;
    (void)XXH3_64bits_reset(&state);
    for (uint64_t done = 0; rc == SHOAL_OK && done < run->bytes; done += MOVE_AT_ONCE) {
        uint64_t n = run->bytes - done < MOVE_AT_ONCE ? run->bytes - done : MOVE_AT_ONCE;
        rc = pager_read(m->space->pager, run->page + done / PAGE_BYTES, n, m->bytes);
        (void)XXH3_64bits_update(&state, m->bytes, n);
        if (rc == SHOAL_OK)
            rc = moving_write(m, m->bytes, n);
    }
    if (rc == SHOAL_OK && XXH3_64bits_digest(&state) != run->sum)
        return page_bad(m->space->pager, run->page, "the checksum of the %" PRIu64 " bytes from here on does not match",
                        run->bytes);
    return rc;
}

static int move_key(struct moving *m, const struct bucket_large *large, uint32_t key_bytes, struct page_run *ret_run)
{
    static_assert(STORE_KEY_MAX <= MOVE_AT_ONCE, "a key fits");
    int rc = runs_read_key(m->space->pager, large, key_bytes, m->bytes);
    return rc == SHOAL_OK ? run_write(m->space, m->bytes, key_bytes, ret_run) : rc;
}

int runs_move(struct space *space, const struct bucket_large *large, uint32_t key_bytes, bool with_key, uint64_t least,
              struct bucket_large *ret_large)
{
    struct moving m = { .space = space, .least = least, .bytes = malloc(MOVE_AT_ONCE), .left = large->value_bytes };
    *ret_large = (struct bucket_large){ .hash = large->hash, .value_bytes = large->value_bytes, .txn = space->txn };
    int rc = m.bytes != NULL ? SHOAL_OK : error_os("%s: memory for a run", space->pager->name);
    if (rc == SHOAL_OK && with_key)
        rc = move_key(&m, large, key_bytes, &ret_large->key);
    if (rc == SHOAL_OK)
        rc = value_each(space->pager, large, move_run, NULL, &m);
    ret_large->runs_n = m.runs_n;
    if (rc == SHOAL_OK && m.runs_n == 1)
        ret_large->run = m.runs[0];
    else if (rc == SHOAL_OK && m.runs_n > 1)
        rc = lists_write(space, m.runs, m.runs_n, ret_large);
    free(m.runs);
    free(m.bytes);
    return rc == SHOAL_OK ? runs_free(space, large, with_key) : rc;
}
