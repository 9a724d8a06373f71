/* SPDX-License-Identifier: MIT
 *
 * What a campaign has behind it: one line for each variant of a scenario that was run through without a failure.
 *
 *   scenario  variant  instructions  kills  stops
 */
#ifndef TESTS_KILL_DONE_H
#define TESTS_KILL_DONE_H

#include <stdbool.h>
#include <stdint.h>

/* Read what is there, and append to it.  Without, nothing was done before and nothing is kept. */
void done_open(const char *path);
bool done_before(const char *scenario, uint32_t variant);
void done_add(const char *scenario, uint32_t variant, uint64_t instructions, uint64_t kills, uint64_t stops);

#endif
