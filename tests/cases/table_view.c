/* SPDX-License-Identifier: MIT
 *
 * A look at the table's layout.
 */
#include "cases/table_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/fail.h"
#include "map/registry.h"
#include "table/read.h"

const struct segment *segment_of(struct shoal *map)
{
    return atomic_load_explicit(&map->open, memory_order_acquire)->segment;
}

static void look_slot(const struct segment *s, uint64_t slot_i, uint8_t *needed, struct table_view *v)
{
    const shared_u64 *slot = segment_slot(s, slot_i);
    uint64_t w = load_seq_u64(slot), home = 0;
    if (w == 0)
        return;
    if (!slot_is_live(w)) {
        v->tentative++;
        return;
    }
    require(read_home(s, slot, w, &home), "slot %llu cannot be read", (unsigned long long)slot_i);
    uint64_t group = slot_i / GROUP_SLOTS;
    require(group >= home && group - home < WINDOW_GROUPS, "slot %llu has home %llu", (unsigned long long)slot_i,
            (unsigned long long)home);
    uint32_t distance = (uint32_t)(group - home);
    v->live++;
    v->distance_sum += distance;
    if (distance > v->distance_max)
        v->distance_max = distance;
    if (distance > needed[home])
        needed[home] = (uint8_t)distance;
}

static bool run_in_use(const struct segment *s, uint64_t run)
{
    for (uint64_t g = run * RUN_GROUPS; g < (run + 1) * RUN_GROUPS && g < s->geo.groups_all_n; g++)
        for (uint32_t i = 0; i < GROUP_SLOTS; i++)
            if (load_seq_u64(&s->groups[g].slot[i]) != 0)
                return true;
    return false;
}

void table_look(struct shoal *map, struct table_view *ret_view)
{
    const struct segment *s = segment_of(map);
    uint8_t *needed = calloc(s->geo.groups_all_n, 1);
    require(needed != NULL, "memory");
    struct table_view v = { 0 };
    for (uint64_t i = 0; i < s->slots_n; i++)
        look_slot(s, i, needed, &v);
    for (uint64_t g = 0; g < s->geo.groups_n; g++) {
        uint32_t bound = META_BOUND(load_seq_u64(&s->groups[g].meta));
        require(bound >= needed[g], "T1: home %llu has bound %u and an entry %u groups away", (unsigned long long)g,
                bound, needed[g]);
        v.bound_sum += bound;
        v.needed_sum += needed[g];
        if (bound > v.bound_max)
            v.bound_max = bound;
    }
    for (uint64_t run = 0; run < s->geo.runs_n; run++) {
        bool used = (load_seq_u32(&s->summary[run]) & SUMMARY_USED) != 0, in_use = run_in_use(s, run);
        require(used || !in_use, "T3: run %llu is in use, its summary says unused", (unsigned long long)run);
        v.runs_used += used;
        v.runs_needed += in_use;
    }
    free(needed);
    *ret_view = v;
}

void table_print(const char *what, const struct table_view *v)
{
    printf("%s: %llu keys, mean distance %.3f groups, farthest %u; bounds %.3f (needed %.3f), largest %u; runs %llu "
           "(%llu)\n",
           what, (unsigned long long)v->live, v->live ? (double)v->distance_sum / (double)v->live : 0.0,
           v->distance_max, (double)v->bound_sum, (double)v->needed_sum, v->bound_max, (unsigned long long)v->runs_used,
           (unsigned long long)v->runs_needed);
    (void)fflush(stdout);
}
