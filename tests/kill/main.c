/* SPDX-License-Identifier: MIT
 *
 * The kill suite (A, B, C, H): each scenario's victim is stepped through one operation and killed at each
 * distinct crash state; then stopped at each instruction after one that touched the segment, while
 * survivors work, and let go on.
 *
 *   kill [--list] [--scenario NAME] [--variant V] [--long] [--literal] [--kills] [--seed S] [--jobs J]
 *        [--kill-at I | --stop-at I] [--points P] [--first N] [--verbose] [--shorter N] [--store | --plain]
 *        [--done FILE [--seconds S]]
 * --long: every point and every variant, 10 000 calls during each stop.  --literal: every instruction of every
 * variant is a point.  --kills: no stops.  --points: at most P of either kind for each variant, spread by the
 * seed.  --first: of each variant only the first N of either kind.  --shorter: leave out variants of N instructions
 * and more, where each point takes as long as many of the others.  --store: only maps above a store; --plain: only
 * others.  --done: leave out the variants that FILE names, append those that pass; begin none after S seconds.
 * --jobs: so many scenarios at a time, each on a processor of its own; of one scenario so many of its runs.
 */
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kill/build.h"
#include "kill/done.h"
#include "kill/names.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/jobs.h"
#include "lib/processor.h"
#include "lib/random.h"

#define TRACE_ROOM 4000000u
#define POINTS_ROOM 4000000u
#define TEXT_BYTES 1500u
#define QUICK_CALLS 300u
#define LONG_CALLS 10000u
#define QUICK_POINTS 120u
#define QUICK_POINTS_LEAST 40u
#define QUICK_STEPS 1500000u /* instructions to step for either kind of points of a variant: a second or two */
#define QUICK_VARIANTS 4u
#define QUICK_VARIANTS_ABOVE 1u /* above a store recording one takes seconds; the seed says which */
#define WATCHDOG_S 60u /* a run takes milliseconds; one that waits for the dead would take for ever */
#define FAILURES_MAX 12u

struct job {
    enum run_kind kind;
    uint32_t point;
    struct run *run;
    char *text;
};

static struct {
    const char *only;
    long variant, kill_at, stop_at;
    uint64_t seed;
    uint32_t jobs, points, first;
    uint64_t shorter;
    bool longer, literal, kills_only, verbose, store, plain;
    double seconds;
} want = { .variant = -1, .kill_at = -1, .stop_at = -1 };

static struct totals {
    uint64_t scenarios, variants, states, kills, stops, strayed, calls, instructions;
    uint32_t failures;
} total;

/* Each share of the work is a process that takes the next scenario when it is done with one: to build and to record them takes
 * longer than most of their runs. */
static struct {
    _Atomic uint32_t next;
    struct totals total[JOBS_MAX];
} *shares;
static uint32_t claimed, passed; /* by this one; how many it has gone by */

static struct stage *stage;
static struct trace trace;
static uint32_t *points;
static struct jobs jobs;
static struct job job_of[JOBS_MAX]; /* by slot */
static const struct scenario *scene;
static double began;

/* -- Runs -------------------------------------------------------------------------------------------- */

static bool run_any(struct run *run, struct trace *record)
{
    return run->scenario->flags & SCENE_NAME ? run_name_scene(run, record) : run_scene(run, record);
}

static void begin_run(uint32_t slot, enum run_kind kind, uint32_t point)
{
    struct job *job = &job_of[slot];
    struct run *run = job->run;
    memset(run, 0, offsetof(struct run, tracks));
    run->stage = stage;
    run->scenario = scene;
    run->kind = kind;
    run->slot = slot;
    run->trace = &trace;
    run->point = point;
    run->random = random_mix(want.seed + point * 2 + (kind == RUN_KILL));
    run->ops_wanted = want.longer ? LONG_CALLS : QUICK_CALLS;
    stage_name(slot, run->name);
    job->kind = kind;
    job->point = point;
    job->text[0] = 0;
}

