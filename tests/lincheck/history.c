/* SPDX-License-Identifier: MIT
 *
 * Histories: keeping, measuring and writing them.
 */
#include "lincheck/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fail.h"

/* -- Keeping --------------------------------------------------------------------------------------- */

static void *grow(void *at, uint32_t n, uint32_t *room, size_t bytes)
{
    if (n < *room)
        return at;
    *room = *room ? *room * 2 : 256;
    at = realloc(at, *room * bytes);
    require(at != NULL, "memory for %u operations", *room);
    return at;
}

struct op *history_add(struct history *history)
{
    history->op = grow(history->op, history->n, &history->room, sizeof *history->op);
    return &history->op[history->n++];
}

struct walk *history_add_walk(struct history *history)
{
    history->walk = grow(history->walk, history->walks_n, &history->walks_room, sizeof *history->walk);
    return &history->walk[history->walks_n++];
}

void history_clear(struct history *history)
{
    history->n = history->walks_n = 0;
    history->keys_n = history->lives_n = history->killed = 0;
    history->moves = false;
    history->moved = 0;
}

void history_copy(struct history *to, const struct history *from)
{
    history_clear(to);
    for (uint32_t i = 0; i < from->n; i++)
        *history_add(to) = from->op[i];
    for (uint32_t i = 0; i < from->walks_n; i++)
        *history_add_walk(to) = from->walk[i];
    to->seed = from->seed;
    to->keys_n = from->keys_n;
    to->lives_n = from->lives_n;
    to->killed = from->killed;
    to->moves = from->moves;
    to->moved = from->moved;
}

void history_free(struct history *history)
{
    free(history->op);
    free(history->walk);
    *history = (struct history){ 0 };
}

/* -- Operations ------------------------------------------------------------------------------------ */

bool op_changes(const struct op *op)
{
    switch (op->kind) {
    case OP_GET:
    case OP_GETV:
    case OP_PEEK:
    case OP_INFO:
    case OP_VIEW:
    case OP_GET_MANY:
    case OP_WAIT:
    case OP_UPDATE_KEEP:
        return false;
    case OP_UPDATE_STORE: /* its code says what it met */
        return true;
    default:
        return op->pending || op->code == SHOAL_OK;
    }
}

bool op_is_of_batch(const struct op *a, const struct op *b)
{
    return !a->pending && !b->pending && a->life == b->life && a->kind == b->kind && a->invoked == b->invoked &&
           a->returned == b->returned;
}

bool op_version_is_new(const struct op *op)
{
    return op->kind == OP_PUT_WITH || op->kind == OP_PUT_IF || op->kind == OP_PUT_MANY;
}

uint64_t op_leaves(const struct op *op)
{
    switch (op->kind) {
    case OP_PUT:
    case OP_ADD:
    case OP_REPLACE:
    case OP_PUT_WITH:
    case OP_PUT_IF:
    case OP_PUT_MANY:
    case OP_UPDATE_STORE:
        return op_changes(op) ? op->value : 0;
    case OP_INCR:
        return !op->pending && op->code == SHOAL_OK ? op->got : 0;
    default:
        return 0;
    }
}

/* -- Measuring ------------------------------------------------------------------------------------- */

static int by_invocation(const void *a, const void *b)
{
    const struct op *x = *(const struct op *const *)a, *y = *(const struct op *const *)b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

/* In the order of invocations, one overlaps an earlier one if that returned no sooner than it was invoked:
 * of the earlier ones the latest to return counts, and the latest of another process than that. */
uint32_t history_overlapping(const struct history *history)
{
    const uint32_t n = history->n;
    const struct op **op = malloc((n + 1) * sizeof *op), *last[2] = { NULL, NULL };
    uint32_t overlapping = 0;
    require(op != NULL, "memory for %u operations", n);
    for (uint32_t i = 0; i < n; i++)
        op[i] = &history->op[i];
    qsort(op, n, sizeof *op, by_invocation);
    for (uint32_t i = 0; i < n; i++) {
        bool overlaps = false;
        const uint64_t until = op[i]->returned;
        if (i > 0 && op[i]->key != op[i - 1]->key)
            last[0] = last[1] = NULL;
        for (uint32_t j = 0; j < 2; j++)
            overlaps |= last[j] && last[j]->life != op[i]->life && last[j]->returned >= op[i]->invoked;
        for (uint32_t j = i + 1; !overlaps && j < n && op[j]->key == op[i]->key && op[j]->invoked <= until; j++)
            overlaps = op[j]->life != op[i]->life;
        overlapping += overlaps;
        if (!last[0] || op[i]->returned > last[0]->returned) {
            if (last[0] && last[0]->life != op[i]->life)
                last[1] = last[0];
            last[0] = op[i];
        } else if (op[i]->life != last[0]->life && (!last[1] || op[i]->returned > last[1]->returned)) {
            last[1] = op[i];
        }
    }
    free(op);
    return overlapping;
}

uint32_t history_pending(const struct history *history)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < history->n; i++)
        n += history->op[i].pending;
    return n;
}

