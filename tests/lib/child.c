/* SPDX-License-Identifier: MIT */
#include "lib/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/fail.h"

pid_t child_fork(void)
{
    fflush(NULL);
    const pid_t pid = fork();
    require(pid >= 0, "fork: %s", strerror(errno));
    return pid;
}

pid_t child_fork_bound(void)
{
    const pid_t parent = getpid(), pid = child_fork();
    if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent))
        _exit(1);
    return pid;
}

void *child_memory(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require(at != MAP_FAILED, "mmap: %s", strerror(errno));
    return at;
}
