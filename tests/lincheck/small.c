/* SPDX-License-Identifier: MIT
 *
 * Processes that call a model.
 */
#include "lincheck/small.h"

#include <stddef.h>

#include "lib/random.h"
#include "lincheck/model.h"

#define CALLERS 3u
#define SMALL_KEYS 2u

struct small {
    struct history *history;
    uint64_t random, stamp, unique;
    struct small_key {
        uint64_t version;            /* of what is there now, 0 = nothing is */
        uint64_t met[SMALL_OPS + 1]; /* versions there were */
        uint32_t met_n;
        struct state state;
    } key[SMALL_KEYS];
    struct {
        uint32_t op; /* + 1; 0 = no call under way */
        bool effective;
    } caller[CALLERS];
};

static uint32_t below(struct small *s, uint32_t n) { return random_below(&s->random, n); }

static void begin(struct small *s, uint32_t c)
{
    struct op *op = history_add(s->history);
    *op = (struct op){ .kind = (uint8_t)below(s, OP_KINDS), .life = c, .invoked = s->stamp, .returned = STAMP_NEVER };
    op->key = (uint8_t)(below(s, 6) == 0);
    const struct small_key *key = &s->key[op->key];
    op->value = random_mix(s->history->seed + ++s->unique); /* sums are unique too */
    op->type = below(s, 2) ? SHOAL_I64 : SHOAL_RAW;
    op->bytes = op->type == SHOAL_I64 ? 8 : 8 + 8 * below(s, 2);
    if (op->kind == OP_INCR)
        op->type = SHOAL_I64;
    if (op->kind == OP_PUT_IF || op->kind == OP_DELETE_IF || op->kind == OP_WAIT)
        op->seen = below(s, 3) && key->met_n ? key->met[below(s, key->met_n)] : 0;
    op->pending = 1; /* until it returns */
    s->caller[c].op = s->history->n;
    s->caller[c].effective = false;
}

static void show(const struct small_key *key, struct op *op, uint8_t shows)
{
    op->shows = shows;
    op->got = (shows & SHOWS_VALUE) ? key->state.value : 0;
    op->got_bytes = (shows & SHOWS_BYTES) ? key->state.bytes : 0;
    op->got_type = (shows & SHOWS_TYPE) ? key->state.type : 0;
    op->version = (shows & SHOWS_VERSION) ? key->version : 0;
}

/* What the call answers where it takes effect now; not yet what it does. */
static void answer(const struct small_key *key, struct op *op)
{
    const bool there = key->state.value != 0;
    op->code = there ? SHOAL_OK : SHOAL_MISSING;
    switch (op->kind) {
    case OP_PUT: case OP_PUT_WITH: case OP_PUT_MANY:
        op->code = SHOAL_OK;
        return;
    case OP_ADD:
        op->code = there ? SHOAL_EXISTS : SHOAL_OK;
        return;
    case OP_PUT_IF:
        op->code = op->seen == key->version ? SHOAL_OK : SHOAL_CHANGED;
        return;
    case OP_DELETE_IF:
        op->code = !there ? SHOAL_MISSING : op->seen == key->version ? SHOAL_OK : SHOAL_CHANGED;
        return;
    case OP_WAIT:
        op->code = op->seen == key->version ? SHOAL_TIMEOUT : SHOAL_OK;
        op->version = op->code == SHOAL_OK ? key->version : 0;
        return;
    case OP_INCR:
        op->code = there && (key->state.type != SHOAL_I64 || key->state.bytes != 8) ? SHOAL_EINVAL : SHOAL_OK;
        op->got = op->code == SHOAL_OK ? key->state.value + op->value : 0;
        return;
    case OP_REPLACE: case OP_DELETE: case OP_DELETE_MANY:
        return;
    case OP_PEEK:
        show(key, op, there ? SHOWS_BYTES : 0);
        return;
    case OP_INFO:
        show(key, op, there ? SHOWS_BYTES | SHOWS_TYPE | SHOWS_VERSION : 0);
        return;
    case OP_GET: case OP_TAKE:
        show(key, op, there ? SHOWS_VALUE | SHOWS_BYTES : 0);
        return;
    default:
        show(key, op, there ? SHOWS_VALUE | SHOWS_BYTES | SHOWS_TYPE | SHOWS_VERSION : 0);
        return;
    }
}

