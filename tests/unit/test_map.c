/* SPDX-License-Identifier: MIT
 *
 * Calls of many keys and of the map as a whole: batches, walks, counts, stats, sizes, opening and closing.
 */
#include "unit/frame.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int put_number(struct shoal *map, uint64_t i) { return shoal_put(map, &i, sizeof i, &i, sizeof i); }

static uint64_t count_of(struct shoal *map, unsigned flags)
{
    uint64_t n = UINT64_MAX;
    int exact = 77;
    assert_int_equal(shoal_count(map, flags, &n, &exact), 0);
    assert_int_equal(exact, 1); /* nobody else is at work */
    return n;
}

/* -- Batches ----------------------------------------------------------------------------------------- */

static void batches_do_each_key_as_by_itself(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_key keys[] = { { "one", 3 }, { "two", 3 }, { "", 0 }, { "one", 3 }, { NULL, 4 } };
    struct shoal_value values[] = { { .value = "1", .bytes = 1 },
                                    { .value = "22", .bytes = 2, .type = SHOAL_STR },
                                    { .value = "x", .bytes = 1 },
                                    { .value = "333", .bytes = 3 },
                                    { .value = "y", .bytes = 1 } };
    struct shoal_info info = SHOAL_INFO_INIT;
    struct shoal_result results[5];
    memset(results, 0xff, sizeof results);
    assert_int_equal(shoal_put_many(map, keys, values, 5, results), SHOAL_EINVAL); /* the first negative code */
    static const int codes[] = { 0, 0, SHOAL_EINVAL, 0, SHOAL_EINVAL };
    for (int i = 0; i < 5; i++)
        assert_int_equal(results[i].code, codes[i]);
    assert_int_equal(results[3].version, version_of(map, "one"));
    assert_int_equal(results[1].version, version_of(map, "two"));
    assert_int_equal(results[2].version, 0);
    assert_int_equal(shoal_info(map, "two", 3, &info), 0);
    assert_int_equal(info.type, SHOAL_STR);
    assert_holds(map, "one", "333");
    assert_int_equal(shoal_delete_many(map, keys, 2, results), 0);
    assert_true(results[0].code == 0 && results[1].code == 0);
    assert_int_equal(shoal_delete_many(map, keys, 4, results), SHOAL_EINVAL);
    assert_true(results[0].code == SHOAL_MISSING && results[2].code == SHOAL_EINVAL);
    assert_int_equal(count_of(map, 0), 0);
}

/* More than are worked on at a time, all of one key. */
static void a_batch_is_worked_on_in_the_order_of_its_array(void **state)
{
    enum { SAME = 70 };
    struct shoal *map = frame_small(*state);
    struct shoal_key keys[SAME];
    struct shoal_value values[SAME];
    struct shoal_result results[SAME] = { { 0 } };
    char numbers[SAME], got = 0;
    for (int i = 0; i < SAME; i++) {
        numbers[i] = (char)i;
        keys[i] = (struct shoal_key){ "same", 4 };
        values[i] = (struct shoal_value){ .value = &numbers[i], .bytes = 1 };
    }
    assert_int_equal(shoal_put_many(map, keys, values, SAME, results), 0);
    assert_int_equal(shoal_get(map, "same", 4, &got, 1, NULL), 0);
    assert_int_equal(got, SAME - 1);
    assert_int_equal(shoal_delete_many(map, keys, SAME, results), 0);
    for (int i = 0; i < SAME; i++)
        assert_int_equal(results[i].code, i == 0 ? SHOAL_OK : SHOAL_MISSING);
}

