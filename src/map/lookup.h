/* SPDX-License-Identifier: MIT
 *
 * Reading a key wherever it is.
 */
#ifndef SHOAL_MAP_LOOKUP_H
#define SHOAL_MAP_LOOKUP_H

#include "map/move.h"
#include "table/move.h"
#include "tier/tier.h"

/* As read_key, then as tier_read.  call->a may be NULL.  TABLE_MOVED: the call begins again. */
static inline int lookup_key(const struct call *call, const struct probe *p, struct read_sink *sink)
{
    int rc = read_key(call->segment, call->a, p, sink);
    if (rc == SHOAL_MISSING && !sink->deleted && (call->old != NULL || segment_has_successor(call->segment)))
        rc = move_lookup(call, p, sink);
    return rc == SHOAL_MISSING && call->map->tier != NULL && !sink->deleted ? tier_read(call->map->tier, call->a, p, sink)
                                                                            : rc;
}

/* 0 or SHOAL_MISSING where one look at a table without features, which nothing is moved to, says so; SHOAL_CHANGED: lookup_key
 * must say. */
HOT_INLINE int lookup_plainly(const struct segment *s, const struct probe *p, struct read_sink *sink)
{
    enum read_outcome outcome = read_at_once(s, p, sink);
    if (LIKELY(outcome == READ_MATCH))
        return 0;
    return outcome == READ_OTHER && !segment_has_successor(s) ? SHOAL_MISSING : SHOAL_CHANGED;
}

/* The same of a key that is in this slot, if nothing has happened since it was seen there: what a slot has that is in effect
 * counts, so the home's bound need not be asked. */
HOT_INLINE int lookup_slot_plainly(const struct segment *s, const struct probe *p, const shared_u64 *slot, struct read_sink *sink)
{
    const uint64_t w = load_acquire_u64(slot); /* [slot-publish] */
    return LIKELY(slot_finger(w) == p->finger) && read_slot_at_once(s, slot, w, p, sink) == READ_MATCH ? 0 : SHOAL_CHANGED;
}

/* The same of any. */
HOT_INLINE int lookup_at_once(const struct call *call, const struct probe *p, struct read_sink *sink)
{
    int rc = call->segment->geo.features == 0 ? lookup_plainly(call->segment, p, sink) : SHOAL_CHANGED;
    return rc == SHOAL_MISSING && call->old != NULL ? SHOAL_CHANGED : rc;
}

#endif
