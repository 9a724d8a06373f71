/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "map/move.h"
#include "memory/settle.h"

int shoal_reap(struct shoal *map, struct shoal_reaped *ret_reaped)
{
    struct call call;
    if (ret_reaped != NULL && ret_reaped->size != sizeof *ret_reaped)
        return error_set(SHOAL_EINVAL, "shoal_reap: ret_reaped is not initialised");
    int rc = move_call_begin(map, &call);
    if (rc != 0)
        return rc;
    rc = call_attach(&call);
    if (rc == 0) {
        struct attachment *a = call.a;
        /* With the dead one whose index this thread took over when it attached. */
        struct settle_count count = { .dead = a->heir, .aborted = a->heir_aborted, .completed = a->heir_completed };
        a->heir = 0;
        a->heir_aborted = a->heir_completed = 0;
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
