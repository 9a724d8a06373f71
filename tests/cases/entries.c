/* SPDX-License-Identifier: MIT
 *
 * A look at the attachments' entries.
 */
#include "cases/entries.h"

static bool attached(const struct segment *s, uint32_t i) { return load_seq_u32(&s->entries[i].attached) != 0; }

uint32_t entries_attached(struct shoal *map)
{
    const struct segment *s = segment_of(map);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->geo.entries_n; i++)
        n += attached(s, i);
    return n;
}

uint32_t entries_of(struct shoal *map, pid_t pid)
{
    const struct segment *s = segment_of(map);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->geo.entries_n; i++)
        n += attached(s, i) && load_relaxed_u32(&s->entries[i].pid) == (uint32_t)pid;
    return n;
}

uint32_t entries_first_of(struct shoal *map, pid_t pid)
{
    const struct segment *s = segment_of(map);
    for (uint32_t i = 0; i < s->geo.entries_n; i++)
        if (attached(s, i) && load_relaxed_u32(&s->entries[i].pid) == (uint32_t)pid)
            return i;
    return UINT32_MAX;
}

bool entry_is_clean(struct shoal *map, uint32_t index)
{
    const struct entry *e = &segment_of(map)->entries[index];
    uint64_t any = load_seq_u64(&e->claim) | (load_seq_u64(&e->counter) & COUNTER_PENDING_MASK);
    for (uint32_t i = 0; i < OWNED_N; i++)
        any |= load_seq_u64(&e->owned[i]);
    for (uint32_t i = 0; i < RETIRED_N; i++)
        any |= load_seq_u64(&e->retired[i]);
    for (uint32_t i = 0; i < HAZARDS_N; i++)
        any |= load_seq_u64(&e->hazard[i]);
    return any == 0;
}
