/* SPDX-License-Identifier: MIT
 *
 * Bad arguments and options: each has its code and a text that says what and where, and changes nothing
 * (guarantee E for what comes from the caller).
 */
#include "unit/frame.h"
#include "unit/segment_image.h"

#include <stdlib.h>

/* -- Failed calls change nothing --------------------------------------------------------------------- */

static int refuse(struct shoal_change *change, void *arg)
{
    change->value = "x";
    change->value_bytes = 1;
    return *(int *)arg;
}

/* On a map that holds "key" = "value": every failing or negative answer that one key can give. */
static void fail_in_every_way(struct shoal *map)
{
    char buf[8];
    struct shoal_how how = SHOAL_HOW_INIT;
    struct shoal_item item;
    struct shoal_iter *iter;
    static const int verdicts[] = { -1, -5, 3, 100 };
    size_t most = stats_of(map).max_value_bytes;
    how.flags = SHOAL_IF_VERSION;
    how.if_version = 99;
    assert_int_equal(shoal_add(map, "key", 3, "x", 1), SHOAL_EXISTS);
    assert_int_equal(shoal_replace(map, "none", 4, "x", 1), SHOAL_MISSING);
    assert_int_equal(shoal_put_with(map, "key", 3, "x", 1, &how, NULL), SHOAL_CHANGED);
    assert_int_equal(shoal_put_with(map, "none", 4, "x", 1, &how, NULL), SHOAL_CHANGED);
    assert_int_equal(shoal_delete(map, "none", 4), SHOAL_MISSING);
    assert_int_equal(shoal_delete_if(map, "key", 3, 99), SHOAL_CHANGED);
    assert_int_equal(shoal_take(map, "key", 3, buf, 2, NULL), SHOAL_SHORT);
    assert_int_equal(shoal_take(map, "none", 4, buf, 2, NULL), SHOAL_MISSING);
    assert_int_equal(shoal_incr(map, "key", 3, 1, NULL), SHOAL_EINVAL);
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        assert_true(shoal_update(map, "key", 3, refuse, (void *)(uintptr_t)&verdicts[i]) < 0);
    assert_int_equal(shoal_put(map, "key", 3, buf, most + 1), SHOAL_ETOOBIG);
    assert_int_equal(shoal_put(map, "key", 0, buf, 1), SHOAL_EINVAL);
    assert_int_equal(shoal_put(map, buf, 65536, buf, 1), SHOAL_ETOOBIG);
    assert_int_equal(shoal_put(map, "key", 3, NULL, 1), SHOAL_EINVAL);
    assert_int_equal(shoal_get(map, "none", 4, buf, sizeof buf, NULL), SHOAL_MISSING);
    assert_int_equal(shoal_wait(map, "none", 4, 1, 0, NULL), 0);
    assert_int_equal(shoal_iter_open(map, NULL, 1, &iter), SHOAL_EINVAL);
    assert_int_equal(shoal_iter_next(NULL, &item), SHOAL_EINVAL);
}

static void failed_calls_change_no_byte(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    struct image image;
    struct snapshot before;
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(shoal_put(map, &i, sizeof i, "0123456789", 10), 0);
    assert_int_equal(put_text(map, "key", "value"), 0);
    image_open(&image, frame_path(f, "map"));
    for (int round = 0; round < 100; round++) { /* often enough for looks at others and sweeps */
        if (round == 1)
            snapshot_take(&before, &image); /* the first wait has set its bit in the header */
        fail_in_every_way(map);
    }
    assert_unchanged(&before);
    image_close(&image);
}

/* -- Keys and values --------------------------------------------------------------------------------------- */

