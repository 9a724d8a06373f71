/* SPDX-License-Identifier: MIT
 *
 * The outside ledger: nothing was leaked when as much fits as into a fresh map of that geometry.
 */
#ifndef TESTS_LIB_LEDGER_H
#define TESTS_LIB_LEDGER_H

#include <stdint.h>

#include "shoal/shoal.h"

/* What one attachment may keep to itself, in 100-byte records: none, because caches hold free blocks
 * only, and what is retired is adopted by whoever needs it. */
#define LEDGER_SLACK 0u

/* Delete every key, then fill with 100-byte records until SHOAL_EFULL.  How many fitted. */
uint64_t ledger_fill(struct shoal *map);

/* Require that as much fits as into a fresh map. */
void ledger_require(struct shoal *map, uint64_t fresh);

/* Delete every key, however many there are. */
void ledger_empty(struct shoal *map);

#endif
