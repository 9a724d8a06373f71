/* SPDX-License-Identifier: MIT
 *
 * Entries leave the table, so that others have room.
 */
#ifndef SHOAL_TIER_ROOM_H
#define SHOAL_TIER_ROOM_H

#include "tier/tier.h"

/* The table's question (below.h). */
int tier_make_room(const struct below *below, struct attachment *a, const struct probe *p, uint64_t bytes,
                   uint32_t round);

/* For a record that comes up: only what is in the store already and was not used lately, from its home on.  0, SHOAL_EFULL
 * without a text. */
int tier_make_room_of_clean(struct tier *tier, struct attachment *a, const struct probe *p, uint64_t bytes);

#endif
