/* SPDX-License-Identifier: MIT
 *
 * Which process makes its next access, who dies before it, and which older value a load returns: every way to
 * decide that, depth first, within bounds; or ways drawn at random; or one way again.
 *
 * A decision is asked for
 *   before an access to a word that two processes touch, one of them writing: somebody else instead? (a preemption)
 *   before every write, and at an operation's end: does the process die here?  A death elsewhere leaves the same bytes
 *   before a question about a lock: does its holder die now?
 *   behind a load: the newest value, or an older one that C11 allows (older.h)?
 * Left out, because another way of deciding leads to the same:
 *   a preemption before a word that no other process touches: the same as before the next one.  Which words are
 *     touched by two is learnt; when one is learnt, exploring a bound begins again
 *   a preemption before an access that nobody else conflicts with, in all ways that go on from it without a
 *     preemption there: what the others do does not depend on it, so their part of it comes at a later preemption
 *   who was preempted before an access sleeps until somebody makes one that conflicts with it (sleep sets):
 *     had it made its access first, nothing would differ, and the preemption could come later.  An execution that
 *     comes to a place where everybody sleeps is given up: `pruned`, not counted as an execution
 *
 * A decision string tells an execution: step and letter of each decision that is not the first choice.  A
 * step is an access, counted over all processes.
 *   12s1  at step 12 process 1 goes on instead     12k0  process 0, which was to make it, dies
 *   12x1  process 1 dies meanwhile                 12r2  the last one has ended; process 2 goes on
 *   12o1  the load returns the value that is 1 older than the newest
 *   12l1  process 1 lags: this load and the next ones return the oldest values that they may
 */
#ifndef SCHEDULES_EXPLORE_H
#define SCHEDULES_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPLORE_PROCS 3u
#define EXPLORE_STRING 4096u

struct explore_limits {
    uint32_t preemptions, kills, older;
    uint32_t killable; /* bit per process */
    uint32_t starts;   /* bit per process that has anything to do */
};

enum explore_mode { EXPLORE_ALL, EXPLORE_RANDOM, EXPLORE_REPLAY };
enum explore_end { EXPLORE_ENDED, EXPLORE_PRUNED, EXPLORE_FAILED };

struct explore_counts {
    uint64_t executions, pruned, decisions, steps, kills, preempted, older;
    uint32_t op_steps_max; /* accesses of one operation */
    uint32_t shared_words;
};
extern struct explore_counts explore_counts;

/* A process's work; called on its own stack. */
typedef void explore_body(uint32_t proc);

/* Another scenario: forget which words are touched by two. */
void explore_forget(void);
/* Begin to explore.  string: what REPLAY is to do. */
void explore_begin(enum explore_mode mode, const struct explore_limits *limits, uint64_t seed, const char *string);
/* One execution, from a restored world. */
enum explore_end explore_once(explore_body *body);
/* False: there is no other execution within the limits. */
bool explore_next(void);

/* Where ALL has got to, behind explore_next; to go on there, behind explore_begin. */
void explore_save(FILE *to);
bool explore_load(FILE *from);

/* Of the last execution. */
const char *explore_string(void);
const char *explore_failure(void);
bool explore_was_killed(uint32_t proc);
uint64_t explore_died_at(uint32_t proc); /* by the clock; 0: it lives */
void explore_trace(bool on); /* print accesses */

/* For bodies.  The clock orders what happened.  explore_op_began: of the operation under way; the time of its
 * first access to a word that others touch.  explore_moved_at: of the process's last access. */
void explore_op_begin(void);
uint64_t explore_op_end(uint64_t *ret_began);
uint64_t explore_clock(void);
uint64_t explore_op_began(uint32_t proc);
uint64_t explore_moved_at(uint32_t proc);
__attribute__((format(printf, 1, 2))) void explore_fail(const char *format, ...);

/* For the world. */
void explore_lock(uint32_t word, bool write);
void explore_lock_lost(uint32_t word);
/* A process sleeps until somebody wakes the word's sleepers.  Once nobody else has anything to do, it looks by
 * itself where somebody has died; where nobody has, nothing may depend on that: it is a failure. */
void explore_futex_wait(const volatile void *at, uint32_t seen);
void explore_futex_wake(const volatile void *at);

#endif
