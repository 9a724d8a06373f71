/* SPDX-License-Identifier: MIT
 *
 * What processes did to a map, as they saw it: a history.
 *
 * Stamps come from one counter that all processes share.  An invocation reads it before the call, a return
 * adds one to it after the call: a call that returned at x had ended before one that was invoked at y
 * began, if x < y; all others count as overlapping, ties too.  The reading is a plain load, so that an
 * operation's first accesses are not behind a barrier that a program would not have.
 */
#ifndef TESTS_LINCHECK_HISTORY_H
#define TESTS_LINCHECK_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "shoal/shoal.h"

#define STAMP_NEVER UINT64_MAX
#define HISTORY_KEYS 8u
#define HISTORY_LIVES 64u /* processes over the whole history, those that followed killed ones included */

/* Every call that takes a key.  A batch is an operation for each of its keys. */
enum op_kind {
    OP_GET,
    OP_GETV,
    OP_PEEK, /* get without a buffer: is it there, and how long */
    OP_INFO,
    OP_VIEW,
    OP_GET_MANY,
    OP_WAIT,
    OP_PUT,
    OP_ADD,
    OP_REPLACE,
    OP_PUT_WITH, /* unconditional, with a type byte */
    OP_PUT_IF,   /* put_with SHOAL_IF_VERSION */
    OP_PUT_MANY,
    OP_DELETE,
    OP_DELETE_IF,
    OP_DELETE_MANY,
    OP_TAKE,
    OP_INCR,
    OP_UPDATE_STORE,
    OP_UPDATE_KEEP,
    OP_UPDATE_REMOVE,
    OP_KINDS
};

/* What an answer told of the record that the operation met. */
enum op_shows { SHOWS_VALUE = 1, SHOWS_TYPE = 2, SHOWS_BYTES = 4, SHOWS_VERSION = 8 };

/* One operation.  Values are words that no two writes share: of a longer value, the tag (lib/act.h).
 * code is what the call answered; of an update, which always answers 0, whether its function met a record
 * (0) or none (SHOAL_MISSING).  With pending, `returned` is when it can take effect no more: when a reap
 * that began after the process's death returned, or STAMP_NEVER. */
struct op {
    uint64_t invoked, returned;
    uint64_t value;   /* that it writes; incr: the delta */
    uint64_t seen;    /* the version that it was given: put_if, delete_if, wait */
    uint64_t got;     /* the value it met; incr: the sum */
    uint64_t version; /* of the value that it met; put_with, put_if, put_many: of the one it made */
    uint32_t bytes, got_bytes;
    int16_t code;
    uint8_t kind, key, type, got_type, shows, pending;
    uint32_t life; /* which process */
    uint32_t reserved;
};

/* One walk by an iterator. */
#define WALK_ITEMS 24u
struct walk {
    uint64_t invoked, returned;
    uint32_t life, n;
    uint64_t value[WALK_ITEMS];
    uint8_t key[WALK_ITEMS];
};

struct history {
    uint64_t seed;
    uint32_t n, room, walks_n, walks_room;
    uint32_t keys_n, lives_n, killed;
    bool moves;     /* records may have been moved: a version may have changed with nobody writing */
    uint64_t moved; /* as far as that was counted */
    uint64_t copied, evicted, promoted, store_hits; /* likewise, above a store */
    uint64_t rebuilt; /* records moved by the last rebuild */
    struct op *op;
    struct walk *walk;
};

void history_clear(struct history *history);
struct op *history_add(struct history *history);
struct walk *history_add_walk(struct history *history);
void history_copy(struct history *to, const struct history *from);
void history_free(struct history *history);

/* The first had ended before the second began. */
static inline bool op_precedes(const struct op *a, const struct op *b) { return a->returned < b->invoked; }
/* It left the key otherwise than it was, or, if pending, may have done so. */
bool op_changes(const struct op *op);
/* Two operations, neighbours in the history, are of one call that worked on `a` before it worked on `b`.  Of one that was
 * cut off nobody says so: an operation that had no effect in it is left out without a place in the order. */
bool op_is_of_batch(const struct op *a, const struct op *b);
/* The version that the answer told belongs to the value that the operation wrote, not to one it met. */
bool op_version_is_new(const struct op *op);
/* The value that it leaves behind; 0 = none, or (incr under way) unknown. */
uint64_t op_leaves(const struct op *op);

/* Operations that overlap one of another process on the same key; and how many are pending. */
uint32_t history_overlapping(const struct history *history);
uint32_t history_pending(const struct history *history);
uint32_t history_lives(const struct history *history);

/* The text that Porcupine and the brute-force checker read:
 *   h NUMBER KEYS MOVES VERDICT WHAT       VERDICT ok or bad; WHAT was done to it, or -
 *   o KIND KEY LIFE INVOKED RETURNED PENDING CODE VALUE BYTES TYPE SEEN SHOWS GOT GOT_BYTES GOT_TYPE VERSION
 *   e */
void history_write(FILE *file, const struct history *history, uint32_t number, bool accepted, const char *what);
/* One history of such a text, its operations only; false where it is none. */
bool history_read(FILE *file, struct history *history);
void op_write(FILE *file, const struct op *op);
const char *op_name(enum op_kind kind);

#endif
