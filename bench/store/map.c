/* SPDX-License-Identifier: MIT
 *
 * A Shoal map whose table holds a tenth of the keys, above a store: SHOAL_FULL_SPILL.  Every call stands for itself, and
 * what it wrote survives the process; sync is shoal_sync.
 */
#include <shoal/shoal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "peers.h"

struct handle {
    struct shoal *map;
};

static int failed(const char *call, int code) { return driver_fail("%s: %s (%s)", call, shoal_strerror(code), shoal_error_text()); }

static void close_it(void *handle)
{
    struct handle *own = handle;
    if (own->map)
        shoal_close(own->map);
    free(own);
}

static int create(const struct driver_setup *setup, struct shoal **ret_map)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    int code = shoal_size_for(setup->keys / 10 + 1, setup->key_bytes, setup->value_bytes, &options);
    options.store = setup->path;
    options.on_full = SHOAL_FULL_SPILL;
    return code != 0 ? code : shoal_create(setup->name, &options, ret_map);
}

/* The host only makes it: then it is nobody's, and another map may be made over the store. */
static int open_with(const struct driver_setup *setup, int make, int keep, void **ret_handle)
{
    struct handle *own = calloc(1, sizeof *own);
    if (!own)
        return driver_fail("no memory");
    int code = make ? create(setup, &own->map) : shoal_open(setup->name, 0, &own->map);
    if (code != 0) {
        free(own);
        return failed(make ? "shoal_create" : "shoal_open", code);
    }
    if (!keep) {
        shoal_close(own->map);
        own->map = NULL;
    }
    *ret_handle = own;
    return DRIVER_OK;
}

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    return open_with(setup, host == NULL, host != NULL, ret_handle);
}

/* As behind a start of the machine: the table is gone, and begins cold. */
static int restart(const struct driver_setup *setup)
{
    int code = shoal_unlink(setup->name);
    return code == 0 ? DRIVER_OK : failed("shoal_unlink", code);
}

static int reopen(const struct driver_setup *setup, void **ret_handle) { return open_with(setup, 1, 1, ret_handle); }

static void unlink_it(const struct driver_setup *setup)
{
    shoal_unlink(setup->name);
    driver_store.unlink(setup);
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const struct handle *own = handle;
    int code = shoal_add(own->map, key, key_bytes, value, value_bytes);
    if (code < 0)
        return failed("shoal_add", code);
    return code == SHOAL_EXISTS ? DRIVER_EXISTS : DRIVER_OK;
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    const struct handle *own = handle;
    int code = shoal_get(own->map, key, key_bytes, buf, buf_bytes, ret_bytes);
    if (code == 0)
        return DRIVER_OK;
    return code == SHOAL_MISSING ? DRIVER_MISSING : failed("shoal_get", code);
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const struct handle *own = handle;
    int code = shoal_put(own->map, key, key_bytes, value, value_bytes);
    return code == 0 ? DRIVER_OK : failed("shoal_put", code);
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    const struct handle *own = handle;
    int code = shoal_delete(own->map, key, key_bytes);
    if (code == 0)
        return DRIVER_OK;
    return code == SHOAL_MISSING ? DRIVER_MISSING : failed("shoal_delete", code);
}

static int sync_it(void *handle)
{
    const struct handle *own = handle;
    int code = shoal_sync(own->map);
    return code == 0 ? DRIVER_OK : failed("shoal_sync", code);
}

const struct driver driver_map = {
    .name = "map",
    .settings = "table for a tenth of the keys (shoal_size_for), SHOAL_FULL_SPILL; each call by itself; sync = shoal_sync",
    .workers = DRIVER_PROCESSES,
    .group = DRIVER_SUBJECT,
    .memory = DRIVER_MEMORY_FILE,
    .open = open_it,
    .close = close_it,
    .unlink = unlink_it,
    .insert = insert,
    .get = get,
    .put = put,
    .del = del,
    .sync = sync_it,
    .restart = restart,
    .reopen = reopen,
};