static void take_effect(struct small *s, struct op *op)
{
    struct small_key *key = &s->key[op->key];
    const uint64_t before = key->state.value;
    answer(key, op);
    op->pending = 0;
    if (op_changes(op)) {
        const struct stands_for nothing = { 0, 0 };
        const struct op under_way = { .kind = op->kind, .value = op->value, .bytes = op->bytes, .type = op->type,
                                      .seen = op->seen, .pending = 1 };
        struct state after;
        if (model_step(&under_way, &nothing, true, &key->state, &after))
            key->state = after;
    }
    if (key->state.value != before)
        key->version = key->state.value ? 1000 + ++s->unique : 0;
    if (key->version && op_version_is_new(op) && op->code == SHOAL_OK)
        op->version = key->version;
    if (key->version)
        key->met[key->met_n++] = key->version;
    op->pending = 1;
}

/* Who was cut off says nothing; whoever would only have read is left out. */
static void cut_off(struct small *s)
{
    struct history *h = s->history;
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        struct op op = h->op[i];
        if (op.pending) {
            op.code = 0;
            show(&s->key[op.key], &op, 0);
        }
        if (!op.pending || op_changes(&op))
            h->op[n++] = op;
    }
    h->n = n;
}

void small_history(uint64_t seed, struct history *ret)
{
    struct small s = { .history = ret, .random = random_mix(seed), .stamp = 1 };
    const uint32_t ops_n = 3 + below(&s, SMALL_OPS - 2);
    history_clear(ret);
    ret->seed = seed;
    ret->keys_n = SMALL_KEYS;
    ret->lives_n = CALLERS;
    for (uint32_t steps = 0; steps < 6 * ops_n; steps++) {
        const uint32_t c = below(&s, CALLERS);
        const uint32_t i = s.caller[c].op;
        if (i == 0) {
            if (ret->n < ops_n)
                begin(&s, c);
        } else if (below(&s, 12) == 0) { /* killed, and reaped before anything else happens */
            ret->op[i - 1].returned = s.stamp++;
            s.caller[c].op = 0;
        } else if (!s.caller[c].effective) {
            take_effect(&s, &ret->op[i - 1]);
            s.caller[c].effective = true;
        } else {
            ret->op[i - 1].pending = 0;
            ret->op[i - 1].returned = s.stamp++;
            s.caller[c].op = 0;
        }
        if (below(&s, 10) == 0 && s.key[0].version) { /* the record is moved */
            ret->moves = true;
            s.key[0].version = 1000 + ++s.unique;
        }
    }
    cut_off(&s);
}

static void spoil(struct history *h, struct op *op, uint64_t *random)
{
    static const int16_t codes[] = { SHOAL_OK,      SHOAL_MISSING, SHOAL_EXISTS,
                                     SHOAL_CHANGED, SHOAL_TIMEOUT, SHOAL_EINVAL };
    const struct op *other = &h->op[random_below(random, h->n)];
    if (op->pending)
        return;
    switch (random_below(random, 4)) {
    case 0:
        op->code = codes[random_below(random, 6)];
        break;
    case 1:
        if (op->shows & SHOWS_VALUE || op->kind == OP_INCR)
            op->got = op_leaves(other);
        break;
    case 2:
        if (op->version)
            op->version = other->version;
        break;
    default: /* its stamps: it took longer, or less long */
        if (random_below(random, 2))
            op->invoked = op->returned;
        else if (op->invoked > 1)
            op->invoked--;
        break;
    }
    if (op->code != SHOAL_OK && op->kind != OP_TAKE) {
        op->shows = 0;
        op->got = op->version = 0;
    }
}

void small_spoil(struct history *history, uint64_t *random)
{
    const uint32_t n = random_below(random, 3);
    for (uint32_t i = 0; i < n && history->n; i++)
        spoil(history, &history->op[random_below(random, history->n)], random);
}
