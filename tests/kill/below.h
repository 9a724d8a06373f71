/* SPDX-License-Identifier: MIT
 *
 * What the kill suite asks of the store below its maps.
 */
#ifndef TESTS_KILL_BELOW_H
#define TESTS_KILL_BELOW_H

#include "kill/scenario.h"
#include "store/store.h"

/* Hold the store's lock: nothing is copied down meanwhile, so the table gets full.  path: of its directory. */
struct store *below_hold(const char *path);
/* The same for the store below the map whose file this is. */
struct store *below_hold_of(int fd);
void below_release(struct store *store);

/* The key leaves the table; the store has it. */
void below_evict(struct shoal *map, const struct stage_key *key);

/* Whatever the table says to be in the store leaves it; so many entries. */
uint32_t below_evict_clean(struct shoal *map);

/* The outside ledger: delete every key, sync, and fill the table with nothing going down.  Nobody has the map open. */
uint64_t below_fill(const struct shape *shape, const char *name);

/* Have the store in memory as who wrote to it before has: reading it takes most of a first transaction's instructions. */
void below_warm(struct shoal *map);

/* The page of its lock file is watched too. */
void below_watch(const char *name, struct stepper *stepper);

/* Who is stopped now holds the store: until it goes on calls that need the store end with SHOAL_EFULL, and the text names
 * it. */
void below_look(struct run *run, pid_t victim);
void below_forget(struct run *run);
/* shoal_error_text() says what a call must that could not have the store. */
void below_names_holder(const struct run *run, const char *what);

#endif