/* In a child: exit status 0 = as it must be, 3 = so too, but the victim took another way. */
static void spawn(uint32_t slot, enum run_kind kind, uint32_t point)
{
    const struct job *job = &job_of[slot];
    begin_run(slot, kind, point);
    if (jobs_fork(&jobs, slot, job->text, TEXT_BYTES, WATCHDOG_S))
        _exit(run_any(job->run, &trace) ? 0 : 3);
}

static void say_failure(const struct job *job, int status)
{
    static const char *const kinds[] = { "record", "kill-at", "stop-at" };
    total.failures++;
    printf("FAIL %s --variant %u --seed %llu --%s %u", scene->name, stage->variant, (unsigned long long)want.seed,
           kinds[job->kind], job->point);
    if (job->kind != RUN_RECORD)
        printf(" before %s", step_symbol(trace.place[job->point].rip));
    printf("\n     attacks %s: %s", scene->attacks, job->text[0] ? job->text : "");
    if (WIFSIGNALED(status))
        printf("%s (signal %d)", WTERMSIG(status) == SIGALRM ? " a survivor waits for ever" : " a survivor died",
               WTERMSIG(status));
    printf("\n");
    fflush(stdout);
}

static void judge(uint32_t slot, int status)
{
    const struct job *job = &job_of[slot];
    shm_unlink(job->run->name);
    stage_remove_store(job->run->name);
    name_clean(job->run);
    total.calls += job->run->ops;
    total.kills += job->kind == RUN_KILL;
    total.stops += job->kind == RUN_STOP;
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3))
        total.strayed += WEXITSTATUS(status) == 3;
    else
        say_failure(job, status);
}

/* -- A scenario ---------------------------------------------------------------------------------------- */

