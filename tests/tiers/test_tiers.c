/* SPDX-License-Identifier: MIT
 *
 * A map whose table holds a tenth of its keys, one process: every call answers as if all were in memory (guarantees A
 * and G), and what was synced is there again when the table is gone (F).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/random.h"
#include "shoal/shoal.h"
#include "store/frame.h"

#define KEYS_N 4000u
#define CAPACITY 400u
#define VALUE_MAX 300u

struct expected {
    bool there;
    uint8_t type;
    uint16_t bytes;
    uint64_t seed, version;
};

struct world {
    struct frame *frame;
    char map_path[128];
    struct shoal *map;
    struct expected of[KEYS_N];
    uint64_t n, random;
};

static int done(int rc, const char *what)
{
    if (rc < 0)
        fail_msg("%s: %d: %s", what, rc, shoal_error_text());
    return rc;
}

static size_t key_of(uint32_t i, char *to) { return (size_t)sprintf(to, i % 7 == 0 ? "a rather long key, number %u" : "k%u", i); }

static void value_of(const struct expected *e, uint8_t *to)
{
    uint64_t state = e->seed;
    for (uint32_t i = 0; i < e->bytes; i++)
        to[i] = (uint8_t)random_next(&state);
}

static void world_create(struct world *w, uint32_t on_full)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = CAPACITY;
    options.heap_bytes = 128 * 1024;
    options.store = w->frame->path;
    options.on_full = on_full;
    done(shoal_create(w->map_path, &options, &w->map), "create");
}

static int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    void *frame;
    if (frame_setup(&frame) != 0)
        return 1;
    w->frame = frame;
    (void)snprintf(w->map_path, sizeof w->map_path, "%s/map", w->frame->dir);
    w->random = 1;
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    shoal_close(w->map);
    (void)shoal_unlink(w->map_path);
    void *frame = w->frame;
    int rc = frame_teardown(&frame);
    free(w);
    return rc;
}

static void expect(struct world *w, uint32_t i, bool there)
{
    w->n += (uint64_t)there - (uint64_t)w->of[i].there;
    w->of[i].there = there;
}

static void fresh(struct world *w, struct expected *ret)
{
    *ret = (struct expected){ .there = true, .seed = random_next(&w->random) };
    ret->bytes = (uint16_t)random_below(&w->random, VALUE_MAX);
}

static void assert_value(const struct world *w, uint32_t i, const void *bytes, size_t n)
{
    uint8_t value[VALUE_MAX];
    value_of(&w->of[i], value);
    assert_true(w->of[i].there);
    assert_int_equal(n, w->of[i].bytes);
    assert_memory_equal(bytes, value, n);
}

static void get(struct world *w, uint32_t i)
{
    char key[64];
    uint8_t value[VALUE_MAX];
    size_t bytes;
    int rc = done(shoal_get(w->map, key, key_of(i, key), value, sizeof value, &bytes), "get");
    assert_int_equal(rc, w->of[i].there ? 0 : SHOAL_MISSING);
    if (rc == 0)
        assert_value(w, i, value, bytes);
}

/* One call on one key, of any kind. */
static void act(struct world *w, uint32_t i)
{
    char key[64];
    uint8_t value[VALUE_MAX];
    size_t n = key_of(i, key), bytes;
    struct expected e;
    uint64_t version;
    bool there = w->of[i].there;
    fresh(w, &e);
    value_of(&e, value);
    switch (random_below(&w->random, 10)) {
    case 0:
    case 1:
        done(shoal_put(w->map, key, n, value, e.bytes), "put");
        break;
    case 2:
        if (done(shoal_add(w->map, key, n, value, e.bytes), "add") != (there ? SHOAL_EXISTS : 0))
            fail_msg("add: key %u", i);
        if (there)
            return;
        break;
    case 3:
        if (done(shoal_replace(w->map, key, n, value, e.bytes), "replace") != (there ? 0 : SHOAL_MISSING))
            fail_msg("replace: key %u", i);
        if (!there)
            return;
        break;
    case 4:
        assert_int_equal(done(shoal_delete(w->map, key, n), "delete"), there ? 0 : SHOAL_MISSING);
        expect(w, i, false);
        return;
    case 5:
        assert_int_equal(done(shoal_take(w->map, key, n, value, sizeof value, &bytes), "take"), there ? 0 : SHOAL_MISSING);
        if (there)
            assert_value(w, i, value, bytes);
        expect(w, i, false);
        return;
    case 6: {
        struct shoal_how how = SHOAL_HOW_INIT;
        done(shoal_getv(w->map, key, n, NULL, 0, NULL, &version), "getv");
        assert_int_equal(version != 0, there);
        how.flags = SHOAL_IF_VERSION;
        how.if_version = version;
        int rc = done(shoal_put_with(w->map, key, n, value, e.bytes, &how, NULL), "put_with");
        if (rc == SHOAL_CHANGED) /* it left, or came up */
            return;
        break;
    }
    case 7: {
        done(shoal_getv(w->map, key, n, NULL, 0, NULL, &version), "getv");
        int rc = done(shoal_delete_if(w->map, key, n, version), "delete_if");
        if (rc != SHOAL_CHANGED)
            expect(w, i, false);
        return;
    }
    default:
        get(w, i);
        return;
    }
    expect(w, i, true);
    w->of[i] = e;
}

