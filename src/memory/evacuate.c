/* SPDX-License-Identifier: MIT */
#include "memory/evacuate.h"

#include <stdlib.h>

#include "memory/count.h"
#include "memory/retire.h"
#include "memory/settle.h"

#define SPANS_PER_SURVEY 8u /* a survey reads every bitmap: use it for more than one span */
#define LOOKS 16u /* others who are at work in a span see that it is closed at their next block, and leave */

/* A run under evacuation, as the evacuator knows it. */
struct drain {
    uint32_t span_i, class_i, run, blocks_n;
    uint64_t word; /* DRAIN, then CLOSED */
    bool move, may_claim;
};

static bool drain_is_current(struct attachment *a, const struct drain *d)
{
    return hazard_guard_span(a, d->span_i, d->word);
}

static void drain_place(const struct segment *s, const struct drain *d, uint32_t i, struct block_place *ret)
{
    ret->block = segment_block_at(s, d->span_i, d->class_i, i);
    ret->bytes = d->class_i == s->classes.n ? (uint64_t)d->run << s->span_shift : s->classes.of[d->class_i].bytes;
    ret->span_word = d->word;
    ret->span_i = d->span_i;
    ret->class_i = d->class_i;
    ret->index = i;
}

/* -- Moving one record ------------------------------------------------------------------------------ */

static void record_copy(const struct segment *s, uint64_t from, uint64_t to, uint64_t bytes)
{
    const shared_u64 *source = segment_block(s, from);
    shared_u64 *target = segment_block(s, to);
    for (uint64_t i = 1; i < bytes / 8; i++)
        payload_store(&target[i], payload_load(&source[i]));
}

static int copy_alloc(struct attachment *a, const struct drain *d, struct heap_block *ret)
{
    if (d->class_i == a->segment->classes.n)
        return heap_alloc_big(a, d->run, OWNED_COPY, HAZARD_MOVE_TO, ret);
    return heap_alloc_at_hand(a, d->class_i, d->may_claim, OWNED_COPY, HAZARD_MOVE_TO, ret);
}

/* Swing the slot from the pinned PUB record at `from` to a copy: an update that changes nothing but the
 * version.  Steps and deaths as in an update: retire.h, and owned[] names the copy. */
static bool record_move(struct attachment *a, const struct drain *d, const struct block_place *from, uint64_t h)
{
    const struct segment *s = a->segment;
    uint64_t slot_i = place_slot(payload_load(segment_block(s, from->block) + 1));
    if (slot_i >= s->slots_n)
        return false;
    shared_u64 *slot = segment_slot(s, slot_i);
    uint64_t w = load_seq_u64(slot); /* [slot-publish] */
    if (!slot_names(w, from->block, h_generation(h)) || !slot_is_in_effect(w))
        return false;
    struct heap_block copy;
    if (copy_alloc(a, d, &copy) != 0)
        return false;
    record_copy(s, from->block, copy.place.block, from->bytes);
    uint32_t name = retire_name(a, from);
    bool moved = cas_u64(slot, w, slot_pack(slot_state(w), slot_finger(w), copy.place.block, h_generation(copy.h))); /* [slot-publish] */
    if (!moved) {
        retire_unname(a, name);
        heap_free_unplaced(a, &copy);
        return false;
    }
    (void)count_publish(a, copy.place.block, copy.h);
    heap_disown(a, &copy);
    retire_commit(a, name, from, h);
    bump_relaxed_u64(&a->entry->evacuated, 1);
    return true;
}

static void block_evacuate(struct attachment *a, const struct drain *d, const struct block_place *place, uint64_t h)
{
    struct settle_count ignored = { 0 };
    const struct segment *s = a->segment;
    (void)settle_block(a, place, h, &ignored); /* unreferenced: retired by this */
    hazard_set(a, HAZARD_SETTLE, place->block);
    uint64_t now = load_seq_u64(segment_block(s, place->block)); /* [hazard] */
    if (h_generation(now) == h_generation(h) && h_state(now) == BLOCK_PUB &&
        load_seq_u64(&s->spans[d->span_i]) == d->word) /* [hazard] */
        (void)record_move(a, d, place, now);
    hazard_clear(a, HAZARD_SETTLE);
}

/* -- The steps ------------------------------------------------------------------------------------------ */

