/* SPDX-License-Identifier: MIT
 *
 * Calls on plain maps find their thread's place by what the last one left there (registry.h): whatever changes that must be
 * noticed by the next call.
 */
#include "unit/frame.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_BYTES 40000u /* of a value whose length does not stand in its record's place word */

static int get_of(struct shoal *map, const char *key)
{
    char buf[64];
    return shoal_get(map, key, strlen(key), buf, sizeof buf, NULL);
}

static struct shoal *map_of(struct frame *f, const char *name)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    options.capacity = 1000;
    options.heap_bytes = 1 << 20;
    assert_int_equal(shoal_create(frame_path(f, name), &options, &map), 0);
    return map;
}

/* -- Counts ------------------------------------------------------------------------------------------ */

static int keep(struct shoal_change *change, void *arg)
{
    (void)change, (void)arg;
    return SHOAL_KEEP;
}

static void assert_reads(struct shoal *map, uint64_t gets, uint64_t hits)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    assert_int_equal(shoal_stats(map, &stats), 0);
    assert_int_equal(stats.gets, gets);
    assert_int_equal(stats.hits, hits);
}

/* All reads of a thread are in the statistics once it has closed, whatever came between them. */
static void each_read_is_counted_once(void **state)
{
    struct frame *f = *state;
    struct shoal *map = map_of(f, "map"), *other = map_of(f, "other"), *same, *again;
    char *buf = malloc(LONG_BYTES);
    uint64_t gets = 0, hits = 0, n = 0;
    assert_non_null(buf);
    memset(buf, 'x', LONG_BYTES);
    assert_int_equal(put_text(map, "here", "a"), 0);
    assert_int_equal(put_text(other, "here", "b"), 0);
    assert_int_equal(shoal_put(map, "long", 4, buf, LONG_BYTES), 0);
    for (uint32_t i = 0; i < 30000; i++) {
        assert_int_equal(get_of(map, "here"), 0);
        gets++, hits++;
        if (i % 3 == 0) {
            assert_int_equal(get_of(map, "not"), SHOAL_MISSING);
            gets++;
        }
        if (i % 7 == 0) {
            assert_int_equal(shoal_get(map, "long", 4, buf, LONG_BYTES, NULL), 0);
            gets++, hits++;
        }
        if (i % 5 == 0) {
            assert_int_equal(get_of(other, "here"), 0);
            n++;
        }
        if (i % 11 == 0)
            assert_int_equal(shoal_update(map, "here", 4, keep, NULL), 0);
    }
    free(buf);
    assert_int_equal(shoal_open(frame_path(f, "map"), 0, &same), 0);
    assert_int_equal(shoal_open(frame_path(f, "other"), 0, &again), 0);
    shoal_close(map);
    shoal_close(other);
    assert_reads(same, gets, hits);
    assert_reads(again, n, n);
    shoal_close(same);
    shoal_close(again);
}

/* -- Handles ------------------------------------------------------------------------------------------ */

static void a_handle_has_left_its_map(void **state)
{
    struct frame *f = *state;
    struct shoal *map = map_of(f, "map"), *other;
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_int_equal(get_of(map, "key"), 0);
    shoal_close(map);
    assert_refused(get_of(map, "key"), SHOAL_EINVAL, "closed");
    assert_refused(put_text(map, "key", "b"), SHOAL_EINVAL, "closed");
    assert_refused(shoal_delete(map, "key", 3), SHOAL_EINVAL, "closed");
    other = map_of(f, "other");
    assert_ptr_equal(other, map); /* handles are used again */
    assert_int_equal(get_of(other, "key"), SHOAL_MISSING);
    assert_int_equal(put_text(other, "key", "c"), 0);
    assert_holds(other, "key", "c");
    assert_int_equal(shoal_open(frame_path(f, "map"), 0, &map), 0);
    assert_holds(map, "key", "a");
    for (int i = 0; i < 10; i++) { /* one, then the other */
        assert_holds(map, "key", "a");
        assert_holds(other, "key", "c");
    }
    shoal_close(map);
    shoal_close(other);
}

struct turn {
    struct frame *frame;
    struct shoal *map;
    pthread_barrier_t barrier;
};

/* Reads and writes while the other thread closes the map and opens another one under the same handle. */
static void *used_elsewhere(void *arg)
{
    struct turn *turn = arg;
    char buf[8];
    for (int round = 0; round < 50; round++) {
        pthread_barrier_wait(&turn->barrier);
        char is = (char)('a' + round % 26), key[2] = { 'k', 0 };
        if (shoal_get(turn->map, key, 1, buf, sizeof buf, NULL) != 0 || buf[0] != is || shoal_delete(turn->map, key, 1) != 0 ||
            shoal_get(turn->map, key, 1, buf, sizeof buf, NULL) != SHOAL_MISSING)
            return (void *)(uintptr_t)(round + 1);
        pthread_barrier_wait(&turn->barrier);
    }
    return NULL;
}

