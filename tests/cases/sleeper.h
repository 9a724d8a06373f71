/* SPDX-License-Identifier: MIT
 *
 * Processes that sleep in shoal_wait.
 */
#ifndef TESTS_CASES_SLEEPER_H
#define TESTS_CASES_SLEEPER_H

#include <stdatomic.h>

#include "cases/scene.h"

#define NEVER_MS (-1)

struct sleeper {
    struct shoal *map;
    char key[64][24];
    _Atomic uint64_t seen[64];
    struct gate woken;
};

struct sleeper *sleeper_make(struct shoal *map);
/* A crew_fn (arg: struct sleeper): waits for each change of key[i]; ends when the key is deleted. */
void sleep_on_key(uint32_t i, void *sleeper);

/* A shoal_update_fn that stores "updated". */
int change_keep(struct shoal_change *change, void *arg);

uint64_t version_of(struct shoal *map, const char *key);

#endif
