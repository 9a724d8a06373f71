/* SPDX-License-Identifier: MIT
 *
 * A map under one process-shared pthread rwlock: get shares it, put and delete take it alone.
 *
 * POSIX has no robust rwlock and no call that frees one whose holder died: whoever finds it held waits.
 */
#include <pthread.h>

#include "baselines/locked_map.h"
#include "baselines/mapping.h"
#include "shoal/shoal.h"

struct segment {
    pthread_rwlock_t lock;
    uint64_t pad;
    struct locked_map map;
};

static int create(const struct system_setup *setup)
{
    const size_t map_bytes = locked_map_bytes(SYSTEM_ROOM);
    struct mapping *own = mapping_create(setup, sizeof(struct segment) + map_bytes);
    pthread_rwlockattr_t attr;
    if (!own)
        return SHOAL_EOS;
    struct segment *segment = own->at;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    const int code = pthread_rwlock_init(&segment->lock, &attr);
    locked_map_make(&segment->map, map_bytes, SYSTEM_ROOM);
    mapping_close(own);
    return code == 0 ? 0 : SHOAL_EOS;
}

static int open_it(const struct system_setup *setup, void **ret_handle)
{
    *ret_handle = mapping_open(setup);
    return *ret_handle ? 0 : SHOAL_EOS;
}

static struct segment *segment_of(void *handle) { return ((struct mapping *)handle)->at; }

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct segment *segment = segment_of(handle);
    if (pthread_rwlock_rdlock(&segment->lock) != 0)
        return SHOAL_EOS;
    const int code = locked_map_get(&segment->map, key, key_bytes, buf, buf_bytes, ret_bytes);
    pthread_rwlock_unlock(&segment->lock);
    return code;
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct segment *segment = segment_of(handle);
    if (pthread_rwlock_wrlock(&segment->lock) != 0)
        return SHOAL_EOS;
    const int code = locked_map_put(&segment->map, key, key_bytes, value, value_bytes);
    pthread_rwlock_unlock(&segment->lock);
    return code;
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct segment *segment = segment_of(handle);
    if (pthread_rwlock_wrlock(&segment->lock) != 0)
        return SHOAL_EOS;
    const int code = locked_map_del(&segment->map, key, key_bytes);
    pthread_rwlock_unlock(&segment->lock);
    return code;
}

static int check(void *handle)
{
    struct segment *segment = segment_of(handle);
    if (pthread_rwlock_rdlock(&segment->lock) != 0)
        return SHOAL_EOS;
    const int code = locked_map_check(&segment->map);
    pthread_rwlock_unlock(&segment->lock);
    return code;
}

const struct system system_rwlock = {
    .name = "rwlock",
    .title = "pthread rwlock",
    .settings = "one process-shared pthread_rwlock_t over a chained map, gets share it",
    .version = mapping_version,
    .create = create,
    .open = open_it,
    .close = mapping_close,
    .unlink = mapping_unlink,
    .get = get,
    .put = put,
    .del = del,
    .check = check,
};