uint32_t history_lives(const struct history *history)
{
    bool here[HISTORY_LIVES] = { false };
    uint32_t n = 0;
    for (uint32_t i = 0; i < history->n; i++) {
        n += !here[history->op[i].life];
        here[history->op[i].life] = true;
    }
    return n;
}

/* -- Writing --------------------------------------------------------------------------------------- */

const char *op_name(enum op_kind kind)
{
    static const char *const names[OP_KINDS] = {
        "get",     "getv",    "peek",     "info",   "view",      "get_many",    "wait",
        "put",     "add",     "replace",  "put_with", "put_if",  "put_many",    "delete",
        "delete_if", "delete_many", "take", "incr",  "update_store", "update_keep", "update_remove",
    };
    return names[kind];
}

void op_write(FILE *file, const struct op *op)
{
    fprintf(file,
            "o %s %u %u %" PRIu64 " %" PRIu64 " %u %d %" PRIu64 " %u %u %" PRIu64 " %u %" PRIu64 " %u %u %" PRIu64 "\n",
            op_name(op->kind), op->key, op->life, op->invoked, op->returned, op->pending, op->code, op->value,
            op->bytes, op->type, op->seen, op->shows, op->got, op->got_bytes, op->got_type, op->version);
}

void history_write(FILE *file, const struct history *history, uint32_t number, bool accepted, const char *what)
{
    fprintf(file, "h %u %u %u %s %s\n", number, history->keys_n, history->moves, accepted ? "ok" : "bad", what);
    for (uint32_t i = 0; i < history->n; i++)
        op_write(file, &history->op[i]);
    fprintf(file, "e\n");
}

/* -- Reading --------------------------------------------------------------------------------------- */

static bool op_read(const char *line, struct op *op)
{
    char name[16];
    unsigned key, life, pending, bytes, type, shows, got_bytes, got_type;
    int code;
    *op = (struct op){ 0 };
    if (sscanf(line,
               "o %15s %u %u %" SCNu64 " %" SCNu64 " %u %d %" SCNu64 " %u %u %" SCNu64 " %u %" SCNu64 " %u %u %" SCNu64,
               name, &key, &life, &op->invoked, &op->returned, &pending, &code, &op->value, &bytes, &type, &op->seen,
               &shows, &op->got, &got_bytes, &got_type, &op->version) != 16)
        return false;
    while (op->kind < OP_KINDS && strcmp(op_name(op->kind), name) != 0)
        op->kind++;
    op->key = (uint8_t)key;
    op->life = life;
    op->pending = (uint8_t)pending;
    op->code = (int16_t)code;
    op->bytes = bytes;
    op->type = (uint8_t)type;
    op->shows = (uint8_t)shows;
    op->got_bytes = got_bytes;
    op->got_type = (uint8_t)got_type;
    return op->kind < OP_KINDS && key < HISTORY_KEYS;
}

bool history_read(FILE *file, struct history *history)
{
    char line[400];
    unsigned number, keys, moves;
    history_clear(history);
    if (!fgets(line, sizeof line, file) || sscanf(line, "h %u %u %u", &number, &keys, &moves) != 3 || keys > HISTORY_KEYS)
        return false;
    history->keys_n = keys;
    history->moves = moves != 0;
    while (fgets(line, sizeof line, file) && line[0] != 'e') {
        struct op op;
        if (!op_read(line, &op))
            return false;
        *history_add(history) = op;
    }
    return line[0] == 'e';
}
