/* SPDX-License-Identifier: MIT */
#include "memory/count.h"

#include "memory/hazard.h"

static int64_t delta_of(uint64_t counter)
{
    return (counter & COUNTER_PENDING_MASK) == COUNTER_PLUS ? 1 : -1;
}

/* Clear the pending mark, adding its delta where it took place.  False: somebody else did. */
static bool counter_finish(struct entry *e, uint64_t counter, bool happened)
{
    int64_t count = counter_count(counter) + (happened ? delta_of(counter) : 0);
    return cas_u64(&e->counter, counter, counter_pack(count, counter, 0)); /* [counter] */
}

void count_help(const struct segment *s, uint64_t block, uint64_t h)
{
    if (h_state(h) == BLOCK_PUB && !(h & H_PENDING))
        return;
    uint32_t owner = h_owner(h);
    if (owner >= s->geo.entries_n)
        return;
    struct entry *e = &s->entries[owner];
    uint64_t counter = load_acquire_u64(&e->counter); /* [counter] */
    if ((counter & COUNTER_PENDING_MASK) == 0)
        return;
    /* Should the owner have gone on meanwhile, the counter's seq differs and the CAS fails. */
    if (load_relaxed_u64(&e->pending_block) == block && load_relaxed_u64(&e->pending_h) == h)
        (void)counter_finish(e, counter, true);
}

void count_settle(struct attachment *a, struct entry *e)
{
    struct segment *s = a->segment;
    uint64_t counter = load_acquire_u64(&e->counter); /* [counter] */
    if ((counter & COUNTER_PENDING_MASK) == 0)
        return;
    uint64_t block = load_relaxed_u64(&e->pending_block), h = load_relaxed_u64(&e->pending_h);
    /* Whoever moves H on from pending_h settles this counter first, so H tells.  The bytes may belong to
     * a reformatted span by then: the comparison may not be fooled by payload, hence the guard.  While the
     * span word changes the question is open, and asked again. */
    struct block_place place;
    bool happened = false, held = false;
    while (!held && segment_locate(s, block, &place)) {
        held = hazard_guard_span(a, place.span_i, place.span_word);
        happened = held && load_acquire_u64(segment_block(s, block)) == h; /* [block-state] */
    }
    (void)counter_finish(e, counter, happened);
    hazard_clear(a, HAZARD_GUARD);
}

int64_t count_sum(const struct segment *s)
{
    int64_t sum = 0;
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++)
        sum += counter_count(load_acquire_u64(&s->entries[i].counter)); /* [counter] */
    return sum;
}

/* A block that is named for retirement, and unlinked, but not retired: it is still counted.  One that a slot
 * names is not unlinked yet, or the name is old and the block another record's by now. */
static bool is_unlinked_uncounted(const struct segment *s, uint64_t block)
{
    struct block_place place;
    if (block == 0 || !segment_locate(s, block, &place))
        return false;
    uint64_t h = load_acquire_u64(segment_block(s, block)); /* [block-state] */
    return h_holds_record(h) && !segment_is_referenced(s, block, h);
}

static bool entry_is_at_rest(const struct segment *s, const struct entry *e)
{
    if ((load_acquire_u64(&e->counter) & COUNTER_PENDING_MASK) != 0) /* [counter] */
        return false;
    if (load_acquire_u32(&e->attached) == ENTRY_UNUSED) /* [attached] */
        return true;
    for (uint32_t i = 0; i < OWNED_N; i++)
        if (load_acquire_u64(&e->owned[i]) != 0) /* [entry-names] */
            return false;
    for (uint32_t i = 0; i < RETIRED_N; i++)
        if (is_unlinked_uncounted(s, load_acquire_u64(&e->retired[i]))) /* [entry-names] */
            return false;
    return true;
}

bool count_is_at_rest(const struct segment *s)
{
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++)
        if (!entry_is_at_rest(s, &s->entries[i]))
            return false;
    return true;
}

uint64_t count_fingerprint(const struct segment *s)
{
    uint64_t print = 0;
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++) /* a counter's seq grows with every change, so its word does not repeat soon */
        print = (print ^ load_acquire_u64(&s->entries[i].counter)) * 0x9e3779b97f4a7c15u; /* [counter] */
    return print;
}
