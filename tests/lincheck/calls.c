/* SPDX-License-Identifier: MIT
 *
 * The calls, and how each answer is written down.
 *
 * The process may be killed anywhere.  An operation is complete in the log, but for its answer, before its
 * call begins, and `returned` is the last word that is written: an operation with returned 0 was cut off.
 */
#include "lincheck/calls.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "lib/act.h"
#include "lib/fail.h"
#include "lib/random.h"

#define BATCH 4u
#define SEEN 8u /* versions that this process has met, new and old */
#define VALUE_BYTES_MAX 6000u

struct caller {
    const struct course *course;
    struct log *log;
    uint64_t random, unique, seen[HISTORY_KEYS][SEEN];
    uint32_t life, seen_n[HISTORY_KEYS];
    uint8_t buf[BATCH][VALUE_BYTES_MAX + 8];
};

#define keep_order() __asm__ volatile("" ::: "memory")

uint64_t stamp_now(const uint64_t *stamp) { return __atomic_load_n(stamp, __ATOMIC_ACQUIRE); }
uint64_t stamp_next(uint64_t *stamp) { return __atomic_fetch_add(stamp, 1, __ATOMIC_SEQ_CST); }

/* Of different lengths: keys take one word, several, or a part of one. */
int course_key(uint32_t key, char name[32])
{
    static const char *const tails[4] = { "", "-four", "-longer-than-that", "-sixteen" };
    return snprintf(name, 32, "hot%u%s", key, tails[key % 4]);
}

static uint32_t below(struct caller *c, uint32_t n) { return random_below(&c->random, n); }

/* No two of a history are equal: the input tells process and count, and the mixing is a bijection. */
static uint64_t unique(struct caller *c)
{
    const uint64_t value = random_mix(c->course->seed + ((uint64_t)(c->life + 1) << 40 | ++c->unique));
    return value ? value : unique(c);
}

static void give_way(struct caller *c)
{
    if (c->course->yield_one_in && below(c, c->course->yield_one_in) == 0)
        sched_yield();
}

/* -- The log ------------------------------------------------------------------------------------------- */

static struct op *plan(struct caller *c, enum op_kind kind, uint32_t key)
{
    struct op *op = &c->log->op[c->log->n];
    *op = (struct op){ .kind = (uint8_t)kind, .key = (uint8_t)key, .life = c->life };
    return op;
}

/* The last n planned begin. */
static void begin(struct caller *c, uint32_t n)
{
    const uint64_t now = stamp_now(c->course->stamp);
    for (uint32_t i = 0; i < n; i++)
        c->log->op[c->log->n + i].invoked = now;
    keep_order();
    *(volatile uint32_t *)&c->log->n += n;
    keep_order();
    give_way(c);
}

static void end(struct caller *c, uint32_t n)
{
    give_way(c);
    keep_order();
    const uint64_t now = stamp_next(c->course->stamp);
    for (uint32_t i = 1; i <= n; i++)
        *(volatile uint64_t *)&c->log->op[c->log->n - i].returned = now;
    keep_order();
}

/* An operation that said nothing and did nothing: full, or a read-only reader that lost every race.  code
 * keeps it; who gathers leaves it out. */
static bool is_void(const struct op *op)
{
    const bool reads = op->kind <= OP_GET_MANY;
    return op->code == SHOAL_EFULL || (reads && op->code == SHOAL_CHANGED);
}

static void remember(struct caller *c, uint32_t key, uint64_t version)
{
    if (version)
        c->seen[key][c->seen_n[key]++ % SEEN] = version;
}

/* Mostly the newest, so that it may be the right one. */
static uint64_t recall(struct caller *c, uint32_t key)
{
    const uint32_t n = c->seen_n[key], back = below(c, 4) ? 1 : 1 + below(c, SEEN);
    if (below(c, 6) == 0)
        return 0;
    return n >= back ? c->seen[key][(n - back) % SEEN] : 0;
}

/* -- Values -------------------------------------------------------------------------------------------- */

