/* SPDX-License-Identifier: MIT
 *
 * A look at the attachments' entries through the layout.
 */
#ifndef TESTS_CASES_ENTRIES_H
#define TESTS_CASES_ENTRIES_H

#include <sys/types.h>

#include "cases/table_view.h"

/* How many entries say they are attached; how many of process pid; the first of pid (UINT32_MAX: none). */
uint32_t entries_attached(struct shoal *map);
uint32_t entries_of(struct shoal *map, pid_t pid);
uint32_t entries_first_of(struct shoal *map, pid_t pid);
/* Does an entry, attached or not, pin anything or name a block? */
bool entry_is_clean(struct shoal *map, uint32_t index);

#endif
