/* SPDX-License-Identifier: MIT
 *
 * Linearizability (A), under kills (C): histories of real processes, each judged by a search for an order
 * that explains it; and proof that the judge sees what is wrong.
 *
 *   lincheck [--operations N] [--append FILE --about TEXT]   record and judge so many operations (2 000 000)
 *   lincheck --mutations N        spoil real histories, N (100) in each of the ways; all must be rejected
 *   lincheck --small N FILE       write N small histories and the verdicts on them, for brute.py
 *   lincheck --samples N FILE     write N real histories, spoiled and not, for porcupine
 *   lincheck --judge FILE         judge a history that was kept
 *   lincheck --seed S             with any of them; SHOAL_TEST_SEED likewise
 *
 * The seed fixes what the processes set out to do, not who comes first: a history that is rejected is kept
 * in a file.  A campaign is any number of runs, each of which appends its line to FILE, which begins with TEXT:
 * campaign.sh.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/campaign.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "lincheck/mutate.h"
#include "lincheck/record.h"
#include "lincheck/search.h"
#include "lincheck/small.h"
#include "lincheck/walks.h"

/* What a history must have to be spoiled: a short or lonely one would be rejected too easily. */
#define SPOILED_OPS 200u
#define SPOILED_LIVES 3u
#define SPOILED_OVERLAPPING 10u
#define BASES_MOST 4000u

static struct {
    uint64_t seed, operations, n;
    const char *append, *about, *file;
    char mode;
    bool store; /* below every map, not below a third of them */
    bool rebuild; /* every map, not a quarter of them */
} want = { .operations = 2000000, .mode = 'o' };

static struct {
    uint64_t histories, operations, overlapping, pending, killed, lives, by_kind[OP_KINDS];
    uint64_t walks, walks_bound, steps, moved, copied, evicted, promoted, store_hits, rebuilt;
    uint32_t lives_most, keys_least, keys_most, moving;
    uint64_t failures;
} covered = { .keys_least = UINT32_MAX };

static uint64_t random_state;
static uint32_t below(uint32_t n) { return random_below(&random_state, n); }

/* -- Judging real histories ------------------------------------------------------------------------------- */

static void keep_history(const struct history *h, const char *why)
{
    char path[96];
    snprintf(path, sizeof path, "lincheck-%llx.history", (unsigned long long)h->seed);
    FILE *file = fopen(path, "w");
    if (file) {
        history_write(file, h, 0, false, "-");
        fclose(file);
    }
    printf("FAIL lincheck --seed %llu: history %llx, kept in %s: %s\n", (unsigned long long)want.seed,
           (unsigned long long)h->seed, path, why);
    covered.failures++;
}

static void judge(const struct history *h)
{
    char why[256];
    const struct search_result found = search_history(h);
    covered.steps += found.steps;
    if (found.verdict != VERDICT_ACCEPTED) {
        snprintf(why, sizeof why, "A: key %u is %s%s: %u of %u operations ordered; stuck before the return of",
                 found.key, found.verdict == VERDICT_REJECTED ? "not linearizable" : "undecided",
                 found.by_versions ? " (one version, two values)" : "", found.taken, found.of);
        keep_history(h, why);
        op_write(stdout, &found.stuck);
    }
    const struct walks_result walked = walks_check(h);
    covered.walks += walked.walks;
    covered.walks_bound += walked.bound;
    if (walked.bad) {
        snprintf(why, sizeof why, "A: a walk from %" PRIu64 " to %" PRIu64 " gave %s: key %u", walked.bad->invoked,
                 walked.bad->returned, walked.why, walked.key);
        keep_history(h, why);
    }
}

static void cover(const struct history *h)
{
    covered.histories++;
    covered.operations += h->n;
    covered.overlapping += history_overlapping(h);
    covered.pending += history_pending(h);
    covered.killed += h->killed;
    covered.lives += h->lives_n;
    covered.moving += h->moves;
    covered.moved += h->moved;
    covered.copied += h->copied;
    covered.evicted += h->evicted;
    covered.promoted += h->promoted;
    covered.store_hits += h->store_hits;
    covered.rebuilt += h->rebuilt != 0;
    covered.lives_most = h->lives_n > covered.lives_most ? h->lives_n : covered.lives_most;
    covered.keys_least = h->keys_n < covered.keys_least ? h->keys_n : covered.keys_least;
    covered.keys_most = h->keys_n > covered.keys_most ? h->keys_n : covered.keys_most;
    for (uint32_t i = 0; i < h->n; i++)
        covered.by_kind[h->op[i].kind]++;
}

