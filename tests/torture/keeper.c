/* SPDX-License-Identifier: MIT
 *
 * Who forks workers and kills them.  This process never opens the map, so that forks are cheap and
 * nothing is inherited that is not meant to be.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "torture/worker.h"

#define LIFE_NS 1500000u /* between two kills at most: hundreds of kills a second */
#define PROGRESS 30u     /* calls by which everybody proves that nobody waits */
#define PROGRESS_S 60u   /* and a machine under load may take so long */
#define POOL_EVERY 12u   /* kills */
#define SOLO_EVERY 50u   /* kills */
#define SOLO_CALLS 400u

/* Between two looks at somebody's progress; the looker has the higher priority, and giving way would not do. */
static void pause_shortly(void)
{
    const struct timespec t = { 0, 20000 };
    nanosleep(&t, NULL);
}

void worker_spawn(struct board *board, uint32_t slot_i, uint64_t seed)
{
    const pid_t pid = child_fork();
    if (pid == 0)
        worker_live(board, slot_i, NULL, seed);
    board->slot[slot_i].pid = pid;
}

static _Noreturn void pool_parent(struct board *board, uint32_t parent_i, uint32_t first, uint32_t n, uint64_t seed)
{
    struct shoal *map = NULL;
    fail_into(board->text, sizeof board->text);
    const int code = shoal_open(board->name, 0, &map);
    require(code == 0, "a parent's open: %d %s", code, shoal_error_text());
    for (uint32_t i = first; i < first + n; i++) {
        const pid_t pid = child_fork();
        if (pid == 0) {
            *(volatile pid_t *)&board->slot[i].pid = getpid();
            worker_live(board, i, map, seed + i);
        }
    }
    worker_live(board, parent_i, map, seed);
}

void worker_spawn_pool(struct board *board, uint32_t parent_i, uint32_t first, uint32_t n, uint64_t seed)
{
    const pid_t pid = child_fork();
    if (pid == 0)
        pool_parent(board, parent_i, first, n, seed);
    board->slot[parent_i].pid = pid;
    board->slot[parent_i].parent = 1;
    for (uint32_t i = first; i < first + n; i++)
        while (*(volatile pid_t *)&board->slot[i].pid == 0 && !board->text[0])
            pause_shortly();
}

bool worker_kill(struct board *board, uint32_t slot_i)
{
    int status = 0;
    const pid_t pid = board->slot[slot_i].pid;
    board->killed_while_stopped += board->slot[slot_i].stopped;
    board->slot[slot_i].stopped = 0;
    (void)setpriority(PRIO_PROCESS, (id_t)pid, -20); /* it has to run to die, and shall not queue for that */
    kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        if (!board->text[0])
            snprintf(board->text, sizeof board->text, "worker %u ended by itself: status 0x%x (signal %d)", slot_i, status,
                     WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        return false;
    }
    __atomic_add_fetch(&board->kills, 1, __ATOMIC_RELAXED); /* two namespaces may count */
    board->parents_killed += board->slot[slot_i].parent;
    board->slot[slot_i].parent = 0;
    board_bury(board, slot_i);
    return true;
}

void worker_stop(struct board *board, uint32_t slot_i)
{
    kill(board->slot[slot_i].pid, SIGSTOP);
    board->stops += !board->slot[slot_i].stopped;
    board->slot[slot_i].stopped = 1;
}

void worker_continue(struct board *board, uint32_t slot_i)
{
    board->slot[slot_i].stopped = 0;
    kill(board->slot[slot_i].pid, SIGCONT);
}

void worker_kill_all(struct board *board)
{
    for (uint32_t i = 0; i < BOARD_SLOTS; i++) {
        if (board->slot[i].pid > 0)
            kill(board->slot[i].pid, SIGKILL);
        board->slot[i].pid = 0;
    }
}

