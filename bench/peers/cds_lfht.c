/* SPDX-License-Identifier: MIT
 *
 * cds_lfht of userspace RCU: a lock-free hash table of split-ordered lists, for the threads of one process.
 *
 * Best settings: buckets for all keys from the start and no resizing, hence the flat mmap layout; key and
 * value in one allocation with the node; read side inlined (_LGPL_SOURCE allows that to code whose licence is
 * compatible).
 *
 * Compiled twice, because neither is the best everywhere:
 *   memb             readers need no help from their caller; replaced nodes go through defer_rcu, which frees
 *                    them in the same thread in batches (measured 10 to 25 % faster here than call_rcu)
 *   qsbr (PEER_QSBR) workers announce quiescent states every QUIET_EVERY calls; replaced nodes go through
 *                    call_rcu to a thread of its own.  defer_rcu would wait for a worker that is idle.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define _LGPL_SOURCE
#ifdef PEER_QSBR
#include <urcu-qsbr.h>
#else
#define RCU_MEMB
#include <urcu.h>
#endif
#include <urcu/rculfhash.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>

#include "peers.h"

struct record {
    struct cds_lfht_node node;
#ifdef PEER_QSBR
    struct rcu_head rcu;
#endif
    uint32_t key_bytes, value_bytes;
    char bytes[]; /* key, value */
};

struct handle {
    struct cds_lfht *records;
    int is_worker;  /* registered with RCU; the host's handle is not */
    unsigned calls; /* since the beginning */
};

/* Rare enough to cost nothing, often enough that memory comes back within microseconds. */
#define QUIET_EVERY 64u

static inline void quiet(struct handle *own)
{
#ifdef PEER_QSBR
    if (++own->calls % QUIET_EVERY == 0)
        rcu_quiescent_state();
#else
    (void)own;
#endif
}

static unsigned long hash_of(const void *key, size_t key_bytes) { return XXH3_64bits(key, key_bytes); }

static int matches(struct cds_lfht_node *node, const void *wanted)
{
    const struct record *record = caa_container_of(node, struct record, node);
    const struct driver_key *key = wanted;
    return record->key_bytes == key->bytes && memcmp(record->bytes, key->key, key->bytes) == 0;
}

static struct record *record_make(const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct record *record = malloc(sizeof *record + key_bytes + value_bytes);
    if (!record)
        return NULL;
    cds_lfht_node_init(&record->node);
    record->key_bytes = (uint32_t)key_bytes;
    record->value_bytes = (uint32_t)value_bytes;
    memcpy(record->bytes, key, key_bytes);
    memcpy(record->bytes + key_bytes, value, value_bytes);
    return record;
}

/* Outside of a read-side critical section. */
#ifdef PEER_QSBR
static void record_free(struct rcu_head *rcu) { free(caa_container_of(rcu, struct record, rcu)); }

static void record_retire(struct record *record) { call_rcu(&record->rcu, record_free); }
static void thread_enter(void) { rcu_register_thread(); }
static void thread_leave(void) { rcu_unregister_thread(); }
#else
static void record_retire(struct record *record) { defer_rcu(free, record); }

static void thread_enter(void)
{
    rcu_register_thread();
    rcu_defer_register_thread();
}

static void thread_leave(void)
{
    rcu_defer_unregister_thread();
    rcu_unregister_thread();
}
#endif

static int make_table(const struct driver_setup *setup, struct cds_lfht **ret_records)
{
    unsigned long buckets = 64;
    while (buckets < setup->keys)
        buckets *= 2;
    *ret_records = cds_lfht_new(buckets, buckets, buckets, 0, NULL);
    return *ret_records ? 0 : driver_fail("cds_lfht_new failed");
}

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct handle *own = aligned_alloc(128, 128); /* two lines for its own: calls is written all the time */
    if (!own)
        return driver_fail("no memory");
    *own = (struct handle){ .is_worker = host != NULL };
    if (host) {
        own->records = ((struct handle *)host)->records;
        thread_enter();
    } else if (make_table(setup, &own->records) != 0) {
        free(own);
        return DRIVER_FAILED;
    }
    *ret_handle = own;
    return 0;
}