/* Calls of one key with this key; answers what put answers. */
static void assert_key_is_refused(struct shoal *map, const void *key, size_t key_bytes, int code, const char *text)
{
    char buf[8];
    size_t n = 77;
    int64_t sum = 77;
    uint64_t version = 77;
    int verdict = SHOAL_KEEP;
    struct shoal_info info = SHOAL_INFO_INIT;
    struct shoal_view view;
    assert_refused(shoal_get(map, key, key_bytes, buf, sizeof buf, &n), code, text);
    assert_refused(shoal_getv(map, key, key_bytes, buf, sizeof buf, &n, &version), code, text);
    assert_refused(shoal_info(map, key, key_bytes, &info), code, text);
    assert_refused(shoal_put(map, key, key_bytes, "x", 1), code, text);
    assert_refused(shoal_add(map, key, key_bytes, "x", 1), code, text);
    assert_refused(shoal_replace(map, key, key_bytes, "x", 1), code, text);
    assert_refused(shoal_put_with(map, key, key_bytes, "x", 1, NULL, &version), code, text);
    assert_refused(shoal_delete(map, key, key_bytes), code, text);
    assert_refused(shoal_delete_if(map, key, key_bytes, 1), code, text);
    assert_refused(shoal_take(map, key, key_bytes, buf, sizeof buf, &n), code, text);
    assert_refused(shoal_incr(map, key, key_bytes, 1, &sum), code, text);
    assert_refused(shoal_update(map, key, key_bytes, refuse, &verdict), code, text);
    assert_refused(shoal_view(map, key, key_bytes, &view), code, text);
    assert_refused(shoal_wait(map, key, key_bytes, 1, 0, &version), code, text);
    assert_true(n == 77 && sum == 77 && version == 77 && info.version == 0);
}

static void keys_of_no_bytes_and_too_many(void **state)
{
    struct shoal *map = frame_small(*state);
    static char long_key[70000];
    assert_key_is_refused(map, NULL, 3, SHOAL_EINVAL, "key is NULL");
    assert_key_is_refused(map, NULL, 0, SHOAL_EINVAL, "key is NULL");
    assert_key_is_refused(map, "", 0, SHOAL_EINVAL, "key has 0 bytes; 1..65535 allowed");
    assert_key_is_refused(map, long_key, 65536, SHOAL_ETOOBIG, "key has 65536 bytes; this map takes 1..65535");
    assert_key_is_refused(map, long_key, SIZE_MAX, SHOAL_ETOOBIG, "key has 18446744073709551615 bytes");
    struct shoal_iter *iter = NULL;
    assert_refused(shoal_iter_open(map, long_key, 65536, &iter), SHOAL_ETOOBIG, "prefix of 65536 bytes");
    assert_refused(shoal_iter_open(map, NULL, 1, &iter), SHOAL_EINVAL, "prefix");
    assert_null(iter);
    assert_int_equal(shoal_iter_open(map, long_key, 65535, &iter), 0);
    shoal_iter_close(iter);
}

static void values_without_bytes_or_with_too_many(void **state)
{
    struct shoal *map = frame_small(*state);
    uint64_t most = stats_of(map).max_value_bytes, version = 77;
    char *value = malloc(most + 1);
    assert_non_null(value);
    assert_refused(shoal_put(map, "key", 3, NULL, 1), SHOAL_EINVAL, "value is NULL but has 1 bytes");
    assert_refused(shoal_put_with(map, "key", 3, value, most + 1, NULL, &version), SHOAL_ETOOBIG, "value has ");
    assert_refused(shoal_put(map, "key", 3, value, SIZE_MAX), SHOAL_ETOOBIG, "this map takes at most");
    assert_refused(shoal_add(map, "key", 3, value, most + 1), SHOAL_ETOOBIG, "value has ");
    assert_refused(shoal_replace(map, "key", 3, value, most + 1), SHOAL_ETOOBIG, "value has ");
    assert_int_equal(version, 77);
    assert_holds(map, "key", NULL);
    free(value);
}

/* -- NULL and uninitialised structs ----------------------------------------------------------------------------- */

