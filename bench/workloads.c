/* SPDX-License-Identifier: MIT
 *
 * The workloads, one loop for all drivers.
 *
 * A workload is a function that does CHUNK operations; the loop around it looks at the clock between chunks,
 * so that the clock costs less than half a nanosecond per operation.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "workloads.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* clock_gettime takes about 25 ns.  Several batches fit, exactly. */
#define CHUNK 64u
_Static_assert(CHUNK % DRIVER_BATCH == 0, "a chunk holds whole batches");

const struct workload workloads[WORKLOADS_N] = {
    { "insert", WORKLOAD_INSERT, KEYSET_PRESENT, 0, 0 },   /* fill */
    { "get_hit", WORKLOAD_GET, KEYSET_UNIFORM, 100, 0 },   /* all keys alike */
    { "get_zipf", WORKLOAD_GET, KEYSET_ZIPF, 100, 0 },     /* some keys often */
    { "get_miss", WORKLOAD_GET, KEYSET_ABSENT, 100, 0 },   /* absent keys */
    { "batch32", WORKLOAD_BATCH, KEYSET_UNIFORM, 100, 0 }, /* many in one call */
    { "put", WORKLOAD_MIX, KEYSET_UNIFORM, 0, 0 },         /* replace */
    { "mix95", WORKLOAD_MIX, KEYSET_ZIPF, 95, 0 },         /* read mostly */
    { "mix50", WORKLOAD_MIX, KEYSET_ZIPF, 50, 0 },         /* half and half */
    { "ycsb_a", WORKLOAD_MIX, KEYSET_ZIPF, 50, 0 },        /* the mixes of YCSB: Cooper et al., SoCC 2010 */
    { "ycsb_b", WORKLOAD_MIX, KEYSET_ZIPF, 95, 0 },
    { "ycsb_c", WORKLOAD_GET, KEYSET_ZIPF, 100, 0 },
    { "ycsb_f", WORKLOAD_MODIFY, KEYSET_ZIPF, 50, 0 },
    { "even50", WORKLOAD_MIX, KEYSET_UNIFORM, 50, 0 },     /* the same, all keys alike */
    { "sync1", WORKLOAD_SYNC, KEYSET_UNIFORM, 0, 1 },      /* each change on disk */
    { "sync10", WORKLOAD_SYNC, KEYSET_UNIFORM, 0, 10 },
    { "sync100", WORKLOAD_SYNC, KEYSET_UNIFORM, 0, 100 },
    { "sync1000", WORKLOAD_SYNC, KEYSET_UNIFORM, 0, 1000 },
    { "churn", WORKLOAD_CHURN, KEYSET_PRESENT, 0, 0 },     /* delete and insert */
    { "delete", WORKLOAD_DELETE, KEYSET_PRESENT, 0, 0 },   /* all of them */
    { "reopen", WORKLOAD_REOPEN, KEYSET_UNIFORM, 0, 0 },   /* behind a kill */
};

