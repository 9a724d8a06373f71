/* SPDX-License-Identifier: MIT
 *
 * A process follows a map to its new geometry, and does its part of the move (table/move.h has the protocol).
 *
 * Files   The old segment and the new one have private names beside the map's, by their ids (name_kin), from before the
 *         switch on.  Behind the switch the new one takes the map's name: by rename, which whoever opens the map before that
 *         finishes.  The old one's private name goes when all of it has moved, and then `predecessor`.
 * Here    A call that begins on a segment with a successor opens that first: the handle's map becomes the new one, whose
 *         `old` is the other.  When nothing is left there to move, the next call lets go of it.
 */
#ifndef SHOAL_MAP_MOVE_H
#define SHOAL_MAP_MOVE_H

#include "map/registry.h"
#include "table/read.h"

/* Has the map moved on, or is there nothing left to move? */
static inline bool move_is_due(const struct open_map *open, const struct open_map *old)
{
    return segment_has_successor(open->segment) || (old != NULL && segment_predecessor(open->segment) == 0);
}

/* Then: outside of a call.  0, or why the map could not be followed. */
int move_turn(struct shoal *map);

/* A map that was just opened: what it is being moved from is opened, too. */
int move_open_old(struct open_map *open);

/* What the table does not hold: what is still to be moved, or TABLE_MOVED.  As read_key. */
__attribute__((noinline, cold)) int move_lookup(const struct call *call, const struct probe *p, struct read_sink *sink);

/* Before a writer touches a key: all of its home, and a little of the rest.  0, SHOAL_EFULL, SHOAL_ECORRUPT, SHOAL_EOS. */
__attribute__((noinline, cold)) int move_for(const struct call *call, const struct probe *p);

/* The rest, by a call that is pinned and attached.  What progress answers, not 0, ends it. */
int move_rest(const struct call *call, shoal_progress_fn *progress, void *arg);

/* Begin a call on the map as a whole, which has moved when this returns 0.  A reader waits for it, MOVE_WAIT_MS at most, then
 * SHOAL_CHANGED. */
#define MOVE_WAIT_MS 5000
int move_call_begin(struct shoal *map, struct call *ret_call);

#endif
