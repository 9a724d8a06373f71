/* SPDX-License-Identifier: MIT
 *
 * What a store below makes possible.
 */
#include <string.h>

#include "base/error.h"
#include "map/move.h"
#include "tier/tier.h"

/* A call of a writer on the store; it may last, so it is pinned. */
static int store_call(struct shoal *map, const char *what, struct call *ret_call)
{
    int rc = move_call_begin(map, ret_call);
    if (rc != 0)
        return rc;
    if (ret_call->map->tier == NULL)
        rc = error_set(SHOAL_EINVAL, "%s: has no store to %s with", ret_call->map->name, what);
    if (rc == 0)
        rc = call_attach(ret_call);
    if (rc != 0)
        call_end(ret_call);
    else
        call_pin(ret_call);
    return rc;
}

int shoal_sync_with(struct shoal *map, shoal_progress_fn *progress, void *arg)
{
    int rc;
    bool moved;
    do {
        struct call call;
        rc = store_call(map, "sync", &call);
        if (rc != 0)
            return rc;
        rc = tier_sync(call.map->tier, call.a, progress, arg);
        moved = segment_has_successor(call.segment); /* and was passed over where it is sealed */
        call_end(&call);
    } while (moved && rc == 0);
    return rc;
}

int shoal_sync(struct shoal *map) { return shoal_sync_with(map, NULL, NULL); }

int shoal_warm(struct shoal *map, shoal_progress_fn *progress, void *arg, uint64_t *ret_n)
{
    struct call call;
    uint64_t n = 0;
    int rc = store_call(map, "warm up", &call);
    if (rc != 0)
        return rc;
    rc = tier_warm(call.map->tier, call.a, progress, arg, &n);
    call_end(&call);
    if (ret_n != NULL)
        *ret_n = n;
    return rc;
}

int shoal_compact(struct shoal *map, shoal_progress_fn *progress, void *arg)
{
    struct call call;
    int rc = store_call(map, "compact", &call);
    if (rc != 0)
        return rc;
    rc = tier_compact(call.map->tier, call.a, progress, arg);
    call_end(&call);
    return rc;
}

static int directory_check(const char *what, const char *directory)
{
    return directory != NULL && directory[0] != 0 ? 0 : error_set(SHOAL_EINVAL, "%s: no directory is given", what);
}

int shoal_backup(struct shoal *map, const char *directory, shoal_progress_fn *progress, void *arg)
{
    struct call call;
    int rc = directory_check("shoal_backup", directory);
    if (rc == 0)
        rc = store_call(map, "back up", &call);
    if (rc == 0) {
        call_end(&call);
        rc = shoal_sync(map); /* also where the map moves meanwhile */
    }
    if (rc == 0)
        rc = store_call(map, "back up", &call);
    if (rc != 0)
        return rc;
    rc = tier_backup(call.map->tier, call.a, directory, progress, arg);
    call_end(&call);
    return rc;
}

int shoal_restore(const char *backup, const char *directory, shoal_progress_fn *progress, void *arg)
{
    int rc = directory_check("shoal_restore", backup);
    if (rc == 0)
        rc = directory_check("shoal_restore", directory);
    return rc == 0 ? store_restore(backup, directory, progress, arg) : rc;
}

/* -- Stat ------------------------------------------------------------------------------------------ */

static int stat_of(struct store *store, struct shoal_store_stat *ret)
{
    struct store_stat stat;
    int rc = store_stat(store, &stat);
    if (rc != 0)
        return rc;
    *ret = (struct shoal_store_stat){
        .size = sizeof *ret, .records = stat.records_n, .payload_bytes = stat.record_bytes, .file_bytes = stat.file_bytes,
        .page_bytes = STORE_PAGE_BYTES, .pages = stat.pages_n, .free_pages = stat.free_n, .held_pages = stat.held_n,
        .transaction = stat.txn, .durable_transaction = stat.durable_txn, .levels = stat.levels, .pins = stat.pins_n,
        .backup = stat.is_backup,
    };
    memcpy(ret->id, stat.id, sizeof ret->id);
    return 0;
}

static int stat_of_map(struct shoal *map, struct shoal_store_stat *ret)
{
    struct call call;
    int rc = call_begin(map, &call);
    if (rc != 0)
        return rc;
    rc = call.map->tier != NULL ? stat_of(call.map->tier->store, ret)
                                : error_set(SHOAL_EINVAL, "%s: has no store", call.map->name);
    call_end(&call);
    return rc;
}

int shoal_store_stat(struct shoal *map, const char *directory, struct shoal_store_stat *ret_stat)
{
    struct store *store;
    if (ret_stat == NULL || ret_stat->size != sizeof *ret_stat)
        return error_set(SHOAL_EINVAL, "shoal_store_stat: ret_stat is NULL or not initialised");
    if ((map == NULL) == (directory == NULL))
        return error_set(SHOAL_EINVAL, "shoal_store_stat: a map or a directory, one of them");
    if (map != NULL)
        return stat_of_map(map, ret_stat);
    int rc = directory_check("shoal_store_stat", directory);
    if (rc == 0)
        rc = store_open(directory, STORE_RDONLY, &store);
    if (rc != 0)
        return rc;
    rc = stat_of(store, ret_stat);
    store_close(store);
    return rc;
}
