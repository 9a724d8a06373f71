/* SPDX-License-Identifier: MIT
 *
 * What replaced and deleted records keep back: at most 1/64 of the heap and what hazards pin, also beside
 * processes that are stopped for ever, idle with long lists, or pin much.  Guarantees B, C, H.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases/entries.h"
#include "heap/heap_view.h"
#include "memory/hazard.h"

#define GARBAGE_SHARE 64u

struct garbage {
    struct shoal *map;
    struct gate ready, go;
    uint64_t seed;
    uint32_t bytes;
    _Atomic uint32_t pause;
    _Atomic uint64_t done;
};

static struct garbage *garbage_make(struct shoal *map, uint32_t bytes, uint64_t seed)
{
    struct garbage *g = board_make(sizeof *g);
    g->map = map;
    g->ready = bell_make();
    g->go = bell_make();
    g->seed = seed;
    g->bytes = bytes;
    return g;
}

/* All who write are idle now.  Blocks that hazards pin come on top. */
static void garbage_is_bounded(struct shoal *map, const char *what)
{
    struct shoal_stats stats = scene_stats(map);
    struct heap_view v = heap_look(map);
    uint64_t garbage = stats.retired_bytes + stats.dead_bytes,
             bound = stats.heap_bytes / GARBAGE_SHARE + v.pinned_blocks;
    require(garbage <= bound, "%s: %llu bytes of garbage, the bound is %llu, of it %llu pinned", what,
            (unsigned long long)garbage, (unsigned long long)bound, (unsigned long long)v.pinned_blocks);
}

static void replace_some(struct garbage *g, uint32_t who, uint64_t *random, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        must(fill_put(g->map, (char)('a' + (char)who % 26), random_below(random, 20),
                      g->bytes + random_below(random, 64)));
        atomic_fetch_add(&g->done, 1);
    }
}

/* -- One stopped for ever ---------------------------------------------------------------------- */

#define CHURNERS 3u

/* Churn, rest when told, until killed. */
static void churn_with_pauses(uint32_t who, void *arg)
{
    struct garbage *g = arg;
    uint64_t random = g->seed + who;
    for (;;) {
        replace_some(g, who, &random, 50);
        if (atomic_load(&g->pause)) {
            bell_ring(&g->ready);
            bell_hear(&g->go);
        }
    }
}

static void rest(struct garbage *g)
{
    atomic_store(&g->pause, 1);
    for (uint32_t i = 0; i < CHURNERS; i++)
        bell_hear(&g->ready);
    atomic_store(&g->pause, 0);
}

static void go_on(struct garbage *g, uint64_t more)
{
    uint64_t enough = atomic_load(&g->done) + more, random = 1;
    for (uint32_t i = 0; i < CHURNERS; i++)
        bell_ring(&g->go);
    while (atomic_load(&g->done) < enough)
        scene_spin(&random, 10000);
}

static void stopped_for_ever(void)
{
    static const uint32_t sizes[] = { 50, 500, 4000, 30000 };
    uint64_t seed = scene_seed();
    for (uint32_t i = 0; i < scene_rounds(8); i++) {
        struct garbage *g = garbage_make(scene_map(1000, 8u << 20), sizes[i % 4], seed + i);
        uint64_t random = g->seed;
        pid_t pids[CHURNERS + 1];
        for (uint32_t k = 0; k <= CHURNERS; k++)
            pids[k] = crew_start(k, churn_with_pauses, g);
        while (atomic_load(&g->done) < 1000)
            scene_spin(&random, 10000);
        scene_spin(&random, 100000);
        crew_stop(pids[CHURNERS]);
        for (uint32_t k = 0; k < 10; k++) {
            rest(g);
            garbage_is_bounded(g->map, "beside a stopped process");
            go_on(g, 2000);
        }
        for (uint32_t k = 0; k <= CHURNERS; k++)
            crew_kill(pids[k]);
        must(shoal_reap(g->map, NULL));
        struct shoal_stats stats = scene_stats(g->map);
        require(stats.retired_bytes + stats.dead_bytes + stats.owned_bytes == 0,
                "C: %llu + %llu + %llu bytes of the dead", (unsigned long long)stats.retired_bytes,
                (unsigned long long)stats.dead_bytes, (unsigned long long)stats.owned_bytes);
        (void)scene_check(g->map, true);
        shoal_close(g->map);
    }
}

/* -- Many who come one after the other, work and rest ------------------------------------------ */