static void another_thread_gave_the_handle_another_map(void **state)
{
    struct turn turn = { .frame = *state };
    pthread_t thread;
    void *failed = NULL;
    assert_int_equal(pthread_barrier_init(&turn.barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, used_elsewhere, &turn), 0);
    for (int round = 0; round < 50; round++) {
        char name[16], is[2] = { (char)('a' + round % 26), 0 };
        (void)snprintf(name, sizeof name, "map-%d", round);
        turn.map = map_of(turn.frame, name);
        assert_int_equal(put_text(turn.map, "k", is), 0);
        pthread_barrier_wait(&turn.barrier);
        pthread_barrier_wait(&turn.barrier);
        shoal_close(turn.map);
    }
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    (void)pthread_barrier_destroy(&turn.barrier);
}

/* -- Within an update ---------------------------------------------------------------------------------- */

struct within {
    struct shoal *map, *other;
};

static int calls_both(struct shoal_change *change, void *arg)
{
    struct within *within = arg;
    for (int i = 0; i < 3; i++) {
        assert_refused(get_of(within->map, "key"), SHOAL_EINVAL, "must not call its own map");
        assert_refused(put_text(within->map, "key", "x"), SHOAL_EINVAL, "must not call its own map");
        assert_refused(shoal_delete(within->map, "key", 3), SHOAL_EINVAL, "must not call its own map");
        assert_holds(within->other, "key", "b");
        assert_int_equal(put_text(within->other, "key", "b"), 0);
    }
    change->value = "u";
    change->value_bytes = 1;
    return SHOAL_STORE;
}

static void an_update_function_is_kept_from_its_map(void **state)
{
    struct frame *f = *state;
    struct within within = { map_of(f, "map"), map_of(f, "other") };
    assert_int_equal(put_text(within.map, "key", "a"), 0);
    assert_int_equal(put_text(within.other, "key", "b"), 0);
    assert_int_equal(shoal_update(within.map, "key", 3, keep, NULL), 0); /* the thread's attachment is known */
    assert_holds(within.map, "key", "a");
    assert_int_equal(shoal_update(within.map, "key", 3, calls_both, &within), 0);
    assert_holds(within.map, "key", "u");
    shoal_close(within.map);
    shoal_close(within.other);
}

/* -- Forks ----------------------------------------------------------------------------------------------- */

/* A clone that runs no handlers, and whose first call is a read. */
static void a_raw_clone_reads_first(void **state)
{
    struct frame *f = *state;
    struct shoal *map = map_of(f, "map");
    struct shoal_stats stats = SHOAL_STATS_INIT;
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_holds(map, "key", "a");
    fflush(NULL);
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    assert_true(pid >= 0);
    if (pid == 0) {
        int wrong = get_of(map, "key") != 0 || put_text(map, "key", "b") != 0 || get_of(map, "key") != 0 ||
                    shoal_stats(map, &stats) != 0 || stats.attached != 2;
        syscall(SYS_exit_group, wrong);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_holds(map, "key", "b");
    shoal_close(map);
}

/* -- Keys ------------------------------------------------------------------------------------------------ */

static void a_key_that_cannot_be_there_is_too_long(void **state)
{
    struct frame *f = *state;
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    char key[200], buf[8];
    options.capacity = 100;
    options.heap_bytes = 1 << 20;
    options.max_key_bytes = 100;
    memset(key, 'k', sizeof key);
    assert_int_equal(shoal_create(frame_path(f, "map"), &options, &map), 0);
    for (size_t bytes = 1; bytes <= sizeof key; bytes++) {
        int rc = shoal_get(map, key, bytes, buf, sizeof buf, NULL);
        assert_int_equal(rc, bytes <= 100 ? SHOAL_MISSING : SHOAL_ETOOBIG);
        if (bytes <= 100)
            assert_int_equal(shoal_put(map, key, bytes, &bytes, 1), 0);
    }
    for (size_t bytes = 1; bytes <= 100; bytes++)
        assert_true(shoal_get(map, key, bytes, buf, sizeof buf, NULL) == 0 && buf[0] == (char)bytes);
    assert_int_equal(shoal_get(map, key, 0, buf, sizeof buf, NULL), SHOAL_EINVAL);
    assert_int_equal(shoal_get(map, NULL, 3, buf, sizeof buf, NULL), SHOAL_EINVAL);
    shoal_close(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(each_read_is_counted_once),
        FRAME_TEST(a_handle_has_left_its_map),
        FRAME_TEST(another_thread_gave_the_handle_another_map),
        FRAME_TEST(an_update_function_is_kept_from_its_map),
        FRAME_TEST(a_raw_clone_reads_first),
        FRAME_TEST(a_key_that_cannot_be_there_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
