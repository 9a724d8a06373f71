/* SPDX-License-Identifier: MIT
 *
 * The last lines of a run, one a row, for programs:
 *   machine KEYS WORKERS LIMIT MILLION_LINES_PER_S NS_PER_LINE
 *   ratio GROUP WORKLOAD KEYS WORKERS PEER X.XX [tie]        Shoal's operations per second over the best peer's of the group
 *   ratio SUBJECT WORKLOAD-VALUE_BYTES KEYS PEER X.XX [tie]  the same of tables on disk
 *   floor WORKLOAD KEYS WORKERS X.XX [tie]                   Shoal's over the floor's
 *   replacing WORKLOAD KEYS WORKERS X.XX [tie]               Shoal's over those of the floor that replaces records; what puts
 *   bound WORKLOAD KEYS WORKERS PEER X.XX [tie]              the floor's, in what puts that one's, over the best peer's of the
 *                                                            same contract: below 1 nothing of this shape reaches it
 *   void: REASON                                             the floor is none in this run
 * WORKLOAD is WORKLOAD-KEY_BYTESxVALUE_BYTES where these are not 16 and 100.
 */
#ifndef SHOAL_BENCH_VERDICT_H
#define SHOAL_BENCH_VERDICT_H

#include <stdio.h>

#include "results.h"

void verdict_lines(FILE *out, const struct results *results);

#endif
