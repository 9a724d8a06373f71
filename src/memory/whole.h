/* SPDX-License-Identifier: MIT
 *
 * Files in another life of the machine.
 *
 * The kernel writes a mapping's pages when and in what order it likes, so when the machine stops, the file of a map that is
 * in use is left with pages of different times: such a file is refused in the next life.  A map that was closed in order
 * must open as if nothing had happened.  The header tells them apart: `whole` and `life` (format/segment.h, W1).
 *
 *   attach   under the reap lock of the entry, before any other write:
 *              1 where WHOLE is set: store life                  the present one, so that who finds WHOLE gone finds it
 *              2 CAS whole: count + 1, WHOLE away                      always: a closer at 6 is overtaken
 *              3 unless KNOWN: flush the header, then CAS KNOWN in     who comes second in this moment flushes too
 *   close    behind the own detaching:
 *              4 v = whole; over where it is WHOLE or FAILED
 *              5 over where anybody holds a life or reap lock: he will close behind us
 *              6 flush everything; CAS whole: v -> v with WHOLE; flush the header
 *
 * An attacher who has his lock before 5 is seen; one who has it later passes 2 behind 4, so that 6 fails, or behind 6, and
 * then flushes at 3 before he writes.  Writers without an entry do not exist, but for the mark of an unlinked map in the
 * header itself.
 *
 * Death at any point needs nobody: before 2 nothing has changed (life may be half stored, beside WHOLE, which counts first);
 * between 2 and 3, KNOWN is missing and the next one flushes; before the CAS of 6 the file is not whole, behind it it is.
 * What dead processes left in entries and blocks is settled in the next life as in this one.
 *
 * In the same life `life` is the present one or WHOLE is set, whoever died where, so the map always opens.
 *
 * On tmpfs and the like nothing of this is done.  Above a store neither: an old table does not fit what its store has
 * (docs/tiers.md).
 */
#ifndef SHOAL_MEMORY_WHOLE_H
#define SHOAL_MEMORY_WHOLE_H

#include "memory/segment.h"

/* May this mapping be used in the present life?  Writes nothing.  0; SHOAL_ECORRUPT: it was in use when the machine stopped;
 * SHOAL_EOS. */
int whole_open(struct segment *segment, const char *name);

/* 1 to 3.  Nonzero with errno set where the disk cannot be told. */
int whole_enter(struct segment *segment);

/* 4 to 6, by a process that has no attachment left. */
void whole_leave(struct segment *segment);

#endif