static void get_many_sets_every_result(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_key keys[] = { { "one", 3 }, { "none", 4 }, { "two", 3 }, { "two", 3 }, { "one", 3 } };
    char buf[5][8];
    struct shoal_result r[5];
    struct shoal_how how = SHOAL_HOW_INIT;
    how.type = SHOAL_JSON;
    assert_int_equal(put_text(map, "one", "1"), 0);
    assert_int_equal(shoal_put_with(map, "two", 3, "2222", 4, &how, NULL), 0);
    memset(r, 0xff, sizeof r);
    for (int i = 0; i < 5; i++) {
        r[i].buf = i == 4 ? NULL : buf[i];
        r[i].buf_bytes = i == 2 ? 3 : sizeof buf[i];
    }
    assert_int_equal(shoal_get_many(map, keys, 5, r), 0);
    assert_true(r[0].code == 0 && r[0].bytes == 1 && buf[0][0] == '1' && r[0].version == version_of(map, "one"));
    assert_true(r[1].code == SHOAL_MISSING && r[1].bytes == 0 && r[1].version == 0 && r[1].type == SHOAL_RAW);
    assert_true(r[2].code == SHOAL_SHORT && r[2].bytes == 4 && r[2].type == SHOAL_JSON);
    assert_true(r[3].code == 0 && memcmp(buf[3], "2222", 4) == 0 && r[3].version == version_of(map, "two"));
    assert_true(r[4].code == 0 && r[4].bytes == 1); /* no buffer: is it there, and how long */
    assert_true(r[0].buf == buf[0] && r[0].buf_bytes == sizeof buf[0]);
    keys[1].bytes = 0;
    assert_int_equal(shoal_get_many(map, keys, 5, r), SHOAL_EINVAL);
    assert_true(r[1].code == SHOAL_EINVAL && r[3].code == 0);
}

static void batches_of_nothing(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_key key = { "k", 1 };
    struct shoal_value value = { .value = "v", .bytes = 1 };
    struct shoal_result result = { 0 };
    assert_int_equal(shoal_get_many(map, NULL, 0, NULL), 0);
    assert_int_equal(shoal_put_many(map, NULL, NULL, 0, NULL), 0);
    assert_int_equal(shoal_delete_many(map, NULL, 0, NULL), 0);
    assert_refused(shoal_get_many(map, NULL, 1, &result), SHOAL_EINVAL, "keys or results is NULL");
    assert_refused(shoal_get_many(map, &key, 1, NULL), SHOAL_EINVAL, "keys or results is NULL");
    assert_refused(shoal_put_many(map, &key, NULL, 1, &result), SHOAL_EINVAL, "values or results is NULL");
    assert_refused(shoal_put_many(map, NULL, &value, 1, &result), SHOAL_EINVAL, "is NULL");
    assert_refused(shoal_put_many(map, &key, &value, 1, NULL), SHOAL_EINVAL, "is NULL");
    assert_refused(shoal_delete_many(map, NULL, 1, &result), SHOAL_EINVAL, "keys or results is NULL");
    assert_refused(shoal_delete_many(map, &key, 1, NULL), SHOAL_EINVAL, "keys or results is NULL");
}

/* -- Walks ----------------------------------------------------------------------------------------------- */

/* How often each number was met; every item must be one. */
static uint64_t walk_numbers(struct shoal *map, uint8_t *met, uint64_t n)
{
    struct shoal_iter *iter;
    struct shoal_item item;
    uint64_t items = 0, number;
    assert_int_equal(shoal_iter_open(map, NULL, 0, &iter), 0);
    for (; shoal_iter_next(iter, &item) == 0; items++) {
        assert_true(item.key_bytes == 8 && item.value_bytes == 8 && memcmp(item.key, item.value, 8) == 0);
        memcpy(&number, item.key, 8);
        assert_true(number < n);
        met[number]++;
    }
    assert_int_equal(shoal_iter_next(iter, &item), SHOAL_END); /* and again */
    shoal_iter_close(iter);
    return items;
}

#define NUMBERS 5000u
static void a_walk_meets_each_key_once(void **state)
{
    struct shoal_options o = frame_options();
    o.capacity = NUMBERS;
    o.heap_bytes = 0;
    struct shoal *map = frame_map(*state, &o);
    static uint8_t met[NUMBERS];
    memset(met, 0, sizeof met);
    assert_int_equal(walk_numbers(map, met, NUMBERS), 0);
    for (uint64_t i = 0; i < NUMBERS; i++)
        assert_int_equal(put_number(map, i), 0);
    for (uint64_t i = 0; i < NUMBERS; i += 3)
        assert_int_equal(shoal_delete(map, &i, sizeof i), 0);
    assert_int_equal(walk_numbers(map, met, NUMBERS), count_of(map, 0));
    for (uint64_t i = 0; i < NUMBERS; i++)
        assert_int_equal(met[i], i % 3 != 0);
}

