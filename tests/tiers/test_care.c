/* SPDX-License-Identifier: MIT
 *
 * Looking after the store of a map that is in use: compact, backup, restore, stat (guarantees A, F; tier.h).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/random.h"
#include "store/frame.h"

#define KEYS_N 3000u

struct bench {
    struct frame *frame;
    char path[2][128];                     /* of maps */
    char backup[128], restored[128];
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

static int create_at(const char *path, const char *store, struct shoal **ret_map)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = 300;
    options.heap_bytes = 96 * 1024;
    options.store = store;
    options.on_full = SHOAL_FULL_SPILL;
    return shoal_create(path, &options, ret_map);
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
    (void)snprintf(b->backup, sizeof b->backup, "%s/backup", b->frame->dir);
    (void)snprintf(b->restored, sizeof b->restored, "%s/restored", b->frame->dir);
    done(create_at(b->path[0], b->frame->path, &b->map));
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    const char *directories[] = { b->backup, b->restored };
    shoal_close(b->map);
    (void)unlink(b->path[0]);
    (void)unlink(b->path[1]);
    for (int i = 0; i < 2; i++)
        if (access(directories[i], F_OK) == 0) {
            dir_clear(directories[i]);
            (void)rmdir(directories[i]);
        }
    void *frame = b->frame;
    int rc = frame_teardown(&frame);
    free(b);
    return rc;
}

static size_t key_of(uint32_t i, char *to) { return (size_t)sprintf(to, "key %u", i); }

static void put_n(struct shoal *map, uint32_t from, uint32_t to, uint32_t step, char mark)
{
    char key[32], value[150];
    memset(value, mark, sizeof value);
    for (uint32_t i = from; i < to; i += step)
        done(shoal_put(map, key, key_of(i, key), value, sizeof value));
}

static void delete_n(struct shoal *map, uint32_t from, uint32_t to)
{
    char key[32];
    for (uint32_t i = from; i < to; i++)
        if (shoal_delete(map, key, key_of(i, key)) < 0)
            fail_msg("delete: %s", shoal_error_text());
}

/* mark 0: absent */
static void assert_n(struct shoal *map, uint32_t from, uint32_t to, char mark)
{
    char key[32], value[150], expected[150];
    size_t bytes;
    memset(expected, mark, sizeof expected);
    for (uint32_t i = from; i < to; i++) {
        int rc = shoal_get(map, key, key_of(i, key), value, sizeof value, &bytes);
        if (rc != (mark == 0 ? SHOAL_MISSING : 0))
            fail_msg("key %u: %d: %s", i, rc, shoal_error_text());
        if (rc == 0)
            assert_memory_equal(value, expected, sizeof value);
    }
}

static uint64_t looks_below(struct shoal *map)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    done(shoal_stats(map, &stats));
    return stats.store_gets;
}

static uint64_t count(struct shoal *map)
{
    uint64_t n;
    done(shoal_count(map, SHOAL_EXACT, &n, NULL));
    return n;
}

static void assert_sound(struct shoal *map)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    if (shoal_check(map, &report) != 0)
        fail_msg("check: %s", shoal_error_text());
}

/* -- Spill bits ------------------------------------------------------------------------------------------- */

/* When everything is deleted, nobody looks below any more; and what comes later is found there again. */
static void misses_look_below_no_longer(void **state)
{
    struct bench *b = *state;
    struct shoal_store_stat stat = SHOAL_STORE_STAT_INIT;
    put_n(b->map, 0, KEYS_N, 1, 'a');
    done(shoal_sync(b->map));
    uint64_t before = looks_below(b->map);
    assert_n(b->map, KEYS_N, 2 * KEYS_N, 0);
    assert_true(looks_below(b->map) - before > KEYS_N / 2);
    delete_n(b->map, 0, KEYS_N);
    before = looks_below(b->map);
    assert_n(b->map, KEYS_N, 2 * KEYS_N, 0);
    assert_true(looks_below(b->map) - before > KEYS_N / 2); /* bits stay until somebody takes them away */
    done(shoal_compact(b->map, NULL, NULL));
    before = looks_below(b->map);
    assert_n(b->map, 0, 2 * KEYS_N, 0);
    assert_int_equal(looks_below(b->map), before);
    done(shoal_store_stat(b->map, NULL, &stat));
    assert_int_equal(stat.records, 0);
    assert_true(stat.file_bytes <= 16 * stat.page_bytes);
    put_n(b->map, 0, KEYS_N, 1, 'b');
    assert_n(b->map, 0, KEYS_N, 'b');
    assert_int_equal(count(b->map), KEYS_N);
    done(shoal_compact(b->map, NULL, NULL));
    assert_n(b->map, 0, KEYS_N, 'b');
    assert_sound(b->map);
}

