/* SPDX-License-Identifier: MIT
 *
 * The calls of one key (guarantee A, seen by one thread): every answer, every output, and that what is
 * not an output stays as it was.
 */
#include "unit/frame.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define K "key", 3
#define SAME 0xa5

static uint8_t buf[64]; /* get and take write here */

static void spoil(void) { memset(buf, SAME, sizeof buf); }

static void assert_spoilt_from(size_t at)
{
    for (size_t i = at; i < sizeof buf; i++)
        assert_int_equal(buf[i], SAME);
}

/* -- get, put, add, replace, delete ---------------------------------------------------------------- */

static void get_answers(void **state)
{
    struct shoal *map = frame_small(*state);
    size_t n = 77;
    spoil();
    assert_int_equal(shoal_get(map, K, buf, sizeof buf, &n), SHOAL_MISSING);
    assert_int_equal(n, 77);
    assert_spoilt_from(0);
    assert_int_equal(put_text(map, "key", "0123456789"), 0);
    assert_int_equal(shoal_get(map, K, buf, sizeof buf, &n), 0);
    assert_int_equal(n, 10);
    assert_memory_equal(buf, "0123456789", 10);
    assert_spoilt_from(10);
    spoil();
    assert_int_equal(shoal_get(map, K, buf, 9, &n), SHOAL_SHORT);
    assert_int_equal(n, 10);
    assert_spoilt_from(0);
    assert_int_equal(shoal_get(map, K, buf, 10, NULL), 0);
    assert_int_equal(shoal_get(map, K, buf, 0, NULL), SHOAL_SHORT);
    assert_spoilt_from(10);
}

static void get_without_a_buffer_asks_for_presence_and_length(void **state)
{
    struct shoal *map = frame_small(*state);
    size_t n = 77;
    assert_int_equal(shoal_get(map, K, NULL, 0, &n), SHOAL_MISSING);
    assert_int_equal(n, 77);
    assert_int_equal(put_text(map, "key", "0123456789"), 0);
    assert_int_equal(shoal_get(map, K, NULL, 0, &n), 0);
    assert_int_equal(n, 10);
    assert_int_equal(shoal_get(map, K, NULL, 0, NULL), 0);
    n = 77;
    assert_refused(shoal_get(map, K, NULL, 1, &n), SHOAL_EINVAL, "buffer is NULL but has 1 bytes");
    assert_int_equal(n, 77);
    assert_int_equal(shoal_put(map, K, NULL, 0), 0); /* a value of no bytes needs no pointer */
    assert_int_equal(shoal_get(map, K, NULL, 0, &n), 0);
    assert_int_equal(n, 0);
    spoil();
    assert_int_equal(shoal_get(map, K, buf, sizeof buf, &n), 0);
    assert_spoilt_from(0);
}

static void put_add_replace_delete_answer(void **state)
{
    struct shoal *map = frame_small(*state);
    assert_int_equal(shoal_replace(map, K, "x", 1), SHOAL_MISSING);
    assert_holds(map, "key", NULL);
    assert_int_equal(shoal_delete(map, K), SHOAL_MISSING);
    assert_int_equal(shoal_add(map, K, "a", 1), 0);
    assert_holds(map, "key", "a");
    assert_int_equal(shoal_add(map, K, "b", 1), SHOAL_EXISTS);
    assert_holds(map, "key", "a");
    assert_int_equal(shoal_replace(map, K, "cc", 2), 0);
    assert_holds(map, "key", "cc");
    assert_int_equal(shoal_put(map, K, "ddd", 3), 0);
    assert_holds(map, "key", "ddd");
    assert_int_equal(shoal_delete(map, K), 0);
    assert_holds(map, "key", NULL);
    assert_int_equal(shoal_delete(map, K), SHOAL_MISSING);
}

static void keys_are_bytes_not_strings(void **state)
{
    static const char keys[][4] = { "a\0b", "a\0c", "a\0\0", "\0\0\0", "\xff\xff\xff", "a  " };
    struct shoal *map = frame_small(*state);
    for (size_t i = 0; i < 6; i++)
        for (size_t n = 1; n <= 3; n++)
            (void)shoal_put(map, keys[i], n, &(uint64_t){ i << 8 | n }, 8);
    uint64_t count = 0, value = 0;
    assert_int_equal(shoal_count(map, 0, &count, NULL), 0);
    assert_int_equal(count, 6 + 4 + 3); /* three bytes: all differ; two: a0 00 ff a_; one: a 0 ff */
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(shoal_get(map, keys[i], 3, &value, 8, NULL), 0);
        assert_int_equal(value, i << 8 | 3);
    }
}

