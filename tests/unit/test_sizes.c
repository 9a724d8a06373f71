/* SPDX-License-Identifier: MIT
 *
 * Keys and values of every size: what goes in comes out, to the byte, by every way out, whatever else the
 * map keeps for each record (guarantee A; E for the lengths).
 */
#include "unit/frame.h"

#include <stdlib.h>

#define VALUE_BYTES_MAX ((size_t)9 << 20)
#define KEY_BYTES_MAX 65535u

/* Bytes to write, bytes that came out. */
static uint8_t *in, *out, *key;

static int buffers_make(void **state)
{
    (void)state;
    in = malloc(VALUE_BYTES_MAX);
    out = malloc(VALUE_BYTES_MAX + 1);
    key = malloc(KEY_BYTES_MAX);
    return in == NULL || out == NULL || key == NULL;
}

static int buffers_free(void **state)
{
    (void)state;
    free(in);
    free(out);
    free(key);
    return 0;
}

static struct shoal *map_with(struct frame *f, uint32_t flags, uint64_t heap_bytes)
{
    struct shoal_options o = frame_options();
    o.flags = flags;
    o.heap_bytes = heap_bytes;
    o.capacity = 1024;
    return frame_map(f, &o);
}

/* -- One record, by every way out ----------------------------------------------------------------- */

static void assert_got(const char *how, size_t key_bytes, size_t bytes, const void *got, size_t got_bytes)
{
    if (got_bytes != bytes || memcmp(got, in, bytes) != 0)
        fail_msg("%s: key of %zu bytes, value of %zu: %zu bytes came out, or other ones", how, key_bytes, bytes,
                 got_bytes);
}

static void assert_reads(struct shoal *map, size_t key_bytes, size_t bytes)
{
    size_t n = 0;
    struct shoal_view view;
    out[bytes] = 0x5a;
    assert_int_equal(shoal_get(map, key, key_bytes, out, bytes, &n), 0);
    assert_got("get", key_bytes, bytes, out, n);
    assert_int_equal(out[bytes], 0x5a);
    if (bytes > 0)
        assert_int_equal(shoal_get(map, key, key_bytes, out, bytes - 1, &n), SHOAL_SHORT);
    assert_int_equal(shoal_view(map, key, key_bytes, &view), 0);
    assert_non_null(view.value);
    assert_int_equal((uintptr_t)view.value % 8, 0);
    assert_got("view", key_bytes, bytes, view.value, view.bytes);
    shoal_view_end(&view);
}

static void assert_walk_finds(struct shoal *map, size_t key_bytes, size_t bytes)
{
    struct shoal_iter *iter;
    struct shoal_item item;
    assert_int_equal(shoal_iter_open(map, key, key_bytes, &iter), 0);
    assert_int_equal(shoal_iter_next(iter, &item), 0);
    assert_int_equal(item.key_bytes, key_bytes);
    assert_memory_equal(item.key, key, key_bytes);
    assert_int_equal((uintptr_t)item.value % 8, 0);
    assert_got("iterate", key_bytes, bytes, item.value, item.value_bytes);
    shoal_iter_close(iter);
}

static void round_trip(struct shoal *map, size_t key_bytes, size_t bytes)
{
    size_t n = 0;
    fill_bytes(key, key_bytes, key_bytes);
    fill_bytes(in, bytes, bytes + key_bytes);
    int rc = shoal_put(map, key, key_bytes, in, bytes);
    if (rc != 0)
        fail_msg("put of a key of %zu bytes, a value of %zu: %d, %s", key_bytes, bytes, rc, shoal_error_text());
    assert_reads(map, key_bytes, bytes);
    assert_walk_finds(map, key_bytes, bytes);
    assert_int_equal(shoal_take(map, key, key_bytes, out, bytes, &n), 0);
    assert_got("take", key_bytes, bytes, out, n);
}

static const uint32_t features[] = { 0, SHOAL_MTIME, SHOAL_CHECKSUM, SHOAL_MTIME | SHOAL_CHECKSUM };
#define FEATURES_N 4u

