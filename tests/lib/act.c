/* SPDX-License-Identifier: MIT
 *
 * One call on one key: the model's and the map's.
 */
#include "lib/act.h"

#include <string.h>

#include "lib/fail.h"
#include "lib/random.h"

static uint64_t value_word(uint64_t tag, size_t i) { return i == 0 ? tag : random_mix(tag + i * 0x9e3779b97f4a7c15u); }

/* Whole words apart: victims are stepped through this. */
void value_make(void *buf, uint64_t tag, size_t bytes)
{
    uint8_t *to = buf;
    size_t i = 0;
    for (; bytes - i >= 8; i += 8) {
        const uint64_t word = value_word(tag, i);
        memcpy(to + i, &word, 8);
    }
    const uint64_t last = value_word(tag, i);
    memcpy(to + i, &last, bytes - i);
}

bool value_read(const void *buf, size_t bytes, uint64_t *ret_tag)
{
    *ret_tag = 0;
    if (bytes == 0)
        return true;
    if (bytes < 8)
        return false;
    const uint8_t *from = buf;
    size_t i = 8;
    memcpy(ret_tag, from, 8);
    for (; bytes - i >= 8; i += 8) {
        const uint64_t word = value_word(*ret_tag, i);
        if (memcmp(from + i, &word, 8) != 0)
            return false;
    }
    const uint64_t last = value_word(*ret_tag, i);
    return memcmp(from + i, &last, bytes - i) == 0;
}

/* -- The model ------------------------------------------------------------------------------------ */

static void cell_store(struct cell *cell, uint64_t tag, uint64_t bytes, uint32_t type)
{
    cell->tag = bytes ? tag : 0;
    cell->bytes = bytes;
    cell->type = type;
    cell->present = 1;
    cell->writes++;
}

static void cell_remove(struct cell *cell)
{
    const uint64_t writes = cell->writes;
    memset(cell, 0, sizeof *cell);
    cell->writes = writes + 1;
}

static void give(struct answer *answer, int32_t code, uint64_t tag, uint64_t bytes)
{
    memset(answer, 0, sizeof *answer);
    answer->code = code;
    answer->tag = tag;
    answer->bytes = bytes;
}

static void apply_incr(const struct act *act, struct cell *cell, struct answer *answer)
{
    if (cell->present && (cell->type != SHOAL_I64 || cell->bytes != 8)) {
        give(answer, SHOAL_EINVAL, 0, 0);
        return;
    }
    cell_store(cell, cell->tag + act->tag, 8, SHOAL_I64); /* an absent cell has tag 0 */
    give(answer, 0, cell->tag, 8);
}

static void apply_write(const struct act *act, struct cell *cell, struct answer *answer)
{
    int32_t code = 0;
    if (act->kind == ACT_ADD && cell->present)
        code = SHOAL_EXISTS;
    if (act->kind == ACT_REPLACE && !cell->present)
        code = SHOAL_MISSING;
    if (act->kind == ACT_PUT_SEEN && (!cell->present || cell->writes != act->seen_writes))
        code = SHOAL_CHANGED;
    if (act->kind == ACT_PUT_ABSENT && cell->present)
        code = SHOAL_CHANGED;
    if (code == 0)
        cell_store(cell, act->tag, act->bytes, SHOAL_RAW);
    give(answer, code, 0, 0);
}

static void apply_remove(const struct act *act, struct cell *cell, struct answer *answer)
{
    if (!cell->present) {
        give(answer, SHOAL_MISSING, 0, 0);
    } else if (act->kind == ACT_DELETE_SEEN && cell->writes != act->seen_writes) {
        give(answer, SHOAL_CHANGED, 0, 0);
    } else if (act->kind == ACT_TAKE_SHORT && cell->bytes != 0) {
        give(answer, SHOAL_SHORT, 0, cell->bytes);
    } else {
        give(answer, 0, act->kind == ACT_TAKE ? cell->tag : 0, act->kind == ACT_TAKE ? cell->bytes : 0);
        cell_remove(cell);
    }
}

