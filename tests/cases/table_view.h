/* SPDX-License-Identifier: MIT
 *
 * A look at the table's layout at rest: how far keys lie from home, and what the bounds and summaries say.
 */
#ifndef TESTS_CASES_TABLE_VIEW_H
#define TESTS_CASES_TABLE_VIEW_H

#include "memory/segment.h"
#include "shoal/shoal.h"

const struct segment *segment_of(struct shoal *map);

struct table_view {
    uint64_t live, tentative; /* slots; tentative: TENT or ABRT */
    uint64_t distance_sum;    /* of live slots from their homes, in groups */
    uint32_t distance_max;
    uint64_t bound_sum;  /* of all homes: what a miss reads beyond the home group */
    uint64_t needed_sum; /* what the bounds would be if each were exact */
    uint32_t bound_max;
    uint64_t runs_used, runs_needed; /* summaries that say "used", and that must */
};

/* Only while nobody writes. */
void table_look(struct shoal *map, struct table_view *ret_view);

/* The farthest groups, printed in a line. */
void table_print(const char *what, const struct table_view *view);

#endif
