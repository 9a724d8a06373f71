/* SPDX-License-Identifier: MIT
 *
 * Tables for people, CSV for programs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "facts.h"

const char *report_group(enum driver_group group)
{
    static const char *const names[] = { "subject", "same-contract", "multi-process", "unsafe", "floor", "replacing",
                                         "on-disk" };
    return names[group];
}

static const char *worker_kind(const struct driver *driver)
{
    return driver->workers == DRIVER_PROCESSES ? "processes" : "threads";
}

const char *report_metric(unsigned metric)
{
    return metric == METRIC_BYTES ? "bytes_per_entry" : workloads[metric].name;
}

/* -- CSV ------------------------------------------------------------------------- */

void report_csv_head(FILE *out, const struct plan *plan, const char *const *facts, unsigned facts_n)
{
    facts_machine(out);
    for (unsigned i = 0; i < facts_n; i++)
        fprintf(out, "# %s\n", facts[i]);
    fprintf(out, "# compiler: %s\n", __VERSION__);
    fprintf(out, "# rounds: at most %u, interleaved; seconds per workload: %g; workers not pinned\n", plan->rounds,
            plan->seconds);
    for (unsigned i = 0; i < plan->drivers_n; i++)
        fprintf(out, "# peer %s: %s, %s; %s\n", plan->drivers[i]->name, report_group(plan->drivers[i]->group),
                worker_kind(plan->drivers[i]), plan->drivers[i]->settings);
    fprintf(out, "# latency: calls one by one, %" PRIu64 " ns for reading the clock taken off\n", latency_clock_ns());
    fprintf(out, "peer,group,worker_kind,workload,key_bytes,value_bytes,keys,workers,round,ops,seconds,"
                 "ops_per_s,bytes_per_entry,error,cpu_seconds,huge_page_bytes,timed_calls");
    for (int point = 0; point < LATENCY_POINTS; point++)
        fprintf(out, ",%s_ns", latency_names[point]);
    fputc('\n', out);
}

/* What follows cpu_seconds in a line that has none of it. */
#define NOTHING_MORE ",,,,,,,,"

static void csv_start(FILE *out, const struct plan *plan, unsigned round, struct cell cell)
{
    const struct driver *driver = plan->drivers[cell.driver];
    fprintf(out, "%s,%s,%s,%s,%zu,%zu,%" PRIu64 ",%" PRIu64 ",%u,", driver->name, report_group(driver->group),
            worker_kind(driver), report_metric(cell.metric), plan->key_bytes, plan->value_bytes, plan->keys[cell.keys],
            plan->workers[cell.workers], round + 1);
}

/* Commas, quotes and line ends would break the line. */
static void csv_text(FILE *out, const char *text)
{
    for (; *text; text++)
        fputc(strchr(",\"\n\r", *text) ? ' ' : *text, out);
}

static void csv_latency(FILE *out, const struct session_result *session, unsigned workload)
{
    uint64_t n = session->cell[workload].timed_n;
    if (n == 0) {
        fputs(NOTHING_MORE "\n", out);
        return;
    }
    fprintf(out, ",,%" PRIu64, n);
    for (int point = 0; point < LATENCY_POINTS; point++)
        fprintf(out, ",%.0f", session->cell[workload].latency_ns[point]);
    fputc('\n', out);
}

void report_csv_session(FILE *out, const struct plan *plan, unsigned round, struct cell cell,
                        const struct session_result *session)
{
    cell.metric = METRIC_BYTES;
    if (session->error[0]) {
        csv_start(out, plan, round, cell);
        fprintf(out, ",,,,");
        csv_text(out, session->error);
        fputs("," NOTHING_MORE "\n", out);
        return;
    }
    csv_start(out, plan, round, cell);
    fprintf(out, ",,,%.2f,,,%.0f,,,,,,,\n", session->bytes_per_entry, session->huge_bytes);
    for (cell.metric = 0; cell.metric < WORKLOADS_N; cell.metric++) {
        uint64_t ops = session->cell[cell.metric].ops;
        double seconds = session->cell[cell.metric].seconds;
        if (!plan->chosen[cell.metric] || ops == 0)
            continue;
        csv_start(out, plan, round, cell);
        fprintf(out, "%" PRIu64 ",%.6f,%.0f,,", ops, seconds, (double)ops / seconds);
        if (workloads[cell.metric].kind == WORKLOAD_REOPEN && session->lost > 0)
            fprintf(out, "%" PRIu64 " keys lost", session->lost);
        fprintf(out, ",%.6f", session->cell[cell.metric].cpu_seconds);
        csv_latency(out, session, cell.metric);
    }
    fflush(out);
}

void report_csv_limits(FILE *out, const struct plan *plan, unsigned round, struct cell cell, const double limits[LIMITS_N])
{
    for (int limit = 0; limit < LIMITS_N; limit++)
        if (!isnan(limits[limit]))
            fprintf(out, "machine,limit,threads,%s,%zu,%zu,%" PRIu64 ",%" PRIu64 ",%u,,,%.0f,,,%s\n", limit_names[limit],
                    plan->key_bytes, plan->value_bytes, plan->keys[cell.keys], plan->workers[cell.workers], round + 1,
                    limits[limit], NOTHING_MORE);
    fflush(out);
}