static void assert_all(struct world *w)
{
    struct shoal_iter *iter;
    struct shoal_item item;
    uint64_t n = 0, counted;
    int rc, exact;
    bool *seen = calloc(KEYS_N, 1);
    done(shoal_iter_open(w->map, NULL, 0, &iter), "iter_open");
    while ((rc = shoal_iter_next(iter, &item)) == 0) {
        char text[64];
        memcpy(text, item.key, item.key_bytes);
        text[item.key_bytes] = 0;
        uint32_t i = (uint32_t)strtoul(text[0] == 'k' ? text + 1 : strrchr(text, ' '), NULL, 10);
        assert_true(i < KEYS_N && !seen[i]);
        seen[i] = true;
        assert_value(w, i, item.value, item.value_bytes);
        n++;
    }
    done(rc, "iter_next");
    shoal_iter_close(iter);
    assert_int_equal(n, w->n);
    done(shoal_count(w->map, SHOAL_EXACT, &counted, &exact), "count");
    assert_int_equal(counted, w->n);
    assert_int_equal(exact, 1);
    for (uint32_t i = 0; i < KEYS_N; i++)
        get(w, i);
    free(seen);
    struct shoal_report report = SHOAL_REPORT_INIT;
    if (shoal_check(w->map, &report) != 0)
        fail_msg("check: %s", shoal_error_text());
}

static void ten_times_the_table_works_at_every_call(void **state)
{
    struct world *w = *state;
    world_create(w, SHOAL_FULL_SPILL);
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 3 * KEYS_N; i++)
            act(w, random_below(&w->random, KEYS_N));
        assert_all(w);
        if (round % 2 == 0)
            done(shoal_sync(w->map), "sync");
    }
    assert_true(w->n > 3 * CAPACITY);
}

static void what_was_synced_is_there_again(void **state)
{
    struct world *w = *state;
    world_create(w, SHOAL_FULL_SPILL);
    for (uint32_t life = 0; life < 4; life++) {
        for (uint32_t i = 0; i < KEYS_N; i++)
            act(w, random_below(&w->random, KEYS_N));
        done(shoal_sync(w->map), "sync");
        shoal_close(w->map);
        done(shoal_unlink(w->map_path), "unlink");
        world_create(w, SHOAL_FULL_SPILL);
        assert_all(w);
    }
}

static struct shoal_stats stats_of(struct shoal *map)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    done(shoal_stats(map, &stats), "stats");
    return stats;
}

static uint32_t tier_of(struct world *w, uint32_t i)
{
    char key[64];
    struct shoal_info info = SHOAL_INFO_INIT;
    assert_int_equal(shoal_info(w->map, key, key_of(i, key), &info), 0);
    return info.tier;
}

/* All keys in turn, again and again: none of them is one to keep in memory.  A key twice in a row: it is, where room is at
 * hand or a clean entry near its home leaves; else the reader does without. */
static void what_is_read_again_soon_comes_up(void **state)
{
    struct world *w = *state;
    char key[64];
    world_create(w, SHOAL_FULL_SPILL);
    for (uint32_t i = 0; i < KEYS_N; i++)
        done(shoal_put(w->map, key, key_of(i, key), &i, sizeof i), "put");
    done(shoal_sync(w->map), "sync"); /* clean entries may leave at once */
    const struct shoal_stats before = stats_of(w->map);
    for (uint32_t n = 0, value; n < 3 * KEYS_N; n++) {
        assert_int_equal(shoal_get(w->map, key, key_of(n % KEYS_N, key), &value, sizeof value, NULL), 0);
        assert_int_equal(value, n % KEYS_N);
    }
    const struct shoal_stats after = stats_of(w->map);
    assert_true(after.store_gets - before.store_gets > 2 * KEYS_N);
    assert_true((after.promoted - before.promoted) * 100 < after.store_gets - before.store_gets);
    uint32_t below = 0, up = 0;
    for (uint32_t i = 0, value; i < KEYS_N; i++) {
        if (tier_of(w, i) != SHOAL_TIER_STORE)
            continue;
        for (int n = 0; n < 2; n++)
            assert_int_equal(shoal_get(w->map, key, key_of(i, key), &value, sizeof value, NULL), 0);
        below++;
        up += tier_of(w, i) == SHOAL_TIER_TABLE;
    }
    assert_int_equal(stats_of(w->map).promoted - after.promoted, up);
    assert_true(up > below / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ten_times_the_table_works_at_every_call, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_was_synced_is_there_again, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_is_read_again_soon_comes_up, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
