/* SPDX-License-Identifier: MIT
 *
 * Finding room for a record, by all means (guarantee H).
 */
#ifndef SHOAL_MEMORY_ROOM_H
#define SHOAL_MEMORY_ROOM_H

#include "memory/heap.h"

/* Take a block for `bytes`, as heap_alloc_at_hand does.  Where none is free at hand, in this order: the own
 * retired list, the dead, others' retired blocks and lost hints (a sweep), spans emptied by evacuation, a
 * row of spans for this record alone, a free block of a larger class.
 * 0, SHOAL_EFULL, SHOAL_ETOOBIG, SHOAL_EOS, each with a text. */
int room_alloc(struct attachment *a, uint64_t bytes, uint32_t owned_i, uint32_t hazard, struct heap_block *ret);

/* The first two of these means alone: SHOAL_MISSING where they give none. */
int room_alloc_at_hand(struct attachment *a, uint64_t bytes, uint32_t owned_i, uint32_t hazard, struct heap_block *ret);

#endif
