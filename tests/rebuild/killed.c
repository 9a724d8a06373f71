/* SPDX-License-Identifier: MIT
 *
 * Killed at each access to shared memory, and before and behind each call that names a file, of a rebuild and of what writers
 * do for a move (guarantee C).
 *
 *     killed [--every N] [--seed N] [--store]
 *
 * A survivor, attached since before, must find what was acknowledged, old or new of what was under way, and nothing else; write;
 * walk; count exactly; check; open the map by its name; rebuild it to its end; and leave no file behind.  --every: one of N
 * places, drawn by the seed (1: all of them).
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "rebuild/scene.h"

#define KEYS 40u

static uint64_t places_left; /* 0: nobody counts */
static uint64_t deaths;

/* -- Dying -------------------------------------------------------------------------------------------- */

static void place(void)
{
    if (places_left != 0 && --places_left == 0)
        (void)kill(getpid(), SIGKILL);
}

void shoal_point(enum shoal_point_kind kind, const volatile void *where);
void shoal_point(enum shoal_point_kind kind, const volatile void *where)
{
    (void)kind, (void)where;
    place();
}

int __real_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    place();
    int rc = __real_linkat(from_dir, from, to_dir, to, flags);
    place();
    return rc;
}
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    place();
    int rc = __real_renameat(from_dir, from, to_dir, to);
    place();
    return rc;
}
int __real_unlinkat(int at, const char *name, int flags);
int __wrap_unlinkat(int at, const char *name, int flags);
int __wrap_unlinkat(int at, const char *name, int flags)
{
    place();
    int rc = __real_unlinkat(at, name, flags);
    place();
    return rc;
}

/* -- The map ------------------------------------------------------------------------------------------- */

static size_t name_of(uint32_t k, char to[24]) { return (size_t)snprintf(to, 24, "key %u", k); }

static void put(struct shoal *map, uint32_t k, const char *value)
{
    char name[24];
    done(shoal_put(map, name, name_of(k, name), value, strlen(value)), "put");
}

/* Is the value one of these two?  NULL: absent. */
static bool holds(struct shoal *map, uint32_t k, const char *one, const char *other)
{
    char name[24], value[64];
    size_t n = 0;
    int rc = shoal_get(map, name, name_of(k, name), value, sizeof value, &n);
    require(rc == 0 || rc == SHOAL_MISSING, "get %s: %d %s", name, rc, shoal_error_text());
    if (rc == SHOAL_MISSING)
        return one == NULL || other == NULL;
    return (one != NULL && strlen(one) == n && memcmp(value, one, n) == 0) ||
           (other != NULL && strlen(other) == n && memcmp(value, other, n) == 0);
}

/* -- What the survivor finds ------------------------------------------------------------------------------ */

