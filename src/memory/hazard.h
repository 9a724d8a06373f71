/* SPDX-License-Identifier: MIT
 *
 * Hazards: which blocks somebody relies on (after Michael, 2004).
 *
 * A pin says "do not reuse this block": its holder re-reads the word that named the block behind the
 * store, so a block that was unlinked before is not used, and one that is unlinked later is seen pinned
 * by whoever scans all hazards before freeing it.
 * A guard says "do not reformat the span of this block": its holder re-reads the span word behind the
 * store, and finds READY or DRAIN; who reformats looks at all hazards after it made the span CLOSED.
 * Every CAS on an H, and every write to a bitmap inside a span, happens under a pin or a guard.
 */
#ifndef SHOAL_MEMORY_HAZARD_H
#define SHOAL_MEMORY_HAZARD_H

#include "memory/attach.h"

/* Who uses which of the entry's hazards, so that nested work never overwrites an outer one. */
enum hazard_use {
    HAZARD_OWN,     /* the record this operation makes */
    HAZARD_FOUND,   /* the record it found under the key */
    HAZARD_RIVAL,   /* a slot met while resolving */
    HAZARD_TARGET,  /* the lower TENT that is resolved first */
    HAZARD_GUARD,   /* the span that heap work goes on in */
    HAZARD_MOVE_TO, /* evacuation: the copy */
    HAZARD_SETTLE,  /* the block being settled, or moved */
    HAZARD_SPARE
};
static_assert(HAZARD_SPARE < HAZARDS_OP, "within the entry");

#define HAZARD_GUARD_BIT 1u /* blocks are multiples of 8 */

static inline void hazard_set(struct attachment *a, uint32_t i, uint64_t block)
{
    store_seq_u64(&a->entry->hazard[i], block); /* [hazard] */
}

static inline void hazard_clear(struct attachment *a, uint32_t i)
{
    /* Release: what was read under the hazard was read before. */
    store_release_u64(&a->entry->hazard[i], 0); /* [hazard] */
}

/* Guard the span of a block and see that it still is what `word` says. */
static inline bool hazard_guard_span(struct attachment *a, uint32_t span_i, uint64_t word)
{
    const struct segment *s = a->segment;
    hazard_set(a, HAZARD_GUARD, segment_span_at(s, span_i) | HAZARD_GUARD_BIT);
    return load_seq_u64(&s->spans[span_i]) == word; /* [hazard] */
}

/* All hazards at one look, sorted. */
struct hazard_set {
    uint64_t *of; /* block | guard bit */
    size_t n, room;
};

/* Collect every entry's hazards but the caller's own guard.  False where memory is short: then treat
 * everything as pinned. */
bool hazard_collect(struct attachment *a, struct hazard_set *ret_set);
bool hazard_set_has(const struct hazard_set *set, uint64_t block);
static inline bool hazard_set_pins(const struct hazard_set *set, uint64_t block)
{
    return set->n > 0 && hazard_set_has(set, block);
}
/* Any hazard, pin or guard, in [from, to)? */
bool hazard_set_touches(const struct hazard_set *set, uint64_t from, uint64_t to);
void hazard_set_free(struct hazard_set *set);

#endif
