/* SPDX-License-Identifier: MIT
 *
 * Shoal: each worker process opens the map by name.  Sizes come from shoal_size_for, as a user's would.
 */
#include <shoal/shoal.h>
#include <stdlib.h>

#include "peers.h"

struct handle {
    struct shoal *map;
    struct shoal_key keys[DRIVER_BATCH];
    struct shoal_result results[DRIVER_BATCH];
};

static int failed(const char *call, int code)
{
    return driver_fail("%s: %s (%s)", call, shoal_strerror(code), shoal_error_text());
}

static void close_it(void *handle)
{
    struct handle *own = handle;
    shoal_close(own->map);
    free(own);
}

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct handle *own = calloc(1, sizeof *own);
    if (!own)
        return driver_fail("no memory");
    int code;
    if (host) {
        code = shoal_open(setup->name, 0, &own->map);
    } else {
        struct shoal_options options = SHOAL_OPTIONS_INIT;
        code = shoal_size_for(setup->keys, setup->key_bytes, setup->value_bytes, &options);
        if (code == 0)
            code = shoal_create(setup->name, &options, &own->map);
    }
    if (code != 0) {
        free(own);
        return failed(host ? "shoal_open" : "shoal_create", code);
    }
    *ret_handle = own;
    return 0;
}

static void unlink_it(const struct driver_setup *setup) { shoal_unlink(setup->name); }

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

static int get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    struct handle *own = handle;
    for (size_t i = 0; i < n; i++) {
        own->keys[i] = (struct shoal_key){ keys[i].key, keys[i].bytes };
        own->results[i].buf = results[i].buf;
        own->results[i].buf_bytes = results[i].buf_bytes;
    }
    int code = shoal_get_many(own->map, own->keys, n, own->results);
    if (code != 0)
        return failed("shoal_get_many", code);
    for (size_t i = 0; i < n; i++) {
        results[i].bytes = own->results[i].bytes;
        results[i].code = own->results[i].code == SHOAL_MISSING ? DRIVER_MISSING : own->results[i].code;
    }
    return DRIVER_OK;
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

const struct driver driver_shoal = {
    .name = "shoal",
    .settings = "POSIX shared memory, options from shoal_size_for, no creation flags",
    .workers = DRIVER_PROCESSES,
    .group = DRIVER_SUBJECT,
    .memory = DRIVER_MEMORY_FILE,
    .open = open_it,
    .close = close_it,
    .unlink = unlink_it,
    .insert = insert,
    .get = get,
    .get_many = get_many,
    .put = put,
    .del = del,
};
