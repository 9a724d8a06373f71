/* SPDX-License-Identifier: MIT
 *
 * What a run measures: the plan, every round's figures, and what is made of them.
 */
#ifndef SHOAL_BENCH_RESULTS_H
#define SHOAL_BENCH_RESULTS_H

#include <stdint.h>
#include <stdio.h>

#include "driver.h"
#include "machine.h"
#include "session.h"
#include "workloads.h"

#define PLAN_LIST_MAX 8u
#define PLAN_KEY_BYTES 16u /* unless told otherwise */
#define PLAN_VALUE_BYTES 100u
#define PLAN_DRIVERS_MAX 32u
#define PLAN_ROUNDS_MAX 99u

struct plan {
    const struct driver *drivers[PLAN_DRIVERS_MAX];
    unsigned drivers_n;
    uint64_t keys[PLAN_LIST_MAX], workers[PLAN_LIST_MAX];
    unsigned keys_n, workers_n;
    size_t key_bytes, value_bytes;
    unsigned rounds;
    double seconds; /* per timed workload */
    int by_cpu;     /* tables and ratios are by the workers' processor time */
    uint64_t slow_keys; /* slow peers are left out of larger tables; 0 = never */
    int contenders; /* after the first round without the peers that were far behind: results_is_far_behind() */
    double limit;   /* no new round that would end later than this many seconds; 0 = none */
    uint8_t chosen[WORKLOADS_N], timed[WORKLOADS_N];
    int limits; /* measure the machine's, too */
    const char *directory; /* of file-like tables */
};

/* Which figure: an index into each list of the plan.  METRIC_BYTES stands beside the workloads, then what of each workload
 * is known of single calls. */
#define METRIC_BYTES WORKLOADS_N
#define METRIC_LATENCY(workload, point) (WORKLOADS_N + 1u + (workload) * LATENCY_POINTS + (unsigned)(point))
#define METRICS_N METRIC_LATENCY(WORKLOADS_N, 0)
struct cell {
    unsigned keys, workers, driver, metric;
};

struct results {
    const struct plan *plan;
    double *figure;  /* operations per second, bytes per entry, ns; NaN = not measured */
    double *limit;   /* of the machine: lines per second; NaN likewise */
    unsigned rounds; /* complete or begun */
};

/* Is this driver not for such a table: too slow for so many keys, or they are too long? */
int plan_leaves_out(const struct plan *plan, struct cell cell);

/* 0, or -1 without memory. */
int results_make(const struct plan *plan, struct results *ret_results);
void results_free(struct results *results);
void results_add(struct results *results, unsigned round, struct cell cell, const struct session_result *session);

void results_add_limits(struct results *results, unsigned round, struct cell cell, const double limits[LIMITS_N]);

/* Over the rounds that have a figure; n == 0: none has. */
struct spread {
    unsigned n;
    double median, min, max;
};
struct spread results_spread(const struct results *results, struct cell cell);
/* Of the machine, with the cell's keys and workers. */
struct spread results_limit(const struct results *results, struct cell cell, enum limit limit);

/* The cell's driver against another one: the ratio of the medians.  *ret_tie = the rounds in which both were
 * measured do not all agree who is faster (with five rounds, equal peers agree by chance once in 16 times).
 * NaN where either has no figure. */
double results_ratio(const struct results *results, struct cell cell, unsigned against, int *ret_tie);

/* Was the cell's driver slower than half of the best of its group in every workload? */
int results_is_far_behind(const struct results *results, struct cell cell);

/* The fastest driver of a group by median, or -1. */
int results_best(const struct results *results, struct cell cell, enum driver_group group);

#endif