/* Keys below KEPT are there throughout; the rest comes and goes between the steps. */
#define KEPT 500u
static void a_walk_meets_what_stays_while_others_come_and_go(void **state)
{
    struct shoal_options o = frame_options();
    o.capacity = 2000;
    o.heap_bytes = 0;
    struct shoal *map = frame_map(*state, &o);
    struct shoal_iter *iter;
    struct shoal_item item;
    uint8_t met[KEPT] = { 0 };
    uint64_t number, fresh = KEPT;
    for (uint64_t i = 0; i < KEPT; i++)
        assert_int_equal(put_number(map, i), 0);
    assert_int_equal(shoal_iter_open(map, NULL, 0, &iter), 0);
    while (shoal_iter_next(iter, &item) == 0) {
        memcpy(&number, item.key, 8);
        if (number < KEPT)
            met[number]++;
        assert_int_equal(put_number(map, fresh), 0);
        assert_int_equal(put_number(map, fresh % KEPT), 0); /* replaced in place */
        if (fresh++ > KEPT + 200)
            assert_int_equal(shoal_delete(map, &(uint64_t){ fresh - 201 }, 8), 0);
    }
    for (uint64_t i = 0; i < KEPT; i++)
        assert_int_equal(met[i], 1);
    shoal_iter_close(iter);
}

static uint64_t walk_prefix(struct shoal *map, const char *prefix)
{
    struct shoal_iter *iter;
    struct shoal_item item;
    uint64_t n = 0;
    assert_int_equal(shoal_iter_open(map, prefix, strlen(prefix), &iter), 0);
    for (; shoal_iter_next(iter, &item) == 0; n++) {
        assert_true(item.key_bytes >= strlen(prefix));
        assert_memory_equal(item.key, prefix, strlen(prefix));
    }
    shoal_iter_close(iter);
    return n;
}

static void a_walk_by_prefix(void **state)
{
    struct shoal *map = frame_small(*state);
    static const char *const keys[] = { "a", "ab", "abc", "abd", "b", "ba", "abcdefghijkl", "\xff", "aB" };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_int_equal(put_text(map, keys[i], keys[i]), 0);
    assert_int_equal(walk_prefix(map, ""), 9);
    assert_int_equal(walk_prefix(map, "a"), 6);
    assert_int_equal(walk_prefix(map, "ab"), 4);
    assert_int_equal(walk_prefix(map, "abc"), 2);
    assert_int_equal(walk_prefix(map, "abcdefghijkl"), 1);
    assert_int_equal(walk_prefix(map, "abcdefghijklm"), 0);
    assert_int_equal(walk_prefix(map, "\xff"), 1);
}

static void an_item_tells_all(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_how how = SHOAL_HOW_INIT;
    struct shoal_iter *iter;
    struct shoal_item item;
    uint64_t version;
    how.type = SHOAL_USER + 3;
    assert_int_equal(shoal_put_with(map, "key", 3, "value", 5, &how, &version), 0);
    assert_int_equal(shoal_iter_open(map, NULL, 0, &iter), 0);
    memset(&item, 0xff, sizeof item);
    assert_int_equal(shoal_iter_next(iter, &item), 0);
    assert_true(item.key_bytes == 3 && item.value_bytes == 5 && item.version == version);
    assert_true(item.type == SHOAL_USER + 3 && item.mtime_ns == 0 && item.expires_ns == 0);
    struct shoal_item last = item;
    assert_int_equal(shoal_iter_next(iter, &item), SHOAL_END);
    assert_memory_equal(&item, &last, sizeof item); /* untouched */
    shoal_iter_close(iter);
    shoal_iter_close(NULL);
}

static void an_iterator_outlasts_its_map(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    struct shoal_iter *iter;
    struct shoal_item item;
    assert_int_equal(put_text(map, "a", "1"), 0);
    assert_int_equal(put_text(map, "b", "2"), 0);
    assert_int_equal(shoal_iter_open(map, NULL, 0, &iter), 0);
    assert_int_equal(shoal_iter_next(iter, &item), 0);
    shoal_close(map);
    f->map = NULL;
    assert_refused(shoal_iter_next(iter, &item), SHOAL_EINVAL, "closed");
    struct shoal *again; /* may well be the same handle */
    assert_int_equal(shoal_open(frame_path(f, "map"), 0, &again), 0);
    assert_refused(shoal_iter_next(iter, &item), SHOAL_EINVAL, "closed");
    shoal_iter_close(iter);
    f->map = again;
}

