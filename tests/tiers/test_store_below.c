/* SPDX-License-Identifier: MIT
 *
 * A map and its store: who may use it, what survives, and what happens while somebody holds it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/random.h"
#include "store/frame.h"

struct bench {
    struct frame *frame;
    char path[2][128]; /* of maps */
    struct shoal *map;
};

static void done(int rc)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, shoal_error_text());
}

static void refused(int rc, int code, const char *part)
{
    if (rc != code)
        fail_msg("answered %d, not %d: %s", rc, code, shoal_error_text());
    assert_text_has(part);
}

static struct shoal_options options_of(struct bench *b, uint32_t on_full)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = 200;
    options.heap_bytes = 64 * 1024;
    options.store = b->frame->path;
    options.on_full = on_full;
    return options;
}

static void create(struct bench *b, uint32_t on_full)
{
    struct shoal_options options = options_of(b, on_full);
    done(shoal_create(b->path[0], &options, &b->map));
}

/* The segment is gone, as after a start of the machine. */
static void create_again(struct bench *b)
{
    shoal_close(b->map);
    done(shoal_unlink(b->path[0]));
    create(b, SHOAL_FULL_SPILL);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    void *frame;
    if (frame_setup(&frame) != 0)
        return 1;
    b->frame = frame;
    (void)snprintf(b->path[0], sizeof b->path[0], "%s/map", b->frame->dir);
    (void)snprintf(b->path[1], sizeof b->path[1], "%s/other", b->frame->dir);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    shoal_close(b->map);
    (void)unlink(b->path[0]);
    (void)unlink(b->path[1]);
    void *frame = b->frame;
    int rc = frame_teardown(&frame);
    free(b);
    return rc;
}

static void put_n(struct shoal *map, uint32_t from, uint32_t to, char mark)
{
    char key[32], value[100];
    memset(value, mark, sizeof value);
    for (uint32_t i = from; i < to; i++)
        done(shoal_put(map, key, (size_t)sprintf(key, "key %u", i), value, sizeof value));
}

static void assert_n(struct shoal *map, uint32_t from, uint32_t to, char mark)
{
    char key[32], value[100], expected[100];
    size_t bytes;
    memset(expected, mark, sizeof expected);
    for (uint32_t i = from; i < to; i++) {
        int rc = shoal_get(map, key, (size_t)sprintf(key, "key %u", i), value, sizeof value, &bytes);
        if (rc != (mark == 0 ? SHOAL_MISSING : 0))
            fail_msg("key %u: %d: %s", i, rc, shoal_error_text());
        if (rc == 0)
            assert_memory_equal(value, expected, sizeof value);
    }
}

/* -- Who may use it ---------------------------------------------------------------------------------- */

static void a_store_is_one_maps(void **state)
{
    struct bench *b = *state;
    struct shoal_options options = options_of(b, SHOAL_FULL_SPILL);
    struct shoal *other = NULL;
    create(b, SHOAL_FULL_SPILL);
    refused(shoal_create(b->path[1], &options, &other), SHOAL_ESTORE, "is in use by the map");
    assert_text_has(b->path[0]);
    assert_int_equal(access(b->path[1], F_OK), -1);
    done(shoal_open(b->path[0], 0, &other)); /* the same map may, as often as it likes */
    put_n(other, 0, 10, 'a');
    shoal_close(b->map);
    b->map = other;
    assert_n(b->map, 0, 10, 'a');
    shoal_close(b->map);
    b->map = NULL;
    done(shoal_create(b->path[1], &options, &b->map)); /* nobody has the first one any more */
    assert_n(b->map, 0, 10, 0);                        /* which nobody has synced */
    refused(shoal_open(b->path[0], 0, &other), SHOAL_ESTORE, "is in use by the map");
}

/* Who has it may die, and so may who is about to take it. */
static void a_dead_process_has_no_store(void **state)
{
    struct bench *b = *state;
    struct shoal_options options = options_of(b, SHOAL_FULL_SPILL);
    struct shoal *other;
    uint64_t random = 3;
    create(b, SHOAL_FULL_SPILL);
    shoal_close(b->map);
    b->map = NULL;
    for (uint32_t round = 0; round < 30; round++) {
        pid_t pid = child_start();
        if (pid == 0)
            for (;;)
                if (shoal_open(b->path[0], 0, &other) == 0 && random_below(&random, 2) == 0)
                    shoal_close(other);
        (void)nanosleep(&(struct timespec){ .tv_nsec = (long)random_below(&random, 3000000) }, NULL);
        int status;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        done(shoal_create(b->path[1], &options, &other));
        refused(shoal_open(b->path[0], 0, &b->map), SHOAL_ESTORE, "is in use by the map");
        assert_text_has(b->path[1]);
        shoal_close(other);
        done(shoal_unlink(b->path[1]));
    }
}

