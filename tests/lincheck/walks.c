/* SPDX-License-Identifier: MIT
 *
 * Judging walks by what is certain of each key while they lasted.
 */
#include "lincheck/walks.h"

#include <stddef.h>

#include "lib/random.h"

enum certain { UNCERTAIN, CERTAINLY_THERE, CERTAINLY_ABSENT };

static bool removes(const struct op *op)
{
    switch (op->kind) {
    case OP_DELETE:
    case OP_DELETE_IF:
    case OP_DELETE_MANY:
    case OP_TAKE:
    case OP_UPDATE_REMOVE:
        return op_changes(op);
    default:
        return false;
    }
}

static bool before_walk(const struct op *op, const struct walk *walk) { return op->returned < walk->invoked; }
static bool behind_walk(const struct op *op, const struct walk *walk) { return walk->returned < op->invoked; }

/* The latest operation before the walk that settled whether the key is there. */
static const struct op *last_settled(const struct history *h, const struct walk *walk, uint32_t key)
{
    const struct op *last = NULL;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct op *op = &h->op[i];
        if (op->key == key && !op->pending && op_changes(op) && before_walk(op, walk) &&
            (!last || op->invoked > last->invoked))
            last = op;
    }
    return last;
}

/* Whether the key was there all the while: nothing that might say otherwise overlaps the span from that
 * operation to the walk's end. */
static enum certain all_the_while(const struct history *h, const struct walk *walk, uint32_t key)
{
    const struct op *last = last_settled(h, walk, key);
    if (!last)
        return UNCERTAIN;
    const bool there = !removes(last);
    for (uint32_t i = 0; i < h->n; i++) {
        const struct op *op = &h->op[i];
        if (op->key != key || op == last || !op_changes(op) || removes(op) != there)
            continue;
        if (!op_precedes(op, last) && !behind_walk(op, walk))
            return UNCERTAIN;
    }
    return there ? CERTAINLY_THERE : CERTAINLY_ABSENT;
}

static bool removed_meanwhile(const struct history *h, const struct walk *walk, uint32_t key)
{
    for (uint32_t i = 0; i < h->n; i++) {
        const struct op *op = &h->op[i];
        if (op->key == key && removes(op) && !before_walk(op, walk) && !behind_walk(op, walk))
            return true;
    }
    return false;
}

static bool has_pending_incr(const struct history *h, uint32_t key)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (h->op[i].key == key && h->op[i].pending && h->op[i].kind == OP_INCR)
            return true;
    return false;
}

/* Could the key have had this value at an instant of the walk?  NULL = yes. */
static const char *value_fault(const struct history *h, const struct walk *walk, uint32_t key, uint64_t value)
{
    const struct op *writer = NULL;
    for (uint32_t i = 0; i < h->n && !writer; i++)
        if (h->op[i].key == key && op_leaves(&h->op[i]) == value)
            writer = &h->op[i];
    if (!writer)
        return has_pending_incr(h, key) ? NULL : "a value that nobody stored under the key";
    if (behind_walk(writer, walk))
        return "a value from after the walk";
    for (uint32_t i = 0; i < h->n; i++) {
        const struct op *op = &h->op[i];
        if (op->key == key && !op->pending && op_changes(op) && op_precedes(writer, op) && before_walk(op, walk))
            return "a value that was gone before the walk";
    }
    return NULL;
}

static const char *count_fault(const struct history *h, const struct walk *walk, uint32_t key, uint64_t *bound)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < walk->n; i++)
        n += walk->key[i] == key;
    const enum certain certain = all_the_while(h, walk, key);
    *bound += certain != UNCERTAIN;
    if (certain == CERTAINLY_THERE && n != 1)
        return n ? "a key that was there all the while, more than once" : "not a key that was there all the while";
    if (certain == CERTAINLY_ABSENT && n != 0)
        return "a key that was absent all the while";
    return n > 1 && !removed_meanwhile(h, walk, key) ? "a key twice that nobody deleted meanwhile" : NULL;
}

static const char *walk_fault(const struct history *h, const struct walk *walk, struct walks_result *result)
{
    const char *why = NULL;
    for (result->key = 0; result->key < h->keys_n; result->key++)
        if ((why = count_fault(h, walk, result->key, &result->bound)) != NULL)
            return why;
    for (uint32_t i = 0; i < walk->n; i++) {
        result->key = walk->key[i];
        if ((why = value_fault(h, walk, walk->key[i], walk->value[i])) != NULL)
            return why;
    }
    return NULL;
}

struct walks_result walks_check(const struct history *history)
{
    struct walks_result result = { 0 };
    for (uint32_t i = 0; i < history->walks_n && !result.bad; i++) {
        const struct walk *walk = &history->walk[i];
        result.why = walk_fault(history, walk, &result);
        if (result.why)
            result.bad = walk;
        result.walks++;
        result.items += walk->n;
    }
    return result;
}

/* -- Mutations ------------------------------------------------------------------------------------------ */

const char *walk_mutation_name(enum walk_mutation mutation)
{
    static const char *const names[WALK_MUTATIONS] = { "walk_dropped", "walk_twice", "walk_stale", "walk_phantom",
                                                       "walk_deleted" };
    return names[mutation];
}

static bool add_item(struct walk *walk, uint32_t key, uint64_t value)
{
    if (walk->n == WALK_ITEMS)
        return false;
    walk->key[walk->n] = (uint8_t)key;
    walk->value[walk->n++] = value;
    return true;
}

/* A value that a completed operation surely replaced before the walk; 0 = none. */
static uint64_t gone_before(const struct history *h, const struct walk *walk, uint32_t key, uint64_t *random)
{
    const uint32_t from = h->n ? random_below(random, h->n) : 0;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct op *op = &h->op[(from + i) % h->n];
        if (op->key == key && !op->pending && op_leaves(op) != 0 && before_walk(op, walk) &&
            value_fault(h, walk, key, op_leaves(op)))
            return op_leaves(op);
    }
    return 0;
}

static bool mutate_item(const struct history *h, struct walk *walk, uint32_t key, enum walk_mutation mutation,
                        uint64_t *random)
{
    uint32_t at = 0;
    while (at < walk->n && walk->key[at] != key)
        at++;
    const enum certain certain = all_the_while(h, walk, key);
    const uint64_t gone = gone_before(h, walk, key, random);
    switch (mutation) {
    case WALK_DROPPED:
        if (certain != CERTAINLY_THERE || at == walk->n)
            return false;
        walk->n--;
        walk->key[at] = walk->key[walk->n];
        walk->value[at] = walk->value[walk->n];
        return true;
    case WALK_TWICE:
        return certain == CERTAINLY_THERE && at < walk->n && add_item(walk, key, walk->value[at]);
    case WALK_STALE:
        if (at == walk->n || gone == 0)
            return false;
        walk->value[at] = gone;
        return true;
    case WALK_PHANTOM:
        if (at == walk->n || has_pending_incr(h, key))
            return false;
        walk->value[at] = random_next(random) | 1;
        return true;
    default:
        return certain == CERTAINLY_ABSENT && gone != 0 && add_item(walk, key, gone);
    }
}

bool walks_mutate(struct history *history, enum walk_mutation mutation, uint64_t *random)
{
    const uint32_t from = history->walks_n ? random_below(random, history->walks_n) : 0;
    for (uint32_t i = 0; i < history->walks_n; i++)
        for (uint32_t key = 0; key < history->keys_n; key++)
            if (mutate_item(history, &history->walk[(from + i) % history->walks_n], key, mutation, random))
                return true;
    return false;
}
