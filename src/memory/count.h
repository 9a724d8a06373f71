/* SPDX-License-Identifier: MIT
 *
 * How many records are PUB: each transfer is counted exactly once, whoever dies in between.
 *
 * Order of one counted transfer by attachment p, and who finishes it if p dies behind each step:
 *   1 pending_block, pending_h   nobody: the counter says nothing yet
 *   2 counter: pending           the settler of p: H is not pending_h, so it only clears
 *   3 CAS H to pending_h         the settler of p, or whoever moves that H on: H is pending_h, so it adds
 *   4 CAS counter: count, clear  done
 * pending_h carries p's index and the block's generation, so only p can have made it.
 */
#ifndef SHOAL_MEMORY_COUNT_H
#define SHOAL_MEMORY_COUNT_H

#include "memory/attach.h"

/* CAS H of `block` from `from` to `to` and add +1 (`to` is PUB) or -1 (`to` is RETIRED) to the own count
 * if that worked.  The caller holds a hazard on the block and has called count_help for `from`. */
bool count_cas(struct attachment *a, uint64_t block, uint64_t from, uint64_t to);

/* OWNED -> PUB, counted.  H_PENDING stays set until the counter is settled, so that whoever retires the
 * record in between looks at the counter.  Dies before it is cleared: one look too many for somebody. */
bool count_publish(struct attachment *a, uint64_t block, uint64_t h);

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
