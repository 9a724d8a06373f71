/* SPDX-License-Identifier: MIT
 *
 * A map is rebuilt again and again, to random geometries, while processes work on it, and any of them, the rebuilder too, is
 * killed at random (guarantees A, B, C through a move).
 *
 *     hammer [--seconds N] [--seed N] [--store]
 *
 * Each worker has keys of its own, whose values it alone changes: what was acknowledged must be there, what was under way
 * when it was killed may be.  All add to common counters.  Readers, one of them read-only, look for keys that never change;
 * a walker must meet each of these exactly once.  In the end the table is checked, and no file is left behind.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/random.h"
#include "shoal/shoal.h"

#define WORKERS 3u
#define KEYS 150u      /* of each worker */
#define COUNTERS 6u
#define STABLE 150u
#define READERS 2u
#define PEOPLE (WORKERS + READERS + 2u) /* a walker, a rebuilder */
#define VALUE_MAX 700u

struct word {
    _Atomic uint64_t acknowledged, under_way; /* version of the value; 0 = absent; both equal at rest */
};
struct board {
    struct word key[WORKERS][KEYS];
    _Atomic uint64_t added[WORKERS][COUNTERS], adding[WORKERS]; /* adding: counter + 1 */
    _Atomic uint64_t calls, kills, rebuilds, walks, failed;
    char why[256];
};
static struct board *board;
static char dir[64], path[128];
static const char *store;

__attribute__((format(printf, 1, 2))) static void failed(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (atomic_fetch_add(&board->failed, 1) == 0)
        (void)vsnprintf(board->why, sizeof board->why, format, args);
    va_end(args);
    _exit(1);
}

static struct shoal *open_map(unsigned flags)
{
    struct shoal *map;
    int rc = shoal_open(path, flags, &map);
    if (rc != 0)
        failed("open: %d %s", rc, shoal_error_text());
    return map;
}

static size_t value_make(uint64_t who, uint64_t key, uint64_t version, char *to)
{
    uint64_t state = who << 40 ^ key << 20 ^ version;
    size_t n = 24 + random_below(&state, key % 16 == 0 ? VALUE_MAX - 24 : 60);
    int head = snprintf(to, VALUE_MAX, "%" PRIu64 " %" PRIu64 " %" PRIu64 " ", who, key, version);
    for (size_t i = (size_t)head; i < n; i++)
        to[i] = (char)('a' + (i + version) % 26);
    return n > (size_t)head ? n : (size_t)head;
}

static size_t key_make(uint64_t who, uint64_t key, char *to) { return (size_t)snprintf(to, 40, "w%" PRIu64 "-%" PRIu64, who, key); }

static bool is_value(const char *have, size_t n, uint64_t who, uint64_t key, uint64_t version)
{
    char want[VALUE_MAX];
    return value_make(who, key, version, want) == n && memcmp(want, have, n) == 0;
}

/* -- Workers ------------------------------------------------------------------------------------------ */

/* What the last life of this worker left open. */
static void take_over(struct shoal *map, uint64_t who)
{
    char name[40], have[VALUE_MAX];
    for (uint64_t k = 0; k < KEYS; k++) {
        struct word *w = &board->key[who][k];
        uint64_t old = atomic_load(&w->acknowledged), new = atomic_load(&w->under_way);
        size_t n = 0;
        int rc = shoal_get(map, name, key_make(who, k, name), have, sizeof have, &n);
        if (rc != 0 && rc != SHOAL_MISSING)
            failed("worker %" PRIu64 ": get %s: %d %s", who, name, rc, shoal_error_text());
        bool is_old = old == 0 ? rc == SHOAL_MISSING : rc == 0 && is_value(have, n, who, k, old);
        bool is_new = new == 0 ? rc == SHOAL_MISSING : rc == 0 && is_value(have, n, who, k, new);
        if (!is_old && !is_new)
            failed("%s: neither version %" PRIu64 " nor %" PRIu64 ": %d %.40s", name, old, new, rc, rc == 0 ? have : "");
        atomic_store(&w->acknowledged, is_new ? new : old);
        atomic_store(&w->under_way, is_new ? new : old);
    }
}

