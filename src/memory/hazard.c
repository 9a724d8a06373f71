/* SPDX-License-Identifier: MIT */
#include "memory/hazard.h"

#include <stdlib.h>

static int hazard_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool hazard_set_add(struct hazard_set *set, uint64_t hazard)
{
    if (set->n == set->room) {
        size_t room = set->room ? set->room * 2 : 64;
        uint64_t *of = realloc(set->of, room * sizeof *of);
        if (of == NULL)
            return false;
        set->of = of;
        set->room = room;
    }
    set->of[set->n++] = hazard;
    return true;
}

bool hazard_collect(struct attachment *a, struct hazard_set *ret_set)
{
    const struct segment *s = a->segment;
    ret_set->n = 0;
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++) {
        const struct entry *e = &s->entries[i];
        if (load_seq_u32(&e->attached) == ENTRY_UNUSED) /* [attached] */
            continue; /* set before the entry's first hazard, cleared after its last */
        for (uint32_t j = 0; j < HAZARDS_N; j++) {
            uint64_t hazard = load_seq_u64(&e->hazard[j]); /* [hazard] */
            if (hazard == 0 || (e == a->entry && j == HAZARD_GUARD))
                continue;
            if (!hazard_set_add(ret_set, hazard))
                return false;
        }
    }
    if (ret_set->n > 1)
        qsort(ret_set->of, ret_set->n, sizeof *ret_set->of, hazard_order);
    return true;
}

/* The first hazard >= at. */
static size_t hazard_set_find(const struct hazard_set *set, uint64_t at)
{
    size_t low = 0, high = set->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (set->of[mid] < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool hazard_set_has(const struct hazard_set *set, uint64_t block)
{
    size_t i = hazard_set_find(set, block);
    return i < set->n && set->of[i] == block;
}

bool hazard_set_touches(const struct hazard_set *set, uint64_t from, uint64_t to)
{
    size_t i = hazard_set_find(set, from);
    return i < set->n && set->of[i] < to;
}

void hazard_set_free(struct hazard_set *set)
{
    free(set->of);
    set->of = NULL;
    set->n = set->room = 0;
}
