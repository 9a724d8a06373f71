/* SPDX-License-Identifier: MIT
 *
 * Room that others make and take (G, H).  Below the table lies a stand-in here, which says that nobody can leave while
 * another is at work: the record that he lets go of a moment later must not be overlooked.
 */
#include "unit/ground.h"

#include <string.h>

#include "map/key.h"
#include "table/mutate.h"

#define RECORD_BYTES 1000u
#define PATIENCE 8u /* calls of make_room of which nothing comes */

struct stand_in {
    struct below below;
    struct shoal *other;
    uint32_t calls, works, leaves_at; /* calls; of them the first so many write; and this one makes a record leave */
};

static int look(const struct below *below, const struct probe *p, struct below_value *io_value,
                struct below_record *ret_record)
{
    (void)below, (void)p, (void)io_value;
    memset(ret_record, 0, sizeof *ret_record);
    return SHOAL_MISSING;
}

static int make_room(const struct below *below, struct attachment *a, const struct probe *p, uint64_t bytes, uint32_t round)
{
    struct stand_in *in = (struct stand_in *)(uintptr_t)below;
    (void)a, (void)p, (void)bytes, (void)round;
    const uint32_t call = ++in->calls;
    if (call <= in->works)
        assert_int_equal(shoal_replace(in->other, "small", 5, &call, sizeof call), 0);
    if (call == in->leaves_at)
        assert_int_equal(shoal_delete(in->other, "0", 1), 0);
    return SHOAL_MISSING;
}

/* Two handles of a map that is full, with the stand-in below the first. */
static struct shoal *full_map(struct stand_in *in)
{
    static const char name[] = "test-room";
    static uint8_t value[RECORD_BYTES];
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map = NULL;
    struct call call;
    struct probe probe;
    options.capacity = 200;
    options.heap_bytes = 32 << 10;
    assert_int_equal(shoal_create(name, &options, &map), 0);
    assert_int_equal(shoal_open(name, 0, &in->other), 0);
    assert_int_equal(shoal_unlink(name), 0);
    assert_int_equal(shoal_put(map, "small", 5, "", 0), 0);
    assert_int_equal(shoal_put(map, "small", 5, value, sizeof in->calls), 0); /* of one size from now on */
    int rc = 0;
    for (uint32_t i = 0; rc == 0; i++) {
        char key[16];
        rc = shoal_put(map, key, (size_t)snprintf(key, sizeof key, "%u", i), value, sizeof value);
    }
    assert_int_equal(rc, SHOAL_EFULL);
    assert_int_equal(key_call(map, "k", 1, true, &call, &probe), 0);
    in->below = (struct below){ look, make_room };
    ((struct segment *)(uintptr_t)call.segment)->below = &in->below;
    call_end(&call);
    return map;
}

static void finish(struct stand_in *in, struct shoal *map)
{
    struct call call;
    struct probe probe;
    assert_int_equal(key_call(map, "k", 1, true, &call, &probe), 0);
    ((struct segment *)(uintptr_t)call.segment)->below = NULL;
    call_end(&call);
    shoal_close(in->other);
    shoal_close(map);
}

static void waits_for_who_is_at_work(void **state)
{
    (void)state;
    static uint8_t value[RECORD_BYTES];
    struct stand_in in = { .works = 2, .leaves_at = 3 };
    struct shoal *map = full_map(&in);
    assert_int_equal(shoal_put(map, "new", 3, value, sizeof value), 0);
    assert_int_equal(in.calls, in.leaves_at);
    finish(&in, map);
}

static void ends_where_nothing_happens(void **state)
{
    (void)state;
    static uint8_t value[RECORD_BYTES];
    struct stand_in in = { .works = 0 };
    struct shoal *map = full_map(&in);
    assert_int_equal(shoal_put(map, "new", 3, value, sizeof value), SHOAL_EFULL);
    assert_true(in.calls <= PATIENCE);
    assert_text_has("heap full");
    finish(&in, map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_who_is_at_work),
        cmocka_unit_test(ends_where_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
