/* SPDX-License-Identifier: MIT
 *
 * Runs of a test in processes of their own, some at a time.
 */
#ifndef TESTS_LIB_JOBS_H
#define TESTS_LIB_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JOBS_MAX 64u

struct jobs {
    uint32_t n; /* slots, each for one run at a time */
    /* A run has ended with this status of waitpid, and its slot is free: another may be begun there. */
    void (*ended)(uint32_t slot, int status);
    pid_t pid[JOBS_MAX]; /* 0 = free */
};

/* n: 0 = as many as there are processors; at most JOBS_MAX. */
void jobs_begin(struct jobs *jobs, uint32_t n, void (*ended)(uint32_t slot, int status));

/* Begin a run in a free slot.  true = this is the run: it stays on a processor of the slot, its failure goes to `text`
 * (shared memory), and after so many seconds it is ended. */
bool jobs_fork(struct jobs *jobs, uint32_t slot, char *text, size_t text_bytes, uint32_t seconds);

/* A free slot; waits for a run to end where there is none. */
uint32_t jobs_free_slot(struct jobs *jobs);
/* Until no run is left. */
void jobs_await(struct jobs *jobs);
/* For the run of this slot alone, whose end is told by the status and not by ended(). */
int jobs_join(struct jobs *jobs, uint32_t slot);

#endif
