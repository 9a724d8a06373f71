/* SPDX-License-Identifier: MIT */
#include "lib/processor.h"

#include <sched.h>
#include <stddef.h>

void processor_stay(uint32_t which)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    uint32_t skip = which % (uint32_t)CPU_COUNT(&allowed);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &allowed) && skip-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(i, &one);
            (void)sched_setaffinity(0, sizeof one, &one); /* else it only takes longer */
            return;
        }
}
