/* SPDX-License-Identifier: MIT
 *
 * What the files of the scheduler share: explore.c (who runs, executions), choose.c (decisions), access.c (the
 * library's atomics).
 */
#ifndef SCHEDULES_EXPLORER_H
#define SCHEDULES_EXPLORER_H

#include "schedules/coroutine.h"
#include "schedules/explore.h"
#include "schedules/interpose.h"
#include "schedules/world.h"

#define OP_STEPS_MAX 50000u /* accesses of one operation; the longest, a reap, has some 3 000 */
#define NODES_MAX 16384u
#define OPTIONS_MAX 12u /* OLDER_MOST and two more */
#define TAKEN_MAX 256u
#define LAG_LOADS 64u /* no loop of the library waits for a value that long */
#define NO_ID UINT16_MAX

struct option {
    uint8_t kind, arg; /* the letter and the number of a decision string; 'c', 'n': the first choice */
};

/* A place where there was a choice, on the way that is being explored. */
struct node {
    uint32_t step;
    uint8_t n, at;    /* so many choices, this one now */
    uint8_t switches; /* so many of them, behind the first, let somebody else go on */
    bool met;         /* ways with the first choice have been seen in which others conflict with the access */
    /* that access, in this execution */
    bool write;
    uint8_t proc;
    uint16_t next; /* in the list of watched nodes with its word; NO_NODE */
};
#define NO_NODE UINT16_MAX

struct taken {
    uint32_t step;
    struct option option;
};

/* At random: so many places to decide in this execution, and in the ones before. */
struct draw {
    uint32_t places, mean;
};
enum { DRAW_SWITCH, DRAW_OLDER, DRAWS_N }; /* few loads have an older value to return: drawn by themselves */

enum proc_state { PROC_IDLE, PROC_READY, PROC_WAITING, PROC_DONE, PROC_DEAD };

struct proc {
    struct coroutine stack;
    enum proc_state state;
    bool asleep;     /* until somebody makes an access that conflicts with its next one */
    bool looked;     /* has looked by itself, because a death may have cost it the wake */
    bool asked;      /* somebody asked whether it lives since it went on last */
    bool write;      /* its next access */
    uint32_t word;
    bool op_begun;   /* made an access that others can see */
    uint32_t op_steps;
    uint32_t lags;   /* so many loads more return the oldest value that they may */
    uint64_t began_at, died_at, moved_at;
};

struct explorer {
    enum explore_mode mode;
    struct explore_limits limits;
    explore_body *body;
    struct coroutine main;
    struct proc proc[EXPLORE_PROCS];
    bool on, trace, grown;
    uint32_t now, step, preemptions, kills, older;
    uint64_t clock, random;
    enum explore_end end;
    /* depth first */
    struct node node[NODES_MAX];
    uint32_t nodes_n, depth;
    uint16_t watched[WORLD_WORDS_MAX]; /* by a word's id: the first of its nodes that nobody has met yet */
    /* at random */
    struct draw draw[DRAWS_N];
    /* again */
    struct taken replay[TAKEN_MAX];
    uint32_t replay_n, replay_at;
    /* this execution's decisions */
    struct taken taken[TAKEN_MAX];
    uint32_t taken_n;
    char string[EXPLORE_STRING], failure[512];
    /* which words two touch */
    uint8_t readers[WORLD_WORDS_MAX], writers[WORLD_WORDS_MAX];
    uint16_t id[WORLD_WORDS_MAX]; /* NO_ID: one process's alone */
    uint32_t ids_n;
};
extern struct explorer ex;

/* choose.c: one of these n, by the mode. */
struct option choose(const struct option *of, uint32_t n);

/* The node of the last choice made depth first: watch whether anybody but `proc` conflicts with this access. */
void choose_watch(uint32_t id, uint32_t proc, bool write, uint32_t switches);
/* An access by `proc`, or by nobody who is running. */
void choose_met(uint32_t id, uint32_t proc, bool write);
/* Its operation ends: others that begin one behind it know what it did, as if they had met its last access. */
void choose_met_last(uint32_t proc);
/* Somebody asked whether `proc` lives, or it died: a death may be told from its accesses' order. */
void choose_met_all(uint32_t proc);

/* explore.c: the running process is about to make this access; others may run first, or it dies.
 * holder: of the lock that is asked about, or WORLD_NOBODY. */
void arrive(uint32_t word, bool write, int holder);
/* access.c */
void trace_access(const char *what, uint32_t word, uint64_t from, uint64_t to);

#endif
