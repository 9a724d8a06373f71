/* SPDX-License-Identifier: MIT */
#include "table/insert.h"

#include "memory/count.h"
#include "memory/retire.h"
#include "table/below.h"
#include "table/move.h"
#include "table/read.h"
#include "table/wait.h"

#define PIN_ROUNDS 4u /* contradictions under a validated hazard before they are called corrupt */

/* -- Bound and summary --------------------------------------------------------------------------- */

static void bound_raise(struct group *home, uint32_t reach)
{
    for (;;) {
        uint64_t m = load_seq_u64(&home->meta); /* [meta] */
        uint32_t bound = META_BOUND(m);
        if (bound >= reach && (m & META_SCAN) == 0)
            return; /* a lowering that begins now sees our TENT */
        if (cas_u64(&home->meta, m, meta_next(m, bound > reach ? bound : reach, false))) /* [meta] */
            return;
    }
}

static void summary_raise(const struct segment *s, uint64_t group)
{
    shared_u32 *word = &s->summary[group / RUN_GROUPS];
    for (;;) {
        uint32_t v = load_seq_u32(word); /* [meta] */
        if ((v & (SUMMARY_USED | SUMMARY_SCAN)) == SUMMARY_USED)
            return; /* as above */
        if (cas_u32(word, v, summary_next(v, SUMMARY_USED))) /* [meta] */
            return;
    }
}

#define EXPECTED_KEY_BYTES 16u /* most keys of most maps begin in the line of H or in the next one */

/* Seven records in seven places: all are asked for before the first is read. */
static void group_expect_records(const struct segment *s, uint64_t group)
{
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        uint64_t w = load_relaxed_u64(&s->groups[group].slot[i]); /* relaxed: a hint */
        if (w != 0)
            segment_expect_bytes(s, slot_block(w), RECORD_HEADER + EXPECTED_KEY_BYTES, false);
    }
}

/* Does the group hold an entry of this home?  One that cannot be read counts. */
static bool group_holds(const struct segment *s, uint64_t group, uint64_t home)
{
    group_expect_records(s, group);
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        const shared_u64 *slot = &s->groups[group].slot[i];
        uint64_t w = load_seq_u64(slot), of; /* [slot-publish] */
        if (w == 0 || slot_state(w) == SLOT_ABRT)
            continue;
        if (!read_home(s, slot, w, &of) || of == home)
            return true;
    }
    return false;
}

static void bound_lower(const struct segment *s, uint64_t home, uint32_t reach)
{
    shared_u64 *meta = &s->groups[home].meta;
    for (; reach > 0; reach--) {
        uint64_t m = load_seq_u64(meta); /* [meta] */
        if (META_BOUND(m) != reach)
            return;
        uint64_t scanning = meta_next(m, reach, true);
        if (!cas_u64(meta, m, scanning) || group_holds(s, home + reach, home)) /* [meta] */
            return; /* a scan mark left behind only costs the next insert a CAS */
        if (!cas_u64(meta, scanning, meta_next(scanning, reach - 1, false))) /* [meta] */
            return;
    }
}

static bool run_is_empty(const struct segment *s, uint64_t run)
{
    for (uint64_t g = run * RUN_GROUPS; g < (run + 1) * RUN_GROUPS && g < s->geo.groups_all_n; g++)
        for (uint32_t i = 0; i < GROUP_SLOTS; i++)
            if (load_seq_u64(&s->groups[g].slot[i]) != 0) /* [slot-publish] */
                return false;
    return true;
}

static void summary_lower(const struct segment *s, uint64_t run)
{
    shared_u32 *word = &s->summary[run];
    uint32_t v = load_seq_u32(word); /* [meta] */
    if ((v & SUMMARY_USED) == 0)
        return;
    uint32_t scanning = summary_next(v, SUMMARY_USED | SUMMARY_SCAN);
    if (cas_u32(word, v, scanning) && run_is_empty(s, run))    /* [meta] */
        (void)cas_u32(word, scanning, summary_next(scanning, 0)); /* [meta] */
}