static void a_store_that_is_not_there_is_named(void **state)
{
    struct bench *b = *state;
    struct shoal *map;
    char moved[128];
    create(b, SHOAL_FULL_SPILL);
    shoal_close(b->map);
    b->map = NULL;
    (void)snprintf(moved, sizeof moved, "%s.away", b->frame->path);
    assert_int_equal(rename(b->frame->path, moved), 0);
    refused(shoal_open(b->path[0], 0, &map), SHOAL_ESTORE, b->frame->path);
    struct store *another;
    done(store_open(b->frame->path, STORE_CREATE, &another));
    store_close(another);
    refused(shoal_open(b->path[0], 0, &map), SHOAL_ESTORE, "is another store than the one that the map was made for");
    dir_clear(b->frame->path);
    assert_int_equal(rmdir(b->frame->path), 0);
    assert_int_equal(rename(moved, b->frame->path), 0);
    done(shoal_open(b->path[0], 0, &b->map));
}

static void a_bad_path_makes_no_map(void **state)
{
    struct bench *b = *state;
    struct shoal_options options = options_of(b, SHOAL_FULL_SPILL);
    struct shoal *map = NULL;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/none/store", b->frame->dir);
    options.store = path;
    refused(shoal_create(b->path[0], &options, &map), SHOAL_ESTORE, "none/store");
    options.store = "";
    refused(shoal_create(b->path[0], &options, &map), SHOAL_EINVAL, "options.store: an empty path");
    options.store = b->path[1];
    int file = open(b->path[1], O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0 && close(file) == 0);
    refused(shoal_create(b->path[0], &options, &map), SHOAL_ESTORE, b->path[1]);
    assert_int_equal(access(b->path[0], F_OK), -1);
}

static void a_reader_reads_both(void **state)
{
    struct bench *b = *state;
    struct shoal *reader;
    create(b, SHOAL_FULL_SPILL);
    put_n(b->map, 0, 2000, 'r');
    done(shoal_open(b->path[0], SHOAL_RDONLY, &reader));
    assert_n(reader, 0, 2000, 'r');
    uint64_t n;
    done(shoal_count(reader, SHOAL_EXACT, &n, NULL));
    assert_int_equal(n, 2000);
    struct shoal_view view;
    done(shoal_view(reader, "key 0", 5, &view));
    assert_int_equal(view.bytes, 100);
    shoal_view_end(&view);
    refused(shoal_sync(reader), SHOAL_EREADONLY, "SHOAL_RDONLY");
    shoal_close(reader);
}

/* -- What survives ----------------------------------------------------------------------------------- */

static void durable_is_durable(void **state)
{
    struct bench *b = *state;
    struct shoal_how how = SHOAL_HOW_INIT;
    create(b, SHOAL_FULL_SPILL);
    put_n(b->map, 0, 150, 'a');
    done(shoal_sync(b->map));
    put_n(b->map, 0, 150, 'b');
    how.flags = SHOAL_DURABLE;
    char value[100];
    memset(value, 'd', sizeof value);
    done(shoal_put_with(b->map, "key 7", 5, value, sizeof value, &how, NULL));
    done(shoal_delete(b->map, "key 8", 5));
    done(shoal_put_with(b->map, "key 9", 5, value, sizeof value, &how, NULL));
    machine_starts_again(); /* what was published and not flushed does not count */
    create_again(b);
    assert_n(b->map, 7, 8, 'd');
    assert_n(b->map, 9, 10, 'd');
    char got[100];
    for (uint32_t i = 0; i < 150; i++) { /* the others: one or the other, whole */
        char key[32];
        size_t n = (size_t)sprintf(key, "key %u", i), bytes;
        int rc = shoal_get(b->map, key, n, got, sizeof got, &bytes);
        assert_true(rc == 0 || (i == 8 && rc == SHOAL_MISSING));
        for (size_t j = 1; rc == 0 && j < bytes; j++)
            assert_int_equal(got[j], got[0]);
    }
}

