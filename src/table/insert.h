/* SPDX-License-Identifier: MIT
 *
 * Getting a new key into the table (after Purcell and Harris, 2005), and bounds and summaries.
 *
 *   1 place    FREE -> TENT          dies here: settled (TENT -> ABRT -> FREE), or committed by a helper
 *   2 summary, bound raised to reach it, clearing pending scans        (R1: before the scan, R4)
 *   3 scan     LIVE(k): give up; TENT(k) lower: resolve that one first; TENT(k) higher: re-check the own
 *              word, then kill it                                       (R2, R3)
 *              A promotion is killed by every rival, lower or higher, and kills none: it gives up     (T6)
 *   4 commit   TENT -> LIVE          takes effect here; by the owner or any helper
 *              Above a store: the key's spill bit is looked at behind the scan; where it is set, TENT -> BELOW (T5).
 *              A record that depends on what lies below is looked at again there: another version, TENT -> ABRT
 *              A copy of a record in the table that is moved from: no longer SEALED there, TENT -> ABRT.  Where the map has
 *              moved on from this table: TENT -> ABRT (move.h)
 *   5 the owner reads its final word: ABRT -> FREE itself, anything else was committed
 * Were the scan before the bound, two inserters could each miss the other and both commit; were the
 * lower one killed, three could kill each other in a ring.
 */
#ifndef SHOAL_TABLE_INSERT_H
#define SHOAL_TABLE_INSERT_H

#include "table/record.h"

enum insert_outcome { INSERT_DONE, INSERT_ABORTED, INSERT_FULL, INSERT_FAILED };

/* Insert the written record in b, whose word `below` is.  DONE: committed and PUB; b is the map's.  ABORTED: the key is
 * there or a rival won; b was given up, take a new one.  FULL: no slot; b is still the caller's.  FAILED: bytes that
 * contradict each other, or what lies below cannot be read; b was given up. */
enum insert_outcome insert_record(struct attachment *a, const struct probe *p, const struct heap_block *b,
                                  uint64_t below, int *ret_code);

/* A slot of this home and group became FREE: lower the bound and the summary as far as possible. */
void insert_lower(struct attachment *a, uint64_t home, uint64_t group);

/* Pin what a slot's word names, and open it. */
enum pin_outcome { PIN_HELD, PIN_CHANGED, PIN_CORRUPT };
enum pin_outcome insert_pin(struct attachment *a, uint32_t hazard, uint64_t slot_i, uint64_t w,
                            struct block_place *ret_place, struct record *ret_record, uint64_t *ret_h);

#endif