static void apply_update(const struct act *act, struct cell *cell, struct answer *answer)
{
    give(answer, 0, 0, 0);
    if (act->kind == ACT_UPDATE_STORE)
        cell_store(cell, cell->tag + act->tag, act->bytes, SHOAL_RAW);
    else if (act->kind == ACT_UPDATE_REMOVE && cell->present)
        cell_remove(cell);
}

static bool apply_otherwise(const struct act *act, enum act_way way, const struct cell *cell, struct answer *answer)
{
    const bool conditional = act->kind == ACT_PUT_SEEN || act->kind == ACT_DELETE_SEEN;
    const bool stores = act->kind == ACT_PUT || act->kind == ACT_ADD || act->kind == ACT_REPLACE ||
                        act->kind == ACT_INCR || act->kind == ACT_UPDATE_STORE || act->kind == ACT_PUT_ABSENT ||
                        act->kind == ACT_PUT_SEEN;
    if (way == ACT_MOVED && conditional && cell->present) {
        give(answer, SHOAL_CHANGED, 0, 0);
        return true;
    }
    const bool removes = act->kind == ACT_DELETE || act->kind == ACT_DELETE_SEEN || act->kind == ACT_TAKE ||
                         act->kind == ACT_UPDATE_REMOVE;
    if ((way == ACT_FULL && stores) || (way == ACT_FULL_TOMB && removes && cell->present)) {
        give(answer, SHOAL_EFULL, 0, 0);
        return true;
    }
    return false;
}

bool act_apply(const struct act *act, enum act_way way, struct cell *cell, struct answer *ret_answer)
{
    if (way != ACT_PLAINLY)
        return apply_otherwise(act, way, cell, ret_answer);
    switch (act->kind) {
    case ACT_GET:
    case ACT_VIEW:
        give(ret_answer, cell->present ? 0 : SHOAL_MISSING, cell->tag, cell->bytes);
        return true;
    case ACT_PUT:
    case ACT_ADD:
    case ACT_REPLACE:
    case ACT_PUT_SEEN:
    case ACT_PUT_ABSENT:
        apply_write(act, cell, ret_answer);
        return true;
    case ACT_DELETE:
    case ACT_DELETE_SEEN:
    case ACT_TAKE:
    case ACT_TAKE_SHORT:
        apply_remove(act, cell, ret_answer);
        return true;
    case ACT_INCR:
        apply_incr(act, cell, ret_answer);
        return true;
    case ACT_UPDATE_STORE:
    case ACT_UPDATE_REMOVE:
    case ACT_UPDATE_KEEP:
        apply_update(act, cell, ret_answer);
        return true;
    case ACT_KINDS:
        break;
    }
    return false;
}

/* -- The map -------------------------------------------------------------------------------------- */

struct update_of {
    const struct act *act;
    uint8_t *buf;
};

static int update_fn(struct shoal_change *change, void *arg)
{
    const struct update_of *of = arg;
    uint64_t old = 0;
    if (change->old)
        require(value_read(change->old, change->old_bytes, &old), "update was shown a torn value of %zu bytes",
                change->old_bytes);
    if (of->act->kind == ACT_UPDATE_REMOVE)
        return SHOAL_REMOVE;
    if (of->act->kind == ACT_UPDATE_KEEP)
        return SHOAL_KEEP;
    value_make(of->buf, old + of->act->tag, of->act->bytes);
    change->value = of->buf;
    change->value_bytes = of->act->bytes;
    change->type = SHOAL_RAW;
    return SHOAL_STORE;
}

static void do_view(struct shoal *map, const void *key, size_t key_bytes, struct answer *answer)
{
    struct shoal_view view = { 0 };
    answer->code = shoal_view(map, key, key_bytes, &view);
    if (answer->code != 0)
        return;
    uint64_t again = 0;
    require(value_read(view.value, view.bytes, &answer->tag), "a view of a torn value of %zu bytes", view.bytes);
    __asm__ volatile("" ::: "memory");
    require(value_read(view.value, view.bytes, &again) && again == answer->tag, "a view changed while it was held");
    answer->bytes = view.bytes;
    shoal_view_end(&view);
}

