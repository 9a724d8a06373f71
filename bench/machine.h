/* SPDX-License-Identifier: MIT
 *
 * What the machine's memory, and the system's calls on files, give, whatever the table: beside these figures stand the tables'
 * own.
 */
#ifndef SHOAL_BENCH_MACHINE_H
#define SHOAL_BENCH_MACHINE_H

#include <stdint.h>

enum limit {
    LIMIT_CHASE, /* loads of which each needs the one before: what a look-up pays that waits for one line after the other */
    LIMIT_LINES, /* random lines, 32 asked for ahead: what look-ups get that overlap all their waiting */
    LIMIT_PAGES, /* pages of shared memory touched for the first time: what fresh memory costs an insert */
    LIMIT_PREADS,  /* pages read from random places of a file in the page cache, each by a call: a get without a mapping */
    LIMIT_PWRITES, /* random pages of memory written one behind the other to such a file, 256 in a call */
    LIMITS_N
};
extern const char *const limit_names[LIMITS_N];

/* Lines, or pages, a second of all workers together, over `bytes` of memory rounded down to a power of two, in pages of the
 * common size.  PAGES takes as long as there are pages.  PREADS and PWRITES: one worker's, over as many pages as hold `bytes` where
 * 69 % of each is in use, in a file of twice their number in this directory; NULL: NaN.  0, or -1 where something fails. */
int limits_measure(uint64_t bytes, unsigned workers_n, double seconds, const char *directory, double ret_per_s[LIMITS_N]);

#endif
