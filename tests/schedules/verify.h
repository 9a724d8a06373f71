/* SPDX-License-Identifier: MIT
 *
 * Every invariant of a segment that nobody works on and whose dead have been reaped.
 */
#ifndef SCHEDULES_VERIFY_H
#define SCHEDULES_VERIFY_H

#include "memory/segment.h"

/* alive: bit per entry whose attachment lives.  Calls explore_fail where something is wrong. */
void verify_segment(const struct segment *s, uint32_t alive);

#endif
