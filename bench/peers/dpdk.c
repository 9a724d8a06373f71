/* SPDX-License-Identifier: MIT
 *
 * DPDK's rte_hash: cuckoo hashing with keys of one length in the table, looked up without a lock; writers take a mutex.
 * Its data word points to a record here.  What was replaced, and the places of deleted keys, come back when every worker
 * has said that it is quiescent (rte_rcu_qsbr), without anybody waiting for that.
 *
 * DPDK takes its memory at once when it starts, by rte_eal_init; common pages, because nobody else here has huge ones.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_rcu_qsbr.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "peers.h"

#define QUIET_EVERY 64u
#define RETIRED_N 1024u     /* in a batch, which waits as a whole */
#define DELETED_MOST 65536u /* keys that are deleted, but whose places are not back yet */
#define PATIENCE 1000000u   /* tries for a place */

struct record {
    uint32_t value_bytes;
    char value[];
};

struct table {
    struct rte_hash *records;
    struct rte_rcu_qsbr *quiescent;
    pthread_mutex_t writers;
};

/* Either may be nothing: NULL, or a negative place. */
struct retired {
    struct record *record;
    int32_t place;
};

struct batch {
    struct batch *next;
    uint64_t token;
    unsigned n;
    struct retired retired[RETIRED_N];
};

struct handle {
    struct table *table;
    unsigned index, calls;
    int is_worker;
    struct batch *filling, *first, **last; /* the one being filled; those that wait, oldest first */
};

/* -- Starting ---------------------------------------------------------------------- */

static uint32_t hash_of(const void *key, uint32_t key_bytes, uint32_t seed)
{
    (void)seed;
    return (uint32_t)XXH3_64bits(key, key_bytes);
}

/* It binds its thread to a processor, which the workers would inherit; undone here. */
static int start_dpdk(const struct driver_setup *setup)
{
    char memory[24];
    uint64_t table_bytes = (setup->keys + DELETED_MOST) * (setup->key_bytes + 64) * 2;
    snprintf(memory, sizeof memory, "%lu", (unsigned long)(table_bytes >> 20) + 256);
    char *arguments[] = { "bench", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "--log-level=error",
                          "-m", memory, "-l", "0", NULL };
    cpu_set_t processors;
    sched_getaffinity(0, sizeof processors, &processors);
    int code = rte_eal_init((int)(sizeof arguments / sizeof arguments[0]) - 1, arguments);
    sched_setaffinity(0, sizeof processors, &processors);
    return code < 0 ? driver_fail("rte_eal_init: %s", rte_strerror(rte_errno)) : 0;
}

static int table_make(const struct driver_setup *setup, struct table *table)
{
    const struct rte_hash_parameters parameters = {
        .name = "bench",
        .entries = (uint32_t)(setup->keys + DELETED_MOST),
        .key_len = (uint32_t)setup->key_bytes,
        .hash_func = hash_of,
        .extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
    };
    table->records = rte_hash_create(&parameters);
    if (!table->records)
        return driver_fail("rte_hash_create: %s", rte_strerror(rte_errno));
    size_t bytes = rte_rcu_qsbr_get_memsize(setup->workers);
    table->quiescent = aligned_alloc(128, (bytes + 127) / 128 * 128);
    if (!table->quiescent || rte_rcu_qsbr_init(table->quiescent, setup->workers) != 0)
        return driver_fail("rte_rcu_qsbr_init failed");
    pthread_mutex_init(&table->writers, NULL);
    return 0;
}

static unsigned next_index; /* of workers; the host's process has one table */

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct handle *own = aligned_alloc(128, 128);
    if (!own)
        return driver_fail("no memory");
    *own = (struct handle){ .is_worker = host != NULL };
    own->last = &own->first;
    if (host) {
        own->table = ((struct handle *)host)->table;
        own->index = __atomic_fetch_add(&next_index, 1, __ATOMIC_RELAXED);
        rte_rcu_qsbr_thread_register(own->table->quiescent, own->index);
        rte_rcu_qsbr_thread_online(own->table->quiescent, own->index);
    } else {
        own->table = calloc(1, sizeof *own->table);
        if (!own->table || start_dpdk(setup) != 0 || table_make(setup, own->table) != 0)
            return DRIVER_FAILED;
    }
    *ret_handle = own;
    return 0;
}

/* The table goes with its process. */
static void close_it(void *handle)
{
    struct handle *own = handle;
    if (own->is_worker)
        rte_rcu_qsbr_thread_offline(own->table->quiescent, own->index);
    free(own);
}

/* -- Retiring ---------------------------------------------------------------------- */

static inline void quiet(struct handle *own)
{
    if (++own->calls % QUIET_EVERY == 0)
        rte_rcu_qsbr_quiescent(own->table->quiescent, own->index);
}

static void batch_free(struct table *table, struct batch *batch)
{
    pthread_mutex_lock(&table->writers);
    for (unsigned i = 0; i < batch->n; i++)
        if (batch->retired[i].place >= 0)
            rte_hash_free_key_with_position(table->records, batch->retired[i].place);
    pthread_mutex_unlock(&table->writers);
    for (unsigned i = 0; i < batch->n; i++)
        free(batch->retired[i].record);
    free(batch);
}

/* A worker is quiet between two calls; those who are idle say so late, and nobody waits for them. */
static void reclaim(struct handle *own)
{
    struct table *table = own->table;
    rte_rcu_qsbr_quiescent(table->quiescent, own->index);
    while (own->first && rte_rcu_qsbr_check(table->quiescent, own->first->token, false) == 1) {
        struct batch *batch = own->first;
        own->first = batch->next;
        if (!own->first)
            own->last = &own->first;
        batch_free(table, batch);
    }
}

