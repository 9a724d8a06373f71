/* SPDX-License-Identifier: MIT
 *
 * The comparison: options, rounds, report.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyset.h"
#include "peers/peers.h"
#include "report.h"
#include "results.h"
#include "session.h"
#include "verdict.h"

#define FACTS_MAX 16u
#define KEYS_MIN SESSION_WORKERS_MAX /* every worker has a share */
#define KEYS_MAX 100000000u

struct arguments {
    struct plan plan;
    const char *csv, *keys_file;
    const char *facts[FACTS_MAX];
    unsigned facts_n;
    int list;
};

static const char usage_text[] = "usage: %s [options]\n"
                                 "  --keys N,...       records in the table (100000,1000000); suffixes k and M\n"
                                 "  --workers N,...    processes or threads at work\n"
                                 "  --key-bytes N      (16)\n"
                                 "  --value-bytes N    (100)\n"
                                 "  --rounds N         interleaved rounds (5)\n"
                                 "  --seconds S        of each timed workload (0.5)\n"
                                 "  --limit S          begin no round that would end later than this (none)\n"
                                 "  --slow-keys N      leave peers that take microseconds a call out of larger tables (never)\n"
                                 "  --contenders       from the second round on, only peers that reached half of the best of\n"
                                 "                     their group in some workload\n"
                                 "  --peers NAME,...   (all that were built)\n"
                                 "  --workloads NAME,...   or `all` (those that --list does not call on request)\n"
                                 "  --latency NAME,... once more, each call by the clock (those that --list calls timed)\n"
                                 "  --clock cpu        tables and ratios by processor time: for a busy machine (wall)\n"
                                 "  --directory DIR    where tables that are files lie (%s)\n"
                                 "  --csv FILE         every round's figures\n"
                                 "  --fact TEXT        a `name: value` for the head of the CSV\n"
                                 "  --write-keys FILE  nothing but the first table's keys, for programs in other languages\n"
                                 "  --list             the peers and workloads there are\n";

static int complain(const char *what, const char *text)
{
    fprintf(stderr, "%s: %s: %s\n", bench.program, what, text);
    return -1;
}

/* -- Options --------------------------------------------------------------------- */

/* A whole number in [min, max], with a suffix k or M. */
static int parse_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret_n)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    unsigned long long scale = *end == 'k' ? 1000 : *end == 'M' ? 1000000 : 1;
    if (scale != 1)
        end++;
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || n > UINT64_MAX / scale || n * scale < min ||
        n * scale > max)
        return complain(what, text);
    *ret_n = n * scale;
    return 0;
}

static int parse_size(const char *what, const char *text, uint64_t min, uint64_t max, size_t *ret_size)
{
    uint64_t n = 0;
    if (parse_number(what, text, min, max, &n) != 0)
        return -1;
    *ret_size = (size_t)n;
    return 0;
}

static int parse_seconds(const char *what, const char *text, double *ret_seconds)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds > 0 && seconds <= 86400))
        return complain(what, text);
    *ret_seconds = seconds;
    return 0;
}

static int parse_numbers(const char *what, char *text, uint64_t min, uint64_t max, uint64_t *list, unsigned *ret_n)
{
    unsigned n = 0;
    for (char *item = strtok(text, ","); item; item = strtok(NULL, ",")) {
        if (n == PLAN_LIST_MAX)
            return complain(what, "too many");
        if (parse_number(what, item, min, max, &list[n++]) != 0)
            return -1;
    }
    *ret_n = n;
    return n > 0 ? 0 : complain(what, "empty");
}

static int parse_peers(char *text, struct plan *plan)
{
    plan->drivers_n = 0;
    for (char *item = strtok(text, ","); item; item = strtok(NULL, ",")) {
        const struct driver *found = NULL;
        for (unsigned i = 0; i < bench.peers_n; i++)
            if (peers[i].driver && strcmp(peers[i].name, item) == 0)
                found = peers[i].driver;
        if (!found)
            return complain("no such peer in this build", item);
        for (unsigned i = 0; i < plan->drivers_n; i++)
            if (plan->drivers[i] == found)
                return complain("peer named twice", item);
        plan->drivers[plan->drivers_n++] = found;
    }
    return plan->drivers_n > 0 ? 0 : complain("--peers", "empty");
}