static void choose_value(struct caller *c, struct op *op, bool typed, uint8_t *buf)
{
    static const uint32_t sizes[8] = { 8, 8, 24, 100, 104, 300, 1500, VALUE_BYTES_MAX };
    op->value = unique(c);
    op->type = typed && below(c, 2) ? SHOAL_I64 : SHOAL_RAW;
    op->bytes = op->type == SHOAL_I64 ? 8 : sizes[below(c, c->course->large ? 8 : 6)];
    value_make(buf, op->value, op->bytes);
}

static void met_value(struct op *op, const void *value, size_t bytes)
{
    require(value_read(value, bytes, &op->got) && bytes >= 8, "%s of key %u is torn: tag %llx, %zu bytes",
            op_name(op->kind), op->key, (unsigned long long)op->got, bytes);
    op->got_bytes = (uint32_t)bytes;
    op->shows |= SHOWS_VALUE | SHOWS_BYTES;
}

static void met_version(struct caller *c, struct op *op, uint64_t version)
{
    op->version = version;
    op->shows |= SHOWS_VERSION;
    if (op->shows & SHOWS_VALUE)
        remember(c, op->key, version);
}

static void met_type(struct op *op, uint8_t type)
{
    op->got_type = type;
    op->shows |= SHOWS_TYPE;
}

static void answered(struct op *op, int code, uint32_t allowed)
{
    op->code = (int16_t)code;
    require((code >= 0 && (allowed >> code & 1)) || is_void(op), "%s of key %u: %d %s", op_name(op->kind), op->key,
            code, code < 0 ? shoal_error_text() : "");
}
#define MAY(code) (1u << (code))

/* -- Reading ------------------------------------------------------------------------------------------- */

static struct shoal *reading_map(struct caller *c) { return below(c, 4) ? c->course->map : c->course->readonly; }

static void call_get(struct caller *c, enum op_kind kind, uint32_t key)
{
    char name[32];
    size_t bytes = 0;
    uint64_t version = 0;
    int code;
    const size_t key_bytes = (size_t)course_key(key, name);
    struct op *op = plan(c, kind, key);
    struct shoal *map = reading_map(c);
    begin(c, 1);
    if (kind == OP_GETV)
        code = shoal_getv(map, name, key_bytes, c->buf[0], sizeof c->buf[0], &bytes, &version);
    else
        code = shoal_get(map, name, key_bytes, kind == OP_PEEK ? NULL : c->buf[0],
                         kind == OP_PEEK ? 0 : sizeof c->buf[0], &bytes);
    answered(op, code, MAY(SHOAL_OK) | MAY(SHOAL_MISSING));
    if (code == SHOAL_OK && kind != OP_PEEK)
        met_value(op, c->buf[0], bytes);
    if (code == SHOAL_OK && kind == OP_PEEK) {
        op->got_bytes = (uint32_t)bytes;
        op->shows = SHOWS_BYTES;
    }
    if (code == SHOAL_OK && kind == OP_GETV)
        met_version(c, op, version);
    end(c, 1);
}

static void call_info(struct caller *c, uint32_t key)
{
    char name[32];
    struct shoal_info info = SHOAL_INFO_INIT;
    const size_t key_bytes = (size_t)course_key(key, name);
    struct op *op = plan(c, OP_INFO, key);
    struct shoal *map = reading_map(c);
    begin(c, 1);
    const int code = shoal_info(map, name, key_bytes, &info);
    answered(op, code, MAY(SHOAL_OK) | MAY(SHOAL_MISSING));
    if (code == SHOAL_OK) {
        op->got_bytes = (uint32_t)info.bytes;
        op->shows = SHOWS_BYTES;
        met_type(op, info.type);
        met_version(c, op, info.version);
    }
    end(c, 1);
}

/* A view must stay what it was while its key is replaced (A). */
static void call_view(struct caller *c, uint32_t key)
{
    char name[32];
    struct shoal_view view = { 0 };
    const size_t key_bytes = (size_t)course_key(key, name);
    struct op *op = plan(c, OP_VIEW, key);
    struct shoal *map = reading_map(c);
    begin(c, 1);
    const int code = shoal_view(map, name, key_bytes, &view);
    answered(op, code, MAY(SHOAL_OK) | MAY(SHOAL_MISSING));
    if (code == SHOAL_OK) {
        met_value(op, view.value, view.bytes);
        met_type(op, view.type);
        met_version(c, op, view.version);
    }
    end(c, 1);
    if (code == SHOAL_OK) {
        uint64_t tag = 0;
        give_way(c);
        require(value_read(view.value, view.bytes, &tag) && tag == op->got, "A: a view changed while it was held");
        shoal_view_end(&view);
    }
}