/* Seal or move block i.  False: it is in the hands of somebody living. */
static bool drain_block(struct attachment *a, const struct drain *d, uint32_t i)
{
    const struct segment *s = a->segment;
    struct block_place place;
    drain_place(s, d, i, &place);
    shared_u64 *word = segment_block(s, place.block);
    uint64_t h = load_acquire_u64(word); /* [block-state] */
    if (h_state(h) == BLOCK_OWNED) {
        struct settle_count ignored = { 0 };
        /* Without `move` this may run inside a settling, whose pin it must leave alone. */
        if (!d->move || h_owner(h) == a->index || !attach_is_dead(s, h_owner(h)))
            return false;
        (void)settle_block(a, &place, h, &ignored);
        h = load_acquire_u64(word); /* [block-state] */
    }
    if (h_state(h) == BLOCK_PUB) {
        if (!d->move)
            return false;
        block_evacuate(a, d, &place, h);
    }
    if (!drain_is_current(a, d)) /* moving took the guard elsewhere */
        return false;
    h = load_acquire_u64(word); /* [block-state] */
    if (h_state(h) == BLOCK_RETIRED) {
        struct hazard_set set = { 0 };
        /* Not through retire_free: the block must not be offered. */
        if (hazard_collect(a, &set) && !hazard_set_pins(&set, place.block)) {
            count_help(s, place.block, h);
            if (cas_u64(word, h, h_pack(h_generation(h), 0, BLOCK_SEALED))) /* [block-state] */
                bump_relaxed_u64(&a->entry->freed, 1);
        }
        hazard_set_free(&set);
        h = load_acquire_u64(word); /* [block-state] */
    }
    if (h_state(h) == BLOCK_FREE)
        (void)cas_u64(word, h, h_pack(h_generation(h), 0, BLOCK_SEALED)); /* [block-state] */
    return h_state(load_acquire_u64(word)) == BLOCK_SEALED; /* [block-state] */
}

/* By a hazard of anybody, but the guard that this attachment holds for the drain itself. */
static bool drain_is_touched(struct attachment *a, const struct drain *d)
{
    uint64_t from = segment_span_at(a->segment, d->span_i), to = from + ((uint64_t)d->run << a->segment->span_shift);
    struct hazard_set set = { 0 };
    bool touched = !hazard_collect(a, &set) || hazard_set_touches(&set, from, to);
    hazard_set_free(&set);
    return touched;
}

static bool drain_is_sealed(const struct segment *s, const struct drain *d)
{
    for (uint32_t i = 0; i < d->blocks_n; i++) {
        uint64_t block = segment_block_at(s, d->span_i, d->class_i, i);
        if (h_state(load_seq_u64(segment_block(s, block))) != BLOCK_SEALED) /* [block-state] */
            return false;
    }
    return true;
}

/* DRAIN -> CLOSED.  Whoever set a hazard before is seen by the looks that follow; who sets one later finds
 * the span closed.  Were the looks made in DRAIN, somebody who joined behind them could take the bytes of
 * the next format for a FREE block and overwrite them. */
static bool drain_close(const struct segment *s, struct drain *d)
{
    uint64_t closed = span_pack(d->word, SPAN_CLOSED, d->class_i, d->run, true);
    if (!cas_u64(&s->spans[d->span_i], d->word, closed)) /* [span-ready] dies here: a sweep calls it off */
        return false;
    d->word = closed;
    return true;
}

/* CLOSED -> CLAIMED -> unused. */
static bool drain_finish(struct attachment *a, const struct drain *d)
{
    const struct segment *s = a->segment;
    for (uint32_t i = 0; drain_is_touched(a, d); i++)
        if (i == LOOKS)
            return false;
    if (!drain_is_sealed(s, d)) /* behind the looks: who held a hazard may have unsealed */
        return false;
    store_seq_u64(&a->entry->claim, (uint64_t)d->span_i << 32 | d->run); /* [entry-names] */
    uint64_t claimed = span_pack(d->word, SPAN_CLAIMED, 0, a->index, true);
    bool mine = cas_u64(&s->spans[d->span_i], d->word, claimed); /* [span-ready] */
    if (mine)
        heap_unclaim(s, d->span_i, d->run, a->index); /* dies here: heap_settle_claim */
    store_release_u64(&a->entry->claim, 0); /* [entry-names] */
    return mine;
}

/* SEALED -> FREE in a span that is READY under a guard. */
static void span_unseal(struct attachment *a, uint32_t span_i, uint64_t word)
{
    const struct segment *s = a->segment;
    struct block_place place;
    uint32_t class_i = span_class(word), n = segment_blocks_n(s, class_i);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t block = segment_block_at(s, span_i, class_i, i);
        uint64_t h = load_acquire_u64(segment_block(s, block)); /* [block-state] */
        bool sealed = h_state(h) == BLOCK_SEALED &&
                      cas_u64(segment_block(s, block), h, h_pack(h_generation(h), 0, BLOCK_FREE)); /* [block-state] */
        if ((sealed || h_state(h) == BLOCK_FREE) && segment_locate(s, block, &place) && !heap_is_published(s, &place))
            heap_publish(s, &place); /* the hint may have been lost while takers were turned away */
    }
}

