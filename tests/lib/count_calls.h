/* SPDX-License-Identifier: MIT
 *
 * How many calls a store makes on its files (store/file.h), and what they read.  For programs that are linked with
 * --wrap for each of them.
 */
#ifndef TESTS_LIB_COUNT_CALLS_H
#define TESTS_LIB_COUNT_CALLS_H

#include <stdint.h>

struct calls {
    uint64_t n;             /* all of them */
    uint64_t reads, writes; /* among these */
    uint64_t read_bytes, written_bytes;
};

extern struct calls calls; /* since the program began, or since it was set to zero */

#endif