/* A new map over an old store says "perhaps" of every key; compacting makes it exact, so some are told apart. */
static void a_new_map_learns_what_is_below(void **state)
{
    struct bench *b = *state;
    put_n(b->map, 0, 200, 1, 'a');
    done(shoal_sync(b->map));
    shoal_close(b->map);
    done(shoal_unlink(b->path[0]));
    done(create_at(b->path[0], b->frame->path, &b->map));
    uint64_t before = looks_below(b->map);
    assert_n(b->map, KEYS_N, KEYS_N + 500, 0);
    assert_int_equal(looks_below(b->map) - before, 500);
    done(shoal_compact(b->map, NULL, NULL));
    before = looks_below(b->map);
    assert_n(b->map, KEYS_N, KEYS_N + 500, 0);
    assert_true(looks_below(b->map) - before < 250);
    assert_n(b->map, 0, 200, 'a');
    delete_n(b->map, 0, 100);
    put_n(b->map, 1000, 3000, 1, 'c');
    done(shoal_compact(b->map, NULL, NULL));
    assert_n(b->map, 0, 100, 0);
    assert_n(b->map, 100, 200, 'a');
    assert_n(b->map, 1000, 3000, 'c');
    assert_int_equal(count(b->map), 2100);
    assert_sound(b->map);
}

/* -- Beside others ---------------------------------------------------------------------------------------- */

#define WORKERS 3u
#define OWN_KEYS 400u

struct shared {
    _Atomic bool over;
    _Atomic uint64_t rounds[WORKERS];
    _Atomic uint64_t number[WORKERS][OWN_KEYS]; /* what the worker's key was last made to be; 0: absent */
};

/* Each worker alone writes its keys, so whatever it reads must be what it wrote. */
static int work_for_ever(const char *path, struct shared *shared, uint32_t worker)
{
    struct shoal *map;
    uint64_t random = worker + 1;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && shoal_open(path, 0, &map) == 0);
    for (uint64_t number = 1; !atomic_load(&shared->over); number++, atomic_fetch_add(&shared->rounds[worker], 1)) {
        char key[32];
        uint64_t value[20] = { 0 };
        uint32_t i = random_below(&random, OWN_KEYS);
        size_t bytes, n = (size_t)sprintf(key, "worker %u, %u", worker, i);
        uint64_t wanted = atomic_load(&shared->number[worker][i]);
        int rc = shoal_get(map, key, n, value, sizeof value, &bytes);
        CHECK(wanted == 0 ? rc == SHOAL_MISSING : rc == 0 && value[0] == wanted);
        if (random_below(&random, 3) == 0) {
            CHECK(shoal_delete(map, key, n) == (wanted == 0 ? SHOAL_MISSING : 0));
            atomic_store(&shared->number[worker][i], 0);
        } else {
            value[0] = number;
            CHECK(shoal_put(map, key, n, value, sizeof value) == 0);
            atomic_store(&shared->number[worker][i], number);
        }
    }
    shoal_close(map);
    return 0;
}

static void workers_start(struct bench *b, struct shared *shared, pid_t pids[WORKERS])
{
    for (uint32_t w = 0; w < WORKERS; w++)
        if ((pids[w] = child_start()) == 0)
            _exit(work_for_ever(b->path[0], shared, w));
}

