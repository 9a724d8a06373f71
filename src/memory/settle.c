/* SPDX-License-Identifier: MIT */
#include "memory/settle.h"

#include "memory/count.h"
#include "memory/evacuate.h"

#define SWEEP_EVERY 64u  /* blocks swept at each look: about 2 us, a cache miss or two each */
#define SWEEP_BATCH 128u /* retired blocks per look at all hazards */

/* -- One block -------------------------------------------------------------------------------- */

/* One step for a block under a validated pin.  False: nothing more to do. */
static bool settle_step(struct attachment *a, const struct block_place *place, uint64_t generation,
                        struct settle_count *count)
{
    const struct segment *s = a->segment;
    shared_u64 *words = segment_block(s, place->block);
    uint64_t h = load_seq_u64(&words[0]); /* [hazard]: who retired it before our pin could be seen is seen */
    if (h_generation(h) != generation || !h_holds_record(h))
        return false;
    uint64_t slot_i = place_slot(payload_load(&words[1])), w = 0;
    shared_u64 *slot = NULL;
    if (slot_i < s->slots_n) {
        slot = segment_slot(s, slot_i);
        w = load_seq_u64(slot); /* [slot-publish] */
    }
    bool named = slot_names(w, place->block, generation);
    if (h_state(h) == BLOCK_PUB) {
        if (!named)
            retire_abandon(a, place, h);
        return false;
    }
    if (named && slot_state(w) == SLOT_TENT) {
        (void)cas_u64(slot, w, slot_with(w, SLOT_ABRT)); /* [slot-publish] */
        return true;
    }
    if (named && slot_state(w) == SLOT_ABRT) {
        (void)cas_u64(slot, w, 0); /* [slot-publish] */
        return true;
    }
    if (named) {
        segment_set_dirty(s, slot_i / GROUP_SLOTS);
        if (!count_publish(a, place->block, h))
            return true;
        count->completed++;
        return false;
    }
    retire_abandon(a, place, h);
    count->aborted++;
    return false;
}

bool settle_block(struct attachment *a, const struct block_place *place, uint64_t h, struct settle_count *count)
{
    const struct segment *s = a->segment;
    hazard_set(a, HAZARD_SETTLE, place->block);
    /* From here on: while H shows the generation of h and OWNED or PUB, it is pinned. */
    bool same = load_seq_u64(&s->spans[place->span_i]) == place->span_word; /* [hazard] */
    while (same && settle_step(a, place, h_generation(h), count)) {
    }
    hazard_clear(a, HAZARD_SETTLE);
    return same;
}

/* -- One entry ---------------------------------------------------------------------------------- */

/* RETIRED, so that it was retired before the hazards are collected. */
static bool settle_retired(struct attachment *a, const struct block_place *place)
{
    uint64_t h = load_acquire_u64(segment_block(a->segment, place->block)); /* [block-state] */
    struct hazard_set set = { 0 };
    bool freed = h_state(h) == BLOCK_RETIRED && hazard_collect(a, &set) && retire_free(a, place, h, &set);
    hazard_set_free(&set);
    return freed;
}

/* A block that the dead entry named: what is it now?  While its span's word changes, it is looked at again:
 * the name is all that leads to it.  Where no open run holds it, nobody's record is there. */
static void settle_named(struct attachment *a, uint64_t block, uint32_t index, struct settle_count *count)
{
    const struct segment *s = a->segment;
    struct block_place place;
    while (segment_locate(s, block, &place)) {
        if (!hazard_guard_span(a, place.span_i, place.span_word))
            continue;
        uint64_t h = load_acquire_u64(segment_block(s, block)); /* [block-state] */
        bool mine = h_state(h) == BLOCK_OWNED && h_owner(h) == index;
        if ((mine || h_state(h) == BLOCK_PUB) && !settle_block(a, &place, h, count))
            continue;
        /* Settling may have moved the guard. */
        if (hazard_guard_span(a, place.span_i, place.span_word) && settle_retired(a, &place))
            count->blocks++;
        break;
    }
    hazard_clear(a, HAZARD_GUARD);
}

static void block_set_dirty(const struct segment *s, uint64_t block)
{
    struct block_place place;
    if (block == 0 || (block & HAZARD_GUARD_BIT) != 0 || !segment_locate(s, block, &place))
        return;
    uint64_t slot_i = place_slot(payload_load(segment_block(s, block) + 1));
    if (slot_i < s->slots_n)
        segment_set_dirty(s, slot_i / GROUP_SLOTS);
}