static void a_null_map(void **state)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    struct shoal_key key = { "key", 3 };
    struct shoal_value value = { .value = "x", .bytes = 1 };
    struct shoal_result result = { .code = 77 };
    struct shoal_iter *iter = NULL;
    uint64_t n = 77;
    (void)state;
    assert_key_is_refused(NULL, "key", 3, SHOAL_EINVAL, "map is NULL");
    assert_refused(shoal_get_many(NULL, &key, 1, &result), SHOAL_EINVAL, "map is NULL");
    assert_int_equal(result.code, SHOAL_EINVAL);
    assert_refused(shoal_put_many(NULL, &key, &value, 1, &result), SHOAL_EINVAL, "map is NULL");
    assert_refused(shoal_delete_many(NULL, &key, 1, &result), SHOAL_EINVAL, "map is NULL");
    assert_refused(shoal_iter_open(NULL, NULL, 0, &iter), SHOAL_EINVAL, "map is NULL");
    assert_refused(shoal_count(NULL, 0, &n, NULL), SHOAL_EINVAL, "map is NULL");
    assert_refused(shoal_stats(NULL, &stats), SHOAL_EINVAL, "map is NULL");
    assert_refused(shoal_check(NULL, &report), SHOAL_EINVAL, "map is NULL");
    assert_refused(shoal_reap(NULL, &reaped), SHOAL_EINVAL, "map is NULL");
    assert_true(iter == NULL && n == 77);
}

static void null_outputs(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_iter *iter;
    assert_int_equal(put_text(map, "key", "value"), 0);
    assert_refused(shoal_info(map, "key", 3, NULL), SHOAL_EINVAL, "ret_info is NULL");
    assert_refused(shoal_view(map, "key", 3, NULL), SHOAL_EINVAL, "ret_view is NULL");
    assert_refused(shoal_iter_open(map, NULL, 0, NULL), SHOAL_EINVAL, "ret_iter is NULL");
    assert_int_equal(shoal_iter_open(map, NULL, 0, &iter), 0);
    assert_refused(shoal_iter_next(iter, NULL), SHOAL_EINVAL, "ret_item is NULL");
    assert_refused(shoal_iter_next(NULL, NULL), SHOAL_EINVAL, "iterator");
    shoal_iter_close(iter);
    assert_refused(shoal_stats(map, NULL), SHOAL_EINVAL, "ret_stats is NULL");
    assert_refused(shoal_check(map, NULL), SHOAL_EINVAL, "ret_report is NULL");
    assert_refused(shoal_count(map, 0, NULL, NULL), SHOAL_EINVAL, "ret_n is NULL");
    assert_refused(shoal_update(map, "key", 3, NULL, NULL), SHOAL_EINVAL, "function is NULL");
}

static void structs_whose_size_is_not_set(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_info info = { 0 };
    struct shoal_stats stats = { .size = 1 };
    struct shoal_report report = { .size = sizeof report - 1 };
    struct shoal_reaped reaped = { .size = sizeof reaped + 1 };
    struct shoal_how how = { 0 };
    assert_refused(shoal_info(map, "key", 3, &info), SHOAL_EINVAL, "not initialised");
    assert_refused(shoal_stats(map, &stats), SHOAL_EINVAL, "not initialised");
    assert_refused(shoal_check(map, &report), SHOAL_EINVAL, "not initialised");
    assert_refused(shoal_reap(map, &reaped), SHOAL_EINVAL, "not initialised");
    assert_refused(shoal_put_with(map, "key", 3, "x", 1, &how, NULL), SHOAL_EINVAL, "how.size: 0");
}

/* -- Options -------------------------------------------------------------------------------------------------------- */

static void assert_options_refused(struct frame *f, const struct shoal_options *o, const char *text)
{
    struct shoal *map = NULL;
    assert_refused(shoal_create(frame_path(f, "none"), o, &map), SHOAL_EINVAL, text);
    assert_refused(shoal_open_or_create(frame_path(f, "none"), o, 0, &map), SHOAL_EINVAL, text);
    assert_refused(shoal_open(frame_path(f, "none"), 0, &map), SHOAL_ENOMAP, "none: no such map");
    assert_null(map);
}