static void workers_do(struct shared *shared, uint64_t rounds)
{
    for (uint32_t w = 0; w < WORKERS; w++)
        for (uint64_t from = atomic_load(&shared->rounds[w]); atomic_load(&shared->rounds[w]) < from + rounds;)
            (void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

static void workers_end(struct shared *shared, const pid_t pids[WORKERS])
{
    atomic_store(&shared->over, true);
    for (uint32_t w = 0; w < WORKERS; w++)
        assert_exits(pids[w], "a worker");
}

static void assert_workers(struct bench *b, struct shared *shared)
{
    for (uint32_t w = 0; w < WORKERS; w++)
        for (uint32_t i = 0; i < OWN_KEYS; i++) {
            char key[32];
            uint64_t value[20], wanted = atomic_load(&shared->number[w][i]);
            int rc = shoal_get(b->map, key, (size_t)sprintf(key, "worker %u, %u", w, i), value, sizeof value, NULL);
            assert_int_equal(rc, wanted == 0 ? SHOAL_MISSING : 0);
            assert_true(rc != 0 || value[0] == wanted);
        }
    assert_sound(b->map);
}

/* Bits are taken away and pages moved under those who spill, promote and delete. */
static void others_notice_nothing(void **state)
{
    struct bench *b = *state;
    struct shared *shared = child_memory(sizeof *shared);
    pid_t pids[WORKERS];
    put_n(b->map, 0, 1000, 1, 'x');
    delete_n(b->map, 100, 1000);
    workers_start(b, shared, pids);
    for (int round = 0; round < 25; round++) {
        workers_do(shared, 50);
        done(shoal_compact(b->map, NULL, NULL));
        assert_n(b->map, 0, 100, 'x');
        assert_n(b->map, 100, 300, 0);
    }
    workers_end(shared, pids);
    assert_workers(b, shared);
}

static void who_compacts_a_map_may_die(void **state)
{
    struct bench *b = *state;
    struct shared *shared = child_memory(sizeof *shared);
    uint64_t random = 4, kills = 0;
    pid_t pids[WORKERS];
    workers_start(b, shared, pids);
    for (int round = 0; round < 40; round++) {
        workers_do(shared, 20);
        pid_t pid = child_start();
        if (pid == 0)
            for (;;)
                if (shoal_compact(b->map, NULL, NULL) != 0)
                    _exit(1);
        (void)nanosleep(&(struct timespec){ .tv_nsec = random_below(&random, 10000000) }, NULL);
        int status;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        kills++;
    }
    workers_end(shared, pids);
    done(shoal_compact(b->map, NULL, NULL));
    assert_workers(b, shared);
}

/* -- Backups ---------------------------------------------------------------------------------------------- */

/* What is in the table alone is in the backup too; and a map above the restored store has all of it. */
static void a_map_comes_back_from_its_backup(void **state)
{
    struct bench *b = *state;
    struct shared *shared = child_memory(sizeof *shared);
    struct shoal *map = NULL;
    struct shoal_store_stat stat = SHOAL_STORE_STAT_INIT;
    pid_t pids[WORKERS];
    put_n(b->map, 0, 2000, 1, 'a');
    done(shoal_backup(b->map, b->backup, NULL, NULL));
    workers_start(b, shared, pids);
    for (int round = 0; round < 4; round++) {
        workers_do(shared, 30);
        delete_n(b->map, 0, 100);
        put_n(b->map, 100, 2000, 7, 'b');
        put_n(b->map, 100, 2000, 7, 'c');
        done(shoal_backup(b->map, b->backup, NULL, NULL));
        put_n(b->map, 0, 100, 1, 'z');
    }
    workers_end(shared, pids);
    refused(shoal_backup(b->map, b->frame->path, NULL, NULL), SHOAL_ESTORE, "is a store");
    refused(shoal_restore(b->backup, b->frame->path, NULL, NULL), SHOAL_ESTORE, "is there already");
    refused(create_at(b->path[1], b->backup, &map), SHOAL_ESTORE, "is a backup");
    done(shoal_store_stat(NULL, b->backup, &stat));
    assert_int_equal(stat.backup, 1);
    done(shoal_restore(b->backup, b->restored, NULL, NULL));
    done(create_at(b->path[1], b->restored, &map));
    assert_n(map, 0, 100, 0);
    for (uint32_t i = 100; i < 2000; i++)
        assert_n(map, i, i + 1, (i - 100) % 7 == 0 ? 'c' : 'a');
    assert_sound(map);
    put_n(map, 0, 100, 1, 'q');
    assert_n(map, 0, 100, 'q');
    shoal_close(map);
    assert_n(b->map, 0, 100, 'z');
}

/* Neither the restored store nor the backup is taken for the one that a map was made for. */
static void another_store_is_refused(void **state)
{
    struct bench *b = *state;
    char moved[160];
    put_n(b->map, 0, 1000, 1, 'a');
    done(shoal_backup(b->map, b->backup, NULL, NULL));
    done(shoal_restore(b->backup, b->restored, NULL, NULL));
    shoal_close(b->map);
    b->map = NULL;
    (void)snprintf(moved, sizeof moved, "%s.away", b->frame->path);
    const char *instead[] = { b->restored, b->backup };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rename(b->frame->path, moved), 0);
        assert_int_equal(rename(instead[i], b->frame->path), 0);
        refused(shoal_open(b->path[0], 0, &b->map), SHOAL_ESTORE, i == 0 ? "is another store than the one" : "is a backup");
        refused(shoal_open(b->path[0], SHOAL_RDONLY, &b->map), SHOAL_ESTORE,
                i == 0 ? "is another store than the one" : "is a backup");
        assert_int_equal(rename(b->frame->path, instead[i]), 0);
        assert_int_equal(rename(moved, b->frame->path), 0);
    }
    done(shoal_open(b->path[0], 0, &b->map));
    assert_n(b->map, 0, 1000, 'a');
}