/* From `word`, DRAIN or CLOSED, back into use.  Where somebody else has done that, this attachment may have
 * sealed a block behind their back. */
static void drain_call_off(struct attachment *a, uint32_t span_i, uint64_t word)
{
    const struct segment *s = a->segment;
    uint64_t ready = span_pack(word, SPAN_READY, span_class(word), span_run(word), true);
    (void)cas_u64(&s->spans[span_i], word, ready); /* [span-ready] */
    word = load_seq_u64(&s->spans[span_i]); /* [span-ready] */
    if (span_state(word) == SPAN_READY && segment_run_begins(s, span_i, word) && hazard_guard_span(a, span_i, word))
        span_unseal(a, span_i, word);
    hazard_clear(a, HAZARD_GUARD);
}

void evacuate_call_off_abandoned(struct attachment *a, uint32_t span_i)
{
    const struct segment *s = a->segment;
    uint64_t word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
    if ((span_state(word) != SPAN_DRAIN && span_state(word) != SPAN_CLOSED) || !segment_run_begins(s, span_i, word))
        return;
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++)
        if (load_acquire_u64(&s->entries[i].draining) == span_i + 1u && /* [entry-names] */
            load_seq_u32(&s->entries[i].attached) != ENTRY_UNUSED && !attach_is_dead(s, i)) /* [attached] */
            return;
    drain_call_off(a, span_i, word);
}

static bool drain_begin(struct attachment *a, uint32_t span_i, struct drain *d)
{
    const struct segment *s = a->segment;
    uint64_t word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
    if (!segment_run_is_open(s, span_i, word))
        return false;
    d->span_i = span_i;
    d->class_i = span_class(word);
    d->run = span_run(word);
    d->blocks_n = segment_blocks_n(s, d->class_i);
    d->word = word;
    if (span_state(word) == SPAN_READY) {
        d->word = span_pack(word, SPAN_DRAIN, d->class_i, d->run, true);
        if (!cas_u64(&s->spans[span_i], word, d->word)) /* [span-ready] */
            return false;
    }
    return drain_is_current(a, d);
}

static bool evacuate_run(struct attachment *a, uint32_t span_i, bool move, bool may_claim)
{
    struct drain d = { .move = move, .may_claim = may_claim };
    store_release_u64(&a->entry->draining, span_i + 1u); /* [entry-names] */
    bool begun = drain_begin(a, span_i, &d), empty = begun;
    for (uint32_t i = 0; empty && i < d.blocks_n; i++)
        empty = drain_block(a, &d, i) && drain_is_current(a, &d);
    bool done = empty && drain_close(a->segment, &d) && drain_finish(a, &d);
    if (begun && !done)
        drain_call_off(a, span_i, d.word);
    hazard_clear(a, HAZARD_GUARD);
    store_release_u64(&a->entry->draining, 0); /* [entry-names] */
    return done;
}

bool evacuate_span(struct attachment *a, uint32_t span_i, bool move)
{
    return evacuate_run(a, span_i, move, false);
}

/* -- Which spans -------------------------------------------------------------------------------------------- */

/* What is known of each span, by the bitmaps, which a sweep has just put right. */
struct survey {
    uint64_t *cost; /* bytes to move to make the span unused; SURVEY_NEVER */
    uint32_t *head; /* the first span of its run */
    uint64_t *class_free; /* free blocks per class */
};
#define SURVEY_NEVER UINT64_MAX

static void survey_run(const struct segment *s, struct survey *v, uint32_t span_i, uint64_t word)
{
    uint32_t class_i = span_class(word), run = span_run(word), n = segment_blocks_n(s, class_i);
    uint32_t free_n = heap_published_n(s, span_i, class_i);
    uint64_t bytes = class_i == s->classes.n ? (uint64_t)run << s->span_shift : s->classes.of[class_i].bytes;
    v->class_free[class_i] += free_n;
    for (uint32_t j = 0; j < run; j++) {
        v->head[span_i + j] = span_i;
        v->cost[span_i + j] = (n - free_n) * bytes;
    }
}

static void survey_free(struct survey *v)
{
    free(v->cost);
    free(v->head);
    free(v->class_free);
}