static int parse_workloads(const char *text, uint8_t flags[WORKLOADS_N])
{
    char list[200];
    snprintf(list, sizeof list, "%s", strcmp(text, "all") == 0 ? bench.all : text);
    memset(flags, 0, WORKLOADS_N);
    for (char *item = strtok(list, ","); item; item = strtok(NULL, ",")) {
        int found = workload_find(item);
        if (found < 0)
            return complain("no such workload", item);
        flags[found] = 1;
    }
    return 0;
}

static void defaults(struct arguments *arguments)
{
    struct plan *plan = &arguments->plan;
    *plan = (struct plan){ .keys = { 100000, 1000000 },
                           .keys_n = 2,
                           .workers = { 1, 2 },
                           .workers_n = bench.workers_n,
                           .key_bytes = PLAN_KEY_BYTES,
                           .value_bytes = PLAN_VALUE_BYTES,
                           .rounds = 5,
                           .seconds = 0.5,
                           .limits = bench.limits,
                           .directory = bench.directory };
    (void)parse_workloads(bench.workloads, plan->chosen);
    (void)parse_workloads(bench.timed ? bench.timed : "", plan->timed);
    for (unsigned i = 0; i < bench.peers_n; i++)
        if (peers[i].driver)
            plan->drivers[plan->drivers_n++] = peers[i].driver;
}

static int parse_one(int option, char *text, struct arguments *arguments)
{
    struct plan *plan = &arguments->plan;
    uint64_t n = 0;
    switch (option) {
    case 'k':
        return parse_numbers("--keys", text, KEYS_MIN, KEYS_MAX, plan->keys, &plan->keys_n);
    case 'w':
        return parse_numbers("--workers", text, 1, SESSION_WORKERS_MAX, plan->workers, &plan->workers_n);
    case 'K':
        return parse_size("--key-bytes", text, KEYSET_KEY_MIN, 65535, &plan->key_bytes);
    case 'V':
        return parse_size("--value-bytes", text, KEYSET_VALUE_MIN, 1u << 24, &plan->value_bytes);
    case 'r':
        if (parse_number("--rounds", text, 1, PLAN_ROUNDS_MAX, &n) != 0)
            return -1;
        plan->rounds = (unsigned)n;
        return 0;
    case 'b':
        plan->contenders = 1;
        return 0;
    case 'S':
        return parse_number("--slow-keys", text, KEYS_MIN, KEYS_MAX, &plan->slow_keys);
    case 's':
        return parse_seconds("--seconds", text, &plan->seconds);
    case 'L':
        return parse_seconds("--limit", text, &plan->limit);
    case 'p':
        return parse_peers(text, plan);
    case 'W':
        return parse_workloads(text, plan->chosen);
    case 't':
        return parse_workloads(strcmp(text, "none") == 0 ? "" : text, plan->timed);
    case 'C':
        plan->by_cpu = strcmp(text, "cpu") == 0;
        return plan->by_cpu || strcmp(text, "wall") == 0 ? 0 : complain("--clock", text);
    case 'd':
        plan->directory = text;
        return 0;
    case 'c':
        arguments->csv = text;
        return 0;
    case 'O':
        arguments->keys_file = text;
        return 0;
    case 'l':
        arguments->list = 1;
        return 0;
    case 'f':
        if (arguments->facts_n == FACTS_MAX)
            return complain("--fact", "too many");
        arguments->facts[arguments->facts_n++] = text;
        return 0;
    default:
        fprintf(stderr, usage_text, bench.program, bench.directory);
        return -1;
    }
}

