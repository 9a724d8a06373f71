/* SPDX-License-Identifier: MIT
 *
 * LMDB on a memory file system: a B+tree, one writer at a time, readers on snapshots.
 *
 * The best that its documentation offers for volatile data: NOSYNC and WRITEMAP (pages are changed in the map
 * and never flushed), NORDAHEAD, and a read transaction per handle that is reset and renewed, not begun, for
 * each get.  Each write is a transaction of its own, because a put must be visible when it returns.
 */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peers.h"

struct handle {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *read; /* reset between calls */
};

static int failed(const char *call, int code) { return driver_fail("%s: %s", call, mdb_strerror(code)); }

/* The file is sparse; only what is written takes memory.  Random inserts leave leaves about two thirds full,
 * and the reader of an old snapshot holds freed pages back: six times the payload is never reached. */
static size_t map_bytes(const struct driver_setup *setup)
{
    size_t bytes = (size_t)setup->keys * (setup->key_bytes + setup->value_bytes + 32) * 6 + (64u << 20);
    return bytes & ~(size_t)0xffff;
}

static int env_open(const struct driver_setup *setup, MDB_env **ret_env)
{
    MDB_env *env;
    int code = mdb_env_create(&env);
    if (code != 0)
        return failed("mdb_env_create", code);
    code = mdb_env_set_mapsize(env, map_bytes(setup));
    if (code == 0)
        code = mdb_env_set_maxreaders(env, setup->workers + 8);
    if (code == 0)
        code =
            mdb_env_open(env, setup->path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NORDAHEAD | MDB_NOTLS, 0600);
    if (code != 0) {
        mdb_env_close(env);
        return failed("mdb_env_open", code);
    }
    *ret_env = env;
    return 0;
}

/* Opens the unnamed database, making it where it is not there. */
static int dbi_open(MDB_env *env, MDB_dbi *ret_dbi)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(env, NULL, 0, &txn);
    if (code != 0)
        return failed("mdb_txn_begin", code);
    code = mdb_dbi_open(txn, NULL, 0, ret_dbi);
    if (code != 0) {
        mdb_txn_abort(txn);
        return failed("mdb_dbi_open", code);
    }
    code = mdb_txn_commit(txn);
    return code == 0 ? 0 : failed("mdb_txn_commit", code);
}

static void lmdb_close(void *handle)
{
    struct handle *own = handle;
    if (own->read)
        mdb_txn_abort(own->read);
    if (own->env)
        mdb_env_close(own->env);
    free(own);
}

/* An environment must not be used across fork: the host only makes the file, each worker opens its own. */
static int lmdb_open(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct handle *own = calloc(1, sizeof *own);
    if (!own)
        return driver_fail("no memory");
    int result = env_open(setup, &own->env);
    if (result == 0)
        result = dbi_open(own->env, &own->dbi);
    if (result != 0) {
        lmdb_close(own);
        return result;
    }
    if (!host) { /* closed before the fork, as it must be; an empty handle remains */
        mdb_env_close(own->env);
        own->env = NULL;
    } else {
        int code = mdb_txn_begin(own->env, NULL, MDB_RDONLY, &own->read);
        if (code != 0) {
            lmdb_close(own);
            return failed("mdb_txn_begin for reading", code);
        }
        mdb_txn_reset(own->read);
    }
    *ret_handle = own;
    return 0;
}

static void lmdb_unlink(const struct driver_setup *setup)
{
    char lock[128];
    snprintf(lock, sizeof lock, "%s-lock", setup->path);
    unlink(setup->path);
    unlink(lock);
}

static MDB_val val(const void *at, size_t bytes)
{
    return (MDB_val){ .mv_size = bytes, .mv_data = (void *)(size_t)at };
}

static int write_one(struct handle *own, const void *key, size_t key_bytes, const void *value, size_t value_bytes,
                     unsigned flags)
{
    MDB_txn *txn;
    MDB_val key_val = val(key, key_bytes), value_val = val(value, value_bytes);
    int code = mdb_txn_begin(own->env, NULL, 0, &txn);
    if (code != 0)
        return failed("mdb_txn_begin", code);
    code = mdb_put(txn, own->dbi, &key_val, &value_val, flags);
    if (code != 0) {
        mdb_txn_abort(txn);
        return code == MDB_KEYEXIST ? DRIVER_EXISTS : failed("mdb_put", code);
    }
    code = mdb_txn_commit(txn);
    return code == 0 ? 0 : failed("mdb_txn_commit", code);
}

static int lmdb_insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return write_one(handle, key, key_bytes, value, value_bytes, MDB_NOOVERWRITE);
}

static int lmdb_put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return write_one(handle, key, key_bytes, value, value_bytes, 0);
}

static int lmdb_del(void *handle, const void *key, size_t key_bytes)
{
    struct handle *own = handle;
    MDB_txn *txn;
    MDB_val key_val = val(key, key_bytes);
    int code = mdb_txn_begin(own->env, NULL, 0, &txn);
    if (code != 0)
        return failed("mdb_txn_begin", code);
    code = mdb_del(txn, own->dbi, &key_val, NULL);
    if (code != 0) {
        mdb_txn_abort(txn);
        return code == MDB_NOTFOUND ? DRIVER_MISSING : failed("mdb_del", code);
    }
    code = mdb_txn_commit(txn);
    return code == 0 ? 0 : failed("mdb_txn_commit", code);
}

static int read_one(struct handle *own, const struct driver_key *key, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    MDB_val key_val = val(key->key, key->bytes), value_val;
    int code = mdb_get(own->read, own->dbi, &key_val, &value_val);
    if (code == MDB_NOTFOUND)
        return DRIVER_MISSING;
    if (code != 0)
        return failed("mdb_get", code);
    if (value_val.mv_size > buf_bytes)
        return driver_fail("a value of %zu bytes", value_val.mv_size);
    memcpy(buf, value_val.mv_data, value_val.mv_size);
    *ret_bytes = value_val.mv_size;
    return 0;
}

static int lmdb_get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct handle *own = handle;
    int code = mdb_txn_renew(own->read);
    if (code != 0)
        return failed("mdb_txn_renew", code);
    int result = read_one(own, &(struct driver_key){ key, key_bytes }, buf, buf_bytes, ret_bytes);
    mdb_txn_reset(own->read);
    return result;
}

static int lmdb_get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    struct handle *own = handle;
    int code = mdb_txn_renew(own->read);
    if (code != 0)
        return failed("mdb_txn_renew", code);
    int result = 0;
    for (size_t i = 0; i < n && result == 0; i++) {
        struct driver_result *one = &results[i];
        one->code = read_one(own, &keys[i], one->buf, one->buf_bytes, &one->bytes);
        result = one->code < 0 ? one->code : 0;
    }
    mdb_txn_reset(own->read);
    return result;
}

const struct driver driver_lmdb = {
    .name = "lmdb",
    .settings = "tmpfs, NOSYNC WRITEMAP NORDAHEAD NOTLS, read txn renewed per get, one per batch; a txn per write",
    .workers = DRIVER_PROCESSES,
    .group = DRIVER_MULTI_PROCESS,
    .memory = DRIVER_MEMORY_FILE,
    .open = lmdb_open,
    .close = lmdb_close,
    .unlink = lmdb_unlink,
    .insert = lmdb_insert,
    .get = lmdb_get,
    .get_many = lmdb_get_many,
    .put = lmdb_put,
    .del = lmdb_del,
};
