/* SPDX-License-Identifier: MIT
 *
 * What the processes of a scenario did, and whether one order explains it (guarantee A): per key, brute force
 * over the orders that keep what ended before something began.  An operation that a death cut off may have
 * happened at any time behind its beginning, or not; but once somebody has reaped the dead one, that is decided.
 */
#ifndef SCHEDULES_HISTORY_H
#define SCHEDULES_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum op_kind {
    OP_NONE,
    /* Of a key: */
    OP_PUT, OP_ADD, OP_DELETE, OP_TAKE, OP_GET, OP_GET_MANY,
    OP_DELETE_IF, /* it has the version that it began with; value: what it held then */
    OP_GETV, /* a get that remembers the version; a DELETE_IF of value 0 by the same process is about that */
    OP_WAIT, /* until that version is another; value: the same, 0 = it was absent */
    OP_INCR,
    OP_WALK, /* over all keys: a get of each */
    OP_REAP, OP_SWEEP, OP_CHECK, OP_STATS, OP_ATTACH, OP_DETACH, OP_EVACUATE, OP_FLUSH, OP_RECLAIM, OP_KEEP, OP_READY,
    OP_SETTLE, /* the block that a dead one left (OP_DIE): what a sweep does that has met it */
    OP_FILL, /* `value` keys of key A's home; more than FILL_MOST: until the heap is full */
    OP_UNFILL, /* delete filling key number `value` */
    OP_WRAP, /* the member's next record gets the tag that A's record has now: tags have 13 bits */
    OP_DIE, /* setup: the member died when it had placed A's record, and not brought it to its end; who has its number
             * then is another, attached anew */
    OP_LOOK /* setup: the member's next write is one of those that look at another entry and at some blocks: the dead one's */
};

struct op {
    enum op_kind kind;
    uint32_t key;
    uint64_t value;
};

/* One operation as it went. */
struct event {
    struct op op;
    uint64_t began, ended; /* by explore_clock; ended 0: cut off */
    int code;
    uint64_t got; /* the value that get, take or incr answered; what a reap left undecided */
    uint32_t withheld; /* SHOAL_EFULL: so many records may have been freed and yet not be had */
    uint64_t decided; /* cut off: nothing that begins behind this sees it happen; 0 = no such time is known */
};

struct key_state {
    bool present;
    uint64_t value;
};

#define HISTORY_MOST 12u

/* Can these events of one key lead from `from` to `to`? */
bool history_explains(const struct event *events, uint32_t n, struct key_state from, struct key_state to);

#endif