static void call_wait(struct caller *c, uint32_t key)
{
    char name[32];
    uint64_t version = 0;
    const size_t key_bytes = (size_t)course_key(key, name);
    struct op *op = plan(c, OP_WAIT, key);
    op->seen = recall(c, key);
    const int timeout_ms = below(c, 100) == 0;
    begin(c, 1);
    const int code = shoal_wait(c->course->map, name, key_bytes, op->seen, timeout_ms, &version);
    answered(op, code, MAY(SHOAL_OK) | MAY(SHOAL_TIMEOUT));
    if (code == SHOAL_OK)
        op->version = version;
    end(c, 1);
}

/* -- Writing ------------------------------------------------------------------------------------------- */

static void call_put(struct caller *c, enum op_kind kind, uint32_t key)
{
    char name[32];
    int code;
    uint64_t version = 0;
    struct shoal_how how = SHOAL_HOW_INIT;
    struct shoal *map = c->course->map;
    const size_t key_bytes = (size_t)course_key(key, name);
    struct op *op = plan(c, kind, key);
    choose_value(c, op, kind == OP_PUT_WITH || kind == OP_PUT_IF, c->buf[0]);
    if (kind == OP_PUT_IF) {
        how.flags = SHOAL_IF_VERSION;
        how.if_version = op->seen = recall(c, key);
    }
    how.type = op->type;
    begin(c, 1);
    if (kind == OP_PUT)
        code = shoal_put(map, name, key_bytes, c->buf[0], op->bytes);
    else if (kind == OP_ADD)
        code = shoal_add(map, name, key_bytes, c->buf[0], op->bytes);
    else if (kind == OP_REPLACE)
        code = shoal_replace(map, name, key_bytes, c->buf[0], op->bytes);
    else
        code = shoal_put_with(map, name, key_bytes, c->buf[0], op->bytes, &how, &version);
    answered(op, code,
             MAY(SHOAL_OK) | (kind == OP_ADD ? MAY(SHOAL_EXISTS) : 0) | (kind == OP_REPLACE ? MAY(SHOAL_MISSING) : 0) |
                 (kind == OP_PUT_IF ? MAY(SHOAL_CHANGED) : 0));
    op->version = version;
    remember(c, key, version);
    end(c, 1);
}

static void call_delete(struct caller *c, enum op_kind kind, uint32_t key)
{
    char name[32];
    const size_t key_bytes = (size_t)course_key(key, name);
    struct op *op = plan(c, kind, key);
    if (kind == OP_DELETE_IF)
        op->seen = recall(c, key);
    begin(c, 1);
    const int code = kind == OP_DELETE ? shoal_delete(c->course->map, name, key_bytes)
                                       : shoal_delete_if(c->course->map, name, key_bytes, op->seen);
    answered(op, code, MAY(SHOAL_OK) | MAY(SHOAL_MISSING) | (kind == OP_DELETE_IF ? MAY(SHOAL_CHANGED) : 0));
    end(c, 1);
}

static void call_take(struct caller *c, uint32_t key)
{
    char name[32];
    size_t bytes = 0;
    const size_t key_bytes = (size_t)course_key(key, name), room = below(c, 8) ? sizeof c->buf[0] : 50;
    struct op *op = plan(c, OP_TAKE, key);
    begin(c, 1);
    const int code = shoal_take(c->course->map, name, key_bytes, c->buf[0], room, &bytes);
    answered(op, code, MAY(SHOAL_OK) | MAY(SHOAL_MISSING) | MAY(SHOAL_SHORT));
    if (code == SHOAL_OK)
        met_value(op, c->buf[0], bytes);
    if (code == SHOAL_SHORT) {
        op->got_bytes = (uint32_t)bytes;
        op->shows = SHOWS_BYTES;
    }
    end(c, 1);
}