/* -- Versions -------------------------------------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

#define PUTS 4000
static void every_put_has_a_version_of_its_own(void **state)
{
    static uint64_t seen[PUTS];
    struct shoal *map = frame_small(*state);
    for (int i = 0; i < PUTS; i++) {
        if (i % 3 == 0)
            (void)shoal_delete(map, K);
        assert_int_equal(shoal_put_with(map, K, "same", 4, NULL, &seen[i]), 0);
        assert_int_equal(version_of(map, "key"), seen[i]);
    }
    qsort(seen, PUTS, sizeof seen[0], compare_u64);
    assert_true(seen[0] != 0);
    for (int i = 1; i < PUTS; i++)
        assert_true(seen[i] != seen[i - 1]);
}

static void version_0_is_absent(void **state)
{
    struct shoal *map = frame_small(*state);
    uint64_t version = 77;
    size_t n = 77;
    assert_int_equal(shoal_getv(map, K, buf, sizeof buf, &n, &version), SHOAL_MISSING);
    assert_int_equal(version, 0);
    assert_int_equal(n, 77);
    assert_int_equal(put_text(map, "key", "value"), 0);
    assert_int_equal(shoal_getv(map, K, buf, sizeof buf, &n, &version), 0);
    assert_true(version != 0 && n == 5);
    uint64_t again = 77;
    assert_int_equal(shoal_getv(map, K, buf, 2, NULL, &again), SHOAL_SHORT);
    assert_int_equal(again, version);
    again = 77;
    assert_refused(shoal_getv(map, NULL, 3, buf, sizeof buf, &n, &again), SHOAL_EINVAL, "key is NULL");
    assert_int_equal(again, 77);
}

static void all_calls_tell_the_same_version(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_info info = SHOAL_INFO_INIT;
    struct shoal_view view;
    struct shoal_iter *iter;
    struct shoal_item item;
    struct shoal_key key = { K };
    struct shoal_result result = { .buf = buf, .buf_bytes = sizeof buf };
    uint64_t version;
    assert_int_equal(shoal_put_with(map, K, "value", 5, NULL, &version), 0);
    assert_int_equal(version_of(map, "key"), version);
    assert_int_equal(shoal_info(map, K, &info), 0);
    assert_int_equal(info.version, version);
    assert_int_equal(shoal_view(map, K, &view), 0);
    assert_int_equal(view.version, version);
    shoal_view_end(&view);
    assert_int_equal(shoal_iter_open(map, NULL, 0, &iter), 0);
    assert_int_equal(shoal_iter_next(iter, &item), 0);
    assert_int_equal(item.version, version);
    shoal_iter_close(iter);
    assert_int_equal(shoal_get_many(map, &key, 1, &result), 0);
    assert_int_equal(result.version, version);
    uint64_t waited = 0;
    assert_int_equal(shoal_wait(map, K, version + 1, 0, &waited), 0);
    assert_int_equal(waited, version);
}

static void put_with_looks_at_the_version(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_how how = SHOAL_HOW_INIT;
    uint64_t version = 77;
    how.flags = SHOAL_IF_VERSION;
    how.if_version = 12345;
    assert_int_equal(shoal_put_with(map, K, "x", 1, &how, &version), SHOAL_CHANGED); /* absent */
    assert_int_equal(version, 77);
    assert_holds(map, "key", NULL);
    how.if_version = 0;
    assert_int_equal(shoal_put_with(map, K, "a", 1, &how, &version), 0); /* only where absent */
    assert_int_equal(version, version_of(map, "key"));
    uint64_t first = version;
    version = 77;
    assert_int_equal(shoal_put_with(map, K, "b", 1, &how, &version), SHOAL_CHANGED);
    assert_int_equal(version, 77);
    assert_holds(map, "key", "a");
    how.if_version = first;
    assert_int_equal(shoal_put_with(map, K, "b", 1, &how, NULL), 0);
    assert_int_equal(shoal_put_with(map, K, "c", 1, &how, NULL), SHOAL_CHANGED);
    assert_holds(map, "key", "b");
    how.flags = 0; /* then if_version is not looked at */
    assert_int_equal(shoal_put_with(map, K, "d", 1, &how, NULL), 0);
    assert_int_equal(shoal_put_with(map, K, "e", 1, NULL, NULL), 0);
    assert_holds(map, "key", "e");
}