void insert_lower(struct attachment *a, uint64_t home, uint64_t group)
{
    const struct segment *s = a->segment;
    if (group > home)
        bound_lower(s, home, (uint32_t)(group - home));
    for (uint32_t i = 0; i < GROUP_SLOTS; i++)
        if (load_seq_u64(&s->groups[group].slot[i]) != 0) /* [slot-publish] */
            return;
    summary_lower(s, group / RUN_GROUPS);
}

/* -- Pins ----------------------------------------------------------------------------------------------- */

enum pin_outcome insert_pin(struct attachment *a, uint32_t hazard, uint64_t slot_i, uint64_t w,
                            struct block_place *ret_place, struct record *ret_record, uint64_t *ret_h)
{
    const struct segment *s = a->segment;
    const shared_u64 *slot = segment_slot(s, slot_i);
    hazard_set(a, hazard, slot_block(w));
    for (uint32_t round = 0; round < PIN_ROUNDS; round++) {
        if (load_seq_u64(slot) != w) /* [hazard] */
            return PIN_CHANGED;
        if (!segment_locate(s, slot_block(w), ret_place))
            continue;
        *ret_h = load_acquire_u64(segment_block(s, ret_place->block)); /* [block-state] */
        if (h_holds_record(*ret_h) && (h_generation(*ret_h) & TAG_MASK) == slot_tag(w) &&
            record_decode(s, ret_place, ret_record))
            return PIN_HELD;
    }
    (void)read_corrupt(slot_i, w, "leads to no sound record");
    return PIN_CORRUPT;
}

/* -- Resolving --------------------------------------------------------------------------------------------- */

enum step { STEP_FINAL, STEP_LOWER, STEP_FAILED };

/* A TENT slot that is to be brought to its end; pinned. */
struct tent {
    uint64_t slot_i, w;
    uint64_t below; /* the record's word */
    bool copy;      /* of a record in the table that is moved from */
};

static bool is_promotion(uint64_t below) { return below_kind(below) == RECORD_PROMOTED; }

static void tent_abort(const struct segment *s, const struct tent *t)
{
    (void)cas_u64(segment_slot(s, t->slot_i), t->w, slot_with(t->w, SLOT_ABRT)); /* [slot-publish] */
}

/* Look at one other slot on behalf of t.  True: `ret_step` is the step's end. */
static bool resolve_against(struct attachment *a, const struct probe *p, const struct tent *t, uint64_t slot_i,
                            struct tent *ret_lower, enum step *ret_step)
{
    const struct segment *s = a->segment;
    shared_u64 *target = segment_slot(s, t->slot_i), *slot = segment_slot(s, slot_i);
    for (;;) {
        struct block_place place;
        struct record record;
        uint64_t h, w = load_seq_u64(slot); /* [slot-publish] */
        bool tent = slot_state(w) == SLOT_TENT;
        if (slot_finger(w) != p->finger || !(tent || slot_is_in_effect(w)))
            return false;
        enum pin_outcome pin = insert_pin(a, HAZARD_RIVAL, slot_i, w, &place, &record, &h);
        if (pin == PIN_CHANGED)
            continue;
        *ret_step = STEP_FAILED;
        if (pin == PIN_CORRUPT)
            return true;
        if (!record_key_equals(&record, p))
            return false;
        *ret_step = STEP_FINAL;
        if (!tent || is_promotion(t->below)) { /* the entry counts; or T6 */
            tent_abort(s, t);
            return true;
        }
        uint64_t below = record_below(&record);
        if (slot_i < t->slot_i && !is_promotion(below)) {
            *ret_lower = (struct tent){ slot_i, w, below, (h & H_COPY) != 0 };
            *ret_step = STEP_LOWER;
            return true;
        }
        if (load_seq_u64(target) != t->w) /* [slot-publish] R3 */
            return true;
        (void)cas_u64(slot, w, slot_with(w, SLOT_ABRT)); /* [slot-publish] */
        /* Failed: it may be LIVE now.  Look again in any case. */
    }
}

