/* SPDX-License-Identifier: MIT
 *
 * The specification, operation by operation.
 */
#include "lincheck/model.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fail.h"
#include "lib/random.h"

/* -- Versions --------------------------------------------------------------------------------------- */

static struct version_entry *entry_of(const struct versions *versions, uint64_t version)
{
    uint64_t i = random_mix(version);
    while (versions->entry[i & (versions->room - 1)].version != 0 &&
           versions->entry[i & (versions->room - 1)].version != version)
        i++;
    return &versions->entry[i & (versions->room - 1)];
}

/* False: it stands for something else. */
static bool learn(struct versions *versions, uint64_t version, uint64_t value, uint32_t key)
{
    struct version_entry *entry = entry_of(versions, version);
    if (entry->version == version)
        return entry->value == value && entry->key == key;
    *entry = (struct version_entry){ version, value, key };
    versions->n++;
    return true;
}

static bool shows_both(const struct op *op)
{
    if (op->pending || op->version == 0)
        return false;
    if (op_version_is_new(op))
        return op->code == SHOAL_OK;
    return (op->shows & SHOWS_VALUE) && (op->shows & SHOWS_VERSION);
}

static void make_room(struct versions *versions, uint32_t n)
{
    uint32_t room = 64;
    while (room < n * 2)
        room *= 2;
    free(versions->entry);
    versions->entry = calloc(room, sizeof *versions->entry);
    require(versions->entry != NULL, "memory for %u versions", room);
    versions->room = room;
    versions->n = 0;
}

bool versions_learn(struct versions *versions, const struct history *history, uint32_t *ret_key)
{
    struct versions back = { 0 }; /* value -> version, by the same table */
    bool good = true;
    make_room(versions, history->n);
    if (!history->moves)
        make_room(&back, history->n);
    for (uint32_t i = 0; good && i < history->n; i++) {
        const struct op *op = &history->op[i];
        if (!shows_both(op))
            continue;
        const uint64_t value = op_version_is_new(op) ? op->value : op->got;
        good = learn(versions, op->version, value, op->key) &&
               (history->moves || learn(&back, value, op->version, op->key));
        *ret_key = op->key;
    }
    free(back.entry);
    return good;
}

uint64_t versions_value(const struct versions *versions, uint64_t version)
{
    return version ? entry_of(versions, version)->value : 0;
}

uint64_t versions_of(const struct history *history, uint64_t value)
{
    for (uint32_t i = 0; i < history->n; i++) {
        const struct op *op = &history->op[i];
        if (shows_both(op) && (op_version_is_new(op) ? op->value : op->got) == value)
            return op->version;
    }
    return 0;
}

void versions_free(struct versions *versions)
{
    free(versions->entry);
    *versions = (struct versions){ 0 };
}

/* -- Pieces ----------------------------------------------------------------------------------------- */

static bool present(const struct state *state) { return state->value != 0; }

/* The record is what the answer told of it. */
static bool is_as_shown(const struct op *op, const struct stands_for *stands, const struct state *state)
{
    if (!present(state))
        return false;
    if ((op->shows & SHOWS_VALUE) && op->got != state->value)
        return false;
    if ((op->shows & SHOWS_TYPE) && op->got_type != state->type)
        return false;
    if ((op->shows & SHOWS_BYTES) && op->got_bytes != state->bytes)
        return false;
    if (op->shows & SHOWS_VERSION)
        return op->version != 0 && (stands->version == 0 || stands->version == state->value);
    return true;
}

/* 1 = the record's version is the one that was given, 0 = it is not, -1 = it may be. */
static int version_is_seen(const struct op *op, const struct stands_for *stands, bool moves, const struct state *state)
{
    if (op->seen == 0 || !present(state))
        return op->seen == 0 && !present(state);
    if (stands->seen == 0)
        return -1;
    return stands->seen != state->value ? 0 : moves ? -1 : 1;
}

static bool met(const struct op *op, const struct stands_for *stands, const struct state *state)
{
    return op->code == SHOAL_OK ? is_as_shown(op, stands, state) : op->code == SHOAL_MISSING && !present(state);
}

static bool store(const struct op *op, struct state *ret)
{
    *ret = (struct state){ op->value, op->bytes, op->type };
    return true;
}

static bool gone(struct state *ret)
{
    *ret = (struct state){ 0 };
    return true;
}

/* -- Operations that returned ------------------------------------------------------------------------- */

static bool step_wait(const struct op *op, const struct stands_for *stands, bool moves, const struct state *state)
{
    if (op->code == SHOAL_TIMEOUT)
        return version_is_seen(op, stands, moves, state) != 0;
    if (op->code != SHOAL_OK || op->version == op->seen)
        return false;
    if (op->version == 0 || !present(state))
        return op->version == 0 && !present(state);
    return stands->version == 0 || stands->version == state->value;
}

