/* SPDX-License-Identifier: MIT
 *
 * What a call cost, in its own accesses to shared memory: progress is counted, not timed.
 *
 * Every iteration of every loop of the library that waits for somebody's change loads a shared word at
 * least, so a call that makes few accesses has made few iterations.  Counted where the library is built with
 * SHOAL_POINTS; elsewhere every call costs 0.
 */
#ifndef TESTS_TORTURE_STEPS_H
#define TESTS_TORTURE_STEPS_H

#include <stdint.h>

struct steps {
    uint64_t accesses; /* of any kind */
    uint64_t swaps;    /* compare-and-swap: a loop that retries makes one for each round */
};

void steps_begin(void);
/* Since steps_begin, in this process. */
struct steps steps_now(void);

#endif
