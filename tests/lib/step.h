/* SPDX-License-Identifier: MIT
 *
 * A process that runs one instruction at a time (ptrace), watched for what it does to shared memory: a segment, and
 * the page of a store's lock file.
 *
 * The victim is forked from the caller and runs body(arg), which marks the part that is stepped by
 * step_begin() and step_end().  The caller maps the segment's file too and compares.  Two kinds of
 * places matter:
 *   crash states  the segment's bytes changed, or a system call was made (lock, descriptor, mapping,
 *                 name): killed at two places between which nothing of this happened, the victim leaves
 *                 the same behind
 *   stale points  the instruction after one that touched the segment: between a load and its CAS no byte
 *                 changes, and yet a victim that is stopped there and goes on later is not the same
 */
#ifndef TESTS_LIB_STEP_H
#define TESTS_LIB_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum step_what {
    STEP_CHANGED = 1u << 0, /* the instruction before this place changed the segment's bytes */
    STEP_TOUCHED = 1u << 1, /* it had an operand in the segment */
    STEP_SYSCALL = 1u << 2,
    STEP_SLEPT = 1u << 3,   /* the call was futex: may have slept */
    STEP_LOCKED = 1u << 4,  /* lock prefix, or xchg with memory */
    STEP_FENCE = 1u << 5,
    STEP_STORED = 1u << 6,  /* by its encoding, it stored to the segment */
    STEP_STRING = 1u << 7   /* may repeat at one address: no place for a breakpoint */
};

struct step_place {
    uint64_t rip;  /* the instruction that comes next */
    uint32_t what; /* about the one before */
    uint32_t hit;  /* how often this rip was next up to here, 1 = first */
};

/* Shared memory: a child may record for its parent. */
struct trace {
    struct step_place *place; /* place[i]: after i instructions */
    uint64_t n, room;
};
void trace_begin(struct trace *trace, uint64_t room);
void trace_end(struct trace *trace);

/* A file that the victim maps, or will. */
struct watched {
    const uint8_t *bytes; /* this process's view of it */
    uint8_t *shadow;
    size_t bytes_n;
    dev_t dev;
    ino_t ino;
    uint64_t at;          /* where the victim has it mapped, 0 = nowhere */
};
#define WATCHED_MOST 2u

struct stepper {
    pid_t pid;
    bool ended;           /* step_end was reached */
    int signal;           /* the victim died of it, or exited by itself (-1) */
    uint64_t rip;
    struct watched watched[WATCHED_MOST];
    uint32_t watched_n;
};

/* Fork the victim and run it to step_begin.  fd: the segment's file, -1 = watch system calls only. */
void step_start(struct stepper *stepper, int fd, void (*body)(void *), void *arg);
/* Watch another file too. */
void step_watch(struct stepper *stepper, int fd);
/* What others have changed meanwhile is not the victim's doing. */
void step_forgive(struct stepper *stepper);
/* In the victim. */
void step_begin(void);
void step_end(void);

/* One instruction.  false = ended or died. */
bool step_one(struct stepper *stepper, struct step_place *ret_place);
/* From step_begin to the end, everything written down.  false = it died, or the trace is full. */
bool step_record(struct stepper *stepper, struct trace *trace);
/* From step_begin to place[n] of a trace of the same run, by a breakpoint where that is faster.  true =
 * the victim stands where the trace says; false = it took another way, and stands somewhere. */
bool step_to(struct stepper *stepper, const struct trace *trace, uint64_t n);

void step_kill(struct stepper *stepper);
/* Let it go on to step_end; it stands there.  false = it died (see signal). */
bool step_finish(struct stepper *stepper);
/* Let it go on behind step_end, to its exit.  The status of waitpid. */
int step_release(struct stepper *stepper);
/* Let it run, not traced any more. */
void step_detach(struct stepper *stepper);

/* "shoal_put+0x12 (libshoal.so+0x4a12)" */
const char *step_symbol(uint64_t rip);

#endif