static bool step_put(const struct op *op, const struct stands_for *stands, bool moves, const struct state *state,
                     struct state *ret)
{
    if (op->code == SHOAL_OK) {
        if ((op->kind == OP_ADD && present(state)) || (op->kind == OP_REPLACE && !present(state)) ||
            (op->kind == OP_PUT_IF && version_is_seen(op, stands, moves, state) == 0))
            return false;
        return store(op, ret);
    }
    if (op->kind == OP_ADD)
        return op->code == SHOAL_EXISTS && present(state);
    if (op->kind == OP_REPLACE)
        return op->code == SHOAL_MISSING && !present(state);
    return op->kind == OP_PUT_IF && op->code == SHOAL_CHANGED && version_is_seen(op, stands, moves, state) != 1;
}

static bool step_delete_if(const struct op *op, const struct stands_for *stands, bool moves, const struct state *state,
                           struct state *ret)
{
    if (op->code == SHOAL_MISSING || !present(state))
        return op->code == SHOAL_MISSING && !present(state);
    const int same = version_is_seen(op, stands, moves, state);
    if (op->code == SHOAL_CHANGED)
        return same != 1;
    return op->code == SHOAL_OK && same != 0 && gone(ret);
}

static bool step_incr(const struct op *op, const struct state *state, struct state *ret)
{
    const bool number = !present(state) || (state->type == SHOAL_I64 && state->bytes == 8);
    if (op->code == SHOAL_EINVAL)
        return !number;
    if (op->code != SHOAL_OK || !number || state->value + op->value != op->got)
        return false;
    *ret = (struct state){ op->got, 8, SHOAL_I64 };
    return true;
}

static bool step_take(const struct op *op, const struct stands_for *stands, const struct state *state,
                      struct state *ret)
{
    if (op->code == SHOAL_SHORT)
        return is_as_shown(op, stands, state);
    return met(op, stands, state) && (op->code != SHOAL_OK || gone(ret));
}

/* -- Operations cut off -------------------------------------------------------------------------------- */

static bool step_pending(const struct op *op, const struct stands_for *stands, bool moves, const struct state *state,
                         struct state *ret)
{
    switch (op->kind) {
    case OP_ADD:
        return !present(state) && store(op, ret);
    case OP_REPLACE:
        return present(state) && store(op, ret);
    case OP_PUT_IF:
        return version_is_seen(op, stands, moves, state) != 0 && store(op, ret);
    case OP_PUT:
    case OP_PUT_WITH:
    case OP_PUT_MANY:
    case OP_UPDATE_STORE:
        return store(op, ret);
    case OP_DELETE_IF:
        return present(state) && version_is_seen(op, stands, moves, state) != 0 && gone(ret);
    case OP_DELETE:
    case OP_DELETE_MANY:
    case OP_TAKE:
    case OP_UPDATE_REMOVE:
        return present(state) && gone(ret);
    case OP_INCR:
        if (present(state) && (state->type != SHOAL_I64 || state->bytes != 8))
            return false;
        *ret = (struct state){ state->value + op->value, 8, SHOAL_I64 };
        return true;
    default:
        return false;
    }
}

/* -- All ------------------------------------------------------------------------------------------------ */

bool model_step(const struct op *op, const struct stands_for *stands, bool moves, const struct state *state,
                struct state *ret)
{
    *ret = *state;
    if (op->pending)
        return step_pending(op, stands, moves, state, ret);
    switch (op->kind) {
    case OP_WAIT:
        return step_wait(op, stands, moves, state);
    case OP_PUT:
    case OP_ADD:
    case OP_REPLACE:
    case OP_PUT_WITH:
    case OP_PUT_IF:
    case OP_PUT_MANY:
        return step_put(op, stands, moves, state, ret);
    case OP_DELETE_IF:
        return step_delete_if(op, stands, moves, state, ret);
    case OP_INCR:
        return step_incr(op, state, ret);
    case OP_TAKE:
        return step_take(op, stands, state, ret);
    case OP_UPDATE_STORE:
        return met(op, stands, state) && store(op, ret);
    case OP_DELETE:
    case OP_DELETE_MANY:
    case OP_UPDATE_REMOVE:
        return met(op, stands, state) && (op->code != SHOAL_OK || gone(ret));
    default:
        return met(op, stands, state);
    }
}

uint64_t model_needs(const struct op *op, const struct stands_for *stands)
{
    if (op->pending)
        return 0;
    if (op->kind == OP_INCR)
        return op->code == SHOAL_OK ? op->got - op->value : 0;
    if (op->kind == OP_WAIT)
        return op->code == SHOAL_TIMEOUT ? stands->seen : stands->version;
    if ((op->kind == OP_PUT_IF || op->kind == OP_DELETE_IF) && op->code == SHOAL_OK)
        return stands->seen;
    if (op_version_is_new(op) || (op->code != SHOAL_OK && op->code != SHOAL_SHORT))
        return 0;
    if (op->shows & SHOWS_VALUE)
        return op->got;
    return op->shows & SHOWS_VERSION ? stands->version : 0;
}
