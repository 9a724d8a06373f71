/* SPDX-License-Identifier: MIT
 *
 * LMDB: the map of lib/lmdb_map.h.  The recovery step is mdb_reader_check, which its manual asks users to call: slots
 * of dead readers hold old pages back.
 *
 * Twice: as it is by default, and with MDB_WRITEMAP, the faster way, in which pages and the meta page are
 * changed in the map itself.
 */
#include <stdio.h>
#include <stdlib.h>

#include "baselines/system.h"
#include "lib/lmdb_map.h"
#include "shoal/shoal.h"

/* Pages of 4096 bytes hold about 30 such records each; as much again for the copies that a change makes. */
#define MAP_BYTES (SYSTEM_ROOM * 262u / 4096u * 4096u)

struct handle {
    struct lmdb_map map;
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

static void path_of(const struct system_setup *setup, char path[64])
{
    snprintf(path, 64, "/dev/shm/%s", setup->name);
}

static void close_it(void *handle)
{
    struct handle *own = handle;
    lmdb_map_close(&own->map);
    free(own);
}

static int open_with(const struct system_setup *setup, unsigned flags, void **ret_handle)
{
    char path[64];
    struct handle *own = calloc(1, sizeof *own);
    if (!own)
        return SHOAL_EOS;
    path_of(setup, path);
    own->recoveries = setup->recoveries;
    const int code = lmdb_map_open(&own->map, path, MAP_BYTES, SYSTEM_PROCESSES, flags);
    if (code != 0) {
        free(own);
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
    char path[64];
    path_of(setup, path);
    lmdb_map_unlink(path);
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct handle *own = handle;
    return code_of(lmdb_map_get(&own->map, key, key_bytes, buf, buf_bytes, ret_bytes));
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct handle *own = handle;
    return code_of(lmdb_map_put(&own->map, key, key_bytes, value, value_bytes, 0));
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct handle *own = handle;
    return code_of(lmdb_map_del(&own->map, key, key_bytes));
}

static int recover(void *handle)
{
    struct handle *own = handle;
    int dead = 0;
    const int code = mdb_reader_check(own->map.env, &dead);
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
