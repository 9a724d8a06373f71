/* SPDX-License-Identifier: MIT
 *
 * What stands in the map before a victim acts: a few keys with values that describe themselves (lib/act.h),
 * kept as bytes so that each run begins with the same.
 */
#ifndef TESTS_BASELINES_SCENE_H
#define TESTS_BASELINES_SCENE_H

#include "baselines/run.h"

/* A new file with the scene's bytes under the name. */
void scene_restore(const struct scene *scene, const char *name);
/* The victim's operation, on the key for warming up. */
void scene_warm(const struct scene *scene, void *handle);
/* The ledger's record n, 100 bytes with its key; n is in the key.  As put; del as del. */
int scene_put_record(const struct system *system, void *handle, uint64_t n);
int scene_del_record(const struct system *system, void *handle, uint64_t n);
/* What the victim does. */
struct act scene_act(const struct scene *scene);

#endif
