/* SPDX-License-Identifier: MIT
 *
 * Torture (A, B, C, H): four processes attach, work, detach, are stopped, go on, and die at random instants,
 * each followed by another; now and then all four are children of one process that is killed first, or all
 * but one are stopped.  After each batch everything is held against a record outside the map; in the end as
 * much fits as into a fresh map.
 *
 *   torture [--kills N] [--seconds S] [--batch N] [--workers N] [--seed S] [--append FILE --about TEXT]
 *
 * Until there were N kills, or for S seconds where that is given.  --append: a line for
 * tests/results/campaigns.tsv, TEXT being what tests/results/about.sh prints.
 */
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/campaign.h"
#include "lib/random.h"
#include "torture/worker.h"

#define WORKERS_MOST (BOARD_SLOTS - 1)

/* Accesses of one call, for each other call that ends meanwhile: a call may sweep the heap, evacuate, sweep
 * again, and walk the table, each a few accesses to a block or slot.  Blocks and slots of the map below:
 * 16 384 + 8 000. */
#define ACCESSES_LIMIT (4u * 24384u)

static struct {
    uint64_t kills, batch, seed;
    time_t seconds;
    uint32_t workers;
    const char *append, *about;
} want = { .kills = 20000, .batch = 500, .workers = 4 };

static void read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        { "kills", 1, 0, 'k' }, { "batch", 1, 0, 'b' }, { "workers", 1, 0, 'w' }, { "seed", 1, 0, 's' },
        { "seconds", 1, 0, 't' }, { "append", 1, 0, 'a' }, { "about", 1, 0, 'A' }, { 0, 0, 0, 0 },
    };
    want.seed = (uint64_t)time(NULL);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'k': want.kills = strtoull(optarg, NULL, 0); break;
        case 'b': want.batch = strtoull(optarg, NULL, 0); break;
        case 'w': want.workers = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 's': want.seed = strtoull(optarg, NULL, 0); break;
        case 't': want.seconds = (time_t)strtoull(optarg, NULL, 0); break;
        case 'a': want.append = optarg; break;
        case 'A': want.about = optarg; break;
        default: exit(2);
        }
    }
    if (want.workers < 1 || want.workers > WORKERS_MOST)
        want.workers = 4;
    if (want.batch < want.workers * 2)
        want.batch = want.workers * 2;
}

static bool run_batches(struct board *board)
{
    const time_t began = time(NULL);
    uint64_t random = want.seed;
    while (want.seconds ? time(NULL) - began < want.seconds : board->kills < want.kills) {
        const uint64_t seed = random_next(&random);
        if (!worker_rounds(board, 0, want.workers, want.workers, want.batch, seed) || !board_judge(board))
            return false;
    }
    return board_ledger(board);
}

static int say_counts(const struct board *board, char *text, size_t bytes)
{
    struct board_slot sum = { 0 };
    for (uint32_t i = 0; i < BOARD_SLOTS; i++) {
        const struct board_slot *slot = &board->slot[i];
        sum.lives += slot->lives;
        sum.calls += slot->calls;
        sum.reopened += slot->reopened;
        sum.alone_n += slot->alone_n;
        sum.most_accesses = slot->most_accesses > sum.most_accesses ? slot->most_accesses : sum.most_accesses;
        sum.most_swaps = slot->most_swaps > sum.most_swaps ? slot->most_swaps : sum.most_swaps;
        sum.alone_accesses = slot->alone_accesses > sum.alone_accesses ? slot->alone_accesses : sum.alone_accesses;
    }
    const int n = snprintf(text, bytes,
                           "%llu kills, %llu of them of parents of four, %llu of stopped processes; %llu stops, %llu times all "
                           "but one; %llu lives, %llu calls, %llu times detached; %llu times a second death before the first "
                           "one's call was known, %llu times that was it",
                           (unsigned long long)board->kills, (unsigned long long)board->parents_killed,
                           (unsigned long long)board->killed_while_stopped, (unsigned long long)board->stops,
                           (unsigned long long)board->solos, (unsigned long long)sum.lives, (unsigned long long)sum.calls,
                           (unsigned long long)sum.reopened, (unsigned long long)board->doubts_on_doubts,
                           (unsigned long long)board->older_seen);
    if (sum.most_accesses == 0)
        return n;
    return n + snprintf(text + n, bytes - (size_t)n,
                        "; the longest call made %llu accesses, the one with most compare-and-swaps %llu; of %llu calls "
                        "during which nobody else ended one the longest made %llu",
                        (unsigned long long)sum.most_accesses, (unsigned long long)sum.most_swaps,
                        (unsigned long long)sum.alone_n, (unsigned long long)sum.alone_accesses);
}

static void survey(const struct board *board, bool good)
{
    char counts[800];
    say_counts(board, counts, sizeof counts);
    if (!good)
        printf("FAIL torture --seed %llu --workers %u --batch %llu, after %llu kills: %s\n", (unsigned long long)want.seed,
               want.workers, (unsigned long long)want.batch, (unsigned long long)board->kills, board->text);
    printf("torture: %s; seed %llu: %s\n", counts, (unsigned long long)want.seed, good ? "ok" : "failed");
    if (want.append)
        campaign_append(want.append, want.about, "torture", want.seed, counts, !good);
}

/* Woken at the instant drawn, not behind the workers; theirs is the usual priority.  Where that is not allowed
 * there are fewer kills a second. */
static void come_first(void)
{
    const struct sched_param param = { 0 };
    (void)setpriority(PRIO_PROCESS, 0, -15);
    (void)sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &param);
}

int main(int argc, char **argv)
{
    char name[64];
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    read_arguments(argc, argv);
    printf("torture: seed %llu\n", (unsigned long long)want.seed);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* workers whose parent was killed become this process's children */
    snprintf(name, sizeof name, "shoal-torture-%d", (int)getpid());
    struct board *board = board_new(name, want.workers + 1, want.seed);
    options.capacity = 6000; /* more than the heap takes of 100-byte records: the ledger counts bytes */
    options.heap_bytes = 512 << 10;
    options.max_threads = 32;
    board_create_map(board, &options);
    board->accesses_limit = ACCESSES_LIMIT;
    come_first();
    const bool good = run_batches(board);
    survey(board, good);
    worker_kill_all(board);
    shm_unlink(name);
    return good ? 0 : 1;
}
