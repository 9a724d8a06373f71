/* SPDX-License-Identifier: MIT
 *
 * The parts of many processes: processes, fork.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../median.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "parts.h"
#include "table.h"

#define KEYS_N 100000u
#define WORKERS_MAX 64u
#define WARM_PUTS 10000u /* so that it has taken the memory it puts into, and mapped it */
#define WAIT_NS INT64_C(60000000000) /* for a process that does not come */
#define MS INT64_C(1000000)

struct slot {
    _Alignas(128) uint64_t calls;
    int64_t end; /* of its calls */
    int64_t forked, began, got, put;
};

struct share {
    _Alignas(128) _Atomic uint32_t ready, leave;
    _Atomic int64_t start; /* 0 = not known yet */
    struct slot slot[WORKERS_MAX];
};

static void nap_us(long us)
{
    const struct timespec span = { .tv_nsec = us * 1000 };
    nanosleep(&span, NULL);
}

static void wait_ready(struct share *share, unsigned n)
{
    const int64_t deadline = now_ns() + WAIT_NS;
    while (atomic_load(&share->ready) < n) {
        require(now_ns() < deadline, "%u processes of %u came", atomic_load(&share->ready), n);
        nap_us(200);
    }
}

static void wait_all(const pid_t *pids, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int status = -1;
        require(waitpid(pids[i], &status, 0) == pids[i] && status == 0, "worker %u ended with status %d", i, status);
    }
}

/* -- Processes -------------------------------------------------------------------------------------- */

static void work(const struct scale *scale, struct share *share, unsigned index, table_call *call)
{
    struct table table = { .n = KEYS_N, .random = index + 2 };
    const int code = shoal_open(scale->name, 0, &table.map);
    require(code == 0, "shoal_open: %s", shoal_error_text());
    for (uint64_t i = 0; i < KEYS_N; i++)
        table_get(&table, i);
    for (uint64_t i = 0; i < WARM_PUTS; i++)
        table_put(&table, i);
    atomic_fetch_add(&share->ready, 1);
    while (atomic_load(&share->start) == 0)
        nap_us(500);
    const int64_t start = atomic_load(&share->start);
    const struct timespec at = { .tv_sec = (time_t)(start / 1000000000), .tv_nsec = (long)(start % 1000000000) };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    const int64_t began = now_ns();
    /* Who begins late ends no later for that. */
    const double seconds = scale->seconds - (double)(began - start) * 1e-9;
    const double ns = table_time(&table, call, seconds);
    struct slot *slot = &share->slot[index];
    slot->end = now_ns();
    slot->calls = (uint64_t)((double)(slot->end - began) / ns + 0.5);
    shoal_close(table.map);
}

/* Calls of all, a second, from the common start to the last end. */
static double rate(const struct scale *scale, unsigned workers_n, table_call *call)
{
    struct share *share = child_memory(sizeof *share);
    pid_t pids[WORKERS_MAX];
    for (unsigned i = 0; i < workers_n; i++) {
        pids[i] = child_fork_bound();
        if (pids[i] == 0) {
            work(scale, share, i, call);
            _exit(0);
        }
    }
    wait_ready(share, workers_n);
    const int64_t start = now_ns() + 20 * MS;
    atomic_store(&share->start, start);
    wait_all(pids, workers_n);
    uint64_t calls = 0;
    int64_t end = start;
    for (unsigned i = 0; i < workers_n; i++) {
        calls += share->slot[i].calls;
        end = share->slot[i].end > end ? share->slot[i].end : end;
    }
    munmap(share, sizeof *share);
    return (double)calls / ((double)(end - start) * 1e-9);
}

void scale_processes(const struct scale *scale)
{
    struct part part = { .name = "processes", .axis = "processes", .csv = scale->csv,
                         .metrics = { "get_hit_million_per_s", "put_million_per_s" } };
    struct table table = table_make(scale->name, KEYS_N, 0);
    require(table_fill(&table, KEYS_N) == 0, "full at %llu keys", (unsigned long long)table.n);
    part_begin(&part);
    for (unsigned workers_n = 1; workers_n <= scale->workers; workers_n *= 2) {
        for (unsigned round = 0; round < scale->rounds; round++) {
            part_figure(&part, 0, rate(scale, workers_n, table_get) / 1e6);
            part_figure(&part, 1, rate(scale, workers_n, table_put) / 1e6);
        }
        part_row(&part, workers_n);
    }
    table_close(&table, scale->name);
}

/* -- Fork ------------------------------------------------------------------------------------------- */

static void first_calls(struct table *table, struct share *share, unsigned index)
{
    struct slot *slot = &share->slot[index];
    slot->began = now_ns();
    table_get(table, index);
    slot->got = now_ns();
    table_put(table, index);
    slot->put = now_ns();
    atomic_fetch_add(&share->ready, 1);
    while (!atomic_load(&share->leave)) /* all are attached at the same time */
        nap_us(1000);
}

/* One round: median and most over the children.  "runs" is the system alone: from fork to the first of its instructions. */
static void fork_all(const struct scale *scale, struct part *part, struct table *table)
{
    struct share *share = child_memory(sizeof *share);
    pid_t pids[WORKERS_MAX];
    double most[3] = { 0 }, figures[3][WORKERS_MAX];
    for (unsigned i = 0; i < scale->workers; i++) {
        share->slot[i].forked = now_ns();
        pids[i] = child_fork_bound();
        if (pids[i] == 0) {
            first_calls(table, share, i);
            _exit(0);
        }
    }
    wait_ready(share, scale->workers);
    atomic_store(&share->leave, 1);
    wait_all(pids, scale->workers);
    for (unsigned i = 0; i < scale->workers; i++) {
        const struct slot *slot = &share->slot[i];
        const int64_t at[3] = { slot->began, slot->got, slot->put };
        for (unsigned m = 0; m < 3; m++) {
            figures[m][i] = (double)(at[m] - slot->forked) * 1e-3;
            most[m] = figures[m][i] > most[m] ? figures[m][i] : most[m];
        }
    }
    for (unsigned m = 0; m < 3; m++) {
        part_figure(part, m, median(figures[m], scale->workers));
        part_figure(part, 3 + m, most[m]);
    }
    munmap(share, sizeof *share);
}

void scale_fork(const struct scale *scale)
{
    struct part part = { .name = "fork", .axis = "children", .csv = scale->csv,
                         .metrics = { "runs_median_us", "first_get_median_us", "first_put_median_us", "runs_max_us",
                                      "first_get_max_us", "first_put_max_us" } };
    struct table table = table_make(scale->name, KEYS_N, 0);
    require(table_fill(&table, KEYS_N) == 0, "full at %llu keys", (unsigned long long)table.n);
    part_begin(&part);
    for (unsigned round = 0; round < scale->rounds; round++)
        fork_all(scale, &part, &table);
    part_row(&part, scale->workers);
    table_close(&table, scale->name);
}
