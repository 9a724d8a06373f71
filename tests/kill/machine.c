/* SPDX-License-Identifier: MIT
 *
 * Clock, chance and threads (machine.h).
 *
 * The clock is read by a system call: the vDSO reads it again whenever the kernel has changed it meanwhile, at each tick,
 * and who is stepped needs longer than one for those forty instructions where the machine is busy.  He would never end.
 */
#include "kill/machine.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "lib/random.h"

static uint64_t chance; /* 0: the kernel's */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret) { return (int)syscall(SYS_clock_gettime, clock, ret); }

void machine_seed(uint64_t seed) { chance = random_mix(seed) | 1; }

void __real_os_random(void *buf, size_t bytes);
void __wrap_os_random(void *buf, size_t bytes);
void __wrap_os_random(void *buf, size_t bytes)
{
    uint8_t *to = buf;
    if (chance == 0) {
        __real_os_random(buf, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(random_next(&chance) >> 56);
}

/* -- Threads ------------------------------------------------------------------------------------------------ */

static struct {
    bool is_here; /* threads are run by who begins them */
    void *(*body)(void *arg);
    void *arg;
    uint32_t sleeps;
    jmp_buf end;
} thread;

int __real_pthread_create(pthread_t *ret, const pthread_attr_t *how, void *body(void *arg), void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *how, void *body(void *arg), void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *how, void *body(void *arg), void *arg)
{
    if (!thread.is_here)
        return __real_pthread_create(ret, how, body, arg);
    thread.body = body;
    thread.arg = arg;
    *ret = pthread_self();
    return 0;
}

int __real_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until);
int __wrap_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until);
int __wrap_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    if (!thread.is_here || thread.sleeps++ == 0)
        return __real_pthread_cond_clockwait(cond, mutex, clock, until);
    (void)pthread_mutex_unlock(mutex);
    longjmp(thread.end, 1);
}

int machine_run_thread(int begin(void *arg), void *arg)
{
    thread.is_here = true;
    thread.body = NULL;
    thread.sleeps = 0;
    const int code = begin(arg);
    if (code == 0 && thread.body != NULL && setjmp(thread.end) == 0)
        (void)thread.body(thread.arg);
    thread.is_here = false;
    return code;
}
