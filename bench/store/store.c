/* SPDX-License-Identifier: MIT
 *
 * Shoal's store by itself (src/store).  Writes are gathered under its lock, WRITES_PER_COMMIT to a publish: what is
 * published outlives every process, but not the machine.  sync is a commit.
 */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "peers.h"
#include <shoal/shoal.h>

#define LOCK_MS 10000

struct handle {
    struct store *store;
    unsigned writes; /* under the lock; 0: it is not held */
};

static int failed(const char *call, int code) { return driver_fail("%s: %s (%s)", call, shoal_strerror(code), shoal_error_text()); }

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct handle *own = calloc(1, sizeof *own);
    if (!own)
        return driver_fail("no memory");
    int code = store_open(setup->path, host ? 0 : STORE_CREATE, &own->store);
    if (code != 0) {
        free(own);
        return failed("store_open", code);
    }
    *ret_handle = own;
    return DRIVER_OK;
}

static void close_it(void *handle)
{
    struct handle *own = handle;
    store_close(own->store);
    free(own);
}

static void unlink_it(const struct driver_setup *setup)
{
    static const char *const names[] = { "pages", "lock", "pages.new" };
    char path[300];
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", setup->path, names[i]);
        unlink(path);
    }
    rmdir(setup->path);
}

/* -- Reading ---------------------------------------------------------------------------------------------- */

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    const struct handle *own = handle;
    struct store_record record;
    int code = own->writes > 0 ? store_look(own->store, key, key_bytes, buf, buf_bytes, &record)
                               : store_get(own->store, key, key_bytes, buf, buf_bytes, &record);
    if (code == SHOAL_MISSING)
        return DRIVER_MISSING;
    *ret_bytes = record.value_bytes;
    return code == 0 ? DRIVER_OK : failed("store_get", code);
}

/* -- Writing ---------------------------------------------------------------------------------------------- */

static int end(struct handle *own, const char *call, int do_it(struct store *store))
{
    int code = do_it(own->store);
    store_unlock(own->store);
    own->writes = 0;
    return code == 0 ? DRIVER_OK : failed(call, code);
}

static int commit(void *handle)
{
    struct handle *own = handle;
    return own->writes > 0 ? end(own, "store_publish", store_publish) : DRIVER_OK;
}

static int begin(struct handle *own)
{
    int code = own->writes > 0 ? 0 : store_lock(own->store, LOCK_MS);
    return code == 0 ? DRIVER_OK : failed("store_lock", code);
}

static int sync_it(void *handle)
{
    struct handle *own = handle;
    if (begin(own) != 0)
        return DRIVER_FAILED;
    return end(own, "store_commit", store_commit);
}

static int written(struct handle *own) { return ++own->writes == WRITES_PER_COMMIT ? commit(own) : DRIVER_OK; }

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct handle *own = handle;
    const struct store_record record = { .key = key, .key_bytes = key_bytes, .value = value, .value_bytes = value_bytes };
    if (begin(own) != 0)
        return DRIVER_FAILED;
    int code = store_put(own->store, &record, NULL);
    return code == 0 ? written(own) : failed("store_put", code);
}

/* The keys are new, as the loop's are: what is there is seen by the counts of who looks. */
static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    return put(handle, key, key_bytes, value, value_bytes);
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct handle *own = handle;
    if (begin(own) != 0)
        return DRIVER_FAILED;
    int code = store_delete(own->store, key, key_bytes);
    if (code < 0)
        return failed("store_delete", code);
    int ended = written(own);
    return ended != 0 ? ended : code == SHOAL_MISSING ? DRIVER_MISSING : DRIVER_OK;
}

const struct driver driver_store = {
    .name = "store",
    .settings = "10000 writes to a publish (survives processes); sync = store_commit (fdatasync twice)",
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
    .commit = commit,
    .sync = sync_it,
};
