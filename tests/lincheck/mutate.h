/* SPDX-License-Identifier: MIT
 *
 * Real histories made wrong by one answer.
 *
 * Each kind changes the answer of one operation so that no order can explain it, by one of two proofs that
 * need no search:
 *   unique    a value is written once; whoever met it cannot have met it before its write was invoked, nor
 *             after an operation that took it away had returned, nor can two have taken it away
 *   certain   the last change d of the key before operation r overlaps no other, and none overlaps the span
 *             from d to r's end: then r met exactly what d left, and any other answer is wrong
 * What was done to a history where neither proof holds is not done.
 */
#ifndef TESTS_LINCHECK_MUTATE_H
#define TESTS_LINCHECK_MUTATE_H

#include "lincheck/history.h"

enum mutation {
    MUTATE_STALE_READ,      /* get, getv, view: a value that was taken away before */
    MUTATE_STALE_GET_MANY,  /* likewise, one key of a batch */
    MUTATE_STALE_INFO,      /* info: version and size of a value that was taken away before */
    MUTATE_STALE_UPDATE,    /* update's function met a value that was taken away before */
    MUTATE_FUTURE_READ,     /* a value whose write had not begun */
    MUTATE_PHANTOM_VALUE,   /* a value that nobody wrote */
    MUTATE_OTHER_KEY,       /* a value that was written under another key */
    MUTATE_INVERSION,       /* a reader behind one that saw the new value sees the old one */
    MUTATE_LOST_WRITE,      /* a reader finds nothing where a value must be */
    MUTATE_RESURRECTION,    /* a reader finds a value where it must be gone */
    MUTATE_GHOST,           /* what a killed process had under way appears after the reap */
    MUTATE_LOST_UPDATE,     /* two updates over the same old value */
    MUTATE_LOST_INCR,       /* two additions to the same old number */
    MUTATE_DOUBLE_DELETE,   /* delete, delete_many find something where nothing can be */
    MUTATE_MISSED_DELETE,   /* they find nothing where something must be */
    MUTATE_DOUBLE_TAKE,     /* two takes of one value */
    MUTATE_ADD_OVER,        /* add succeeds where a value must be */
    MUTATE_ADD_REFUSED,     /* add refuses where nothing can be */
    MUTATE_REPLACE_NOTHING, /* replace succeeds where nothing can be */
    MUTATE_PUT_IF_STALE,    /* put_with succeeds over a version that was taken away before */
    MUTATE_DELETE_IF_STALE,
    MUTATE_WAIT_STALE, /* wait times out at a version that was taken away before */
    MUTATIONS
};
const char *mutation_name(enum mutation mutation);

/* False: this history offers no opportunity, and is as it was.  Else *ret_key is the key concerned. */
bool mutate_history(struct history *history, enum mutation mutation, uint64_t *random, uint32_t *ret_key);

#endif
