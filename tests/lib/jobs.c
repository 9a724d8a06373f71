/* SPDX-License-Identifier: MIT */
#include "lib/jobs.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/fail.h"
#include "lib/processor.h"

void jobs_begin(struct jobs *jobs, uint32_t n, void (*ended)(uint32_t slot, int status))
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    memset(jobs, 0, sizeof *jobs);
    jobs->n = n ? n : processors < 1 ? 1 : (uint32_t)processors;
    if (jobs->n > JOBS_MAX)
        jobs->n = JOBS_MAX;
    jobs->ended = ended;
}

bool jobs_fork(struct jobs *jobs, uint32_t slot, char *text, size_t text_bytes, uint32_t seconds)
{
    jobs->pid[slot] = child_fork();
    if (jobs->pid[slot] > 0)
        return false;
    setpgid(0, 0);
    processor_stay(slot);
    fail_into(text, text_bytes);
    alarm(seconds);
    return true;
}

static void leave(struct jobs *jobs, uint32_t slot)
{
    kill(-jobs->pid[slot], SIGKILL); /* whom the run has forked and left behind */
    jobs->pid[slot] = 0;
}

static void await_one(struct jobs *jobs)
{
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    for (uint32_t i = 0; pid > 0 && i < jobs->n; i++)
        if (jobs->pid[i] == pid) {
            leave(jobs, i);
            jobs->ended(i, status);
            return;
        }
}

uint32_t jobs_free_slot(struct jobs *jobs)
{
    for (;; await_one(jobs))
        for (uint32_t i = 0; i < jobs->n; i++)
            if (jobs->pid[i] == 0)
                return i;
}

static bool busy(const struct jobs *jobs)
{
    for (uint32_t i = 0; i < jobs->n; i++)
        if (jobs->pid[i] != 0)
            return true;
    return false;
}

void jobs_await(struct jobs *jobs)
{
    while (busy(jobs))
        await_one(jobs);
}

int jobs_join(struct jobs *jobs, uint32_t slot)
{
    int status = 0;
    waitpid(jobs->pid[slot], &status, 0);
    leave(jobs, slot);
    return status;
}
