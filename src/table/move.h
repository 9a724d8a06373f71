/* SPDX-License-Identifier: MIT
 *
 * From one table to another while both are in use: a map moves to a new geometry.
 *
 * The instant of the switch is a CAS on the old segment's `successor`.  From then on each call that begins works on the new
 * table, and what it finds there counts; for a key without an entry there, what the old one holds does.  Nobody writes to a
 * key in the new table before all of the key's home has been moved: by the writer himself, a window, however long the whole
 * takes (guarantee B).  Whoever dies in the middle leaves nothing to be repaired: everybody does all of it.
 *
 *   a slot of the old table, by anybody who knows of the successor
 *     TENT -> ABRT                 its owner sees that it was killed, and follows
 *     LIVE, BELOW -> SEALED        counts still; no writer of the old table changes it any more
 *     TOMB -> SEALED_TOMB
 *     SEALED(r): a copy of r is inserted in the new table by the rules of insert.h.  Whoever commits it, helpers too, looks
 *     behind his scan whether r is SEALED still: else another copy was committed, and perhaps deleted since
 *     SEALED -> MOVED              the new table has the key, or what is below has (a clean entry above a store)
 *   META_MOVED of the home         behind a pass over its window, whose bound was read behind the switch
 *
 * Who has not noticed the switch may go on in the old table as long as he finds what he looks for: a slot that is not
 * sealed is of a home that has not moved.  Who finds nothing there, and who is about to commit a TENT, looks at `successor`
 * first.  So a TENT that may still be committed was placed, and its bound raised, before the switch: the pass meets it.
 *
 * Blocks of the old segment that a sealed or moved slot names are never freed: they are read without hazards, and a walk
 * that began there can end there.  tests/models/move.pml has these rules, each with the variant that breaks it.
 */
#ifndef SHOAL_TABLE_MOVE_H
#define SHOAL_TABLE_MOVE_H

#include "table/read.h"

/* An answer inside the library: nothing was done, the call belongs to the successor. */
#define TABLE_MOVED (INT32_MAX - 2)

/* Is there an entry of this key that is sealed and has not moved?  p is the new table's. */
bool move_is_sealed(const struct segment *old, const struct probe *p);

/* Is there, or was there when it moved, an entry of this key?  p is the new table's. */
bool move_is_known(const struct segment *old, const struct probe *p);

/* The key's record in the old table, by p of the new one; as read_key, without hazards.  SHOAL_MISSING without `deleted`: look
 * at the new table again, it may have moved there in between. */
int move_read(const struct segment *old, const struct probe *p, struct read_sink *sink);

/* All of a home of the old table.  a: of the new one.  *io_n grows with each record.  0, SHOAL_EFULL (no room for it in the new
 * segment), SHOAL_ECORRUPT, SHOAL_EOS. */
int move_home(struct attachment *a, const struct segment *old, uint64_t home, uint32_t *io_n);
/* The home of this key. */
int move_key(struct attachment *a, const struct segment *old, const struct probe *p, uint32_t *io_n);

/* Keys that are still to be moved, by one look at the slots. */
uint64_t move_left_n(const struct segment *old);

bool move_home_is_done(const struct segment *old, uint64_t home);

#endif
