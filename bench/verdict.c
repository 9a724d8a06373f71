/* SPDX-License-Identifier: MIT
 *
 * Ratios to peers and to the floor, and whether the floor is one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "verdict.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "report.h"

/* -- Names ------------------------------------------------------------------------- */

static void row_name(FILE *out, const struct plan *plan, struct cell cell)
{
    fputs(report_metric(cell.metric), out);
    if (plan->key_bytes != PLAN_KEY_BYTES || plan->value_bytes != PLAN_VALUE_BYTES)
        fprintf(out, "-%zux%zu", plan->key_bytes, plan->value_bytes);
    fprintf(out, " %" PRIu64 " %" PRIu64, plan->keys[cell.keys], plan->workers[cell.workers]);
}

/* -- Ratios ------------------------------------------------------------------------ */

static bool is_floor(enum driver_group group) { return group == DRIVER_FLOOR || group == DRIVER_REPLACING; }

/* On disk each row is of one of the subjects, each peer has its line, and the values' size, which these runs vary, is told. */
static bool is_on_disk(const struct plan *plan) { return report_find(plan, DRIVER_ON_DISK) >= 0; }

static void disk_name(FILE *out, const struct plan *plan, struct cell cell)
{
    fprintf(out, "%s-%zu %" PRIu64, report_metric(cell.metric), plan->value_bytes, plan->keys[cell.keys]);
}

static void ratio_name(FILE *out, const struct plan *plan, struct cell cell, enum driver_group group)
{
    if (!is_floor(group))
        fputs("ratio ", out);
    if (group != DRIVER_ON_DISK)
        fprintf(out, "%s ", report_group(group));
    if (is_on_disk(plan)) {
        fprintf(out, "%s ", plan->drivers[cell.driver]->name);
        disk_name(out, plan, cell);
    } else {
        row_name(out, plan, cell);
    }
}

static bool is_put(unsigned metric)
{
    return (workloads[metric].kind == WORKLOAD_MIX || workloads[metric].kind == WORKLOAD_MODIFY) &&
           workloads[metric].reads_percent < 100;
}

static void ratio_to(FILE *out, const struct results *results, struct cell cell, enum driver_group group, unsigned peer)
{
    int tie;
    double ratio = results_ratio(results, cell, peer, &tie);
    if (isnan(ratio))
        return;
    ratio_name(out, results->plan, cell, group);
    if (!is_floor(group))
        fprintf(out, " %s", results->plan->drivers[peer]->name);
    fprintf(out, " %.2f%s\n", ratio, tie ? " tie" : "");
}

static void ratio_line(FILE *out, const struct results *results, struct cell cell, enum driver_group group)
{
    const struct plan *plan = results->plan;
    int best = results_best(results, cell, group);
    if (best < 0 || (group == DRIVER_REPLACING && !is_put(cell.metric)))
        return;
    if (group != DRIVER_ON_DISK) {
        ratio_to(out, results, cell, group, (unsigned)best);
        return;
    }
    for (unsigned i = 0; i < plan->drivers_n; i++)
        if (plan->drivers[i]->group == group)
            ratio_to(out, results, cell, group, i);
}

/* The floor whose work this is, or -1. */
static int floor_of(const struct plan *plan, unsigned metric)
{
    return report_find(plan, is_put(metric) && !is_on_disk(plan) ? DRIVER_REPLACING : DRIVER_FLOOR);
}

static void bound_to(FILE *out, const struct results *results, struct cell cell, unsigned peer)
{
    const struct plan *plan = results->plan;
    int tie;
    double ratio = results_ratio(results, cell, peer, &tie);
    if (isnan(ratio))
        return;
    fprintf(out, "bound ");
    if (is_on_disk(plan))
        disk_name(out, plan, cell);
    else
        row_name(out, plan, cell);
    fprintf(out, " %s %.2f%s\n", plan->drivers[peer]->name, ratio, tie ? " tie" : "");
}

static void bound_line(FILE *out, const struct results *results, struct cell cell, enum driver_group group)
{
    const struct plan *plan = results->plan;
    int floor = floor_of(plan, cell.metric), best = results_best(results, cell, group);
    if (floor < 0 || best < 0)
        return;
    cell.driver = (unsigned)floor;
    for (unsigned i = 0; i < plan->drivers_n; i++)
        if (group == DRIVER_ON_DISK ? plan->drivers[i]->group == group : i == (unsigned)best)
            bound_to(out, results, cell, i);
}

typedef void line_fn(FILE *out, const struct results *results, struct cell cell, enum driver_group group);

static void each_row(FILE *out, const struct results *results, unsigned subject, enum driver_group group, line_fn *line)
{
    const struct plan *plan = results->plan;
    struct cell cell = { .driver = subject };
    for (cell.metric = 0; cell.metric < WORKLOADS_N; cell.metric++)
        for (cell.keys = 0; plan->chosen[cell.metric] && cell.keys < plan->keys_n; cell.keys++)
            for (cell.workers = 0; cell.workers < plan->workers_n; cell.workers++)
                line(out, results, cell, group);
}

