/* SPDX-License-Identifier: MIT
 *
 * Killed at each access to shared memory, and before and behind each call that names a file, of a rebuild and of what writers
 * do for a move (guarantee C).
 *
 *     killed [--every N] [--seed N]
 *
 * A survivor, attached since before, must find what was acknowledged, old or new of what was under way, and nothing else; write;
 * walk; count exactly; check; open the map by its name; rebuild it to its end; and leave no file behind.  --every: one of N
 * places, drawn by the seed (1: all of them).
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "shoal/shoal.h"

#define KEYS 40u
#define CROWD 400u /* keys that fill more homes than one step moves */

static uint64_t places_left; /* 0: nobody counts */
static char dir[64], path[128], store_path[128];
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

static void done(int rc, const char *what) { require(rc == 0, "%s: %d %s", what, rc, shoal_error_text()); }

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

static struct shoal *map_make(uint32_t keys, uint32_t capacity)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    options.capacity = capacity;
    options.heap_bytes = 256 << 10;
    options.max_threads = 16;
    options.store = store_path[0] != 0 ? store_path : NULL;
    options.on_full = store_path[0] != 0 ? SHOAL_FULL_SPILL : SHOAL_FULL_FAIL;
    done(shoal_create(path, &options, &map), "create");
    for (uint32_t k = 0; k < keys; k++)
        put(map, k, "before");
    return map;
}

static int stop_at_once(uint64_t at, uint64_t of, void *arg)
{
    (void)at, (void)of, (void)arg;
    return 1;
}

static int rebuild(struct shoal *map, uint32_t capacity, shoal_progress_fn *progress)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = capacity;
    options.heap_bytes = 512 << 10;
    return shoal_rebuild(map, &options, progress, NULL);
}

static uint32_t files_left(void)
{
    uint32_t n = 0;
    DIR *list = opendir(dir);
    require(list != NULL, "opendir");
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        n += strncmp(entry->d_name, ".map", 4) == 0;
    (void)closedir(list);
    return n;
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
    done(shoal_open(path, SHOAL_RDONLY, &reader), "open for reading");
    for (uint32_t k = 0; k < keys; k++)
        require(holds(map, k, "before", k < 2 ? "after" : k < 4 ? NULL : "before"), "place %llu: key %u", (unsigned long long)at, k);
    for (uint32_t k = 4; k < keys; k++)
        require(holds(reader, k, "before", "before"), "place %llu: key %u, read-only", (unsigned long long)at, k);
    done(shoal_open(path, 0, &other), "open");
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
    done(shoal_open(path, 0, &own), "open");
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
static void scenario(const char *what, work_fn *work, bool moving, uint32_t every, uint64_t *random)
{
    uint64_t before = deaths;
    uint32_t keys = moving ? CROWD : KEYS;
    for (uint64_t at = 1 + random_below(random, every);; at += every) {
        struct shoal *map = map_make(keys, moving ? CROWD * 4 : 50);
        if (moving)
            require(rebuild(map, CROWD * 2, stop_at_once) == 1, "a rebuild that ends: %s", shoal_error_text());
        bool died = dies(map, work, at);
        survive(map, keys, work == work_rebuild, at);
        shoal_close(map);
        done(shoal_unlink(path), "unlink");
        require(files_left() == 0, "files left behind unlink");
        if (store_path[0] != 0) {
            char command[160];
            (void)snprintf(command, sizeof command, "rm -rf %s", store_path);
            require(system(command) == 0, "rm");
        }
        if (!died)
            break;
    }
    printf("killed: %s%s: %llu places\n", what, store_path[0] != 0 ? ", above a store" : "", (unsigned long long)(deaths - before));
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL), every = 1;
    bool has_store = false;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--store") == 0)
            has_store = true;
        else if (i + 1 < argc && strcmp(argv[i], "--every") == 0)
            every = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 10);
    printf("killed: seed %llu\n", (unsigned long long)seed);
    (void)snprintf(dir, sizeof dir, "/dev/shm/shoal-killed-XXXXXX");
    require(mkdtemp(dir) != NULL, "mkdtemp");
    (void)snprintf(path, sizeof path, "%s/map", dir);
    if (has_store)
        (void)snprintf(store_path, sizeof store_path, "%s/store", dir);
    scenario("a rebuild", work_rebuild, false, (uint32_t)every, &seed);
    scenario("the rest of a move", work_rebuild, true, (uint32_t)every * 40, &seed);
    scenario("writers during a move", work_writes, true, (uint32_t)every, &seed);
    scenario("opening during a move", work_opens, true, (uint32_t)every, &seed);
    require(rmdir(dir) == 0, "%s is not empty", dir);
    printf("killed: %llu places: ok\n", (unsigned long long)deaths);
    return 0;
}