static void what_was_deleted_stays_so(void **state)
{
    struct bench *b = *state;
    create(b, SHOAL_FULL_SPILL);
    put_n(b->map, 0, 100, 'a');
    done(shoal_sync(b->map));
    char key[32];
    for (uint32_t i = 0; i < 100; i += 2)
        done(shoal_delete(b->map, key, (size_t)sprintf(key, "key %u", i)));
    done(shoal_sync(b->map));
    machine_starts_again();
    create_again(b);
    for (uint32_t i = 0; i < 100; i++)
        assert_n(b->map, i, i + 1, i % 2 == 0 ? 0 : 'a');
}

struct course {
    uint64_t asked, last, total, end_at;
};

static int follow(uint64_t done_n, uint64_t total, void *arg)
{
    struct course *course = arg;
    assert_true(done_n <= total && (course->asked == 0 || (done_n > course->last && total == course->total)));
    course->asked++;
    course->last = done_n;
    course->total = total;
    return done_n >= course->end_at ? 77 : 0;
}

static void a_sync_says_how_far_it_is(void **state)
{
    struct bench *b = *state;
    struct shoal_options options = options_of(b, SHOAL_FULL_SPILL);
    struct course whole = { .end_at = UINT64_MAX }, begun = { .end_at = 1 }, none = { .end_at = 0 };
    options.capacity = 40000;
    options.heap_bytes = 16 << 20;
    done(shoal_create(b->path[0], &options, &b->map));
    put_n(b->map, 0, 28000, 'a');
    assert_int_equal(shoal_sync_with(b->map, follow, &none), 77);
    assert_int_equal(none.asked, 1);
    assert_int_equal(shoal_sync_with(b->map, follow, &begun), 77);
    assert_true(begun.asked == 2 && begun.last < begun.total);
    done(shoal_sync_with(b->map, follow, &whole)); /* also what an earlier one has begun with */
    assert_true(whole.asked > 1 && whole.last < whole.total);
    machine_starts_again();
    create_again(b);
    assert_n(b->map, 0, 28000, 'a');
}

struct stages {
    uint64_t asked, end_at, stages, last, total;
};

/* Whatever number ends it is the answer, also one that is known inside. */
static int follow_stages(uint64_t done_n, uint64_t total, void *arg)
{
    struct stages *course = arg;
    assert_true(done_n <= total);
    course->stages += course->asked == 0 || total != course->total || done_n < course->last;
    course->last = done_n;
    course->total = total;
    return course->asked++ >= course->end_at ? INT32_MAX - 2 : 0;
}

/* Ended anywhere, it holds nothing. */
static void a_check_says_how_far_it_is(void **state)
{
    struct bench *b = *state;
    struct shoal_options options = options_of(b, SHOAL_FULL_SPILL);
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct stages whole = { .end_at = UINT64_MAX };
    options.capacity = 20000;
    options.heap_bytes = 8 << 20;
    done(shoal_create(b->path[0], &options, &b->map));
    put_n(b->map, 0, 16000, 'a');
    done(shoal_sync(b->map));
    done(shoal_check_with(b->map, &report, follow_stages, &whole));
    assert_int_equal(whole.stages, 3);
    assert_true(whole.asked > 10 && report.problems == 0);
    for (uint64_t at = 0; at < whole.asked; at++) {
        struct stages course = { .end_at = at };
        report.problems = 7;
        assert_int_equal(shoal_check_with(b->map, &report, follow_stages, &course), INT32_MAX - 2);
        assert_true(course.asked == at + 1 && report.problems == 7);
        done(shoal_sync(b->map));
    }
}

static int stop_at(uint64_t done_n, uint64_t total, void *arg)
{
    *(uint64_t *)arg = total;
    return done_n >= 2048 ? 77 : 0;
}

