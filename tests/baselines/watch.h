/* SPDX-License-Identifier: MIT
 *
 * Will these processes ever end?  Decided without a clock.
 *
 * They are the only ones that could act on the map: the victim is dead or stopped, this process never touches
 * it, and the one that merely has it open (survive_keeper) sleeps until the end.  So when each of them is asleep
 * in a wait that has no timeout (futex, or a file lock), there is nobody who could wake one: they are blocked for
 * ever, however slow the machine.  That they were asleep at the same time is known when their counts of context
 * switches are the same in two looks, one after the other: then each slept from the first to the second.  Whoever
 * is only slow, runnable, in a page fault or in a wait with a timeout is looked at again.
 *
 * A process that spins instead is given up when it has used SPIN_NS of processor time, its own, without
 * finishing an operation.  One takes some 10 us: a busy machine does not matter, since only time on a processor
 * counts.  It could be wrong only about an operation that takes 50 000 times as long as it should, and then
 * says so (`spinning`) apart from `asleep`.
 */
#ifndef TESTS_BASELINES_WATCH_H
#define TESTS_BASELINES_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SPIN_NS 500000000u

enum watch_end { WATCH_ENDED, WATCH_ASLEEP, WATCH_SPINNING };

struct watched_process {
    pid_t pid;   /* 0: ended, and waited for */
    int status;  /* of waitpid, once it ended */
    uint64_t switches, ns, progress; /* of the last look; switches: 0 = was not asleep for ever */
};

/* Before the first: keeps SIGCHLD for watch_all, in this process and its children. */
void watch_begin(void);

/* Until all have ended, or never will.  *progress: grows with each finished operation of any of them.
 * ready (may be NULL): ends as soon as this is not 0, too. */
enum watch_end watch_all(struct watched_process *list, uint32_t n, const volatile uint64_t *progress,
                         const volatile uint32_t *ready);

#endif
