/* SPDX-License-Identifier: MIT
 *
 * Who is alive, and who is dead (C), where process ids say nothing about it.
 *
 *   namespaces  two pid namespaces whose process ids collide work on one map, with kills on both sides
 *   threads     two handles, many threads and forked children of one process: none is taken for dead
 *   parent      a parent is killed and reaped while its four children work
 *   exec        a process that has become another program is reaped while that runs
 *
 *   pidns [--kills N] [--seed S]
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "torture/worker.h"

#define SIDE 4u /* workers of one namespace */
#define THREADS 6u
#define CHILDREN 3u
#define CALLS 4000u

static char name[64];
static uint64_t seed, kills_wanted = 1200;

static struct shoal_options usual_options(void)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = 6000; /* more than the heap takes of 100-byte records: the ledger counts bytes */
    options.heap_bytes = 512 << 10;
    options.max_threads = 64;
    return options;
}

static void await_good(pid_t pid, const char *what)
{
    int status = 0;
    require(waitpid(pid, &status, 0) == pid && status == 0, "%s ended with status 0x%x", what, status);
}

static struct shoal *open_map(void)
{
    struct shoal *map = NULL;
    const int code = shoal_open(name, 0, &map);
    require(code == 0, "open: %d %s", code, shoal_error_text());
    return map;
}

/* -- Two namespaces --------------------------------------------------------------------------------------- */

/* In a new namespace, as its first process.  One of the two also has a /proc of its own. */
static _Noreturn void side_init(struct board *board, uint32_t first, bool own_proc)
{
    if (own_proc && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        (void)mount("proc", "/proc", "proc", 0, NULL);
    const bool good = worker_rounds(board, first, SIDE, BOARD_NONE, kills_wanted / 2, seed + first);
    _exit(good ? 0 : 1);
}

static pid_t start_side(struct board *board, uint32_t first, bool own_proc)
{
    const pid_t pid = child_fork();
    if (pid > 0)
        return pid;
    if (unshare(CLONE_NEWPID) != 0)
        _exit(77);
    const pid_t first_process = child_fork();
    if (first_process == 0)
        side_init(board, first, own_proc);
    int status = 0;
    waitpid(first_process, &status, 0); /* when it ends, its namespace ends */
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static uint32_t collisions(const struct board *board)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SIDE; i++)
        for (uint32_t k = SIDE; k < 2 * SIDE; k++)
            n += board->slot[i].pid != 0 && board->slot[i].pid == board->slot[k].pid;
    return n;
}

/* false = not possible here */
static bool namespaces_once(struct board *board, uint64_t *ret_collisions)
{
    pid_t side[2] = { start_side(board, 0, false), start_side(board, SIDE, true) };
    int status[2] = { -1, -1 };
    while (side[0] || side[1]) {
        *ret_collisions += collisions(board);
        for (uint32_t i = 0; i < 2; i++)
            if (side[i] && waitpid(side[i], &status[i], WNOHANG) == side[i])
                side[i] = 0;
        sched_yield();
    }
    if (WEXITSTATUS(status[0]) == 77)
        return false;
    require(status[0] == 0 && status[1] == 0, "namespaces: 0x%x, 0x%x: %s", status[0], status[1], board->text);
    return true;
}

static void namespaces(void)
{
    uint64_t met = 0;
    const struct shoal_options options = usual_options();
    struct board *board = board_new(name, 2 * SIDE, seed);
    board_create_map(board, &options);
    if (!namespaces_once(board, &met)) {
        printf("skipped: pidns namespaces (needs root)\n");
        return;
    }
    require(met > 0, "no two workers ever had the same process id: this test sees nothing");
    require(board_judge(board) && board_ledger(board), "after the kills: %s", board->text);
    printf("pidns: namespaces: %llu kills on two sides, colliding process ids seen %llu times\n",
           (unsigned long long)board->kills, (unsigned long long)met);
}

/* -- Threads of one process ---------------------------------------------------------------------------------- */

static struct shoal *handles[2];
static _Atomic uint64_t reaps;

