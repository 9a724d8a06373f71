/* SPDX-License-Identifier: MIT
 *
 * The suite `images`: guarantee F, and what C and E promise of the store.  What a store writes is recorded; what may
 * be left of it when a process or the machine dies is built, opened and judged; each call on its files is made to fail.
 *
 *   images                              the quick one: all workloads of up to 3 steps, some long ones
 *   images --images N --seed S          about N images; other ones
 *   images --random                     long workloads alone: other ones with each seed
 *   images --long                       a million images, all calls of all short workloads failed
 *   images --workload ID                all images and failed calls of this workload: "filled/small/commit",
 *                                       "bare/large", "random/17", "cut", "zones"
 *   images --workload ID --image P.V    what is left behind the log's P-th entry in its V-th way; P.V/P.V: what
 *                                       is left of judging that one; P.V/: all that may be left of that
 *   images --workload ID --call K --error eio|enospc|short
 *   images --workload ID --interrupt    system calls interrupted, by chance
 *   images --append FILE --about TEXT   append a line to FILE, as tests/results/campaigns.tsv has them, TEXT being
 *                                       what tests/results/about.sh prints
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/explore.h"
#include "images/faults.h"
#include "images/program.h"
#include "images/wrong.h"
#include "lib/campaign.h"

#define QUICK_IMAGES 52000u
#define LONG_IMAGES 1000000u
#define SHORT_SHARE 70u        /* percent of the images, for workloads of up to 3 steps */
#define NESTED_PERCENT 15u
#define RANDOM_IMAGES 400u     /* of one long workload */
#define QUICK_CALLS 3000u      /* failed ones, over all workloads */
#define RANDOM_CALLS 20u       /* of one long workload */
#define CUT_IMAGES 150u
#define ZONES_IMAGES 60u

struct asked {
    uint64_t seed, images, calls;
    bool is_long, is_interrupt, is_random;
    const char *workload, *image, *append, *about;
    uint64_t call;
    enum record_how how;
};

static struct run_base bases[BASES];
static struct run run;
static uint64_t workloads_n, transactions_n;

static bool is_enough(void) { return wrong_n() >= PROGRAM_FAILURES_MOST; }

/* -- One workload ------------------------------------------------------------------------------------ */

static void images_of(const struct workload *workload, const struct asked *asked, uint64_t images)
{
    const struct run_base *base = &bases[workload->base];
    uint32_t first_point;
    char id[ID_BYTES + 16];
    (void)snprintf(id, sizeof id, "--workload %s", workload->id);
    during("%s", id);
    int code = run_workload(&run, base, workload, &first_point);
    run_close(&run);
    workloads_n++;
    transactions_n += run.oracle.states_n;
    if (code != 0) {
        wrong_tell("");
        return;
    }
    const struct explore_log log = { .id = id, .log = &run.log, .oracle = &run.oracle, .begin = &base->disk,
                                     .boot = base->boot, .first_point = first_point };
    const struct explore_asked how = { asked->seed, images, NESTED_PERCENT, asked->image };
    explore(&log, &how);
}

static void calls_of(const struct workload *workload, const struct asked *asked, uint64_t calls)
{
    const struct faults_asked how = { asked->seed, calls, asked->call, asked->how };
    faults_workload(&bases[workload->base], workload, &how);
}

static void interrupt(const struct workload *workload, uint64_t seed)
{
    faults_interrupt(&bases[workload->base], workload, seed);
}

/* -- All of them ------------------------------------------------------------------------------------- */

/* Those of fewer steps come first, so what they leave of their share goes to the others. */
static void all_short(const struct asked *asked)
{
    static struct workload workload;
    const uint32_t n = workload_short_n();
    const uint64_t images = asked->images / 100 * SHORT_SHARE;
    for (uint32_t i = 0; i < n && !is_enough(); i++) {
        const uint64_t left = images > explore_counts.images ? images - explore_counts.images : 0;
        workload_short(i, &workload);
        images_of(&workload, asked, asked->is_long ? EXPLORE_ALL : left / (n - i) + 1);
    }
    for (uint32_t i = 0; i < n && !is_enough(); i++) {
        const uint64_t left = asked->calls > faults_counts.calls ? asked->calls - faults_counts.calls : 0;
        workload_short(i, &workload);
        if (asked->is_long || workload.steps_n == 0 || (workload.steps_n == 1 && workload.base == BASE_FILLED))
            calls_of(&workload, asked, FAULTS_ALL);
        else
            calls_of(&workload, asked, left / (n - i) + 1);
        if (workload.steps_n < SHORT_STEPS)
            interrupt(&workload, asked->seed);
    }
}

static void all_random(const struct asked *asked)
{
    static struct workload workload;
    workload_cut(&workload);
    images_of(&workload, asked, CUT_IMAGES);
    calls_of(&workload, asked, RANDOM_CALLS);
    if (asked->is_long) {
        workload_zones(&workload);
        images_of(&workload, asked, ZONES_IMAGES);
    }
    for (uint32_t i = 0; explore_counts.images < asked->images && !is_enough(); i++) {
        workload_random(i, asked->seed, &workload);
        images_of(&workload, asked, RANDOM_IMAGES);
        calls_of(&workload, asked, RANDOM_CALLS);
        interrupt(&workload, asked->seed);
    }
}

