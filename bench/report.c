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
#include <sys/utsname.h>
#include <unistd.h>

const char *report_group(enum driver_group group)
{
    static const char *const names[] = { "subject", "same-contract", "multi-process", "unsafe", "on-disk" };
    return names[group];
}

static const char *worker_kind(const struct driver *driver)
{
    return driver->workers == DRIVER_PROCESSES ? "processes" : "threads";
}

static const char *metric_name(unsigned metric)
{
    return metric == METRIC_BYTES ? "bytes_per_entry" : workloads[metric].name;
}

/* -- Facts ----------------------------------------------------------------------- */

/* The value of the first "name<blanks>: value" line of a /proc or /sys file; the whole first line where name
 * is NULL; "unknown" where there is none. */
static void read_fact(const char *path, const char *name, char *buf, size_t buf_bytes)
{
    char line[4096]; /* the flags of a CPU fill more than 1 KiB */
    snprintf(buf, buf_bytes, "unknown");
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        const char *value = name ? strchr(line, ':') : line;
        if (!value || (name && strncmp(line, name, strlen(name)) != 0))
            continue;
        snprintf(buf, buf_bytes, "%.120s", value + (name ? strspn(value, ": \t") : 0));
        break;
    }
    fclose(file);
}

static void machine_facts(FILE *out)
{
    char text[200];
    struct utsname kernel;
    fprintf(out, "# cpus: %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    read_fact("/proc/cpuinfo", "model name", text, sizeof text);
    fprintf(out, "# cpu_model: %s\n", text);
    read_fact("/proc/cpuinfo", "cache size", text, sizeof text);
    fprintf(out, "# cpu_cache: %s\n", text);
    read_fact("/proc/meminfo", "MemTotal", text, sizeof text);
    fprintf(out, "# memory: %s\n", text);
    if (uname(&kernel) == 0)
        fprintf(out, "# kernel: %s %s %s\n", kernel.sysname, kernel.release, kernel.machine);
    fprintf(out, "# page_bytes: %ld\n", sysconf(_SC_PAGESIZE));
    read_fact("/sys/kernel/mm/transparent_hugepage/enabled", NULL, text, sizeof text);
    fprintf(out, "# huge_pages_anonymous: %s\n", text);
    read_fact("/sys/kernel/mm/transparent_hugepage/shmem_enabled", NULL, text, sizeof text);
    fprintf(out, "# huge_pages_shared: %s\n", text);
}

void report_csv_head(FILE *out, const struct plan *plan, const char *const *facts, unsigned facts_n)
{
    machine_facts(out);
    for (unsigned i = 0; i < facts_n; i++)
        fprintf(out, "# %s\n", facts[i]);
    fprintf(out, "# compiler: %s\n", __VERSION__);
    fprintf(out, "# rounds: at most %u, interleaved; seconds per workload: %g; workers not pinned\n", plan->rounds,
            plan->seconds);
    for (unsigned i = 0; i < plan->drivers_n; i++)
        fprintf(out, "# peer %s: %s, %s; %s\n", plan->drivers[i]->name, report_group(plan->drivers[i]->group),
                worker_kind(plan->drivers[i]), plan->drivers[i]->settings);
    fprintf(out, "peer,group,worker_kind,workload,key_bytes,value_bytes,keys,workers,round,ops,seconds,"
                 "ops_per_s,bytes_per_entry,error,cpu_seconds\n");
}

static void csv_start(FILE *out, const struct plan *plan, unsigned round, struct cell cell)
{
    const struct driver *driver = plan->drivers[cell.driver];
    fprintf(out, "%s,%s,%s,%s,%zu,%zu,%" PRIu64 ",%" PRIu64 ",%u,", driver->name, report_group(driver->group),
            worker_kind(driver), metric_name(cell.metric), plan->key_bytes, plan->value_bytes, plan->keys[cell.keys],
            plan->workers[cell.workers], round + 1);
}

/* Commas, quotes and line ends would break the line. */
static void csv_text(FILE *out, const char *text)
{
    for (; *text; text++)
        fputc(strchr(",\"\n\r", *text) ? ' ' : *text, out);
}

void report_csv_session(FILE *out, const struct plan *plan, unsigned round, struct cell cell,
                        const struct session_result *session)
{
    cell.metric = METRIC_BYTES;
    if (session->error[0]) {
        csv_start(out, plan, round, cell);
        fprintf(out, ",,,,");
        csv_text(out, session->error);
        fputs(",\n", out);
        return;
    }
    csv_start(out, plan, round, cell);
    fprintf(out, ",,,%.2f,,\n", session->bytes_per_entry);
    for (cell.metric = 0; cell.metric < WORKLOADS_N; cell.metric++) {
        uint64_t ops = session->cell[cell.metric].ops;
        double seconds = session->cell[cell.metric].seconds;
        if (!plan->chosen[cell.metric] || ops == 0)
            continue;
        csv_start(out, plan, round, cell);
        fprintf(out, "%" PRIu64 ",%.6f,%.0f,,", ops, seconds, (double)ops / seconds);
        if (workloads[cell.metric].kind == WORKLOAD_REOPEN && session->lost > 0)
            fprintf(out, "%" PRIu64 " keys lost", session->lost);
        fprintf(out, ",%.6f\n", session->cell[cell.metric].cpu_seconds);
    }
    fflush(out);
}

/* -- Tables ---------------------------------------------------------------------- */

static int find_subject(const struct plan *plan)
{
    for (unsigned i = 0; i < plan->drivers_n; i++)
        if (plan->drivers[i]->group == DRIVER_SUBJECT)
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
    fprintf(out, "%-16s%-20s%-10s", first ? metric_name(cell.metric) : "", driver->name, worker_kind(driver));
    if (spread.n == 0) {
        int offered = cell.metric == METRIC_BYTES || workloads[cell.metric].kind != WORKLOAD_SYNC || driver->sync;
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
        fprintf(out, "  (%u of %u rounds, the others failed)", spread.n, results->rounds);
    fputc('\n', out);
}

static void table(FILE *out, const struct results *results, struct cell cell)
{
    const struct plan *plan = results->plan;
    int subject = find_subject(plan);
    fprintf(out,
            "\n%" PRIu64 " keys of %zu bytes, values of %zu, %" PRIu64 " worker%s, %u round%s; million operations/s%s; "
            "sync, reopen: a second\n",
            plan->keys[cell.keys], plan->key_bytes, plan->value_bytes, plan->workers[cell.workers],
            plan->workers[cell.workers] == 1 ? "" : "s", results->rounds, results->rounds == 1 ? "" : "s",
            plan->by_cpu ? " of processor time" : "");
    fprintf(out, "%-16s%-20s%-10s%10s%9s%9s%10s\n", "workload", "peer", "workers", "median", "min", "max",
            subject >= 0 ? "shoal/it" : "");
    for (cell.metric = 0; cell.metric < METRICS_N; cell.metric++) {
        if (cell.metric != METRIC_BYTES && !plan->chosen[cell.metric])
            continue;
        for (cell.driver = 0; cell.driver < plan->drivers_n; cell.driver++)
            table_row(out, results, cell, subject, cell.driver == 0);
    }
}

void report_tables(FILE *out, const struct results *results)
{
    struct cell cell = { 0 };
    for (cell.keys = 0; cell.keys < results->plan->keys_n; cell.keys++)
        for (cell.workers = 0; cell.workers < results->plan->workers_n; cell.workers++)
            table(out, results, cell);
}

/* On disk: of each of the subjects, and with the values' size, which these runs vary. */
static void ratio_name(FILE *out, const struct plan *plan, struct cell cell, enum driver_group group, const char *peer)
{
    if (group == DRIVER_ON_DISK)
        fprintf(out, "ratio %s %s-%zu %" PRIu64 " %s", plan->drivers[cell.driver]->name, metric_name(cell.metric),
                plan->value_bytes, plan->keys[cell.keys], peer);
    else
        fprintf(out, "ratio %s %s %" PRIu64 " %" PRIu64 " %s", report_group(group), metric_name(cell.metric),
                plan->keys[cell.keys], plan->workers[cell.workers], peer);
}

static void ratio_line(FILE *out, const struct results *results, struct cell cell, enum driver_group group)
{
    const struct plan *plan = results->plan;
    int best = results_best(results, cell, group), tie;
    if (best < 0)
        return;
    double ratio = results_ratio(results, cell, (unsigned)best, &tie);
    if (isnan(ratio))
        return;
    ratio_name(out, plan, cell, group, plan->drivers[best]->name);
    fprintf(out, " %.2f%s\n", ratio, tie ? " tie" : "");
}

static void ratios(FILE *out, const struct results *results, unsigned subject, enum driver_group group)
{
    const struct plan *plan = results->plan;
    struct cell cell = { .driver = subject };
    for (cell.metric = 0; cell.metric < WORKLOADS_N; cell.metric++)
        for (cell.keys = 0; plan->chosen[cell.metric] && cell.keys < plan->keys_n; cell.keys++)
            for (cell.workers = 0; cell.workers < plan->workers_n; cell.workers++)
                ratio_line(out, results, cell, group);
}

void report_ratios(FILE *out, const struct results *results)
{
    const struct plan *plan = results->plan;
    for (unsigned i = 0; i < plan->drivers_n; i++)
        for (int group = DRIVER_SAME_CONTRACT; plan->drivers[i]->group == DRIVER_SUBJECT && group <= DRIVER_ON_DISK; group++)
            ratios(out, results, i, (enum driver_group)group);
}
