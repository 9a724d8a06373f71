/* SPDX-License-Identifier: MIT
 *
 * The calls of a system that is a locked_map in a shared memory object under one lock, whichever lock that is.
 *
 * Included once by the file of a lock, behind its definitions of
 *   struct lock                                                what lies in the segment
 *   int lock_make(struct lock *)
 *   int lock_take(struct lock *, bool alone, uint32_t *recoveries)   not alone: others may who do not change it
 *   void lock_give(struct lock *)
 * each 0 or an errno.  Included and not linked: to call a lock through pointers would put instructions into the
 * operations outside of the lock, and the shares that the test prints are shares of instructions.
 */
#include <stdbool.h>

#include "baselines/locked_map.h"
#include "baselines/mapping.h"
#include "shoal/shoal.h"

struct segment {
    struct lock lock;
    uint64_t pad;
    struct locked_map map;
};

static int create(const struct system_setup *setup)
{
    const size_t map_bytes = locked_map_bytes(SYSTEM_ROOM);
    struct mapping *own = mapping_create(setup, sizeof(struct segment) + map_bytes);
    if (!own)
        return SHOAL_EOS;
    struct segment *segment = own->at;
    const int code = lock_make(&segment->lock);
    locked_map_make(&segment->map, map_bytes, SYSTEM_ROOM);
    mapping_close(own);
    return code == 0 ? 0 : SHOAL_EOS;
}

static int open_it(const struct system_setup *setup, void **ret_handle)
{
    *ret_handle = mapping_open(setup);
    return *ret_handle ? 0 : SHOAL_EOS;
}

/* NULL = the lock failed. */
static struct segment *enter(void *handle, bool alone)
{
    struct mapping *own = handle;
    struct segment *segment = own->at;
    return lock_take(&segment->lock, alone, own->recoveries) == 0 ? segment : NULL;
}

static int leave(struct segment *segment, int code)
{
    lock_give(&segment->lock);
    return code;
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct segment *in = enter(handle, false);
    return in ? leave(in, locked_map_get(&in->map, key, key_bytes, buf, buf_bytes, ret_bytes)) : SHOAL_EOS;
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct segment *in = enter(handle, true);
    return in ? leave(in, locked_map_put(&in->map, key, key_bytes, value, value_bytes)) : SHOAL_EOS;
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct segment *in = enter(handle, true);
    return in ? leave(in, locked_map_del(&in->map, key, key_bytes)) : SHOAL_EOS;
}

static int check(void *handle)
{
    struct segment *in = enter(handle, false);
    return in ? leave(in, locked_map_check(&in->map)) : SHOAL_EOS;
}
