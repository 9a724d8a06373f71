/* SPDX-License-Identifier: MIT
 *
 * What the machine's memory gives, whatever the table: beside these two figures stand the tables' own.
 */
#ifndef SHOAL_BENCH_MACHINE_H
#define SHOAL_BENCH_MACHINE_H

#include <stdint.h>

enum limit {
    LIMIT_CHASE, /* loads of which each needs the one before: what a look-up pays that waits for one line after the other */
    LIMIT_LINES, /* random lines, 32 asked for ahead: what look-ups get that overlap all their waiting */
    LIMIT_PAGES, /* pages of shared memory touched for the first time: what fresh memory costs an insert */
    LIMITS_N
};
extern const char *const limit_names[LIMITS_N];

/* Lines, or pages, a second of all workers together, over `bytes` of memory rounded down to a power of two, in pages of the
 * common size.  PAGES takes as long as there are pages.  0, or -1 without memory or threads. */
int limits_measure(uint64_t bytes, unsigned workers_n, double seconds, double ret_per_s[LIMITS_N]);

#endif
