/* SPDX-License-Identifier: MIT
 *
 * What a store below makes possible.
 */
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

int shoal_sync(struct shoal *map)
{
    int rc;
    bool moved;
    do {
        struct call call;
        rc = store_call(map, "sync", &call);
        if (rc != 0)
            return rc;
        rc = tier_sync(call.map->tier, call.a);
        moved = segment_has_successor(call.segment); /* and was passed over where it is sealed */
        call_end(&call);
    } while (moved && rc == 0);
    return rc;
}

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