static void a_cold_table_is_warmed(void **state)
{
    struct bench *b = *state;
    struct shoal_options options = options_of(b, SHOAL_FULL_SPILL);
    uint64_t n = 0, total = 0;
    options.capacity = 5000;
    options.heap_bytes = 2 << 20;
    done(shoal_create(b->path[0], &options, &b->map));
    put_n(b->map, 0, 4000, 'w');
    done(shoal_sync(b->map));
    shoal_close(b->map);
    done(shoal_unlink(b->path[0]));
    done(shoal_create(b->path[0], &options, &b->map));
    assert_int_equal(shoal_warm(b->map, stop_at, &total, &n), 77);
    assert_int_equal(n, 2048);
    assert_int_equal(total, 4000);
    done(shoal_delete(b->map, "key 1", 5));
    done(shoal_put(b->map, "key 2", 5, "new", 3));
    done(shoal_warm(b->map, NULL, NULL, &n));
    assert_in_range(n, 1940, 1952); /* the others, but a few whose windows are full, and what was changed */
    assert_n(b->map, 0, 1, 'w');
    assert_n(b->map, 1, 2, 0);
    assert_n(b->map, 3, 4000, 'w');
    struct shoal_stats stats = SHOAL_STATS_INIT;
    done(shoal_stats(b->map, &stats));
    assert_int_equal(stats.evicted, 0);
    assert_true(stats.store_gets < 100); /* nearly all of them from memory */
}

/* A record that contradicts its checksum stays where it is, and holds up nobody else. */
static void one_bad_record_keeps_no_other_from_the_disk(void **state)
{
    struct bench *b = *state;
    struct shoal_options options = options_of(b, SHOAL_FULL_SPILL);
    struct shoal_how how = SHOAL_HOW_INIT;
    static const char sound[] = "this is what the bad record holds";
    char value[sizeof sound];
    options.flags = SHOAL_CHECKSUM;
    done(shoal_create(b->path[0], &options, &b->map));
    done(shoal_put(b->map, "bad", 3, sound, sizeof sound));
    put_n(b->map, 0, 100, 'a');
    int file = open(b->path[0], O_RDWR);
    struct stat st;
    assert_true(file >= 0 && fstat(file, &st) == 0);
    char *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    assert_true(bytes != MAP_FAILED && close(file) == 0);
    char *at = memmem(bytes, (size_t)st.st_size, sound, sizeof sound);
    assert_non_null(at);
    at[5] ^= 1;
    assert_int_equal(munmap(bytes, (size_t)st.st_size), 0);
    for (int i = 0; i < 2; i++)
        refused(shoal_sync(b->map), SHOAL_ECORRUPT, "checksum is wrong");
    how.flags = SHOAL_DURABLE;
    done(shoal_put_with(b->map, "key 200", 7, "durable", 7, &how, NULL));
    put_n(b->map, 300, 900, 'b'); /* others leave beside it */
    refused(shoal_sync(b->map), SHOAL_ECORRUPT, "checksum is wrong");
    refused(shoal_get(b->map, "bad", 3, value, sizeof value, NULL), SHOAL_ECORRUPT, "leads to no sound record");
    machine_starts_again();
    create_again(b);
    assert_n(b->map, 0, 100, 'a');
    assert_n(b->map, 300, 900, 'b');
    assert_int_equal(shoal_get(b->map, "key 200", 7, NULL, 0, NULL), 0);
    assert_int_equal(shoal_get(b->map, "bad", 3, NULL, 0, NULL), SHOAL_MISSING);
}

static void a_segment_of_an_earlier_life_is_refused(void **state)
{
    struct bench *b = *state;
    struct shoal *map;
    create(b, SHOAL_FULL_SPILL);
    put_n(b->map, 0, 50, 'a');
    done(shoal_sync(b->map));
    put_n(b->map, 0, 50, 'b');
    shoal_close(b->map);
    b->map = NULL;
    machine_starts_again();
    refused(shoal_open(b->path[0], 0, &map), SHOAL_ESTORE, "was made before the machine was started again");
    assert_text_has(b->frame->path);
    refused(shoal_open(b->path[0], SHOAL_RDONLY, &map), SHOAL_ESTORE, "was made before");
    done(shoal_unlink(b->path[0]));
    create(b, SHOAL_FULL_SPILL);
    assert_n(b->map, 0, 50, 'a');
}

static void without_spilling_full_is_full(void **state)
{
    struct bench *b = *state;
    char key[32], value[100] = "";
    create(b, SHOAL_FULL_FAIL);
    uint32_t n = 0;
    int rc = 0;
    while (rc == 0 && n < 10000)
        rc = shoal_put(b->map, key, (size_t)sprintf(key, "key %u", n++), value, sizeof value);
    refused(rc, SHOAL_EFULL, "full");
    done(shoal_sync(b->map));
    shoal_close(b->map);
    done(shoal_unlink(b->path[0]));
    create(b, SHOAL_FULL_FAIL);
    uint64_t counted;
    int exact;
    done(shoal_count(b->map, SHOAL_EXACT, &counted, &exact));
    assert_int_equal(counted, n - 1);
    done(shoal_delete(b->map, "key 3", 5)); /* of a key that is below alone */
    done(shoal_count(b->map, SHOAL_EXACT, &counted, &exact));
    assert_int_equal(counted, n - 2);
}

