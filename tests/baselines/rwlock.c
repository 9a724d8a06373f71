/* SPDX-License-Identifier: MIT
 *
 * A map under one process-shared pthread rwlock: get shares it, put and delete take it alone.
 *
 * POSIX has no robust rwlock and no call that frees one whose holder died: whoever finds it held waits.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct lock {
    pthread_rwlock_t rwlock;
};

static int lock_make(struct lock *lock)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    return pthread_rwlock_init(&lock->rwlock, &attr);
}

static int lock_take(struct lock *lock, bool alone, uint32_t *recoveries)
{
    (void)recoveries;
    return alone ? pthread_rwlock_wrlock(&lock->rwlock) : pthread_rwlock_rdlock(&lock->rwlock);
}

static void lock_give(struct lock *lock) { pthread_rwlock_unlock(&lock->rwlock); }

#include "baselines/locked_system.h"

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
