/* SPDX-License-Identifier: MIT
 *
 * What callers see of a map that moves to another geometry.
 */
#include "unit/frame.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS 300

static int stops(uint64_t done, uint64_t total, void *arg)
{
    uint64_t *seen = arg;
    assert_true(done <= total && total > 0);
    if (seen != NULL)
        *seen = done;
    return 7;
}

static struct shoal_options geometry(uint64_t capacity, uint64_t heap_bytes)
{
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    o.capacity = capacity;
    o.heap_bytes = heap_bytes;
    return o;
}

static void rebuilt(struct shoal *map, uint64_t capacity, uint64_t heap_bytes)
{
    struct shoal_options o = geometry(capacity, heap_bytes);
    int rc = shoal_rebuild(map, &o, NULL, NULL);
    if (rc != 0)
        fail_msg("rebuild: %d, %s", rc, shoal_error_text());
}

/* In the middle of a move, which goes on with what is written. */
static void moving(struct shoal *map)
{
    struct shoal_options o = geometry(3000, 2 << 20);
    uint64_t seen = 0;
    assert_int_equal(shoal_rebuild(map, &o, stops, &seen), 7);
    assert_true(seen > 0);
    assert_int_equal(stats_of(map).moving, 1);
}

static const char *text(const char *what, int i)
{
    static char of[4][32];
    static int at;
    char *to = of[at++ % 4];
    (void)snprintf(to, sizeof of[0], "%s%d", what, i);
    return to;
}

static struct shoal *filled(struct frame *f, uint32_t flags)
{
    struct shoal_options o = frame_options();
    o.capacity = 2000;
    o.heap_bytes = 1 << 20;
    o.flags = flags;
    struct shoal *map = frame_map(f, &o);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(put_text(map, text("key", i), text("value", i)), 0);
    return map;
}

static void assert_filled(struct shoal *map)
{
    char name[KEYS][16], value[KEYS][32];
    struct shoal_key keys[KEYS];
    struct shoal_result results[KEYS] = { 0 };
    for (int i = 0; i < KEYS; i++) {
        keys[i] = (struct shoal_key){ name[i], (size_t)snprintf(name[i], sizeof name[i], "key%d", i) };
        results[i] = (struct shoal_result){ .buf = value[i], .buf_bytes = sizeof value[i] };
    }
    assert_int_equal(shoal_get_many(map, keys, KEYS, results), 0);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(results[i].code, 0);
        assert_holds(map, text("key", i), text("value", i));
    }
}

static void assert_no_files_but_the_map(struct frame *f)
{
    DIR *list = opendir(f->dir);
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        if (entry->d_name[0] != '.' ? strcmp(entry->d_name, "map") != 0 : strlen(entry->d_name) > 2)
            fail_msg("%s is left", entry->d_name);
    (void)closedir(list);
}

static struct shoal *opened(struct frame *f, unsigned flags)
{
    struct shoal *map;
    assert_int_equal(shoal_open(frame_path(f, "map"), flags, &map), 0);
    return map;
}

static void everything_is_there_afterwards(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, SHOAL_MTIME | SHOAL_CHECKSUM), *other = opened(f, 0), *reader = opened(f, SHOAL_RDONLY);
    struct shoal_info before = SHOAL_INFO_INIT, after = SHOAL_INFO_INIT;
    struct shoal_how how = SHOAL_HOW_INIT;
    how.type = SHOAL_JSON;
    assert_int_equal(shoal_put_with(map, "typed", 5, "{}", 2, &how, NULL), 0);
    assert_int_equal(shoal_incr(map, "n", 1, 41, NULL), 0);
    assert_int_equal(shoal_put(map, "a\0b", 3, "", 0), 0);
    assert_int_equal(shoal_info(map, "typed", 5, &before), 0);
    rebuilt(map, 10000, 4 << 20);
    assert_filled(map);
    assert_filled(other);
    assert_filled(reader);
    assert_int_equal(shoal_info(other, "typed", 5, &after), 0);
    assert_int_equal(after.type, SHOAL_JSON);
    assert_int_equal(after.mtime_ns, before.mtime_ns);
    int64_t n;
    assert_int_equal(shoal_incr(other, "n", 1, 1, &n), 0);
    assert_int_equal(n, 42);
    struct shoal_stats stats = stats_of(reader);
    assert_int_equal(stats.capacity, 10000);
    assert_int_equal(stats.count, KEYS + 3);
    assert_int_equal(stats.moving, 0);
    assert_int_equal(stats.moved, KEYS + 3);
    assert_int_equal(stats.flags, SHOAL_MTIME | SHOAL_CHECKSUM);
    assert_int_equal(stats.unlinked, 0);
    assert_no_files_but_the_map(f);
    shoal_close(other);
    shoal_close(reader);
}