static void *thread_body(void *arg)
{
    uint64_t random = seed + (uint64_t)(uintptr_t)arg;
    for (uint32_t i = 0; i < CALLS; i++) {
        char key[32];
        struct shoal *map = handles[random_below(&random, 2)];
        const int n = snprintf(key, sizeof key, "t%u", random_below(&random, 300));
        int code = random_below(&random, 3) ? shoal_put(map, key, (size_t)n, key, (size_t)n)
                                            : shoal_delete(map, key, (size_t)n);
        require(code >= 0, "put or delete: %d %s", code, shoal_error_text());
        if (i % 40 != 0)
            continue;
        struct shoal_reaped reaped = SHOAL_REAPED_INIT;
        code = shoal_reap(map, &reaped);
        require(code == 0 && reaped.dead == 0, "C: %u of the living were taken for dead", reaped.dead);
        atomic_fetch_add(&reaps, 1);
    }
    return NULL;
}

static void run_threads(uint32_t from)
{
    pthread_t thread[THREADS];
    for (uint32_t i = 0; i < THREADS; i++)
        require(pthread_create(&thread[i], NULL, thread_body, (void *)(uintptr_t)(from + i)) == 0, "pthread_create");
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

/* Half of the children open the map anew, half use what they inherited; threads start in all of them. */
static void threads_body(void)
{
    pid_t child[CHILDREN];
    handles[0] = open_map();
    handles[1] = open_map();
    for (uint32_t i = 0; i < CHILDREN; i++) {
        child[i] = child_fork();
        if (child[i] != 0)
            continue;
        if (i % 2)
            handles[0] = open_map();
        run_threads(100 * i + 100);
        shoal_close(handles[0]);
        shoal_close(handles[1]);
        _exit(0);
    }
    run_threads(0);
    for (uint32_t i = 0; i < CHILDREN; i++)
        await_good(child[i], "a forked child with threads");
    struct shoal_stats stats = SHOAL_STATS_INIT;
    struct shoal_report report = SHOAL_REPORT_INIT;
    require(shoal_reap(handles[0], NULL) == 0, "reap");
    require(shoal_check(handles[0], &report) == 0, "check: %s", report.text);
    require(shoal_stats(handles[1], &stats) == 0 && stats.dead == 0 && stats.attached <= 2,
            "C: all threads but one have ended: %u attached, %u dead", stats.attached, stats.dead);
    printf("pidns: threads: %u processes, %u threads each, two handles; %llu reaps by the first took nobody for dead\n",
           CHILDREN + 1, THREADS, (unsigned long long)reaps);
}

static void fresh_map(void)
{
    struct shoal *map = NULL;
    const struct shoal_options options = usual_options();
    shm_unlink(name);
    const int code = shoal_create(name, &options, &map);
    require(code == 0, "create: %d %s", code, shoal_error_text());
    shoal_close(map);
}

static void threads(void)
{
    const pid_t pid = child_fork();
    if (pid == 0) {
        fresh_map();
        threads_body();
        fflush(NULL);
        _exit(0);
    }
    await_good(pid, "threads");
}

/* -- A parent that dies before its children ------------------------------------------------------------------- */

#define WORKING 4u
struct family {
    volatile pid_t pid[WORKING];
    volatile uint64_t calls[WORKING];
};

static _Noreturn void family_child(struct family *family, struct shoal *map, uint32_t i)
{
    family->pid[i] = getpid();
    for (;;) {
        char key[32];
        const int n = snprintf(key, sizeof key, "c%u", i);
        const int code = shoal_incr(map, key, (size_t)n, 1, NULL);
        require(code == 0, "incr: %d %s", code, shoal_error_text());
        family->calls[i]++;
    }
}

static _Noreturn void family_parent(struct family *family)
{
    struct shoal *map = open_map();
    require(shoal_put(map, "parent", 6, "was here", 8) == 0, "put: %s", shoal_error_text());
    for (uint32_t i = 0; i < WORKING; i++)
        if (child_fork() == 0)
            family_child(family, map, i);
    for (;;)
        pause();
}

static void await_calls(const struct family *family, uint64_t more)
{
    for (uint32_t i = 0; i < WORKING; i++) {
        const uint64_t from = family->calls[i];
        while (family->calls[i] < from + more)
            sched_yield();
    }
}

static void parent_body(struct family *family)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fresh_map();
    const pid_t parent = child_fork();
    if (parent == 0)
        family_parent(family);
    await_calls(family, 100);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    struct shoal *map = open_map();
    require(shoal_reap(map, &reaped) == 0, "reap: %s", shoal_error_text());
    require(shoal_stats(map, &stats) == 0 && stats.dead == 0 && stats.attached == WORKING + 1,
            "C: a parent died, four children live: %u attached, %u dead", stats.attached, stats.dead);
    await_calls(family, 1000);
    for (uint32_t i = 0; i < WORKING; i++) {
        char key[32];
        int64_t sum = 0;
        const int n = snprintf(key, sizeof key, "c%u", i);
        kill(family->pid[i], SIGKILL);
        waitpid(family->pid[i], NULL, 0);
        require(shoal_incr(map, key, (size_t)n, 0, &sum) == 0, "incr: %s", shoal_error_text());
        require((uint64_t)sum == family->calls[i] || (uint64_t)sum == family->calls[i] + 1,
                "C: %llu calls returned, the counter is %lld", (unsigned long long)family->calls[i], (long long)sum);
    }
    require(shoal_reap(map, &reaped) == 0 && shoal_stats(map, &stats) == 0 && stats.attached == 1, "C: %u attached",
            stats.attached);
    shoal_close(map);
}

