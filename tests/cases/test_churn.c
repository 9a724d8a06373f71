/* SPDX-License-Identifier: MIT
 *
 * Churn at a constant number of keys: probe lengths and memory stay flat.  Guarantees A, H; invariants T1, T3.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases/scene.h"
#include "cases/table_view.h"

#define CAPACITY 5000u
#define INSERTS 500u
#define DELETES 250u
#define GROWING_CYCLES 10u
#define FLAT_CYCLES 1000u

/* The keys that are there, oldest first, from `first` on. */
struct churn {
    struct shoal *map;
    uint64_t random, next_key;
    bool at_random;
    uint64_t keys[CAPACITY * 2];
    uint32_t first, n;
};

static void churn_insert(struct churn *c)
{
    uint8_t value[64] = { 0 };
    uint64_t key = c->next_key++;
    memcpy(value, &key, sizeof key);
    must(shoal_add(c->map, &key, sizeof key, value, 16 + key % 5 * 8));
    if (c->first + c->n == CAPACITY * 2) {
        memmove(c->keys, c->keys + c->first, c->n * sizeof *c->keys);
        c->first = 0;
    }
    c->keys[c->first + c->n++] = key;
}

static void churn_delete(struct churn *c)
{
    uint32_t i = c->first + (c->at_random ? random_below(&c->random, c->n) : 0);
    must(shoal_delete(c->map, &c->keys[i], sizeof c->keys[i]));
    c->keys[i] = c->keys[c->first];
    c->first++;
    c->n--;
}

static void churn_cycle(struct churn *c, uint32_t inserts, uint32_t deletes)
{
    for (uint32_t i = 0; i < inserts; i++)
        churn_insert(c);
    for (uint32_t i = 0; i < deletes; i++)
        churn_delete(c);
}

static void churn_holds(const struct churn *c)
{
    for (uint32_t i = c->first; i < c->first + c->n; i++) {
        uint8_t value[64];
        size_t bytes = 0;
        uint64_t key = c->keys[i];
        must(shoal_get(c->map, &key, sizeof key, value, sizeof value, &bytes));
        require(bytes == 16 + key % 5 * 8 && memcmp(value, &key, sizeof key) == 0, "key %llu has another's value",
                (unsigned long long)key);
    }
    require(scene_count(c->map) == c->n, "count %llu of %u", (unsigned long long)scene_count(c->map), c->n);
    (void)scene_check(c->map, true);
}

/* Sums over the cycles of a period. */
struct period {
    uint64_t distance, bounds, spans_used;
    uint32_t farthest;
};

/* Cycles at a constant live size; after each, bounds are exact where one thread works alone. */
static struct period churn_period(struct churn *c, uint32_t cycles)
{
    struct period p = { 0 };
    struct table_view v = { 0 };
    for (uint32_t i = 0; i < cycles; i++) {
        churn_cycle(c, INSERTS, INSERTS);
        table_look(c->map, &v);
        require(v.bound_sum == v.needed_sum, "T1: the bounds sum up to %llu, %llu are needed",
                (unsigned long long)v.bound_sum, (unsigned long long)v.needed_sum);
        require(v.runs_used == v.runs_needed, "T3: %llu summaries say used, %llu runs are",
                (unsigned long long)v.runs_used, (unsigned long long)v.runs_needed);
        struct shoal_stats stats = scene_stats(c->map);
        p.distance += v.distance_sum;
        p.bounds += v.bound_sum;
        p.farthest = v.bound_max > p.farthest ? v.bound_max : p.farthest;
        p.spans_used += stats.spans - stats.spans_free;
    }
    table_print("churned", &v);
    return p;
}

/* A period of a hundred cycles is like an earlier one, give or take chance. */
static void churn_is_flat(const struct period *before, const struct period *after)
{
    printf("distances %llu, then %llu; bounds %llu, then %llu; farthest %u, then %u; spans %llu, then %llu\n",
           (unsigned long long)before->distance, (unsigned long long)after->distance,
           (unsigned long long)before->bounds, (unsigned long long)after->bounds, before->farthest, after->farthest,
           (unsigned long long)before->spans_used, (unsigned long long)after->spans_used);
    require(after->distance <= before->distance * 3 / 2 + 2000 && after->bounds <= before->bounds * 3 / 2 + 2000,
            "probe lengths grow");
    require(after->farthest <= before->farthest * 2 + 4, "the farthest key moves away");
    require(after->spans_used <= before->spans_used + before->spans_used / 10, "H: memory grows");
}

