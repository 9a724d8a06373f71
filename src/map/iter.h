/* SPDX-License-Identifier: MIT
 *
 * What an iterator keeps.
 */
#ifndef SHOAL_MAP_ITER_H
#define SHOAL_MAP_ITER_H

#include "map/registry.h"
#include "table/walk.h"
#include "tier/tier.h"

struct shoal_iter {
    struct shoal *map;
    struct open_map *open; /* that is walked */
    struct open_map *next; /* and then; NULL: none.  A map that is being moved is walked where it was, then where it is */
    struct open_map *known; /* whose keys were met; NULL: none */
    uint64_t opening;            /* of the handle */
    struct walk walk;            /* without a store */
    struct tier_walk *tier_walk; /* with one */
    uint64_t fork_id;
    void *value;
    uint64_t value_room;
    uint8_t key[SHOAL_KEY_MAX + 1];
    size_t prefix_bytes;
    uint8_t prefix[];
};

#endif