/* A copy counts while what it was made of does; whoever has no old table any more knows that all of it has moved. */
static enum slot_state choose_for_copy(const struct segment *s, const struct probe *p, const struct tent *t)
{
    const struct segment *old = atomic_load_explicit(&s->old, memory_order_acquire); /* of this process alone */
    if (old == NULL || !move_is_sealed(old, p))
        return SLOT_ABRT;
    if (below_kind(t->below) == RECORD_DELETES)
        return SLOT_TOMB;
    return s->below != NULL && segment_is_spilled(s, p->home, p->hash) ? SLOT_BELOW : SLOT_LIVE;
}

/* What becomes of a TENT that has no rival left: SLOT_ABRT where it was computed from something else than what lies below, or
 * the map has moved on.  A clear bit says that nothing lies below.  0, or the store's failure. */
static int choose_state(const struct segment *s, const struct probe *p, const struct tent *t, enum slot_state *ret_state)
{
    *ret_state = segment_has_successor(s) ? SLOT_ABRT : t->copy ? choose_for_copy(s, p, t) : SLOT_LIVE;
    if (s->below == NULL || t->copy || *ret_state == SLOT_ABRT)
        return 0;
    struct below_record record = { .version = 0 };
    enum record_kind kind = below_kind(t->below);
    bool spilled = segment_is_spilled(s, p->home, p->hash);
    int rc = kind != RECORD_PLAIN && spilled ? s->below->look(s->below, p, NULL, &record) : 0;
    if (rc < 0)
        return rc;
    if (kind != RECORD_PLAIN && record.version != below_base(t->below))
        *ret_state = SLOT_ABRT;
    else if (kind == RECORD_DELETES)
        *ret_state = SLOT_TOMB;
    else if (kind == RECORD_PROMOTED || spilled)
        *ret_state = SLOT_BELOW;
    return 0;
}

static enum step resolve_commit(const struct segment *s, const struct probe *p, const struct tent *t, int *ret_code)
{
    enum slot_state to;
    *ret_code = choose_state(s, p, t, &to);
    if (*ret_code != 0)
        return STEP_FAILED;
    if (cas_u64(segment_slot(s, t->slot_i), t->w, slot_with(t->w, to)) && to != SLOT_ABRT && /* [slot-publish] */
        !is_promotion(t->below)) {
        wait_wake(s, p->hash);
        segment_set_dirty(s, t->slot_i / GROUP_SLOTS);
    }
    return STEP_FINAL;
}

/* True: `ret_step` is the step's end. */
static inline bool resolve_in_group(struct attachment *a, const struct probe *p, const struct tent *t, uint64_t group,
                                    struct tent *ret_lower, enum step *ret_step)
{
    const struct group *g = &a->segment->groups[group];
    const uint64_t finger = slot_finger_bits(p->finger);
#pragma GCC unroll 7
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        if (LIKELY(!slot_has_finger(load_seq_u64(&g->slot[i]), finger))) /* [slot-publish] */
            continue;
        const uint64_t slot_i = group * GROUP_SLOTS + i;
        if (slot_i != t->slot_i && resolve_against(a, p, t, slot_i, ret_lower, ret_step))
            return true;
    }
    return false;
}

static enum step resolve_step(struct attachment *a, const struct probe *p, const struct tent *t,
                              struct tent *ret_lower, int *ret_code)
{
    const struct segment *s = a->segment;
    struct group *home = &s->groups[p->home];
    uint64_t group = t->slot_i / GROUP_SLOTS;
    enum step step;
    summary_raise(s, group);
    bound_raise(home, (uint32_t)(group - p->home));
    uint32_t bound = META_BOUND(load_seq_u64(&home->meta)); /* [meta] */
    for (uint64_t g = p->home; g <= p->home + bound && g < s->geo.groups_all_n; g++)
        if (resolve_in_group(a, p, t, g, ret_lower, &step))
            return step;
    return resolve_commit(s, p, t, ret_code);
}

