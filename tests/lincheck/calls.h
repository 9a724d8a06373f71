/* SPDX-License-Identifier: MIT
 *
 * One random call, written down before it is made and again when it has returned.
 */
#ifndef TESTS_LINCHECK_CALLS_H
#define TESTS_LINCHECK_CALLS_H

#include "lincheck/history.h"

/* What one process did, in memory that outlives it. */
struct log {
    uint64_t reaped; /* stamp of the first reap that began after its death; 0 = none */
    uint32_t n, walks_n, ended, dead;
    struct op *op;
    struct walk *walk;
    uint32_t room, walks_room;
};

/* What the processes of a history share, and how they go about it. */
struct course {
    uint64_t seed, *stamp;
    struct shoal *map, *readonly; /* inherited by fork */
    uint32_t keys_n;
    uint32_t walk_one_in;  /* calls */
    uint32_t yield_one_in; /* places where an operation gives way to others, for more overlap; 0 = never */
    bool large;            /* values of thousands of bytes too */
    void (*between)(const struct course *course, uint64_t *random); /* calls; or NULL */
};

/* Make this process's calls until its log is full.  Fails the test on an answer that no call gives. */
void calls_live(const struct course *course, struct log *log, uint32_t life);

uint64_t stamp_now(const uint64_t *stamp);  /* before a call */
uint64_t stamp_next(uint64_t *stamp);       /* after it */
int course_key(uint32_t key, char name[32]); /* its bytes */

#endif