/* -- Tables ---------------------------------------------------------------------- */

int report_find(const struct plan *plan, enum driver_group group)
{
    for (unsigned i = 0; i < plan->drivers_n; i++)
        if (plan->drivers[i]->group == group)
            return (int)i;
    return -1;
}

/* Few a second: as they are. */
static double unit_of(unsigned metric)
{
    return metric == METRIC_BYTES || workloads[metric].kind == WORKLOAD_SYNC || workloads[metric].kind == WORKLOAD_REOPEN
               ? 1
               : 1e6;
}

static void table_row(FILE *out, const struct results *results, struct cell cell, int subject, int first)
{
    const struct plan *plan = results->plan;
    const struct driver *driver = plan->drivers[cell.driver];
    struct spread spread = results_spread(results, cell);
    double unit = unit_of(cell.metric);
    fprintf(out, "%-16s%-20s%-10s", first ? report_metric(cell.metric) : "", driver->name, worker_kind(driver));
    if (spread.n == 0) {
        int offered = (cell.metric == METRIC_BYTES || workloads[cell.metric].kind != WORKLOAD_SYNC || driver->sync) &&
                      !plan_leaves_out(plan, cell);
        fprintf(out, "%10s\n", offered ? "failed" : "-");
        return;
    }
    fprintf(out, "%10.2f%9.2f%9.2f", spread.median / unit, spread.min / unit, spread.max / unit);
    if (subject >= 0 && (unsigned)subject != cell.driver && cell.metric != METRIC_BYTES) {
        struct cell own = cell;
        own.driver = (unsigned)subject;
        int tie;
        double ratio = results_ratio(results, own, cell.driver, &tie);
        if (!isnan(ratio))
            fprintf(out, "%10.2f%s", ratio, tie ? " tie" : "");
    }
    if (spread.n < results->rounds)
        fprintf(out, "  (%u of %u rounds%s)", spread.n, results->rounds, plan->contenders ? "" : ", the others failed");
    fputc('\n', out);
}

static void table(FILE *out, const struct results *results, struct cell cell)
{
    const struct plan *plan = results->plan;
    int subject = report_find(plan, DRIVER_SUBJECT);
    fprintf(out,
            "\n%" PRIu64 " keys of %zu bytes, values of %zu, %" PRIu64 " worker%s, %u round%s; million operations/s%s; "
            "sync, reopen: a second\n",
            plan->keys[cell.keys], plan->key_bytes, plan->value_bytes, plan->workers[cell.workers],
            plan->workers[cell.workers] == 1 ? "" : "s", results->rounds, results->rounds == 1 ? "" : "s",
            plan->by_cpu ? " of processor time" : "");
    fprintf(out, "%-16s%-20s%-10s%10s%9s%9s%10s\n", "workload", "peer", "workers", "median", "min", "max",
            subject >= 0 ? "shoal/it" : "");
    for (cell.metric = 0; cell.metric <= METRIC_BYTES; cell.metric++) {
        if (cell.metric != METRIC_BYTES && !plan->chosen[cell.metric])
            continue;
        for (cell.driver = 0; cell.driver < plan->drivers_n; cell.driver++)
            table_row(out, results, cell, subject, cell.driver == 0);
    }
}

static void latency_row(FILE *out, const struct results *results, struct cell cell, unsigned workload, int first)
{
    fprintf(out, "%-16s%-20s", first ? workloads[workload].name : "", results->plan->drivers[cell.driver]->name);
    for (int point = 0; point < LATENCY_POINTS; point++) {
        cell.metric = METRIC_LATENCY(workload, point);
        struct spread spread = results_spread(results, cell);
        if (spread.n == 0)
            fprintf(out, "%10s", "-");
        else
            fprintf(out, "%10.0f", spread.median);
    }
    fputc('\n', out);
}

/* Medians over the rounds; of the maximum, too. */
static void latency_table(FILE *out, const struct results *results, struct cell cell)
{
    const struct plan *plan = results->plan;
    fprintf(out, "\n%" PRIu64 " keys, %" PRIu64 " worker%s; ns of single calls, %" PRIu64 " for the clock taken off\n",
            plan->keys[cell.keys], plan->workers[cell.workers], plan->workers[cell.workers] == 1 ? "" : "s",
            latency_clock_ns());
    fprintf(out, "%-16s%-20s", "workload", "peer");
    for (int point = 0; point < LATENCY_POINTS; point++)
        fprintf(out, "%10s", latency_names[point]);
    fputc('\n', out);
    for (unsigned workload = 0; workload < WORKLOADS_N; workload++)
        for (cell.driver = 0; plan->timed[workload] && plan->chosen[workload] && cell.driver < plan->drivers_n; cell.driver++)
            latency_row(out, results, cell, workload, cell.driver == 0);
}

void report_tables(FILE *out, const struct results *results)
{
    const struct plan *plan = results->plan;
    struct cell cell = { 0 };
    for (cell.keys = 0; cell.keys < plan->keys_n; cell.keys++)
        for (cell.workers = 0; cell.workers < plan->workers_n; cell.workers++) {
            table(out, results, cell);
            if (memchr(plan->timed, 1, sizeof plan->timed))
                latency_table(out, results, cell);
        }
}
