/* SPDX-License-Identifier: MIT
 *
 * LMDB on disk, twice: in a writable mapping (WRITEMAP), and with pwrite.  Writes are gathered, WRITES_PER_COMMIT to a
 * transaction, whose commit does not wait for the disk (NOSYNC); from the first sync on, up to the workload's end,
 * each sync is a durable commit of what came since the last.  Gets read one snapshot, renewed every READS_PER_SNAPSHOT.
 */
#include <stdlib.h>

#include "lib/lmdb_map.h"
#include "peers.h"

#define READS_PER_SNAPSHOT 1000u

struct handle {
    struct lmdb_map map;
    MDB_txn *write;
    unsigned writes, reads; /* of the transaction, of the snapshot */
    int durable;
};

static int failed(const char *call, int code) { return driver_fail("%s: %s", call, mdb_strerror(code)); }

static size_t map_bytes(const struct driver_setup *setup)
{
    size_t bytes = (size_t)setup->keys * (setup->key_bytes + setup->value_bytes + 32) * 6 + (64u << 20);
    return bytes & ~(size_t)0xffff;
}

static void close_it(void *handle)
{
    struct handle *own = handle;
    if (own->write)
        mdb_txn_abort(own->write);
    lmdb_map_close(&own->map);
    free(own);
}

/* An environment must not be used across fork: the host only makes the file, each worker opens its own. */
static int open_with(const struct driver_setup *setup, unsigned flags, void *host, void **ret_handle)
{
    struct handle *own = calloc(1, sizeof *own);
    if (!own)
        return driver_fail("no memory");
    const int code = lmdb_map_open(&own->map, setup->path, map_bytes(setup), 16, flags);
    if (code != 0) {
        const int result = failed(own->map.failed, code);
        free(own);
        return result;
    }
    if (!host)
        lmdb_map_close(&own->map);
    *ret_handle = own;
    return DRIVER_OK;
}

static int open_writemap(const struct driver_setup *setup, void *host, void **ret_handle)
{
    return open_with(setup, MDB_WRITEMAP, host, ret_handle);
}

static int open_plain(const struct driver_setup *setup, void *host, void **ret_handle)
{
    return open_with(setup, 0, host, ret_handle);
}

static void unlink_it(const struct driver_setup *setup) { lmdb_map_unlink(setup->path); }

/* -- Writing ---------------------------------------------------------------------------------------------- */

/* The snapshot is given back: it would hold freed pages back. */
static int begin(struct handle *own)
{
    if (own->write)
        return DRIVER_OK;
    if (own->reads > 0)
        lmdb_map_read_end(&own->map);
    own->reads = own->writes = 0;
    const int code = mdb_txn_begin(own->map.env, NULL, 0, &own->write);
    return code == 0 ? DRIVER_OK : failed("mdb_txn_begin", code);
}

static int txn_commit(struct handle *own)
{
    MDB_txn *txn = own->write;
    own->write = NULL;
    const int code = txn ? mdb_txn_commit(txn) : 0;
    return code == 0 ? DRIVER_OK : failed("mdb_txn_commit", code);
}

static int commit(void *handle)
{
    struct handle *own = handle;
    if (txn_commit(own) != 0)
        return DRIVER_FAILED;
    if (own->durable)
        mdb_env_set_flags(own->map.env, MDB_NOSYNC, 1);
    own->durable = 0;
    return DRIVER_OK;
}

static int sync_it(void *handle)
{
    struct handle *own = handle;
    if (txn_commit(own) != 0)
        return DRIVER_FAILED;
    if (own->durable)
        return DRIVER_OK;
    own->durable = 1;
    int code = mdb_env_sync(own->map.env, 1);
    if (code == 0)
        code = mdb_env_set_flags(own->map.env, MDB_NOSYNC, 0);
    return code == 0 ? DRIVER_OK : failed("mdb_env_sync", code);
}

static int written(struct handle *own) { return ++own->writes == WRITES_PER_COMMIT ? txn_commit(own) : DRIVER_OK; }

static int put_with(struct handle *own, const void *key, size_t key_bytes, const void *value, size_t value_bytes,
                    unsigned flags)
{
    MDB_val key_val = lmdb_map_val(key, key_bytes), value_val = lmdb_map_val(value, value_bytes);
    if (begin(own) != 0)
        return DRIVER_FAILED;
    const int code = mdb_put(own->write, own->map.dbi, &key_val, &value_val, flags);
    if (code == MDB_KEYEXIST)
        return DRIVER_EXISTS;
    return code == 0 ? written(own) : failed("mdb_put", code);
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return put_with(handle, key, key_bytes, value, value_bytes, MDB_NOOVERWRITE);
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return put_with(handle, key, key_bytes, value, value_bytes, 0);
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct handle *own = handle;
    MDB_val key_val = lmdb_map_val(key, key_bytes);
    if (begin(own) != 0)
        return DRIVER_FAILED;
    const int code = mdb_del(own->write, own->map.dbi, &key_val, NULL);
    if (code == MDB_NOTFOUND)
        return DRIVER_MISSING;
    return code == 0 ? written(own) : failed("mdb_del", code);
}

/* -- Reading ---------------------------------------------------------------------------------------------- */

static int snapshot(struct handle *own)
{
    if (own->reads == READS_PER_SNAPSHOT) {
        lmdb_map_read_end(&own->map);
        own->reads = 0;
    }
    if (own->reads++ > 0)
        return DRIVER_OK;
    const int code = lmdb_map_read_begin(&own->map);
    return code == 0 ? DRIVER_OK : failed(own->map.failed, code);
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct handle *own = handle;
    MDB_val key_val = lmdb_map_val(key, key_bytes), value;
    if (!own->write && snapshot(own) != 0)
        return DRIVER_FAILED;
    const int code = mdb_get(own->write ? own->write : own->map.read, own->map.dbi, &key_val, &value);
    if (code == MDB_NOTFOUND)
        return DRIVER_MISSING;
    if (code != 0 || value.mv_size > buf_bytes)
        return failed("mdb_get", code);
    memcpy(buf, value.mv_data, value.mv_size);
    *ret_bytes = value.mv_size;
    return DRIVER_OK;
}

#define LMDB_DRIVER(name_, open_, how)                                                                                  \
    {                                                                                                                  \
        .name = name_,                                                                                                 \
        .settings = how "NORDAHEAD NOTLS, NOSYNC but in sync; 10000 writes to a transaction, 1000 gets to a snapshot; " \
                        "sync = durable commit",                                                                       \
        .workers = DRIVER_PROCESSES, .group = DRIVER_ON_DISK, .memory = DRIVER_MEMORY_FILE, .open = open_,             \
        .close = close_it, .unlink = unlink_it, .insert = insert, .get = get, .put = put, .del = del,                  \
        .commit = commit, .sync = sync_it,                                                                             \
    }

const struct driver driver_lmdb_writemap = LMDB_DRIVER("lmdb_writemap", open_writemap, "WRITEMAP ");
const struct driver driver_lmdb_disk = LMDB_DRIVER("lmdb", open_plain, "");
