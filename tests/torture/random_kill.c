/* SPDX-License-Identifier: MIT
 *
 * Random kills (A, B, C, H): four processes work on one map, each is killed at random instants and
 * followed by another; now and then all four are children of one process that is killed first.  After each
 * batch everything is held against a record outside the map; in the end as much fits as into a fresh map.
 *
 *   random_kill [--kills N] [--batch N] [--workers N] [--seed S]
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/random.h"
#include "torture/worker.h"

#define WORKERS_MOST (BOARD_SLOTS - 1)

static struct {
    uint64_t kills, batch, seed;
    uint32_t workers;
} want = { .kills = 10000, .batch = 500, .workers = 4 };

static void read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        { "kills", 1, 0, 'k' }, { "batch", 1, 0, 'b' }, { "workers", 1, 0, 'w' }, { "seed", 1, 0, 's' }, { 0, 0, 0, 0 },
    };
    want.seed = (uint64_t)time(NULL);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'k': want.kills = strtoull(optarg, NULL, 0); break;
        case 'b': want.batch = strtoull(optarg, NULL, 0); break;
        case 'w': want.workers = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 's': want.seed = strtoull(optarg, NULL, 0); break;
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
    uint64_t random = want.seed;
    while (board->kills < want.kills) {
        const uint64_t seed = random_next(&random);
        if (!worker_rounds(board, 0, want.workers, want.workers, want.batch, seed) || !board_judge(board))
            return false;
    }
    return board_ledger(board);
}

static bool survey(const struct board *board, bool good)
{
    uint64_t lives = 0, calls = 0;
    for (uint32_t i = 0; i < BOARD_SLOTS; i++) {
        lives += board->slot[i].lives;
        calls += board->slot[i].calls;
    }
    if (!good)
        printf("FAIL random_kill --seed %llu --workers %u --batch %llu, after %llu kills: %s\n",
               (unsigned long long)want.seed, want.workers, (unsigned long long)want.batch,
               (unsigned long long)board->kills, board->text);
    printf("random_kill: %llu kills, %llu of them of parents of four, %llu lives, %llu calls; seed %llu: %s\n",
           (unsigned long long)board->kills, (unsigned long long)board->parents_killed, (unsigned long long)lives,
           (unsigned long long)calls, (unsigned long long)want.seed, good ? "ok" : "failed");
    return good;
}

int main(int argc, char **argv)
{
    char name[64];
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    read_arguments(argc, argv);
    printf("random_kill: seed %llu\n", (unsigned long long)want.seed);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* workers whose parent was killed become this process's children */
    snprintf(name, sizeof name, "shoal-random-kill-%d", (int)getpid());
    struct board *board = board_new(name, want.workers + 1, want.seed);
    options.capacity = 6000; /* more than the heap takes of 100-byte records: the ledger counts bytes */
    options.heap_bytes = 512 << 10;
    options.max_threads = 32;
    board_create_map(board, &options);
    const bool good = survey(board, run_batches(board));
    worker_kill_all(board);
    shm_unlink(name);
    return good ? 0 : 1;
}
