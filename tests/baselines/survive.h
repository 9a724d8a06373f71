/* SPDX-License-Identifier: MIT
 *
 * What survivors do, and what they hold against the map.  Each runs in a process of its own.
 */
#ifndef TESTS_BASELINES_SURVIVE_H
#define TESTS_BASELINES_SURVIVE_H

#include "baselines/run.h"

/* The model of every key, and what the victim is about to do. */
void survive_begin(struct run *run);

/* Has the map open before the victim acts, waits for the gate, then works: gets, puts and deletes on the
 * victim's key and on others, each judged.  Beside a stopped victim it also counts what fits. */
void survive_veteran(struct run *run, int gate);

/* Has the map open all the time and does nothing: nobody who comes finds the map deserted, which for some
 * systems is an occasion to start afresh. */
void survive_keeper(struct run *run, int gate);

/* Opens the map afterwards, reads every key, has the system check itself, and counts what fits. */
void survive_newcomer(struct run *run, int gate);

/* Keep the text and end this process with that status. */
__attribute__((format(printf, 3, 4), noreturn)) void survive_end(struct run *run, enum found found,
                                                                  const char *format, ...);

#endif
