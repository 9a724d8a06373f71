/* SPDX-License-Identifier: MIT
 *
 * From a scenario to its stage and its list of points.
 */
#ifndef TESTS_KILL_BUILD_H
#define TESTS_KILL_BUILD_H

#include "kill/scenario.h"

/* Build the stage of one variant, in this process (a child: it opens maps).  stage->variants_n says how
 * many variants there are. */
void build_stage(struct stage *stage, const struct scenario *scenario, uint32_t variant, uint64_t seed);

/* The places of a trace where a kill, or a stop, can make a difference.  every: all places. */
uint32_t build_points(const struct trace *trace, enum run_kind kind, bool every, uint32_t *ret_points, uint32_t room);

#endif
