/* SPDX-License-Identifier: MIT
 *
 * What the dead, the idle and the slow left behind.  Each step is one CAS that anybody may make, any
 * number at once, from what H and the slot say:
 *   OWNED(dead)  slot TENT -> ABRT -> FREE, then RETIRED; slot LIVE -> PUB; not referenced -> RETIRED
 *   PUB          not referenced -> RETIRED (its unlinker died or is slow: the CAS picks one)
 *   RETIRED(q)   no hazard -> FREE, q alive or not, so that nobody's idle list withholds memory
 *   FREE         missing from the bitmap -> entered
 *   SEALED       in a READY span -> FREE
 * OWNED by a living attachment is the only state that nobody else touches.
 */
#ifndef SHOAL_MEMORY_SETTLE_H
#define SHOAL_MEMORY_SETTLE_H

#include "memory/heap.h"
#include "memory/retire.h"

struct settle_count {
    uint32_t dead, undecided;
    uint64_t aborted, completed, blocks;
};

/* Settle an OWNED block of a dead attachment, or a PUB one that may be unreferenced.  `place` was located
 * by the caller, who also saw H == h and, for OWNED, then the death.  False: not done, the span word is
 * another now. */
bool settle_block(struct attachment *a, const struct block_place *place, uint64_t h, struct settle_count *count);

/* Settle everything that an entry names.  The caller holds its reap lock and knows that its owner is dead
 * (or is itself). */
void settle_entry(struct attachment *a, uint32_t index, struct settle_count *count);

/* Settle one dead attachment if it is one.  True: it was dead. */
bool settle_if_dead(struct attachment *a, uint32_t index, struct settle_count *count);
/* All of them. */
void settle_all_dead(struct attachment *a, struct settle_count *count);

/* Sweep the whole heap. */
void settle_sweep(struct attachment *a, struct settle_count *count);

/* Called by every writing operation: now and then a look at one other entry and a piece of the heap. */
#define SETTLE_EVERY 256u /* operations between looks at others: 0.5 us of lock query per look */
void settle_some(struct attachment *a);
HOT_INLINE void settle_now_and_then(struct attachment *a)
{
    if (UNLIKELY(++a->ops % SETTLE_EVERY == 0))
        settle_some(a);
}

/* Above a store: the groups of what the entry's thread may have changed without having said so, dead or about to: what it
 * has a name for or a hazard on. */
void settle_set_dirty(const struct segment *s, const struct entry *e);

/* Grows with every operation that may make memory free. */
uint64_t settle_activity(const struct segment *s);

#endif
