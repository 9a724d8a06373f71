/* SPDX-License-Identifier: MIT
 *
 * GNU dbm on tmpfs: an extendible hash file that one process at a time may write, and a handle that one thread at a time
 * may use, hence a mutex around each call.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <gdbm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peers.h"

#define BLOCK_BYTES 4096
#define CACHED_BUCKETS 65536u /* of a block each: all of 1 000 000 keys */

struct table {
    GDBM_FILE file;
    pthread_mutex_t mutex;
};

static int failed(const char *call) { return driver_fail("%s: %s", call, gdbm_strerror(gdbm_errno)); }

static datum datum_of(const void *at, size_t bytes)
{
    return (datum){ .dptr = (char *)(uintptr_t)at, .dsize = (int)bytes };
}

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    if (host) {
        *ret_handle = host;
        return DRIVER_OK;
    }
    size_t cached = CACHED_BUCKETS;
    struct table *table = calloc(1, sizeof *table);
    if (!table)
        return driver_fail("no memory");
    pthread_mutex_init(&table->mutex, NULL);
    table->file = gdbm_open(setup->path, BLOCK_BYTES, GDBM_NEWDB | GDBM_NOLOCK, 0600, NULL);
    if (!table->file || gdbm_setopt(table->file, GDBM_SETCACHESIZE, &cached, sizeof cached) != 0) {
        free(table);
        return failed("gdbm_open");
    }
    *ret_handle = table;
    return DRIVER_OK;
}

/* The file is removed with the session; a worker's handle is the host's. */
static void close_it(void *handle) { (void)handle; }

static void unlink_it(const struct driver_setup *setup) { unlink(setup->path); }

static int store(struct table *table, datum key, datum value, int how)
{
    pthread_mutex_lock(&table->mutex);
    int code = gdbm_store(table->file, key, value, how);
    int result = code < 0 ? failed("gdbm_store") : code == 0 ? DRIVER_OK : DRIVER_EXISTS;
    pthread_mutex_unlock(&table->mutex);
    return result;
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return store(handle, datum_of(key, key_bytes), datum_of(value, value_bytes), GDBM_INSERT);
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return store(handle, datum_of(key, key_bytes), datum_of(value, value_bytes), GDBM_REPLACE);
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct table *table = handle;
    pthread_mutex_lock(&table->mutex);
    datum value = gdbm_fetch(table->file, datum_of(key, key_bytes));
    int missing = !value.dptr && gdbm_errno == GDBM_ITEM_NOT_FOUND;
    pthread_mutex_unlock(&table->mutex);
    if (!value.dptr)
        return missing ? DRIVER_MISSING : failed("gdbm_fetch");
    *ret_bytes = (size_t)value.dsize;
    if (*ret_bytes <= buf_bytes)
        memcpy(buf, value.dptr, *ret_bytes);
    free(value.dptr);
    return *ret_bytes <= buf_bytes ? DRIVER_OK : driver_fail("a value of %zu bytes", *ret_bytes);
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct table *table = handle;
    pthread_mutex_lock(&table->mutex);
    int code = gdbm_delete(table->file, datum_of(key, key_bytes));
    int missing = code != 0 && gdbm_errno == GDBM_ITEM_NOT_FOUND;
    pthread_mutex_unlock(&table->mutex);
    return code == 0 ? DRIVER_OK : missing ? DRIVER_MISSING : failed("gdbm_delete");
}

const struct driver driver_gdbm_memory = {
    .name = "gdbm",
    .settings = "tmpfs, blocks of 4096, cache of 65536 buckets, mapped, one mutex; batches are single gets",
    .workers = DRIVER_THREADS,
    .group = DRIVER_SAME_CONTRACT,
    .memory = DRIVER_MEMORY_FILE,
    .open = open_it,
    .close = close_it,
    .unlink = unlink_it,
    .insert = insert,
    .get = get,
    .put = put,
    .del = del,
    .slow = 1,
};