static void call_incr(struct caller *c, uint32_t key)
{
    char name[32];
    int64_t sum = 0;
    const size_t key_bytes = (size_t)course_key(key, name);
    struct op *op = plan(c, OP_INCR, key);
    op->value = unique(c);
    op->type = SHOAL_I64;
    op->bytes = 8;
    begin(c, 1);
    const int code = shoal_incr(c->course->map, name, key_bytes, (int64_t)op->value, &sum);
    if (code == SHOAL_EINVAL) /* another type */
        op->code = SHOAL_EINVAL;
    else
        answered(op, code, MAY(SHOAL_OK));
    op->got = code == SHOAL_OK ? (uint64_t)sum : 0;
    end(c, 1);
}

struct update {
    struct caller *caller;
    struct op *op;
    int verdict;
    struct op met; /* by the latest run of the function: the one that counts */
};

static int update_fn(struct shoal_change *change, void *arg)
{
    struct update *u = arg;
    u->met = *u->op;
    u->met.code = change->old ? SHOAL_OK : SHOAL_MISSING;
    if (change->old) {
        met_value(&u->met, change->old, change->old_bytes);
        met_type(&u->met, change->old_type);
        u->met.version = change->old_version;
        u->met.shows |= SHOWS_VERSION;
    }
    give_way(u->caller); /* between reading the old and storing the new */
    change->value = u->caller->buf[0];
    change->value_bytes = u->op->bytes;
    change->type = u->op->type;
    return u->verdict;
}

static void call_update(struct caller *c, enum op_kind kind, uint32_t key)
{
    char name[32];
    const size_t key_bytes = (size_t)course_key(key, name);
    struct op *op = plan(c, kind, key);
    struct update u = { .caller = c, .op = op, .verdict = SHOAL_REMOVE };
    if (kind == OP_UPDATE_KEEP)
        u.verdict = SHOAL_KEEP;
    if (kind == OP_UPDATE_STORE) {
        u.verdict = SHOAL_STORE;
        choose_value(c, op, true, c->buf[0]);
    }
    begin(c, 1);
    const int code = shoal_update(c->course->map, name, key_bytes, update_fn, &u);
    answered(op, code, MAY(SHOAL_OK));
    if (code == SHOAL_OK) {
        op->code = u.met.code;
        op->got = u.met.got;
        op->got_bytes = u.met.got_bytes;
        op->got_type = u.met.got_type;
        op->shows = u.met.shows;
        op->version = u.met.version;
        remember(c, key, op->version);
    }
    end(c, 1);
}

/* -- Many keys ----------------------------------------------------------------------------------------- */

static void many_answered(struct caller *c, const struct shoal_result *results, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct op *op = &c->log->op[c->log->n - n + i];
        const struct shoal_result *r = &results[i];
        answered(op, r->code, MAY(SHOAL_OK) | (op->kind != OP_PUT_MANY ? MAY(SHOAL_MISSING) : 0));
        if (op->kind == OP_PUT_MANY && r->code == SHOAL_OK) {
            op->version = r->version;
            remember(c, op->key, r->version);
        }
        if (op->kind == OP_GET_MANY && r->code == SHOAL_OK) {
            met_value(op, r->buf, r->bytes);
            met_type(op, r->type);
            met_version(c, op, r->version);
        }
    }
}

static void call_many(struct caller *c, enum op_kind kind)
{
    char name[BATCH][32];
    struct shoal_key keys[BATCH];
    struct shoal_value values[BATCH];
    struct shoal_result results[BATCH] = { { 0 } };
    const uint32_t n = 2 + below(c, BATCH - 1);
    struct shoal *map = kind == OP_GET_MANY ? reading_map(c) : c->course->map;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t key = below(c, c->course->keys_n);
        struct op *op = &c->log->op[c->log->n + i];
        *op = (struct op){ .kind = (uint8_t)kind, .key = (uint8_t)key, .life = c->life };
        if (kind == OP_PUT_MANY)
            choose_value(c, op, false, c->buf[i]);
        keys[i] = (struct shoal_key){ name[i], (size_t)course_key(key, name[i]) };
        values[i] = (struct shoal_value){ .value = c->buf[i], .bytes = op->bytes };
        results[i].buf = c->buf[i];
        results[i].buf_bytes = sizeof c->buf[i];
    }
    begin(c, n);
    if (kind == OP_GET_MANY)
        (void)shoal_get_many(map, keys, n, results);
    else if (kind == OP_PUT_MANY)
        (void)shoal_put_many(map, keys, values, n, results);
    else
        (void)shoal_delete_many(map, keys, n, results);
    many_answered(c, results, n);
    end(c, n);
}