/* -- The floor --------------------------------------------------------------------- */

/* A floor that others walk under would flatter what is compared with it.  It must be as fast as what is known to be fast:
 * CLHT, whose get touches one line and one record, for reading; twice TBB's table for inserting. */
struct demand {
    const char *workload, *peer;
    double times;
};
static const struct demand get_by_clht = { "get_hit", "clht", 0.9 };
static const struct demand get_by_tbb = { "get_hit", "tbb", 1.1 };
static const struct demand insert_by_tbb = { "insert", "tbb", 2.0 };

static int find_peer(const struct plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->drivers_n; i++)
        if (strcmp(plan->drivers[i]->name, name) == 0)
            return (int)i;
    return -1;
}

/* The floor's operations per second over the peer's, or NaN. */
static double over_peer(const struct results *results, struct cell cell, const struct demand *demand)
{
    int peer = find_peer(results->plan, demand->peer), tie;
    cell.metric = (unsigned)workload_find(demand->workload);
    return peer < 0 ? (double)NAN : results_ratio(results, cell, (unsigned)peer, &tie);
}

static void fall_short(FILE *out, const struct results *results, struct cell cell, const struct demand *demand)
{
    cell.metric = (unsigned)workload_find(demand->workload);
    fprintf(out, "void: the floor is none in this run: ");
    row_name(out, results->plan, cell);
    fprintf(out, " %.2f of %s, at least %.1f wanted\n", over_peer(results, cell, demand), demand->peer, demand->times);
}

static void judge_cell(FILE *out, const struct results *results, struct cell cell, unsigned *judged)
{
    double clht = over_peer(results, cell, &get_by_clht), get = over_peer(results, cell, &get_by_tbb);
    double insert = over_peer(results, cell, &insert_by_tbb);
    *judged += (!isnan(clht) || !isnan(get)) && !isnan(insert);
    if (get < get_by_tbb.times && !(clht >= get_by_clht.times)) /* false where it is NaN */
        fall_short(out, results, cell, &get_by_tbb);
    else if (isnan(get) && clht < get_by_clht.times)
        fall_short(out, results, cell, &get_by_clht);
    if (insert < insert_by_tbb.times)
        fall_short(out, results, cell, &insert_by_tbb);
}

/* Larger values are copies above all, and a copy is as fast for everybody. */
static void judge_floor(FILE *out, const struct results *results, unsigned floor)
{
    const struct plan *plan = results->plan;
    struct cell cell = { .driver = floor };
    unsigned judged = 0;
    if (plan->value_bytes > PLAN_VALUE_BYTES)
        return;
    for (cell.keys = 0; cell.keys < plan->keys_n; cell.keys++)
        for (cell.workers = 0; cell.workers < plan->workers_n; cell.workers++)
            judge_cell(out, results, cell, &judged);
    if (judged < plan->keys_n * plan->workers_n)
        fprintf(out, "void: the floor is not judged in %u of %u tables: that takes insert and get_hit of tbb\n",
                plan->keys_n * plan->workers_n - judged, plan->keys_n * plan->workers_n);
}

static void machine_lines(FILE *out, const struct results *results)
{
    const struct plan *plan = results->plan;
    struct cell cell = { 0 };
    for (cell.keys = 0; cell.keys < plan->keys_n; cell.keys++)
        for (cell.workers = 0; cell.workers < plan->workers_n; cell.workers++)
            for (int limit = 0; limit < LIMITS_N; limit++) {
                struct spread spread = results_limit(results, cell, (enum limit)limit);
                bool alone = limit == LIMIT_PREADS || limit == LIMIT_PWRITES;
                if (spread.n > 0)
                    fprintf(out, "machine %" PRIu64 " %" PRIu64 " %s %.3f %.1f\n", plan->keys[cell.keys],
                            plan->workers[cell.workers], limit_names[limit], spread.median / 1e6,
                            1e9 * (alone ? 1.0 : (double)plan->workers[cell.workers]) / spread.median);
            }
}

void verdict_lines(FILE *out, const struct results *results)
{
    const struct plan *plan = results->plan;
    static const enum driver_group groups[] = { DRIVER_SAME_CONTRACT, DRIVER_MULTI_PROCESS, DRIVER_UNSAFE, DRIVER_ON_DISK,
                                                DRIVER_FLOOR, DRIVER_REPLACING };
    machine_lines(out, results);
    for (unsigned i = 0; i < plan->drivers_n; i++)
        for (unsigned group = 0; plan->drivers[i]->group == DRIVER_SUBJECT && group < sizeof groups / sizeof groups[0]; group++)
            each_row(out, results, i, groups[group], ratio_line);
    each_row(out, results, 0, is_on_disk(plan) ? DRIVER_ON_DISK : DRIVER_SAME_CONTRACT, bound_line);
    int floor = report_find(plan, DRIVER_FLOOR);
    if (floor >= 0 && !is_on_disk(plan))
        judge_floor(out, results, (unsigned)floor);
}
