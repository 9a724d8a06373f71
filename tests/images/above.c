/* SPDX-License-Identifier: MIT
 *
 * A map above a recorded store (above.h).
 */
#include "images/above.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "images/record.h"
#include "images/wrong.h"
#include "lib/act.h"
#include "lib/fail.h"

#define HOT_BYTES 60u
#define FILL_BYTES 900u /* as many of them as there are other keys need more than the heap has */
#define HEAP_BYTES (16u << 10)
#define CAPACITY 8u

/* -- Map ----------------------------------------------------------------------------------------------- */

int above_create(struct above *above)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = CAPACITY;
    options.heap_bytes = HEAP_BYTES;
    options.max_threads = 4;
    options.store = above->image.path;
    options.on_full = SHOAL_FULL_SPILL;
    (void)snprintf(above->name, sizeof above->name, "shoal-images-%d", (int)getpid());
    (void)shoal_unlink(above->name);
    return shoal_create(above->name, &options, &above->map);
}

void above_close(struct above *above)
{
    shoal_close(above->map);
    above->map = NULL;
    (void)shoal_unlink(above->name);
}

static size_t key_of(uint32_t key, char to[16]) { return (size_t)snprintf(to, 16, "key%u", key); }

static int ask(struct above *above, uint32_t key, uint64_t *ret_number)
{
    uint8_t value[FILL_BYTES];
    char text[16];
    size_t bytes = 0;
    *ret_number = 0;
    const int code = shoal_get(above->map, text, key_of(key, text), value, sizeof value, &bytes);
    if (code == SHOAL_MISSING)
        return 0;
    if (code != 0)
        return code < 0 ? code : wrong("get of key %u answers %d", key, code);
    return value_read(value, bytes, ret_number) && bytes == (key < ABOVE_HOT ? HOT_BYTES : FILL_BYTES)
               ? 0
               : wrong("key %u has a torn value of %zu bytes", key, bytes);
}

/* -- Model --------------------------------------------------------------------------------------------- */

static void changed(struct above *above, uint32_t key, uint64_t number, uint32_t begun)
{
    require(above->changes_n < ABOVE_CHANGES, "too many changes");
    above->now[key] = above->changes_n;
    above->change[above->changes_n++] = (struct above_change){ key, number, begun };
}

static uint64_t number_now(const struct above *above, uint32_t key) { return above->change[above->now[key]].number; }

/* The key, or all of them, are on disk as they are now. */
static void on_disk(struct above *above, uint32_t key)
{
    require(above->floors_n < ABOVE_FLOORS, "too many syncs");
    struct above_floor *next = &above->floor[above->floors_n];
    *next = next[-1];
    next->point = above->log.n;
    for (uint32_t i = 0; i < ABOVE_KEYS; i++)
        if (key == ABOVE_KEYS || i == key)
            next->change[i] = above->now[i];
    above->floors_n++;
}

void above_forget(struct above *above)
{
    above->changes_n = 0;
    above->number = 0;
    for (uint32_t i = 0; i < ABOVE_KEYS; i++)
        changed(above, i, 0, 0);
    above->floors_n = 1;
    above->floor[0].point = 0;
    memcpy(above->floor[0].change, above->now, sizeof above->now);
}

/* -- Steps --------------------------------------------------------------------------------------------- */

static int put(struct above *above, uint32_t key, bool durable)
{
    uint8_t value[FILL_BYTES];
    char text[16];
    struct shoal_how how = SHOAL_HOW_INIT;
    const uint32_t begun = above->log.n;
    const size_t bytes = key < ABOVE_HOT ? HOT_BYTES : FILL_BYTES;
    const uint64_t number = ++above->number;
    value_make(value, number, bytes);
    how.flags = durable ? SHOAL_DURABLE : 0;
    const int code = shoal_put_with(above->map, text, key_of(key, text), value, bytes, &how, NULL);
    if (code > 0)
        return wrong("put answers %d", code);
    if (code == 0 || (durable && code == SHOAL_ESTORE)) /* visible, and perhaps not durable */
        changed(above, key, number, begun);
    if (code == 0 && durable)
        on_disk(above, key);
    return code;
}

static int next_number(struct shoal_change *change, void *arg)
{
    static uint8_t value[HOT_BYTES];
    struct above *above = arg;
    uint64_t was = 0;
    if (change->old != NULL)
        require(value_read(change->old, change->old_bytes, &was), "update was shown a torn value");
    value_make(value, above->number + was * 1000, sizeof value);
    change->value = value;
    change->value_bytes = sizeof value;
    return SHOAL_STORE;
}

static int update(struct above *above, uint32_t key)
{
    char text[16];
    const uint32_t begun = above->log.n;
    const uint64_t number = ++above->number + number_now(above, key) * 1000;
    const int code = shoal_update(above->map, text, key_of(key, text), next_number, above);
    if (code == 0)
        changed(above, key, number, begun);
    return code <= 0 ? code : wrong("update answers %d", code);
}

