/* SPDX-License-Identifier: MIT
 *
 * Finding an operation that a proof covers, and changing its answer.
 */
#include "lincheck/mutate.h"

#include <stddef.h>

#include "lib/random.h"
#include "lincheck/model.h"

struct mutator {
    struct history *history;
    struct versions versions;
    uint64_t *random;
};

const char *mutation_name(enum mutation mutation)
{
    static const char *const names[MUTATIONS] = {
        "stale_read",     "stale_get_many", "stale_info",    "stale_update",    "future_read",  "phantom_value",
        "other_key",      "inversion",      "lost_write",    "resurrection",    "ghost",        "lost_update",
        "lost_incr",      "double_delete",  "missed_delete", "double_take",     "add_over",     "add_refused",
        "replace_nothing", "put_if_stale",  "delete_if_stale", "wait_stale",
    };
    return names[mutation];
}

/* -- Proofs --------------------------------------------------------------------------------------------- */

static uint64_t needs(const struct mutator *m, const struct op *op)
{
    const struct stands_for stands = { versions_value(&m->versions, op->seen),
                                       op_version_is_new(op) ? 0 : versions_value(&m->versions, op->version) };
    return model_needs(op, &stands);
}

/* The value that it surely took away; 0 = none that is known. */
static uint64_t takes_away(const struct mutator *m, const struct op *op)
{
    return !op->pending && op_changes(op) ? needs(m, op) : 0;
}

static bool was_taken_before(const struct mutator *m, const struct op *r, uint64_t value)
{
    for (uint32_t i = 0; value != 0 && i < m->history->n; i++) {
        const struct op *c = &m->history->op[i];
        if (c->key == r->key && c != r && takes_away(m, c) == value && op_precedes(c, r))
            return true;
    }
    return false;
}

/* The change whose result r certainly met; NULL = that is not certain. */
static const struct op *certain_before(const struct mutator *m, const struct op *r)
{
    const struct history *h = m->history;
    const struct op *d = NULL;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct op *op = &h->op[i];
        if (op->key == r->key && op != r && !op->pending && op_changes(op) && op_precedes(op, r) &&
            (!d || op->invoked > d->invoked))
            d = op;
    }
    for (uint32_t i = 0; d && i < h->n; i++) {
        const struct op *op = &h->op[i];
        if (op->key == r->key && op != r && op != d && op_changes(op) && !op_precedes(op, d) && !op_precedes(r, op))
            return NULL;
    }
    return d;
}

static bool leaves_nothing(const struct op *op) { return op_leaves(op) == 0; }

/* -- Answers -------------------------------------------------------------------------------------------- */

static const struct op *writer_of(const struct mutator *m, uint64_t value)
{
    for (uint32_t i = 0; value != 0 && i < m->history->n; i++)
        if (op_leaves(&m->history->op[i]) == value)
            return &m->history->op[i];
    return NULL;
}

/* r's answer becomes that it met this value.  False: what it shows besides is not known of the value. */
static bool meets(const struct mutator *m, struct op *r, uint64_t value)
{
    const struct op *writer = writer_of(m, value);
    const uint64_t version = versions_of(m->history, value);
    if (!writer || ((r->shows & SHOWS_VERSION) && version == 0))
        return false;
    r->code = SHOAL_OK;
    r->got = value;
    r->got_bytes = writer->bytes;
    r->got_type = writer->type;
    if (r->shows & SHOWS_VERSION)
        r->version = version;
    return true;
}

static bool meets_nothing(struct op *r)
{
    r->code = SHOAL_MISSING;
    r->got = r->version = 0;
    r->got_bytes = r->got_type = r->shows = 0;
    return true;
}

static bool shows_value(const struct op *r) { return !r->pending && r->code == SHOAL_OK && (r->shows & SHOWS_VALUE); }

static bool reads_value(const struct op *r)
{
    return shows_value(r) && (r->kind == OP_GET || r->kind == OP_GETV || r->kind == OP_VIEW || r->kind == OP_GET_MANY);
}

/* The first value, from a random one on, that `fits`. */
typedef bool fits_fn(const struct mutator *m, const struct op *writer, const struct op *r);

static uint64_t some_value(const struct mutator *m, const struct op *r, fits_fn *fits)
{
    const uint32_t n = m->history->n, from = random_below(m->random, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct op *writer = &m->history->op[(from + i) % n];
        if (writer != r && op_leaves(writer) != 0 && fits(m, writer, r))
            return op_leaves(writer);
    }
    return 0;
}