static void delete_if_looks_at_the_version(void **state)
{
    struct shoal *map = frame_small(*state);
    assert_int_equal(shoal_delete_if(map, K, 0), SHOAL_MISSING);
    assert_int_equal(shoal_delete_if(map, K, 5), SHOAL_MISSING);
    assert_int_equal(put_text(map, "key", "a"), 0);
    uint64_t version = version_of(map, "key");
    assert_int_equal(shoal_delete_if(map, K, 0), SHOAL_CHANGED);
    assert_int_equal(shoal_delete_if(map, K, version + 1), SHOAL_CHANGED);
    assert_int_equal(put_text(map, "key", "a"), 0); /* the same value, another incarnation */
    assert_int_equal(shoal_delete_if(map, K, version), SHOAL_CHANGED);
    assert_holds(map, "key", "a");
    assert_int_equal(shoal_delete_if(map, K, version_of(map, "key")), 0);
    assert_holds(map, "key", NULL);
}

/* -- Types and info -------------------------------------------------------------------------------------------- */

/* The type byte stands behind the key, so each key length modulo 8 is a place of its own. */
static void every_type_is_kept_behind_every_key_length(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_how how = SHOAL_HOW_INIT;
    for (unsigned type = 0; type < 256; type++)
        for (size_t key_bytes = 1; key_bytes <= 17; key_bytes++) {
            struct shoal_info info = SHOAL_INFO_INIT;
            struct shoal_view view;
            how.type = (uint8_t)type;
            assert_int_equal(shoal_put_with(map, "abcdefghijklmnopq", key_bytes, "value", 5, &how, NULL), 0);
            assert_int_equal(shoal_info(map, "abcdefghijklmnopq", key_bytes, &info), 0);
            assert_int_equal(info.type, type);
            assert_int_equal(shoal_view(map, "abcdefghijklmnopq", key_bytes, &view), 0);
            assert_int_equal(view.type, type);
            assert_memory_equal(view.value, "value", 5);
            shoal_view_end(&view);
        }
    uint64_t count;
    assert_int_equal(shoal_count(map, 0, &count, NULL), 0);
    assert_int_equal(count, 17);
}

static int keep_the_type(struct shoal_change *change, void *arg)
{
    (void)arg;
    assert_int_equal(change->type, change->old_type);
    change->value = "new";
    change->value_bytes = 3;
    return SHOAL_STORE;
}

static int set_a_type(struct shoal_change *change, void *arg)
{
    (void)arg;
    change->value = "new";
    change->value_bytes = 3;
    change->type = SHOAL_STR;
    return SHOAL_STORE;
}

static void writes_set_the_type(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_info info = SHOAL_INFO_INIT;
    struct shoal_how json = SHOAL_HOW_INIT;
    json.type = SHOAL_JSON;
    assert_int_equal(shoal_put_with(map, K, "{}", 2, &json, NULL), 0);
    assert_int_equal(shoal_update(map, K, keep_the_type, NULL), 0);
    assert_int_equal(shoal_info(map, K, &info), 0);
    assert_int_equal(info.type, SHOAL_JSON);
    assert_int_equal(shoal_update(map, K, set_a_type, NULL), 0);
    assert_int_equal(shoal_info(map, K, &info), 0);
    assert_int_equal(info.type, SHOAL_STR);
    assert_int_equal(shoal_replace(map, K, "x", 1), 0);
    assert_int_equal(shoal_info(map, K, &info), 0);
    assert_int_equal(info.type, SHOAL_RAW);
    assert_int_equal(shoal_put_with(map, K, "{}", 2, &json, NULL), 0);
    assert_int_equal(shoal_put(map, K, "x", 1), 0);
    assert_int_equal(shoal_info(map, K, &info), 0);
    assert_int_equal(info.type, SHOAL_RAW);
}