static void values_larger_than_pages_leave_and_come_back(void **state)
{
    struct bench *b = *state;
    struct shoal_options options = options_of(b, SHOAL_FULL_SPILL);
    enum { BYTES = 300000, N = 40 };
    options.heap_bytes = 2 << 20;
    done(shoal_create(b->path[0], &options, &b->map));
    uint8_t *value = malloc(BYTES), *got = malloc(BYTES);
    for (uint32_t i = 0; i < N; i++) {
        memset(value, (int)i, BYTES);
        done(shoal_put(b->map, &i, sizeof i, value, BYTES - i));
    }
    for (uint32_t i = 0; i < N; i++) {
        size_t bytes;
        memset(value, (int)i, BYTES);
        done(shoal_get(b->map, &i, sizeof i, got, BYTES, &bytes));
        assert_int_equal(bytes, BYTES - i);
        assert_memory_equal(got, value, bytes);
    }
    free(value);
    free(got);
    struct shoal_stats stats = SHOAL_STATS_INIT;
    done(shoal_stats(b->map, &stats));
    assert_true(stats.evicted >= N / 2 && stats.store_hits >= N / 2);
}

/* -- In the background --------------------------------------------------------------------------------- */

static uint64_t flushes(struct shoal *map, uint64_t *ret_failures)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    done(shoal_stats(map, &stats));
    if (ret_failures != NULL)
        *ret_failures = stats.flush_failures;
    return stats.flushes;
}

static void nap(void) { (void)nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL); }

static void await_flush(struct shoal *map, uint64_t before)
{
    while (flushes(map, NULL) == before)
        nap();
}

/* One that began behind the call: the second that ends, for which something must change. */
static void await_new_flush(struct shoal *map)
{
    for (uint64_t before = flushes(map, NULL); flushes(map, NULL) < before + 2; nap())
        done(shoal_incr(map, "ticks", 5, 1, NULL));
}

/* Returns its pid when it flushes. */
static pid_t flushing_child(struct bench *b)
{
    struct shoal_flush how = SHOAL_FLUSH_INIT;
    how.interval_ms = 20;
    pid_t pid = child_start();
    if (pid != 0)
        return pid;
    int rc = shoal_flush_start(b->map, &how);
    for (;;)
        if (rc != 0 || pause() != -1)
            _exit(1);
}

static void a_flusher_is_followed_by_another(void **state)
{
    struct bench *b = *state;
    create(b, SHOAL_FULL_SPILL);
    pid_t pid[3];
    for (int i = 0; i < 3; i++)
        pid[i] = flushing_child(b);
    for (int i = 0; i < 3; i++) {
        put_n(b->map, 0, 100, (char)('a' + i));
        await_new_flush(b->map);
        int status;
        assert_int_equal(kill(pid[i], SIGKILL), 0);
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
    }
    uint64_t before = flushes(b->map, NULL), failures;
    put_n(b->map, 0, 100, 'x'); /* nobody is left */
    for (int i = 0; i < 20; i++)
        nap();
    assert_int_equal(flushes(b->map, &failures), before);
    assert_int_equal(failures, 0);
    machine_starts_again();
    create_again(b);
    assert_n(b->map, 0, 100, 'c');
}

static void bytes_and_intervals_are_kept(void **state)
{
    struct bench *b = *state;
    struct shoal_flush how = SHOAL_FLUSH_INIT;
    create(b, SHOAL_FULL_SPILL);
    how.interval_ms = 3600000;
    how.bytes = 8000;
    done(shoal_flush_start(b->map, &how)); /* the first one is at once */
    put_n(b->map, 0, 10, 'a');
    await_flush(b->map, 0);
    uint64_t before = flushes(b->map, NULL);
    put_n(b->map, 0, 30, 'b');
    for (int i = 0; i < 40; i++)
        nap();
    assert_int_equal(flushes(b->map, NULL), before);
    put_n(b->map, 0, 50, 'c'); /* more than 8000 bytes of records since */
    await_flush(b->map, before);
    done(shoal_flush_stop(b->map));
    done(shoal_flush_stop(b->map));
    how.interval_ms = 0;
    refused(shoal_flush_start(b->map, &how), SHOAL_EINVAL, "flush.interval_ms: 0");
    how.interval_ms = 10;
    done(shoal_flush_start(b->map, &how));
    done(shoal_flush_start(b->map, NULL));
    put_n(b->map, 0, 100, 'd');
    shoal_close(b->map); /* ends it */
    b->map = NULL;
}