static bool record(const struct recording *recording, struct history *h)
{
    if (record_history(recording, h))
        return true;
    keep_history(h, record_text());
    return false;
}

/* Many operations, and few deaths or none. */
static struct recording long_course(void)
{
    struct recording r = { .seed = random_next(&random_state), .processes = 2 + below(15), .keys_n = 1 + below(8),
                           .walk_one_in = 300, .tight = below(4) == 0, .store = want.store || below(3) == 0,
                           .rebuild = want.rebuild || below(4) == 0 };
    r.calls_n = 32000 / r.processes < 4000 ? 32000 / r.processes : 4000;
    r.kills = below(3) ? below(24) : 0;
    r.yield_one_in = below(2) ? 0 : 20 + below(200);
    return r;
}

/* A death every hundred operations or so: what a dead process had begun is what this is about. */
static struct recording deadly_course(void)
{
    struct recording r = { .seed = random_next(&random_state), .processes = 3 + below(5), .keys_n = 1 + below(4),
                           .walk_one_in = 60, .tight = below(8) == 0, .calls_n = 500, .kills = 30 + below(25),
                           .store = want.store || below(3) == 0, .rebuild = want.rebuild || below(4) == 0 };
    r.yield_one_in = below(2) ? 0 : 5 + below(100);
    return r;
}

/* As if each process had a processor: all are within a call at once, on a key or two. */
static struct recording wide_course(void)
{
    struct recording r = { .seed = random_next(&random_state), .processes = 12 + below(5), .keys_n = 1 + below(2),
                           .walk_one_in = 300, .kills = below(24), .yield_one_in = 3 + below(5),
                           .store = want.store || below(3) == 0, .rebuild = want.rebuild || below(4) == 0 };
    r.calls_n = 16000 / r.processes;
    return r;
}

static struct recording any_course(void)
{
    switch (below(8)) {
    case 0: return wide_course();
    case 1: case 2: case 3: case 4: return deadly_course();
    default: return long_course();
    }
}

static void run_operations(void)
{
    struct history h = { 0 };
    while (covered.operations < want.operations && covered.failures == 0) {
        const struct recording r = any_course();
        if (record(&r, &h))
            judge(&h);
        cover(&h);
    }
    for (uint32_t k = 0; k < OP_KINDS; k++) {
        printf("%s%s %" PRIu64, k ? ", " : "by call: ", op_name(k), covered.by_kind[k]);
        require(covered.by_kind[k] != 0, "no %s was recorded", op_name(k));
    }
    printf("\nwalks had to give or leave out %" PRIu64 " keys; %u histories in crowded maps, %" PRIu64
           " records moved; %" PRIu64 " steps of the search\n",
           covered.walks_bound, covered.moving, covered.moved, covered.steps);
    printf("%" PRIu64 " entries copied to a store, %" PRIu64 " left for it, %" PRIu64 " came up again; %" PRIu64
           " gets found their key there; %" PRIu64 " histories of maps that moved to other geometries\n",
           covered.copied, covered.evicted, covered.promoted, covered.store_hits, covered.rebuilt);
    history_free(&h);
}

/* -- Spoiled histories ------------------------------------------------------------------------------------ */

/* Many processes, short: overlap comes from giving way within operations. */
static bool record_base(struct history *h)
{
    for (;;) {
        struct recording r = { .seed = random_next(&random_state), .processes = 3 + below(5), .keys_n = 2 + below(2),
                               .kills = 2 + below(3), .walk_one_in = 20, .yield_one_in = 3 };
        r.calls_n = 330 / r.processes;
        if (!record(&r, h))
            return false;
        if (h->n >= SPOILED_OPS && history_lives(h) >= SPOILED_LIVES && history_overlapping(h) >= SPOILED_OVERLAPPING)
            break;
    }
    judge(h);
    cover(h);
    return covered.failures == 0;
}

static uint64_t spoiled[MUTATIONS], spoiled_walks[WALK_MUTATIONS], by_search, overlapping_least = UINT64_MAX;