static void do_read(const struct act *act, struct shoal *map, const void *key, size_t key_bytes, uint8_t *buf,
                    struct answer *answer)
{
    size_t bytes = 0;
    if (act->kind == ACT_GET)
        answer->code = shoal_get(map, key, key_bytes, buf, VALUE_MAX, &bytes);
    else if (act->kind == ACT_TAKE)
        answer->code = shoal_take(map, key, key_bytes, buf, VALUE_MAX, &bytes);
    else
        answer->code = shoal_take(map, key, key_bytes, NULL, 0, &bytes);
    if (answer->code == 0 && act->kind != ACT_TAKE_SHORT)
        require(value_read(buf, bytes, &answer->tag), "%s gave a torn value of %zu bytes", act_name(act->kind), bytes);
    if (answer->code == 0 || answer->code == SHOAL_SHORT)
        answer->bytes = bytes;
}

static int do_write(const struct act *act, struct shoal *map, const void *key, size_t key_bytes, uint8_t *buf)
{
    struct shoal_how how = SHOAL_HOW_INIT;
    struct update_of of = { act, buf };
    if (act->kind == ACT_DELETE)
        return shoal_delete(map, key, key_bytes);
    if (act->kind == ACT_DELETE_SEEN)
        return shoal_delete_if(map, key, key_bytes, act->seen_version);
    if (act->kind == ACT_UPDATE_STORE || act->kind == ACT_UPDATE_REMOVE || act->kind == ACT_UPDATE_KEEP)
        return shoal_update(map, key, key_bytes, update_fn, &of);
    value_make(buf, act->tag, act->bytes);
    if (act->kind == ACT_PUT)
        return shoal_put(map, key, key_bytes, buf, act->bytes);
    if (act->kind == ACT_ADD)
        return shoal_add(map, key, key_bytes, buf, act->bytes);
    if (act->kind == ACT_REPLACE)
        return shoal_replace(map, key, key_bytes, buf, act->bytes);
    how.flags = SHOAL_IF_VERSION;
    how.if_version = act->kind == ACT_PUT_SEEN ? act->seen_version : 0;
    return shoal_put_with(map, key, key_bytes, buf, act->bytes, &how, NULL);
}

void act_do(const struct act *act, struct shoal *map, const void *key, size_t key_bytes, struct answer *ret_answer)
{
    static uint8_t buf[VALUE_MAX];
    struct answer answer = { 0 };
    if (act->kind == ACT_VIEW) {
        do_view(map, key, key_bytes, &answer);
    } else if (act->kind == ACT_GET || act->kind == ACT_TAKE || act->kind == ACT_TAKE_SHORT) {
        do_read(act, map, key, key_bytes, buf, &answer);
    } else if (act->kind == ACT_INCR) {
        int64_t sum = 0;
        answer.code = shoal_incr(map, key, key_bytes, (int64_t)act->tag, &sum);
        if (answer.code == 0) {
            answer.tag = (uint64_t)sum;
            answer.bytes = 8;
        }
    } else {
        answer.code = do_write(act, map, key, key_bytes, buf);
    }
    *ret_answer = answer;
}

bool act_same_answer(const struct answer *a, const struct answer *b)
{
    return a->code == b->code && a->tag == b->tag && a->bytes == b->bytes;
}

const char *act_name(enum act_kind kind)
{
    static const char *const names[ACT_KINDS] = {
        "get", "view", "put", "add", "replace", "put_with(version)", "put_with(absent)", "delete", "delete_if",
        "take", "take(short)", "incr", "update(store)", "update(remove)", "update(keep)",
    };
    return kind < ACT_KINDS ? names[kind] : "?";
}
