/* SPDX-License-Identifier: MIT
 *
 * What is measured while its processes die and stop: the drivers of the comparison that keep Shoal's job, and two maps under a
 * lock of the C library, which tests/baselines kills as well.
 */
#ifndef SHOAL_BENCH_STALLS_SUBJECTS_H
#define SHOAL_BENCH_STALLS_SUBJECTS_H

#include "../driver.h"

struct subject {
    const struct driver *driver;
    int (*recover)(void *handle); /* what its manual asks of the living after a death; NULL = nothing */
};

/* Ends with a driver of NULL.  The first shares nothing: what is long there is the machine's. */
extern const struct subject subjects[];

#endif
