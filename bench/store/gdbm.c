/* SPDX-License-Identifier: MIT
 *
 * GNU dbm: an extendible hash file with one writer.  It has no transactions; sync is gdbm_sync.
 */
#include <gdbm.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peers.h"

#define BLOCK_BYTES 4096
#define CACHED_BUCKETS 65536u /* buckets of a block each: all of 1 000 000 keys */

struct handle {
    GDBM_FILE file;
};

static int failed(const char *call) { return driver_fail("%s: %s", call, gdbm_strerror(gdbm_errno)); }

static datum datum_of(const void *at, size_t bytes)
{
    return (datum){ .dptr = (char *)(uintptr_t)at, .dsize = (int)bytes };
}

static void close_it(void *handle)
{
    struct handle *own = handle;
    if (own->file)
        gdbm_close(own->file);
    free(own);
}

/* The host only makes the file. */
static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    size_t cached = CACHED_BUCKETS;
    struct handle *own = calloc(1, sizeof *own);
    if (!own)
        return driver_fail("no memory");
    own->file = gdbm_open(setup->path, BLOCK_BYTES, host ? GDBM_WRITER : GDBM_NEWDB, 0600, NULL);
    if (!own->file || gdbm_setopt(own->file, GDBM_SETCACHESIZE, &cached, sizeof cached) != 0) {
        free(own);
        return failed("gdbm_open");
    }
    if (!host) {
        gdbm_close(own->file);
        own->file = NULL;
    }
    *ret_handle = own;
    return DRIVER_OK;
}

static void unlink_it(const struct driver_setup *setup) { unlink(setup->path); }

static int store(const struct handle *own, const void *key, size_t key_bytes, const void *value, size_t value_bytes, int how)
{
    int code = gdbm_store(own->file, datum_of(key, key_bytes), datum_of(value, value_bytes), how);
    if (code < 0)
        return failed("gdbm_store");
    return code == 0 ? DRIVER_OK : DRIVER_EXISTS;
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return store(handle, key, key_bytes, value, value_bytes, GDBM_INSERT);
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return store(handle, key, key_bytes, value, value_bytes, GDBM_REPLACE);
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    const struct handle *own = handle;
    datum value = gdbm_fetch(own->file, datum_of(key, key_bytes));
    if (!value.dptr)
        return gdbm_errno == GDBM_ITEM_NOT_FOUND ? DRIVER_MISSING : failed("gdbm_fetch");
    *ret_bytes = (size_t)value.dsize;
    if (*ret_bytes <= buf_bytes)
        memcpy(buf, value.dptr, *ret_bytes);
    free(value.dptr);
    return *ret_bytes <= buf_bytes ? DRIVER_OK : driver_fail("a value of %zu bytes", *ret_bytes);
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    const struct handle *own = handle;
    if (gdbm_delete(own->file, datum_of(key, key_bytes)) == 0)
        return DRIVER_OK;
    return gdbm_errno == GDBM_ITEM_NOT_FOUND ? DRIVER_MISSING : failed("gdbm_delete");
}

static int sync_it(void *handle)
{
    const struct handle *own = handle;
    return gdbm_sync(own->file) == 0 ? DRIVER_OK : failed("gdbm_sync");
}

const struct driver driver_gdbm = {
    .name = "gdbm",
    .settings = "blocks of 4096, cache of 65536 buckets, mapped; sync = gdbm_sync",
    .workers = DRIVER_PROCESSES,
    .group = DRIVER_ON_DISK,
    .memory = DRIVER_MEMORY_FILE,
    .open = open_it,
    .close = close_it,
    .unlink = unlink_it,
    .insert = insert,
    .get = get,
    .put = put,
    .del = del,
    .sync = sync_it,
};
