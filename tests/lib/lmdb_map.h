/* SPDX-License-Identifier: MIT
 *
 * LMDB as a map of byte strings on a memory file system: a B+tree in copied pages, one writer at a time under a robust
 * mutex, readers on snapshots that a table of readers keeps.  Measured in bench/, killed and stopped in
 * tests/baselines.
 *
 * The best that its documentation offers for volatile data: NOSYNC, NORDAHEAD, and a read transaction that is reset
 * and renewed, not begun, for each get.  Each write is a transaction of its own, because a put must be visible when it
 * returns.  Whether with WRITEMAP (pages are changed in the map itself, which is faster) is the caller's to say.
 *
 * All of it is inline, so that neither driver pays for a call between it and LMDB.  Results are LMDB's: 0, or a code
 * for mdb_strerror; lmdb_map.failed then names the call.
 */
#ifndef TESTS_LIB_LMDB_MAP_H
#define TESTS_LIB_LMDB_MAP_H

#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct lmdb_map {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *read; /* reset between calls */
    const char *failed;
};

static inline int lmdb_map_failed(struct lmdb_map *map, const char *call, int code)
{
    map->failed = call;
    return code;
}

static inline void lmdb_map_close(struct lmdb_map *map)
{
    if (map->read)
        mdb_txn_abort(map->read);
    if (map->env)
        mdb_env_close(map->env);
    *map = (struct lmdb_map){ .failed = map->failed };
}

static inline int lmdb_map_env_open(struct lmdb_map *map, const char *path, size_t bytes, unsigned readers,
                                    unsigned flags)
{
    int code = mdb_env_create(&map->env);
    if (code != 0)
        return lmdb_map_failed(map, "mdb_env_create", code);
    code = mdb_env_set_mapsize(map->env, bytes);
    if (code == 0)
        code = mdb_env_set_maxreaders(map->env, readers);
    if (code == 0)
        code = mdb_env_open(map->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NORDAHEAD | MDB_NOTLS | flags, 0600);
    return code == 0 ? 0 : lmdb_map_failed(map, "mdb_env_open", code);
}

/* The first to open makes the file, with at most `bytes`: sparse, only what is written takes memory.  The unnamed
 * database is there from the start: a transaction for reading finds it.  Not to be used across fork.  After a failure
 * nothing is left open. */
static inline int lmdb_map_open(struct lmdb_map *map, const char *path, size_t bytes, unsigned readers, unsigned flags)
{
    *map = (struct lmdb_map){ 0 };
    int code = lmdb_map_env_open(map, path, bytes, readers, flags);
    if (code == 0) {
        code = mdb_txn_begin(map->env, NULL, MDB_RDONLY, &map->read);
        if (code == 0)
            code = mdb_dbi_open(map->read, NULL, 0, &map->dbi);
        if (code != 0)
            (void)lmdb_map_failed(map, "mdb_dbi_open", code);
    }
    if (code == 0)
        mdb_txn_reset(map->read);
    else
        lmdb_map_close(map);
    return code;
}

/* The file and its lock file. */
static inline void lmdb_map_unlink(const char *path)
{
    char lock[128];
    snprintf(lock, sizeof lock, "%s-lock", path);
    unlink(path);
    unlink(lock);
}

static inline MDB_val lmdb_map_val(const void *at, size_t bytes)
{
    return (MDB_val){ .mv_size = bytes, .mv_data = (void *)(uintptr_t)at };
}

/* -- Reading -------------------------------------------------------------------------------------------- */

/* Between these two one snapshot is read. */
static inline int lmdb_map_read_begin(struct lmdb_map *map)
{
    const int code = mdb_txn_renew(map->read);
    return code == 0 ? 0 : lmdb_map_failed(map, "mdb_txn_renew", code);
}

static inline void lmdb_map_read_end(struct lmdb_map *map) { mdb_txn_reset(map->read); }

/* Copy the value.  MDB_NOTFOUND; MDB_BAD_VALSIZE = it does not fit. */
static inline int lmdb_map_read(struct lmdb_map *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes,
                                size_t *ret_bytes)
{
    MDB_val key_val = lmdb_map_val(key, key_bytes), value;
    int code = mdb_get(map->read, map->dbi, &key_val, &value);
    if (code == 0 && value.mv_size > buf_bytes)
        code = MDB_BAD_VALSIZE;
    if (code != 0)
        return lmdb_map_failed(map, "mdb_get", code);
    memcpy(buf, value.mv_data, value.mv_size);
    *ret_bytes = value.mv_size;
    return 0;
}

static inline int lmdb_map_get(struct lmdb_map *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes,
                               size_t *ret_bytes)
{
    int code = lmdb_map_read_begin(map);
    if (code != 0)
        return code;
    code = lmdb_map_read(map, key, key_bytes, buf, buf_bytes, ret_bytes);
    lmdb_map_read_end(map);
    return code;
}

/* -- Writing -------------------------------------------------------------------------------------------- */

/* value NULL: delete. */
static inline int lmdb_map_write(struct lmdb_map *map, const void *key, size_t key_bytes, MDB_val *value,
                                 unsigned flags)
{
    MDB_txn *txn;
    MDB_val key_val = lmdb_map_val(key, key_bytes);
    int code = mdb_txn_begin(map->env, NULL, 0, &txn);
    if (code != 0)
        return lmdb_map_failed(map, "mdb_txn_begin", code);
    code = value ? mdb_put(txn, map->dbi, &key_val, value, flags) : mdb_del(txn, map->dbi, &key_val, NULL);
    if (code != 0) {
        mdb_txn_abort(txn);
        return lmdb_map_failed(map, value ? "mdb_put" : "mdb_del", code);
    }
    code = mdb_txn_commit(txn);
    return code == 0 ? 0 : lmdb_map_failed(map, "mdb_txn_commit", code);
}

/* flags: 0, or MDB_NOOVERWRITE: MDB_KEYEXIST where the key is there. */
static inline int lmdb_map_put(struct lmdb_map *map, const void *key, size_t key_bytes, const void *value,
                               size_t value_bytes, unsigned flags)
{
    MDB_val value_val = lmdb_map_val(value, value_bytes);
    return lmdb_map_write(map, key, key_bytes, &value_val, flags);
}

static inline int lmdb_map_del(struct lmdb_map *map, const void *key, size_t key_bytes)
{
    return lmdb_map_write(map, key, key_bytes, NULL, 0);
}

#endif