static void options_of_later_versions(void **state)
{
    struct shoal_options o = frame_options(), good = o;
    o.on_full = SHOAL_FULL_SPILL;
    assert_options_refused(*state, &o, "options.on_full: SHOAL_FULL_SPILL needs options.store");
    o.on_full = SHOAL_FULL_EVICT;
    assert_options_refused(*state, &o, "options.on_full: this version drops nothing");
    o.on_full = 3;
    assert_options_refused(*state, &o, "options.on_full: 3 is not a policy");
    for (uint32_t bit = 3; bit < 32; bit++) {
        char text[64];
        o = good;
        o.flags = SHOAL_MTIME | 1u << bit;
        (void)snprintf(text, sizeof text, "options.flags: 0x%x is not known", 1u << bit);
        assert_options_refused(*state, &o, text);
    }
    struct shoal *map = frame_small(*state);
    struct shoal_how how = SHOAL_HOW_INIT;
    how.ttl_ms = 5;
    assert_refused(shoal_put_with(map, "key", 3, "x", 1, &how, NULL), SHOAL_EINVAL, "how.ttl_ms: this version has no expiry");
    how.ttl_ms = 0;
    how.flags = 4;
    assert_refused(shoal_put_with(map, "key", 3, "x", 1, &how, NULL), SHOAL_EINVAL, "how.flags: 0x4");
    how.flags = SHOAL_DURABLE;
    assert_refused(shoal_put_with(map, "key", 3, "x", 1, &how, NULL), SHOAL_EINVAL, "SHOAL_DURABLE needs a store");
    assert_refused(shoal_sync(map), SHOAL_EINVAL, "has no store to sync with");
    assert_holds(map, "key", NULL);
}

static void options_out_of_range(void **state)
{
    struct shoal_options o = frame_options(), good = o;
    o.size = 8;
    assert_options_refused(*state, &o, "options.size: 8, expected");
    o = good;
    o.capacity = 0;
    assert_options_refused(*state, &o, "options.capacity: 0 keys, 1..2^31 allowed");
    o.capacity = ((uint64_t)1 << 31) + 1;
    assert_options_refused(*state, &o, "options.capacity: 2147483649 keys");
    o.capacity = UINT64_MAX;
    assert_options_refused(*state, &o, "options.capacity: ");
    o = good;
    o.heap_bytes = ((uint64_t)512 << 30) + 1;
    assert_options_refused(*state, &o, "options.heap_bytes: 549755813889, at most 512 GiB");
    o.heap_bytes = (uint64_t)512 << 30; /* and the table would come on top */
    assert_options_refused(*state, &o, "at most 512 GiB");
    o = good;
    o.max_threads = 16385;
    assert_options_refused(*state, &o, "options.max_threads: 16385, at most 16384");
    o = good;
    o.mode = 0755;
    assert_options_refused(*state, &o, "options.mode: 0755");
    o = good;
    o.gid = -2;
    assert_options_refused(*state, &o, "options.gid: -2");
    o = good;
    o.max_key_bytes = 65536;
    assert_options_refused(*state, &o, "options.max_key_bytes: 65536, at most 65535");
    o = good;
    o.max_value_bytes = o.heap_bytes;
    assert_options_refused(*state, &o, "options.max_value_bytes: 524288, but a heap of 524288 bytes takes at most ");
}

static void unknown_flags_of_open(void **state)
{
    struct frame *f = *state;
    (void)frame_small(f);
    struct shoal *map = NULL;
    for (uint32_t bit = 2; bit < 32; bit++) {
        char text[32];
        (void)snprintf(text, sizeof text, "flags 0x%x", 1u << bit);
        assert_refused(shoal_open(frame_path(f, "map"), 1u << bit, &map), SHOAL_EINVAL, text);
        assert_refused(shoal_open_or_create(frame_path(f, "map"), NULL, 1u << bit, &map), SHOAL_EINVAL, text);
    }
    assert_null(map);
}

/* -- Update functions that call their map ----------------------------------------------------------------------------- */