static void info_tells_all_but_the_value(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_info info = SHOAL_INFO_INIT;
    info.bytes = 77;
    assert_int_equal(shoal_info(map, K, &info), SHOAL_MISSING);
    assert_int_equal(info.bytes, 77);
    assert_int_equal(put_text(map, "key", "0123456789"), 0);
    memset(&info, 0xff, sizeof info);
    info.size = sizeof info;
    assert_int_equal(shoal_info(map, K, &info), 0);
    assert_int_equal(info.size, sizeof info);
    assert_int_equal(info.bytes, 10);
    assert_int_equal(info.version, version_of(map, "key"));
    assert_int_equal(info.mtime_ns, 0); /* the map keeps none */
    assert_int_equal(info.expires_ns, 0);
    assert_int_equal(info.tier, SHOAL_TIER_TABLE);
    assert_int_equal(info.type, SHOAL_RAW);
    assert_int_equal(info.reserved[0] | info.reserved[1] | info.reserved[2], 0);
}

static int64_t now_ns(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void mtime_is_when_it_was_last_written(void **state)
{
    struct shoal_options o = frame_options();
    o.flags = SHOAL_MTIME;
    struct shoal *map = frame_map(*state, &o);
    struct shoal_info info = SHOAL_INFO_INIT;
    struct shoal_iter *iter;
    struct shoal_item item;
    int64_t before = now_ns();
    assert_int_equal(put_text(map, "key", "a"), 0);
    int64_t between = now_ns();
    assert_int_equal(shoal_info(map, K, &info), 0);
    assert_true(before <= info.mtime_ns && info.mtime_ns <= between);
    assert_int_equal(shoal_incr(map, "n", 1, 1, NULL), 0);
    assert_int_equal(shoal_update(map, K, set_a_type, NULL), 0);
    assert_int_equal(shoal_info(map, K, &info), 0);
    assert_true(between <= info.mtime_ns && info.mtime_ns <= now_ns());
    assert_int_equal(shoal_iter_open(map, "key", 3, &iter), 0);
    assert_int_equal(shoal_iter_next(iter, &item), 0);
    assert_int_equal(item.mtime_ns, info.mtime_ns);
    shoal_iter_close(iter);
    assert_int_equal(stats_of(map).flags, SHOAL_MTIME);
}

/* -- take ---------------------------------------------------------------------------------------------------------- */

static void take_gets_and_deletes(void **state)
{
    struct shoal *map = frame_small(*state);
    size_t n = 77;
    spoil();
    assert_int_equal(shoal_take(map, K, buf, sizeof buf, &n), SHOAL_MISSING);
    assert_int_equal(n, 77);
    assert_int_equal(put_text(map, "key", "0123456789"), 0);
    assert_int_equal(shoal_take(map, K, buf, 9, &n), SHOAL_SHORT); /* deletes nothing */
    assert_int_equal(n, 10);
    assert_spoilt_from(0);
    assert_holds(map, "key", "0123456789");
    n = 77;
    assert_int_equal(shoal_take(map, K, NULL, 0, &n), SHOAL_SHORT);
    assert_int_equal(n, 10);
    assert_int_equal(shoal_take(map, K, buf, 10, NULL), 0);
    assert_memory_equal(buf, "0123456789", 10);
    assert_spoilt_from(10);
    assert_holds(map, "key", NULL);
    assert_int_equal(put_text(map, "key", ""), 0);
    assert_int_equal(shoal_take(map, K, NULL, 0, &n), 0);
    assert_int_equal(n, 0);
    assert_refused(shoal_take(map, K, NULL, 5, &n), SHOAL_EINVAL, "buffer is NULL but has 5 bytes");
}

/* -- incr ---------------------------------------------------------------------------------------------------------- */

static int64_t add(struct shoal *map, int64_t delta)
{
    int64_t sum = 77;
    assert_int_equal(shoal_incr(map, "n", 1, delta, &sum), 0);
    return sum;
}

static void incr_adds_and_wraps(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_info info = SHOAL_INFO_INIT;
    int64_t stored = 0;
    assert_int_equal(add(map, 5), 5); /* absent = 0 */
    assert_int_equal(add(map, -7), -2);
    assert_int_equal(add(map, 0), -2);
    assert_int_equal(add(map, INT64_MAX), INT64_MAX - 2);
    assert_int_equal(add(map, 2), INT64_MAX);
    assert_int_equal(add(map, 1), INT64_MIN);
    assert_int_equal(add(map, -1), INT64_MAX);
    assert_int_equal(add(map, INT64_MIN), -1);
    assert_int_equal(add(map, INT64_MIN), INT64_MAX);
    assert_int_equal(shoal_incr(map, "n", 1, 1, NULL), 0);
    assert_int_equal(shoal_get(map, "n", 1, &stored, sizeof stored, NULL), 0);
    assert_int_equal(stored, INT64_MIN);
    assert_int_equal(shoal_info(map, "n", 1, &info), 0);
    assert_int_equal(info.type, SHOAL_I64);
    assert_int_equal(info.bytes, 8);
}

static void incr_refuses(struct shoal *map, uint8_t type, size_t bytes, const char *text)
{
    struct shoal_how how = SHOAL_HOW_INIT;
    int64_t sum = 77;
    how.type = type;
    assert_int_equal(shoal_put_with(map, K, "0123456789", bytes, &how, NULL), 0);
    uint64_t version = version_of(map, "key");
    assert_refused(shoal_incr(map, K, 1, &sum), SHOAL_EINVAL, text);
    assert_int_equal(sum, 77);
    assert_int_equal(version_of(map, "key"), version);
}

static void incr_refuses_what_is_no_integer(void **state)
{
    struct shoal *map = frame_small(*state);
    incr_refuses(map, SHOAL_RAW, 8, "type 0 with 8 bytes, not an integer");
    incr_refuses(map, SHOAL_F64, 8, "type 4 with 8 bytes, not an integer");
    incr_refuses(map, SHOAL_USER, 8, "type 128 with 8 bytes, not an integer");
    incr_refuses(map, SHOAL_I64, 0, "type 2 with 0 bytes");
    incr_refuses(map, SHOAL_I64, 7, "type 2 with 7 bytes");
    incr_refuses(map, SHOAL_I64, 9, "type 2 with 9 bytes");
    struct shoal_how how = SHOAL_HOW_INIT;
    int64_t value = 40;
    how.type = SHOAL_I64;
    assert_int_equal(shoal_put_with(map, K, &value, sizeof value, &how, NULL), 0);
    assert_int_equal(shoal_incr(map, K, 2, &value), 0);
    assert_int_equal(value, 42);
}

/* -- update --------------------------------------------------------------------------------------------------------- */

/* What the function saw, and what it is to answer. */
struct script {
    int verdict, runs;
    const void *value;
    size_t bytes, old_bytes;
    uint64_t old_version;
    uint8_t old[32], old_type;
    bool absent;
};

static int follow(struct shoal_change *change, void *arg)
{
    struct script *s = arg;
    s->runs++;
    assert_int_equal(change->size, sizeof *change);
    s->absent = change->old == NULL;
    s->old_bytes = change->old_bytes;
    s->old_version = change->old_version;
    s->old_type = change->old_type;
    assert_int_equal((uintptr_t)change->old % 8, 0);
    if (change->old != NULL)
        memcpy(s->old, change->old, change->old_bytes);
    change->value = s->value;
    change->value_bytes = s->bytes;
    return s->verdict;
}

static void update_stores(void **state)
{
    struct shoal *map = frame_small(*state);
    struct script s = { .verdict = SHOAL_STORE, .value = "one", .bytes = 3 };
    assert_int_equal(shoal_update(map, K, follow, &s), 0);
    assert_true(s.absent && s.runs == 1 && s.old_bytes == 0 && s.old_version == 0 && s.old_type == SHOAL_RAW);
    assert_holds(map, "key", "one");
    uint64_t version = version_of(map, "key");
    s = (struct script){ .verdict = SHOAL_STORE, .value = "twelve", .bytes = 6 };
    assert_int_equal(shoal_update(map, K, follow, &s), 0);
    assert_true(!s.absent && s.runs == 1 && s.old_bytes == 3 && s.old_version == version);
    assert_memory_equal(s.old, "one", 3);
    assert_holds(map, "key", "twelve");
    assert_true(version_of(map, "key") != version);
    s = (struct script){ .verdict = SHOAL_STORE };
    assert_int_equal(shoal_update(map, K, follow, &s), 0);
    assert_holds(map, "key", "");
}

static void update_keeps_and_removes(void **state)
{
    struct shoal *map = frame_small(*state);
    struct script s = { .verdict = SHOAL_KEEP, .value = "x", .bytes = 1 };
    assert_int_equal(shoal_update(map, K, follow, &s), 0);
    assert_holds(map, "key", NULL);
    s.verdict = SHOAL_REMOVE;
    assert_int_equal(shoal_update(map, K, follow, &s), 0); /* no effect where it is absent */
    assert_int_equal(put_text(map, "key", "one"), 0);
    uint64_t version = version_of(map, "key");
    s.verdict = SHOAL_KEEP;
    assert_int_equal(shoal_update(map, K, follow, &s), 0);
    assert_holds(map, "key", "one");
    assert_int_equal(version_of(map, "key"), version);
    s.verdict = SHOAL_REMOVE;
    assert_int_equal(shoal_update(map, K, follow, &s), 0);
    assert_holds(map, "key", NULL);
}

static void update_gives_the_functions_refusal_back(void **state)
{
    struct shoal *map = frame_small(*state);
    assert_int_equal(put_text(map, "key", "one"), 0);
    uint64_t version = version_of(map, "key");
    static const int own[] = { -1, -2, -77, INT_MIN };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        struct script s = { .verdict = own[i], .value = "x", .bytes = 1 };
        assert_int_equal(shoal_update(map, K, follow, &s), own[i]);
        assert_text_has("the function returned -");
    }
    static const int invalid[] = { 3, 4, 99, INT_MAX };
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        struct script s = { .verdict = invalid[i], .value = "x", .bytes = 1 };
        assert_refused(shoal_update(map, K, follow, &s), SHOAL_EINVAL, "which is no verdict");
    }
    struct script no_value = { .verdict = SHOAL_STORE, .bytes = 4 };
    assert_refused(shoal_update(map, K, follow, &no_value), SHOAL_EINVAL, "value is NULL but has 4 bytes");
    struct script large = { .verdict = SHOAL_STORE, .value = "x", .bytes = SIZE_MAX };
    assert_refused(shoal_update(map, K, follow, &large), SHOAL_ETOOBIG, "this map takes at most");
    assert_refused(shoal_update(map, K, NULL, NULL), SHOAL_EINVAL, "function is NULL");
    assert_int_equal(version_of(map, "key"), version);
    assert_holds(map, "key", "one");
}

