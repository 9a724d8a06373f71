/* SPDX-License-Identifier: MIT
 *
 * What notices that the library leaves its mapping, or does not come back.
 *
 *   guard pages     the segment is mapped with an inaccessible page before it and, behind it, more of them than a
 *                   slot's offset can reach: an access outside is a signal.  AddressSanitizer knows nothing of
 *                   mappings, it watches the private buffers that bytes are copied into.
 *   points          the library is built with SHOAL_POINTS: each atomic access of shared memory is looked at
 *                   before it is made, so one outside is named by its call; and counted, so a loop without end
 *                   is seen after so many accesses, on a slow machine as on a fast one.
 *   the alarm       for what makes no access at all.
 *
 * Clock, process and random numbers are fixed, so that the same calls make the same bytes in every run.
 */
#ifndef TESTS_FUZZ_GUARD_H
#define TESTS_FUZZ_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "fuzz/breach.h"

/* A call of the library, counted from here. */
#define CALL(expression) (guard_call(#expression), (expression))
void guard_call(const char *call);

/* Accesses that one call may make; the most that one has made. */
void guard_limit(uint64_t steps);
uint64_t guard_most(const char **ret_call);

/* The process ends, as by a kill, before its n-th access from here; 0 = never. */
void guard_die_at(uint64_t n);

#endif