static int stop(uint64_t n, uint64_t total, void *arg)
{
    (void)arg;
    assert_true(n <= total + 64);
    return 5;
}

static void arguments_are_judged(void **state)
{
    struct bench *b = *state;
    struct shoal_store_stat stat = SHOAL_STORE_STAT_INIT;
    struct shoal *map;
    put_n(b->map, 0, 3000, 1, 'a');
    refused(shoal_backup(b->map, NULL, NULL, NULL), SHOAL_EINVAL, "no directory is given");
    refused(shoal_backup(b->map, "", NULL, NULL), SHOAL_EINVAL, "no directory is given");
    refused(shoal_restore(NULL, b->restored, NULL, NULL), SHOAL_EINVAL, "no directory is given");
    refused(shoal_restore(b->backup, "", NULL, NULL), SHOAL_EINVAL, "no directory is given");
    refused(shoal_restore(b->backup, b->restored, NULL, NULL), SHOAL_ESTORE, "backup");
    refused(shoal_store_stat(NULL, NULL, &stat), SHOAL_EINVAL, "one of them");
    refused(shoal_store_stat(b->map, b->backup, &stat), SHOAL_EINVAL, "one of them");
    refused(shoal_store_stat(NULL, b->backup, &stat), SHOAL_ESTORE, "backup");
    stat.size = 3;
    refused(shoal_store_stat(b->map, NULL, &stat), SHOAL_EINVAL, "not initialised");
    assert_int_equal(shoal_compact(b->map, stop, NULL), 5);
    assert_int_equal(shoal_backup(b->map, b->backup, stop, NULL), 5);
    done(shoal_backup(b->map, b->backup, NULL, NULL));
    assert_int_equal(shoal_restore(b->backup, b->restored, stop, NULL), 5);
    assert_n(b->map, 0, 3000, 'a');
    done(shoal_open(b->path[0], SHOAL_RDONLY, &map));
    refused(shoal_compact(map, NULL, NULL), SHOAL_EREADONLY, "SHOAL_RDONLY");
    refused(shoal_backup(map, b->backup, NULL, NULL), SHOAL_EREADONLY, "SHOAL_RDONLY");
    shoal_close(map);
    done(shoal_create(b->path[1], NULL, &map));
    refused(shoal_compact(map, NULL, NULL), SHOAL_EINVAL, "has no store to compact with");
    refused(shoal_backup(map, b->backup, NULL, NULL), SHOAL_EINVAL, "has no store to back up with");
    shoal_close(map);
}

int main(void)
{
#define CARE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        CARE_TEST(misses_look_below_no_longer),
        CARE_TEST(a_new_map_learns_what_is_below),
        CARE_TEST(others_notice_nothing),
        CARE_TEST(who_compacts_a_map_may_die),
        CARE_TEST(a_map_comes_back_from_its_backup),
        CARE_TEST(another_store_is_refused),
        CARE_TEST(arguments_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