static void smaller_and_larger_again_and_again(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0), *other = opened(f, 0);
    for (int i = 0; i < 20; i++) {
        rebuilt(i % 2 ? map : other, 400 + (uint64_t)(i * 700 % 3000), (uint64_t)(256 + i * 97 % 700) << 10);
        assert_filled(i % 3 ? map : other);
        assert_sound(other);
    }
    assert_no_files_but_the_map(f);
    shoal_close(other);
}

static void calls_go_on_in_the_middle(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0), *reader = opened(f, SHOAL_RDONLY);
    moving(map);
    struct shoal *other = opened(f, 0);
    assert_filled(reader);
    assert_filled(other);
    char buf[32];
    size_t n;
    assert_int_equal(put_text(other, "key7", "new"), 0);
    assert_int_equal(shoal_delete(map, "key8", 4), 0);
    assert_int_equal(shoal_take(other, "key9", 4, buf, sizeof buf, &n), 0);
    assert_int_equal(shoal_add(map, "key10", 5, "x", 1), SHOAL_EXISTS);
    assert_int_equal(shoal_add(map, "added", 5, "x", 1), 0);
    assert_int_equal(shoal_replace(map, "nothing", 7, "x", 1), SHOAL_MISSING);
    assert_holds(reader, "key7", "new");
    assert_holds(reader, "key8", NULL);
    assert_holds(map, "key9", NULL);
    assert_holds(reader, "added", "x");
    assert_int_equal(stats_of(map).count, KEYS - 1);
    struct shoal_stats stats = stats_of(map);
    assert_true(stats.moved_most > 0 && stats.moved_most <= 7 * 256);
    /* who writes moves the rest bit by bit */
    for (int i = 0; stats_of(map).moving != 0; i++) {
        assert_true(i < 10000);
        assert_int_equal(put_text(map, "again", "x"), 0);
    }
    assert_int_equal(stats_of(map).count, KEYS);
    assert_no_files_but_the_map(f);
    shoal_close(other);
    shoal_close(reader);
}

static void walks_meet_each_key_once_across_a_move(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0), *reader = opened(f, SHOAL_RDONLY), *who[2] = { map, reader };
    for (int round = 0; round < 2; round++) {
        struct shoal_iter *iter;
        struct shoal_item item;
        int met[KEYS] = { 0 }, i, n = 0, rc;
        assert_int_equal(shoal_iter_open(who[round], "key", 3, &iter), 0);
        while ((rc = shoal_iter_next(iter, &item)) == 0) {
            char key[16] = { 0 };
            memcpy(key, item.key, item.key_bytes);
            assert_int_equal(sscanf(key, "key%d", &i), 1);
            assert_int_equal(met[i]++, 0);
            if (n++ == KEYS / 3)
                moving(map);
            if (n == KEYS / 2)
                rebuilt(map, 2000, 1 << 20);
        }
        assert_int_equal(rc, SHOAL_END);
        assert_int_equal(n, KEYS);
        shoal_iter_close(iter);
    }
    shoal_close(reader);
}