/* -- While somebody holds it --------------------------------------------------------------------------- */

static void a_stopped_holder_stops_nobody_in_the_table(void **state)
{
    struct bench *b = *state;
    atomic_int *locked = child_memory(sizeof *locked);
    char part[64];
    create(b, SHOAL_FULL_SPILL);
    put_n(b->map, 0, 100, 'a');
    pid_t pid = child_start();
    if (pid == 0) {
        struct store *own;
        if (store_open(b->frame->path, 0, &own) == 0 && store_lock(own, 1000) == 0)
            atomic_store(locked, 1);
        raise(SIGSTOP);
        _exit(0);
    }
    while (atomic_load(locked) == 0)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    put_n(b->map, 0, 100, 'b'); /* in the table */
    assert_n(b->map, 0, 100, 'b');
    (void)snprintf(part, sizeof part, "process %d (", (int)pid);
    refused(shoal_sync(b->map), SHOAL_EFULL, part);
    struct shoal *newcomer;
    done(shoal_open(b->path[0], 0, &newcomer));
    assert_n(newcomer, 0, 100, 'b');
    shoal_close(newcomer);
    int rc = 0;
    char key[32], value[100] = "";
    for (uint32_t i = 1000; rc == 0 && i < 10000; i++)
        rc = shoal_put(b->map, key, (size_t)sprintf(key, "key %u", i), value, sizeof value);
    refused(rc, SHOAL_EFULL, part);
    assert_n(b->map, 0, 100, 'b');
    int status;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    put_n(b->map, 2000, 4000, 'c');
    done(shoal_sync(b->map));
    assert_n(b->map, 0, 100, 'b');
    assert_n(b->map, 2000, 4000, 'c');
}

/* Sync that is killed anywhere: what an earlier one returned for is there, and nothing is torn. */
static void who_dies_in_a_sync_is_followed(void **state)
{
    struct bench *b = *state;
    uint64_t random = 5;
    create(b, SHOAL_FULL_SPILL);
    for (uint32_t round = 0; round < 60; round++) {
        char mark = (char)('a' + round % 20);
        put_n(b->map, 0, 300, mark);
        pid_t pid = child_start();
        if (pid == 0) {
            put_n(b->map, 300, 500, mark);
            _exit(shoal_sync(b->map) == 0 ? 0 : 1);
        }
        (void)nanosleep(&(struct timespec){ .tv_nsec = (long)random_below(&random, 4000000) }, NULL);
        (void)kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_n(b->map, 0, 300, mark);
        if (round % 10 != 9)
            continue;
        done(shoal_sync(b->map));
        machine_starts_again();
        create_again(b);
        assert_n(b->map, 0, 300, mark);
        struct shoal_report report = SHOAL_REPORT_INIT;
        done(shoal_check(b->map, &report));
    }
}

#define BENCH_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_store_is_one_maps),
        BENCH_TEST(a_dead_process_has_no_store),
        BENCH_TEST(a_store_that_is_not_there_is_named),
        BENCH_TEST(a_bad_path_makes_no_map),
        BENCH_TEST(a_reader_reads_both),
        BENCH_TEST(durable_is_durable),
        BENCH_TEST(what_was_deleted_stays_so),
        BENCH_TEST(a_sync_says_how_far_it_is),
        BENCH_TEST(a_check_says_how_far_it_is),
        BENCH_TEST(a_cold_table_is_warmed),
        BENCH_TEST(one_bad_record_keeps_no_other_from_the_disk),
        BENCH_TEST(a_segment_of_an_earlier_life_is_refused),
        BENCH_TEST(without_spilling_full_is_full),
        BENCH_TEST(values_larger_than_pages_leave_and_come_back),
        BENCH_TEST(a_flusher_is_followed_by_another),
        BENCH_TEST(bytes_and_intervals_are_kept),
        BENCH_TEST(a_stopped_holder_stops_nobody_in_the_table),
        BENCH_TEST(who_dies_in_a_sync_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
