/* SPDX-License-Identifier: MIT
 *
 * Unlinked records: from PUB over RETIRED to FREE.
 *
 * The order of an unlinking by attachment p, and who finishes it if p dies behind each step:
 *   1 name the block in retired[]     the settler of p: the slot still names it, so the name is dropped
 *   2 CAS the slot away from it       the settler of p, or any sweep: PUB and unreferenced
 *   3 count_cas PUB -> RETIRED(p)     the settler of p, or any sweep
 *   4 look at all hazards; RETIRED -> FREE
 */
#ifndef SHOAL_MEMORY_RETIRE_H
#define SHOAL_MEMORY_RETIRE_H

#include "memory/heap.h"

/* Step 1: returns the name's place in the list. */
uint32_t retire_name(struct attachment *a, const struct block_place *place);
/* The CAS of step 2 failed. */
void retire_unname(struct attachment *a, uint32_t i);
/* Step 3; h is H as last seen (PUB, or OWNED by the caller or a dead attachment, then it is not counted).
 * The caller pins the block. */
void retire_commit(struct attachment *a, uint32_t i, const struct block_place *place, uint64_t h);

/* A block that no slot names: OWNED by this attachment or a dead one, then it is not counted; or PUB. */
void retire_abandon(struct attachment *a, const struct block_place *place, uint64_t h);

/* Step 4 when there is enough of it; at an operation's end, when its own pins are gone. */
void retire_now_and_then(struct attachment *a);

/* Step 4 for whatever is not pinned. */
void retire_reclaim(struct attachment *a);

/* One block that the caller saw RETIRED (as h) before it collected `set`; the caller guards the span. */
bool retire_free(struct attachment *a, const struct block_place *place, uint64_t h, const struct hazard_set *set);

/* Take over the list of a dead predecessor of the same entry.  The caller holds its reap lock. */
void retire_inherit(struct attachment *a);

#endif
