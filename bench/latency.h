/* SPDX-License-Identifier: MIT
 *
 * How long single calls take: a histogram, and a driver that fills one.
 *
 * In a pass of its own, because the clock costs as much as half a call.  The cost of reading it, measured before, is taken
 * off; what the clock's barrier keeps the processor from overlapping is not.
 */
#ifndef SHOAL_BENCH_LATENCY_H
#define SHOAL_BENCH_LATENCY_H

#include <stdint.h>

#include "driver.h"

/* Buckets after HdrHistogram: exact below 2 * STEPS, then STEPS to a doubling, so that a bucket is at most 1/STEPS wide.
 * Up to 2^40 ns, which is 18 minutes. */
#define HISTOGRAM_STEPS 32u
#define HISTOGRAM_DOUBLINGS 35u
#define HISTOGRAM_BUCKETS ((HISTOGRAM_DOUBLINGS + 1) * HISTOGRAM_STEPS)

struct histogram {
    uint64_t n, max_ns;
    uint64_t count[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *other);

enum latency_point { LATENCY_P50, LATENCY_P90, LATENCY_P99, LATENCY_P999, LATENCY_P9999, LATENCY_MAX, LATENCY_POINTS };
extern const char *const latency_names[LATENCY_POINTS];
/* ns that this share of the calls did not exceed; 0 without any.  Up to 1/STEPS too high, but never above the maximum. */
double histogram_point(const struct histogram *histogram, enum latency_point point);

/* What two readings of the clock with nothing between are apart, ns; measured in the first call. */
uint64_t latency_clock_ns(void);

/* The same driver with a clock around each call that works on keys; its handle is a struct timed. */
struct timed {
    const struct driver *driver;
    void *handle;
    struct histogram *histogram;
};
struct driver timed_driver(const struct driver *driver);

#endif