static int rotate(struct shoal_change *change, void *arg)
{
    size_t drop = *(size_t *)arg;
    change->value = (const uint8_t *)change->old + drop;
    change->value_bytes = change->old_bytes - drop;
    return SHOAL_STORE;
}

static void updates_value_may_point_into_the_old_one(void **state)
{
    struct shoal *map = frame_small(*state);
    assert_int_equal(put_text(map, "key", "0123456789abcdefghijklmnop"), 0);
    size_t drop = 0;
    assert_int_equal(shoal_update(map, K, rotate, &drop), 0);
    assert_holds(map, "key", "0123456789abcdefghijklmnop");
    drop = 3;
    assert_int_equal(shoal_update(map, K, rotate, &drop), 0);
    assert_holds(map, "key", "3456789abcdefghijklmnop");
    for (drop = 1; drop < 6; drop++)
        assert_int_equal(shoal_update(map, K, rotate, &drop), 0);
}

/* Changes the key from another thread while the function looks at it. */
struct meddling {
    struct shoal *map;
    int runs;
    char seen[3][8];
};

static void *meddle(void *arg)
{
    struct meddling *m = arg;
    (void)shoal_put(m->map, K, m->runs == 1 ? "second" : "third", m->runs == 1 ? 6 : 5);
    return NULL;
}

