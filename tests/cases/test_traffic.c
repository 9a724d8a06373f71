/* SPDX-License-Identifier: MIT
 *
 * Which shared lines a call writes (guarantee D, and that writers to different keys meet nowhere): every store, CAS and
 * other change of shared memory is a point here, and is counted by the region that it falls into.  Payload words are not
 * points; they lie in the block that the call has made its own.
 *
 *   a reading call        none, anywhere, but its own entry now and then
 *   a writing call        lines of the key's home, blocks, its own entry; of what all share the allocator's hints, the
 *                         summary of a run that was or becomes empty, and now and then the header's count of generations
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "map/key.h"

#define KEYS 4000u
#define CALLS 4000u
#define MAP_NAME "test-traffic"

enum region { HEADER, WAIT, OWN_ENTRY, OTHER_ENTRY, SUMMARY, HOME, OTHER_GROUP, SPANS, HINTS, BLOCKS, REGIONS };
static const char *const region_names[REGIONS] = { "header", "wait words", "own entry", "other entries", "summaries",
                                                   "groups of the home", "other groups", "span words", "hints", "blocks" };

static struct counting {
    const struct segment *segment; /* NULL: not now */
    const struct attachment *a;
    uint64_t home;
    uint64_t writes[REGIONS], locked; /* of them, CAS and the like */
} counting;

static enum region region_of_group(const struct segment *s, uint64_t at)
{
    const uint64_t group = (at - s->geo.groups_at) / sizeof(struct group);
    return group >= counting.home && group < counting.home + s->window ? HOME : OTHER_GROUP;
}

static enum region region_of(const struct segment *s, uint64_t at)
{
    const struct geometry *g = &s->geo;
    if (at >= g->heap_at)
        return BLOCKS;
    if (at >= g->maps_at)
        return HINTS;
    if (at >= g->spans_at)
        return SPANS;
    if (at >= g->groups_at)
        return region_of_group(s, at);
    if (at >= g->summary_at)
        return SUMMARY;
    if (at >= g->entries_at)
        return (at - g->entries_at) / sizeof(struct entry) == counting.a->index ? OWN_ENTRY : OTHER_ENTRY;
    return at >= g->wait_at ? WAIT : HEADER;
}

void shoal_point(enum shoal_point_kind kind, const volatile void *where)
{
    const struct segment *s = counting.segment;
    const uint64_t at = s != NULL ? (uint64_t)((const volatile uint8_t *)where - s->base) : 0;
    if (kind == POINT_LOAD || s == NULL || at >= s->geo.segment_bytes)
        return;
    counting.writes[region_of(s, at)]++;
    counting.locked += kind != POINT_STORE;
}

/* -- A map that has been in use for a while -------------------------------------------------------- */

static const uint8_t value[100];

static struct shoal *used_map(struct shoal **ret_other)
{
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    struct shoal *map = NULL;
    assert_int_equal(shoal_size_for(2 * KEYS, sizeof(uint64_t), sizeof value, &o), 0);
    assert_int_equal(shoal_create(MAP_NAME, &o, &map), 0);
    assert_int_equal(shoal_open(MAP_NAME, 0, ret_other), 0);
    assert_int_equal(shoal_unlink(MAP_NAME), 0);
    for (uint32_t round = 0; round < 3; round++)
        for (uint64_t i = 0; i < KEYS; i++)
            assert_int_equal(shoal_put(round == 0 ? *ret_other : map, &i, sizeof i, value, sizeof value), 0);
    return map;
}

typedef int call_fn(struct shoal *map, uint64_t key);

static int do_get(struct shoal *map, uint64_t key)
{
    uint8_t buf[sizeof value];
    return shoal_get(map, &key, sizeof key, buf, sizeof buf, NULL);
}
static int do_put(struct shoal *map, uint64_t key) { return shoal_put(map, &key, sizeof key, value, sizeof value); }
static int do_delete(struct shoal *map, uint64_t key) { return shoal_delete(map, &key, sizeof key); }
static int do_get_many(struct shoal *map, uint64_t key)
{
    uint8_t buf[sizeof value];
    struct shoal_key keys = { &key, sizeof key };
    struct shoal_result result = { .buf = buf, .buf_bytes = sizeof buf };
    (void)shoal_get_many(map, &keys, 1, &result);
    return result.code;
}

/* The call on one key after the other, from `from` on. */
static void count(struct shoal *map, const char *what, call_fn *fn, uint64_t from, int want)
{
    memset(&counting, 0, sizeof counting);
    for (uint64_t i = 0; i < CALLS; i++) {
        struct call call;
        struct probe probe = { 0 };
        const uint64_t key = from + i % KEYS;
        assert_int_equal(key_call(map, &key, sizeof key, true, &call, &probe), 0);
        call_end(&call);
        counting.a = call.a;
        counting.home = probe.home;
        counting.segment = call.segment;
        const int code = fn(map, key);
        counting.segment = NULL;
        assert_int_equal(code, want);
    }
    printf("%s, writes a call:", what);
    for (uint32_t r = 0; r < REGIONS; r++)
        if (counting.writes[r] > 0)
            printf("  %s %.3f", region_names[r], (double)counting.writes[r] / CALLS);
    printf("  of all, locked instructions %.3f\n", (double)counting.locked / CALLS);
}

static void assert_nobody_elses(void)
{
    assert_true(counting.writes[HEADER] <= CALLS / 500); /* generations are leased, a thousand at a time */
    assert_int_equal(counting.writes[WAIT], 0);
    assert_int_equal(counting.writes[OTHER_ENTRY], 0);
    assert_int_equal(counting.writes[OTHER_GROUP], 0);
}

static void readers_write_nothing(void **state)
{
    (void)state;
    struct shoal *other, *map = used_map(&other);
    call_fn *const calls[] = { do_get, do_get_many, do_get, do_get_many };
    for (uint32_t i = 0; i < 4; i++) {
        count(map, i < 2 ? "hit" : "miss", calls[i], i < 2 ? 0 : KEYS, i < 2 ? 0 : SHOAL_MISSING);
        assert_nobody_elses();
        assert_int_equal(counting.writes[HEADER] + counting.writes[SUMMARY] + counting.writes[HOME] + counting.writes[SPANS] +
                             counting.writes[HINTS] + counting.writes[BLOCKS], 0);
        assert_true(counting.writes[OWN_ENTRY] <= 4); /* its statistics, once in some thousand calls */
    }
    shoal_close(other);
    shoal_close(map);
}

static void writers_meet_at_hints_alone(void **state)
{
    (void)state;
    struct shoal *other, *map = used_map(&other);
    const struct {
        const char *what;
        call_fn *fn;
        uint64_t from;
    } calls[] = { { "update", do_put, 0 }, { "insert", do_put, KEYS }, { "delete", do_delete, KEYS } };
    for (uint32_t i = 0; i < 3; i++) {
        count(map, calls[i].what, calls[i].fn, calls[i].from, 0);
        assert_nobody_elses();
        assert_true(counting.writes[HOME] >= CALLS); /* it does count */
        assert_true(counting.writes[SPANS] + counting.writes[SUMMARY] < CALLS / 4);
        assert_true(counting.writes[HINTS] < CALLS / 8 || calls[i].fn == do_delete); /* else what a full cache gives back */
        assert_true(counting.writes[HINTS] < CALLS + CALLS / 8);
    }
    shoal_close(other);
    shoal_close(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_write_nothing),
        cmocka_unit_test(writers_meet_at_hints_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
