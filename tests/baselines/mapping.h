/* SPDX-License-Identifier: MIT
 *
 * A shared memory object, mapped, for the maps under a lock (locked_system.h).
 */
#ifndef TESTS_BASELINES_MAPPING_H
#define TESTS_BASELINES_MAPPING_H

#include "baselines/system.h"

struct mapping {
    void *at;
    size_t bytes;
    uint32_t *recoveries;
};

/* NULL = failed. */
struct mapping *mapping_create(const struct system_setup *setup, size_t bytes);
struct mapping *mapping_open(const struct system_setup *setup);
void mapping_close(void *mapping);
void mapping_unlink(const struct system_setup *setup);
const char *mapping_version(void); /* of the C library, whose locks these are */

#endif
