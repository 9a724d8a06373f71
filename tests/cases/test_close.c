/* SPDX-License-Identifier: MIT
 *
 * shoal_close in one thread while others call: their calls finish, or answer SHOAL_EINVAL; nothing crashes,
 * nothing is left open.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cases/scene.h"

#define THREADS 6u

struct shared {
    struct shoal *_Atomic map; /* closed and opened again all the time */
    struct shoal *other;       /* stays open */
    pthread_barrier_t start;
    _Atomic uint32_t end;
    _Atomic uint64_t done, refused;
    uint64_t seed;
};

static void fine(struct shared *shared, int code)
{
    require(code >= 0 || code == SHOAL_EINVAL, "%d %s", code, shoal_error_text());
    atomic_fetch_add(code < 0 ? &shared->refused : &shared->done, 1);
}

static int store_it(struct shoal_change *change, void *arg)
{
    (void)arg;
    change->value = "new value";
    change->value_bytes = 9;
    return SHOAL_STORE;
}

static void call_view(struct shared *shared, struct shoal *map, struct shoal_view *kept)
{
    struct shoal_view view = { 0 };
    int code = shoal_view(map, "key", 3, &view);
    fine(shared, code);
    if (code != 0)
        return;
    if (kept->value != NULL)
        require(kept->bytes == 9 && memcmp(kept->value, "new value", 9) == 0, "a kept view has changed");
    shoal_view_end(kept); /* perhaps of a map that is closed by now */
    *kept = view;
}

static void call_walk(struct shared *shared, struct shoal *map)
{
    struct shoal_iter *iter = NULL;
    struct shoal_item item;
    int code = shoal_iter_open(map, NULL, 0, &iter);
    fine(shared, code);
    if (code != 0)
        return;
    while ((code = shoal_iter_next(iter, &item)) == 0) {
    }
    fine(shared, code);
    shoal_iter_close(iter);
}

static void call_any(struct shared *shared, struct shoal *map, uint64_t *random, struct shoal_view *kept)
{
    char buf[64];
    uint64_t n;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    switch (random_below(random, 12)) {
    case 0:
        fine(shared, shoal_get(map, "key", 3, buf, sizeof buf, NULL));
        break;
    case 1:
        fine(shared, shoal_put(map, "key", 3, "new value", 9));
        break;
    case 2:
        fine(shared, shoal_incr(map, "sum", 3, 1, NULL));
        break;
    case 3:
        fine(shared, shoal_update(map, "key", 3, store_it, NULL));
        break;
    case 4:
        fine(shared, shoal_wait(map, "key", 3, 1, 1, NULL));
        break;
    case 5:
        fine(shared, shoal_wait(map, "never", 5, 0, 1, NULL));
        break;
    case 6:
        call_walk(shared, map);
        break;
    case 7:
        fine(shared, shoal_count(map, SHOAL_EXACT, &n, NULL));
        break;
    case 8:
        fine(shared, shoal_stats(map, &stats));
        break;
    case 9:
        fine(shared, shoal_reap(map, NULL));
        break;
    case 10:
        must(shoal_put(shared->other, "key", 3, "new value", 9));
        break;
    default:
        call_view(shared, map, kept);
        break;
    }
}

static void call_often(uint32_t who, void *arg)
{
    struct shared *shared = arg;
    uint64_t random = shared->seed + who;
    struct shoal_view kept = { 0 };
    (void)pthread_barrier_wait(&shared->start);
    while (!atomic_load(&shared->end))
        call_any(shared, atomic_load(&shared->map), &random, &kept);
    shoal_view_end(&kept);
}

static void *closer(void *arg)
{
    struct shared *shared = arg;
    uint64_t random = shared->seed;
    (void)pthread_barrier_wait(&shared->start);
    for (uint32_t i = 0; i < scene_rounds(300); i++) {
        shoal_close(atomic_load(&shared->map));
        scene_spin(&random, 20000);
        atomic_store(&shared->map, scene_open(scene_name(0)));
        uint64_t enough = atomic_load(&shared->done) + random_below(&random, 300);
        while (atomic_load(&shared->done) < enough)
            scene_spin(&random, 1000);
    }
    atomic_store(&shared->end, 1);
    return NULL;
}

static uint32_t open_files(void)
{
    uint32_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    require(dir != NULL, "opendir");
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* Of segments. */
static uint32_t mappings(void)
{
    char line[512];
    uint32_t n = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    require(file != NULL, "maps");
    while (fgets(line, sizeof line, file) != NULL)
        n += strstr(line, "/dev/shm/") != NULL; /* a map that was made here has no name there */
    (void)fclose(file);
    return n;
}

static void close_while_others_call(void)
{
    static struct shared shared;
    struct shoal_options options = scene_options(64, 0, 0);
    pthread_t thread;
    atomic_store(&shared.map, scene_create(scene_name(0), &options));
    shared.other = scene_map(64, 0);
    shared.seed = scene_seed();
    must(shoal_put(shared.map, "key", 3, "new value", 9));
    uint32_t files = open_files(), maps = mappings();
    require(pthread_barrier_init(&shared.start, NULL, THREADS + 1) == 0, "barrier");
    require(pthread_create(&thread, NULL, closer, &shared) == 0, "thread");
    crew_threads(THREADS, call_often, &shared);
    (void)pthread_join(thread, NULL);
    printf("%llu calls answered, %llu refused\n", (unsigned long long)shared.done, (unsigned long long)shared.refused);
    struct shoal *map = scene_open(scene_name(0));
    shoal_close(atomic_load(&shared.map));
    require(open_files() == files && mappings() == maps, "%u files open instead of %u, %u mappings instead of %u",
            open_files(), files, mappings(), maps);
    must(shoal_reap(map, NULL));
    require(scene_stats(map).attached == 1, "%u attached", scene_stats(map).attached);
    (void)scene_check(map, true);
    shoal_close(map);
    shoal_close(shared.other);
    require(mappings() == 0, "%u mappings are left", mappings());
}

/* Closing twice, closing NULL, calls on a closed handle; views and iterators outlive it. */
static void closed(void)
{
    struct shoal_options options = scene_options(64, 0, 0);
    struct shoal *map = scene_create(scene_name(0), &options);
    struct shoal_view view;
    struct shoal_iter *iter = NULL;
    struct shoal_item item;
    must(shoal_put(map, "key", 3, "new value", 9));
    must(shoal_view(map, "key", 3, &view));
    must(shoal_iter_open(map, NULL, 0, &iter));
    shoal_close(map);
    shoal_close(map);
    shoal_close(NULL);
    must_be(shoal_put(map, "key", 3, "x", 1), SHOAL_EINVAL);
    must_be(shoal_iter_next(iter, &item), SHOAL_EINVAL);
    require(view.bytes == 9 && memcmp(view.value, "new value", 9) == 0, "a view does not outlive close");
    struct shoal *again = scene_open(scene_name(0));
    for (uint32_t i = 0; i < 1000; i++) /* of the same size, so that its block would be used again */
        must(shoal_put(again, "key", 3, "churn it!", 9));
    require(memcmp(view.value, "new value", 9) == 0, "C: a pinned value has changed after close");
    shoal_view_end(&view);
    shoal_view_end(&view);
    shoal_iter_close(iter);
    require(mappings() == 1 && scene_stats(again).attached == 1, "%u mappings, %u attached", mappings(),
            scene_stats(again).attached);
    shoal_close(again);
}

SCENE_MAIN(SCENE(close_while_others_call), SCENE(closed))
