/* SPDX-License-Identifier: MIT
 *
 * Scenarios about names: created, found, removed; a half-made map never opens, nothing is left behind.
 */
#ifndef TESTS_KILL_NAMES_H
#define TESTS_KILL_NAMES_H

#include "kill/scenario.h"

void name_operate_create(struct run *run);
void name_operate_create_by_rename(struct run *run);
void name_operate_open_or_create(struct run *run);
void name_operate_unlink(struct run *run);

/* Remove the run's directory, also after a failure. */
void name_clean(const struct run *run);

#endif
