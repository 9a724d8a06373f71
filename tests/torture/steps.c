/* SPDX-License-Identifier: MIT
 *
 * The library calls shoal_point() before each access.
 */
#define SHOAL_POINTS
#include "torture/steps.h"

#include "base/atomic.h"

static struct steps steps;

void shoal_point(enum shoal_point_kind kind, const volatile void *where)
{
    (void)where;
    steps.accesses++;
    steps.swaps += kind == POINT_CAS;
}

void steps_begin(void) { steps = (struct steps){ 0 }; }
struct steps steps_now(void) { return steps; }