/* Keys 0, 1, 2, 3 were worked on; the others hold "before".  drafts: who died may have left a segment that he was making. */
static void survive(struct shoal *map, uint32_t keys, bool drafts, uint64_t at)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal *other, *reader;
    struct shoal_iter *iter;
    struct shoal_item item;
    uint64_t n;
    uint32_t met = 0, there = 0;
    int exact, rc;
    int64_t sum;
    done(shoal_open(scene.path, SHOAL_RDONLY, &reader), "open for reading");
    for (uint32_t k = 0; k < keys; k++)
        require(holds(map, k, "before", k < 2 ? "after" : k < 4 ? NULL : "before"), "place %llu: key %u", (unsigned long long)at, k);
    for (uint32_t k = 4; k < keys; k++)
        require(holds(reader, k, "before", "before"), "place %llu: key %u, read-only", (unsigned long long)at, k);
    done(shoal_open(scene.path, 0, &other), "open");
    put(map, 4, "survivor");
    require(holds(other, 4, "survivor", "survivor"), "place %llu: key 4 in the other handle", (unsigned long long)at);
    put(other, 4, "before");
    done(shoal_incr(other, "sum", 3, 1, &sum), "incr");
    done(shoal_delete(map, "sum", 3), "delete");
    for (uint32_t k = 0; k < keys; k++)
        there += !holds(map, k, NULL, NULL);
    done(shoal_iter_open(other, NULL, 0, &iter), "iter");
    while ((rc = shoal_iter_next(iter, &item)) == 0)
        met++;
    require(rc == SHOAL_END && met == there, "place %llu: a walk met %u of %u", (unsigned long long)at, met, there);
    shoal_iter_close(iter);
    done(shoal_reap(map, NULL), "reap");
    require(drafts || files_left() == 0, "place %llu: %u files left of a move that is over", (unsigned long long)at, files_left());
    done(shoal_count(other, SHOAL_EXACT, &n, &exact), "count");
    require(n == there && exact, "place %llu: count %llu of %u", (unsigned long long)at, (unsigned long long)n, there);
    done(shoal_check(map, &report), "check");
    done(rebuild(map, CROWD * 2, NULL), "rebuild");
    for (uint32_t k = 4; k < keys; k++)
        require(holds(other, k, "before", "before"), "place %llu: key %u behind the last rebuild", (unsigned long long)at, k);
    require(files_left() == 0, "place %llu: %u files left", (unsigned long long)at, files_left());
    shoal_close(reader);
    shoal_close(other);
}

/* -- Who dies ----------------------------------------------------------------------------------------------- */

typedef void work_fn(struct shoal *map);

static void work_rebuild(struct shoal *map) { done(rebuild(map, CROWD * 2, NULL), "rebuild"); }

static void work_writes(struct shoal *map)
{
    char name[24];
    put(map, 0, "after");
    done(shoal_replace(map, name, name_of(1, name), "after", 5), "replace");
    done(shoal_delete(map, name, name_of(2, name)), "delete");
    char value[64];
    size_t n;
    done(shoal_take(map, name, name_of(3, name), value, sizeof value, &n), "take");
}

static void work_opens(struct shoal *map)
{
    struct shoal *own;
    (void)map;
    done(shoal_open(scene.path, 0, &own), "open");
    put(own, 0, "after");
}

/* Killed at this place; false: it came to its end. */
static bool dies(struct shoal *map, work_fn *work, uint64_t at)
{
    int status;
    pid_t pid = child_fork();
    if (pid == 0) {
        places_left = at;
        work(map);
        places_left = 0;
        _exit(0);
    }
    require(waitpid(pid, &status, 0) == pid, "waitpid");
    require(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
    deaths += WIFSIGNALED(status);
    return WIFSIGNALED(status);
}

/* moving: the map is in the middle of a move before somebody dies. */
static void scenario(const char *what, work_fn *work, bool moving, uint32_t every)
{
    uint64_t before = deaths;
    uint32_t keys = moving ? CROWD : KEYS;
    bool more = true;
    for (uint64_t at = 1 + random_below(&scene.random, every); more; at += every) {
        struct shoal *map = scene_map("key", keys, "before", moving ? CROWD * 4 : 50);
        if (moving)
            require(rebuild(map, CROWD * 2, stop_at_once) == 1, "a rebuild that ends: %s", shoal_error_text());
        more = dies(map, work, at);
        survive(map, keys, work == work_rebuild, at);
        scene_map_remove(map, true);
    }
    printf("killed: %s%s: %llu places\n", what, scene.store[0] != 0 ? ", above a store" : "",
           (unsigned long long)(deaths - before));
}

int main(int argc, char **argv)
{
    scene_begin("killed", argc, argv);
    scenario("a rebuild", work_rebuild, false, scene.every);
    scenario("the rest of a move", work_rebuild, true, scene.every * 40);
    scenario("writers during a move", work_writes, true, scene.every);
    scenario("opening during a move", work_opens, true, scene.every);
    scene_end();
    printf("killed: %llu places: ok\n", (unsigned long long)deaths);
    return 0;
}
