/* SPDX-License-Identifier: MIT
 *
 * Shoal, through the same driver as the others, and no call beyond theirs: nobody reaps.
 */
#include "shoal/shoal.h"

#include <stdio.h>

#include "baselines/system.h"

#define MAP_CAPACITY 700u
#define MAP_HEAP (80u << 10)

static int create(const struct system_setup *setup)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map = NULL;
    options.capacity = MAP_CAPACITY;
    options.heap_bytes = MAP_HEAP;
    options.max_threads = SYSTEM_PROCESSES;
    const int code = shoal_create(setup->name, &options, &map);
    if (code == 0)
        shoal_close(map);
    return code;
}

static int open_it(const struct system_setup *setup, void **ret_handle)
{
    return shoal_open(setup->name, 0, (struct shoal **)ret_handle);
}

static void close_it(void *handle) { shoal_close(handle); }
static void unlink_it(const struct system_setup *setup) { (void)shoal_unlink(setup->name); }

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    return shoal_get(handle, key, key_bytes, buf, buf_bytes, ret_bytes);
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return shoal_put(handle, key, key_bytes, value, value_bytes);
}

static int del(void *handle, const void *key, size_t key_bytes) { return shoal_delete(handle, key, key_bytes); }

static int check(void *handle)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    return shoal_check(handle, &report);
}

static const char *version(void)
{
    static char text[32];
    snprintf(text, sizeof text, "Shoal %d.%d.%d", SHOAL_VERSION_MAJOR, SHOAL_VERSION_MINOR, SHOAL_VERSION_PATCH);
    return text;
}

const struct system system_shoal = {
    .name = "shoal",
    .title = "Shoal",
    .settings = "no creation flags; nobody calls shoal_reap",
    .version = version,
    .create = create,
    .open = open_it,
    .close = close_it,
    .unlink = unlink_it,
    .get = get,
    .put = put,
    .del = del,
    .check = check,
};