static void judge_spoiled(const struct history *h, uint32_t mutation, uint32_t key)
{
    char why[128];
    const struct search_result found = search_history(h);
    const uint32_t overlapping = history_overlapping(h);
    spoiled[mutation]++;
    by_search += !found.by_versions;
    overlapping_least = overlapping < overlapping_least ? overlapping : overlapping_least;
    if (found.verdict == VERDICT_REJECTED && found.key == key)
        return;
    snprintf(why, sizeof why, "%s on key %u was not rejected (verdict %u on key %u)", mutation_name(mutation), key,
             found.verdict, found.key);
    keep_history(h, why);
}

static void judge_spoiled_walk(const struct history *h, uint32_t mutation)
{
    spoiled_walks[mutation]++;
    if (!walks_check(h).bad)
        keep_history(h, walk_mutation_name(mutation));
}

static bool all_spoiled(void)
{
    bool all = true;
    for (uint32_t m = 0; m < MUTATIONS; m++)
        all &= spoiled[m] >= want.n;
    for (uint32_t m = 0; m < WALK_MUTATIONS; m++)
        all &= spoiled_walks[m] >= want.n;
    return all;
}

static void spoil_base(const struct history *base, struct history *h)
{
    uint32_t key = 0;
    for (uint32_t m = 0; m < MUTATIONS; m++) {
        if (spoiled[m] >= want.n)
            continue;
        history_copy(h, base);
        if (mutate_history(h, m, &random_state, &key))
            judge_spoiled(h, m, key);
    }
    for (uint32_t m = 0; m < WALK_MUTATIONS; m++) {
        if (spoiled_walks[m] >= want.n)
            continue;
        history_copy(h, base);
        if (walks_mutate(h, m, &random_state))
            judge_spoiled_walk(h, m);
    }
}

static void run_mutations(void)
{
    struct history base = { 0 }, h = { 0 };
    for (uint32_t i = 0; i < BASES_MOST && !all_spoiled() && covered.failures == 0; i++)
        if (record_base(&base))
            spoil_base(&base, &h);
    uint64_t total = 0;
    for (uint32_t m = 0; m < MUTATIONS; m++) {
        printf("%s%s %" PRIu64, m ? ", " : "rejected: ", mutation_name(m), spoiled[m]);
        total += spoiled[m];
    }
    for (uint32_t m = 0; m < WALK_MUTATIONS; m++) {
        printf(", %s %" PRIu64, walk_mutation_name(m), spoiled_walks[m]);
        total += spoiled_walks[m];
    }
    printf("\n%" PRIu64 " spoiled histories of %u operations at least by %u processes at least, %" PRIu64
           " overlapping at least; %" PRIu64 " left to the search\n",
           total, SPOILED_OPS, SPOILED_LIVES, overlapping_least, by_search);
    if (covered.failures == 0)
        require(all_spoiled(), "too few spoiled histories");
    history_free(&base);
    history_free(&h);
}

/* -- For other judges ------------------------------------------------------------------------------------- */

static void write_judged(FILE *file, const struct history *h, uint32_t number, const char *what)
{
    const struct search_result found = search_history(h);
    require(found.verdict != VERDICT_UNDECIDED, "undecided after %llu steps", (unsigned long long)found.steps);
    history_write(file, h, number, found.verdict == VERDICT_ACCEPTED, what);
}

/* Right ones, those with answers changed at random, and of each kind of mutation some. */
static void run_small(FILE *file)
{
    struct history base = { 0 }, h = { 0 };
    uint32_t number = 0, key = 0;
    for (uint64_t i = 0; i < want.n; i++) {
        small_history(random_next(&random_state), &base);
        write_judged(file, &base, number++, "-");
        cover(&base);
        history_copy(&h, &base);
        small_spoil(&h, &random_state);
        write_judged(file, &h, number++, "at_random");
        for (uint32_t m = 0; m < MUTATIONS; m++) {
            history_copy(&h, &base);
            if (spoiled[m] < want.n / 20 && mutate_history(&h, m, &random_state, &key)) {
                write_judged(file, &h, number++, mutation_name(m));
                spoiled[m]++;
            }
        }
    }
    history_free(&base);
    history_free(&h);
}

static void run_samples(FILE *file)
{
    struct history base = { 0 }, h = { 0 };
    uint32_t number = 0, key = 0, m = 0;
    while (number < want.n && record_base(&base)) {
        write_judged(file, &base, number++, "-");
        for (uint32_t i = 0; i < 5 && number < want.n; i++) {
            m = (m + 1) % MUTATIONS;
            history_copy(&h, &base);
            if (!mutate_history(&h, m, &random_state, &key))
                continue;
            write_judged(file, &h, number++, mutation_name(m));
            spoiled[m]++;
        }
    }
    history_free(&base);
    history_free(&h);
}

