/* SPDX-License-Identifier: MIT
 *
 * LMDB on a memory file system: a B+tree in copied pages, one writer at a time under a robust mutex, readers
 * on snapshots that a table of readers keeps.
 *
 * NOSYNC as for volatile data, a read transaction per handle that is renewed for each get.  Each write is a
 * transaction of its own, because a put must be visible when it returns.  The recovery step is
 * mdb_reader_check, which its manual asks users to call: slots of dead readers hold old pages back.
 *
 * Twice: as it is by default, and with MDB_WRITEMAP, the faster way, in which pages and the meta page are
 * changed in the map itself.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "baselines/system.h"
#include "shoal/shoal.h"

/* Pages of 4096 bytes hold about 30 such records each; as much again for the copies that a change makes. */
#define MAP_BYTES (SYSTEM_ROOM * 262u / 4096u * 4096u)

struct handle {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *read; /* reset between calls */
    uint32_t *recoveries;
};

static int code_of(int code)
{
    switch (code) {
    case 0: return 0;
    case MDB_NOTFOUND: return SHOAL_MISSING;
    case MDB_MAP_FULL: return SHOAL_EFULL;
    case MDB_CORRUPTED:
    case MDB_PANIC:
    case MDB_PAGE_NOTFOUND: return SHOAL_ECORRUPT;
    default: return SHOAL_EOS;
    }
}

static void paths(const struct system_setup *setup, char path[128], char lock[128])
{
    snprintf(path, 128, "/dev/shm/%s", setup->name);
    snprintf(lock, 128, "/dev/shm/%s-lock", setup->name);
}

static void close_it(void *handle)
{
    struct handle *own = handle;
    if (own->read)
        mdb_txn_abort(own->read);
    if (own->env)
        mdb_env_close(own->env);
    free(own);
}

static int env_open(const struct system_setup *setup, unsigned flags, MDB_env **ret_env)
{
    char path[128], lock[128];
    paths(setup, path, lock);
    int code = mdb_env_create(ret_env);
    if (code == 0)
        code = mdb_env_set_mapsize(*ret_env, MAP_BYTES);
    if (code == 0)
        code = mdb_env_set_maxreaders(*ret_env, SYSTEM_PROCESSES);
    if (code == 0)
        code = mdb_env_open(*ret_env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NORDAHEAD | MDB_NOTLS | flags, 0600);
    return code;
}

/* The unnamed database is there from the start: a transaction for reading finds it. */
static int handle_fill(struct handle *own, const struct system_setup *setup, unsigned flags)
{
    int code = env_open(setup, flags, &own->env);
    if (code == 0)
        code = mdb_txn_begin(own->env, NULL, MDB_RDONLY, &own->read);
    if (code == 0)
        code = mdb_dbi_open(own->read, NULL, 0, &own->dbi);
    if (code == 0)
        mdb_txn_reset(own->read);
    own->recoveries = setup->recoveries;
    return code;
}

static int open_with(const struct system_setup *setup, unsigned flags, void **ret_handle)
{
    struct handle *own = calloc(1, sizeof *own);
    if (!own)
        return SHOAL_EOS;
    const int code = handle_fill(own, setup, flags);
    if (code != 0) {
        close_it(own);
        return code_of(code);
    }
    *ret_handle = own;
    return 0;
}

static int open_default(const struct system_setup *setup, void **ret_handle)
{
    return open_with(setup, 0, ret_handle);
}

static int open_writemap(const struct system_setup *setup, void **ret_handle)
{
    return open_with(setup, MDB_WRITEMAP, ret_handle);
}

/* The first to open makes it. */
static int create_with(const struct system_setup *setup, unsigned flags)
{
    void *handle = NULL;
    const int code = open_with(setup, flags, &handle);
    if (code == 0)
        close_it(handle);
    return code;
}

static int create_default(const struct system_setup *setup) { return create_with(setup, 0); }
static int create_writemap(const struct system_setup *setup) { return create_with(setup, MDB_WRITEMAP); }

static void unlink_it(const struct system_setup *setup)
{
    char path[128], lock[128];
    paths(setup, path, lock);
    unlink(path);
    unlink(lock);
}

static MDB_val val(const void *at, size_t bytes)
{
    return (MDB_val){ .mv_size = bytes, .mv_data = (void *)(uintptr_t)at };
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct handle *own = handle;
    MDB_val key_val = val(key, key_bytes), value;
    int code = mdb_txn_renew(own->read);
    if (code != 0)
        return code_of(code);
    code = mdb_get(own->read, own->dbi, &key_val, &value);
    if (code == 0 && value.mv_size <= buf_bytes) {
        memcpy(buf, value.mv_data, value.mv_size);
        *ret_bytes = value.mv_size;
    }
    mdb_txn_reset(own->read);
    return code_of(code);
}

/* value NULL: delete. */
static int write_one(struct handle *own, const void *key, size_t key_bytes, MDB_val *value)
{
    MDB_txn *txn;
    MDB_val key_val = val(key, key_bytes);
    int code = mdb_txn_begin(own->env, NULL, 0, &txn);
    if (code != 0)
        return code_of(code);
    code = value ? mdb_put(txn, own->dbi, &key_val, value, 0) : mdb_del(txn, own->dbi, &key_val, NULL);
    if (code != 0) {
        mdb_txn_abort(txn);
        return code_of(code);
    }
    return code_of(mdb_txn_commit(txn));
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    MDB_val value_val = val(value, value_bytes);
    return write_one(handle, key, key_bytes, &value_val);
}

static int del(void *handle, const void *key, size_t key_bytes) { return write_one(handle, key, key_bytes, NULL); }

static int recover(void *handle)
{
    struct handle *own = handle;
    int dead = 0;
    const int code = mdb_reader_check(own->env, &dead);
    if (dead > 0)
        ++*own->recoveries;
    return code_of(code);
}

static const char *version(void)
{
    static char text[32];
    snprintf(text, sizeof text, "LMDB %d.%d.%d", MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
    return text;
}

const struct system system_lmdb = {
    .name = "lmdb",
    .title = "LMDB",
    .settings = "tmpfs, NOSYNC NORDAHEAD NOTLS, read txn renewed per get; a txn per write",
    .recovery = "mdb_reader_check by a survivor",
    .version = version,
    .create = create_default,
    .open = open_default,
    .close = close_it,
    .unlink = unlink_it,
    .get = get,
    .put = put,
    .del = del,
    .recover = recover,
};

const struct system system_lmdb_writemap = {
    .name = "lmdb_writemap",
    .title = "LMDB, WRITEMAP",
    .settings = "tmpfs, WRITEMAP NOSYNC NORDAHEAD NOTLS, read txn renewed per get; a txn per write",
    .recovery = "mdb_reader_check by a survivor",
    .version = version,
    .create = create_writemap,
    .open = open_writemap,
    .close = close_it,
    .unlink = unlink_it,
    .get = get,
    .put = put,
    .del = del,
    .recover = recover,
};
