/* SPDX-License-Identifier: MIT
 *
 * Workers that do random things to a map until they are killed, and who kills them.
 */
#ifndef TESTS_TORTURE_WORKER_H
#define TESTS_TORTURE_WORKER_H

#include "torture/board.h"

/* Fill the slot in this process, for ever.  map NULL = open it by name. */
_Noreturn void worker_live(struct board *board, uint32_t slot_i, struct shoal *map, uint64_t seed);

/* Fork a worker into a slot. */
void worker_spawn(struct board *board, uint32_t slot_i, uint64_t seed);
/* Fork a parent into slot parent_i, which opens the map and forks workers into slots first .. first + n - 1;
 * returns when all have written down their process ids. */
void worker_spawn_pool(struct board *board, uint32_t parent_i, uint32_t first, uint32_t n, uint64_t seed);

/* SIGKILL the worker of a slot and bury it.  false = it had ended before by itself; board->text says why. */
bool worker_kill(struct board *board, uint32_t slot_i);
/* SIGSTOP at whatever instruction it is; SIGCONT. */
void worker_stop(struct board *board, uint32_t slot_i);
void worker_continue(struct board *board, uint32_t slot_i);

/* After a failure: nobody is left. */
void worker_kill_all(struct board *board);

/* `kills` random kills among slots first .. first + n - 1, each followed by a new worker; then all of them
 * are killed.  Between them workers are stopped and go on, or are killed as they stand; now and then all but
 * one are stopped, and that one must get on.  pool_i: a slot for parents of forked pools, BOARD_NONE = no
 * pools. */
bool worker_rounds(struct board *board, uint32_t first, uint32_t n, uint64_t pool_i, uint64_t kills, uint64_t seed);

#endif
