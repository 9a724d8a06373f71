/* SPDX-License-Identifier: MIT
 *
 * The judge judged: who is slow, woken later or waits with a timeout is not blocked; who waits for the dead, or
 * spins, is.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "baselines/watch.h"
#include "lib/child.h"
#include "lib/fail.h"

static pthread_mutex_t *mutex; /* shared, held by this process */
static volatile uint64_t progress;

/* Sleeps with a timeout, then ends. */
static void ends_late(void)
{
    const struct timespec late = { .tv_nsec = 20000000 };
    nanosleep(&late, NULL);
}

static void spins(void)
{
    for (;;) {
    }
}

static void waits(void) { pthread_mutex_lock(mutex); }

static void wakes_late(void)
{
    ends_late();
    pthread_mutex_unlock(mutex);
}

static struct watched_process start(void (*body)(void))
{
    const pid_t pid = child_fork();
    if (pid == 0) {
        body();
        _exit(0);
    }
    return (struct watched_process){ .pid = pid };
}

static void make_mutex(void)
{
    pthread_mutexattr_t attr;
    mutex = child_memory(sizeof *mutex);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    require(pthread_mutex_init(mutex, &attr) == 0 && pthread_mutex_lock(mutex) == 0, "mutex");
}

int main(void)
{
    make_mutex();
    watch_begin();
    struct watched_process one = start(ends_late);
    require(watch_all(&one, 1, &progress, NULL) == WATCH_ENDED, "a wait with a timeout was taken for ever");

    one = start(spins);
    require(watch_all(&one, 1, &progress, NULL) == WATCH_SPINNING, "a spinner was not seen");
    kill(one.pid, SIGKILL);
    waitpid(one.pid, NULL, 0);

    struct watched_process two[2] = { start(waits) };
    require(watch_all(two, 1, &progress, NULL) == WATCH_ASLEEP, "one who waits for a held lock was not seen");
    two[1] = start(wakes_late);
    require(watch_all(two, 2, &progress, NULL) == WATCH_ENDED, "one who could be woken was taken for blocked");
    printf("watch: 4 fates judged right\n");
    return 0;
}
