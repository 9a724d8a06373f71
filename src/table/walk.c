/* SPDX-License-Identifier: MIT */
#include "table/walk.h"

#include "base/error.h"

#define RUN_SLOTS ((uint64_t)RUN_GROUPS * GROUP_SLOTS)

int walk_slot(const struct segment *s, struct attachment *a, uint64_t slot_i, struct read_sink *sink)
{
    const shared_u64 *slot = segment_slot(s, slot_i);
    for (uint32_t rounds = 0;; rounds++) {
        uint64_t word = load_acquire_u64(slot); /* [slot-publish] */
        if (!slot_is_in_effect(word))
            return SHOAL_MISSING;
        enum read_outcome outcome;
        if (a != NULL && rounds >= READ_ROUNDS_HAZARD)
            outcome = read_pinned(s, a, slot, word, NULL, sink);
        else
            outcome = read_slot(s, slot, word, false, NULL, sink);
        sink->deleted = slot_state(word) == SLOT_TOMB;
        if (outcome == READ_MATCH)
            return sink->value_bytes <= sink->buf_bytes ? 0 : SHOAL_SHORT;
        if (outcome == READ_CORRUPT)
            return read_corrupt(slot_i, word, "leads to no sound record");
        if (rounds > READ_ROUNDS && a == NULL)
            return error_set(SHOAL_CHANGED, "walk: lost %u races with writers at one slot", READ_ROUNDS);
    }
}

/* At the start of a run: does it hold anything? */
static bool run_is_unused(const struct segment *s, uint64_t slot_i)
{
    return (load_acquire_u32(&s->summary[slot_i / RUN_SLOTS]) & SUMMARY_USED) == 0; /* [meta] */
}

#define EXPECT_GROUPS 4u /* records are asked for so far ahead: some dozen lines */

/* A walk knows where it will be. */
static void expect_ahead(const struct segment *s, uint64_t group)
{
    if (group + 2 * EXPECT_GROUPS < s->geo.groups_all_n)
        segment_expect_line(&s->groups[group + 2 * EXPECT_GROUPS], false);
    if (group + EXPECT_GROUPS >= s->geo.groups_all_n)
        return;
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        uint64_t w = load_relaxed_u64(&s->groups[group + EXPECT_GROUPS].slot[i]); /* relaxed: a hint */
        if (slot_is_in_effect(w))
            segment_expect_block(s, slot_block(w), false);
    }
}

int walk_next(struct walk *w, const struct segment *s, struct attachment *a, struct read_sink *sink)
{
    while (w->slot_i < s->slots_n) {
        if (w->slot_i % RUN_SLOTS == 0 && run_is_unused(s, w->slot_i)) {
            w->slot_i += RUN_SLOTS;
            continue;
        }
        if (w->slot_i % GROUP_SLOTS == 0) {
            w->groups_read++;
            expect_ahead(s, w->slot_i / GROUP_SLOTS);
        }
        int rc = walk_slot(s, a, w->slot_i, sink);
        if (rc == SHOAL_SHORT || rc == SHOAL_CHANGED)
            return rc;
        w->slot_i++;
        if (rc != SHOAL_MISSING)
            return rc;
    }
    return SHOAL_END;
}

static int key_old(const struct segment *s, uint64_t slot_i, struct read_sink *sink)
{
    const shared_u64 *slot = segment_slot(s, slot_i);
    for (uint32_t rounds = 0; rounds <= READ_ROUNDS; rounds++) {
        uint64_t word = load_acquire_u64(slot); /* [slot-publish] */
        if (!slot_is_in_effect(word) && !slot_is_sealed(word) && !slot_is_moved(word))
            return SHOAL_MISSING;
        enum read_outcome outcome = read_slot(s, slot, word, false, NULL, sink);
        if (outcome == READ_MATCH)
            return 0;
        if (outcome == READ_CORRUPT)
            return read_corrupt(slot_i, word, "leads to no sound record");
    }
    return error_set(SHOAL_CHANGED, "walk: lost %u races with writers at one slot", READ_ROUNDS);
}

int walk_next_key_old(struct walk *w, const struct segment *s, struct read_sink *sink)
{
    for (; w->slot_i < s->slots_n; w->slot_i++) {
        if (w->slot_i % RUN_SLOTS == 0 && run_is_unused(s, w->slot_i)) {
            w->slot_i += RUN_SLOTS - 1;
            continue;
        }
        int rc = key_old(s, w->slot_i, sink);
        if (rc == SHOAL_MISSING)
            continue;
        w->slot_i += rc != SHOAL_CHANGED;
        return rc;
    }
    return SHOAL_END;
}
