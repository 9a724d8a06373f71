/* SPDX-License-Identifier: MIT
 *
 * Emptying spans, so that other classes can use them (guarantee H).
 *
 * A span under evacuation is in state DRAIN; nobody owns it, anybody may go on with it or call it off:
 *   READY -> DRAIN             nobody takes blocks from it any more (a taker re-reads the span word)
 *   each block FREE -> SEALED, under a guard and a re-read of the span word
 *   each PUB record            copied to another block of its class, its slot swung to the copy
 *   DRAIN -> CLOSED            all blocks were SEALED; nobody begins to work on one of them any more
 *   all hazards looked at      none, pin or guard, lies in the run: nobody is still at work; only after that:
 *   all blocks seen SEALED     nobody unseals any more, nobody takes, so they stay so
 *   CLOSED -> CLAIMED -> FREE  and the run's spans are unused
 * Called off: DRAIN or CLOSED -> READY, then SEALED -> FREE by anyone who finds SEALED in a READY span under
 * a guard.  The span word's count changes with each step, so a CAS by somebody who slept through a change
 * fails.  If an evacuator dies: the span stays as it is until somebody who needs memory goes on with it, or a
 * sweep calls it off (an entry's `draining` says who is at it).
 */
#ifndef SHOAL_MEMORY_EVACUATE_H
#define SHOAL_MEMORY_EVACUATE_H

#include "memory/heap.h"

/* Empty the run that begins at span_i; `move`: by moving its records elsewhere, else only if it holds
 * none.  True: its spans are unused now. */
bool evacuate_span(struct attachment *a, uint32_t span_i, bool move);

/* Make `run` unused spans in a row, or room in class class_i, by evacuating the spans that cost least.
 * True: something became free. */
bool evacuate_for(struct attachment *a, uint32_t class_i, uint32_t run);

/* A span in DRAIN or CLOSED that no living attachment is emptying: back into use. */
void evacuate_call_off_abandoned(struct attachment *a, uint32_t span_i);

#endif