static int parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        { "keys", required_argument, NULL, 'k' },
        { "workers", required_argument, NULL, 'w' },
        { "key-bytes", required_argument, NULL, 'K' },
        { "value-bytes", required_argument, NULL, 'V' },
        { "rounds", required_argument, NULL, 'r' },
        { "seconds", required_argument, NULL, 's' },
        { "limit", required_argument, NULL, 'L' },
        { "contenders", no_argument, NULL, 'b' },
        { "slow-keys", required_argument, NULL, 'S' },
        { "peers", required_argument, NULL, 'p' },
        { "workloads", required_argument, NULL, 'W' },
        { "latency", required_argument, NULL, 't' },
        { "clock", required_argument, NULL, 'C' },
        { "directory", required_argument, NULL, 'd' },
        { "csv", required_argument, NULL, 'c' },
        { "fact", required_argument, NULL, 'f' },
        { "write-keys", required_argument, NULL, 'O' },
        { "list", no_argument, NULL, 'l' },
        { NULL, 0, NULL, 0 },
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (parse_one(option, optarg, arguments) != 0)
            return -1;
    if (optind < argc)
        return complain("unexpected argument", argv[optind]);
    return 0;
}

static void list_all(const struct plan *plan)
{
    for (unsigned i = 0; i < bench.peers_n; i++)
        printf("peer %-20s %s\n", peers[i].name, peers[i].driver ? peers[i].driver->settings : "not in this build");
    for (unsigned i = 0; i < WORKLOADS_N; i++)
        printf("workload %-16s %s%s\n", workloads[i].name, plan->chosen[i] ? "" : "on request",
               plan->timed[i] ? "timed" : "");
}

static void tell_missing(void)
{
    for (unsigned i = 0; i < bench.peers_n; i++)
        if (!peers[i].driver && peers[i].package)
            printf("skipped: %s is not in this build; Debian packages that bring it: %s\n", peers[i].name,
                   peers[i].package);
        else if (!peers[i].driver)
            printf("skipped: %s is not in this build\n", peers[i].name);
}

/* -- Rounds ---------------------------------------------------------------------- */

struct run {
    const struct arguments *arguments;
    struct results results;
    FILE *csv;
    unsigned failures;
};

static int one_session(struct run *run, unsigned round, struct cell cell, const struct keyset *set)
{
    const struct plan *plan = &run->arguments->plan;
    const struct session session = { plan->drivers[cell.driver], set, (unsigned)plan->workers[cell.workers],
                                     plan->seconds, plan->chosen, plan->timed, plan->directory };
    struct session_result result;
    int answer = session_run(&session, &result);
    if (answer < 0)
        return -1;
    if (answer > 0) {
        run->failures++;
        fprintf(stderr, "\n%s, %" PRIu64 " keys, %" PRIu64 " workers: %s\n", session.driver->name,
                plan->keys[cell.keys], plan->workers[cell.workers], result.error);
    }
    results_add(&run->results, round, cell, &result);
    if (run->csv)
        report_csv_session(run->csv, plan, round, cell, &result);
    return 0;
}

static void show_progress(const struct plan *plan, unsigned round, struct cell cell)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rround %u of %u: %" PRIu64 " keys, %" PRIu64 " workers, %-24s", round + 1, plan->rounds,
                plan->keys[cell.keys], plan->workers[cell.workers], plan->drivers[cell.driver]->name);
}

/* Over as much memory as keys and values take. */
static void one_limit(struct run *run, unsigned round, struct cell cell)
{
    const struct plan *plan = &run->arguments->plan;
    double limits[LIMITS_N];
    uint64_t bytes = plan->keys[cell.keys] * (plan->key_bytes + plan->value_bytes);
    const char *directory = report_find(plan, DRIVER_ON_DISK) >= 0 ? plan->directory : NULL;
    if (limits_measure(bytes, (unsigned)plan->workers[cell.workers], plan->seconds / 2, directory, limits) != 0) {
        run->failures++;
        fprintf(stderr, "\nthe machine's limits over %" PRIu64 " bytes could not be measured%s%s\n", bytes,
                directory ? ", files in " : "", directory ? directory : "");
        return;
    }
    results_add_limits(&run->results, round, cell, limits);
    if (run->csv)
        report_csv_limits(run->csv, plan, round, cell, limits);
}

/* All peers of a cell one after the other, so that what changes in the machine meanwhile meets all of them;
 * each round begins with another one. */
