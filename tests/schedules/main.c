/* SPDX-License-Identifier: MIT
 *
 * The suite `schedules`: guarantees A, B and C at atomic granularity.  The library's own table, heap, hazard,
 * attach and reap code, three logical processes in one, every access decided by explore.h.
 *
 *   schedules                                  the quick one: every scenario, each of the passes below
 *   schedules --long                           4 000 000 of each scenario: up to 3 preemptions, deaths, older values
 *   schedules --scenario NAME ...              these only
 *   schedules --executions N                   so many of each scenario in all (quick: 36 000, or fewer where
 *                                              they are long)
 *   schedules --bound N --kills N --older N    one pass depth first with these limits, until the space is whole
 *                                              or --executions are done; with --state FILE it goes on later
 *   schedules --random N --seed N              N of each scenario at random, in the ways of random_passes; with
 *                                              --bound, --kills or --older: in one way, 0 where not given
 *   schedules --scenario NAME --replay STRING  one execution again, with a trace of its accesses
 *   schedules --append FILE --about TEXT       append a line to FILE, as tests/results/campaigns.tsv has them,
 *                                              TEXT being what tests/results/about.sh prints
 *   schedules --list
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/campaign.h"
#include "schedules/scenario.h"

#define QUICK_EXECUTIONS 36000u
#define QUICK_ACCESSES 24000000u /* of a scenario; 50 ns each */
#define LONG_EXECUTIONS 4000000u
#define LEARNING 2000u /* executions at random, to learn which words are touched by two */
#define ASKED_MOST 32u
#define NO_LIMIT UINT64_MAX

struct pass {
    enum explore_mode mode;
    uint32_t preemptions, kills, older;
    uint32_t share; /* percent of the executions that are left to the scenario */
};

/* At random each place to decide is as likely as another, and there are a hundred places to die for each load that
 * has an older value: who may die dies before.  So most of these ways are about one thing alone. */
#define RANDOM_PASSES \
    { EXPLORE_RANDOM, 3, 0, 0, 30 }, { EXPLORE_RANDOM, 2, 0, 3, 50 }, { EXPLORE_RANDOM, 3, 1, 0, 50 }, \
        { EXPLORE_RANDOM, 3, 2, 2, 100 }

/* Ascending, so that the whole of a small space comes before a part of a larger one. */
static const struct pass quick_passes[] = {
    { EXPLORE_ALL, 0, 1, 0, 100 }, { EXPLORE_ALL, 1, 0, 0, 30 }, { EXPLORE_ALL, 1, 0, 2, 30 },
    { EXPLORE_ALL, 2, 0, 0, 30 },  { EXPLORE_ALL, 2, 0, 1, 40 }, { EXPLORE_ALL, 1, 1, 0, 20 },
    { EXPLORE_ALL, 3, 0, 0, 20 },
    RANDOM_PASSES,
};
static const struct pass long_passes[] = {
    { EXPLORE_ALL, 2, 0, 0, 30 }, { EXPLORE_ALL, 3, 0, 0, 30 }, { EXPLORE_ALL, 1, 1, 0, 30 },
    { EXPLORE_ALL, 1, 0, 2, 30 }, { EXPLORE_ALL, 2, 0, 1, 30 }, { EXPLORE_ALL, 2, 1, 0, 30 },
    RANDOM_PASSES,
};
static const struct pass random_passes[] = { RANDOM_PASSES };

struct asked {
    const char *scenario[ASKED_MOST];
    uint32_t scenarios_n;
    uint64_t executions, accesses, random, seed;
    struct pass one; /* with limits of the command line */
    bool has_one, has_kills, is_long;
    const char *replay, *state, *append, *about;
};

static struct total {
    uint64_t executions, whole, failures;
    uint32_t scenarios;
    const char *now; /* the scenario under way, for a crash */
} total;

static volatile sig_atomic_t stop; /* by the user: then the state is saved */