/* -- Count, stats, check ------------------------------------------------------------------------------------- */

static void count_answers(void **state)
{
    struct shoal *map = frame_small(*state);
    uint64_t n = 77;
    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(count_of(map, 0), i);
        assert_int_equal(count_of(map, SHOAL_EXACT), i);
        assert_int_equal(put_number(map, i), 0);
        assert_int_equal(put_number(map, i), 0);
    }
    assert_int_equal(shoal_count(map, 0, &n, NULL), 0);
    assert_int_equal(n, 50);
    n = 77;
    assert_refused(shoal_count(map, 2, &n, NULL), SHOAL_EINVAL, "0x2");
    assert_refused(shoal_count(map, 0, NULL, NULL), SHOAL_EINVAL, "ret_n is NULL");
    assert_int_equal(n, 77);
}

static void stats_account_for_every_byte(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    struct shoal_view view;
    static char value[5000];
    struct shoal_stats s = stats_of(map);
    assert_int_equal(s.free_bytes, s.heap_bytes); /* a new heap is one piece */
    assert_int_equal(s.live_bytes + s.retired_bytes + s.owned_bytes + s.dead_bytes + s.overhead_bytes, 0);
    uint64_t payload = 0;
    for (uint64_t i = 0; i < 60; i++) {
        assert_int_equal(shoal_put(map, &i, sizeof i, value, i * 80), 0);
        payload += sizeof i + i * 80;
        assert_sound(map);
    }
    assert_int_equal(shoal_view(map, &(uint64_t){ 7 }, 8, &view), 0);
    for (uint64_t i = 0; i < 60; i += 2)
        assert_int_equal(shoal_delete(map, &i, sizeof i), 0);
    assert_sound(map);
    assert_int_equal(shoal_delete(map, &(uint64_t){ 7 }, 8), 0);
    assert_int_equal(shoal_reap(map, NULL), 0);
    s = stats_of(map);
    assert_true(s.retired_bytes >= 8 + 560); /* the viewed one */
    shoal_view_end(&view);
    assert_int_equal(shoal_reap(map, NULL), 0);
    s = stats_of(map);
    assert_int_equal(s.retired_bytes + s.owned_bytes + s.dead_bytes, 0);
    assert_int_equal(s.count, 29);
    for (uint64_t i = 0; i < 60; i += 2)
        payload -= sizeof i + i * 80;
    assert_int_equal(s.payload_bytes, payload - 8 - 560);
    assert_true(s.live_bytes >= s.payload_bytes + 29 * 16);
}

static void stats_describe_the_map(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f), *second;
    struct stat st;
    struct shoal_stats s = stats_of(map);
    assert_int_equal(stat(frame_path(f, "map"), &st), 0);
    assert_int_equal(s.segment_bytes, st.st_size);
    assert_true(s.capacity == 64 && s.slots * 3 >= 64 * 4 && s.max_threads == 8 && s.heap_bytes == 512 * 1024);
    assert_true(s.spans * s.span_bytes == s.heap_bytes && s.spans_free == s.spans && s.max_key_bytes == 65535);
    assert_true(s.layout_version >= 1 && s.flags == 0 && s.count == 0 && s.unlinked == 0 && s.dead == 0);
    assert_int_equal(s.attached, 1);
    assert_int_equal(shoal_open(frame_path(f, "map"), 0, &second), 0); /* the same map twice in one process */
    assert_int_equal(stats_of(second).attached, 2);
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_holds(second, "key", "a");
    assert_int_equal(shoal_delete(second, "key", 3), 0);
    assert_holds(map, "key", NULL);
    s = stats_of(map);
    assert_true(s.writes == 1 && s.deletes == 1);
    shoal_close(second);
    assert_int_equal(stats_of(map).attached, 1);
}