static void replace_and_rest(uint32_t who, void *arg)
{
    struct garbage *g = arg;
    uint64_t random = g->seed + who;
    replace_some(g, who, &random, 1000);
    for (uint32_t i = 0; i < 24; i++) /* up to where the list is about to be looked at */
        replace_some(g, who, &random, 1);
    bell_ring(&g->ready);
    bell_hear(&g->go);
}

/* The first ones saw few attachments when they decided how much to keep. */
static void idle_one_by_one(void)
{
    struct garbage *g = garbage_make(scene_map(1000, 16u << 20), 16000, scene_seed());
    pid_t pids[24];
    for (uint32_t i = 0; i < 24; i++) {
        pids[i] = crew_start(i, replace_and_rest, g);
        bell_hear(&g->ready);
    }
    garbage_is_bounded(g->map, "24 idle processes");
    require(scene_stats(g->map).retired_bytes > 0, "the idle have retired nothing: this test sees nothing");
    must(shoal_reap(g->map, NULL));
    require(scene_stats(g->map).retired_bytes == 0, "H: a sweep leaves %llu bytes that idle processes have retired",
            (unsigned long long)scene_stats(g->map).retired_bytes);
    for (uint32_t i = 0; i < 24; i++)
        bell_ring(&g->go);
    for (uint32_t i = 0; i < 24; i++)
        crew_end(pids[i]);
    shoal_close(g->map);
}

/* -- Many in one run ---------------------------------------------------------------------------------- */

#define RUN_RECORDS 520u
#define DELETERS 8u
#define MORE_THAN_ONE_GO 140u /* a sweep frees 128 at once */

static void delete_share(uint32_t who, void *arg)
{
    struct garbage *g = arg;
    for (uint32_t i = 0; i < RETIRED_N - 2; i++)
        fill_delete(g->map, 'r', who * RETIRED_N + i);
    bell_ring(&g->ready);
    bell_hear(&g->go);
}

/* Eight who are idle have retired up to 62 records each of one run, half of which they have freed since: a sweep frees
 * the others, in more than one go. */
static void many_of_one_run(void)
{
    struct garbage *g = garbage_make(scene_map(1000, 64u << 20), 40, scene_seed());
    pid_t pids[DELETERS];
    require(fill_series(g->map, 'r', g->bytes, RUN_RECORDS) == RUN_RECORDS, "the heap is full");
    const uint64_t block = scene_stats(g->map).live_bytes / RUN_RECORDS;
    for (uint32_t i = 0; i < DELETERS; i++)
        pids[i] = crew_start(i, delete_share, g);
    for (uint32_t i = 0; i < DELETERS; i++)
        bell_hear(&g->ready);
    const uint64_t retired = scene_stats(g->map).retired_bytes;
    require(retired >= MORE_THAN_ONE_GO * block, "only %llu bytes are retired: this test sees nothing",
            (unsigned long long)retired);
    must(shoal_reap(g->map, NULL));
    require(scene_stats(g->map).retired_bytes == 0, "H: a sweep leaves %llu bytes",
            (unsigned long long)scene_stats(g->map).retired_bytes);
    for (uint32_t i = 0; i < DELETERS; i++)
        bell_ring(&g->go);
    for (uint32_t i = 0; i < DELETERS; i++)
        crew_end(pids[i]);
    require(scene_count(g->map) == RUN_RECORDS - DELETERS * (RETIRED_N - 2), "count");
    (void)scene_check(g->map, true);
    shoal_close(g->map);
}

/* -- Much that is pinned ----------------------------------------------------------------------- */

#define PINNERS 4u
#define PINNED 24u

static void pin(uint32_t who, void *arg)
{
    struct garbage *g = arg;
    struct shoal_view views[PINNED];
    char key[FILL_KEY_BYTES + 1];
    for (uint32_t i = 0; i < PINNED; i++) {
        fill_key(key, (char)('P' + (char)who), i);
        must(shoal_view(g->map, key, FILL_KEY_BYTES, &views[i]));
    }
    bell_ring(&g->ready);
    bell_hear(&g->go);
    for (uint32_t i = 0; i < PINNED; i++)
        shoal_view_end(&views[i]);
}

