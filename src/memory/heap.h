/* SPDX-License-Identifier: MIT
 *
 * Blocks and spans.  H is the only truth about a block, the span word about a span; bitmaps, hints and
 * caches may lie.
 */
#ifndef SHOAL_MEMORY_HEAP_H
#define SHOAL_MEMORY_HEAP_H

#include "memory/attach.h"
#include "memory/hazard.h"

/* Who uses which of the entry's owned[]. */
enum owned_use {
    OWNED_RECORD, /* the record this operation makes */
    OWNED_COPY    /* evacuation: the copy */
};
static_assert(OWNED_COPY < OWNED_N, "within the entry");

/* A block that this attachment owns. */
struct heap_block {
    struct block_place place;
    uint64_t h;      /* OWNED(me) with its new generation */
    uint32_t owned_i; /* which owned[] of the entry names it */
    uint32_t hazard; /* and which hazard pins it */
};

/* Take a block of the class from what is free at hand: OWNED by the caller, named in owned[owned_i], pinned
 * by `hazard`.  may_claim: also from unused spans.
 * 0, SHOAL_MISSING where there is none, SHOAL_EOS from heap_claim. */
int heap_alloc_at_hand(struct attachment *a, uint32_t class_i, bool may_claim, uint32_t owned_i, uint32_t hazard,
                       struct heap_block *ret);

/* Give back a block that was never placed in a slot. */
void heap_free_unplaced(struct attachment *a, const struct heap_block *b);

/* Forget the name of an owned block that has become PUB or RETIRED. */
HOT_INLINE void heap_disown(struct attachment *a, const struct heap_block *b)
{
    store_release_u64(&a->entry->owned[b->owned_i], 0); /* [entry-names] */
    hazard_clear(a, b->hazard);
}

/* FREE, or where H is `retired`, by this attachment, and nobody pins it, RETIRED -> OWNED.  False: that is not so any more. */
HOT_INLINE bool heap_take(struct attachment *a, const struct block_place *f, uint64_t retired, uint32_t owned_i,
                          uint32_t hazard, struct heap_block *ret)
{
    const struct segment *s = a->segment;
    if (UNLIKELY(span_state(f->span_word) != SPAN_READY))
        return false;
    hazard_set(a, hazard, f->block); /* pins it, and keeps the span's format */
    if (UNLIKELY(load_seq_u64(&s->spans[f->span_i]) != f->span_word)) /* [hazard] */
        return false;
    shared_u64 *h = segment_block(s, f->block);
    uint64_t was = load_acquire_u64(h); /* [block-state] */
    if (UNLIKELY(was != retired && h_state(was) != BLOCK_FREE))
        return false;
    ret->place = *f;
    ret->h = h_pack(attach_generation(a), a->index, BLOCK_OWNED);
    ret->owned_i = owned_i;
    ret->hazard = hazard;
    store_release_u64(&a->entry->owned[owned_i], f->block); /* [entry-names] dies here: H is not mine, forgotten */
    if (UNLIKELY(!cas_u64(h, was, ret->h))) {                /* [block-own] dies here: settled through owned[] */
        store_release_u64(&a->entry->owned[owned_i], 0); /* [entry-names] */
        return false;
    }
    payload_write_fence(); /* [block-own] */
    return true;
}

/* A block became FREE: offer it again.  The caller guards its span. */
void heap_offer(struct attachment *a, const struct block_place *place);
/* The same, for all to find: never into the private cache. */
void heap_publish(const struct segment *s, const struct block_place *place);
bool heap_is_published(const struct segment *s, const struct block_place *place);

/* Free blocks of a run, and whether any span of a class may have one, by the hints. */
uint32_t heap_published_n(const struct segment *s, uint32_t span_i, uint32_t class_i);
bool heap_class_is_hinted(const struct segment *s, uint32_t class_i);

/* Claim `run` unused spans in a row and format them.  0, SHOAL_MISSING (no such row, or, with no_space set,
 * none that has memory, and the file system gives no more), SHOAL_EOS. */
int heap_claim(struct attachment *a, uint32_t class_i, uint32_t run, uint32_t *ret_span);

/* A record over all classes: a run of its own.  SHOAL_MISSING where there is no such row of spans. */
int heap_alloc_big(struct attachment *a, uint32_t run, uint32_t owned_i, uint32_t hazard, struct heap_block *ret);

/* A claimed run becomes unused spans; the head word is CLAIMED by index `owner`. */
void heap_unclaim(const struct segment *s, uint32_t span_i, uint32_t run, uint32_t owner);
/* What a dead attachment was claiming or releasing; the caller holds the entry's reap lock. */
void heap_settle_claim(const struct segment *s, struct entry *e, uint32_t owner);

/* Return cached hints to the bitmaps. */
void heap_flush_caches(struct attachment *a);

/* Free bytes by the hints, for error texts. */
struct heap_room {
    uint64_t free_bytes, largest;
};
void heap_room(const struct segment *s, struct heap_room *ret_room);

#endif
