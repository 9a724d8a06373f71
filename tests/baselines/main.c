/* SPDX-License-Identifier: MIT
 *
 * The same kill and stop test for Shoal and for what people use instead: a victim is stepped through one
 * operation, killed or stopped (SIGSTOP) before an instruction of it, and survivors go on.
 *
 *   baselines [--system NAME] [--act NAME] [--long] [--points P] [--seed S] [--jobs J] [--tsv FILE]
 *             [--rounds R] [--kill-at I | --stop-at I] [--verbose]
 * --long: before every instruction; else before one of each of P equal stretches, drawn by the seed.
 * --rounds: how much survivors do before it is counted what fits; shows what grows while somebody is stopped.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "baselines/run.h"
#include "baselines/table.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/jobs.h"
#include "lib/random.h"

#define TRACE_ROOM 200000u
#define QUICK_POINTS 60u /* of kills and of stops each */
#define WATCHDOG_S 120u /* for the test's own faults; who waits is found without it */
#define SKIPPED 77

struct job {
    struct run *run;
    struct row *row;
};

static struct {
    const char *only, *act, *tsv;
    uint64_t seed;
    uint32_t jobs, points, rounds;
    long kill_at, stop_at;
    bool longer, verbose;
} want = { .seed = 1, .points = QUICK_POINTS, .rounds = 2, .kill_at = -1, .stop_at = -1 };

static struct scene *scene;
static struct trace trace;
static uint32_t *points; /* places of the trace */
static uint32_t points_n;
static struct jobs jobs;
static struct job job_of[JOBS_MAX]; /* by slot */
static struct row rows[SYSTEMS_N * VICTIM_ACTS * 2];
static uint32_t rows_n;

/* -- Runs -------------------------------------------------------------------------------------------- */

static void begin_run(uint32_t slot, enum fate fate, uint64_t point, bool recover)
{
    struct run *run = job_of[slot].run;
    memset(run, 0, offsetof(struct run, tracks));
    run->scene = scene;
    run->fate = fate;
    run->point = point;
    run->recover = recover;
    run->rounds = want.rounds;
    run->trace = &trace;
    run->slot = slot;
    run->found = FOUND_HARNESS; /* until run_once says otherwise */
    snprintf(run->name, sizeof run->name, "shoal-baselines-%d-%u", (int)getpid(), slot);
}

static void start_run(uint32_t slot, struct trace *record)
{
    struct run *run = job_of[slot].run;
    if (!jobs_fork(&jobs, slot, run->text, sizeof run->text, WATCHDOG_S))
        return;
    run->found = FOUND_RIGHT;
    run_once(run, record);
    _exit(0);
}

static void finish_run(struct run *run, int status)
{
    uint32_t recoveries = 0;
    scene->system->unlink(&(struct system_setup){ run->name, &recoveries });
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        run->found = FOUND_HARNESS;
    if (want.verbose || run->found == FOUND_HARNESS)
        printf("%s %s %s at %llu (%s): %s, %s, %llu fit, %llu held, %u recoveries, %u refused%s: %s\n",
               scene->system->name, victim_names[scene->act], run->fate == FATE_STOP ? "stopped" : "killed",
               (unsigned long long)run->point, trace.n ? step_symbol(trace.place[run->point].rip) : "",
               run->blocked == WATCH_ASLEEP ? "asleep" : run->blocked == WATCH_SPINNING ? "spinning" : "ended",
               found_names[run->found], (unsigned long long)run->fits, (unsigned long long)run->fits_held,
               run->recoveries, run->refused, run->strayed ? ", strayed" : "", run->text);
}

static void run_alone(enum fate fate, uint64_t point, struct trace *record)
{
    begin_run(0, fate, point, false);
    start_run(0, record);
    finish_run(job_of[0].run, jobs_join(&jobs, 0));
}

/* A run has ended.  Bytes are missing and there is a recovery step: the same again, with it. */
static void settle(uint32_t slot, int status)
{
    const struct job *job = &job_of[slot];
    struct run *run = job->run;
    finish_run(run, status);
    table_add(job->row, run);
    const bool missing = run->fits * RUN_RECORD_BYTES < job->row->room;
    if (run->fate == FATE_STOP || run->recover || !scene->system->recover || run->blocked != WATCH_ENDED ||
        run->found != FOUND_RIGHT || !missing)
        return;
    begin_run(slot, run->fate, run->point, true);
    start_run(slot, NULL);
}

/* -- A system ------------------------------------------------------------------------------------------ */

static void run_point(struct row *row, uint64_t point)
{
    const uint32_t slot = jobs_free_slot(&jobs);
    job_of[slot].row = row;
    begin_run(slot, row->fate, point, false);
    start_run(slot, NULL);
}

/* Room is what fits where the victim died or stood before its first instruction, or behind its last: the
 * less of the two, because the pages of a tree also depend on what was written. */
static uint64_t measure_room(enum fate fate)
{
    uint64_t room = UINT64_MAX;
    for (uint32_t i = 0; i < 2; i++) {
        run_alone(fate, i ? trace.n - 1 : 0, NULL);
        const struct run *run = job_of[0].run;
        const uint64_t fits = fate == FATE_STOP && run->fits_held < run->fits ? run->fits_held : run->fits;
        room = fits < room ? fits : room;
    }
    return room * RUN_RECORD_BYTES;
}

/* One for each instruction; a string instruction is one, however often it repeats (a page is copied by one). */
static void find_points(void)
{
    points_n = 0;
    for (uint32_t i = 0; i < trace.n; i++)
        if (i == 0 || trace.place[i].rip != trace.place[i - 1].rip)
            points[points_n++] = i;
}