/* In a child, so that this process never opens a map. */
static bool build(uint32_t variant)
{
    int status = 0;
    const pid_t pid = child_fork();
    if (pid == 0) {
        fail_into(job_of[0].text, TEXT_BYTES);
        job_of[0].text[0] = 0;
        alarm(WATCHDOG_S * 8); /* it steps through a corpse's whole call */
        build_stage(stage, scene, variant, want.seed);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    total.failures++;
    printf("FAIL %s --variant %u: setup: status 0x%x %s\n", scene->name, variant, status, job_of[0].text);
    return false;
}

/* Run it once alone, recording. */
static bool record(void)
{
    const uint32_t failures = total.failures;
    struct run *run = job_of[0].run;
    begin_run(0, RUN_RECORD, 0);
    if (jobs_fork(&jobs, 0, job_of[0].text, TEXT_BYTES, WATCHDOG_S * 4)) {
        struct trace recorded = trace;
        recorded.n = 0;
        run_any(run, &recorded);
        run->number = recorded.n;
        _exit(0);
    }
    jobs_await(&jobs);
    trace.n = run->number;
    total.instructions += trace.n;
    return total.failures == failures && trace.n > 0;
}

/* Fewer of a long operation: each run steps half of it in the mean. */
static uint32_t quick_points(void)
{
    const uint64_t affordable = QUICK_STEPS / (trace.n / 2 + 1);
    if (affordable > QUICK_POINTS)
        return QUICK_POINTS;
    return affordable > QUICK_POINTS_LEAST ? (uint32_t)affordable : QUICK_POINTS_LEAST;
}

static void run_points(enum run_kind kind)
{
    const uint32_t all = build_points(&trace, kind, want.literal, points, POINTS_ROOM);
    const uint32_t n = want.first && want.first < all ? want.first : all;
    const uint32_t most = want.points ? want.points : want.longer || want.literal ? n : quick_points();
    const uint32_t take = n < most ? n : most;
    if (kind == RUN_KILL)
        total.states += all;
    uint64_t random = want.seed;
    for (uint32_t i = 0; i < take && total.failures < FAILURES_MAX; i++)
        spawn(jobs_free_slot(&jobs), kind, points[random_of_stretch(&random, n, take, i)]);
    jobs_await(&jobs);
}

static void run_one(enum run_kind kind, long point)
{
    if (point < 0)
        return;
    spawn(0, kind, (uint32_t)point);
    jobs_await(&jobs);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nothing more is to be begun: the time is over, or too much has failed. */
static bool enough(void)
{
    return total.failures >= FAILURES_MAX || (want.seconds > 0 && seconds() - began > want.seconds);
}

static void run_variant(uint32_t variant)
{
    const uint64_t kills = total.kills, stops = total.stops;
    const uint32_t failures = total.failures;
    const double from = seconds();
    if (done_before(scene->name, variant) || !build(variant) || !record() || (want.shorter && trace.n >= want.shorter))
        return;
    total.variants++;
    run_one(RUN_KILL, want.kill_at);
    run_one(RUN_STOP, want.stop_at);
    if (want.kill_at < 0 && want.stop_at < 0) {
        run_points(RUN_KILL);
        if (!want.kills_only && !(scene->flags & SCENE_KILLS))
            run_points(RUN_STOP);
    }
    if (total.failures == failures)
        done_add(scene->name, variant, trace.n, total.kills - kills, total.stops - stops);
    if (want.verbose)
        printf("%-28s variant %3u of %3u: %7llu instructions, %5llu kills, %5llu stops, %6.2f s\n", scene->name,
               stage->variant, stage->variants_n, (unsigned long long)trace.n, (unsigned long long)(total.kills - kills),
               (unsigned long long)(total.stops - stops), seconds() - from);
    fflush(stdout);
}

static void run_scenario(void)
{
    total.scenarios++;
    if (want.variant >= 0) {
        run_variant((uint32_t)want.variant);
        return;
    }
    if ((scene->flags & SCENE_CORPSE) && scene->shape.store && !want.longer && !want.literal) {
        run_variant((uint32_t)(want.seed % 1000)); /* whichever that is: to count them takes as long as to build one */
        return;
    }
    stage->variants_n = 1;
    if ((scene->flags & SCENE_CORPSE) && !build(0))
        return;
    const uint32_t n = stage->variants_n;
    const uint32_t quick = scene->shape.store ? QUICK_VARIANTS_ABOVE : QUICK_VARIANTS;
    const uint32_t take = want.longer || want.literal || n < quick ? n : quick;
    for (uint32_t i = 0; i < take && !enough(); i++)
        run_variant((uint32_t)(((uint64_t)i * n + want.seed % n) / take % n));
}

/* -- All scenarios ------------------------------------------------------------------------------------------ */

static bool is_wanted(const struct scenario *one)
{
    return (!want.only || strcmp(want.only, one->name) == 0) && !(want.store && !one->shape.store) &&
           !(want.plain && one->shape.store);
}

static void each_scenario(void what(void))
{
    const struct scenario *const lists[] = { scenarios_of_keys, scenarios_of_maps, scenarios_of_spills };
    const uint32_t n[] = { scenarios_of_keys_n, scenarios_of_maps_n, scenarios_of_spills_n };
    for (uint32_t l = 0; l < sizeof n / sizeof n[0]; l++)
        for (uint32_t i = 0; i < n[l]; i++) {
            scene = &lists[l][i];
            if (is_wanted(scene))
                what();
        }
}

static void list_one(void) { printf("%3u  %-28s attacks %s\n", ++passed, scene->name, scene->attacks); }

static void run_if_claimed(void)
{
    if (passed++ != claimed || enough())
        return;
    run_scenario();
    claimed = atomic_fetch_add(&shares->next, 1);
}

static void run_share(uint32_t slots)
{
    stage = stage_new();
    trace_begin(&trace, TRACE_ROOM);
    points = child_memory(POINTS_ROOM * sizeof points[0]);
    jobs_begin(&jobs, slots, judge);
    for (uint32_t i = 0; i < jobs.n; i++) {
        job_of[i].run = child_memory(sizeof *job_of[i].run);
        job_of[i].text = child_memory(TEXT_BYTES);
    }
    claimed = atomic_fetch_add(&shares->next, 1);
    each_scenario(run_if_claimed);
}

static void add_total(const struct totals *one)
{
    total.scenarios += one->scenarios;
    total.variants += one->variants;
    total.states += one->states;
    total.kills += one->kills;
    total.stops += one->stops;
    total.strayed += one->strayed;
    total.calls += one->calls;
    total.instructions += one->instructions;
    total.failures += one->failures;
}

/* One that dies has failed. */
static void run_shares(uint32_t n)
{
    pid_t pid[JOBS_MAX];
    for (uint32_t i = 0; i < n; i++) {
        pid[i] = child_fork_bound();
        if (pid[i] == 0) {
            processor_stay(i);
            run_share(1);
            shares->total[i] = total;
            fflush(stdout);
            _exit(0);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        int status = 0;
        const bool whole = waitpid(pid[i], &status, 0) == pid[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!whole)
            printf("FAIL a share of the work ended with status 0x%x\n", status);
        total.failures += !whole;
        add_total(&shares->total[i]);
    }
}

/* -- The command line --------------------------------------------------------------------------------------- */

static bool read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        { "list", 0, 0, 'l' },     { "scenario", 1, 0, 's' }, { "variant", 1, 0, 'v' }, { "long", 0, 0, 'L' },
        { "literal", 0, 0, 'e' },  { "seed", 1, 0, 'S' },     { "jobs", 1, 0, 'j' },    { "kill-at", 1, 0, 'k' },
        { "stop-at", 1, 0, 't' },  { "points", 1, 0, 'p' },   { "verbose", 0, 0, 'V' }, { "kills", 0, 0, 'K' },
        { "done", 1, 0, 'd' },     { "seconds", 1, 0, 'w' },  { "shorter", 1, 0, 'h' }, { "first", 1, 0, 'f' },
        { "store", 0, 0, 'b' },    { "plain", 0, 0, 'P' },
        { 0, 0, 0, 0 },
    };
    bool list = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'l': list = true; break;
        case 's': want.only = optarg; break;
        case 'v': want.variant = atol(optarg); break;
        case 'L': want.longer = true; break;
        case 'e': want.literal = true; break;
        case 'S': want.seed = strtoull(optarg, NULL, 0); break;
        case 'j': want.jobs = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'k': want.kill_at = atol(optarg); break;
        case 't': want.stop_at = atol(optarg); break;
        case 'p': want.points = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'V': want.verbose = true; break;
        case 'f': want.first = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'K': want.kills_only = true; break;
        case 'd': done_open(optarg); break;
        case 'h': want.shorter = strtoull(optarg, NULL, 0); break;
        case 'b': want.store = true; break;
        case 'P': want.plain = true; break;
        case 'w': want.seconds = strtod(optarg, NULL); break;
        default: exit(2);
        }
    }
    return list;
}

int main(int argc, char **argv)
{
    began = seconds();
    want.seed = (uint64_t)time(NULL);
    const bool list = read_arguments(argc, argv);
    if (list) {
        each_scenario(list_one);
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("kill: seed %llu\n", (unsigned long long)want.seed);
    shares = child_memory(sizeof *shares);
    jobs_begin(&jobs, want.jobs, judge);
    if (want.only || jobs.n == 1)
        run_share(jobs.n);
    else
        run_shares(jobs.n);
    printf("kill: %llu scenarios in %llu variants, %llu instructions recorded; killed at %llu of %llu %s, "
           "stopped at %llu instructions (%llu strayed), %llu calls by survivors; seed %llu: %u failures\n",
           (unsigned long long)total.scenarios, (unsigned long long)total.variants,
           (unsigned long long)total.instructions, (unsigned long long)total.kills, (unsigned long long)total.states,
           want.literal ? "instructions" : "crash states", (unsigned long long)total.stops, (unsigned long long)total.strayed, (unsigned long long)total.calls,
           (unsigned long long)want.seed, total.failures);
    return total.failures || total.scenarios == 0 ? 1 : 0;
}