static void stopped(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

/* -- One execution ---------------------------------------------------------------------------------------- */

static void failure_print(const char *name)
{
    printf("FAILED %s: %s\n  again: schedules --scenario %s --replay %s\n", name, explore_failure(), name,
           explore_string());
    (void)fflush(stdout);
}

/* The library crashed: the string is all there is to say. */
static void crashed(int signal_number)
{
    printf("FAILED %s: signal %d\n  again: schedules --scenario %s --replay %s\n", total.now, signal_number, total.now,
           explore_string());
    (void)fflush(stdout);
    _exit(1);
}

static bool one(const struct scenario *scenario)
{
    scenario_reset();
    enum explore_end end = explore_once(scenario_body);
    if (end == EXPLORE_ENDED)
        scenario_judge();
    if (end == EXPLORE_PRUNED || explore_failure()[0] == '\0')
        return true;
    total.failures++;
    failure_print(scenario->name);
    return false;
}

static struct explore_limits limits_of(const struct scenario *scenario, const struct pass *pass)
{
    uint32_t kills = pass->kills > scenario->kills ? pass->kills : scenario->kills;
    return (struct explore_limits){ .preemptions = pass->preemptions,
                                    .kills = kills,
                                    .older = pass->older,
                                    .killable = scenario->killable ? scenario->killable : 7,
                                    .starts = scenario_starts(scenario) };
}

/* -- Passes ------------------------------------------------------------------------------------------------- */

/* Executions done before; 0: a new one. */
static uint64_t state_load(const char *path, const char *name, const struct explore_limits *limits)
{
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    if (file == NULL)
        return 0;
    char of[64];
    unsigned preemptions, kills, older;
    unsigned long long done;
    bool same = fscanf(file, "schedules %63s bound %u kills %u older %u done %llu", of, &preemptions, &kills, &older, &done) == 5 && strcmp(of, name) == 0 &&
                preemptions == limits->preemptions && kills == limits->kills && older == limits->older;
    if (!same || !explore_load(file)) {
        (void)fprintf(stderr, "%s: is of another exploration\n", path);
        exit(2);
    }
    (void)fclose(file);
    return done;
}

static void state_save(const char *path, const char *name, const struct explore_limits *limits, uint64_t done)
{
    FILE *file = path != NULL ? fopen(path, "w") : NULL;
    if (file == NULL)
        return;
    (void)fprintf(file, "schedules %s bound %u kills %u older %u done %llu\n", name, limits->preemptions, limits->kills,
                  limits->older, (unsigned long long)done);
    explore_save(file);
    (void)fclose(file);
}

/* What a scenario has used up, or may. */
struct budget {
    uint64_t executions, accesses;
};

static struct budget used_now(void) { return (struct budget){ explore_counts.executions, explore_counts.steps }; }

static uint64_t share_of(uint64_t most, uint64_t used, uint32_t percent)
{
    uint64_t left = most > used ? most - used : 0;
    return left > NO_LIMIT / 200 ? left : left * percent / 100;
}

static bool is_within(const struct budget *from, const struct budget *most)
{
    struct budget now = used_now();
    return now.executions - from->executions < most->executions && now.accesses - from->accesses < most->accesses;
}

/* True: the whole space. */
static bool pass_run(const struct scenario *scenario, const struct pass *pass, struct budget most,
                     const struct asked *asked, bool *ret_failed)
{
    struct explore_limits limits = limits_of(scenario, pass);
    const char *state = asked->state;
    bool more = true;
    if (asked->has_kills) /* fewer, even where the scenario is about deaths */
        limits.kills = pass->kills;
    explore_begin(pass->mode, &limits, asked->seed, NULL);
    uint64_t before = state_load(state, scenario->name, &limits);
    struct budget from = used_now();
    uint64_t began = from.executions, pruned = explore_counts.pruned;
    while (more && !stop && is_within(&from, &most)) {
        if (!one(scenario)) {
            *ret_failed = true;
            return false;
        }
        more = explore_next();
    }
    if (more)
        state_save(state, scenario->name, &limits, before + explore_counts.executions - began);
    if (before != 0)
        printf("    %llu executions before\n", (unsigned long long)before);
    printf("    %-8s bound %u, deaths %u, older %u: %llu executions, %llu pruned%s\n",
           pass->mode == EXPLORE_ALL ? "all" : "random", limits.preemptions, limits.kills, limits.older,
           (unsigned long long)(explore_counts.executions - began), (unsigned long long)(explore_counts.pruned - pruned),
           more ? "" : ", the whole space");
    (void)fflush(stdout);
    return !more;
}

static bool learn(const struct scenario *scenario, uint64_t seed)
{
    static const struct pass pass = { EXPLORE_RANDOM, 3, 1, 0, 100 };
    struct explore_limits limits = limits_of(scenario, &pass);
    explore_begin(EXPLORE_RANDOM, &limits, seed, NULL);
    for (uint32_t i = 0; i < LEARNING; i++)
        if (!one(scenario))
            return false;
    return true;
}

static void scenario_run(const struct scenario *scenario, const struct asked *asked)
{
    const struct pass *passes = asked->is_long ? long_passes : quick_passes;
    uint32_t passes_n = asked->is_long ? sizeof long_passes / sizeof long_passes[0]
                                       : sizeof quick_passes / sizeof quick_passes[0];
    if (asked->has_one || asked->random != 0) {
        passes = asked->has_one ? &asked->one : random_passes;
        passes_n = asked->has_one ? 1 : sizeof random_passes / sizeof random_passes[0];
    }
    struct budget began = used_now(), most = { asked->random != 0 ? asked->random : asked->executions, asked->accesses };
    struct timespec from, to;
    if (asked->accesses != NO_LIMIT && scenario->quick != 0) {
        most.executions = most.executions * scenario->quick / 100;
        most.accesses = most.accesses * scenario->quick / 100;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    total.now = scenario->name;
    total.scenarios++;
    scenario_make(scenario);
    printf("%s: %s\n", scenario->name, scenario->about);
    bool failed = !learn(scenario, asked->seed);
    for (uint32_t i = 0; i < passes_n && !failed && !stop; i++) {
        struct budget now = used_now(), share = {
            share_of(most.executions, now.executions - began.executions, passes[i].share),
            share_of(most.accesses, now.accesses - began.accesses, passes[i].share),
        };
        total.whole += pass_run(scenario, &passes[i], share, asked, &failed);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    uint64_t n = explore_counts.executions - began.executions;
    printf("    %llu executions in %.1f s, %u words touched by two, at most %u accesses in one operation\n",
           (unsigned long long)n, seconds, explore_counts.shared_words, explore_counts.op_steps_max);
}

static int replay(const struct asked *asked)
{
    const struct scenario *scenario = asked->scenarios_n == 1 ? scenario_find(asked->scenario[0]) : NULL;
    if (scenario == NULL) {
        (void)fprintf(stderr, "--replay wants one --scenario\n");
        return 2;
    }
    total.now = scenario->name;
    scenario_make(scenario);
    if (!learn(scenario, asked->seed))
        printf("(that was found on the way, at random)\n");
    static const struct pass pass = { EXPLORE_REPLAY, EXPLORE_STRING, EXPLORE_PROCS, EXPLORE_STRING, 100 };
    struct explore_limits limits = limits_of(scenario, &pass);
    explore_begin(EXPLORE_REPLAY, &limits, 0, asked->replay);
    explore_trace(true);
    bool held = one(scenario);
    printf("%s\n", held ? "nothing wrong" : "wrong");
    return held ? 0 : 1;
}

/* -- Results -------------------------------------------------------------------------------------------------- */

static void summary(const struct asked *asked, char *to, size_t bytes)
{
    const struct explore_counts *c = &explore_counts;
    char what[128];
    (void)snprintf(what, sizeof what, "%u scenarios", total.scenarios);
    if (asked->has_one && total.scenarios == 1)
        (void)snprintf(what, sizeof what, "%s bound %u, deaths %u, older %u, %s", total.now, asked->one.preemptions,
                       asked->one.kills, asked->one.older, total.whole > 0 ? "whole with this" : "a part");
    (void)snprintf(to, bytes,
                   "%s, %llu executions, %llu pruned, %llu whole spaces, %llu decisions, %llu accesses, "
                   "%llu preemptions, %llu deaths, %llu older values, seed %llu",
                   what, (unsigned long long)c->executions, (unsigned long long)c->pruned,
                   (unsigned long long)total.whole, (unsigned long long)c->decisions, (unsigned long long)c->steps,
                   (unsigned long long)c->preempted, (unsigned long long)c->kills, (unsigned long long)c->older,
                   (unsigned long long)asked->seed);
}

/* -- Command line ------------------------------------------------------------------------------------------------ */

static void list(void)
{
    for (uint32_t i = 0; i < scenarios_n; i++)
        printf("%-20s %s\n", scenarios[i].name, scenarios[i].about);
}

static void ask(struct asked *asked, int argc, char **argv)
{
    enum { SCENARIO = 1, EXECUTIONS, BOUND, KILLS, OLDER, RANDOM, SEED, REPLAY, STATE, APPEND, ABOUT, LONG, LIST };
    static const struct option options[] = {
        { "scenario", 1, NULL, SCENARIO }, { "executions", 1, NULL, EXECUTIONS }, { "bound", 1, NULL, BOUND },
        { "kills", 1, NULL, KILLS },       { "older", 1, NULL, OLDER },           { "random", 1, NULL, RANDOM },
        { "seed", 1, NULL, SEED },         { "replay", 1, NULL, REPLAY },         { "state", 1, NULL, STATE },
        { "append", 1, NULL, APPEND },     { "about", 1, NULL, ABOUT },           { "long", 0, NULL, LONG },
        { "list", 0, NULL, LIST },         { NULL, 0, NULL, 0 }
    };
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t n = optarg != NULL ? strtoull(optarg, NULL, 0) : 0;
        asked->has_one |= c == BOUND || c == KILLS || c == OLDER;
        switch (c) {
        case SCENARIO:
            if (asked->scenarios_n < ASKED_MOST)
                asked->scenario[asked->scenarios_n++] = optarg;
            break;
        case EXECUTIONS:
            asked->executions = n;
            break;
        case BOUND:
            asked->one.preemptions = (uint32_t)n;
            break;
        case KILLS:
            asked->one.kills = (uint32_t)n;
            asked->has_kills = true;
            break;
        case OLDER:
            asked->one.older = (uint32_t)n;
            break;
        case RANDOM:
            asked->random = n;
            asked->one.mode = EXPLORE_RANDOM;
            break;
        case SEED:
            asked->seed = n;
            break;
        case REPLAY:
            asked->replay = optarg;
            break;
        case STATE:
            asked->state = optarg;
            break;
        case APPEND:
            asked->append = optarg;
            break;
        case ABOUT:
            asked->about = optarg;
            break;
        case LONG:
            asked->is_long = true;
            break;
        case LIST:
            list();
            exit(0);
        default:
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct asked asked = { .seed = 1, .one = { EXPLORE_ALL, 0, 0, 0, 100 } };
    ask(&asked, argc, argv);
    bool is_quick = asked.executions == 0 && asked.random == 0 && !asked.has_one && !asked.is_long;
    asked.accesses = is_quick ? QUICK_ACCESSES : NO_LIMIT;
    if (asked.executions == 0)
        asked.executions = asked.has_one ? NO_LIMIT : asked.is_long ? LONG_EXECUTIONS : QUICK_EXECUTIONS;
    if (asked.state != NULL && (asked.scenarios_n != 1 || !asked.has_one)) {
        (void)fprintf(stderr, "--state wants one --scenario and --bound\n");
        return 2;
    }
    (void)signal(SIGSEGV, crashed);
    (void)signal(SIGABRT, crashed);
    (void)signal(SIGINT, stopped);
    (void)signal(SIGTERM, stopped);
    if (asked.replay != NULL)
        return replay(&asked);
    if (asked.scenarios_n == 0)
        for (uint32_t i = 0; i < scenarios_n && !stop; i++)
            scenario_run(&scenarios[i], &asked);
    for (uint32_t i = 0; i < asked.scenarios_n && !stop; i++) {
        const struct scenario *scenario = scenario_find(asked.scenario[i]);
        if (scenario == NULL) {
            (void)fprintf(stderr, "%s: no such scenario; --list tells\n", asked.scenario[i]);
            return 2;
        }
        scenario_run(scenario, &asked);
    }
    char counts[512];
    summary(&asked, counts, sizeof counts);
    if (asked.append != NULL)
        campaign_append(asked.append, asked.about, "schedules", asked.seed, counts, total.failures);
    printf("%s: %llu failures\n", counts, (unsigned long long)total.failures);
    return total.failures != 0;
}