static void stats_after_unlink(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f), *other;
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_int_equal(shoal_unlink(frame_path(f, "map")), 0);
    assert_int_equal(stats_of(map).unlinked, 1);
    assert_holds(map, "key", "a");
    assert_int_equal(put_text(map, "key", "b"), 0); /* it goes on */
    assert_refused(shoal_unlink(frame_path(f, "map")), SHOAL_ENOMAP, "no such map");
    assert_refused(shoal_open(frame_path(f, "map"), 0, &other), SHOAL_ENOMAP, "no such map");
    assert_int_equal(shoal_create(frame_path(f, "map"), NULL, &other), 0);
    assert_int_equal(stats_of(other).unlinked, 0);
    assert_int_equal(stats_of(other).count, 0);
    assert_int_equal(stats_of(map).unlinked, 1);
    assert_int_equal(unlink(frame_path(f, "map")), 0); /* by rm, not by us: it shows all the same */
    assert_int_equal(stats_of(other).unlinked, 1);
    shoal_close(other);
}

/* A block is used again after some dozens of deletions; what lies in it then is another incarnation. */
static void versions_never_repeat(void **state)
{
    enum { TIMES = 600 };
    struct shoal *map = frame_small(*state);
    uint64_t seen[TIMES];
    for (uint32_t i = 0; i < TIMES; i++) {
        assert_int_equal(put_text(map, "key", "same"), 0);
        assert_int_equal(shoal_getv(map, "key", 3, NULL, 0, NULL, &seen[i]), 0);
        assert_true(seen[i] != 0);
        for (uint32_t j = 0; j < i; j++)
            assert_true(seen[j] != seen[i]);
        assert_int_equal(shoal_delete(map, "key", 3), 0);
    }
}

static void check_counts_what_it_saw(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_report r = SHOAL_REPORT_INIT;
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(put_number(map, i), 0);
    assert_int_equal(shoal_check(map, &r), 0);
    assert_true(r.problems == 0 && r.text[0] == '\0' && r.quiet == 1);
    assert_true(r.slots_live == 40 && r.slots_tentative == 0 && r.blocks_live == 40 && r.counted == 40);
    assert_true(r.blocks == r.blocks_free + r.blocks_live + r.blocks_owned + r.blocks_retired + r.unreferenced);
    assert_true(r.groups > 0);
}

static void reap_has_nothing_to_do(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_reaped r = SHOAL_REAPED_INIT;
    assert_int_equal(put_text(map, "key", "a"), 0);
    memset(&r, 0xff, sizeof r);
    r.size = sizeof r;
    assert_int_equal(shoal_reap(map, &r), 0);
    assert_true(r.dead == 0 && r.undecided == 0 && r.aborted == 0 && r.completed == 0 && r.blocks == 0);
    assert_int_equal(shoal_reap(map, NULL), 0);
    assert_holds(map, "key", "a");
}

/* -- Sizes ------------------------------------------------------------------------------------------------------- */

static void sizes_hold(struct frame *f, uint64_t keys, uint64_t mean_key, uint64_t mean_value, uint32_t flags)
{
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    static char value[100001];
    char key[300] = { 0 };
    o.flags = flags;
    o.max_threads = 3;
    assert_int_equal(shoal_size_for(keys, mean_key, mean_value, &o), 0);
    assert_true(o.capacity >= keys && o.max_threads == 3 && o.flags == flags && o.gid == -1 && o.mode == 0);
    struct shoal *map = frame_map(f, &o);
    for (uint64_t i = 0; i < keys; i++) {
        memcpy(key, &i, sizeof i);
        uint64_t bytes = i % 2 == 0 ? mean_value - mean_value / 4 : mean_value + mean_value / 4; /* around the mean */
        int rc = shoal_put(map, key, mean_key, value, bytes);
        if (rc != 0)
            fail_msg("key %llu of %llu: %s", (unsigned long long)i, (unsigned long long)keys, shoal_error_text());
    }
    assert_sound(map);
    shoal_close(map);
    f->map = NULL;
    assert_int_equal(shoal_unlink(frame_path(f, "map")), 0);
}