static int delete(struct above *above, uint32_t key)
{
    char text[16];
    const uint32_t begun = above->log.n;
    const int code = shoal_delete(above->map, text, key_of(key, text));
    const int wanted = number_now(above, key) == 0 ? SHOAL_MISSING : 0;
    if (code < 0)
        return code;
    if (code != wanted)
        return wrong("delete of key %u answers %d", key, code);
    if (code == 0)
        changed(above, key, 0, begun);
    return 0;
}

static int look_at(struct above *above, uint32_t key)
{
    uint64_t number;
    const int code = ask(above, key, &number);
    if (code == 0 && number != number_now(above, key))
        return wrong("key %u has value %llu, not %llu", key, (unsigned long long)number,
                     (unsigned long long)number_now(above, key));
    return code;
}

static int spill(struct above *above)
{
    int code = 0;
    for (uint32_t key = ABOVE_HOT; key < ABOVE_KEYS && code == 0; key++)
        code = put(above, key, false);
    return code;
}

int above_step(struct above *above, const struct above_step *step)
{
    int code = 0;
    switch (step->kind) {
    case ABOVE_PUT:
    case ABOVE_DURABLE:
        return put(above, step->key, step->kind == ABOVE_DURABLE);
    case ABOVE_DELETE:
        return delete(above, step->key);
    case ABOVE_UPDATE:
        return update(above, step->key);
    case ABOVE_READ:
        code = look_at(above, step->key);
        return code == 0 ? look_at(above, step->key) : code;
    case ABOVE_SPILL:
        return spill(above);
    case ABOVE_SYNC:
        code = shoal_sync(above->map);
        if (code == 0)
            on_disk(above, ABOVE_KEYS);
        return code <= 0 ? code : wrong("sync answers %d", code);
    }
    return wrong("no such step");
}

int above_look(struct above *above)
{
    int code = 0;
    for (uint32_t key = 0; key < ABOVE_KEYS && code == 0; key++)
        code = look_at(above, key);
    return code;
}

/* -- Behind a crash -------------------------------------------------------------------------------------- */

static bool may_be(const struct above *oracle, uint32_t point, uint32_t key, uint64_t number)
{
    uint32_t floor = oracle->floors_n - 1;
    while (oracle->floor[floor].point > point)
        floor--;
    for (uint32_t i = oracle->floor[floor].change[key]; i < oracle->changes_n; i++)
        if (oracle->change[i].key == key && oracle->change[i].number == number &&
            (i == oracle->floor[floor].change[key] || oracle->change[i].begun < point))
            return true;
    return false;
}

/* By gets, by a count over both tiers, by a check. */
static int read_all(struct above *judge, uint64_t ret_numbers[ABOVE_KEYS])
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    uint64_t there = 0, n = 0;
    int code = 0;
    for (uint32_t key = 0; key < ABOVE_KEYS; key++) {
        code = ask(judge, key, &ret_numbers[key]);
        if (code != 0)
            return code == WRONG ? code : wrong_code("get", code);
        there += ret_numbers[key] != 0;
    }
    code = shoal_count(judge->map, SHOAL_EXACT, &n, NULL);
    if (code != 0 || n != there)
        return wrong("count answers %d, %llu; %llu keys are there", code, (unsigned long long)n, (unsigned long long)there);
    code = shoal_check(judge->map, &report);
    return code == 0 ? 0 : wrong_code(report.text, code);
}

static int work(struct above *judge, const uint64_t numbers[ABOVE_KEYS])
{
    const struct above_step put_one = { ABOVE_PUT, "", 0 }, take_one = { ABOVE_DELETE, "", 1 }, sync = { ABOVE_SYNC, "", 0 };
    above_forget(judge);
    for (uint32_t key = 0; key < ABOVE_KEYS; key++)
        if (numbers[key] != 0)
            changed(judge, key, numbers[key], 0);
    int code = above_step(judge, &put_one);
    if (code == 0)
        code = above_step(judge, &take_one);
    if (code == 0)
        code = above_step(judge, &sync);
    if (code == 0)
        code = above_look(judge);
    return code == 0 || code == WRONG ? code : wrong_code("going on behind a crash", code);
}

int above_judge(struct above *judge, const struct above *oracle, uint32_t point)
{
    uint64_t first[ABOVE_KEYS], again[ABOVE_KEYS];
    int code = above_create(judge);
    if (code != 0)
        return wrong_code("a map over what a crash left", code);
    code = read_all(judge, first);
    for (uint32_t key = 0; key < ABOVE_KEYS && code == 0; key++)
        if (!may_be(oracle, point, key, first[key]))
            code = wrong("key %u has value %llu", key, (unsigned long long)first[key]);
    above_close(judge);
    if (code == 0 && (code = above_create(judge)) != 0)
        code = wrong_code("a second map", code);
    if (code == 0 && (code = read_all(judge, again)) == 0 && memcmp(first, again, sizeof first) != 0)
        code = wrong("the second recovery is another");
    if (code == 0)
        code = work(judge, again);
    above_close(judge);
    return code;
}
