/* SPDX-License-Identifier: MIT */
#include "memory/retire.h"

#include "memory/count.h"
#include "memory/evacuate.h"

#define RECLAIM_AT 32u    /* a look at all hazards for this many blocks */
#define RECLAIM_AGAIN 16u /* and for this many more than were left pinned */
#define GARBAGE_SHARE 64u /* all attachments together keep at most 1/64 of the heap back, beside pins */

/* Shares of 1/2, 1/6, 1/12, ... by index add up to 1, however many attach, and when. */
static uint64_t garbage_limit(const struct attachment *a)
{
    uint64_t n = (uint64_t)a->index + 1;
    return a->segment->geo.heap_bytes / GARBAGE_SHARE / (n * (n + 1));
}

static_assert(RETIRED_N == 64, "one bit each");

static void list_set(struct attachment *a, uint32_t i, const struct block_place *place, uint64_t h)
{
    a->retired[i] = (struct retired_block){ *place, h };
    a->retired_free &= ~((uint64_t)1 << i);
    a->retired_n++;
    a->retired_bytes += place->bytes;
}

/* The list is full of pinned blocks: let go of one that is RETIRED already, for any sweep to find.  At most
 * the operation's and an evacuation's are not. */
static void list_forget_one(struct attachment *a)
{
    uint32_t i = a->retired_forget++ % RETIRED_N;
    while (a->retired[i].h == 0)
        i = (i + 1) % RETIRED_N;
    retire_unname(a, i);
}

uint32_t retire_name(struct attachment *a, const struct block_place *place)
{
    if (a->retired_free == 0)
        retire_reclaim(a);
    if (a->retired_free == 0)
        list_forget_one(a);
    uint32_t i = (uint32_t)__builtin_ctzll(a->retired_free);
    list_set(a, i, place, 0);
    store_release_u64(&a->entry->retired[i], place->block); /* [entry-names] */
    return i;
}

void retire_unname(struct attachment *a, uint32_t i)
{
    a->retired_bytes -= a->retired[i].place.bytes;
    a->retired_n--;
    a->retired_free |= (uint64_t)1 << i;
    store_release_u64(&a->entry->retired[i], 0); /* [entry-names] */
}

/* PUB or OWNED -> RETIRED(me).  0: somebody else has moved it on. */
static uint64_t block_retire(struct attachment *a, uint64_t block, uint64_t h)
{
    const struct segment *s = a->segment;
    shared_u64 *word = segment_block(s, block);
    for (uint64_t generation = h_generation(h); h_generation(h) == generation && h_holds_record(h);
         h = load_acquire_u64(word)) { /* [block-state] */
        uint64_t to = h_pack(generation, a->index, BLOCK_RETIRED);
        count_help(s, block, h);
        if (h_state(h) == BLOCK_PUB ? count_cas(a, block, h, to) : cas_u64(word, h, to)) /* [block-state] */
            return to;
    }
    return 0;
}

void retire_commit(struct attachment *a, uint32_t i, const struct block_place *place, uint64_t h)
{
    uint64_t retired = block_retire(a, place->block, h);
    if (retired == 0) {
        retire_unname(a, i);
        return;
    }
    a->retired[i].h = retired;
}

void retire_now_and_then(struct attachment *a)
{
    if (a->retired_n >= a->retired_trigger || a->retired_bytes > garbage_limit(a))
        retire_reclaim(a);
}

static bool free_unpinned(struct attachment *a, const struct block_place *place, uint64_t h)
{
    bump_relaxed_u64(&a->entry->freed, 1); /* before the CAS: who sees an old sum saw an old heap */
    if (h_owner(h) != a->index)
        count_help(a->segment, place->block, h);
    if (!cas_u64(segment_block(a->segment, place->block), h, h_pack(h_generation(h), 0, BLOCK_FREE))) /* [block-state] */
        return false;
    if (place->class_i == a->segment->classes.n) {
        heap_publish(a->segment, place);
        (void)evacuate_span(a, place->span_i, false);
    } else {
        heap_offer(a, place);
    }
    return true;
}

bool retire_free(struct attachment *a, const struct block_place *place, uint64_t h, const struct hazard_set *set)
{
    return !hazard_set_pins(set, place->block) && free_unpinned(a, place, h);
}

void retire_abandon(struct attachment *a, const struct block_place *place, uint64_t h)
{
    uint32_t i = retire_name(a, place); /* [entry-names] dies here: the name is dropped, the block found again */
    retire_commit(a, i, place, h);
}

/* Free entry i of the list unless it is pinned.  It may have been adopted, freed and even reformatted by
 * others: the guard and the span word tell. */
static void list_free(struct attachment *a, uint32_t i, const struct hazard_set *set)
{
    const struct retired_block *r = &a->retired[i];
    struct block_place place = r->place;
    if (hazard_set_pins(set, place.block))
        return;
    bool there = true;
    while (there && !hazard_guard_span(a, place.span_i, place.span_word))
        there = segment_locate(a->segment, r->place.block, &place); /* its span's word has changed: look again */
    if (there && load_acquire_u64(segment_block(a->segment, place.block)) == r->h) /* [block-state] */
        (void)free_unpinned(a, &place, r->h);
    retire_unname(a, i);
}

void retire_reclaim(struct attachment *a)
{
    struct hazard_set set = { 0 };
    if (hazard_collect(a, &set)) {
        for (uint64_t used = ~a->retired_free; used != 0; used &= used - 1) {
            uint32_t i = (uint32_t)__builtin_ctzll(used);
            if (a->retired[i].h != 0) /* else it is only named so far */
                list_free(a, i, &set);
        }
        hazard_clear(a, HAZARD_GUARD);
    }
    hazard_set_free(&set);
    uint32_t again = a->retired_n + RECLAIM_AGAIN;
    a->retired_trigger = again < RECLAIM_AT ? RECLAIM_AT : again > RETIRED_N ? RETIRED_N : again;
}

void retire_inherit(struct attachment *a)
{
    const struct segment *s = a->segment;
    a->retired_free = ~(uint64_t)0;
    a->retired_n = 0;
    a->retired_bytes = 0;
    a->retired_trigger = RECLAIM_AT;
    for (uint32_t i = 0; i < RETIRED_N; i++) {
        uint64_t block = load_relaxed_u64(&a->entry->retired[i]), h = 0;
        struct block_place place;
        if (block != 0 && segment_locate(s, block, &place) && hazard_guard_span(a, place.span_i, place.span_word))
            h = load_acquire_u64(segment_block(s, block)); /* [block-state] */
        if (h_state(h) == BLOCK_RETIRED && h_owner(h) == a->index) {
            list_set(a, i, &place, h);
        } else {
            store_release_u64(&a->entry->retired[i], 0); /* [entry-names] */
        }
    }
    hazard_clear(a, HAZARD_GUARD);
}
