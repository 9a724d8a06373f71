/* SPDX-License-Identifier: MIT
 *
 * Guarantee H: a record fits while its size and the stated overhead are free, whichever class had the
 * memory before, and whoever freed it: idle, stopped or dead.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap_view.h"

#define SMALL 100u
#define LARGE 1000u

static struct shoal *map_of(uint64_t heap_bytes) { return scene_map(heap_bytes / 100, heap_bytes); }

/* By a walk: beside a stopped process counters may lag. */
static uint64_t keys_n(struct shoal *map)
{
    struct shoal_iter *iter = NULL;
    struct shoal_item item;
    uint64_t n = 0;
    must(shoal_iter_open(map, NULL, 0, &iter));
    while (shoal_iter_next(iter, &item) == 0)
        n++;
    shoal_iter_close(iter);
    return n;
}

/* Small records to the brim, all but one per run deleted, then large ones to the brim. */
static void thin_out_and_refill(struct shoal *map, uint64_t *random, const char *what)
{
    uint64_t others = keys_n(map);
    uint32_t small_n = fill_series(map, 's', SMALL, UINT32_MAX);
    heap_is_full(map, FILL_KEY_BYTES, SMALL - FILL_KEY_BYTES, what);
    bool *kept = calloc(small_n, sizeof *kept);
    uint32_t left = fill_thin_out(map, 's', small_n, kept, random);
    uint32_t large_n = fill_series(map, 'l', LARGE, UINT32_MAX);
    printf("%s: %u records of %u bytes; %u left; then %u of %u bytes\n", what, small_n, SMALL, left, large_n, LARGE);
    heap_is_full(map, FILL_KEY_BYTES, LARGE - FILL_KEY_BYTES, what);
    for (uint32_t i = 0; i < small_n; i++) {
        if (kept[i])
            fill_holds(map, 's', i, SMALL);
    }
    for (uint32_t i = 0; i < large_n; i++)
        fill_holds(map, 'l', i, LARGE);
    require(keys_n(map) == others + left + large_n, "%llu keys, not %llu + %u + %u", (unsigned long long)keys_n(map),
            (unsigned long long)others, left, large_n);
    for (uint32_t i = 0; i < large_n; i++)
        fill_delete(map, 'l', i);
    for (uint32_t i = 0; i < small_n; i++)
        if (kept[i])
            fill_delete(map, 's', i);
    free(kept);
}

static void thinned_out(void)
{
    static const uint64_t sizes[] = { 64u << 10, 256u << 10, 1u << 20, 4u << 20, 16u << 20 };
    uint64_t random = scene_seed();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char what[64];
        struct shoal *map = map_of(sizes[i]);
        (void)snprintf(what, sizeof what, "heap of %llu KiB", (unsigned long long)sizes[i] >> 10);
        for (uint32_t round = 0; round < 2; round++)
            thin_out_and_refill(map, &random, what);
        (void)scene_check(map, true);
        shoal_close(map);
    }
}

/* -- Somebody idle, stopped or dead ------------------------------------------------------------ */

struct other {
    struct shoal *map;
    struct gate ready, go;
    uint64_t seed;
    uint32_t key_base;
    _Atomic uint64_t done;
};

static struct other *other_make(struct shoal *map, uint64_t seed)
{
    struct other *other = board_make(sizeof *other);
    other->map = map;
    other->ready = bell_make();
    other->go = bell_make();
    other->seed = seed;
    return other;
}

static void delete_if_there(struct shoal *map, char series, uint32_t n)
{
    char key[FILL_KEY_BYTES + 1];
    fill_key(key, series, n);
    int code = shoal_delete(map, key, FILL_KEY_BYTES);
    require(code == 0 || code == SHOAL_MISSING, "delete: %d", code);
}

/* Leaves as much as it can in its own lists and caches: a full retired list of the class that others want,
 * caches of a hundred classes. */
static void hoard(uint32_t who, void *arg)
{
    struct other *o = arg;
    char series = (char)('h' + (char)who);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t bytes = 32; bytes < 1600; bytes += 16)
            (void)fill_put(o->map, series, bytes, bytes);
        for (uint32_t bytes = 32; bytes < 1600; bytes += 16)
            delete_if_there(o->map, series, bytes);
    }
    for (uint32_t i = 0; i < 31 && fill_put(o->map, series, i, SMALL) == 0; i++)
        fill_delete(o->map, series, i);
    bell_ring(&o->ready);
    bell_hear(&o->go);
    must(fill_put(o->map, series, 0, SMALL)); /* and it can go on, as the map is empty then */
    fill_delete(o->map, series, 0);
}