static void size_for_makes_room(void **state)
{
    sizes_hold(*state, 1, 8, 0, 0);
    sizes_hold(*state, 1, 8, 80000, 0);
    sizes_hold(*state, 100, 16, 100, 0);
    sizes_hold(*state, 10000, 16, 100, 0);
    sizes_hold(*state, 10000, 9, 3, SHOAL_MTIME | SHOAL_CHECKSUM);
    sizes_hold(*state, 1000, 300, 4000, SHOAL_CHECKSUM);
    sizes_hold(*state, 300, 8, 40000, 0);
}

static void size_for_refuses(void **state)
{
    struct shoal_options o = SHOAL_OPTIONS_INIT, before = o;
    (void)state;
    assert_refused(shoal_size_for(0, 8, 8, &o), SHOAL_EINVAL, "0 keys");
    assert_refused(shoal_size_for(((uint64_t)1 << 31) + 1, 8, 8, &o), SHOAL_EINVAL, "1..2^31");
    assert_refused(shoal_size_for(1, 0, 8, &o), SHOAL_EINVAL, "mean key of 0 bytes");
    assert_refused(shoal_size_for(1, 65536, 8, &o), SHOAL_EINVAL, "65536");
    assert_refused(shoal_size_for((uint64_t)1 << 30, 8, 1 << 20, &o), SHOAL_EINVAL, "over 256 GiB");
    assert_refused(shoal_size_for(1, 8, UINT64_MAX, &o), SHOAL_EINVAL, "over 256 GiB");
    assert_refused(shoal_size_for(1, 8, 8, NULL), SHOAL_EINVAL, "NULL");
    assert_memory_equal(&o, &before, sizeof o);
    o.size = 0;
    assert_refused(shoal_size_for(1, 8, 8, &o), SHOAL_EINVAL, "not initialised");
}

/* -- Opening and closing ------------------------------------------------------------------------------------------- */

