/* SPDX-License-Identifier: MIT
 *
 * The same map under one robust, process-shared pthread mutex.
 *
 * EOWNERDEAD is handled as its manual page asks: the state is taken as the last store left it (locked_map.h
 * orders its stores for that), marked consistent, and work goes on.  What the dead one had taken from the
 * free list, or half overwritten, nobody can tell from what is right.
 */
#include <errno.h>
#include <pthread.h>

#include "baselines/locked_map.h"
#include "baselines/mapping.h"
#include "shoal/shoal.h"

struct segment {
    pthread_mutex_t lock;
    uint64_t pad;
    struct locked_map map;
};

static int create(const struct system_setup *setup)
{
    const size_t map_bytes = locked_map_bytes(SYSTEM_ROOM);
    struct mapping *own = mapping_create(setup, sizeof(struct segment) + map_bytes);
    pthread_mutexattr_t attr;
    if (!own)
        return SHOAL_EOS;
    struct segment *segment = own->at;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    const int code = pthread_mutex_init(&segment->lock, &attr);
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
static struct segment *lock(void *handle)
{
    struct mapping *own = handle;
    struct segment *segment = own->at;
    int code = pthread_mutex_lock(&segment->lock);
    if (code == EOWNERDEAD) {
        code = pthread_mutex_consistent(&segment->lock);
        ++*own->recoveries;
    }
    return code == 0 ? segment : NULL;
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct segment *segment = lock(handle);
    if (!segment)
        return SHOAL_EOS;
    const int code = locked_map_get(&segment->map, key, key_bytes, buf, buf_bytes, ret_bytes);
    pthread_mutex_unlock(&segment->lock);
    return code;
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct segment *segment = lock(handle);
    if (!segment)
        return SHOAL_EOS;
    const int code = locked_map_put(&segment->map, key, key_bytes, value, value_bytes);
    pthread_mutex_unlock(&segment->lock);
    return code;
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    struct segment *segment = lock(handle);
    if (!segment)
        return SHOAL_EOS;
    const int code = locked_map_del(&segment->map, key, key_bytes);
    pthread_mutex_unlock(&segment->lock);
    return code;
}

static int check(void *handle)
{
    struct segment *segment = lock(handle);
    if (!segment)
        return SHOAL_EOS;
    const int code = locked_map_check(&segment->map);
    pthread_mutex_unlock(&segment->lock);
    return code;
}

const struct system system_robust_mutex = {
    .name = "robust_mutex",
    .title = "robust mutex",
    .settings = "one robust process-shared pthread_mutex_t over a chained map",
    .recovery = "pthread_mutex_consistent by the next to lock",
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