/* Until the own word is no longer TENT.  0, or why it could not be brought to its end. */
static int resolve_own(struct attachment *a, const struct probe *p, const struct tent *own)
{
    const struct segment *s = a->segment;
    int code = 0;
    while (code == 0 && load_seq_u64(segment_slot(s, own->slot_i)) == own->w) { /* [slot-publish] */
        struct tent t = *own, lower;
        enum step step;
        while ((step = resolve_step(a, p, &t, &lower, &code)) == STEP_LOWER) {
            hazard_set(a, HAZARD_TARGET, slot_block(lower.w)); /* pinned by HAZARD_RIVAL until now */
            if (load_seq_u64(segment_slot(s, lower.slot_i)) != lower.w) /* [hazard] */
                break;
            t = lower; /* indices only fall, so this ends */
        }
        if (step == STEP_FAILED && code == 0)
            code = SHOAL_ECORRUPT;
    }
    hazard_clear(a, HAZARD_RIVAL);
    hazard_clear(a, HAZARD_TARGET);
    return code;
}

/* -- Placing ------------------------------------------------------------------------------------------------ */

/* GROUP_SLOTS: it has none. */
HOT_INLINE uint32_t group_free_slot(const struct group *g)
{
#pragma GCC unroll 7
    for (uint32_t i = 0; i < GROUP_SLOTS; i++)
        if (load_seq_u64(&g->slot[i]) == 0) /* [slot-publish] */
            return i;
    return GROUP_SLOTS;
}

static bool place_tent(struct attachment *a, const struct probe *p, const struct heap_block *b, uint64_t below,
                       struct tent *ret)
{
    const struct segment *s = a->segment;
    const uint64_t end = p->home + s->window, w = slot_pack(SLOT_TENT, p->finger, b->place.block, h_generation(b->h));
    for (uint64_t group = p->home; group < end && group < s->geo.groups_all_n;) {
        struct group *g = &s->groups[group];
        const uint32_t i = group_free_slot(g);
        if (i == GROUP_SLOTS) {
            group++;
            continue;
        }
        const uint64_t slot_i = group * GROUP_SLOTS + i;
        record_set_slot(s, b->place.block, (uint32_t)slot_i);
        if (cas_u64(&g->slot[i], 0, w)) { /* [slot-publish] */
            *ret = (struct tent){ slot_i, w, below, (b->h & H_COPY) != 0 };
            return true;
        }
    }
    return false;
}

enum insert_outcome insert_record(struct attachment *a, const struct probe *p, const struct heap_block *b,
                                  uint64_t below, int *ret_code)
{
    const struct segment *s = a->segment;
    struct tent own;
    if (!place_tent(a, p, b, below, &own))
        return INSERT_FULL;
    *ret_code = resolve_own(a, p, &own);
    shared_u64 *slot = segment_slot(s, own.slot_i);
    if (*ret_code != 0)
        tent_abort(s, &own);
    /* Still pinned by b->hazard, so ABRT with this tag is ours. */
    if (load_seq_u64(slot) != slot_with(own.w, SLOT_ABRT)) { /* [slot-publish] */
        if (!is_promotion(below))
            segment_set_dirty(s, own.slot_i / GROUP_SLOTS); /* who committed it may have died */
        (void)count_publish(a, b->place.block, b->h); /* or an unlinker has made it so */
        heap_disown(a, b);
        return INSERT_DONE;
    }
    (void)cas_u64(slot, slot_with(own.w, SLOT_ABRT), 0); /* [slot-publish] */
    retire_abandon(a, &b->place, b->h);
    heap_disown(a, b);
    insert_lower(a, p->home, own.slot_i / GROUP_SLOTS);
    return *ret_code == 0 ? INSERT_ABORTED : INSERT_FAILED;
}