static void bare_names_and_paths(void **state)
{
    char name[64];
    struct shoal *map, *other = NULL;
    struct stat st;
    (void)state;
    (void)snprintf(name, sizeof name, "shoal-unit.%ld", (long)getpid());
    assert_int_equal(shoal_create(name, NULL, &map), 0); /* NULL: a capacity of 1024 and defaults */
    struct shoal_stats s = stats_of(map);
    assert_true(s.capacity == 1024 && s.max_threads == 256);
    assert_refused(shoal_create(name, NULL, &other), SHOAL_EMAPEXISTS, name);
    assert_null(other);
    assert_int_equal(shoal_open(name, 0, &other), 0);
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_holds(other, "key", "a");
    shoal_close(other);
    char path[96];
    (void)snprintf(path, sizeof path, "/dev/shm/%s", name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(shoal_unlink(name), 0);
    assert_int_not_equal(stat(path, &st), 0);
    shoal_close(map);
}

static void open_or_create_gives_the_same_map(void **state)
{
    struct frame *f = *state;
    struct shoal_options o = frame_options();
    struct shoal *map, *again, *none = NULL;
    assert_refused(shoal_open_or_create(frame_path(f, "map"), &o, SHOAL_RDONLY, &none), SHOAL_EINVAL, "SHOAL_RDONLY");
    assert_int_equal(shoal_open_or_create(frame_path(f, "map"), &o, 0, &map), 0);
    assert_int_equal(put_text(map, "key", "a"), 0);
    o.capacity = 5000; /* not looked at: the map is there */
    assert_int_equal(shoal_open_or_create(frame_path(f, "map"), &o, 0, &again), 0);
    assert_holds(again, "key", "a");
    assert_int_equal(stats_of(again).capacity, 64);
    assert_null(none);
    shoal_close(again);
    f->map = map;
}

static void the_mode_is_the_options(void **state)
{
    struct frame *f = *state;
    struct shoal_options o = frame_options();
    struct stat st;
    o.mode = 0664;
    mode_t mask = umask(077); /* does not apply */
    (void)frame_map(f, &o);
    (void)umask(mask);
    assert_int_equal(stat(frame_path(f, "map"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0664);
}

static void preallocated_maps_have_all_their_memory(void **state)
{
    struct frame *f = *state;
    struct shoal_options o = frame_options();
    struct stat st;
    o.flags = SHOAL_PREALLOCATE;
    struct shoal *map = frame_map(f, &o);
    assert_int_equal(stat(frame_path(f, "map"), &st), 0);
    assert_true((uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size);
    assert_int_equal(stats_of(map).backed_bytes, stats_of(map).heap_bytes);
    for (uint64_t i = 0; i < 60; i++)
        assert_int_equal(put_number(map, i), 0);
}

static void closing_ends_the_handle(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    uint64_t n = 77;
    shoal_close(map);
    f->map = NULL;
    assert_refused(put_text(map, "key", "a"), SHOAL_EINVAL, "the map is closed");
    assert_refused(shoal_count(map, 0, &n, NULL), SHOAL_EINVAL, "the map is closed");
    assert_int_equal(n, 77);
    shoal_close(map); /* again: nothing */
    shoal_close(NULL);
    assert_int_equal(shoal_open(frame_path(f, "map"), 0, &f->map), 0);
    assert_holds(f->map, "key", NULL);
}

/* -- Read-only -------------------------------------------------------------------------------------------------------- */

static int never(struct shoal_change *change, void *arg)
{
    (void)change;
    (void)arg;
    fail_msg("an update function ran on a read-only map");
    return SHOAL_KEEP;
}

static void assert_writes_are_refused(struct shoal *map)
{
    char buf[8];
    struct shoal_key key = { "key", 3 };
    struct shoal_value value = { .value = "x", .bytes = 1 };
    struct shoal_result result;
    const char *text = "SHOAL_RDONLY";
    assert_refused(shoal_put(map, "key", 3, "x", 1), SHOAL_EREADONLY, text);
    assert_refused(shoal_add(map, "key", 3, "x", 1), SHOAL_EREADONLY, text);
    assert_refused(shoal_replace(map, "key", 3, "x", 1), SHOAL_EREADONLY, text);
    assert_refused(shoal_put_with(map, "key", 3, "x", 1, NULL, NULL), SHOAL_EREADONLY, text);
    assert_refused(shoal_delete(map, "key", 3), SHOAL_EREADONLY, text);
    assert_refused(shoal_delete_if(map, "key", 3, 1), SHOAL_EREADONLY, text);
    assert_refused(shoal_take(map, "key", 3, buf, sizeof buf, NULL), SHOAL_EREADONLY, text);
    assert_refused(shoal_incr(map, "key", 3, 1, NULL), SHOAL_EREADONLY, text);
    assert_refused(shoal_update(map, "key", 3, never, NULL), SHOAL_EREADONLY, text);
    assert_refused(shoal_wait(map, "key", 3, 0, 0, NULL), SHOAL_EREADONLY, text);
    assert_refused(shoal_reap(map, NULL), SHOAL_EREADONLY, text);
    assert_refused(shoal_put_many(map, &key, &value, 1, &result), SHOAL_EREADONLY, text);
    assert_refused(shoal_delete_many(map, &key, 1, &result), SHOAL_EREADONLY, text);
}

static void read_only_maps_read(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f), *reader;
    struct shoal_info info = SHOAL_INFO_INIT;
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_key key = { "key", 3 };
    struct shoal_result result = { .buf = NULL };
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_int_equal(shoal_open(frame_path(f, "map"), SHOAL_RDONLY, &reader), 0);
    assert_int_equal(stats_of(map).attached, 1); /* it has no entry */
    assert_writes_are_refused(reader);
    assert_holds(reader, "key", "a");
    assert_int_equal(version_of(reader, "key"), version_of(map, "key"));
    assert_int_equal(shoal_info(reader, "key", 3, &info), 0);
    assert_int_equal(shoal_get_many(reader, &key, 1, &result), 0);
    assert_int_equal(walk_prefix(reader, ""), 1);
    assert_int_equal(count_of(reader, SHOAL_EXACT), 1);
    assert_int_equal(stats_of(reader).count, 1);
    assert_int_equal(shoal_check(reader, &report), 0);
    assert_int_equal(put_text(map, "key", "b"), 0);
    assert_holds(reader, "key", "b");
    shoal_close(reader);
}

/* -- Waiting ------------------------------------------------------------------------------------------------------------- */

static void wait_only_looks(void **state)
{
    struct shoal *map = frame_small(*state);
    uint64_t version = 77;
    assert_int_equal(shoal_wait(map, "key", 3, 0, 0, &version), SHOAL_TIMEOUT);
    assert_int_equal(shoal_wait(map, "key", 3, 0, 1, &version), SHOAL_TIMEOUT);
    assert_int_equal(version, 77);
    assert_int_equal(shoal_wait(map, "key", 3, 5, 0, &version), 0); /* it is absent, not version 5 */
    assert_int_equal(version, 0);
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_int_equal(shoal_wait(map, "key", 3, 0, -1, &version), 0);
    assert_int_equal(version, version_of(map, "key"));
    assert_int_equal(shoal_wait(map, "key", 3, version, 0, NULL), SHOAL_TIMEOUT);
    assert_int_equal(shoal_wait(map, "key", 3, 0, 0, NULL), 0);
}

struct ping {
    struct shoal *map;
    int rounds;
};

/* Answers each change of `ping` by one of `pong`. */
static void *pong(void *arg)
{
    struct ping *p = arg;
    uint64_t seen = 0;
    for (int i = 0; i < p->rounds; i++) {
        assert_int_equal(shoal_wait(p->map, "ping", 4, seen, -1, &seen), 0);
        assert_int_equal(i % 2 == 0 ? put_text(p->map, "pong", "x") : shoal_delete(p->map, "pong", 4), 0);
    }
    return NULL;
}

/* Puts and deletes wake; neither side ever sleeps out a time limit. */
static void wait_sees_every_change(void **state)
{
    struct ping p = { frame_small(*state), 2000 };
    uint64_t seen = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pong, &p), 0);
    for (int i = 0; i < p.rounds; i++) {
        assert_int_equal(i % 2 == 0 ? put_text(p.map, "ping", "x") : shoal_delete(p.map, "ping", 4), 0);
        assert_int_equal(shoal_wait(p.map, "pong", 4, seen, -1, &seen), 0);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *wait_for_ever(void *arg)
{
    struct ping *p = arg;
    p->rounds = shoal_wait(p->map, "key", 3, 0, -1, NULL);
    return NULL;
}

/* Whether the wait has begun by then or not. */
static void closing_ends_a_wait(void **state)
{
    struct frame *f = *state;
    (void)frame_small(f);
    for (int i = 0; i < 10; i++) {
        struct ping p = { NULL, 77 };
        pthread_t thread;
        assert_int_equal(shoal_open(frame_path(f, "map"), 0, &p.map), 0);
        assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, &p), 0);
        if (i % 2 == 0)
            (void)sched_yield();
        shoal_close(p.map);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(p.rounds, SHOAL_EINVAL);
    }
    assert_int_equal(stats_of(f->map).attached, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(batches_do_each_key_as_by_itself),
        FRAME_TEST(a_batch_is_worked_on_in_the_order_of_its_array),
        FRAME_TEST(get_many_sets_every_result),
        FRAME_TEST(batches_of_nothing),
        FRAME_TEST(a_walk_meets_each_key_once),
        FRAME_TEST(a_walk_meets_what_stays_while_others_come_and_go),
        FRAME_TEST(a_walk_by_prefix),
        FRAME_TEST(an_item_tells_all),
        FRAME_TEST(an_iterator_outlasts_its_map),
        FRAME_TEST(count_answers),
        FRAME_TEST(stats_account_for_every_byte),
        FRAME_TEST(stats_describe_the_map),
        FRAME_TEST(stats_after_unlink),
        FRAME_TEST(versions_never_repeat),
        FRAME_TEST(check_counts_what_it_saw),
        FRAME_TEST(reap_has_nothing_to_do),
        FRAME_TEST(size_for_makes_room),
        FRAME_TEST(size_for_refuses),
        FRAME_TEST(bare_names_and_paths),
        FRAME_TEST(open_or_create_gives_the_same_map),
        FRAME_TEST(the_mode_is_the_options),
        FRAME_TEST(preallocated_maps_have_all_their_memory),
        FRAME_TEST(closing_ends_the_handle),
        FRAME_TEST(read_only_maps_read),
        FRAME_TEST(wait_only_looks),
        FRAME_TEST(wait_sees_every_change),
        FRAME_TEST(closing_ends_a_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