static void with_features(struct frame *f, uint32_t flags, uint64_t heap_bytes, void (*body)(struct shoal *))
{
    body(map_with(f, flags, heap_bytes));
    assert_sound(f->map);
    shoal_close(f->map);
    f->map = NULL;
    assert_int_equal(shoal_unlink(frame_path(f, "map")), 0);
}

/* -- Values ------------------------------------------------------------------------------------------------ */

static void small_values_and_keys(struct shoal *map)
{
    for (size_t key_bytes = 1; key_bytes <= 9; key_bytes++)
        for (size_t bytes = 0; bytes <= 64; bytes++)
            round_trip(map, key_bytes, bytes);
}

static void values_of_0_to_64_bytes(void **state)
{
    for (uint32_t i = 0; i < FEATURES_N; i++)
        with_features(*state, features[i], 512 * 1024, small_values_and_keys);
}

/* The length field's escape, a page, powers of two: one below, at, one above. */
static void values_at_edges(struct shoal *map)
{
    static const size_t edges[] = { 128, 256, 496, 504, 512, 1024, 4096, 8192, 16384, 32766, 32767, 32768, 65536 };
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
        for (size_t bytes = edges[i] - 1; bytes <= edges[i] + 1; bytes++)
            for (size_t key_bytes = 7; key_bytes <= 8; key_bytes++)
                round_trip(map, key_bytes, bytes);
}

static void values_around_every_edge(void **state)
{
    for (uint32_t i = 0; i < FEATURES_N; i++)
        with_features(*state, features[i], 1 << 20, values_at_edges);
}

/* A heap of 16 MiB has spans of 16 KiB: values of several classes' runs, and runs of their own. */
static void large_values(struct shoal *map)
{
    uint64_t span = stats_of(map).span_bytes;
    assert_int_equal(span, 16384);
    for (size_t spans = 1; spans <= 24; spans++)
        for (size_t less = 0; less <= 48; less += 8)
            round_trip(map, 5, spans * span - less);
    round_trip(map, 5, 1 << 20);
    round_trip(map, 5, ((size_t)1 << 20) + 1);
    round_trip(map, 5, (size_t)8 << 20);
}

static void values_of_runs_of_spans(void **state)
{
    with_features(*state, 0, 16 << 20, large_values);
    with_features(*state, SHOAL_CHECKSUM, 16 << 20, large_values);
}

/* The same key through sizes that go up and down: each put gives the old block back. */
static void a_value_that_grows_and_shrinks(void **state)
{
    struct shoal *map = map_with(*state, SHOAL_CHECKSUM, 2 << 20);
    size_t bytes = 1;
    fill_bytes(key, 3, 3);
    for (uint32_t i = 0; i < 4000; i++) {
        bytes = (bytes * 7 + i) % (i % 16 == 0 ? 200000 : 700);
        fill_bytes(in, bytes, i);
        assert_int_equal(shoal_put(map, key, 3, in, bytes), 0);
        assert_reads(map, 3, bytes);
    }
    assert_int_equal(shoal_delete(map, key, 3), 0);
    assert_int_equal(shoal_reap(map, NULL), 0);
    struct shoal_stats s = stats_of(map);
    assert_int_equal(s.live_bytes + s.owned_bytes + s.retired_bytes + s.dead_bytes, 0);
}

/* -- Keys ------------------------------------------------------------------------------------------------------ */

static void keys_of_each_length(struct shoal *map)
{
    for (size_t key_bytes = 1; key_bytes <= 300; key_bytes++)
        round_trip(map, key_bytes, key_bytes % 20);
    for (size_t key_bytes = 511; key_bytes <= 513; key_bytes++)
        round_trip(map, key_bytes, 100);
    for (size_t key_bytes = 65528; key_bytes <= 65535; key_bytes++)
        for (size_t bytes = 0; bytes <= 33000; bytes += 8250)
            round_trip(map, key_bytes, bytes);
}

static void keys_of_1_to_300_and_65535_bytes(void **state)
{
    for (uint32_t i = 0; i < FEATURES_N; i++)
        with_features(*state, features[i], 2 << 20, keys_of_each_length);
}