/* Everything that is pinned was deleted by one attachment, whose list is full of it.  It still can work. */
static void more_pinned_than_a_list_takes(void)
{
    struct garbage *g = garbage_make(scene_map(20000, 1u << 20), 100, scene_seed());
    pid_t pids[PINNERS];
    uint64_t random = g->seed;
    for (uint32_t who = 0; who < PINNERS; who++)
        for (uint32_t i = 0; i < PINNED; i++)
            must(fill_put(g->map, (char)('P' + (char)who), i, 100));
    for (uint32_t who = 0; who < PINNERS; who++)
        pids[who] = crew_start(who, pin, g);
    for (uint32_t who = 0; who < PINNERS; who++)
        bell_hear(&g->ready);
    for (uint32_t who = 0; who < PINNERS; who++)
        for (uint32_t i = 0; i < PINNED; i++)
            fill_delete(g->map, (char)('P' + (char)who), i);
    garbage_is_bounded(g->map, "much is pinned");
    for (uint32_t i = 0; i < 40; i++) {
        replace_some(g, 0, &random, 1000);
        if (i % 10 == 9)
            garbage_is_bounded(g->map, "much is pinned, by others");
    }
    uint32_t n = fill_series(g->map, 's', 100, UINT32_MAX);
    heap_is_full(g->map, FILL_KEY_BYTES, 100 - FILL_KEY_BYTES, "much is pinned");
    for (uint32_t i = 0; i < n; i++)
        fill_delete(g->map, 's', i);
    for (uint32_t who = 0; who < PINNERS; who++)
        bell_ring(&g->go);
    for (uint32_t who = 0; who < PINNERS; who++)
        crew_end(pids[who]);
    must(shoal_reap(g->map, NULL));
    struct shoal_stats stats = scene_stats(g->map);
    require(stats.retired_bytes + stats.dead_bytes == 0, "%llu + %llu bytes stay when nothing is pinned",
            (unsigned long long)stats.retired_bytes, (unsigned long long)stats.dead_bytes);
    (void)scene_check(g->map, true);
    shoal_close(g->map);
}

/* Pins come and go by calls that change nothing.  Once they have gone, what was refused fits. */
static void refused_until_unpinned(void)
{
    for (uint32_t round = 0; round < scene_rounds(20); round++) {
        struct garbage *g = garbage_make(scene_map(20000, 256u << 10), 100, 0);
        for (uint32_t i = 0; i < PINNED; i++)
            must(fill_put(g->map, 'P', i, 100));
        pid_t pid = crew_start(0, pin, g);
        bell_hear(&g->ready);
        for (uint32_t i = 0; i < PINNED; i++)
            fill_delete(g->map, 'P', i);
        uint32_t n = fill_series(g->map, 's', 100, UINT32_MAX);
        require(fill_put(g->map, 's', n, 100) == SHOAL_EFULL, "full, and then not");
        if (round % 2 == 0) {
            bell_ring(&g->go);
            crew_end(pid);
        } else {
            crew_kill(pid);
        }
        uint32_t more = 0;
        while (fill_put(g->map, 's', n + more, 100) == 0)
            more++;
        require(more >= PINNED, "H: %u records fit where %u were pinned", more, PINNED);
        shoal_close(g->map);
    }
}

static int look_at_length(struct shoal_change *change, void *arg)
{
    struct garbage *g = arg;
    require(change->old != NULL, "the big record is there");
    bell_ring(&g->ready);
    bell_hear(&g->go);
    return SHOAL_KEEP;
}

static void update_slowly(uint32_t who, void *arg)
{
    struct garbage *g = arg;
    (void)who;
    must(shoal_update(g->map, "big", 3, look_at_length, g));
    bell_ring(&g->ready);
    bell_hear(&g->go);
}

/* The pin is that of an update which changes nothing in the end, so that no counter tells of its end. */
static void refused_until_an_update_lets_go(void)
{
    static uint8_t value[300 << 10];
    struct garbage *g = garbage_make(scene_map(100, 512u << 10), 100, 0);
    must(shoal_put(g->map, "big", 3, value, sizeof value));
    pid_t pid = crew_start(0, update_slowly, g);
    bell_hear(&g->ready);
    must(shoal_delete(g->map, "big", 3));
    must_be(shoal_put(g->map, "big", 3, value, sizeof value), SHOAL_EFULL);
    must_be(shoal_put(g->map, "big", 3, value, sizeof value), SHOAL_EFULL);
    bell_ring(&g->go);
    bell_hear(&g->ready);
    must(shoal_put(g->map, "big", 3, value, sizeof value));
    bell_ring(&g->go);
    crew_end(pid);
    shoal_close(g->map);
}

SCENE_MAIN(SCENE(stopped_for_ever), SCENE(idle_one_by_one), SCENE(many_of_one_run),
           SCENE(more_pinned_than_a_list_takes), SCENE(refused_until_unpinned),
           SCENE(refused_until_an_update_lets_go))
