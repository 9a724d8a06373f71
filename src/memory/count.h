/* SPDX-License-Identifier: MIT
 *
 * How many records are PUB: each transfer is counted exactly once, whoever dies in between.
 *
 * Order of one counted transfer by attachment p, and who finishes it if p dies behind each step:
 *   1 pending_block, pending_h   nobody: the counter says nothing yet
 *   2 counter: pending           the settler of p: H is not pending_h, so it only clears
 *   3 CAS H to pending_h         the settler of p, or whoever moves that H on: H is pending_h, so it adds
 *   4 counter: count, clear      done
 * pending_h carries p's index and the block's generation, so only p can have made it.  Step 4 is a store: whoever comes
 * before p with it makes the counter the same word, by a CAS that fails once p has been there.
 */
#ifndef SHOAL_MEMORY_COUNT_H
#define SHOAL_MEMORY_COUNT_H

#include "memory/attach.h"

/* CAS H of `block` from `from` to `to` and add +1 (`to` is PUB) or -1 (`to` is RETIRED) to the own count
 * if that worked.  The caller holds a hazard on the block and has called count_help for `from`. */
HOT_INLINE bool count_cas(struct attachment *a, uint64_t block, uint64_t from, uint64_t to)
{
    struct entry *e = a->entry;
    bool plus = h_state(to) == BLOCK_PUB;
    uint64_t idle = load_relaxed_u64(&e->counter); /* relaxed: not pending, so nobody else writes it */
    store_relaxed_u64(&e->pending_block, block);   /* relaxed: read only behind the counter */
    store_relaxed_u64(&e->pending_h, to);
    uint64_t pending = counter_pack(counter_count(idle), idle, plus ? COUNTER_PLUS : COUNTER_MINUS);
    store_release_u64(&e->counter, pending); /* [counter] */
    bool done = cas_u64(segment_block(a->segment, block), from, to); /* [block-state] */
    int64_t count = counter_count(idle) + (done ? plus ? 1 : -1 : 0);
    store_release_u64(&e->counter, counter_pack(count, pending, 0)); /* [counter] or a helper did, which it does only when done */
    return done;
}

/* OWNED -> PUB, counted.  H_PENDING stays set until the counter is settled, so that whoever retires the
 * record in between looks at the counter.  Dies before it is cleared: one look too many for somebody. */
HOT_INLINE bool count_publish(struct attachment *a, uint64_t block, uint64_t h)
{
    uint64_t pub = h_pack(h_generation(h), a->index, BLOCK_PUB);
    if (!count_cas(a, block, h, pub | H_PENDING))
        return false;
    (void)cas_u64(segment_block(a->segment, block), pub | H_PENDING, pub); /* [block-state] */
    return true;
}

/* Before H is moved on from `h`: settle the counter that may be pending on it. */
void count_help(const struct segment *s, uint64_t block, uint64_t h);

/* Settle the counter of an entry whose owner is dead; the caller holds its reap lock. */
void count_settle(struct attachment *a, struct entry *e);

/* Changes whenever any counter changes. */
uint64_t count_fingerprint(const struct segment *s);
int64_t count_sum(const struct segment *s);
/* Is nobody between the CAS on a slot and the count of it?  By what the entries name, so a process that was
 * stopped there shows too. */
bool count_is_at_rest(const struct segment *s);

#endif