static int one_round(struct run *run, unsigned round, const struct keyset *sets)
{
    const struct plan *plan = &run->arguments->plan;
    struct cell cell = { 0 };
    for (cell.keys = 0; cell.keys < plan->keys_n; cell.keys++)
        for (cell.workers = 0; cell.workers < plan->workers_n; cell.workers++) {
            if (plan->limits)
                one_limit(run, round, cell);
            for (unsigned turn = 0; turn < plan->drivers_n; turn++) {
                cell.driver = (turn + round) % plan->drivers_n;
                if (plan_leaves_out(plan, cell) ||
                    (plan->contenders && round > 0 && results_is_far_behind(&run->results, cell)))
                    continue;
                show_progress(plan, round, cell);
                if (one_session(run, round, cell, &sets[cell.keys]) != 0)
                    return -1;
            }
        }
    return 0;
}

static int all_rounds(struct run *run, const struct keyset *sets, int64_t begin)
{
    const struct plan *plan = &run->arguments->plan;
    double longest = 0;
    int result = 0;
    for (unsigned round = 0; round < plan->rounds && result == 0; round++) {
        int64_t start = workload_clock_ns();
        if (plan->limit > 0 && round > 0 && (double)(start - begin) * 1e-9 + longest > plan->limit) {
            fprintf(stderr, "\nstopped after %u of %u rounds: the time limit", round, plan->rounds);
            break;
        }
        result = one_round(run, round, sets);
        double took = (double)(workload_clock_ns() - start) * 1e-9;
        longest = took > longest || plan->contenders ? took : longest; /* later rounds have fewer peers */
        if (!isatty(STDERR_FILENO))
            fprintf(stderr, "round %u of %u took %.0f s\n", round + 1, plan->rounds, took);
    }
    fputc('\n', stderr);
    return result;
}

static int run_all(struct run *run)
{
    const struct plan *plan = &run->arguments->plan;
    struct keyset sets[PLAN_LIST_MAX];
    unsigned made = 0;
    int result = 0;
    int64_t begin = workload_clock_ns();
    for (; made < plan->keys_n && result == 0; made++)
        result = keyset_make(plan->keys[made], plan->key_bytes, plan->value_bytes, &sets[made]);
    if (result != 0)
        complain("no memory", "for the keys");
    else
        result = all_rounds(run, sets, begin);
    for (unsigned i = 0; i < made; i++)
        keyset_free(&sets[i]);
    return result;
}

static int write_keys(const struct arguments *arguments)
{
    const struct plan *plan = &arguments->plan;
    struct keyset set;
    if (keyset_make(plan->keys[0], plan->key_bytes, plan->value_bytes, &set) != 0)
        return complain("no memory", "for the keys");
    int result = keyset_write(&set, arguments->keys_file);
    if (result != 0)
        complain(arguments->keys_file, strerror(errno));
    keyset_free(&set);
    return result;
}

static int compare(const struct arguments *arguments)
{
    struct run run = { .arguments = arguments };
    if (results_make(&arguments->plan, &run.results) != 0)
        return complain("no memory", "for the results");
    if (arguments->csv) {
        run.csv = fopen(arguments->csv, "w");
        if (!run.csv) {
            results_free(&run.results);
            return complain(arguments->csv, strerror(errno));
        }
        report_csv_head(run.csv, &arguments->plan, arguments->facts, arguments->facts_n);
    }
    session_prepare();
    int result = run_all(&run);
    if (result == 0) {
        report_tables(stdout, &run.results);
        putchar('\n');
        verdict_lines(stdout, &run.results);
    }
    results_free(&run.results);
    if (run.csv && fclose(run.csv) != 0)
        result = complain(arguments->csv, strerror(errno));
    return result != 0 || run.failures > 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    static struct arguments arguments;
    defaults(&arguments);
    if (parse(argc, argv, &arguments) != 0)
        return 2;
    if (arguments.list) {
        list_all(&arguments.plan);
        return 0;
    }
    if (arguments.keys_file)
        return write_keys(&arguments) == 0 ? 0 : 1;
    tell_missing();
    if (arguments.plan.drivers_n == 0)
        return complain("nothing to measure", "no peer was built") != 0;
    fflush(stdout);
    return compare(&arguments) == 0 ? 0 : 1;
}