void settle_set_dirty(const struct segment *s, const struct entry *e)
{
    for (uint32_t i = 0; i < OWNED_N; i++)
        block_set_dirty(s, load_seq_u64(&e->owned[i])); /* [entry-names] */
    for (uint32_t i = 0; i < HAZARDS_OP; i++)
        block_set_dirty(s, load_seq_u64(&e->hazard[i])); /* [hazard] */
}

void settle_entry(struct attachment *a, uint32_t index, struct settle_count *count)
{
    struct segment *s = a->segment;
    struct entry *e = &s->entries[index];
    bool own = e == a->entry;
    uint64_t named[RETIRED_N];
    if (segment_has_store(s))
        settle_set_dirty(s, e); /* before own hazards take the place of a predecessor's */
    count_settle(a, e); /* before blocks: it decides from an H that nobody has moved on */
    heap_settle_claim(s, e, index);
    for (uint32_t i = 0; i < RETIRED_N; i++)
        named[i] = load_acquire_u64(&e->retired[i]); /* [entry-names] */
    if (own)
        retire_inherit(a); /* what is RETIRED already stays listed; settling needs a list in order */
    for (uint32_t i = 0; i < OWNED_N; i++) {
        uint64_t block = load_acquire_u64(&e->owned[i]); /* [entry-names] */
        if (block != 0)
            settle_named(a, block, index, count);
        store_release_u64(&e->owned[i], 0); /* [entry-names] */
    }
    for (uint32_t i = 0; i < RETIRED_N; i++) {
        if (named[i] != 0)
            settle_named(a, named[i], index, count);
        if (!own)
            store_release_u64(&e->retired[i], 0); /* [entry-names] */
    }
    if (own)
        return;
    for (uint32_t i = 0; i < HAZARDS_N; i++)
        store_release_u64(&e->hazard[i], 0); /* [hazard] */
    store_seq_u32(&e->attached, ENTRY_UNUSED); /* [attached] */
}

bool settle_if_dead(struct attachment *a, uint32_t index, struct settle_count *count)
{
    struct segment *s = a->segment;
    struct entry *e = &s->entries[index];
    if (e == a->entry || load_seq_u32(&e->attached) == ENTRY_UNUSED || !attach_is_dead(s, index)) /* [attached] */
        return false;
    if (!attach_reap_lock(s, index)) {
        count->undecided++; /* somebody else is at it; what it leaves in blocks, the sweep settles */
        return true;
    }
    /* Again under the lock: it may have been settled and taken by a living thread meanwhile. */
    bool dead = load_seq_u32(&e->attached) != ENTRY_UNUSED && attach_is_dead(s, index); /* [attached] */
    if (dead) {
        settle_entry(a, index, count);
        count->dead++;
        bump_relaxed_u64(&a->entry->reaped, 1);
    }
    attach_reap_unlock(s, index);
    return dead;
}

void settle_all_dead(struct attachment *a, struct settle_count *count)
{
    uint64_t healed = count->aborted + count->completed;
    uint32_t used = segment_entries_used(a->segment);
    for (uint32_t i = 0; i < used; i++)
        if (!settle_if_dead(a, i, count) &&
            load_acquire_u32(&a->segment->entries[i].attached) == ENTRY_TAKEN) /* [attached] */
            count->undecided++;
    bump_relaxed_u64(&a->entry->healed, count->aborted + count->completed - healed);
}

/* -- Sweep ----------------------------------------------------------------------------------------- */

struct sweep {
    struct block_place place[SWEEP_BATCH];
    uint64_t h[SWEEP_BATCH];
    uint32_t n;
};

/* Settling may have taken the guard away. */
static bool sweep_is_guarded(struct attachment *a, const struct block_place *place)
{
    const uint64_t guard = segment_span_at(a->segment, place->span_i) | HAZARD_GUARD_BIT;
    if (load_relaxed_u64(&a->entry->hazard[HAZARD_GUARD]) == guard || /* relaxed: own word */
        hazard_guard_span(a, place->span_i, place->span_word))
        return true;
    hazard_clear(a, HAZARD_GUARD);
    return false;
}

/* Blocks of one run, seen RETIRED before the hazards are collected. */
static void sweep_free(struct attachment *a, struct sweep *sweep, struct settle_count *count)
{
    struct hazard_set set = { 0 };
    if (sweep->n > 0 && sweep_is_guarded(a, &sweep->place[0]) && hazard_collect(a, &set))
        for (uint32_t i = 0; i < sweep->n; i++)
            if (retire_free(a, &sweep->place[i], sweep->h[i], &set))
                count->blocks++;
    hazard_set_free(&set);
    sweep->n = 0;
}

