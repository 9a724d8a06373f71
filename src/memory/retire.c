/* SPDX-License-Identifier: MIT */
#include "memory/retire.h"

#include "memory/evacuate.h"

#define LOOK_AT 24u       /* a look at all hazards for this many blocks */
#define LOOK_AGAIN 16u    /* and for this many more than were left pinned */
#define GARBAGE_SHARE 64u /* all attachments together keep at most 1/64 of the heap back, beside pins */

/* Shares of 1/2, 1/6, 1/12, ... by index add up to 1, however many attach, and when. */
static uint64_t garbage_limit(const struct attachment *a)
{
    uint64_t n = (uint64_t)a->index + 1;
    return a->segment->geo.heap_bytes / GARBAGE_SHARE / (n * (n + 1));
}

static_assert(RETIRED_N == 64, "one bit each");

static uint64_t list_bit(uint32_t i) { return (uint64_t)1 << i; }

/* -- The list ------------------------------------------------------------------------------------- */

/* The list is full of pinned blocks: let go of one that is RETIRED already, for any sweep to find.  At most
 * the operation's and an evacuation's are not. */
static void list_forget_one(struct attachment *a)
{
    uint32_t i = a->retired_forget++ % RETIRED_N;
    while (a->retired[i].h == 0)
        i = (i + 1) % RETIRED_N;
    retire_unname(a, i);
}

void retire_make_room(struct attachment *a)
{
    retire_reclaim(a);
    if (a->retired_free == 0)
        list_forget_one(a);
}

void retire_unname(struct attachment *a, uint32_t i)
{
    if (a->retired_ready & list_bit(i))
        a->retired_ready &= ~list_bit(i);
    else
        a->retired_n--;
    a->retired_bytes -= a->retired[i].place.bytes;
    a->retired_free |= list_bit(i);
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

void retire_commit_slowly(struct attachment *a, uint32_t i, const struct block_place *place, uint64_t h)
{
    uint64_t retired = block_retire(a, place->block, h);
    if (retired == 0) {
        retire_unname(a, i);
        return;
    }
    a->retired[i].h = retired;
}

void retire_abandon(struct attachment *a, const struct block_place *place, uint64_t h)
{
    uint32_t i = retire_name(a, place); /* [entry-names] dies here: the name is dropped, the block found again */
    retire_commit_slowly(a, i, place, h);
}

/* -- RETIRED -> FREE --------------------------------------------------------------------------------- */

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

/* Free entry i of the list, which nobody pins.  It may have been adopted, freed and even reformatted by others: the guard and
 * the span word tell. */
static void list_free(struct attachment *a, uint32_t i)
{
    const struct retired_block *r = &a->retired[i];
    struct block_place place = r->place;
    bool there = true;
    while (there && !hazard_guard_span(a, place.span_i, place.span_word))
        there = segment_locate(a->segment, r->place.block, &place); /* its span's word has changed: look again */
    if (there && load_acquire_u64(segment_block(a->segment, place.block)) == r->h) /* [block-state] */
        (void)free_unpinned(a, &place, r->h);
    retire_unname(a, i);
}

/* Bits of the list that nobody pins. */
static uint64_t list_unpinned(struct attachment *a)
{
    uint64_t unpinned = a->retired_ready, rest = ~(a->retired_free | unpinned);
    struct hazard_set set = { 0 };
    if (rest == 0 || !hazard_collect(a, &set))
        rest = 0;
    for (; rest != 0; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        if (a->retired[i].h != 0 && !hazard_set_pins(&set, a->retired[i].place.block)) /* else it is only named so far */
            unpinned |= list_bit(i);
    }
    hazard_set_free(&set);
    return unpinned;
}

static void list_free_all(struct attachment *a, uint64_t bits)
{
    for (uint64_t ready = a->retired_ready & bits; ready != 0; ready &= ready - 1) {
        struct block_cache *cache = a->cache[a->retired[__builtin_ctzll(ready)].place.class_i];
        cache->ready &= ~bits;
    }
    for (; bits != 0; bits &= bits - 1)
        list_free(a, (uint32_t)__builtin_ctzll(bits));
    hazard_clear(a, HAZARD_GUARD);
}

static void list_trigger(struct attachment *a)
{
    uint32_t again = a->retired_n + LOOK_AGAIN;
    a->retired_trigger = again < LOOK_AT ? LOOK_AT : again > RETIRED_N ? RETIRED_N : again;
}

void retire_reclaim(struct attachment *a)
{
    list_free_all(a, list_unpinned(a));
    list_trigger(a);
}

/* -- RETIRED -> OWNED -------------------------------------------------------------------------------- */

bool retire_take_ready(struct attachment *a, uint32_t i, uint32_t owned_i, uint32_t hazard, struct heap_block *ret)
{
    const struct retired_block *r = &a->retired[i];
    if (UNLIKELY(!heap_take(a, &r->place, r->h, owned_i, hazard, ret))) {
        list_free(a, i);
        hazard_clear(a, HAZARD_GUARD);
        return false;
    }
    bump_relaxed_u64(&a->entry->freed, 1); /* statistics: it was given back, and taken */
    retire_unname(a, i); /* dies before: both names lead to it; what the first one settled the second finds settled */
    return true;
}

/* What was ready at the last look, and was not taken since, is freed. */
static void list_make_ready(struct attachment *a)
{
    uint64_t old = a->retired_ready, bits = list_unpinned(a) & ~old;
    list_free_all(a, old);
    for (; bits != 0; bits &= bits - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(bits), class_i = a->retired[i].place.class_i;
        struct block_cache *cache = class_i < a->segment->classes.n ? a->cache[class_i] : NULL;
        if (cache == NULL) {
            list_free(a, i);
            continue;
        }
        cache->ready |= list_bit(i);
        a->retired_ready |= list_bit(i);
        a->retired_n--;
    }
    hazard_clear(a, HAZARD_GUARD);
    list_trigger(a);
}

void retire_look(struct attachment *a)
{
    if (a->retired_bytes > a->retired_most)
        retire_reclaim(a);
    else
        list_make_ready(a);
}

void retire_inherit(struct attachment *a)
{
    const struct segment *s = a->segment;
    a->retired_free = ~(uint64_t)0;
    a->retired_ready = 0;
    a->retired_n = 0;
    a->retired_bytes = 0;
    a->retired_most = garbage_limit(a);
    a->retired_trigger = LOOK_AT;
    for (uint32_t i = 0; i < RETIRED_N; i++) {
        uint64_t block = load_relaxed_u64(&a->entry->retired[i]), h = 0;
        struct block_place place;
        if (block != 0 && segment_locate(s, block, &place) && hazard_guard_span(a, place.span_i, place.span_word))
            h = load_acquire_u64(segment_block(s, block)); /* [block-state] */
        if (h_state(h) == BLOCK_RETIRED && h_owner(h) == a->index) {
            a->retired[i] = (struct retired_block){ place, h };
            a->retired_free &= ~list_bit(i);
            a->retired_n++;
            a->retired_bytes += place.bytes;
        } else {
            store_release_u64(&a->entry->retired[i], 0); /* [entry-names] */
        }
    }
    hazard_clear(a, HAZARD_GUARD);
}