static bool fits_taken(const struct mutator *m, const struct op *writer, const struct op *r)
{
    return writer->key == r->key && op_precedes(writer, r) && was_taken_before(m, r, op_leaves(writer));
}

static bool fits_future(const struct mutator *m, const struct op *writer, const struct op *r)
{
    (void)m;
    return writer->key == r->key && op_precedes(r, writer);
}

static bool fits_other_key(const struct mutator *m, const struct op *writer, const struct op *r)
{
    (void)m;
    return writer->key != r->key;
}

static bool fits_before(const struct mutator *m, const struct op *writer, const struct op *r)
{
    (void)m;
    return writer->key == r->key && op_precedes(writer, r);
}

/* Somebody who had returned before r saw a value whose write began after this one's had ended. */
static bool fits_inverted(const struct mutator *m, const struct op *writer, const struct op *r)
{
    if (writer->key != r->key)
        return false;
    for (uint32_t i = 0; i < m->history->n; i++) {
        const struct op *earlier = &m->history->op[i];
        if (earlier->key != r->key || !reads_value(earlier) || !op_precedes(earlier, r))
            continue;
        const struct op *newer = writer_of(m, earlier->got);
        if (newer && newer != writer && op_precedes(writer, newer))
            return true;
    }
    return false;
}

/* What a process that was killed and reaped had under way, where something else is certain. */
static bool fits_ghost(const struct mutator *m, const struct op *writer, const struct op *r)
{
    const struct op *d = writer->pending && writer->key == r->key ? certain_before(m, r) : NULL;
    return d && op_precedes(writer, d);
}

/* -- Kinds ---------------------------------------------------------------------------------------------- */

static bool mutate_read(const struct mutator *m, struct op *r, fits_fn *fits)
{
    const uint64_t value = some_value(m, r, fits);
    return value != 0 && value != r->got && meets(m, r, value);
}

static bool mutate_ghost(const struct mutator *m, struct op *r)
{
    r->shows = SHOWS_VALUE | SHOWS_BYTES; /* of such a value nobody knows a version */
    r->version = 0;
    return mutate_read(m, r, fits_ghost);
}

static bool mutate_info(const struct mutator *m, struct op *r)
{
    const uint64_t value = some_value(m, r, fits_taken);
    return value != 0 && meets(m, r, value);
}

static bool mutate_phantom(const struct mutator *m, struct op *r)
{
    r->got = random_next(m->random) | 1;
    r->version = 0;
    r->shows = SHOWS_VALUE;
    return true;
}

static bool mutate_lost_write(const struct mutator *m, struct op *r)
{
    const struct op *d = certain_before(m, r);
    return d && !leaves_nothing(d) && meets_nothing(r);
}

static bool mutate_resurrection(const struct mutator *m, struct op *r)
{
    const struct op *d = certain_before(m, r);
    const uint64_t value = d && leaves_nothing(d) ? some_value(m, r, fits_before) : 0;
    if (value == 0)
        return false;
    r->shows = SHOWS_VALUE | SHOWS_BYTES;
    return meets(m, r, value);
}

/* r met what another one took away, too. */
static bool mutate_shared_old(const struct mutator *m, struct op *r)
{
    const uint32_t n = m->history->n, from = random_below(m->random, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct op *other = &m->history->op[(from + i) % n];
        const uint64_t value = other != r && other->key == r->key && other->kind == r->kind ? takes_away(m, other) : 0;
        const struct op *writer = writer_of(m, value);
        if (!writer)
            continue;
        if (r->kind != OP_INCR)
            return meets(m, r, value);
        r->got = value + r->value;
        return true;
    }
    return false;
}

static bool mutate_take(const struct mutator *m, struct op *r)
{
    r->shows = SHOWS_VALUE | SHOWS_BYTES;
    return mutate_shared_old(m, r);
}

/* The answer becomes `code`, which is wrong where a value is certain (or where it is certain that there is none). */
static bool mutate_code(const struct mutator *m, struct op *r, bool there, int16_t code)
{
    const struct op *d = certain_before(m, r);
    if (!d || leaves_nothing(d) == there)
        return false;
    r->code = code;
    return true;
}

static bool mutate_stale_version(const struct mutator *m, struct op *r, int16_t code)
{
    if (r->seen == 0 || !was_taken_before(m, r, versions_value(&m->versions, r->seen)))
        return false;
    r->code = code;
    if (r->kind == OP_WAIT || r->kind == OP_PUT_IF)
        r->version = 0;
    return true;
}

