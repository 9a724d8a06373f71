/* SPDX-License-Identifier: MIT
 *
 * Guarantee H under change: mixes of sizes that swing back and forth while 80 to 90 % of the heap is live, by
 * one process and by several.  No record is refused while more than the stated overhead is free.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap_view.h"

#define HEAP_BYTES (16u << 20)
#define CREW 3u

/* The sizes of each phase: key and value together.  Blocks of the first three phases lie in single spans. */
static const uint32_t phases[][3] = {
    { 60, 100, 140 }, { 1000, 500, 1000 }, { 4000, 1700, 4000 }, { 2500, 20000, 20000 }
};
#define SINGLE 3u
#define ALL 4u

struct one {
    uint32_t n, bytes, block;
    uint8_t phase;
};

struct swing {
    struct shoal *map;
    struct one *all;
    uint64_t random, live, target;
    uint32_t n, room, next, phases_n, refused;
    char series;
    bool may_be_refused;
};

static struct swing swing_make(struct shoal *map, char series, uint64_t target, uint32_t phases_n, uint64_t seed)
{
    struct swing w = {
        .map = map, .series = series, .target = target, .phases_n = phases_n, .random = seed, .room = HEAP_BYTES / 64
    };
    w.all = calloc(w.room, sizeof *w.all);
    require(w.all != NULL, "memory");
    return w;
}

static void swing_remove(struct swing *w, uint32_t i, bool look)
{
    if (look)
        fill_holds(w->map, w->series, w->all[i].n, w->all[i].bytes);
    fill_delete(w->map, w->series, w->all[i].n);
    w->live -= w->all[i].block;
    w->all[i] = w->all[--w->n];
}

/* One of an older phase, if a few tries find one. */
static void swing_remove_some(struct swing *w, uint8_t phase)
{
    uint32_t i = random_below(&w->random, w->n);
    for (uint32_t tries = 0; tries < 8 && w->all[i].phase == phase; tries++)
        i = random_below(&w->random, w->n);
    swing_remove(w, i, w->n % 16 == 0);
}

/* SHOAL_EFULL is right only if no more than the stated overhead is free. */
static void swing_refused(struct swing *w, uint8_t phase, uint32_t bytes)
{
    w->refused++;
    require(w->may_be_refused, "H: at %llu of %llu live bytes, a record of %u bytes was refused: %s",
            (unsigned long long)w->live, (unsigned long long)w->target, bytes, shoal_error_text());
    heap_is_full(w->map, FILL_KEY_BYTES, bytes - FILL_KEY_BYTES, "swinging");
    for (uint32_t i = 0; i < 8; i++)
        swing_remove_some(w, phase);
}

static void swing_insert(struct swing *w, uint8_t phase)
{
    uint32_t bytes = phases[phase][random_below(&w->random, 3)], n = w->next++;
    uint64_t block = heap_block_bytes(w->map, FILL_KEY_BYTES, bytes - FILL_KEY_BYTES);
    while (w->live + block > w->target)
        swing_remove_some(w, phase);
    while (fill_put(w->map, w->series, n, bytes) != 0)
        swing_refused(w, phase, bytes);
    require(w->n < w->room, "records");
    w->all[w->n++] = (struct one){ n, bytes, (uint32_t)block, phase };
    w->live += block;
}

/* Until this phase has as much as the whole target once over. */
static void swing_phase(struct swing *w, uint8_t phase)
{
    uint64_t put = 0;
    while (put < w->target) {
        swing_insert(w, phase);
        put += w->all[w->n - 1].block;
    }
}

static void swing_end(struct swing *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        fill_holds(w->map, w->series, w->all[i].n, w->all[i].bytes);
    while (w->n > 0)
        swing_remove(w, w->n - 1, false);
    free(w->all);
}

static void swing_rounds(struct swing *w, uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds; round++)
        swing_phase(w, (uint8_t)random_below(&w->random, w->phases_n));
}

static void one_swings(uint64_t percent, uint32_t phases_n, bool may_be_refused)
{
    struct shoal *map = scene_map(HEAP_BYTES / 80, HEAP_BYTES);
    uint64_t seed = scene_seed();
    uint32_t fresh = fill_and_empty(map, 100);
    struct swing w = swing_make(map, 's', HEAP_BYTES / 100 * percent, phases_n, seed);
    w.may_be_refused = may_be_refused;
    for (uint32_t phase = 0; phase < phases_n; phase++) /* there and back in order, then at random */
        swing_phase(&w, (uint8_t)phase);
    for (uint32_t phase = phases_n; phase-- > 0;)
        swing_phase(&w, (uint8_t)phase);
    swing_rounds(&w, scene_rounds(8));
    struct shoal_stats stats = scene_stats(map);
    printf("%llu %% live: %llu writes, %llu records moved, %u refused\n", (unsigned long long)percent,
           (unsigned long long)stats.writes, (unsigned long long)stats.evacuated, w.refused);
    swing_end(&w);
    must(shoal_reap(map, NULL));
    uint32_t n = fill_series(map, 'f', 100, UINT32_MAX);
    require(n == fresh, "H: %u records fit afterwards, %u into the fresh map", n, fresh);
    (void)scene_check(map, true);
    shoal_close(map);
}

static void one_at_80(void) { one_swings(80, ALL, false); }
static void one_at_85(void) { one_swings(85, ALL, false); }
static void one_at_90(void) { one_swings(90, ALL, true); }
static void single_spans_at_93(void) { one_swings(93, SINGLE, false); }

/* -- Several ----------------------------------------------------------------------------------- */

struct several {
    struct shoal *map;
    struct gate gate;
    uint64_t seed, percent;
};

static void swing_together(uint32_t who, void *arg)
{
    struct several *s = arg;
    struct swing w =
        swing_make(s->map, (char)('a' + (char)who), HEAP_BYTES / 100 / CREW * s->percent, ALL, s->seed + who);
    gate_pass(&s->gate);
    for (uint32_t phase = 0; phase < ALL * 2; phase++) /* not in step */
        swing_phase(&w, (uint8_t)((phase + who) % ALL));
    swing_rounds(&w, scene_rounds(6));
    swing_end(&w);
}

static void several_at_80(void)
{
    struct several s = { scene_map(HEAP_BYTES / 80, HEAP_BYTES), gate_make(), scene_seed(), 80 };
    pid_t pids[CREW];
    uint32_t fresh = fill_and_empty(s.map, 100);
    for (uint32_t i = 0; i < CREW; i++)
        pids[i] = crew_start(i, swing_together, &s);
    gate_open(&s.gate);
    for (uint32_t i = 0; i < CREW; i++)
        crew_end(pids[i]);
    must(shoal_reap(s.map, NULL));
    struct shoal_stats stats = scene_stats(s.map);
    printf("%llu writes, %llu records moved\n", (unsigned long long)stats.writes, (unsigned long long)stats.evacuated);
    require(scene_count(s.map) == 0 && stats.live_bytes == 0 && stats.owned_bytes == 0 && stats.dead_bytes == 0,
            "%llu keys, %llu live bytes", (unsigned long long)scene_count(s.map), (unsigned long long)stats.live_bytes);
    uint32_t n = fill_series(s.map, 'f', 100, UINT32_MAX);
    require(n == fresh, "H: %u records fit afterwards, %u into the fresh map", n, fresh);
    (void)scene_check(s.map, true);
    shoal_close(s.map);
}

SCENE_MAIN(SCENE(one_at_80), SCENE(one_at_85), SCENE(one_at_90), SCENE(single_spans_at_93), SCENE(several_at_80))
