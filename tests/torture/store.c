/* SPDX-License-Identifier: MIT
 *
 * Torture above a store (A, C, F, G): processes put, delete, update, sync and put durably more than the table holds, and
 * each is killed behind a number of calls that is drawn, in the middle of whatever it does then: copying down, dividing
 * pages, committing, bringing up.  Another takes its place.  After each batch everything is held against a record outside
 * the map; then, now and then, the machine is started again: what was never flushed does not count, the table is gone, and
 * a new map must have what sync or a durable put returned for, or what came later.
 *
 *   torture_store [--kills N] [--seed S]                600 kills
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/act.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "store/file.h"

#define WORKERS 3u
#define KEYS 60u /* of each; the table has room for a third of all */
#define BATCH 40u
#define LIVES 3u /* batches in one life of the machine */
#define CALLS_MOST 400u

/* A key's states are numbered, each number once; its owner alone changes it. */
struct key {
    uint64_t acked, intended;  /* the last state that a call has returned for; the one of the call under way, or acked */
    uint64_t durable;          /* the first that may be found behind a start of the machine */
    uint64_t deleted;          /* the last state that is "absent" */
    bool acked_absent, intended_absent;
};

struct worker {
    struct key key[KEYS];
    uint64_t number;
    _Atomic uint64_t calls;
};

static struct board {
    char map[64], directory[64];
    uint64_t seed, kills, restarts, durables, syncs, kept_out;
    struct worker worker[WORKERS];
} *board;

/* -- The machine ------------------------------------------------------------------------------------------ */

static uint8_t life;

int __real_file_boot(uint8_t ret_boot[FILE_BOOT_BYTES]);
int __wrap_file_boot(uint8_t ret_boot[FILE_BOOT_BYTES]);
int __wrap_file_boot(uint8_t ret_boot[FILE_BOOT_BYTES])
{
    const int why = __real_file_boot(ret_boot);
    ret_boot[0] = (uint8_t)(ret_boot[0] + life);
    return why;
}

static struct shoal *create(void)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map = NULL;
    options.capacity = 80;
    options.heap_bytes = 32 << 10;
    options.max_threads = 16;
    options.store = board->directory;
    options.on_full = SHOAL_FULL_SPILL;
    const int code = shoal_create(board->map, &options, &map);
    require(code == 0, "create: %d %s", code, shoal_error_text());
    return map;
}

/* -- One key ----------------------------------------------------------------------------------------------- */

static size_t key_of(uint32_t worker, uint32_t key, char to[24])
{
    return (size_t)snprintf(to, 24, "w%u.%03u", worker, key);
}

static size_t bytes_of(uint64_t number) { return 16 + number * 37 % 400; }

/* 0: absent.  A value tells its number. */
static uint64_t look(struct shoal *map, uint32_t worker, uint32_t key)
{
    static uint8_t value[512];
    char name[24];
    size_t bytes = 0;
    uint64_t number = 0;
    const int code = shoal_get(map, name, key_of(worker, key, name), value, sizeof value, &bytes);
    require(code == 0 || code == SHOAL_MISSING, "get: %d %s", code, shoal_error_text());
    if (code == SHOAL_MISSING)
        return 0;
    require(value_read(value, bytes, &number) && bytes == bytes_of(number), "C: a torn value of %zu bytes", bytes);
    return number;
}

/* What it is now decides what the call that was cut off came to. */
static void settle(struct key *k, uint64_t seen, const char *when)
{
    const bool is_acked = k->acked_absent ? seen == 0 : seen == k->acked;
    const bool is_intended = k->intended_absent ? seen == 0 : seen == k->intended;
    require(is_acked || is_intended, "A, C: %s: %llu is there; acknowledged %llu%s, perhaps %llu%s", when,
            (unsigned long long)seen, (unsigned long long)k->acked, k->acked_absent ? " (absent)" : "",
            (unsigned long long)k->intended, k->intended_absent ? " (absent)" : "");
    if (!is_acked) {
        k->acked = k->intended;
        k->acked_absent = k->intended_absent;
    }
    k->intended = k->acked;
    k->intended_absent = k->acked_absent;
}

/* -- A worker ---------------------------------------------------------------------------------------------- */

static void ordered(void) { __asm__ volatile("" ::: "memory"); }