/* Others took the room: an answer that a map gives, and nothing has changed then. */
static bool is_full(int rc) { return rc == SHOAL_EFULL; }

static void change(struct shoal *map, uint64_t who, uint64_t k, uint64_t *random)
{
    char name[40], value[VALUE_MAX];
    struct word *w = &board->key[who][k];
    uint64_t old = atomic_load(&w->acknowledged), next;
    size_t name_n = key_make(who, k, name), n;
    int rc, want = 0;
    uint32_t what = random_below(random, 10);
    if (what < 3) {
        next = 0;
        want = old == 0 ? SHOAL_MISSING : 0;
        atomic_store(&w->under_way, 0);
        rc = shoal_delete(map, name, name_n);
    } else {
        next = (random_next(random) >> 16) | 1;
        n = value_make(who, k, next, value);
        atomic_store(&w->under_way, next);
        if (what < 5) {
            want = old != 0 ? SHOAL_EXISTS : 0;
            rc = shoal_add(map, name, name_n, value, n);
        } else if (what < 6) {
            want = old == 0 ? SHOAL_MISSING : 0;
            rc = shoal_replace(map, name, name_n, value, n);
        } else {
            rc = shoal_put(map, name, name_n, value, n);
        }
    }
    if (is_full(rc) && next == 0)
        failed("delete %s: %s", name, shoal_error_text());
    if (is_full(rc)) {
        atomic_store(&w->under_way, old);
        return;
    }
    if (rc != want)
        failed("%s, version %" PRIu64 ", call %u: %d, expected %d: %s", name, old, what, rc, want, rc < 0 ? shoal_error_text() : "");
    atomic_store(&w->acknowledged, rc == 0 ? next : old);
    atomic_store(&w->under_way, rc == 0 ? next : old);
}

static void add(struct shoal *map, uint64_t who, uint64_t *random)
{
    uint32_t c = random_below(random, COUNTERS);
    char name[40];
    int64_t sum;
    atomic_store(&board->adding[who], c + 1);
    int rc = shoal_incr(map, name, (size_t)snprintf(name, sizeof name, "counter-%u", c), 1, &sum);
    if (rc == 0)
        atomic_fetch_add(&board->added[who][c], 1);
    else if (!is_full(rc))
        failed("incr %s: %d %s", name, rc, shoal_error_text());
    atomic_store(&board->adding[who], 0);
}

static void look(struct shoal *map, uint64_t who, uint64_t k)
{
    char name[40], have[VALUE_MAX];
    size_t n = 0;
    uint64_t old = atomic_load(&board->key[who][k].acknowledged);
    int rc = shoal_get(map, name, key_make(who, k, name), have, sizeof have, &n);
    if (old == 0 ? rc != SHOAL_MISSING : rc != 0 || !is_value(have, n, who, k, old))
        failed("get %s: %d, expected version %" PRIu64 ": %s", name, rc, old, rc < 0 ? shoal_error_text() : "");
}

static void worker(uint64_t who, uint64_t seed)
{
    struct shoal *map = open_map(0);
    take_over(map, who);
    for (uint64_t random = seed;;) {
        uint32_t k = random_below(&random, KEYS), what = random_below(&random, 16);
        if (what == 0)
            add(map, who, &random);
        else if (what < 9)
            change(map, who, k, &random);
        else
            look(map, who, k);
        atomic_fetch_add_explicit(&board->calls, 1, memory_order_relaxed);
        if (random_below(&random, 5000) == 0) { /* comes again by the name */
            shoal_close(map);
            map = open_map(0);
        }
    }
}

/* -- Others ------------------------------------------------------------------------------------------- */

static void reader(unsigned flags, uint64_t seed)
{
    struct shoal *map = open_map(flags);
    for (uint64_t random = seed;;) {
        char name[40], have[VALUE_MAX];
        uint32_t k = random_below(&random, STABLE);
        size_t n = 0;
        int rc = shoal_get(map, name, key_make(99, k, name), have, sizeof have, &n);
        if (rc != 0 || !is_value(have, n, 99, k, 1))
            failed("stable key %s, flags %u: %d %s", name, flags, rc, rc < 0 ? shoal_error_text() : "");
        atomic_fetch_add_explicit(&board->calls, 1, memory_order_relaxed);
    }
}

