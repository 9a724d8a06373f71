/* SPDX-License-Identifier: MIT
 *
 * LMDB: the map of tests/lib/lmdb_map.h, which says what its settings are, with WRITEMAP.
 */
#include <stdlib.h>

#include "lib/lmdb_map.h"
#include "peers.h"

static int failed(const struct lmdb_map *map, int code) { return driver_fail("%s: %s", map->failed, mdb_strerror(code)); }

/* Random inserts leave leaves about two thirds full, and the reader of an old snapshot holds freed pages back: six
 * times the payload is never reached. */
static size_t map_bytes(const struct driver_setup *setup)
{
    size_t bytes = (size_t)setup->keys * (setup->key_bytes + setup->value_bytes + 32) * 6 + (64u << 20);
    return bytes & ~(size_t)0xffff;
}

static void lmdb_close(void *handle)
{
    lmdb_map_close(handle);
    free(handle);
}

/* An environment must not be used across fork: the host only makes the file, each worker opens its own. */
static int lmdb_open(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct lmdb_map *own = calloc(1, sizeof *own);
    if (!own)
        return driver_fail("no memory");
    const int code = lmdb_map_open(own, setup->path, map_bytes(setup), setup->workers + 8, MDB_WRITEMAP);
    if (code != 0) {
        const int result = failed(own, code);
        free(own);
        return result;
    }
    if (!host) /* closed before the fork, as it must be; an empty handle remains */
        lmdb_map_close(own);
    *ret_handle = own;
    return 0;
}

static void lmdb_unlink(const struct driver_setup *setup) { lmdb_map_unlink(setup->path); }

static int lmdb_insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const int code = lmdb_map_put(handle, key, key_bytes, value, value_bytes, MDB_NOOVERWRITE);
    return code == 0 ? DRIVER_OK : code == MDB_KEYEXIST ? DRIVER_EXISTS : failed(handle, code);
}

static int lmdb_put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const int code = lmdb_map_put(handle, key, key_bytes, value, value_bytes, 0);
    return code == 0 ? DRIVER_OK : failed(handle, code);
}

/* Of a call on a key that may be missing. */
static int answer(const struct lmdb_map *own, int code)
{
    return code == 0 ? DRIVER_OK : code == MDB_NOTFOUND ? DRIVER_MISSING : failed(own, code);
}

static int lmdb_del(void *handle, const void *key, size_t key_bytes)
{
    return answer(handle, lmdb_map_del(handle, key, key_bytes));
}

static int lmdb_get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    return answer(handle, lmdb_map_get(handle, key, key_bytes, buf, buf_bytes, ret_bytes));
}

static int lmdb_get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    const int code = lmdb_map_read_begin(handle);
    if (code != 0)
        return failed(handle, code);
    int result = 0;
    for (size_t i = 0; i < n && result == 0; i++) {
        struct driver_result *one = &results[i];
        one->code =
            answer(handle, lmdb_map_read(handle, keys[i].key, keys[i].bytes, one->buf, one->buf_bytes, &one->bytes));
        result = one->code < 0 ? one->code : 0;
    }
    lmdb_map_read_end(handle);
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