static int change(struct shoal *map, uint32_t worker, uint32_t key, uint64_t number, uint32_t how_it_is)
{
    static uint8_t value[512];
    char name[24];
    const size_t n = key_of(worker, key, name);
    struct shoal_how how = SHOAL_HOW_INIT;
    if (how_it_is < 15)
        return shoal_delete(map, name, n);
    value_make(value, number, bytes_of(number));
    how.flags = how_it_is >= 95 ? SHOAL_DURABLE : 0;
    return shoal_put_with(map, name, n, value, bytes_of(number), &how, NULL);
}

/* Others may write to the store for so long that a call ends with SHOAL_EFULL: nothing has changed then. */
static bool is_kept_out(int code)
{
    if (code != SHOAL_EFULL)
        return false;
    require(strstr(shoal_error_text(), "writes to it") != NULL, "G: %s", shoal_error_text());
    board->kept_out++;
    return true;
}

static void act(struct shoal *map, uint32_t worker, uint32_t key, uint32_t roll)
{
    struct worker *w = &board->worker[worker];
    struct key *k = &w->key[key];
    const uint64_t number = ++w->number;
    if (roll < 15)
        k->deleted = number;
    k->intended_absent = roll < 15;
    ordered();
    k->intended = number;
    ordered();
    const int code = change(map, worker, key, number, roll);
    if (is_kept_out(code)) {
        settle(k, look(map, worker, key), "behind SHOAL_EFULL");
        return;
    }
    require(code == 0 || (roll < 15 && code == SHOAL_MISSING), "a write: %d %s", code, shoal_error_text());
    require(code == 0 || k->acked_absent, "A: a delete did not find what was acknowledged");
    k->acked_absent = k->intended_absent; /* until the next line both say the same of either state */
    ordered();
    k->acked = number;
    ordered();
    if (roll >= 95) {
        k->durable = number;
        board->durables++;
    }
}

static void sync_all(struct shoal *map, struct worker *w)
{
    const int code = shoal_sync(map);
    if (is_kept_out(code))
        return;
    require(code == 0, "sync: %d %s", code, shoal_error_text());
    for (uint32_t i = 0; i < KEYS; i++)
        w->key[i].durable = w->key[i].acked;
    board->syncs++;
}

static void work(uint32_t worker, uint64_t random)
{
    struct worker *w = &board->worker[worker];
    struct shoal *map = NULL;
    int code = shoal_open(board->map, 0, &map);
    require(code == 0, "open: %d %s", code, shoal_error_text());
    code = shoal_reap(map, NULL); /* whoever was here before can do nothing more */
    require(code == 0, "reap: %d %s", code, shoal_error_text());
    for (uint32_t i = 0; i < KEYS; i++)
        settle(&w->key[i], look(map, worker, i), "behind a kill");
    for (;;) {
        const uint32_t key = random_below(&random, KEYS), roll = random_below(&random, 100);
        if (roll < 65)
            settle(&w->key[key], look(map, worker, key), "a get");
        else
            act(map, worker, key, random_below(&random, 100));
        if (random_below(&random, 60) == 0)
            sync_all(map, w);
        w->calls++;
    }
}

/* -- The keeper --------------------------------------------------------------------------------------------- */

static pid_t pids[WORKERS];

static void start(uint32_t worker, uint64_t *random)
{
    const uint64_t seed = random_next(random);
    pids[worker] = child_fork_bound();
    if (pids[worker] == 0)
        work(worker, seed);
}

static void kill_one(uint32_t worker)
{
    int status = 0;
    kill(pids[worker], SIGKILL);
    while (waitpid(pids[worker], &status, 0) < 0)
        require(errno == EINTR, "waitpid: %s", strerror(errno));
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "worker %u ended by itself: status 0x%x", worker,
            (unsigned)status);
    board->kills++;
}

