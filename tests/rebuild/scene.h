/* SPDX-License-Identifier: MIT
 *
 * What the programs share that stand still or die at an access: a small map in a directory of its own, and its rebuilds.
 */
#ifndef TESTS_REBUILD_SCENE_H
#define TESTS_REBUILD_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "shoal/shoal.h"

#define CROWD 400u /* keys that fill more homes than one step moves */

struct scene {
    char dir[64], path[128], store[128]; /* store "": none below */
    uint32_t every;                      /* one of so many places is tried */
    uint64_t random;
};
extern struct scene scene;

/* [--every N] [--seed N] [--store]; says the seed. */
void scene_begin(const char *name, int argc, char **argv);
void scene_end(void);

void done(int rc, const char *what); /* 0, or the test ends */

/* Keys "NAME 0" and so on, with this value. */
struct shoal *scene_map(const char *name, uint32_t keys, const char *value, uint32_t capacity);
/* Closed, unlinked where it still has its name, and its store too; nothing is left. */
void scene_map_remove(struct shoal *map, bool named);

int rebuild(struct shoal *map, uint32_t capacity, shoal_progress_fn *progress);
int stop_at_once(uint64_t done, uint64_t total, void *arg); /* a progress: the move stays in the middle */

/* Files beside the map's. */
uint32_t files_left(void);

#endif