/* By who has no right to hurry the move, either. */
static void walks_in_the_middle_of_a_move(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0);
    moving(map);
    assert_int_equal(put_text(map, "key+", "new"), 0);
    assert_int_equal(shoal_delete(map, "key0", 4), 0);
    assert_int_equal(put_text(map, "key0", "again"), 0);
    struct shoal *reader = opened(f, SHOAL_RDONLY), *who[2] = { reader, map };
    for (int round = 0; round < 4; round++) {
        struct shoal_iter *iter;
        struct shoal_item item;
        int met[KEYS] = { 0 }, i, n = 0, rc;
        uint64_t count;
        assert_int_equal(shoal_count(reader, 0, &count, NULL), 0);
        assert_int_equal(count, KEYS + 1);
        assert_int_equal(shoal_iter_open(who[round % 2], "key", 3, &iter), 0);
        while ((rc = shoal_iter_next(iter, &item)) == 0) {
            char key[16] = { 0 };
            memcpy(key, item.key, item.key_bytes);
            n++;
            if (sscanf(key, "key%d", &i) == 1)
                assert_int_equal(met[i]++, 0);
            if (round > 1)
                assert_int_equal(put_text(map, text("other", n), "x"), 0); /* moves some */
        }
        assert_int_equal(rc, SHOAL_END);
        assert_int_equal(n, KEYS + 1);
        shoal_iter_close(iter);
        if (round < 2)
            assert_int_equal(stats_of(map).moving, 1);
        for (i = 1; round > 1 && i <= KEYS + 1; i++)
            (void)shoal_delete(map, text("other", i), strlen(text("other", i)));
        if (round == 2)
            rebuilt(map, 2500, 2 << 20), moving(map);
    }
    shoal_close(reader);
}

static void views_outlast_a_move(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0);
    struct shoal_view before, middle, after;
    assert_int_equal(shoal_view(map, "key1", 4, &before), 0);
    moving(map);
    assert_int_equal(shoal_view(map, "key2", 4, &middle), 0);
    rebuilt(map, 500, 1 << 20);
    assert_int_equal(shoal_view(map, "key3", 4, &after), 0);
    assert_int_equal(put_text(map, "key1", "x"), 0);
    assert_memory_equal(before.value, "value1", 6);
    assert_memory_equal(middle.value, "value2", 6);
    assert_memory_equal(after.value, "value3", 6);
    shoal_view_end(&before);
    shoal_view_end(&middle);
    shoal_view_end(&after);
}

struct waiter {
    struct shoal *map;
    uint64_t seen, now;
    int rc;
};
static void *wait_for_key(void *arg)
{
    struct waiter *w = arg;
    w->rc = shoal_wait(w->map, "key5", 4, w->seen, 20000, &w->now);
    return NULL;
}

static void who_waits_is_told_in_the_new_geometry(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0), *other = opened(f, 0);
    pthread_t thread;
    uint64_t version = version_of(map, "key5");
    struct waiter w = { .map = other, .seen = version };
    assert_int_equal(pthread_create(&thread, NULL, wait_for_key, &w), 0);
    rebuilt(map, 5000, 2 << 20); /* a move is a change of version */
    assert_int_equal(put_text(map, "key5", "x"), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.rc, 0);
    assert_true(w.now != version && w.now != 0);
    shoal_close(other);
}

