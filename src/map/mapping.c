/* SPDX-License-Identifier: MIT */
#include "map/mapping.h"

#include "base/os.h"
#include "memory/whole.h"
#include "tier/tier.h"

int mapping_make(int fd, const struct geometry *geometry, const char *name, unsigned flags, struct open_map **ret_map)
{
    struct segment *s;
    struct tier *tier = NULL;
    int rc = segment_map(fd, geometry, (flags & SHOAL_RDONLY) != 0, &s);
    if (rc != 0) {
        os_close(fd);
        return rc;
    }
    rc = whole_open(s, name);
    if (rc == 0 && segment_has_store(s)) { /* its path was judged with the header; whoever may write to the map may change it */
        char store[STORE_PATH_BYTES];
        memcpy(store, s->header->store, sizeof store - 1);
        store[sizeof store - 1] = 0;
        rc = tier_open(s, store, name, &tier);
    }
    if (rc != 0) {
        segment_unmap(s);
        return rc;
    }
    return open_map_make(s, tier, name, flags, ret_map);
}
