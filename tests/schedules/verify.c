/* SPDX-License-Identifier: MIT */
#include "schedules/verify.h"

#include "memory/count.h"
#include "schedules/explore.h"
#include "table/record.h"

/* -- Slots: T1, T2, T3 of segment.h ------------------------------------------------------------------ */

static bool same_key(const struct record *a, const struct record *b)
{
    uint8_t key_a[64], key_b[64];
    if (a->key_bytes != b->key_bytes || a->key_bytes > sizeof key_a)
        return false;
    copy_out(a->words + a->key_at, key_a, a->key_bytes);
    copy_out(b->words + b->key_at, key_b, b->key_bytes);
    return memcmp(key_a, key_b, a->key_bytes) == 0;
}

static bool slot_open(const struct segment *s, uint64_t slot_i, struct record *ret_record, uint64_t *ret_h)
{
    struct block_place place;
    uint64_t w = load_relaxed_u64(segment_slot(s, slot_i)); /* relaxed, here and below: nobody else runs */
    if (!slot_is_live(w) || !segment_locate(s, slot_block(w), &place))
        return false;
    *ret_h = load_relaxed_u64(segment_block(s, place.block));
    return slot_tag(w) == (h_generation(*ret_h) & TAG_MASK) && record_decode(s, &place, ret_record);
}

static void verify_live(const struct segment *s, uint64_t slot_i)
{
    struct record record, other;
    uint64_t h, other_h, group = slot_i / GROUP_SLOTS;
    if (!slot_open(s, slot_i, &record, &h)) {
        explore_fail("slot %u: state %u, leads to no record, behind the reaping", (unsigned)slot_i,
                     (unsigned)slot_state(load_relaxed_u64(segment_slot(s, slot_i))));
        return;
    }
    uint8_t key[64];
    copy_out(record.words + record.key_at, key, record.key_bytes <= sizeof key ? record.key_bytes : sizeof key);
    struct probe p = probe_make(s, key, record.key_bytes);
    if (h_state(h) != BLOCK_PUB) /* H_PENDING may be left: one look too many for somebody */
        explore_fail("slot %u: its record is in state %u", (unsigned)slot_i, (unsigned)h_state(h));
    if (record.slot_i != slot_i)
        explore_fail("slot %u: its record names slot %u", (unsigned)slot_i, record.slot_i);
    if (group < p.home || group - p.home > META_BOUND(load_relaxed_u64(&s->groups[p.home].meta)))
        explore_fail("T1: slot %u is beyond the bound of home %u", (unsigned)slot_i, (unsigned)p.home);
    if ((load_relaxed_u32(&s->summary[group / RUN_GROUPS]) & SUMMARY_USED) == 0)
        explore_fail("T3: slot %u lies in a run whose summary says unused", (unsigned)slot_i);
    for (uint64_t i = 0; i < slot_i; i++)
        if (slot_open(s, i, &other, &other_h) && same_key(&record, &other))
            explore_fail("T2: a key is in slot %u and in slot %u", (unsigned)i, (unsigned)slot_i);
}

static uint64_t verify_slots(const struct segment *s)
{
    uint64_t live = 0;
    for (uint64_t i = 0; i < s->slots_n; i++)
        if (load_relaxed_u64(segment_slot(s, i)) != 0) {
            live++;
            verify_live(s, i);
        }
    return live;
}

/* -- Blocks: each one is free and offered, or referenced -------------------------------------------------- */

static bool is_offered(const struct segment *s, uint32_t span_i, uint32_t class_i, uint32_t i)
{
    const shared_u64 *word = class_i == s->classes.n || s->classes.of[class_i].bitmap_n == 1
                                 ? &s->maps[span_i]
                                 : segment_block(s, segment_span_at(s, span_i)) + i / 64;
    bool hinted = class_i == s->classes.n ||
                  (load_relaxed_u64(&s->hints[class_i * s->geo.hint_words + span_i / 64]) >> (span_i % 64) & 1) != 0;
    return hinted && (load_relaxed_u64(word) >> (i % 64) & 1) != 0;
}

static uint64_t verify_run(const struct segment *s, uint32_t span_i, uint64_t word)
{
    uint32_t class_i = span_class(word), n = segment_blocks_n(s, class_i);
    uint64_t live = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t block = segment_block_at(s, span_i, class_i, i), h = load_relaxed_u64(segment_block(s, block));
        bool named = segment_is_referenced(s, block, h);
        if (h_state(h) == BLOCK_PUB && named)
            live++;
        else if (h_state(h) != BLOCK_FREE)
            explore_fail("C: block %u of span %u has leaked: state %u of entry %u, %s", i, span_i,
                         (unsigned)h_state(h), h_owner(h), named ? "in a slot" : "in no slot");
        else if (!is_offered(s, span_i, class_i, i))
            explore_fail("H: free block %u of span %u is not offered", i, span_i);
    }
    return live;
}

static uint64_t verify_spans(const struct segment *s)
{
    uint64_t live = 0;
    for (uint32_t i = 0; i < s->geo.spans_n; i++) {
        uint64_t word = load_relaxed_u64(&s->spans[i]);
        if (span_state(word) == SPAN_FREE)
            continue;
        if (span_state(word) != SPAN_READY || !segment_run_begins(s, i, word)) {
            explore_fail("C: span %u is left in state %u (word %016llx)", i, (unsigned)span_state(word),
                         (unsigned long long)word);
            continue;
        }
        live += verify_run(s, i, word);
        i += span_run(word) - 1;
    }
    return live;
}

/* -- Entries ------------------------------------------------------------------------------------------------- */

static void verify_entry(const struct segment *s, uint32_t i, bool alive)
{
    const struct entry *e = &s->entries[i];
    if (!alive && load_relaxed_u32(&e->attached) != 0)
        explore_fail("C: entry %u is dead and has not been settled", i);
    if ((load_relaxed_u64(&e->counter) & COUNTER_PENDING_MASK) != 0)
        explore_fail("C: the counter of entry %u is pending for ever", i);
    if (!alive)
        return;
    for (uint32_t j = 0; j < OWNED_N; j++)
        if (load_relaxed_u64(&e->owned[j]) != 0)
            explore_fail("entry %u is idle and names a block it makes", i);
    for (uint32_t j = 0; j < HAZARDS_N; j++)
        if (load_relaxed_u64(&e->hazard[j]) != 0)
            explore_fail("entry %u is idle and has hazard %u", i, j);
}

void verify_segment(const struct segment *s, uint32_t alive)
{
    uint64_t slots = verify_slots(s), blocks = verify_spans(s);
    for (uint32_t i = 0; i < s->geo.entries_n; i++)
        verify_entry(s, i, alive >> i & 1);
    int64_t counted = count_sum(s);
    if (slots != blocks || (int64_t)slots != counted)
        explore_fail("%u slots are in use, %u blocks are in slots, the counters say %d", (unsigned)slots,
                     (unsigned)blocks, (int)counted);
}