static void what_is_no_geometry_changes_nothing(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0), *reader = opened(f, SHOAL_RDONLY);
    struct shoal_options o = geometry(10, 0);
    assert_refused(shoal_rebuild(map, &o, NULL, NULL), SHOAL_EFULL, "the map holds 300 keys");
    o = geometry(0, 65536);
    assert_int_equal(put_text(map, "long", "x"), 0);
    char *big = calloc(1, 200000);
    assert_int_equal(shoal_put(map, "long", 4, big, 200000), 0);
    assert_refused(shoal_rebuild(map, &o, NULL, NULL), SHOAL_EFULL, "options.heap_bytes");
    o = geometry(0, 0);
    o.mode = 0666;
    assert_refused(shoal_rebuild(map, &o, NULL, NULL), SHOAL_EINVAL, "stay what they are");
    o = geometry(0, 0);
    o.max_key_bytes = 3;
    assert_refused(shoal_rebuild(map, &o, NULL, NULL), SHOAL_EINVAL, "options.max_key_bytes");
    o = geometry(0, 0);
    assert_refused(shoal_rebuild(reader, &o, NULL, NULL), SHOAL_EREADONLY, "SHOAL_RDONLY");
    assert_refused(shoal_rebuild(map, NULL, NULL, NULL), SHOAL_EINVAL, "options");
    assert_int_equal(stats_of(map).moved, 0);
    assert_int_equal(stats_of(map).capacity, 2000);
    assert_int_equal(shoal_rebuild(map, &o, NULL, NULL), 0); /* all as it is: the records lie packed afterwards */
    assert_filled(reader);
    assert_no_files_but_the_map(f);
    free(big);
    shoal_close(reader);
}

static void a_file_that_was_closed_follows(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0);
    moving(map);
    shoal_close(map);
    f->map = map = opened(f, 0);
    assert_filled(map);
    assert_sound(map);
    assert_no_files_but_the_map(f);
}

static void who_is_late_is_told_that_the_map_is_gone(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0), *late = opened(f, 0);
    rebuilt(map, 100000, 8 << 20);
    assert_int_equal(shoal_unlink(frame_path(f, "map")), 0);
    assert_filled(map);
    assert_refused(shoal_get(late, "key1", 4, NULL, 0, NULL), SHOAL_ENOMAP, "was removed before this process followed");
    shoal_close(late);
    assert_int_equal(stats_of(map).unlinked, 1);
    struct shoal_options o = geometry(0, 0);
    assert_refused(shoal_rebuild(map, &o, NULL, NULL), SHOAL_ENOMAP, "another file");
}

struct two {
    struct shoal *map, *other;
    int rc;
};
static int calls_its_map(struct shoal_change *change, void *arg)
{
    struct two *two = arg;
    (void)change;
    rebuilt(two->other, 700, 1 << 20);
    two->rc = shoal_get(two->map, "key1", 4, NULL, 0, NULL);
    return SHOAL_KEEP;
}

/* Whichever geometry it has by now; through another handle it may call it. */
static void an_update_function_is_refused_its_map(void **state)
{
    struct frame *f = *state;
    struct shoal *map = filled(f, 0);
    struct two two = { .map = map, .other = opened(f, 0) };
    assert_int_equal(shoal_update(map, "key1", 4, calls_its_map, &two), 0);
    assert_int_equal(two.rc, SHOAL_EINVAL);
    shoal_close(two.other);
}

static void permissions_go_with_it(void **state)
{
    struct frame *f = *state;
    struct shoal_options o = frame_options();
    struct stat st;
    o.mode = 0640;
    struct shoal *map = frame_map(f, &o);
    rebuilt(map, 500, 1 << 20);
    assert_int_equal(stat(frame_path(f, "map"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_size, stats_of(map).segment_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(everything_is_there_afterwards),
        FRAME_TEST(smaller_and_larger_again_and_again),
        FRAME_TEST(calls_go_on_in_the_middle),
        FRAME_TEST(walks_meet_each_key_once_across_a_move),
        FRAME_TEST(walks_in_the_middle_of_a_move),
        FRAME_TEST(views_outlast_a_move),
        FRAME_TEST(who_waits_is_told_in_the_new_geometry),
        FRAME_TEST(what_is_no_geometry_changes_nothing),
        FRAME_TEST(a_file_that_was_closed_follows),
        FRAME_TEST(who_is_late_is_told_that_the_map_is_gone),
        FRAME_TEST(an_update_function_is_refused_its_map),
        FRAME_TEST(permissions_go_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