static void sweep_block(struct attachment *a, const struct block_place *place, struct sweep *sweep,
                        struct settle_count *count)
{
    const struct segment *s = a->segment;
    shared_u64 *word = segment_block(s, place->block);
    uint64_t h = load_acquire_u64(word); /* [block-state] */
    switch (h_state(h)) {
    case BLOCK_SEALED: /* the span is READY under our guard */
        if (cas_u64(word, h, h_pack(h_generation(h), 0, BLOCK_FREE))) /* [block-state] */
            heap_publish(s, place);
        break;
    case BLOCK_FREE:
        if (!heap_is_published(s, place))
            heap_publish(s, place);
        break;
    case BLOCK_OWNED:
        if (h_owner(h) != a->index && attach_is_dead(s, h_owner(h)))
            (void)settle_block(a, place, h, count);
        break;
    case BLOCK_PUB:
        if (!segment_is_referenced(s, place->block, h)) /* without a hazard: a stale answer is only late */
            (void)settle_block(a, place, h, count);
        break;
    default:
        sweep->place[sweep->n] = *place;
        sweep->h[sweep->n++] = h;
        break;
    }
    if (sweep->n == SWEEP_BATCH)
        sweep_free(a, sweep, count);
}

/* Blocks [from, to) of a run; settling may move the guard. */
static void sweep_run(struct attachment *a, struct block_place *place, uint32_t from, uint32_t to,
                      struct settle_count *count)
{
    const struct segment *s = a->segment;
    struct sweep sweep = { .n = 0 };
    for (uint32_t i = from; i < to && sweep_is_guarded(a, place); i++) {
        place->index = i;
        place->block = segment_block_at(s, place->span_i, place->class_i, i);
        sweep_block(a, place, &sweep, count);
    }
    sweep_free(a, &sweep, count);
    hazard_clear(a, HAZARD_GUARD);
}

/* Returns the number of blocks in the run that begins at span_i, 0 = none does. */
static uint32_t sweep_span(struct attachment *a, uint32_t span_i, uint32_t from, uint32_t most,
                           struct settle_count *count)
{
    const struct segment *s = a->segment;
    uint64_t word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
    if (span_state(word) == SPAN_DRAIN || span_state(word) == SPAN_CLOSED) {
        evacuate_call_off_abandoned(a, span_i);
        word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
    }
    if (span_state(word) != SPAN_READY || !segment_run_begins(s, span_i, word))
        return 0;
    struct block_place place = { .span_word = word, .span_i = span_i, .class_i = span_class(word) };
    uint32_t n = segment_blocks_n(s, place.class_i);
    place.bytes = place.class_i == s->classes.n ? (uint64_t)span_run(word) << s->span_shift
                                                : s->classes.of[place.class_i].bytes;
    if (from < n && hazard_guard_span(a, span_i, word))
        sweep_run(a, &place, from, n - from < most ? n : from + most, count);
    hazard_clear(a, HAZARD_GUARD);
    return n;
}

void settle_sweep(struct attachment *a, struct settle_count *count)
{
    for (uint32_t i = 0; i < a->segment->geo.spans_n; i++)
        (void)sweep_span(a, i, 0, UINT32_MAX, count);
}

static void sweep_piece(struct attachment *a, struct settle_count *count)
{
    uint32_t n = sweep_span(a, a->sweep_at, a->sweep_block, SWEEP_EVERY, count);
    a->sweep_block += SWEEP_EVERY;
    if (a->sweep_block >= n) {
        a->sweep_block = 0;
        a->sweep_at = a->sweep_at + 1 < a->segment->geo.spans_n ? a->sweep_at + 1 : 0;
    }
}

void settle_some(struct attachment *a)
{
    const struct segment *s = a->segment;
    struct settle_count count = { 0 };
    uint32_t used = segment_entries_used(s);
    a->peer_at = a->peer_at + 1 < used ? a->peer_at + 1 : 0;
    (void)settle_if_dead(a, a->peer_at, &count);
    sweep_piece(a, &count);
    bump_relaxed_u64(&a->entry->healed, count.aborted + count.completed);
}

uint64_t settle_activity(const struct segment *s)
{
    uint64_t sum = 0;
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++) {
        const struct entry *e = &s->entries[i];
        sum += load_relaxed_u64(&e->writes) + load_relaxed_u64(&e->deletes) + load_relaxed_u64(&e->freed) +
               load_relaxed_u64(&e->evicted) + load_relaxed_u64(&e->reaped) + load_relaxed_u64(&e->unpinned); /* relaxed: any change is enough */
    }
    return sum;
}