/* The table itself goes with its process: to free a million records one by one would only take time. */
static void close_it(void *handle)
{
    struct handle *own = handle;
    if (own->is_worker)
        thread_leave();
    free(own);
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct handle *own = handle;
    struct record *record = record_make(key, key_bytes, value, value_bytes);
    if (!record)
        return driver_fail("no memory");
    const struct driver_key wanted = { key, key_bytes };
    rcu_read_lock();
    struct cds_lfht_node *node =
        cds_lfht_add_unique(own->records, hash_of(key, key_bytes), matches, &wanted, &record->node);
    rcu_read_unlock();
    quiet(own);
    if (node == &record->node)
        return DRIVER_OK;
    free(record);
    return DRIVER_EXISTS;
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct handle *own = handle;
    struct record *record = record_make(key, key_bytes, value, value_bytes);
    if (!record)
        return driver_fail("no memory");
    const struct driver_key wanted = { key, key_bytes };
    rcu_read_lock();
    struct cds_lfht_node *old =
        cds_lfht_add_replace(own->records, hash_of(key, key_bytes), matches, &wanted, &record->node);
    rcu_read_unlock();
    if (old)
        record_retire(caa_container_of(old, struct record, node));
    quiet(own);
    return DRIVER_OK;
}

static struct cds_lfht_node *find(const struct handle *own, const struct driver_key *key)
{
    struct cds_lfht_iter iter;
    cds_lfht_lookup(own->records, hash_of(key->key, key->bytes), matches, key, &iter);
    return cds_lfht_iter_get_node(&iter);
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct handle *own = handle;
    const struct driver_key wanted = { key, key_bytes };
    rcu_read_lock();
    struct cds_lfht_node *node = find(own, &wanted);
    int deleted = node && cds_lfht_del(own->records, node) == 0;
    rcu_read_unlock();
    if (deleted)
        record_retire(caa_container_of(node, struct record, node));
    quiet(own);
    return deleted ? DRIVER_OK : DRIVER_MISSING;
}

/* Inside a read-side critical section. */
static int read_one(const struct handle *own, const struct driver_key *key, void *buf, size_t buf_bytes,
                    size_t *ret_bytes)
{
    struct cds_lfht_node *node = find(own, key);
    if (!node)
        return DRIVER_MISSING;
    const struct record *record = caa_container_of(node, struct record, node);
    if (record->value_bytes > buf_bytes)
        return driver_fail("a value of %u bytes", record->value_bytes);
    memcpy(buf, record->bytes + record->key_bytes, record->value_bytes);
    *ret_bytes = record->value_bytes;
    return DRIVER_OK;
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct handle *own = handle;
    const struct driver_key wanted = { key, key_bytes };
    rcu_read_lock();
    int code = read_one(own, &wanted, buf, buf_bytes, ret_bytes);
    rcu_read_unlock();
    quiet(own);
    return code;
}

static int get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    struct handle *own = handle;
    int code = 0;
    rcu_read_lock();
    for (size_t i = 0; i < n && code >= 0; i++) {
        struct driver_result *one = &results[i];
        code = one->code = read_one(own, &keys[i], one->buf, one->buf_bytes, &one->bytes);
    }
    rcu_read_unlock();
    quiet(own);
    return code < 0 ? code : DRIVER_OK;
}

#ifdef PEER_QSBR
#define DRIVER_NAME "cds_lfht_qsbr"
#define DRIVER_STRUCT driver_cds_lfht_qsbr
#define DRIVER_FLAVOUR "qsbr flavour, a quiescent state every 64 calls, call_rcu"
#else
#define DRIVER_NAME "cds_lfht"
#define DRIVER_STRUCT driver_cds_lfht
#define DRIVER_FLAVOUR "memb flavour, defer_rcu"
#endif

const struct driver DRIVER_STRUCT = {
    .name = DRIVER_NAME,
    .settings = DRIVER_FLAVOUR ", buckets for all keys at once, no resizing, XXH3, glibc malloc",
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
