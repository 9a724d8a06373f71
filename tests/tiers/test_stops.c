/* SPDX-License-Identifier: MIT
 *
 * A process works on a key that only the store has, and is stopped before each of its accesses to shared memory in turn.
 * Meanwhile another changes the key, syncs, and the entry leaves the table: what the first one read below is old now, and
 * no slot says so.  It goes on: a promotion must not bring the old value up (T6), and what is computed from it must not take
 * effect (T5).  Guarantee A.
 *
 * Built with SHOAL_POINTS: the library calls shoal_point() before each access.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "map/key.h"
#include "table/mutate.h"

#define BEFORE 100
#define ADDED_MEANWHILE 1000
#define ADDED_BY_VICTIM 1
#define ADDED 7
#define POINTS_MAX 5000u

enum work { PROMOTES, COUNTS, ADDS, DELETES, WORKS };
static const char *const work_names[] = { "a promotion", "an increment", "an add", "a delete" };

static struct shared {
    uint32_t stop_at, points;
    uint64_t promoted;
    int32_t code;
    int64_t sum;
} *shared;
static uint64_t promotions;
static bool counted; /* in the victim, while it works */

void shoal_point(enum shoal_point_kind kind, const volatile void *where)
{
    (void)kind, (void)where;
    if (counted && ++shared->points == shared->stop_at)
        (void)raise(SIGSTOP);
}

static const char key[] = "hot";
#define KEY key, sizeof key - 1

/* -- The key --------------------------------------------------------------------------------------------- */

static void must(int code, const char *what) { require(code == 0, "%s: %d %s", what, code, shoal_error_text()); }

/* false: it is not there */
static bool get(struct shoal *map, int64_t *ret_value)
{
    size_t bytes = 0;
    const int code = shoal_get(map, KEY, ret_value, sizeof *ret_value, &bytes);
    require(code == SHOAL_MISSING || (code == 0 && bytes == sizeof *ret_value), "get: %d %s", code, shoal_error_text());
    return code == 0;
}

/* What is in the store already leaves the table. */
static void leave(struct shoal *map)
{
    struct call call;
    struct probe probe;
    struct mutate_found found;
    must(key_call(map, KEY, true, &call, &probe), "leave");
    if (mutate_find(call.a, &probe, HAZARD_SPARE, &found) == 0)
        require(mutate_evict(call.a, &found, probe.home), "the entry stays");
    hazard_clear(call.a, HAZARD_SPARE);
    call_end(&call);
}

static void settle_below(struct shoal *map)
{
    must(shoal_sync(map), "sync");
    leave(map);
}

static void begin(struct shoal *map)
{
    int64_t sum;
    (void)shoal_delete(map, KEY);
    must(shoal_incr(map, KEY, BEFORE, &sum), "incr");
    settle_below(map);
}

/* -- Both ------------------------------------------------------------------------------------------------- */

static void victim(struct shoal *map, enum work work)
{
    const int64_t added = ADDED;
    int64_t value = 0;
    must(shoal_put(map, "mine", 4, "", 0), "put"); /* who only reads has no entry, and brings nothing up */
    counted = true;
    if (work == PROMOTES) { /* the second get brings the record up, the first where a process before it has read it */
        (void)get(map, &value);
        shared->code = get(map, &value) ? 0 : SHOAL_MISSING;
    } else if (work == COUNTS) {
        shared->code = shoal_incr(map, KEY, ADDED_BY_VICTIM, &shared->sum);
    } else if (work == ADDS) {
        shared->code = shoal_add(map, KEY, &added, sizeof added);
    } else {
        shared->code = shoal_delete(map, KEY);
    }
    counted = false;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    must(shoal_stats(map, &stats), "stats");
    shared->promoted = stats.promoted;
    shared->sum = work == PROMOTES ? value : shared->sum;
    _exit(0);
}

static bool await(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, WUNTRACED) < 0)
        require(errno == EINTR, "waitpid: %s", strerror(errno));
    require(WIFSTOPPED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0), "the victim ended with status 0x%x",
            (unsigned)status);
    return WIFSTOPPED(status);
}

