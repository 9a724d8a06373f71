/* SPDX-License-Identifier: MIT
 *
 * A walk over the table by slot index.
 *
 * A record stays in its slot as long as its key is present (updates and evacuation swing the slot in
 * place), so a key that is present during the whole walk is met exactly once.  Runs of groups whose
 * summary says "unused" are skipped: the summary is set before the record goes LIVE and cleared only by a
 * scan that found the run empty.
 */
#ifndef SHOAL_TABLE_WALK_H
#define SHOAL_TABLE_WALK_H

#include "table/read.h"

struct walk {
    uint64_t slot_i; /* the next slot to look at */
    uint64_t groups_read; /* how much the walk cost */
};

/* The entry in one slot, a deletion too (sink->deleted), whose buffers are set.  0, SHOAL_MISSING (none), SHOAL_SHORT,
 * SHOAL_CHANGED, SHOAL_ECORRUPT as walk_next. */
int walk_slot(const struct segment *s, struct attachment *a, uint64_t slot_i, struct read_sink *sink);

/* The next LIVE record into the sink, whose buffers are set.  a may be NULL; else a hot record is pinned after
 * lost races.  A value larger than sink->buf_bytes: SHOAL_SHORT, and the walk stays where it is.
 * 0, SHOAL_SHORT, SHOAL_END, SHOAL_CHANGED (a NULL, lost READ_ROUNDS races at one slot), SHOAL_ECORRUPT (the
 * walk goes on behind the bad slot). */
int walk_next(struct walk *w, const struct segment *s, struct attachment *a, struct read_sink *sink);

/* The next key of a table that was moved from, whether or not it has moved by now: into sink->key_buf.  0, SHOAL_END,
 * SHOAL_CHANGED and SHOAL_ECORRUPT as walk_next. */
int walk_next_key_old(struct walk *w, const struct segment *s, struct read_sink *sink);

#endif
