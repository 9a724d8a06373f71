/* SPDX-License-Identifier: MIT
 *
 * What survivors do, and what they hold against the map.
 */
#ifndef TESTS_KILL_SURVIVE_H
#define TESTS_KILL_SURVIVE_H

#include "kill/scenario.h"

/* Model of every key from the stage. */
void survive_begin(struct run *run);
/* One call, judged (A). */
void survive_act(struct run *run, struct shoal *map, uint32_t key_i, const struct act *act);
/* Get every key, judged. */
void survive_read_all(struct run *run, struct shoal *map);
/* One after another on the victim's key and its neighbours: get, put, delete, add, take. */
void survive_tour(struct run *run, struct shoal *map);
/* The same in a forked child of this process, which inherits the map. */
void survive_forked_tour(struct run *run);
/* A walk: keys that are there exactly once, absent ones never. */
void survive_walk(struct run *run, struct shoal *map);
/* n calls on random keys, a fifth on the victim's, a tenth on its group; now and then walk, check, reap,
 * open and close. */
void survive_random(struct run *run, uint64_t n);
/* Reap, check, count, stats: nothing of the dead is left (C). */
void survive_settle(struct run *run);
/* The outside ledger (H, C). */
void survive_ledger(struct run *run);

#endif
