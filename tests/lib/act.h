/* SPDX-License-Identifier: MIT
 *
 * One call on one key, twice: what it must do to a model of the key, and the real call.
 */
#ifndef TESTS_LIB_ACT_H
#define TESTS_LIB_ACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shoal/shoal.h"

/* Values describe themselves: their first 8 bytes are a tag, the rest follows from it, so that one that
 * was torn or mixed is recognised.  Values of fewer than 8 bytes are empty, with tag 0. */
#define VALUE_MAX 40000u
void value_make(void *buf, uint64_t tag, size_t bytes);
/* false = these are not the bytes of any value */
bool value_read(const void *buf, size_t bytes, uint64_t *ret_tag);

/* What a key is. */
struct cell {
    uint64_t tag, bytes;
    uint64_t writes; /* how often it was changed: stands for the version */
    uint32_t present, type;
};

enum act_kind {
    ACT_GET,
    ACT_VIEW, /* the value is looked at twice before view_end */
    ACT_PUT,
    ACT_ADD,
    ACT_REPLACE,
    ACT_PUT_SEEN,   /* put_with if_version = the version seen before */
    ACT_PUT_ABSENT, /* put_with if_version = 0 */
    ACT_DELETE,
    ACT_DELETE_SEEN,
    ACT_TAKE,
    ACT_TAKE_SHORT, /* into a buffer that is too small */
    ACT_INCR,
    ACT_UPDATE_STORE, /* the old tag + this tag */
    ACT_UPDATE_REMOVE,
    ACT_UPDATE_KEEP,
    ACT_KINDS
};

struct act {
    enum act_kind kind;
    uint32_t bytes;
    uint64_t tag; /* of the value to write; ACT_INCR: the delta */
    uint64_t seen_version, seen_writes;
};

struct answer {
    int32_t code;
    uint32_t reserved;
    uint64_t tag, bytes; /* of the value that was given back, where there is one */
};

/* Ways in which a call may answer that differ from the plain one. */
enum act_way {
    ACT_PLAINLY = 0,
    ACT_FULL,      /* a record finds no room: SHOAL_EFULL, nothing changed */
    ACT_FULL_TOMB, /* nor does the mark that a key below is deleted */
    ACT_MOVED      /* the version changed by itself */
};

/* The call on the model.  false = the act cannot go this way. */
bool act_apply(const struct act *act, enum act_way way, struct cell *cell, struct answer *ret_answer);

/* The call on the map.  A torn value fails the test. */
void act_do(const struct act *act, struct shoal *map, const void *key, size_t key_bytes, struct answer *ret_answer);

bool act_same_answer(const struct answer *a, const struct answer *b);
const char *act_name(enum act_kind kind);

#endif