/* A parent has died while its workers work: its attachment is reaped, none of theirs is. */
static bool reaped_while_working(struct board *board)
{
    int status = 0;
    const pid_t pid = child_fork();
    if (pid == 0) {
        struct shoal *map = NULL;
        struct shoal_reaped reaped = SHOAL_REAPED_INIT;
        struct shoal_stats stats = SHOAL_STATS_INIT;
        fail_into(board->text, sizeof board->text);
        int code = shoal_open(board->name, 0, &map);
        require(code == 0, "open: %d %s", code, shoal_error_text());
        code = shoal_reap(map, &reaped);
        require(code == 0, "reap: %d %s", code, shoal_error_text());
        code = shoal_stats(map, &stats);
        require(code == 0 && (reaped.undecided > 0 || stats.dead == 0), "C: a parent died, its workers live: %u dead are left",
                stats.dead);
        shoal_close(map);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status == 0;
}

/* So many calls, whoever is dead or stopped.  The time is a limit, not a wait. */
static bool gets_on(struct board *board, uint32_t slot_i, uint64_t calls)
{
    const volatile uint64_t *done = &board->slot[slot_i].calls;
    const uint64_t from = *done;
    const time_t began = time(NULL);
    while (*done < from + calls && !board->text[0]) {
        if (time(NULL) - began > (time_t)PROGRESS_S) {
            snprintf(board->text, sizeof board->text, "B: worker %u does not get on", slot_i);
            return false;
        }
        pause_shortly();
    }
    return board->text[0] == 0;
}

static bool all_get_on(struct board *board, uint32_t first, uint32_t n)
{
    bool good = true;
    for (uint32_t i = first; i < first + n; i++) {
        worker_continue(board, i);
        good = good && gets_on(board, i, PROGRESS);
    }
    return good;
}

/* All are stopped wherever they are but one, which must not need any of them. */
static bool solo(struct board *board, uint32_t first, uint32_t n, uint64_t *random)
{
    const uint32_t one = first + random_below(random, n);
    for (uint32_t i = first; i < first + n; i++)
        if (i != one)
            worker_stop(board, i);
    worker_continue(board, one);
    if (!gets_on(board, one, SOLO_CALLS))
        return false;
    board->solos++;
    for (uint32_t i = first; i < first + n; i++)
        if (random_below(random, 2) == 0)
            worker_continue(board, i);
    return true;
}

/* One more stops, or goes on; one at least is left running. */
static void stop_or_go(struct board *board, uint32_t first, uint32_t n, uint64_t *random)
{
    uint32_t running = 0;
    const uint32_t i = first + random_below(random, n);
    for (uint32_t k = first; k < first + n; k++)
        running += !board->slot[k].stopped;
    if (board->slot[i].stopped)
        worker_continue(board, i);
    else if (running > 1)
        worker_stop(board, i);
}

/* The instant of a kill is random: nothing is waited for. */
static void random_instant(uint64_t *random)
{
    const struct timespec t = { 0, (long)random_below(random, LIFE_NS) };
    nanosleep(&t, NULL);
}

static bool pool_round(struct board *board, uint32_t first, uint32_t n, uint32_t pool_i, uint64_t *random)
{
    for (uint32_t i = first; i < first + n; i++)
        if (!worker_kill(board, i))
            return false;
    worker_spawn_pool(board, pool_i, first, n, random_next(random));
    random_instant(random);
    return worker_kill(board, pool_i) && reaped_while_working(board);
}

bool worker_rounds(struct board *board, uint32_t first, uint32_t n, uint64_t pool_i, uint64_t kills, uint64_t seed)
{
    uint64_t random = seed;
    uint64_t done = n; /* the last ones */
    for (uint32_t i = first; i < first + n; i++)
        worker_spawn(board, i, random_next(&random));
    for (uint32_t k = 1; done < kills && !board->text[0]; k++) {
        random_instant(&random);
        if (random_below(&random, 3) == 0)
            stop_or_go(board, first, n, &random);
        if (k % SOLO_EVERY == 0 && !solo(board, first, n, &random))
            return false;
        if (pool_i != BOARD_NONE && k % POOL_EVERY == 0) {
            if (!pool_round(board, first, n, (uint32_t)pool_i, &random))
                return false;
            done += n + 1;
            continue;
        }
        const uint32_t i = first + random_below(&random, n);
        if (!worker_kill(board, i))
            return false;
        worker_spawn(board, i, random_next(&random));
        done++;
    }
    bool good = all_get_on(board, first, n);
    for (uint32_t i = first; i < first + n; i++)
        good &= worker_kill(board, i);
    return good && board->text[0] == 0;
}
