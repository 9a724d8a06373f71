/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "map/registry.h"
#include "memory/settle.h"

int shoal_reap(struct shoal *map, struct shoal_reaped *ret_reaped)
{
    struct call call;
    if (ret_reaped != NULL && ret_reaped->size != sizeof *ret_reaped)
        return error_set(SHOAL_EINVAL, "shoal_reap: ret_reaped is not initialised");
    int rc = call_begin(map, &call);
    if (rc != 0)
        return rc;
    rc = call_attach(&call);
    if (rc == 0) {
        struct settle_count count = { 0 };
        settle_all_dead(call.a, &count);
        settle_sweep(call.a, &count);
        retire_reclaim(call.a);
        if (ret_reaped != NULL)
            *ret_reaped = (struct shoal_reaped){ .size = sizeof *ret_reaped,
                                                 .dead = count.dead,
                                                 .undecided = count.undecided,
                                                 .aborted = count.aborted,
                                                 .completed = count.completed,
                                                 .blocks = count.blocks };
    }
    call_end(&call);
    return rc;
}
