/* SPDX-License-Identifier: MIT
 *
 * How long do the calls of one process take while others are killed or stopped?
 *
 * Every subject plays three scenes in each round: undisturbed, kills, stops.  Figures are measured, and asserted by nobody.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../facts.h"
#include "../median.h"
#include "scene.h"

#define SUBJECTS_MAX 16u
#define ROUNDS_MAX 99u

/* What is kept of a scene. */
struct figures {
    double point[CALLS_N][LATENCY_POINTS];
    uint32_t blocked[CALLS_N], disturbed;
    uint64_t wrong;
    int failed;
};

struct run {
    double seconds, limit_s;
    unsigned rounds;
    const char *only; /* names with commas; NULL = all */
    char name[48];
    FILE *csv;
};

static struct figures kept[SUBJECTS_MAX][DISTURBANCES_N][ROUNDS_MAX];

static int is_chosen(const struct run *run, const char *name)
{
    const size_t n = strlen(name);
    for (const char *at = run->only; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return 1;
    return run->only == NULL;
}

/* -- The CSV ------------------------------------------------------------------------------------ */

static void csv_head(const struct run *run)
{
    fprintf(run->csv, "# compiler: %s\n", __VERSION__);
    fprintf(run->csv, "# seconds: %g; rounds: %u; limit of a call, seconds: %g; workers not pinned\n", run->seconds, run->rounds,
            run->limit_s);
    for (unsigned i = 0; subjects[i].driver; i++)
        fprintf(run->csv, "# %s: %s\n", subjects[i].driver->name, subjects[i].driver->settings);
    fprintf(run->csv, "peer,disturbance,call,round,calls,p50_ns,p90_ns,p99_ns,p99.9_ns,p99.99_ns,max_ns,"
                      "blocked,disturbed,wrong,error\n");
}

static void csv_scene(const struct run *run, const struct scene *scene, unsigned round, const struct scene_result *result)
{
    for (int call = 0; call < CALLS_N; call++) {
        const struct histogram *calls = &result->calls[call];
        fprintf(run->csv, "%s,%s,%s,%u,%llu", scene->subject->driver->name, disturbance_names[scene->disturbance],
                call_names[call], round, (unsigned long long)calls->n);
        for (int point = 0; point < LATENCY_POINTS; point++)
            fprintf(run->csv, ",%.0f", histogram_point(calls, (enum latency_point)point));
        fprintf(run->csv, ",%u,%u,%llu,%s\n", result->blocked[call], result->disturbed, (unsigned long long)result->wrong,
                result->error);
    }
    fflush(run->csv);
}

/* -- Rounds ------------------------------------------------------------------------------------- */

static struct figures figures_of(const struct scene_result *result)
{
    struct figures figures = { .disturbed = result->disturbed, .wrong = result->wrong, .failed = result->error[0] != '\0' };
    for (int call = 0; call < CALLS_N; call++) {
        figures.blocked[call] = result->blocked[call];
        for (int point = 0; point < LATENCY_POINTS; point++)
            figures.point[call][point] = histogram_point(&result->calls[call], (enum latency_point)point);
    }
    return figures;
}

static void play(const struct run *run, unsigned subject, unsigned round, enum disturbance disturbance)
{
    static struct scene_result result;
    const struct scene scene = { .subject = &subjects[subject], .disturbance = disturbance, .name = run->name,
                                 .seconds = run->seconds, .limit_ns = (int64_t)(run->limit_s * 1e9),
                                 .seed = round * 64u + subject * 4u + (unsigned)disturbance };
    scene_run(&scene, &result);
    kept[subject][disturbance][round] = figures_of(&result);
    if (run->csv)
        csv_scene(run, &scene, round, &result);
    if (result.error[0])
        printf("%s, %s, round %u ended early: %s\n", scene.subject->driver->name, disturbance_names[disturbance], round,
               result.error);
}

/* -- The table ---------------------------------------------------------------------------------- */

static double over_rounds(const struct run *run, const struct figures *rounds, int call, int point, double *ret_max)
{
    double values[ROUNDS_MAX];
    for (unsigned i = 0; i < run->rounds; i++)
        values[i] = rounds[i].point[call][point];
    const double middle = median(values, run->rounds);
    *ret_max = values[run->rounds - 1];
    return middle;
}

static void print_row(const struct run *run, unsigned subject, int disturbance, int call)
{
    const struct figures *rounds = kept[subject][disturbance];
    double worst = 0;
    unsigned blocked = 0, failed = 0;
    unsigned long long disturbed = 0, wrong = 0;
    printf("%-20s", subjects[subject].driver->name);
    for (int point = 0; point < LATENCY_POINTS; point++)
        printf(" %10.2f", over_rounds(run, rounds, call, point, &worst) / 1e3);
    for (unsigned i = 0; i < run->rounds; i++) {
        blocked += rounds[i].blocked[call];
        failed += (unsigned)rounds[i].failed;
        disturbed += rounds[i].disturbed;
        wrong += rounds[i].wrong;
    }
    printf(" %12.2f %9llu %8llu", worst / 1e3, disturbed, wrong);
    if (blocked)
        printf("  blocked in %u of %u", blocked, run->rounds);
    if (failed)
        printf("  failed in %u of %u", failed, run->rounds);
    printf("\n");
}

static void print_tables(const struct run *run)
{
    for (int disturbance = 0; disturbance < DISTURBANCES_N; disturbance++)
        for (int call = 0; call < CALLS_N; call++) {
            printf("\n%s, %s of the survivor; us, medians of %u rounds\n%-20s", disturbance_names[disturbance],
                   call_names[call], run->rounds, "");
            for (int point = 0; point < LATENCY_POINTS; point++)
                printf(" %10s", latency_names[point]);
            printf(" %12s %9s %8s\n", "longest", "disturbed", "wrong");
            for (unsigned i = 0; subjects[i].driver; i++)
                if (is_chosen(run, subjects[i].driver->name))
                    print_row(run, i, disturbance, call);
        }
}

/* -- Options ------------------------------------------------------------------------------------ */

static int usage(FILE *out, int status)
{
    fputs("shoal-bench-stalls [options]\n"
          "  --seconds S    each scene (1)\n"
          "  --rounds N     (3)\n"
          "  --limit S      a call that takes longer is blocked, and its scene ends (2)\n"
          "  --peers A,B    only these\n"
          "  --name NAME    of the table in /dev/shm\n"
          "  --csv FILE     every round's figures\n"
          "  --fact TEXT    a `name: value` for the head of the CSV, after --csv\n",
          out);
    return status;
}

static int run_options(struct run *run, int argc, char **argv)
{
    static const struct option options[] = {
        { "seconds", required_argument, NULL, 's' }, { "rounds", required_argument, NULL, 'r' },
        { "limit", required_argument, NULL, 'l' },   { "peers", required_argument, NULL, 'p' },
        { "name", required_argument, NULL, 'n' },    { "csv", required_argument, NULL, 'c' },
        { "fact", required_argument, NULL, 'f' },    { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 's': run->seconds = strtod(optarg, NULL); break;
        case 'r': run->rounds = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'l': run->limit_s = strtod(optarg, NULL); break;
        case 'p': run->only = optarg; break;
        case 'n': snprintf(run->name, sizeof run->name, "%.40s", optarg); break;
        case 'c':
            run->csv = fopen(optarg, "w");
            if (!run->csv)
                return perror(optarg), 2;
            facts_machine(run->csv);
            break;
        case 'f':
            if (run->csv)
                fprintf(run->csv, "# %s\n", optarg);
            break;
        case 'h': return usage(stdout, 1);
        default: return usage(stderr, 2);
        }
    const int fits = run->rounds >= 1 && run->rounds <= ROUNDS_MAX && run->seconds > 0 && run->limit_s > 0 && optind == argc;
    return fits ? 0 : usage(stderr, 2);
}

int main(int argc, char **argv)
{
    struct run run = { .seconds = 1, .limit_s = 2, .rounds = 3 };
    snprintf(run.name, sizeof run.name, "shoal-stalls-%ld", (long)getpid());
    const int asked = run_options(&run, argc, argv);
    if (asked != 0)
        return asked == 1 ? 0 : asked;
    if (run.csv)
        csv_head(&run);
    unsigned subjects_n = 0;
    while (subjects[subjects_n].driver)
        subjects_n++;
    for (unsigned round = 0; round < run.rounds; round++)
        for (unsigned i = 0; i < subjects_n; i++) {
            const unsigned subject = (i + round) % subjects_n; /* another begins each time */
            for (int disturbance = 0; disturbance < DISTURBANCES_N; disturbance++)
                if (is_chosen(&run, subjects[subject].driver->name))
                    play(&run, subject, round, (enum disturbance)disturbance);
        }
    print_tables(&run);
    return run.csv && fclose(run.csv) != 0 ? 1 : 0;
}
