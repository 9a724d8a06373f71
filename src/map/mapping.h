/* SPDX-License-Identifier: MIT
 *
 * From a checked file to an open map.
 */
#ifndef SHOAL_MAP_MAPPING_H
#define SHOAL_MAP_MAPPING_H

#include "map/registry.h"

/* fd is the map's from here on, also where this fails.  With the store below it, where it has one. */
int mapping_make(int fd, const struct geometry *geometry, const char *name, unsigned flags, struct open_map **ret_map);

#endif