static void parent_dies(void)
{
    struct family *family = child_memory(sizeof *family);
    const pid_t pid = child_fork();
    if (pid == 0) {
        parent_body(family);
        _exit(0);
    }
    await_good(pid, "parent");
    printf("pidns: parent: killed and reaped while its four children worked\n");
}

/* -- exec ------------------------------------------------------------------------------------------------------- */

/* Attached, holding a view: then another program. */
static _Noreturn void exec_child(const int ready[2], const int stay[2])
{
    char fd[16];
    struct shoal *map = open_map();
    struct shoal_view view;
    require(shoal_put(map, "exec", 4, "before", 6) == 0, "put: %s", shoal_error_text());
    require(shoal_view(map, "exec", 4, &view) == 0, "view: %s", shoal_error_text());
    fcntl(ready[1], F_SETFD, FD_CLOEXEC); /* closed by exec: the sign that it has happened */
    close(stay[1]);
    snprintf(fd, sizeof fd, "%d", stay[0]);
    execl("/proc/self/exe", "pidns", "--stay", fd, (char *)NULL);
    _exit(1);
}

static void exec_body(void)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    int ready[2], stay[2];
    char byte;
    fresh_map();
    require(pipe(ready) == 0 && pipe(stay) == 0, "pipe: %s", strerror(errno));
    const pid_t pid = child_fork();
    if (pid == 0)
        exec_child(ready, stay);
    close(ready[1]);
    close(stay[0]);
    require(read(ready[0], &byte, 1) == 0, "exec did not close what it should");
    struct shoal *map = open_map();
    require(shoal_reap(map, &reaped) == 0, "reap: %s", shoal_error_text());
    require(kill(pid, 0) == 0 && waitpid(pid, NULL, WNOHANG) == 0, "the program that was executed has ended");
    require(shoal_stats(map, &stats) == 0 && stats.attached == 1 && stats.dead == 0,
            "C: after exec %u are attached, %u dead", stats.attached, stats.dead);
    close(stay[1]);
    await_good(pid, "the program that was executed");
    shoal_close(map);
}

static void exec_other(void)
{
    const pid_t pid = child_fork();
    if (pid == 0) {
        exec_body();
        _exit(0);
    }
    await_good(pid, "exec");
    printf("pidns: exec: reaped while the new program ran\n");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "kills", 1, 0, 'k' }, { "seed", 1, 0, 's' }, { "stay", 1, 0, 'S' }, { 0, 0, 0, 0 },
    };
    seed = (uint64_t)time(NULL);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        char byte;
        switch (c) {
        case 'k': kills_wanted = strtoull(optarg, NULL, 0); break;
        case 's': seed = strtoull(optarg, NULL, 0); break;
        case 'S': return read(atoi(optarg), &byte, 1) == 0 ? 0 : 1; /* the program of exec_child */
        default: return 2;
        }
    }
    printf("pidns: seed %llu\n", (unsigned long long)seed);
    snprintf(name, sizeof name, "shoal-pidns-%d", (int)getpid());
    namespaces();
    threads();
    parent_dies();
    exec_other();
    shm_unlink(name);
    printf("pidns: ok; seed %llu\n", (unsigned long long)seed);
    return 0;
}
