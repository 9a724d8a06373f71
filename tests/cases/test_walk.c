/* SPDX-License-Identifier: MIT
 *
 * What a walk costs: 1 000 keys in a map of capacity 10 million are found without reading most of it, also
 * behind a past of a million keys and of killed writers.  Counted in groups, not in time.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cases/scene.h"
#include "cases/table_view.h"
#include "map/iter.h"

#define CAPACITY 10000000u
#define FEW 1000u
#define MANY 1000000u
#define HEAP_BYTES (256u << 20)

/* Groups read by a walk that must return n keys. */
static uint64_t walk_cost(struct shoal *map, uint64_t n)
{
    struct shoal_iter *iter = NULL;
    struct shoal_item item;
    uint64_t returned = 0;
    int code;
    must(shoal_iter_open(map, NULL, 0, &iter));
    while ((code = shoal_iter_next(iter, &item)) == 0)
        returned++;
    require(code == SHOAL_END && returned == n, "A: %llu of %llu keys returned, then %d", (unsigned long long)returned,
            (unsigned long long)n, code);
    uint64_t cost = iter->walk.groups_read;
    shoal_iter_close(iter);
    const struct segment *s = segment_of(map);
    printf("%llu of %llu groups read for %llu keys\n", (unsigned long long)cost,
           (unsigned long long)s->geo.groups_all_n, (unsigned long long)n);
    return cost;
}

static void keys_put(struct shoal *map, uint32_t from, uint32_t to)
{
    for (uint32_t k = from; k < to; k++)
        must(shoal_put(map, &k, sizeof k, &k, sizeof k));
}

static void keys_delete(struct shoal *map, uint32_t from, uint32_t to)
{
    for (uint32_t k = from; k < to; k++)
        must(shoal_delete(map, &k, sizeof k));
}

static void few_keys_in_a_large_map(void)
{
    struct shoal *map = scene_map(CAPACITY, HEAP_BYTES);
    require(walk_cost(map, 0) == 0, "an empty map costs nothing");
    keys_put(map, 0, FEW);
    require(walk_cost(map, FEW) <= (uint64_t)FEW * RUN_GROUPS, "more than the keys' own runs");
    keys_put(map, FEW, MANY);
    require(scene_count(map) == MANY, "count");
    keys_delete(map, FEW, MANY);
    require(walk_cost(map, FEW) <= (uint64_t)FEW * RUN_GROUPS, "more than the keys' own runs, behind a past");
    keys_delete(map, 0, FEW);
    require(walk_cost(map, 0) == 0, "an emptied map costs nothing");
    shoal_close(map);
}

struct past {
    struct shoal *map;
    uint64_t seed;
    _Atomic uint32_t going;
};

static void write_until_killed(uint32_t who, void *arg)
{
    struct past *past = arg;
    for (uint32_t i = 0;; i++) {
        uint32_t k = MANY + who * 100000 + i % 1000;
        must(shoal_put(past->map, &k, sizeof k, &k, sizeof k));
        must(shoal_delete(past->map, &k, sizeof k));
        atomic_store(&past->going, 1);
    }
}

/* Each kill may leave a slot or a summary behind, but not more. */
static void behind_killed_writers(void)
{
    struct past *past = board_make(sizeof *past);
    uint32_t kills = scene_rounds(200);
    past->map = scene_map(CAPACITY, HEAP_BYTES);
    past->seed = scene_seed();
    keys_put(past->map, 0, FEW);
    for (uint32_t i = 0; i < kills; i++) {
        atomic_store(&past->going, 0);
        pid_t pid = crew_start(i % 10, write_until_killed, past);
        while (!atomic_load(&past->going))
            scene_spin(&past->seed, 100);
        scene_spin(&past->seed, 20000);
        crew_kill(pid);
    }
    must(shoal_reap(past->map, NULL));
    uint64_t left = scene_count(past->map) - FEW;
    require(left <= kills, "%llu keys of %u killed writers are left", (unsigned long long)left, kills);
    uint64_t cost = walk_cost(past->map, FEW + left);
    require(cost <= (FEW + 2ul * kills) * RUN_GROUPS, "%llu groups for %u keys behind %u kills",
            (unsigned long long)cost, FEW, kills);
    struct table_view v;
    table_look(past->map, &v);
    table_print("behind kills", &v);
    require(v.tentative == 0, "C: %llu slots of the dead", (unsigned long long)v.tentative);
    (void)scene_check(past->map, true);
    shoal_close(past->map);
}

SCENE_MAIN(SCENE(few_keys_in_a_large_map), SCENE(behind_killed_writers))