static void run_judge(const char *path)
{
    struct history h = { 0 };
    FILE *file = fopen(path, "r");
    require(file != NULL && history_read(file, &h), "%s is no history", path);
    fclose(file);
    const struct search_result found = search_history(&h);
    printf("%s: %s after %" PRIu64 " steps; key %u, %u of %u operations ordered\n", path,
           found.verdict == VERDICT_ACCEPTED ? "accepted" : found.verdict == VERDICT_REJECTED ? "rejected" : "undecided",
           found.steps, found.key, found.taken, found.of);
    covered.failures += found.verdict != VERDICT_ACCEPTED;
    cover(&h);
    history_free(&h);
}

/* -- Main ------------------------------------------------------------------------------------------------- */

static void read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        { "operations", 1, 0, 'o' }, { "mutations", 1, 0, 'm' }, { "small", 1, 0, 's' }, { "samples", 1, 0, 'p' },
        { "seed", 1, 0, 'S' },       { "append", 1, 0, 'a' },    { "about", 1, 0, 'A' }, { "store", 0, 0, 't' },
        { "rebuild", 0, 0, 'r' },    { "judge", 0, 0, 'j' },
        { 0, 0, 0, 0 },
    };
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const char *seed = getenv("SHOAL_TEST_SEED");
    want.seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'S': want.seed = strtoull(optarg, NULL, 0); break;
        case 'a': want.append = optarg; break;
        case 'A': want.about = optarg; break;
        case 't': want.store = true; break;
        case 'r': want.rebuild = true; break;
        case 'o': want.operations = strtoull(optarg, NULL, 0); break;
        case 'j': want.mode = (char)c; break;
        case 'm': case 's': case 'p':
            want.mode = (char)c;
            want.n = strtoull(optarg, NULL, 0);
            break;
        default: exit(2);
        }
    }
    want.file = optind < argc ? argv[optind] : NULL;
    if (strchr("spj", want.mode) && !want.file)
        exit(2);
}

static void summary(void)
{
    char counts[400];
    uint64_t mutated = 0, least = UINT64_MAX; /* of a way that was used */
    uint32_t kinds = 0;
    for (uint32_t m = 0; m < MUTATIONS + WALK_MUTATIONS; m++) {
        const uint64_t n = m < MUTATIONS ? spoiled[m] : spoiled_walks[m - MUTATIONS];
        mutated += n;
        kinds += n != 0;
        least = n != 0 && n < least ? n : least;
    }
    snprintf(counts, sizeof counts,
             "%" PRIu64 " histories, %" PRIu64 " operations, %" PRIu64 " of them overlapping, %" PRIu64
             " pending, %u to %u keys, %" PRIu64 " processes (%u at most), %" PRIu64 " kills, %" PRIu64
             " walks, %" PRIu64 " mutated in %u ways, each %" PRIu64 " times at least",
             covered.histories, covered.operations, covered.overlapping, covered.pending, covered.keys_least,
             covered.keys_most, covered.lives, covered.lives_most, covered.killed, covered.walks, mutated,
             kinds, kinds ? least : 0);
    if (want.append)
        campaign_append(want.append, want.about, "lincheck", want.seed, counts, covered.failures);
    printf("lincheck: %s; seed %" PRIu64 ": %s\n", counts, want.seed, covered.failures ? "failed" : "ok");
}

int main(int argc, char **argv)
{
    FILE *file = NULL;
    read_arguments(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0); /* children and failures lose what was not written */
    printf("lincheck: seed %" PRIu64 "\n", want.seed);
    random_state = want.seed;
    if (want.file && want.mode != 'j') {
        file = fopen(want.file, "w");
        require(file != NULL, "cannot write %s", want.file);
    }
    switch (want.mode) {
    case 'm': run_mutations(); break;
    case 's': run_small(file); break;
    case 'p': run_samples(file); break;
    case 'j': run_judge(want.file); break;
    default: run_operations(); break;
    }
    if (file)
        require(fclose(file) == 0, "cannot write %s", want.file);
    summary();
    return covered.failures ? 1 : 0;
}