static int retire(struct handle *own, struct record *record, int32_t place)
{
    struct table *table = own->table;
    if (!own->filling && !(own->filling = calloc(1, sizeof *own->filling)))
        return driver_fail("no memory");
    own->filling->retired[own->filling->n++] = (struct retired){ record, place };
    if (own->filling->n < RETIRED_N)
        return DRIVER_OK;
    own->filling->token = rte_rcu_qsbr_start(table->quiescent);
    *own->last = own->filling;
    own->last = &own->filling->next;
    own->filling = NULL;
    reclaim(own);
    return DRIVER_OK;
}

/* -- Calls ------------------------------------------------------------------------- */

static struct record *record_make(const void *value, size_t value_bytes)
{
    struct record *record = malloc(sizeof *record + value_bytes);
    if (!record)
        return NULL;
    record->value_bytes = (uint32_t)value_bytes;
    memcpy(record->value, value, value_bytes);
    return record;
}

/* The key's record before; NULL where it has none.  ret_stored: whether `record` is in the table now. */
static struct record *exchange(struct table *table, const void *key, size_t key_bytes, struct record *record,
                               int only_new, int *ret_stored)
{
    const hash_sig_t hash = hash_of(key, (uint32_t)key_bytes, 0);
    void *before = NULL;
    pthread_mutex_lock(&table->writers);
    if (rte_hash_lookup_with_hash_data(table->records, key, hash, &before) < 0)
        before = NULL;
    *ret_stored = !(before && only_new) &&
                  rte_hash_add_key_with_hash_data(table->records, key, hash, record) == 0;
    pthread_mutex_unlock(&table->writers);
    return before;
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct handle *own = handle;
    struct record *record = record_make(value, value_bytes);
    if (!record)
        return driver_fail("no memory");
    int stored;
    struct record *before = exchange(own->table, key, key_bytes, record, 1, &stored);
    for (unsigned i = 0; !stored && !before && i < PATIENCE; i++) {
        sched_yield(); /* all places wait for a worker that is off its processor */
        reclaim(own);
        before = exchange(own->table, key, key_bytes, record, 1, &stored);
    }
    quiet(own);
    if (stored)
        return DRIVER_OK;
    free(record);
    return before ? DRIVER_EXISTS : driver_fail("rte_hash_add_key failed");
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct handle *own = handle;
    struct record *record = record_make(value, value_bytes);
    if (!record)
        return driver_fail("no memory");
    int stored;
    struct record *before = exchange(own->table, key, key_bytes, record, 0, &stored);
    if (!stored) {
        free(record);
        return driver_fail("rte_hash_add_key failed");
    }
    quiet(own);
    return before ? retire(own, before, -1) : DRIVER_OK;
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct handle *own = handle;
    struct table *table = own->table;
    const hash_sig_t hash = hash_of(key, (uint32_t)key_bytes, 0);
    void *before = NULL;
    pthread_mutex_lock(&table->writers);
    int32_t place = rte_hash_lookup_with_hash_data(table->records, key, hash, &before);
    if (place >= 0)
        place = rte_hash_del_key_with_hash(table->records, key, hash);
    pthread_mutex_unlock(&table->writers);
    quiet(own);
    return place < 0 ? DRIVER_MISSING : retire(own, before, place);
}

static int copy_out(const struct record *record, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    if (record->value_bytes > buf_bytes)
        return driver_fail("a value of %u bytes", record->value_bytes);
    memcpy(buf, record->value, record->value_bytes);
    *ret_bytes = record->value_bytes;
    return DRIVER_OK;
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct handle *own = handle;
    void *found;
    int code = DRIVER_MISSING;
    if (rte_hash_lookup_with_hash_data(own->table->records, key, hash_of(key, (uint32_t)key_bytes, 0), &found) >= 0)
        code = copy_out(found, buf, buf_bytes, ret_bytes);
    quiet(own);
    return code;
}

static int get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    struct handle *own = handle;
    const void *wanted[DRIVER_BATCH];
    void *found[DRIVER_BATCH];
    uint64_t hits = 0;
    for (size_t i = 0; i < n; i++)
        wanted[i] = keys[i].key;
    if (rte_hash_lookup_bulk_data(own->table->records, wanted, (uint32_t)n, &hits, found) < 0)
        return driver_fail("rte_hash_lookup_bulk_data failed");
    for (size_t i = 0; i < n; i++)
        if (hits >> i & 1)
            __builtin_prefetch(found[i]);
    int code = 0;
    for (size_t i = 0; i < n && code >= 0; i++) {
        struct driver_result *one = &results[i];
        code = one->code =
            hits >> i & 1 ? copy_out(found[i], one->buf, one->buf_bytes, &one->bytes) : (int)DRIVER_MISSING;
    }
    quiet(own);
    return code < 0 ? code : DRIVER_OK;
}

const struct driver driver_dpdk = {
    .name = "dpdk_hash",
    .settings = "rte_hash, RW_CONCURRENCY_LF EXT_TABLE, XXH3, --no-huge; one mutex for writers, rte_rcu_qsbr with a "
                "quiescent state every 64 calls; glibc malloc for values; batches by rte_hash_lookup_bulk_data",
    .workers = DRIVER_THREADS,
    .group = DRIVER_SAME_CONTRACT,
    .memory = DRIVER_MEMORY_RSS,
    .open = open_it,
    .close = close_it,
    .insert = insert,
    .get = get,
    .get_many = get_many,
    .put = put,
    .del = del,
};
