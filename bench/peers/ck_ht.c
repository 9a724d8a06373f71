/* SPDX-License-Identifier: MIT
 *
 * Concurrency Kit's ck_ht: open addressing, one writer and many readers at a time.  Writers take a mutex; readers take
 * nothing but an epoch section, which keeps what was replaced from being freed under them.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <ck_epoch.h>
#include <ck_ht.h>
#include <ck_malloc.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "peers.h"

/* Retired records are freed together: a wait for the readers costs as much as some hundred calls. */
#define RETIRED_MOST 4096u

struct record {
    ck_epoch_entry_t epoch;
    uint32_t key_bytes, value_bytes;
    char bytes[]; /* key, value */
};

struct table {
    ck_ht_t records;
    ck_epoch_t epoch;
    pthread_mutex_t writers;
};

struct handle {
    struct table *table;
    ck_epoch_record_t *epoch; /* a worker's; stays with the table, as ck_epoch asks */
    unsigned retired_n;
};

static void *get_memory(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }
static void free_memory(void *at, size_t bytes, bool defer)
{
    (void)bytes;
    (void)defer; /* the table never grows, so nobody can be reading it */
    free(at);
}
static struct ck_malloc memory = { .malloc = get_memory, .free = free_memory };

static void hash_into(ck_ht_hash_t *hash, const void *key, size_t key_bytes, uint64_t seed)
{
    hash->value = XXH3_64bits_withSeed(key, key_bytes, seed);
}

static int table_make(const struct driver_setup *setup, struct table **ret_table)
{
    struct table *table = aligned_alloc(64, (sizeof *table + 63) / 64 * 64);
    if (!table)
        return driver_fail("no memory");
    ck_epoch_init(&table->epoch);
    pthread_mutex_init(&table->writers, NULL);
    if (!ck_ht_init(&table->records, CK_HT_MODE_BYTESTRING | CK_HT_WORKLOAD_DELETE, hash_into, &memory,
                    (CK_HT_TYPE)setup->keys * 2 + 64, 0))
        return driver_fail("ck_ht_init failed");
    *ret_table = table;
    return 0;
}

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct handle *own = aligned_alloc(64, 64);
    if (!own)
        return driver_fail("no memory");
    *own = (struct handle){ 0 };
    if (host) {
        own->table = ((struct handle *)host)->table;
        own->epoch = aligned_alloc(128, (sizeof *own->epoch + 127) / 128 * 128);
        if (!own->epoch)
            return driver_fail("no memory");
        ck_epoch_register(&own->table->epoch, own->epoch, NULL);
    } else if (table_make(setup, &own->table) != 0) {
        return DRIVER_FAILED;
    }
    *ret_handle = own;
    return 0;
}

/* The table goes with its process. */
static void close_it(void *handle)
{
    struct handle *own = handle;
    if (own->epoch)
        ck_epoch_unregister(own->epoch);
    free(own);
}

static void record_free(ck_epoch_entry_t *entry) { free(entry); }

/* Without the mutex: the wait is for readers alone, but it may be long. */
static void retire(struct handle *own, struct record *record)
{
    ck_epoch_call(own->epoch, &record->epoch, record_free);
    if (++own->retired_n < RETIRED_MOST)
        return;
    own->retired_n = 0;
    ck_epoch_barrier(own->epoch);
}

static struct record *record_make(const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct record *record = malloc(sizeof *record + key_bytes + value_bytes);
    if (!record)
        return NULL;
    record->key_bytes = (uint32_t)key_bytes;
    record->value_bytes = (uint32_t)value_bytes;
    memcpy(record->bytes, key, key_bytes);
    memcpy(record->bytes + key_bytes, value, value_bytes);
    return record;
}

static ck_ht_hash_t hash_of(struct handle *own, const void *key, size_t key_bytes)
{
    ck_ht_hash_t hash;
    ck_ht_hash(&hash, &own->table->records, key, (uint16_t)key_bytes);
    return hash;
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct handle *own = handle;
    struct record *record = record_make(key, key_bytes, value, value_bytes);
    if (!record)
        return driver_fail("no memory");
    ck_ht_hash_t hash = hash_of(own, key, key_bytes);
    ck_ht_entry_t entry;
    ck_ht_entry_set(&entry, hash, record->bytes, (uint16_t)key_bytes, record);
    pthread_mutex_lock(&own->table->writers);
    bool added = ck_ht_put_spmc(&own->table->records, hash, &entry);
    pthread_mutex_unlock(&own->table->writers);
    if (!added)
        free(record);
    return added ? DRIVER_OK : DRIVER_EXISTS;
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct handle *own = handle;
    struct record *record = record_make(key, key_bytes, value, value_bytes);
    if (!record)
        return driver_fail("no memory");
    ck_ht_hash_t hash = hash_of(own, key, key_bytes);
    ck_ht_entry_t entry;
    ck_ht_entry_set(&entry, hash, record->bytes, (uint16_t)key_bytes, record);
    pthread_mutex_lock(&own->table->writers);
    bool stored = ck_ht_set_spmc(&own->table->records, hash, &entry);
    pthread_mutex_unlock(&own->table->writers);
    if (!stored)
        return driver_fail("ck_ht_set_spmc failed");
    if (!ck_ht_entry_empty(&entry)) /* it now says what was there before */
        retire(own, ck_ht_entry_value(&entry));
    return DRIVER_OK;
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct handle *own = handle;
    ck_ht_hash_t hash = hash_of(own, key, key_bytes);
    ck_ht_entry_t entry;
    ck_ht_entry_key_set(&entry, key, (uint16_t)key_bytes);
    pthread_mutex_lock(&own->table->writers);
    bool removed = ck_ht_remove_spmc(&own->table->records, hash, &entry);
    pthread_mutex_unlock(&own->table->writers);
    if (!removed)
        return DRIVER_MISSING;
    retire(own, ck_ht_entry_value(&entry));
    return DRIVER_OK;
}

/* Inside an epoch section. */
static int read_one(struct handle *own, const struct driver_key *key, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    ck_ht_entry_t entry;
    ck_ht_entry_key_set(&entry, key->key, (uint16_t)key->bytes);
    if (!ck_ht_get_spmc(&own->table->records, hash_of(own, key->key, key->bytes), &entry))
        return DRIVER_MISSING;
    const struct record *record = ck_ht_entry_value(&entry);
    if (record->value_bytes > buf_bytes)
        return driver_fail("a value of %u bytes", record->value_bytes);
    memcpy(buf, record->bytes + record->key_bytes, record->value_bytes);
    *ret_bytes = record->value_bytes;
    return DRIVER_OK;
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct handle *own = handle;
    ck_epoch_begin(own->epoch, NULL);
    int code = read_one(own, &(struct driver_key){ key, key_bytes }, buf, buf_bytes, ret_bytes);
    ck_epoch_end(own->epoch, NULL);
    return code;
}

static int get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    struct handle *own = handle;
    int code = 0;
    ck_epoch_begin(own->epoch, NULL);
    for (size_t i = 0; i < n && code >= 0; i++) {
        struct driver_result *one = &results[i];
        code = one->code = read_one(own, &keys[i], one->buf, one->buf_bytes, &one->bytes);
    }
    ck_epoch_end(own->epoch, NULL);
    return code < 0 ? code : DRIVER_OK;
}

const struct driver driver_ck_ht = {
    .name = "ck_ht",
    .settings = "byte strings, WORKLOAD_DELETE, 2 slots a key at once, XXH3; one mutex for writers, ck_epoch for readers, "
                "4096 retired records freed together; glibc malloc",
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