static void beside_the_idle(void)
{
    uint64_t random = scene_seed();
    struct shoal *map = map_of(4u << 20);
    uint32_t fresh = fill_and_empty(map, SMALL);
    for (uint32_t round = 0; round < scene_rounds(2); round++) {
        struct other *other = other_make(map, random);
        pid_t pids[3];
        for (uint32_t i = 0; i < 3; i++)
            pids[i] = crew_start(i, hoard, other);
        for (uint32_t i = 0; i < 3; i++)
            bell_hear(&other->ready);
        thin_out_and_refill(map, &random, "beside three idle processes");
        uint32_t n = fill_and_empty(map, SMALL);
        require(n == fresh, "H: %u records fit beside the idle, %u into the fresh map", n, fresh);
        for (uint32_t i = 0; i < 3; i++)
            bell_ring(&other->go);
        for (uint32_t i = 0; i < 3; i++)
            crew_end(pids[i]);
    }
    must(shoal_reap(map, NULL));
    (void)scene_check(map, true);
    shoal_close(map);
}

/* Puts, replaces and deletes some keys of its own in many sizes, so that it is stopped in all sorts of places. */
static void churn(uint32_t who, void *arg)
{
    struct other *o = arg;
    uint64_t random = o->seed + who;
    for (;;) {
        uint32_t n = random_below(&random, 30),
                 bytes = 18 + random_below(&random, random_below(&random, 8) ? 300 : 20000);
        if (random_below(&random, 3) != 0)
            (void)fill_put(o->map, 'c', n, bytes);
        else
            delete_if_there(o->map, 'c', n);
        atomic_fetch_add(&o->done, 1);
    }
}

static void await(struct other *o, uint64_t more, uint64_t *random)
{
    uint64_t enough = atomic_load(&o->done) + more;
    while (atomic_load(&o->done) < enough)
        scene_spin(random, 500);
    scene_spin(random, 30000);
}

static void churned_delete(struct shoal *map)
{
    for (uint32_t n = 0; n < 30; n++)
        delete_if_there(map, 'c', n);
}

/* One is stopped at an arbitrary point; H holds beside what it pins and owns; then it goes on. */
static void beside_the_stopped(void)
{
    uint64_t random = scene_seed();
    struct shoal *map = map_of(1u << 20);
    struct other *other = other_make(map, random);
    pid_t pid = crew_start(0, churn, other);
    for (uint32_t round = 0; round < scene_rounds(25); round++) {
        await(other, 20, &random);
        crew_stop(pid);
        thin_out_and_refill(map, &random, "beside a stopped process");
        crew_continue(pid);
        await(other, 20, &random);
    }
    crew_kill(pid);
    must(shoal_reap(map, NULL));
    churned_delete(map);
    require(scene_count(map) == 0, "count");
    (void)scene_check(map, true);
    shoal_close(map);
}

/* And killed there: what it held comes back by the need of others alone. */
static void beside_the_dead(void)
{
    uint64_t random = scene_seed();
    struct shoal *map = map_of(1u << 20);
    uint32_t fresh = fill_and_empty(map, SMALL);
    for (uint32_t round = 0; round < scene_rounds(25); round++) {
        struct other *other = other_make(map, random);
        pid_t pids[3];
        for (uint32_t i = 0; i < 3; i++)
            pids[i] = crew_start(i, churn, other);
        await(other, 60, &random);
        for (uint32_t i = 0; i < 3; i++)
            crew_kill(pids[i]);
        thin_out_and_refill(map, &random, "beside the dead");
        churned_delete(map);
        uint32_t n = fill_and_empty(map, SMALL);
        require(n == fresh, "H: %u records fit after kills, %u into the fresh map", n, fresh);
    }
    must(shoal_reap(map, NULL));
    require(scene_count(map) == 0, "count");
    (void)scene_check(map, true);
    shoal_close(map);
}

SCENE_MAIN(SCENE(thinned_out), SCENE(beside_the_idle), SCENE(beside_the_stopped), SCENE(beside_the_dead))