/* So many of its calls from now on; one that ended by itself is noticed by who kills it. */
static void await_calls(uint32_t worker, uint64_t n)
{
    const uint64_t until = board->worker[worker].calls + n;
    siginfo_t info = { 0 };
    while (board->worker[worker].calls < until) {
        if (waitid(P_PID, (id_t)pids[worker], &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
            return;
        sched_yield();
    }
}

static void judge(void)
{
    struct shoal *map = NULL;
    struct shoal_report report = SHOAL_REPORT_INIT;
    int code = shoal_open(board->map, 0, &map);
    require(code == 0, "open: %d %s", code, shoal_error_text());
    code = shoal_reap(map, NULL);
    require(code == 0, "reap: %d %s", code, shoal_error_text());
    code = shoal_check(map, &report);
    require(code == 0, "C: check: %d %s", code, report.text);
    uint64_t want = 0, n = 0;
    for (uint32_t i = 0; i < WORKERS * KEYS; i++) {
        struct key *k = &board->worker[i / KEYS].key[i % KEYS];
        settle(k, look(map, i / KEYS, i % KEYS), "all are dead");
        want += !k->acked_absent;
    }
    code = shoal_count(map, SHOAL_EXACT, &n, NULL);
    require(code == 0 && n == want, "C: count: %d, %llu of %llu", code, (unsigned long long)n, (unsigned long long)want);
    shoal_close(map);
}

/* What was acknowledged since then may be lost, and is forgotten where it is. */
static void restart(void)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    require(shoal_unlink(board->map) == 0, "unlink: %s", shoal_error_text());
    life++;
    board->restarts++;
    struct shoal *map = create();
    const int code = shoal_check(map, &report);
    require(code == 0, "F: check: %d %s", code, report.text);
    for (uint32_t i = 0; i < WORKERS * KEYS; i++) {
        struct key *k = &board->worker[i / KEYS].key[i % KEYS];
        const uint64_t seen = look(map, i / KEYS, i % KEYS);
        const bool may_be = seen == 0 ? k->deleted >= k->durable : seen >= k->durable && seen <= k->intended;
        require(may_be, "F: behind a start of the machine key %u has %llu; durable %llu, last %llu, deleted %llu", i,
                (unsigned long long)seen, (unsigned long long)k->durable, (unsigned long long)k->acked,
                (unsigned long long)k->deleted);
        *k = (struct key){ .acked = seen, .intended = seen, .durable = seen, .acked_absent = seen == 0,
                           .intended_absent = seen == 0 };
    }
    shoal_close(map);
}

static void batch(uint64_t *random)
{
    for (uint32_t i = 0; i < WORKERS; i++)
        start(i, random);
    for (uint32_t i = 0; i < BATCH; i++) {
        const uint32_t worker = random_below(random, WORKERS);
        await_calls(worker, 1 + random_below(random, CALLS_MOST));
        for (uint32_t spin = random_below(random, 4000); spin > 0; spin--) /* not always between two calls */
            ordered();
        kill_one(worker);
        start(worker, random);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        kill_one(i);
}

/* In a child: this process has no map open. */
static void in_child(void step(void))
{
    int status = 0;
    const pid_t pid = child_fork();
    if (pid == 0) {
        step();
        _exit(0);
    }
    require(waitpid(pid, &status, 0) == pid && status == 0, "status 0x%x", (unsigned)status);
}

static void make(void)
{
    shoal_close(create());
    for (uint32_t i = 0; i < WORKERS * KEYS; i++)
        board->worker[i / KEYS].key[i % KEYS].acked_absent = board->worker[i / KEYS].key[i % KEYS].intended_absent = true;
}

static void sweep(void)
{
    char file[80];
    (void)shoal_unlink(board->map);
    (void)snprintf(file, sizeof file, "%s/pages", board->directory);
    (void)unlink(file);
    (void)snprintf(file, sizeof file, "%s/lock", board->directory);
    (void)unlink(file);
    (void)rmdir(board->directory);
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "kills", 1, 0, 'k' }, { "seed", 1, 0, 's' }, { 0, 0, 0, 0 } };
    uint64_t kills = 600, random = (uint64_t)time(NULL);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == '?')
            return 2;
        *(c == 'k' ? &kills : &random) = strtoull(optarg, NULL, 0);
    }
    board = child_memory(sizeof *board);
    board->seed = random;
    printf("torture_store: seed %llu\n", (unsigned long long)random);
    (void)snprintf(board->map, sizeof board->map, "shoal-torture-store-%d", (int)getpid());
    strcpy(board->directory, "/dev/shm/shoal-torture-XXXXXX");
    require(mkdtemp(board->directory) != NULL, "mkdtemp: %s", strerror(errno));
    in_child(make);
    for (uint32_t i = 1; board->kills < kills; i++) {
        batch(&random);
        in_child(judge);
        if (i % LIVES == 0) {
            in_child(restart);
            life++;
        }
    }
    sweep();
    printf("torture_store: %llu kills, %llu starts of the machine; %llu durable puts and %llu syncs returned, %llu calls were "
           "kept from the store; seed %llu: 0 failures\n", (unsigned long long)board->kills,
           (unsigned long long)board->restarts, (unsigned long long)board->durables, (unsigned long long)board->syncs,
           (unsigned long long)board->kept_out, (unsigned long long)board->seed);
    return 0;
}