/* Each is the beginning of all longer ones; all are there at once. */
static void keys_that_begin_each_other(void **state)
{
    struct shoal *map = map_with(*state, 0, 1 << 20);
    fill_bytes(key, 300, 1);
    for (uint32_t n = 1; n <= 300; n++)
        assert_int_equal(shoal_add(map, key, n, &n, sizeof n), 0);
    for (uint32_t n = 1; n <= 300; n++) {
        uint32_t value = 0;
        assert_int_equal(shoal_get(map, key, n, &value, sizeof value, NULL), 0);
        assert_int_equal(value, n);
    }
    for (uint32_t n = 1; n <= 300; n += 2)
        assert_int_equal(shoal_delete(map, key, n), 0);
    for (uint32_t n = 1; n <= 300; n++)
        assert_int_equal(shoal_get(map, key, n, NULL, 0, NULL), n % 2 == 0 ? 0 : SHOAL_MISSING);
}

/* -- Limits ------------------------------------------------------------------------------------------------------ */

static void limits_of_the_map_hold_to_the_byte(void **state)
{
    struct shoal_options o = frame_options();
    o.max_key_bytes = 20;
    o.max_value_bytes = 100;
    struct shoal *map = frame_map(*state, &o);
    struct shoal_stats s = stats_of(map);
    assert_true(s.max_key_bytes == 20 && s.max_value_bytes == 100);
    round_trip(map, 20, 100);
    assert_refused(shoal_put(map, key, 21, in, 1), SHOAL_ETOOBIG, "key has 21 bytes; this map takes 1..20");
    assert_refused(shoal_get(map, key, 21, out, 1, NULL), SHOAL_ETOOBIG, "key has 21 bytes");
    assert_refused(shoal_put(map, key, 20, in, 101), SHOAL_ETOOBIG, "value has 101 bytes; this map takes at most 100");
    assert_int_equal(shoal_get(map, key, 20, NULL, 0, NULL), SHOAL_MISSING);
}

/* Without a limit: the largest value fits into an empty heap, one byte more fits no heap of that size. */
static void the_largest_value_is_told_and_fits(void **state)
{
    for (uint32_t i = 0; i < FEATURES_N; i++) {
        struct frame *f = *state;
        struct shoal *map = map_with(f, features[i], 2 << 20);
        uint64_t most = stats_of(map).max_value_bytes;
        round_trip(map, 1, most);
        assert_refused(shoal_put(map, key, 1, in, most + 1), SHOAL_ETOOBIG, "this map takes at most");
        assert_int_equal(shoal_get(map, key, 1, NULL, 0, NULL), SHOAL_MISSING);
        assert_sound(map);
        shoal_close(map);
        f->map = NULL;
        assert_int_equal(shoal_unlink(frame_path(f, "map")), 0);
    }
}

/* What stats calls the largest record goes in, however it is split into key and value. */
static void the_largest_record_of_stats_fits(void **state)
{
    struct shoal *map = map_with(*state, SHOAL_MTIME, 2 << 20);
    for (uint32_t n = 0; n < 30; n++) {
        uint64_t largest = stats_of(map).largest_record;
        for (uint32_t key_bytes = 4; key_bytes <= 12 && largest > key_bytes; key_bytes++) {
            fill_bytes(key, key_bytes, n);
            int rc = shoal_put(map, key, key_bytes, in, largest - key_bytes);
            if (rc != 0)
                fail_msg("largest record of %llu bytes, key of %u: %s", (unsigned long long)largest, key_bytes,
                         shoal_error_text());
            assert_int_equal(shoal_delete(map, key, key_bytes), 0);
            assert_int_equal(shoal_reap(map, NULL), 0);
        }
        assert_int_equal(shoal_put(map, &n, sizeof n, in, 50000), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(values_of_0_to_64_bytes),
        FRAME_TEST(values_around_every_edge),
        FRAME_TEST(values_of_runs_of_spans),
        FRAME_TEST(a_value_that_grows_and_shrinks),
        FRAME_TEST(keys_of_1_to_300_and_65535_bytes),
        FRAME_TEST(keys_that_begin_each_other),
        FRAME_TEST(limits_of_the_map_hold_to_the_byte),
        FRAME_TEST(the_largest_value_is_told_and_fits),
        FRAME_TEST(the_largest_record_of_stats_fits),
    };
    return cmocka_run_group_tests(tests, buffers_make, buffers_free);
}