int workload_find(const char *name)
{
    for (int i = 0; i < WORKLOADS_N; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return i;
    return -1;
}

int64_t workload_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* -- A worker -------------------------------------------------------------------- */

struct belonging {
    const struct driver *driver;
    const struct driver_setup *setup;
    unsigned index;
};

static int belongs(const void *arg, const char *key)
{
    const struct belonging *to = arg;
    return to->driver->owner(to->setup, key, to->setup->key_bytes) == to->index;
}

/* Which keys it may write. */
static int take_share(struct worker *worker, const struct driver_setup *setup)
{
    const struct keyset *set = worker->set;
    worker->own.set = set;
    worker->first = set->keys_n * worker->index / worker->workers_n;
    worker->share_n = set->keys_n * (worker->index + 1) / worker->workers_n - worker->first;
    if (!worker->driver->owner || worker->workers_n == 1)
        return 0;
    const struct belonging to = { worker->driver, setup, worker->index };
    if (keyset_part(set, belongs, &to, &worker->part) != 0)
        return driver_fail("no memory for a worker's keys");
    worker->own.set = &worker->part;
    worker->first = 0;
    worker->share_n = worker->part.keys_n;
    return 0;
}

/* Far apart, so that workers do not follow each other. */
static void spread_out(const struct worker *worker, struct cursor *cursor)
{
    for (int order = 0; order < KEYSET_ORDERS; order++)
        cursor->at[order] = cursor->set->order[order].n * worker->index / worker->workers_n;
}

int worker_init(struct worker *worker, const struct driver *driver, void *handle, const struct keyset *set,
                const struct driver_setup *setup, unsigned index)
{
    const unsigned workers_n = setup->workers;
    *worker = (struct worker){
        .driver = driver, .handle = handle, .set = set, .index = index, .workers_n = workers_n, .version = index
    };
    if (take_share(worker, setup) != 0)
        return DRIVER_FAILED;
    worker->all.set = set;
    spread_out(worker, &worker->all);
    spread_out(worker, &worker->own);
    worker->cursor = &worker->all;
    worker->coin = KEYSET_COINS * (uint64_t)index / workers_n;
    worker->stride = (set->value_bytes + 63) / 64 * 64;
    worker->values = aligned_alloc(64, worker->stride * DRIVER_BATCH);
    if (!worker->values)
        return driver_fail("no memory for value buffers");
    memset(worker->values, 0, worker->stride * DRIVER_BATCH);
    for (size_t i = 0; i < DRIVER_BATCH; i++)
        worker->results[i] =
            (struct driver_result){ .buf = worker->values + i * worker->stride, .buf_bytes = set->value_bytes };
    return 0;
}

void worker_done(struct worker *worker)
{
    keyset_free(&worker->part);
    free(worker->values);
    worker->values = NULL;
}

static inline const char *next_key(struct worker *worker, enum keyset_order order)
{
    struct cursor *cursor = worker->cursor;
    const struct keyset_stream *stream = &cursor->set->order[order];
    uint64_t at = cursor->at[order];
    cursor->at[order] = at + 1 == stream->n ? 0 : at + 1;
    return stream->keys + at * worker->set->key_bytes;
}

/* Of those it may write. */
static const char *key_at(const struct worker *worker, enum keyset_order order, uint64_t index)
{
    return worker->own.set->order[order].keys + index * worker->set->key_bytes;
}

/* -- Checks ---------------------------------------------------------------------- */

static int wrong_answer(const char *call, int wanted, int got)
{
    if (got < 0)
        return DRIVER_FAILED; /* the driver left its own text */
    return driver_fail("%s answered %d, not %d", call, got, wanted);
}

static int check_value(const struct worker *worker, const char *key, const char *buf, size_t bytes)
{
    if (bytes != worker->set->value_bytes)
        return driver_fail("a value of %zu bytes came back with %zu", worker->set->value_bytes, bytes);
    if (!keyset_value_ok(key, buf, bytes))
        return driver_fail("a value is torn or of another key");
    return 0;
}

/* -- Operations ------------------------------------------------------------------ */

static inline int get_present(struct worker *worker, const char *key)
{
    size_t bytes = 0;
    const struct driver_result *first = &worker->results[0];
    int code = worker->driver->get(worker->handle, key, worker->set->key_bytes, first->buf, first->buf_bytes, &bytes);
    if (code != DRIVER_OK)
        return wrong_answer("get of a present key", DRIVER_OK, code);
    return check_value(worker, key, first->buf, bytes);
}

static inline int get_absent(struct worker *worker, const char *key)
{
    size_t bytes = 0;
    const struct driver_result *first = &worker->results[0];
    int code = worker->driver->get(worker->handle, key, worker->set->key_bytes, first->buf, first->buf_bytes, &bytes);
    return code == DRIVER_MISSING ? 0 : wrong_answer("get of an absent key", DRIVER_MISSING, code);
}

static inline void next_value(struct worker *worker, const char *key)
{
    worker->version += worker->workers_n;
    keyset_value(key, worker->version, worker->values, worker->set->value_bytes);
}

static inline int put(struct worker *worker, const char *key)
{
    next_value(worker, key);
    int code =
        worker->driver->put(worker->handle, key, worker->set->key_bytes, worker->values, worker->set->value_bytes);
    return code == DRIVER_OK ? 0 : wrong_answer("put", DRIVER_OK, code);
}

static inline int insert(struct worker *worker, const char *key)
{
    next_value(worker, key);
    int code =
        worker->driver->insert(worker->handle, key, worker->set->key_bytes, worker->values, worker->set->value_bytes);
    return code == DRIVER_OK ? 0 : wrong_answer("insert of a new key", DRIVER_OK, code);
}

/* -- Chunks ---------------------------------------------------------------------- */

typedef int chunk_fn(struct worker *worker, const struct workload *workload);

static int chunk_get(struct worker *worker, const struct workload *workload)
{
    for (unsigned i = 0; i < CHUNK; i++)
        if (get_present(worker, next_key(worker, workload->order)) != 0)
            return DRIVER_FAILED;
    return 0;
}

static int chunk_miss(struct worker *worker, const struct workload *workload)
{
    for (unsigned i = 0; i < CHUNK; i++)
        if (get_absent(worker, next_key(worker, workload->order)) != 0)
            return DRIVER_FAILED;
    return 0;
}

static int batch(struct worker *worker, const struct workload *workload)
{
    struct driver_key keys[DRIVER_BATCH];
    for (unsigned i = 0; i < DRIVER_BATCH; i++) {
        keys[i] = (struct driver_key){ next_key(worker, workload->order), worker->set->key_bytes };
        worker->results[i].code = DRIVER_FAILED; /* an answer that is not set is seen */
    }
    int code = worker->driver->get_many(worker->handle, keys, DRIVER_BATCH, worker->results);
    if (code != DRIVER_OK)
        return wrong_answer("get_many", DRIVER_OK, code);
    for (unsigned i = 0; i < DRIVER_BATCH; i++) {
        const struct driver_result *result = &worker->results[i];
        if (result->code != DRIVER_OK)
            return driver_fail("get_many answered %d for a present key", result->code);
        if (check_value(worker, keys[i].key, result->buf, result->bytes) != 0)
            return DRIVER_FAILED;
    }
    return 0;
}

/* The same of a driver without batches. */
static int get_some(struct worker *worker, const struct workload *workload)
{
    for (unsigned i = 0; i < DRIVER_BATCH; i++)
        if (get_present(worker, next_key(worker, workload->order)) != 0)
            return DRIVER_FAILED;
    return 0;
}

static int chunk_batch(struct worker *worker, const struct workload *workload)
{
    for (unsigned i = 0; i < CHUNK / DRIVER_BATCH; i++)
        if (batch(worker, workload) != 0)
            return DRIVER_FAILED;
    return 0;
}

static int chunk_mix(struct worker *worker, const struct workload *workload)
{
    for (unsigned i = 0; i < CHUNK; i++) {
        const char *key = next_key(worker, workload->order);
        int read = worker->set->coins[worker->coin++ % KEYSET_COINS] < workload->reads_percent;
        if ((read ? get_present(worker, key) : put(worker, key)) != 0)
            return DRIVER_FAILED;
    }
    return 0;
}

static int chunk_modify(struct worker *worker, const struct workload *workload)
{
    for (unsigned i = 0; i < CHUNK; i++) {
        const char *key = next_key(worker, workload->order);
        int read = worker->set->coins[worker->coin++ % KEYSET_COINS] < workload->reads_percent;
        if (get_present(worker, key) != 0 || (!read && put(worker, key) != 0))
            return DRIVER_FAILED;
    }
    return 0;
}

/* Of the keys in its share, those that another one can stand in for. */
static uint64_t churning_n(const struct worker *worker)
{
    uint64_t absent_n = worker->own.set->order[KEYSET_ABSENT].n - worker->first;
    return absent_n < worker->share_n ? absent_n : worker->share_n;
}

/* Each worker goes through its own share of the keys, replacing present ones by absent ones; at the end of
 * the share the two change places.  Deleting comes first, so the table never holds more than its keys. */
static int chunk_churn(struct worker *worker, const struct workload *workload)
{
    (void)workload;
    const uint64_t share = churning_n(worker);
    for (unsigned i = 0; i < CHUNK / 2; i++, worker->churned++) {
        uint64_t index = worker->first + worker->churned % share;
        int back = (worker->churned / share) % 2 != 0;
        const char *old = key_at(worker, back ? KEYSET_ABSENT : KEYSET_PRESENT, index);
        const char *new = key_at(worker, back ? KEYSET_PRESENT : KEYSET_ABSENT, index);
        int code = worker->driver->del(worker->handle, old, worker->set->key_bytes);
        if (code != DRIVER_OK)
            return wrong_answer("delete of a present key", DRIVER_OK, code);
        if (insert(worker, new) != 0)
            return DRIVER_FAILED;
    }
    return 0;
}

/* Counted by itself: one operation. */
static int chunk_sync(struct worker *worker, const struct workload *workload)
{
    for (unsigned i = 0; i < workload->changes_n; i++)
        if (put(worker, next_key(worker, workload->order)) != 0)
            return DRIVER_FAILED;
    return worker->driver->sync(worker->handle);
}

/* -- Running --------------------------------------------------------------------- */

static chunk_fn *chunk_of(const struct worker *worker, const struct workload *workload)
{
    switch (workload->kind) {
    case WORKLOAD_BATCH:
        return worker->driver->get_many ? chunk_batch : chunk_get;
    case WORKLOAD_MIX:
        return chunk_mix;
    case WORKLOAD_MODIFY:
        return chunk_modify;
    case WORKLOAD_CHURN:
        return chunk_churn;
    case WORKLOAD_SYNC:
        return chunk_sync;
    default:
        return workload->order == KEYSET_ABSENT ? chunk_miss : chunk_get;
    }
}

/* Readers may ask for each other's keys where nobody writes. */
static struct cursor *cursor_of(struct worker *worker, const struct workload *workload)
{
    int reads = workload->kind == WORKLOAD_GET || workload->kind == WORKLOAD_BATCH;
    return reads ? &worker->all : &worker->own;
}

static int commit(struct worker *worker) { return worker->driver->commit ? worker->driver->commit(worker->handle) : 0; }

/* Which key is there of the two that churn puts in one place. */
static const char *key_there(const struct worker *worker, uint64_t index)
{
    const uint64_t share = churning_n(worker);
    int back = (worker->churned / share) % 2 != 0;
    int turned = index - worker->first < worker->churned % share;
    int churns = index - worker->first < share;
    return key_at(worker, churns && turned != back ? KEYSET_ABSENT : KEYSET_PRESENT, index);
}

static int delete_one(struct worker *worker, const char *key)
{
    int code = worker->driver->del(worker->handle, key, worker->set->key_bytes);
    return code == DRIVER_OK ? 0 : wrong_answer("delete of a present key", DRIVER_OK, code);
}

/* Insert and delete: each worker its own share. */
static int run_all(struct worker *worker, const struct workload *workload, struct tally *ret_tally)
{
    int64_t cpu = cpu_ns();
    uint64_t from = worker->first, to = from + worker->share_n;
    ret_tally->start_ns = workload_clock_ns();
    for (uint64_t i = from; i < to; i++)
        if ((workload->kind == WORKLOAD_INSERT ? insert(worker, key_at(worker, KEYSET_PRESENT, i))
                                               : delete_one(worker, key_there(worker, i))) != 0)
            return DRIVER_FAILED;
    int code = commit(worker);
    ret_tally->end_ns = workload_clock_ns();
    ret_tally->cpu_ns = cpu_ns() - cpu;
    ret_tally->ops = to - from;
    return code;
}

static int run_for(struct worker *worker, const struct workload *workload, double seconds, struct tally *ret_tally)
{
    worker->cursor = cursor_of(worker, workload);
    if (workload->kind == WORKLOAD_INSERT || workload->kind == WORKLOAD_DELETE)
        return run_all(worker, workload, ret_tally);
    if (workload->kind == WORKLOAD_SYNC && worker->driver->sync(worker->handle) != 0)
        return DRIVER_FAILED; /* what came before is not counted */
    chunk_fn *chunk = chunk_of(worker, workload);
    int64_t cpu = cpu_ns(), start = workload_clock_ns(), now;
    int64_t deadline = start + (int64_t)(seconds * 1e9);
    uint64_t ops = 0;
    do {
        if (chunk(worker, workload) != 0)
            return DRIVER_FAILED;
        ops += workload->kind == WORKLOAD_SYNC ? 1 : CHUNK;
        now = workload_clock_ns();
    } while (now < deadline);
    if (commit(worker) != 0)
        return DRIVER_FAILED;
    *ret_tally = (struct tally){ ops, start, workload_clock_ns(), cpu_ns() - cpu };
    return 0;
}

int workload_run(struct worker *worker, const struct workload *workload, double seconds, struct histogram *histogram,
                 struct tally *ret_tally)
{
    if (!histogram)
        return run_for(worker, workload, seconds, ret_tally);
    struct timed timed = { worker->driver, worker->handle, histogram };
    struct driver driver = timed_driver(worker->driver);
    worker->driver = &driver;
    worker->handle = &timed;
    int result = run_for(worker, workload, seconds, ret_tally);
    worker->driver = timed.driver;
    worker->handle = timed.handle;
    return result;
}

int workload_write_on(struct worker *worker, _Atomic uint64_t *writes)
{
    for (uint64_t i = 0; i < worker->set->keys_n; i++)
        if (put(worker, key_at(worker, KEYSET_PRESENT, i)) != 0)
            return DRIVER_FAILED;
    if (commit(worker) != 0 || (worker->driver->sync && worker->driver->sync(worker->handle) != 0))
        return DRIVER_FAILED;
    for (;; (*writes)++)
        if (put(worker, next_key(worker, KEYSET_UNIFORM)) != 0)
            return DRIVER_FAILED;
}

int workload_reopen(struct worker *worker, const struct driver_setup *setup, struct tally *ret_tally, uint64_t *ret_lost)
{
    const struct driver *driver = worker->driver;
    if (driver->restart && driver->restart(setup) != 0)
        return DRIVER_FAILED;
    int64_t cpu = cpu_ns();
    ret_tally->ops = 1;
    ret_tally->start_ns = workload_clock_ns();
    if ((driver->reopen ? driver->reopen(setup, &worker->handle) : driver->open(setup, worker, &worker->handle)) != 0)
        return DRIVER_FAILED;
    *ret_lost = get_present(worker, key_at(worker, KEYSET_PRESENT, 0)) != 0;
    ret_tally->end_ns = workload_clock_ns();
    ret_tally->cpu_ns = cpu_ns() - cpu;
    for (uint64_t i = 1; i < worker->set->keys_n; i++)
        *ret_lost += get_present(worker, key_at(worker, KEYSET_PRESENT, i)) != 0;
    driver->close(worker->handle);
    return 0;
}

int workload_warm(struct worker *worker)
{
    const struct workload warm = { .order = KEYSET_PRESENT };
    const struct keyset_stream *all = &worker->set->order[KEYSET_PRESENT];
    worker->cursor = &worker->all;
    for (uint64_t i = 0; i < all->n; i += DRIVER_BATCH) /* the stream begins again where it ends */
        if ((worker->driver->get_many ? batch(worker, &warm) : get_some(worker, &warm)) != 0)
            return DRIVER_FAILED;
    return 0;
}
