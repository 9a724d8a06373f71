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
#include <stdbool.h>
#include <stdint.h>

struct lock {
    pthread_mutex_t mutex;
};

static int lock_make(struct lock *lock)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    return pthread_mutex_init(&lock->mutex, &attr);
}

/* Always alone. */
static int lock_take(struct lock *lock, bool alone, uint32_t *recoveries)
{
    (void)alone;
    const int code = pthread_mutex_lock(&lock->mutex);
    if (code != EOWNERDEAD)
        return code;
    ++*recoveries;
    return pthread_mutex_consistent(&lock->mutex);
}

static void lock_give(struct lock *lock) { pthread_mutex_unlock(&lock->mutex); }

#include "baselines/locked_system.h"

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
