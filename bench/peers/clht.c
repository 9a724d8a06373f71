/* SPDX-License-Identifier: MIT
 *
 * CLHT, the table with locks that resizes (clht_lb_res): buckets of a line with three pairs of words.  The key is XXH3 of the
 * byte string, so two that share it are taken for one; the value points to a record, which a put writes over where it lies.
 * Hence one writer a key, and no reader beside it (driver.h: owner).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <clht_lb_res.h>
#include <ssmem.h>
#undef likely
#undef unlikely

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <string.h>

#include "peers.h"

struct record {
    uint32_t value_bytes;
    char value[];
};

struct handle {
    clht_t *table;
    unsigned index; /* of a worker */
};

static unsigned next_index;

/* 0 says that a slot is empty. */
static inline clht_addr_t word_of(const void *key, size_t key_bytes)
{
    uint64_t hash = XXH3_64bits(key, key_bytes);
    return hash != 0 ? hash : 1;
}

static unsigned owner(const struct driver_setup *setup, const void *key, size_t key_bytes)
{
    return (unsigned)((word_of(key, key_bytes) >> 32) * setup->workers >> 32);
}

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct handle *own = malloc(sizeof *own);
    if (!own)
        return driver_fail("no memory");
    uint64_t buckets = 64;
    while (buckets < setup->keys) /* a third full: it takes powers of two, and chains where three do not suffice */
        buckets *= 2;
    *own = (struct handle){ .table = host ? ((struct handle *)host)->table : clht_create(buckets) };
    if (!own->table)
        return driver_fail("clht_create failed");
    if (host) {
        own->index = __atomic_fetch_add(&next_index, 1, __ATOMIC_RELAXED);
        clht_gc_thread_init(own->table, (int)own->index);
    }
    *ret_handle = own;
    return 0;
}

/* The table goes with its process. */
static void close_it(void *handle) { free(handle); }

static struct record *find(const struct handle *own, const void *key, size_t key_bytes)
{
    return (struct record *)clht_get(own->table->ht, word_of(key, key_bytes));
}

static struct record *record_make(const void *value, size_t value_bytes)
{
    struct record *record = malloc(sizeof *record + value_bytes);
    if (!record)
        return NULL;
    record->value_bytes = (uint32_t)value_bytes;
    memcpy(record->value, value, value_bytes);
    return record;
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const struct handle *own = handle;
    struct record *record = record_make(value, value_bytes);
    if (!record)
        return driver_fail("no memory");
    if (clht_put(own->table, word_of(key, key_bytes), (clht_val_t)record))
        return DRIVER_OK;
    free(record);
    return DRIVER_EXISTS;
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    const struct record *record = find(handle, key, key_bytes);
    if (!record)
        return DRIVER_MISSING;
    if (record->value_bytes > buf_bytes)
        return driver_fail("a value of %u bytes", record->value_bytes);
    memcpy(buf, record->value, record->value_bytes);
    *ret_bytes = record->value_bytes;
    return DRIVER_OK;
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    const struct handle *own = handle;
    struct record *record = (struct record *)clht_remove(own->table, word_of(key, key_bytes));
    free(record);
    return record ? DRIVER_OK : DRIVER_MISSING;
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct record *record = find(handle, key, key_bytes);
    if (record && record->value_bytes == value_bytes) {
        memcpy(record->value, value, value_bytes);
        return DRIVER_OK;
    }
    if (record)
        (void)del(handle, key, key_bytes);
    return insert(handle, key, key_bytes, value, value_bytes);
}

const struct driver driver_clht = {
    .name = "clht",
    .settings = "clht_lb_res, a bucket a key, XXH3 as the key, values overwritten in place by one writer a key, glibc malloc; "
                "batches are single gets",
    .workers = DRIVER_THREADS,
    .group = DRIVER_UNSAFE,
    .memory = DRIVER_MEMORY_RSS,
    .open = open_it,
    .close = close_it,
    .insert = insert,
    .get = get,
    .put = put,
    .del = del,
    .owner = owner,
};