static void walker(uint64_t seed)
{
    struct shoal *map = open_map(0);
    (void)seed;
    for (;;) {
        uint8_t met[STABLE] = { 0 };
        struct shoal_iter *iter;
        struct shoal_item item;
        unsigned k, n = 0;
        int rc = shoal_iter_open(map, "w", 1, &iter);
        while (rc == 0 && (rc = shoal_iter_next(iter, &item)) == 0) {
            char name[40];
            (void)snprintf(name, sizeof name, "%.*s", (int)item.key_bytes, (const char *)item.key);
            if (sscanf(name, "w99-%u", &k) != 1)
                continue;
            if (k >= STABLE || met[k]++ != 0 || !is_value(item.value, item.value_bytes, 99, k, 1))
                failed("walk: %s comes again, or with another value", name);
            n++;
        }
        if (is_full(rc)) {
            shoal_iter_close(iter);
            continue;
        }
        if (rc != SHOAL_END || n != STABLE)
            failed("walk: %u of %u stable keys: %d %s", n, STABLE, rc, rc < 0 ? shoal_error_text() : "");
        shoal_iter_close(iter);
        atomic_fetch_add(&board->walks, 1);
    }
}

static void rebuilder(uint64_t seed)
{
    struct shoal *map = open_map(0);
    for (uint64_t random = seed;;) {
        struct shoal_options options = SHOAL_OPTIONS_INIT;
        options.capacity = 700 + random_below(&random, 3000);
        options.heap_bytes = ((uint64_t)512 + random_below(&random, 2048)) << 10;
        int rc = shoal_rebuild(map, &options, NULL, NULL);
        if (rc == 0)
            atomic_fetch_add(&board->rebuilds, 1);
        else if (rc != SHOAL_CHANGED && !is_full(rc))
            failed("rebuild: %d %s", rc, shoal_error_text());
    }
}

static pid_t person(uint32_t i, uint64_t seed)
{
    pid_t pid = child_fork();
    if (pid != 0)
        return pid;
    if (i < WORKERS)
        worker(i, seed);
    else if (i < WORKERS + READERS)
        reader(i == WORKERS ? SHOAL_RDONLY : 0, seed);
    else if (i == WORKERS + READERS)
        walker(seed);
    else
        rebuilder(seed);
    _exit(0);
}

/* -- The run ------------------------------------------------------------------------------------------- */

static void fill(void)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    char name[40], value[VALUE_MAX];
    options.capacity = 1500;
    options.heap_bytes = 1 << 20;
    options.store = store;
    options.on_full = store != NULL ? SHOAL_FULL_SPILL : SHOAL_FULL_FAIL;
    if (shoal_create(path, &options, &map) != 0)
        failed("create: %s", shoal_error_text());
    for (uint64_t k = 0; k < STABLE; k++) {
        size_t n = value_make(99, k, 1, value);
        if (shoal_put(map, name, key_make(99, k, name), value, n) != 0)
            failed("put: %s", shoal_error_text());
    }
    shoal_close(map);
}

static void judge_counters(struct shoal *map)
{
    for (uint32_t c = 0; c < COUNTERS; c++) {
        char name[40];
        int64_t sum = 0;
        uint64_t least = 0;
        size_t n;
        int rc = shoal_get(map, name, (size_t)snprintf(name, sizeof name, "counter-%u", c), &sum, sizeof sum, &n);
        for (uint64_t who = 0; who < WORKERS; who++)
            least += atomic_load(&board->added[who][c]);
        if (rc < 0 || (uint64_t)sum < least || (uint64_t)sum > least + atomic_load(&board->kills))
            failed("%s: %" PRIi64 ", acknowledged %" PRIu64 ": %d", name, sum, least, rc);
    }
}