static int meddled(struct shoal_change *change, void *arg)
{
    struct meddling *m = arg;
    pthread_t thread;
    memcpy(m->seen[m->runs++], change->old, change->old_bytes);
    if (m->runs < 3) {
        assert_int_equal(pthread_create(&thread, NULL, meddle, m), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    change->value = "mine";
    change->value_bytes = 4;
    return SHOAL_STORE;
}

static void updates_function_runs_again_when_the_key_changed(void **state)
{
    struct meddling m = { .map = frame_small(*state) };
    assert_int_equal(put_text(m.map, "key", "first"), 0);
    assert_int_equal(shoal_update(m.map, K, meddled, &m), 0);
    assert_int_equal(m.runs, 3);
    assert_string_equal(m.seen[0], "first");
    assert_string_equal(m.seen[1], "second");
    assert_string_equal(m.seen[2], "third");
    assert_holds(m.map, "key", "mine");
}

/* An update of another map inside; counts how often. */
struct nested {
    struct shoal *inner, *outer;
};

static int append_x(struct shoal_change *change, void *arg)
{
    char *to = arg;
    if (change->old != NULL)
        memcpy(to, change->old, change->old_bytes);
    to[change->old_bytes] = 'x';
    change->value = to;
    change->value_bytes = change->old_bytes + 1;
    return SHOAL_STORE;
}

static int call_outer(struct shoal_change *change, void *arg)
{
    struct nested *n = arg;
    assert_refused(put_text(n->outer, "other", "x"), SHOAL_EINVAL, "must not call its own map");
    assert_refused(put_text(n->inner, "other", "x"), SHOAL_EINVAL, "must not call its own map");
    (void)change;
    return SHOAL_KEEP;
}

static int update_inner(struct shoal_change *change, void *arg)
{
    struct nested *n = arg;
    static char text[16];
    assert_int_equal(shoal_update(n->inner, K, append_x, text), 0);
    assert_int_equal(shoal_update(n->inner, K, call_outer, n), 0);
    assert_holds(n->inner, "key", "x"); /* the inner update is over: its map may be called again */
    change->value = "outer";
    change->value_bytes = 5;
    return SHOAL_STORE;
}

static void updates_of_different_maps_nest(void **state)
{
    struct frame *f = *state;
    struct shoal_options o = frame_options();
    struct nested n = { .outer = frame_small(f) };
    assert_int_equal(shoal_create(frame_path(f, "inner"), &o, &n.inner), 0);
    assert_int_equal(shoal_update(n.outer, K, update_inner, &n), 0);
    assert_holds(n.outer, "key", "outer");
    assert_holds(n.inner, "key", "x");
    assert_holds(n.inner, "other", NULL);
    assert_int_equal(put_text(n.outer, "other", "after"), 0);
    assert_sound(n.inner);
    shoal_close(n.inner);
}

/* -- Checksums ------------------------------------------------------------------------------------------------------------ */

static void checksums_hold_through_every_call(void **state)
{
    struct shoal_options o = frame_options();
    o.flags = SHOAL_CHECKSUM | SHOAL_MTIME;
    struct shoal *map = frame_map(*state, &o);
    struct shoal_how how = SHOAL_HOW_INIT;
    char text[64];
    size_t n = 0;
    how.type = SHOAL_JSON;
    assert_int_equal(shoal_put_with(map, K, "[1]", 3, &how, NULL), 0);
    assert_holds(map, "key", "[1]");
    assert_int_equal(shoal_update(map, K, append_x, text), 0);
    assert_holds(map, "key", "[1]x");
    assert_int_equal(shoal_take(map, K, text, sizeof text, &n), 0);
    assert_int_equal(n, 4);
    for (int i = 1; i < 100; i++)
        assert_int_equal(add(map, 1), i);
    assert_int_equal(put_text(map, "empty", ""), 0);
    assert_holds(map, "empty", "");
    assert_int_equal(stats_of(map).flags, SHOAL_CHECKSUM | SHOAL_MTIME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(get_answers),
        FRAME_TEST(get_without_a_buffer_asks_for_presence_and_length),
        FRAME_TEST(put_add_replace_delete_answer),
        FRAME_TEST(keys_are_bytes_not_strings),
        FRAME_TEST(every_put_has_a_version_of_its_own),
        FRAME_TEST(version_0_is_absent),
        FRAME_TEST(all_calls_tell_the_same_version),
        FRAME_TEST(put_with_looks_at_the_version),
        FRAME_TEST(delete_if_looks_at_the_version),
        FRAME_TEST(every_type_is_kept_behind_every_key_length),
        FRAME_TEST(writes_set_the_type),
        FRAME_TEST(info_tells_all_but_the_value),
        FRAME_TEST(mtime_is_when_it_was_last_written),
        FRAME_TEST(take_gets_and_deletes),
        FRAME_TEST(incr_adds_and_wraps),
        FRAME_TEST(incr_refuses_what_is_no_integer),
        FRAME_TEST(update_stores),
        FRAME_TEST(update_keeps_and_removes),
        FRAME_TEST(update_gives_the_functions_refusal_back),
        FRAME_TEST(updates_value_may_point_into_the_old_one),
        FRAME_TEST(updates_function_runs_again_when_the_key_changed),
        FRAME_TEST(updates_of_different_maps_nest),
        FRAME_TEST(checksums_hold_through_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