static void meanwhile(struct shoal *map, bool deletes)
{
    int64_t sum;
    if (!deletes)
        must(shoal_incr(map, KEY, ADDED_MEANWHILE, &sum), "incr");
    else
        require(shoal_delete(map, KEY) >= 0, "delete: %s", shoal_error_text());
    settle_below(map);
}

/* -- Judged ------------------------------------------------------------------------------------------------ */

/* Is it what one of the two orders makes, with this answer?  there, value: at the end. */
static bool is_explained(enum work work, bool deletes, bool there, int64_t value)
{
    const int32_t code = shared->code;
    const int64_t changed = BEFORE + ADDED_MEANWHILE, sum = shared->sum;
    if (work == PROMOTES)
        return deletes ? !there : there && value == changed;
    if (work == ADDS) /* after a delete it may succeed */
        return code == SHOAL_EXISTS ? (deletes ? !there : there && value == changed)
                                    : deletes && code == 0 && there && value == ADDED;
    if (work == DELETES && code == SHOAL_MISSING)
        return deletes && !there;
    if (work == DELETES) /* before or behind */
        return code == 0 && (deletes ? !there : !there || value == ADDED_MEANWHILE);
    if (deletes)
        return code == 0 && ((sum == BEFORE + ADDED_BY_VICTIM && !there) || (sum == ADDED_BY_VICTIM && there && value == sum));
    return code == 0 && there && value == changed + ADDED_BY_VICTIM && (sum == BEFORE + ADDED_BY_VICTIM || sum == value);
}

/* true: it was stopped there */
static bool trial(struct shoal *map, enum work work, bool deletes, uint32_t stop_at)
{
    int64_t value = 0;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    begin(map);
    must(shoal_stats(map, &stats), "stats");
    *shared = (struct shared){ .stop_at = stop_at };
    const pid_t pid = child_fork();
    if (pid == 0)
        victim(map, work);
    const bool stopped = await(pid);
    meanwhile(map, deletes);
    if (stopped) {
        (void)kill(pid, SIGCONT);
        require(!await(pid), "stopped twice");
    }
    promotions += shared->promoted - stats.promoted;
    const bool there = get(map, &value);
    require(is_explained(work, deletes, there, value) || !stopped,
            "A: %s stopped before access %u answers %d (%lld) beside a%s; then the key is %s, %lld", work_names[work], stop_at,
            shared->code, (long long)shared->sum, deletes ? " delete" : "n increment", there ? "there" : "absent",
            (long long)value);
    return stopped;
}

static struct shoal *map_above(const char *name, const char *directory)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map = NULL;
    options.capacity = 100;
    options.heap_bytes = 64 << 10;
    options.store = directory;
    options.on_full = SHOAL_FULL_SPILL;
    must(shoal_create(name, &options, &map), "create");
    return map;
}

static uint32_t all_stops(struct shoal *map)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    uint32_t stops = 0;
    for (enum work work = PROMOTES; work < WORKS; work++)
        for (int deletes = 0; deletes < 2; deletes++)
            for (uint32_t at = 1; at < POINTS_MAX && trial(map, work, deletes, at); at++)
                stops++;
    must(shoal_reap(map, NULL), "reap");
    must(shoal_check(map, &report), report.text);
    require(promotions > 0, "nothing came up");
    return stops;
}

int main(void)
{
    char directory[64] = "/dev/shm/shoal-stops-XXXXXX", name[64], file[80];
    require(mkdtemp(directory) != NULL, "mkdtemp: %s", strerror(errno));
    (void)snprintf(name, sizeof name, "shoal-stops-%d", (int)getpid());
    shared = child_memory(sizeof *shared);
    struct shoal *map = map_above(name, directory);
    const uint32_t stops = all_stops(map);
    printf("%u stops, %llu promotions\n", stops, (unsigned long long)promotions);
    shoal_close(map);
    (void)shoal_unlink(name);
    (void)snprintf(file, sizeof file, "%s/pages", directory);
    (void)unlink(file);
    (void)snprintf(file, sizeof file, "%s/lock", directory);
    (void)unlink(file);
    (void)rmdir(directory);
    return 0;
}
