/* SPDX-License-Identifier: MIT
 *
 * Copying entries down.
 */
#ifndef SHOAL_TIER_COPY_H
#define SHOAL_TIER_COPY_H

#include "table/mutate.h"
#include "tier/tier.h"

#define COPY_LOCK_MS 2000 /* a writer waits for the store's holder */
#define COPY_BATCH 1024u
#define COPY_BYTES ((uint64_t)8 << 20) /* of values in one publish */

/* An entry that is to be copied, or was: `w` and `generation` tell whether the slot still means that record. */
struct copy {
    uint64_t slot_i, w, generation, hash;
};
struct copies {
    struct copy of[COPY_BATCH];
    uint32_t n;
    uint64_t bytes;
};

static inline bool copies_are_full(const struct copies *c) { return c->n == COPY_BATCH || c->bytes >= COPY_BYTES; }
void copies_add(const struct segment *s, struct copies *c, const struct mutate_found *found);

/* A hint: the entries behind this one are looked at next. */
#define EXPECTED_BELOW_BYTES 8u /* of a record, behind the lengths: the word that tells what is below */
void copies_expect(const struct segment *s, const struct copies *c, uint32_t i);

/* Is what the slot means by its record in the store? */
bool copy_is_clean(const struct mutate_found *found);

/* Under the store's lock: those that are still in effect go down, are published or committed (`end`), and marked.  What
 * cannot be copied is left as it is, and the first reason returned. */
int copy_down(struct tier *tier, struct attachment *a, struct copies *copies, int end(struct store *store));

#endif