static int call_own_map(struct shoal_change *change, void *arg)
{
    struct shoal *map = arg;
    const char *text = "an update function must not call its own map";
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    struct shoal_iter *iter = NULL;
    uint64_t n = 77;
    assert_key_is_refused(map, "key", 3, SHOAL_EINVAL, text);
    assert_key_is_refused(map, "other", 5, SHOAL_EINVAL, text);
    assert_refused(shoal_iter_open(map, NULL, 0, &iter), SHOAL_EINVAL, text);
    assert_refused(shoal_count(map, 0, &n, NULL), SHOAL_EINVAL, text);
    assert_refused(shoal_stats(map, &stats), SHOAL_EINVAL, text);
    assert_refused(shoal_check(map, &report), SHOAL_EINVAL, text);
    assert_refused(shoal_reap(map, NULL), SHOAL_EINVAL, text);
    assert_true(iter == NULL && n == 77);
    change->value = "updated";
    change->value_bytes = 7;
    return SHOAL_STORE;
}

static void an_update_function_that_calls_its_map(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f), *opened_again;
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_int_equal(shoal_update(map, "key", 3, call_own_map, map), 0);
    assert_holds(map, "key", "updated");
    assert_holds(map, "other", NULL);
    assert_int_equal(put_text(map, "other", "a"), 0); /* over: it may be called again */
    assert_int_equal(shoal_open(frame_path(f, "map"), 0, &opened_again), 0);
    shoal_close(opened_again);
}

static int close_own_map(struct shoal_change *change, void *arg)
{
    shoal_close(arg);
    change->value = "stored";
    change->value_bytes = 6;
    return SHOAL_STORE;
}

/* The call under way finishes first. */
static void an_update_function_that_closes_its_map(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    assert_int_equal(put_text(map, "key", "a"), 0);
    f->map = NULL;
    assert_int_equal(shoal_update(map, "key", 3, close_own_map, map), 0);
    assert_refused(shoal_get(map, "key", 3, NULL, 0, NULL), SHOAL_EINVAL, "the map is closed");
    assert_int_equal(shoal_open(frame_path(f, "map"), 0, &f->map), 0);
    assert_holds(f->map, "key", "stored");
    assert_int_equal(stats_of(f->map).attached, 1);
}

/* -- Texts ---------------------------------------------------------------------------------------------------------------- */

static void every_result_code_has_a_text(void **state)
{
    (void)state;
    for (int code = SHOAL_EOS; code <= SHOAL_END; code++) {
        assert_non_null(shoal_strerror(code));
        assert_int_not_equal(strcmp(shoal_strerror(code), "unknown result code"), 0);
    }
    assert_string_equal(shoal_strerror(SHOAL_END + 1), "unknown result code");
    assert_string_equal(shoal_strerror(SHOAL_EOS - 1), "unknown result code");
}

/* Valid until the thread's next failing call: calls that succeed or say no leave it alone. */
static void the_text_stays_until_the_next_failure(void **state)
{
    struct shoal *map = frame_small(*state);
    assert_refused(shoal_put(map, NULL, 3, "x", 1), SHOAL_EINVAL, "key is NULL");
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_int_equal(shoal_add(map, "key", 3, "b", 1), SHOAL_EXISTS);
    assert_int_equal(shoal_get(map, "none", 4, NULL, 0, NULL), SHOAL_MISSING);
    assert_int_equal(shoal_delete(map, "key", 3), 0);
    assert_text_has("key is NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(failed_calls_change_no_byte),
        FRAME_TEST(keys_of_no_bytes_and_too_many),
        FRAME_TEST(values_without_bytes_or_with_too_many),
        FRAME_TEST(a_null_map),
        FRAME_TEST(null_outputs),
        FRAME_TEST(structs_whose_size_is_not_set),
        FRAME_TEST(options_of_later_versions),
        FRAME_TEST(options_out_of_range),
        FRAME_TEST(unknown_flags_of_open),
        FRAME_TEST(an_update_function_that_calls_its_map),
        FRAME_TEST(an_update_function_that_closes_its_map),
        FRAME_TEST(every_result_code_has_a_text),
        FRAME_TEST(the_text_stays_until_the_next_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
