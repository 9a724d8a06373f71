/* SPDX-License-Identifier: MIT
 *
 * The line by which a long run is kept, in tests/results/campaigns.tsv.
 */
#ifndef TESTS_LIB_CAMPAIGN_H
#define TESTS_LIB_CAMPAIGN_H

#include <stdint.h>

/* Append to the file: about, what compiled this program, suite, seed, counts, failures.  about: the columns that
 * tests/results/about.sh prints; NULL = nobody said.  Where that fails it says why and exits with 2. */
void campaign_append(const char *path, const char *about, const char *suite, uint64_t seed, const char *counts,
                     uint64_t failures);

#endif
