/* SPDX-License-Identifier: MIT
 *
 * Waiting for processes that may never end.
 */
#include "baselines/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/fail.h"

#define LOOK_NS 500000 /* between two looks; how long it is decides nothing */

void watch_begin(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    require(sigprocmask(SIG_BLOCK, &set, NULL) == 0, "sigprocmask: %s", strerror(errno));
}

/* -- One process ------------------------------------------------------------------------------------- */

static size_t read_proc(pid_t pid, const char *what, char *text, size_t bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : read(fd, text, bytes - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* Asleep in a call that nothing ends but another process. */
static bool sleeps_for_ever(pid_t pid)
{
    char text[256];
    long call;
    unsigned long long a[4];
    read_proc(pid, "syscall", text, sizeof text);
    if (sscanf(text, "%ld %llx %llx %llx %llx", &call, &a[0], &a[1], &a[2], &a[3]) != 5)
        return false; /* it runs, or is gone */
    const unsigned long long futex = a[1] & (unsigned long long)FUTEX_CMD_MASK;
    if (call == SYS_futex)
        return a[3] == 0 && (futex == FUTEX_WAIT || futex == FUTEX_WAIT_BITSET || futex == FUTEX_LOCK_PI);
    return call == SYS_fcntl && (a[1] == F_SETLKW || a[1] == F_OFD_SETLKW);
}

/* Context switches so far, voluntary or not; 0 = it runs, or has been woken and not run yet.  The latter is not
 * to be seen in `syscall`: while another processor is told to run it, the kernel still shows the call it slept in. */
static uint64_t switches_if_asleep(pid_t pid)
{
    char text[4096], state = 0;
    unsigned long long own = 0, forced = 0;
    read_proc(pid, "status", text, sizeof text);
    const char *at = strstr(text, "\nState:");
    if (!at || sscanf(at, "\nState: %c", &state) != 1 || state != 'S')
        return 0;
    at = strstr(at, "\nvoluntary_ctxt_switches:");
    if (at)
        sscanf(at, "\nvoluntary_ctxt_switches: %llu nonvoluntary_ctxt_switches: %llu", &own, &forced);
    return own + forced;
}

/* As switches_if_asleep, 0 also where something else could end the sleep.  Asked before and after the call is
 * read: somebody who has only announced his sleep shows as asleep, but is switched out before `syscall` answers. */
static uint64_t switches_if_for_ever(pid_t pid)
{
    const uint64_t before = switches_if_asleep(pid);
    const bool for_ever = before != 0 && sleeps_for_ever(pid);
    return for_ever && switches_if_asleep(pid) == before ? before : 0;
}

static uint64_t processor_ns(pid_t pid)
{
    clockid_t id;
    struct timespec t;
    if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* -- All ------------------------------------------------------------------------------------------------ */

static uint32_t collect(struct watched_process *list, uint32_t n)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].pid > 0 && waitpid(list[i].pid, &list[i].status, WNOHANG) == list[i].pid)
            list[i].pid = 0;
        left += list[i].pid > 0;
    }
    return left;
}

/* true = every one was asleep, from the look before to this one */
static bool look_asleep(struct watched_process *list, uint32_t n)
{
    bool all = true;
    for (uint32_t i = 0; i < n; i++) {
        struct watched_process *one = &list[i];
        if (one->pid == 0)
            continue;
        const uint64_t switches = switches_if_for_ever(one->pid);
        all = all && switches != 0 && switches == one->switches;
        one->switches = switches;
    }
    return all;
}

static bool look_spinning(struct watched_process *list, uint32_t n, uint64_t progress)
{
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].pid == 0)
            continue;
        const uint64_t ns = processor_ns(list[i].pid);
        if (list[i].ns == 0 || progress != list[i].progress) {
            list[i].ns = ns;
            list[i].progress = progress;
        } else if (ns > list[i].ns + SPIN_NS) {
            return true;
        }
    }
    return false;
}

enum watch_end watch_all(struct watched_process *list, uint32_t n, const volatile uint64_t *progress,
                         const volatile uint32_t *ready)
{
    const struct timespec between = { .tv_nsec = LOOK_NS };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    while (collect(list, n) > 0 && !(ready && *ready)) {
        if (sigtimedwait(&set, NULL, &between) == SIGCHLD)
            continue;
        if (look_asleep(list, n))
            return WATCH_ASLEEP;
        if (look_spinning(list, n, *progress))
            return WATCH_SPINNING;
    }
    return WATCH_ENDED;
}
