/* SPDX-License-Identifier: MIT
 *
 * Unlinked records: from PUB over RETIRED to FREE, or to the next record of who retired them.
 *
 * The order of an unlinking by attachment p, and who finishes it if p dies behind each step:
 *   1 name the block in retired[]     the settler of p: the slot still names it, so the name is dropped
 *   2 CAS the slot away from it       the settler of p, or any sweep: PUB and unreferenced
 *   3 count_cas PUB -> RETIRED(p)     the settler of p, or any sweep
 *   4 look at all hazards             the settler of p, or any sweep
 *   5 RETIRED -> FREE, or by p alone, with the block named in owned[] too, RETIRED(p) -> OWNED(p)
 * What nobody pins in step 4 nobody will pin: no slot names it.  So step 5 may come any time later, and finds H as it was, or
 * somebody else has been there.
 */
#ifndef SHOAL_MEMORY_RETIRE_H
#define SHOAL_MEMORY_RETIRE_H

#include "memory/count.h"
#include "memory/heap.h"

/* -- The list ------------------------------------------------------------------------------------- */

/* Step 1: returns the name's place in the list. */
void retire_make_room(struct attachment *a);
HOT_INLINE uint32_t retire_name(struct attachment *a, const struct block_place *place)
{
    if (UNLIKELY(a->retired_free == 0))
        retire_make_room(a);
    uint32_t i = (uint32_t)__builtin_ctzll(a->retired_free);
    a->retired[i].place = *place;
    a->retired[i].h = 0;
    a->retired_free &= a->retired_free - 1;
    a->retired_n++;
    a->retired_bytes += place->bytes;
    store_release_u64(&a->entry->retired[i], place->block); /* [entry-names] */
    return i;
}

/* The CAS of step 2 failed, or the block is not this list's any more. */
void retire_unname(struct attachment *a, uint32_t i);

/* Step 3; h is H as last seen (PUB, or OWNED by the caller or a dead attachment, then it is not counted).
 * The caller pins the block. */
void retire_commit_slowly(struct attachment *a, uint32_t i, const struct block_place *place, uint64_t h);
HOT_INLINE void retire_commit(struct attachment *a, uint32_t i, const struct block_place *place, uint64_t h)
{
    uint64_t to = h_pack(h_generation(h), a->index, BLOCK_RETIRED);
    if (LIKELY((h & (H_STATE_MASK | H_PENDING)) == BLOCK_PUB && count_cas(a, place->block, h, to)))
        a->retired[i].h = to;
    else
        retire_commit_slowly(a, i, place, h);
}

/* A block that no slot names: OWNED by this attachment or a dead one, then it is not counted; or PUB. */
void retire_abandon(struct attachment *a, const struct block_place *place, uint64_t h);

/* -- Steps 4 and 5 -------------------------------------------------------------------------------- */

/* When there is enough of it; at an operation's end, when its own pins are gone. */
void retire_look(struct attachment *a);
HOT_INLINE void retire_now_and_then(struct attachment *a)
{
    if (UNLIKELY(a->retired_n >= a->retired_trigger || a->retired_bytes > a->retired_most))
        retire_look(a);
}

/* A block of the class that this attachment has retired, and nobody pins, or has found free.  It leaves the list or the cache, one
 * of which has any.  False: it was not what it was thought to be. */
bool retire_take_ready(struct attachment *a, uint32_t i, uint32_t owned_i, uint32_t hazard, struct heap_block *ret);
HOT_INLINE bool retire_take_hot(struct attachment *a, struct block_cache *cache, uint32_t owned_i, uint32_t hazard,
                                struct heap_block *ret)
{
    bool taken;
    if (LIKELY(cache->ready != 0)) {
        uint32_t i = (uint32_t)__builtin_ctzll(cache->ready);
        cache->ready &= cache->ready - 1;
        taken = retire_take_ready(a, i, owned_i, hazard, ret);
    } else {
        taken = heap_take(a, &cache->of[--cache->n], 0, owned_i, hazard, ret);
    }
    /* Of the next one only the first line was touched lately; a CAS behind the record's stores would wait for the others. */
    if (cache->ready != 0)
        segment_expect_block(a->segment, a->retired[__builtin_ctzll(cache->ready)].place.block, true);
    else if (cache->n > 0)
        segment_expect_block(a->segment, cache->of[cache->n - 1].block, true);
    return taken;
}

/* RETIRED -> FREE for whatever is not pinned. */
void retire_reclaim(struct attachment *a);

/* One block that the caller saw RETIRED (as h) before it collected `set`; the caller guards the span. */
bool retire_free(struct attachment *a, const struct block_place *place, uint64_t h, const struct hazard_set *set);

/* Take over the list of a dead predecessor of the same entry.  The caller holds its reap lock. */
void retire_inherit(struct attachment *a);

#endif