/* -- Walks --------------------------------------------------------------------------------------------- */

static uint32_t key_of(const struct shoal_item *item, uint32_t keys_n)
{
    char name[32];
    for (uint32_t key = 0; key < keys_n; key++)
        if (item->key_bytes == (size_t)course_key(key, name) && memcmp(item->key, name, item->key_bytes) == 0)
            return key;
    require(false, "a walk by prefix gave a key of %zu bytes that nobody stored", item->key_bytes);
}

static void call_walk(struct caller *c)
{
    struct shoal_iter *iter = NULL;
    struct shoal_item item = { 0 };
    if (c->log->walks_n == c->log->walks_room)
        return;
    struct walk *walk = &c->log->walk[c->log->walks_n];
    *walk = (struct walk){ .life = c->life, .invoked = stamp_now(c->course->stamp) };
    keep_order();
    int code = shoal_iter_open(reading_map(c), "hot", 3, &iter);
    require(code == 0, "iter_open: %d %s", code, shoal_error_text());
    while ((code = shoal_iter_next(iter, &item)) == 0) {
        require(walk->n < WALK_ITEMS, "a walk gives more than %u items of %u keys", WALK_ITEMS, c->course->keys_n);
        require(value_read(item.value, item.value_bytes, &walk->value[walk->n]), "a walk gave a torn value");
        walk->key[walk->n++] = (uint8_t)key_of(&item, c->course->keys_n);
        give_way(c);
    }
    shoal_iter_close(iter);
    require(code == SHOAL_END || code == SHOAL_CHANGED, "iter_next: %d %s", code, shoal_error_text());
    if (code == SHOAL_CHANGED) /* read-only, and lost every race: not a whole walk */
        return;
    keep_order();
    walk->returned = stamp_next(c->course->stamp);
    keep_order();
    *(volatile uint32_t *)&c->log->walks_n += 1;
}

/* -- A life -------------------------------------------------------------------------------------------- */

static void one_call(struct caller *c)
{
    const enum op_kind kind = (enum op_kind)below(c, OP_KINDS);
    const uint32_t key = below(c, c->course->keys_n);
    switch (kind) {
    case OP_GET: case OP_GETV: case OP_PEEK:
        call_get(c, kind, key);
        break;
    case OP_INFO:
        call_info(c, key);
        break;
    case OP_VIEW:
        call_view(c, key);
        break;
    case OP_WAIT:
        call_wait(c, key);
        break;
    case OP_GET_MANY: case OP_PUT_MANY: case OP_DELETE_MANY:
        call_many(c, kind);
        break;
    case OP_DELETE: case OP_DELETE_IF:
        call_delete(c, kind, key);
        break;
    case OP_TAKE:
        call_take(c, key);
        break;
    case OP_INCR:
        call_incr(c, key);
        break;
    case OP_UPDATE_STORE: case OP_UPDATE_KEEP: case OP_UPDATE_REMOVE:
        call_update(c, kind, key);
        break;
    default:
        call_put(c, kind, key);
        break;
    }
}

void calls_live(const struct course *course, struct log *log, uint32_t life)
{
    static struct caller caller; /* large */
    caller = (struct caller){ .course = course, .log = log, .life = life };
    caller.random = random_mix(course->seed + life);
    while (log->n + BATCH <= log->room) {
        if (below(&caller, course->walk_one_in) == 0)
            call_walk(&caller);
        if (course->between != NULL)
            course->between(course, &caller.random);
        one_call(&caller);
    }
}