static bool survey_take(const struct attachment *a, struct survey *v)
{
    const struct segment *s = a->segment;
    v->cost = malloc(s->geo.spans_n * sizeof *v->cost);
    v->head = malloc(s->geo.spans_n * sizeof *v->head);
    v->class_free = calloc(s->classes.n + 1, sizeof *v->class_free);
    if (v->cost == NULL || v->head == NULL || v->class_free == NULL)
        return false;
    for (uint32_t i = 0; i < s->geo.spans_n; i++) {
        v->head[i] = i;
        v->cost[i] = SURVEY_NEVER;
    }
    for (uint32_t i = 0; i < s->geo.spans_n; i++) {
        uint64_t word = load_acquire_u64(&s->spans[i]); /* [span-ready] */
        if (span_state(word) == SPAN_FREE)
            v->cost[i] = (word & SPAN_BACKED) || !a->no_space ? 0 : SURVEY_NEVER;
        else if (segment_run_is_open(s, i, word))
            survey_run(s, v, i, word);
    }
    return true;
}

/* Can the other spans of its class take what this run holds? */
static bool survey_fits(const struct segment *s, const struct survey *v, uint32_t span_i)
{
    uint64_t word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
    if (!segment_run_is_open(s, span_i, word))
        return false;
    uint32_t class_i = span_class(word), n = segment_blocks_n(s, class_i);
    if (v->cost[span_i] == 0)
        return true;
    if (class_i == s->classes.n)
        return false;
    uint64_t live = v->cost[span_i] / s->classes.of[class_i].bytes, here = n - live;
    return v->class_free[class_i] >= here + live;
}

/* The run of blocks that costs least to empty into others of its class; it is not tried again. */
static bool survey_cheapest(const struct segment *s, struct survey *v, uint32_t class_i, uint32_t *ret_span)
{
    uint64_t best = SURVEY_NEVER;
    for (uint32_t i = 0; i < s->geo.spans_n; i++) {
        uint64_t word = load_relaxed_u64(&s->spans[i]); /* relaxed: survey_fits looks again */
        if (v->head[i] != i || v->cost[i] >= best || span_state(word) == SPAN_FREE)
            continue;
        if (span_class(word) == class_i && v->cost[i] != 0)
            continue; /* moving within the wanted class wins nothing */
        if (survey_fits(s, v, i)) {
            best = v->cost[i];
            *ret_span = i;
        }
    }
    if (best != SURVEY_NEVER)
        v->cost[*ret_span] = SURVEY_NEVER;
    return best != SURVEY_NEVER;
}

/* The window of `run` spans that costs least; windows begun at or below it are not tried again. */
static bool survey_window(const struct segment *s, struct survey *v, uint32_t run, uint32_t *ret_span)
{
    uint64_t best = SURVEY_NEVER;
    for (uint32_t i = 0; i + run <= s->geo.spans_n; i++) {
        uint64_t cost = 0;
        for (uint32_t j = 0; j < run && cost < best; j++) {
            uint64_t one = v->cost[i + j];
            bool counted = j > 0 && v->head[i + j] == v->head[i + j - 1];
            cost = one == SURVEY_NEVER ? SURVEY_NEVER : cost + (counted ? 0 : one);
        }
        if (cost < best) {
            best = cost;
            *ret_span = i;
        }
    }
    return best != SURVEY_NEVER;
}

static bool window_empty(struct attachment *a, struct survey *v, uint32_t span_i, uint32_t run)
{
    const struct segment *s = a->segment;
    for (uint32_t i = span_i; i < span_i + run; i++) {
        uint64_t word = load_acquire_u64(&s->spans[i]); /* [span-ready] */
        if (span_state(word) == SPAN_FREE)
            continue;
        /* Records may go to unused spans outside the window as well: the window must come out whole. */
        if (!evacuate_run(a, v->head[i], true, true)) {
            v->cost[i] = SURVEY_NEVER; /* no window over it is tried again */
            return false;
        }
    }
    return true;
}

/* A row of `run` spans: nothing may be copied into it meanwhile. */
static bool evacuate_window(struct attachment *a, struct survey *v, uint32_t run)
{
    bool whole = false;
    uint32_t span_i = 0;
    while (!whole && survey_window(a->segment, v, run, &span_i)) {
        a->avoid_at = span_i;
        a->avoid_n = run;
        whole = window_empty(a, v, span_i, run);
        a->avoid_n = 0;
    }
    return whole;
}

static bool evacuate_some(struct attachment *a, struct survey *v, uint32_t class_i)
{
    uint32_t freed_n = 0, span_i = 0;
    while (freed_n < SPANS_PER_SURVEY && survey_cheapest(a->segment, v, class_i, &span_i))
        freed_n += evacuate_run(a, span_i, true, false);
    return freed_n > 0;
}

bool evacuate_for(struct attachment *a, uint32_t class_i, uint32_t run)
{
    struct survey v = { 0 };
    bool freed = survey_take(a, &v) &&
                 (run > 1 ? evacuate_window(a, &v, run) : evacuate_some(a, &v, class_i));
    survey_free(&v);
    return freed;
}