static void churn(bool at_random, uint32_t live)
{
    struct churn *c = calloc(1, sizeof *c);
    require(c != NULL, "memory");
    c->map = scene_map(CAPACITY, 0);
    c->random = scene_seed();
    c->at_random = at_random;
    for (uint32_t i = 0; i < GROWING_CYCLES; i++)
        churn_cycle(c, INSERTS, DELETES);
    churn_holds(c);
    while (c->n < live)
        churn_insert(c);
    (void)churn_period(c, 100); /* from the fresh table's state to the usual one */
    struct period before = churn_period(c, 100);
    for (uint32_t i = 0; i < scene_rounds(FLAT_CYCLES); i++)
        churn_cycle(c, INSERTS, INSERTS);
    struct period after = churn_period(c, 100);
    churn_is_flat(&before, &after);
    churn_holds(c);
    while (c->n > 0)
        churn_delete(c);
    struct table_view empty;
    table_look(c->map, &empty);
    require(empty.bound_sum == 0 && empty.runs_used == 0, "the empty table has bounds %llu, %llu runs in use",
            (unsigned long long)empty.bound_sum, (unsigned long long)empty.runs_used);
    require(scene_count(c->map) == 0, "count");
    shoal_close(c->map);
    free(c);
}

static void churn_of_the_oldest(void) { churn(false, GROWING_CYCLES * (INSERTS - DELETES)); }
static void churn_at_random(void) { churn(true, GROWING_CYCLES * (INSERTS - DELETES)); }
static void churn_at_capacity(void) { churn(true, CAPACITY - INSERTS); }

/* -- Several at once --------------------------------------------------------------------------- */

#define CREW 4u

struct crowd {
    struct shoal *map;
    struct gate gate;
    uint64_t seed;
};

static void crowd_churn(uint32_t who, void *arg)
{
    const struct crowd *crowd = arg;
    struct churn *c = calloc(1, sizeof *c);
    require(c != NULL, "memory");
    c->map = crowd->map;
    c->random = crowd->seed + who;
    c->next_key = (uint64_t)who << 48;
    c->at_random = who % 2 == 0;
    gate_pass(&crowd->gate);
    churn_cycle(c, INSERTS, 0);
    for (uint32_t i = 0; i < scene_rounds(FLAT_CYCLES / CREW); i++)
        churn_cycle(c, INSERTS, INSERTS);
    while (c->n > 0)
        churn_delete(c);
    free(c);
}

/* Lowerings that met may leave a bound too high, but not many; everything is free again. */
static void churn_of_many(void)
{
    struct crowd crowd = { .map = scene_map(CAPACITY, 0), .gate = gate_make(), .seed = scene_seed() };
    struct shoal_stats fresh = scene_stats(crowd.map);
    pid_t pids[CREW];
    for (uint32_t i = 0; i < CREW; i++)
        pids[i] = crew_start(i, crowd_churn, &crowd);
    gate_open(&crowd.gate);
    for (uint32_t i = 0; i < CREW; i++)
        crew_end(pids[i]);
    must(shoal_reap(crowd.map, NULL));
    struct table_view v;
    table_look(crowd.map, &v);
    table_print("emptied by four", &v);
    require(v.live == 0 && v.tentative == 0, "%llu live, %llu tentative", (unsigned long long)v.live,
            (unsigned long long)v.tentative);
    const struct segment *s = segment_of(crowd.map);
    require(v.bound_sum * 50 <= s->geo.groups_n, "T1: bounds of an empty table sum up to %llu in %llu groups",
            (unsigned long long)v.bound_sum, (unsigned long long)s->geo.groups_n);
    require(scene_count(crowd.map) == 0, "count");
    (void)scene_check(crowd.map, true);
    struct shoal_stats stats = scene_stats(crowd.map);
    require(stats.live_bytes == 0 && stats.owned_bytes == 0 && stats.dead_bytes == 0 && stats.retired_bytes == 0,
            "H: %llu live, %llu owned, %llu dead, %llu retired bytes of no key", (unsigned long long)stats.live_bytes,
            (unsigned long long)stats.owned_bytes, (unsigned long long)stats.dead_bytes,
            (unsigned long long)stats.retired_bytes);
    require(stats.heap_bytes == fresh.heap_bytes, "the heap's size");
    shoal_close(crowd.map);
}

SCENE_MAIN(SCENE(churn_of_the_oldest), SCENE(churn_at_random), SCENE(churn_at_capacity), SCENE(churn_of_many))