static void judge_files(void)
{
    DIR *list = opendir(dir);
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        if (strncmp(entry->d_name, ".map", 4) == 0)
            failed("%s is left behind", entry->d_name);
    (void)closedir(list);
}

static void judge(void)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal *map = open_map(0);
    for (uint64_t who = 0; who < WORKERS; who++)
        take_over(map, who);
    judge_counters(map);
    uint64_t n, want = STABLE + COUNTERS;
    int exact;
    for (uint32_t i = 0; i < WORKERS * KEYS; i++)
        want += atomic_load(&board->key[i / KEYS][i % KEYS].acknowledged) != 0;
    if (shoal_reap(map, NULL) != 0 || shoal_check(map, &report) != 0)
        failed("check: %s", shoal_error_text());
    if (shoal_count(map, SHOAL_EXACT, &n, &exact) != 0 || n != want || !exact)
        failed("count: %" PRIu64 " of %" PRIu64 " %s", n, want, exact ? "" : "not exact");
    options.capacity = 2000;
    options.heap_bytes = 4 << 20;
    if (shoal_rebuild(map, &options, NULL, NULL) != 0)
        failed("last rebuild: %s", shoal_error_text());
    for (uint64_t who = 0; who < WORKERS; who++)
        take_over(map, who);
    shoal_close(map);
    judge_files();
    if (shoal_unlink(path) != 0)
        failed("unlink: %s", shoal_error_text());
}

static void run(uint64_t seconds, uint64_t seed)
{
    pid_t pid[PEOPLE];
    uint64_t random = seed;
    for (uint32_t i = 0; i < PEOPLE; i++)
        pid[i] = person(i, random_next(&random));
    time_t end = time(NULL) + (time_t)seconds;
    while (time(NULL) < end && atomic_load(&board->failed) == 0) {
        uint32_t i = random_below(&random, 3) == 0 ? PEOPLE - 1 : random_below(&random, PEOPLE);
        (void)nanosleep(&(struct timespec){ .tv_nsec = 200000 + (long)random_below(&random, 12000000) }, NULL);
        (void)kill(pid[i], SIGKILL);
        (void)waitpid(pid[i], NULL, 0);
        atomic_fetch_add(&board->kills, 1);
        pid[i] = person(i, random_next(&random));
    }
    for (uint32_t i = 0; i < PEOPLE; i++) {
        (void)kill(pid[i], SIGKILL);
        (void)waitpid(pid[i], NULL, 0);
        atomic_fetch_add(&board->kills, 1);
    }
}

int main(int argc, char **argv)
{
    uint64_t seconds = 5, seed = (uint64_t)time(NULL);
    static char store_dir[128];
    bool has_store = false;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--store") == 0)
            has_store = true;
        else if (i + 1 < argc && strcmp(argv[i], "--seconds") == 0)
            seconds = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 10);
        else
            return fprintf(stderr, "hammer [--seconds N] [--seed N] [--store]\n"), 2;
    board = child_memory(sizeof *board);
    (void)snprintf(dir, sizeof dir, "/dev/shm/shoal-hammer-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    (void)snprintf(path, sizeof path, "%s/map", dir);
    (void)snprintf(store_dir, sizeof store_dir, "%s/store", dir);
    store = has_store ? store_dir : NULL;
    pid_t pid = child_fork();
    if (pid == 0) {
        fill();
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
    if (atomic_load(&board->failed) == 0)
        run(seconds, seed);
    pid = atomic_load(&board->failed) == 0 ? child_fork() : -1;
    if (pid == 0) {
        judge();
        _exit(0);
    }
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    bool ok = atomic_load(&board->failed) == 0;
    char command[160];
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    if (ok && system(command) != 0)
        ok = false;
    printf("hammer: %" PRIu64 " calls, %" PRIu64 " kills, %" PRIu64 " rebuilds, %" PRIu64 " walks, seed %" PRIu64 ": %s%s\n",
           atomic_load(&board->calls), atomic_load(&board->kills), atomic_load(&board->rebuilds), atomic_load(&board->walks), seed,
           ok ? "ok" : "FAILED: ", board->why);
    return ok ? 0 : 1;
}