/* -- One operation -------------------------------------------------------------------------------------- */

static bool deletes(const struct op *r) { return r->kind == OP_DELETE || r->kind == OP_DELETE_MANY; }

static bool mutate_op(const struct mutator *m, struct op *r, enum mutation mutation)
{
    switch (mutation) {
    case MUTATE_STALE_READ:
        return reads_value(r) && r->kind != OP_GET_MANY && mutate_read(m, r, fits_taken);
    case MUTATE_STALE_GET_MANY:
        return reads_value(r) && r->kind == OP_GET_MANY && mutate_read(m, r, fits_taken);
    case MUTATE_STALE_INFO:
        return r->kind == OP_INFO && r->code == SHOAL_OK && mutate_info(m, r);
    case MUTATE_STALE_UPDATE:
        return (r->kind == OP_UPDATE_KEEP || r->kind == OP_UPDATE_REMOVE) && shows_value(r) &&
               mutate_read(m, r, fits_taken);
    case MUTATE_FUTURE_READ:
        return reads_value(r) && mutate_read(m, r, fits_future);
    case MUTATE_PHANTOM_VALUE:
        return reads_value(r) && mutate_phantom(m, r);
    case MUTATE_OTHER_KEY:
        if (r->kind != OP_GET || !reads_value(r))
            return false;
        return mutate_read(m, r, fits_other_key);
    case MUTATE_INVERSION:
        return reads_value(r) && mutate_read(m, r, fits_inverted);
    case MUTATE_LOST_WRITE:
        return reads_value(r) && mutate_lost_write(m, r);
    case MUTATE_RESURRECTION:
        return (r->kind == OP_GET || r->kind == OP_GET_MANY) && r->code == SHOAL_MISSING && mutate_resurrection(m, r);
    case MUTATE_GHOST:
        return reads_value(r) && mutate_ghost(m, r);
    case MUTATE_LOST_UPDATE:
        return r->kind == OP_UPDATE_STORE && shows_value(r) && mutate_shared_old(m, r);
    case MUTATE_LOST_INCR:
        return r->kind == OP_INCR && r->code == SHOAL_OK && mutate_shared_old(m, r);
    case MUTATE_DOUBLE_DELETE:
        return deletes(r) && r->code == SHOAL_MISSING && mutate_code(m, r, false, SHOAL_OK);
    case MUTATE_MISSED_DELETE:
        return deletes(r) && r->code == SHOAL_OK && mutate_code(m, r, true, SHOAL_MISSING);
    case MUTATE_DOUBLE_TAKE:
        return r->kind == OP_TAKE && r->code != SHOAL_SHORT && mutate_take(m, r);
    case MUTATE_ADD_OVER:
        return r->kind == OP_ADD && r->code == SHOAL_EXISTS && mutate_code(m, r, true, SHOAL_OK);
    case MUTATE_ADD_REFUSED:
        return r->kind == OP_ADD && r->code == SHOAL_OK && mutate_code(m, r, false, SHOAL_EXISTS);
    case MUTATE_REPLACE_NOTHING:
        return r->kind == OP_REPLACE && r->code == SHOAL_MISSING && mutate_code(m, r, false, SHOAL_OK);
    case MUTATE_PUT_IF_STALE:
        return r->kind == OP_PUT_IF && r->code == SHOAL_CHANGED && mutate_stale_version(m, r, SHOAL_OK);
    case MUTATE_DELETE_IF_STALE:
        return r->kind == OP_DELETE_IF && r->code != SHOAL_OK && mutate_stale_version(m, r, SHOAL_OK);
    case MUTATE_WAIT_STALE:
        return r->kind == OP_WAIT && r->code == SHOAL_OK && mutate_stale_version(m, r, SHOAL_TIMEOUT);
    default:
        return false;
    }
}

bool mutate_history(struct history *history, enum mutation mutation, uint64_t *random, uint32_t *ret_key)
{
    struct mutator m = { .history = history, .random = random };
    bool done = false;
    const uint32_t from = history->n ? random_below(random, history->n) : 0;
    if (versions_learn(&m.versions, history, ret_key))
        for (uint32_t i = 0; i < history->n && !done; i++) {
            struct op *r = &history->op[(from + i) % history->n];
            const struct op before = *r;
            if (r->pending)
                continue;
            done = mutate_op(&m, r, mutation);
            if (!done)
                *r = before;
            *ret_key = r->key;
        }
    versions_free(&m.versions);
    return done;
}