static void run_fate(enum fate fate)
{
    struct row *row = &rows[rows_n++];
    const long only = fate == FATE_KILL ? want.kill_at : want.stop_at;
    *row = (struct row){ .system = scene->system, .act = scene->act, .fate = fate, .instructions = points_n };
    row->fresh = scene->fresh * RUN_RECORD_BYTES;
    row->room = measure_room(fate);
    uint64_t random = want.seed;
    const uint64_t take = want.longer || want.points > points_n ? points_n : want.points;
    for (uint64_t i = 0; i < take && only < 0; i++)
        run_point(row, points[random_of_stretch(&random, points_n, take, i)]);
    if (only >= 0)
        run_point(row, (uint64_t)only);
    jobs_await(&jobs);
}

/* In a child, so that this process never opens a map. */
static void make_scene(const struct system *system, enum victim_act act)
{
    int status = 0;
    scene->system = system;
    scene->act = act;
    begin_run(0, FATE_RECORD, 0, false);
    const pid_t pid = child_fork();
    if (pid == 0) {
        scene_make(scene, job_of[0].run->name);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: setup: status 0x%x", system->name, status);
}

static void run_act(const struct system *system, enum victim_act act)
{
    make_scene(system, act);
    trace.n = 0;
    struct trace recorded = trace;
    run_alone(FATE_RECORD, 0, &recorded);
    trace.n = job_of[0].run->instructions;
    require(job_of[0].run->found == FOUND_RIGHT && trace.n > 0, "%s %s: recording: %s", system->name, victim_names[act],
            job_of[0].run->text);
    find_points();
    if (want.stop_at < 0)
        run_fate(FATE_KILL);
    if (want.kill_at < 0)
        run_fate(FATE_STOP);
}

static void run_system(const struct system *system, FILE *tsv)
{
    const uint32_t first = rows_n;
    struct row kills = { .act = VICTIM_ACTS }, stops = { .act = VICTIM_ACTS };
    for (int act = 0; act < VICTIM_ACTS; act++)
        if (!want.act || strcmp(want.act, victim_names[act]) == 0)
            run_act(system, (enum victim_act)act);
    for (uint32_t i = first; i < rows_n; i++) {
        row_join(rows[i].fate == FATE_KILL ? &kills : &stops, &rows[i]);
        if (tsv)
            table_tsv(tsv, &rows[i]);
    }
    if (tsv)
        fflush(tsv);
    if (kills.points && stops.points)
        table_line(stdout, &kills, &stops);
    fflush(stdout);
}

/* -- The command line ------------------------------------------------------------------------------------ */

static void read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        { "system", 1, 0, 's' },  { "act", 1, 0, 'a' },     { "long", 0, 0, 'L' }, { "points", 1, 0, 'p' },
        { "seed", 1, 0, 'S' },    { "jobs", 1, 0, 'j' },    { "tsv", 1, 0, 't' },  { "rounds", 1, 0, 'r' },
        { "kill-at", 1, 0, 'k' }, { "stop-at", 1, 0, 'o' }, { "verbose", 0, 0, 'V' }, { 0, 0, 0, 0 },
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's': want.only = optarg; break;
        case 'a': want.act = optarg; break;
        case 'L': want.longer = true; break;
        case 'p': want.points = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'S': want.seed = strtoull(optarg, NULL, 0); break;
        case 'j': want.jobs = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 't': want.tsv = optarg; break;
        case 'k': want.kill_at = atol(optarg); break;
        case 'o': want.stop_at = atol(optarg); break;
        case 'r': want.rounds = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'V': want.verbose = true; break;
        default: exit(2);
        }
    }
}

static uint32_t run_systems(FILE *tsv)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < SYSTEMS_N; i++) {
        if (want.only && strcmp(want.only, systems[i].name) != 0)
            continue;
        if (!systems[i].system) {
            printf("skipped: %s (%s was not there when this was built)\n", systems[i].name, systems[i].package);
            continue;
        }
        run_system(systems[i].system, tsv);
        done++;
    }
    return done;
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    scene = child_memory(sizeof *scene);
    trace_begin(&trace, TRACE_ROOM);
    points = child_memory(TRACE_ROOM * sizeof points[0]);
    jobs_begin(&jobs, want.jobs, settle);
    for (uint32_t i = 0; i < jobs.n; i++)
        job_of[i].run = child_memory(sizeof *job_of[i].run);
    FILE *tsv = want.tsv ? fopen(want.tsv, "we") : NULL;
    require(!want.tsv || tsv, "%s: %s", want.tsv, strerror(errno));
    if (tsv)
        table_tsv_head(tsv);
    table_line_head(stdout);
    const uint32_t done = run_systems(tsv);
    if (tsv)
        fclose(tsv);
    struct row all = { .act = VICTIM_ACTS };
    uint64_t kills = 0;
    for (uint32_t i = 0; i < rows_n; i++) {
        kills += rows[i].fate == FATE_KILL ? rows[i].points : 0;
        row_join(&all, &rows[i]);
    }
    const uint32_t failures = want.kill_at < 0 && want.stop_at < 0 ? table_judge(rows, rows_n) : 0;
    printf("baselines: %u systems, %u series over %llu instructions; killed at %llu points, stopped at %llu, %llu "
           "strayed; seed %llu: %u failures\n",
           done, rows_n, (unsigned long long)all.instructions / 2, (unsigned long long)kills,
           (unsigned long long)(all.points - kills), (unsigned long long)all.strayed, (unsigned long long)want.seed,
           failures);
    return failures ? 1 : done ? 0 : SKIPPED;
}