static void one(const struct asked *asked)
{
    static struct workload workload;
    if (!workload_find(asked->workload, asked->seed, &workload)) {
        (void)fprintf(stderr, "%s: no such workload\n", asked->workload);
        exit(2);
    }
    workload.steps_known = 0;
    const bool is_call = asked->call != FAULTS_ALL || asked->how != FAIL_NOT;
    if (!is_call && !asked->is_interrupt)
        images_of(&workload, asked, asked->images);
    if (asked->image == NULL && !asked->is_interrupt)
        calls_of(&workload, asked, is_call || asked->images == EXPLORE_ALL ? FAULTS_ALL : asked->images / 10);
    if (asked->image == NULL && !is_call)
        interrupt(&workload, asked->seed);
}

/* -- Results ----------------------------------------------------------------------------------------- */

static void summary(char *to, size_t bytes)
{
    const struct explore_counts *c = &explore_counts;
    const struct faults_counts *f = &faults_counts;
    (void)snprintf(to, bytes,
                   "%llu images of %llu workloads (%llu of a process's death, %llu of another image's recovery, "
                   "%llu repeated and left out), %llu transactions, %llu failed calls (%llu unnoticed and harmless, "
                   "%llu flushes), %llu interrupted calls",
                   (unsigned long long)c->images, (unsigned long long)workloads_n, (unsigned long long)c->deaths,
                   (unsigned long long)c->nested, (unsigned long long)c->repeated, (unsigned long long)transactions_n,
                   (unsigned long long)f->calls, (unsigned long long)f->unnoticed, (unsigned long long)f->refusals,
                   (unsigned long long)f->interrupted);
}

/* -- Command line ------------------------------------------------------------------------------------ */

static enum record_how how_named(const char *name)
{
    for (int how = FAIL_EIO; how < FAIL_KINDS; how++)
        if (strcmp(name, record_how_names[how]) == 0)
            return (enum record_how)how;
    (void)fprintf(stderr, "--error %s: eio, enospc or short\n", name);
    exit(2);
}

static void ask(struct asked *asked, int argc, char **argv)
{
    enum { SEED = 1, IMAGES, LONG, WORKLOAD, IMAGE, CALL, ERROR, INTERRUPT, APPEND, ABOUT, RANDOM };
    static const struct option options[] = {
        { "seed", 1, NULL, SEED },   { "images", 1, NULL, IMAGES }, { "long", 0, NULL, LONG },
        { "image", 1, NULL, IMAGE }, { "call", 1, NULL, CALL },     { "workload", 1, NULL, WORKLOAD },
        { "error", 1, NULL, ERROR }, { "append", 1, NULL, APPEND }, { "interrupt", 0, NULL, INTERRUPT },
        { "about", 1, NULL, ABOUT },   { "random", 0, NULL, RANDOM }, { NULL, 0, NULL, 0 },
    };
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case SEED:
            asked->seed = strtoull(optarg, NULL, 0);
            break;
        case IMAGES:
            asked->images = strtoull(optarg, NULL, 0);
            break;
        case LONG:
            asked->is_long = true;
            break;
        case RANDOM:
            asked->is_random = true;
            break;
        case WORKLOAD:
            asked->workload = optarg;
            break;
        case IMAGE:
            asked->image = optarg;
            break;
        case CALL:
            asked->call = strtoull(optarg, NULL, 0);
            break;
        case ERROR:
            asked->how = how_named(optarg);
            break;
        case INTERRUPT:
            asked->is_interrupt = true;
            break;
        case APPEND:
            asked->append = optarg;
            break;
        case ABOUT:
            asked->about = optarg;
            break;
        default:
            exit(2);
        }
    }
    if (asked->images == 0)
        asked->images = asked->workload != NULL ? EXPLORE_ALL : asked->is_long ? LONG_IMAGES : QUICK_IMAGES;
}

static void begin(void)
{
    explore_begin();
    faults_begin();
    run_init(&run, "run");
    for (int base = 0; base < BASES; base++)
        if (run_make_base(&run, (enum base)base, &bases[base]) != 0) {
            wrong_tell("");
            exit(1);
        }
}

static void end(void)
{
    for (int base = 0; base < BASES; base++)
        run_base_drop(&bases[base]);
    run_drop(&run);
    faults_end();
    explore_end();
}

static int run_all(void *arg)
{
    const struct asked *asked = arg;
    char counts[512];
    begin();
    if (asked->workload != NULL) {
        one(asked);
    } else {
        if (!asked->is_random)
            all_short(asked);
        all_random(asked);
    }
    end();
    summary(counts, sizeof counts);
    if (asked->append != NULL)
        campaign_append(asked->append, asked->about, "images", asked->seed, counts, wrong_n());
    printf("images: %s; seed %llu: %llu failures\n", counts, (unsigned long long)asked->seed,
           (unsigned long long)wrong_n());
    return wrong_n() == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct asked asked = { .seed = 1, .calls = QUICK_CALLS, .call = FAULTS_ALL };
    ask(&asked, argc, argv);
    return program_run("images", asked.seed, run_all, &asked);
}
