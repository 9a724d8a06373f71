/* SPDX-License-Identifier: MIT
 *
 * A store made smaller beside readers, walkers and writers; who does it dies anywhere, or finds the disk full
 * (store.h: store_compact; guarantees C, F).
 */
#include "store/frame.h"

#include <errno.h>
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
#include "store/file.h"

#define KEYS_N 800u

static void done(int rc)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, shoal_error_text());
}

/* -- A call on the files that fails, or is the last ------------------------------------------------------- */

static int calls_left; /* 0: all do what they should */
static int calls_why;  /* 0: death */

static int arrive(void)
{
    if (calls_left == 0 || --calls_left > 0)
        return 0;
    if (calls_why == 0)
        (void)kill(getpid(), SIGKILL);
    return calls_why;
}

int __real_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at)
{
    int why = arrive();
    return why != 0 ? why : __real_file_write(file, parts, parts_n, at);
}

int __real_file_flush(int file);
int __wrap_file_flush(int file);
int __wrap_file_flush(int file)
{
    int why = __real_file_flush(file);
    if (calls_why == 0)
        (void)arrive();
    return why;
}

/* -- Contents --------------------------------------------------------------------------------------------- */

/* Many keys, with a value in runs now and then; most of them go, by chance. */
static struct contents *sparse_make(struct store *store, uint64_t seed, uint32_t stays_of_100)
{
    struct contents *contents = calloc(1, sizeof *contents);
    uint64_t random = seed;
    contents->keys_n = KEYS_N;
    for (uint32_t i = 0; i < KEYS_N;) {
        done(store_lock(store, 1000));
        for (uint32_t end = i + 100; i < end; i++)
            contents_put(contents, store, i, random_next(&random) | 1,
                         random_below(&random, random_below(&random, 40) == 0 ? 200000 : 700));
        done(store_publish(store));
        store_unlock(store);
    }
    for (uint32_t i = 0; i < KEYS_N;) {
        done(store_lock(store, 1000));
        for (uint32_t end = i + 100; i < end; i++)
            if (random_below(&random, 100) >= stays_of_100)
                contents_delete(contents, store, i);
        done(store_commit(store));
        store_unlock(store);
    }
    return contents;
}

static uint64_t file_bytes(struct store *store)
{
    struct store_stat stat;
    done(store_stat(store, &stat));
    return stat.file_bytes;
}

/* The file has at most an eighth more pages than are in use, and a few; buckets are a third full at least. */
static void assert_small(struct store *store)
{
    struct store_stat stat;
    done(store_stat(store, &stat));
    uint64_t live = stat.pages_n - stat.free_n - stat.held_n;
    if (stat.pages_n > live + live / 8 + 32 || stat.file_bytes > stat.pages_n * 4096)
        fail_msg("%llu pages in use of %llu, a file of %llu", (unsigned long long)live, (unsigned long long)stat.pages_n,
                 (unsigned long long)stat.file_bytes / 4096);
    assert_true(live * 4096 < 3 * stat.record_bytes + 64 * stat.records_n + 40 * 4096);
}

/* -- Alone ------------------------------------------------------------------------------------------------- */

static void a_sparse_file_gets_small(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame);
    for (uint32_t stays = 0; stays <= 100; stays += 20) {
        struct contents *contents = sparse_make(store, stays + 1, stays);
        uint64_t before = file_bytes(store);
        done(store_compact(store, NULL, NULL));
        assert_true(file_bytes(store) <= before);
        assert_small(store);
        frame_close(frame);
        machine_starts_again();
        store = frame_open(frame);
        assert_contents(store, contents);
        done(store_compact(store, NULL, NULL)); /* again, with nothing to do */
        assert_small(store);
        done(store_lock(store, 1000)); /* and the next ones find their place */
        for (uint32_t i = 0; i < KEYS_N; i++)
            contents_delete(contents, store, i);
        done(store_commit(store));
        store_unlock(store);
        free(contents);
    }
}

static int stop(uint64_t n, uint64_t total, void *arg)
{
    uint64_t *left = arg;
    assert_true(n <= total);
    return (*left)-- == 0 ? 77 : 0;
}

static void who_watches_may_end_it(void **state)
{
    struct store *store = frame_open(*state);
    struct contents *contents = sparse_make(store, 3, 30);
    for (uint64_t at = 0; at < 3; at++) {
        uint64_t left = at;
        int rc = store_compact(store, stop, &left);
        assert_true(rc == 77 || (at > 0 && rc == 0));
        assert_contents(store, contents);
    }
    done(store_compact(store, NULL, NULL));
    assert_small(store);
    free(contents);
}

static void not_while_it_is_copied(void **state)
{
    struct store *store = frame_open(*state);
    struct contents *contents = sparse_make(store, 3, 30);
    struct store_pin *pin;
    done(store_lock(store, 1000));
    done(store_pin(store, &pin));
    store_unlock(store);
    assert_store_refused(store_compact(store, NULL, NULL), SHOAL_EFULL, "while it is copied (1 backups)");
    done(store_pin_check(pin));
    store_unpin(pin);
    done(store_compact(store, NULL, NULL));
    assert_small(store);
    assert_contents(store, contents);
    free(contents);
}

/* -- Failures ---------------------------------------------------------------------------------------------- */

/* Each write fails in turn, as on a full disk and on a broken one: what was there is there, and it can be tried again. */
static void a_full_disk_loses_nothing(void **state)
{
    struct store *store = frame_open(*state);
    struct contents *contents = sparse_make(store, 5, 30);
    uint64_t failed = 0;
    for (int calls = 1; calls < 400; calls += calls < 12 ? 1 : 11) {
        calls_left = calls;
        calls_why = calls % 2 == 0 ? ENOSPC : EIO;
        int rc = store_compact(store, NULL, NULL), why = calls_why;
        bool hit = calls_left == 0;
        calls_left = 0;
        if (!hit)
            break;
        failed += rc != 0;
        if (rc != 0 && strstr(shoal_error_text(), "could not be written") == NULL)
            assert_store_refused(rc, why == ENOSPC ? SHOAL_EFULL : SHOAL_ESTORE, "pages, page ");
        assert_contents(store, contents);
    }
    assert_true(failed > 5);
    done(store_compact(store, NULL, NULL));
    assert_small(store);
    assert_contents(store, contents);
    free(contents);
}

/* Dead at each call in turn; the machine goes too, now and then. */
static void who_compacts_may_die(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame);
    struct contents *contents = sparse_make(store, 7, 25);
    int kills = 0;
    for (int calls = 1;; calls += calls < 12 ? 1 : 9) {
        pid_t pid = child_start();
        if (pid == 0) {
            struct store *own;
            int rc = store_open(frame->path, 0, &own);
            calls_left = calls;
            calls_why = 0;
            _exit(rc == 0 ? (store_compact(own, NULL, NULL) == 0 ? 0 : 1) : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (kills % 3 == 0) {
            frame_close(frame);
            machine_starts_again();
            store = frame_open(frame);
        }
        assert_contents(store, contents);
        kills++;
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            break;
        }
    }
    assert_true(kills > 10);
    assert_small(store);
    free(contents);
}

/* -- Beside others ----------------------------------------------------------------------------------------- */

struct shared {
    _Atomic bool over;
    _Atomic uint64_t rounds[3];
};

static int read_for_ever(const char *path, struct shared *shared, const struct contents *contents)
{
    static uint8_t key[KEY_ROOM], value[262144], expected[262144];
    struct store *store;
    uint64_t random = 5;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && store_open(path, STORE_RDONLY, &store) == 0);
    for (; !atomic_load(&shared->over); atomic_fetch_add(&shared->rounds[0], 1)) {
        struct store_record record;
        uint32_t i = random_below(&random, KEYS_N);
        int rc = store_get(store, key, key_make(i, key), value, sizeof value, &record);
        CHECK(rc == (contents->key[i].seed == 0 ? SHOAL_MISSING : 0));
        if (rc != 0)
            continue;
        value_make(contents->key[i].seed, contents->key[i].bytes, expected);
        CHECK(record.value_bytes == contents->key[i].bytes && memcmp(value, expected, record.value_bytes) == 0);
    }
    store_close(store);
    return 0;
}

/* Each key that stays is met once in each walk; those of the writer may or may not be. */
static int walk_for_ever(const char *path, struct shared *shared, uint64_t present)
{
    struct store *store;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && store_open(path, STORE_RDONLY, &store) == 0);
    for (; !atomic_load(&shared->over); atomic_fetch_add(&shared->rounds[1], 1)) {
        struct store_walk *walk;
        struct store_record record;
        uint64_t hash, n = 0;
        int rc;
        CHECK(store_walk_open(store, 0, &walk) == 0);
        while ((rc = store_walk_next(walk, &hash, &record)) == 0)
            n += record.key_bytes < 9 || memcmp(record.key, "writer's ", 9) != 0;
        CHECK(rc == SHOAL_END && n == present);
        store_walk_close(walk);
    }
    store_close(store);
    return 0;
}

static int write_for_ever(const char *path, struct shared *shared)
{
    static uint8_t value[3000];
    struct store *store;
    uint64_t random = 9, number[20] = { 0 };
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && store_open(path, 0, &store) == 0);
    for (; !atomic_load(&shared->over); atomic_fetch_add(&shared->rounds[2], 1)) {
        char key[32];
        struct store_record record;
        uint32_t i = random_below(&random, 20);
        size_t n = (size_t)snprintf(key, sizeof key, "writer's %u", i);
        CHECK(store_lock(store, 2000) == 0); /* compacting gives way */
        int rc = store_look(store, key, n, value, sizeof value, &record);
        CHECK(number[i] == 0 ? rc == SHOAL_MISSING : rc == 0 && memcmp(value, &number[i], 8) == 0);
        number[i] = random_next(&random) | 1;
        memcpy(value, &number[i], 8);
        CHECK(store_put(store, &(struct store_record){ .key = key, .key_bytes = n, .value = value,
                                                       .value_bytes = 8 + random_below(&random, 2900) }, NULL) == 0);
        CHECK((random_below(&random, 8) == 0 ? store_commit(store) : store_publish(store)) == 0);
        store_unlock(store);
    }
    store_close(store);
    return 0;
}

static void others_go_on(void **state)
{
    struct frame *frame = *state;
    struct shared *shared = child_memory(sizeof *shared);
    struct store *store = frame_open(frame);
    struct contents *contents = sparse_make(store, 21, 30);
    uint64_t present = 0;
    pid_t pids[3];
    for (uint32_t i = 0; i < KEYS_N; i++)
        present += contents->key[i].seed != 0;
    for (int i = 0; i < 3; i++)
        if ((pids[i] = child_start()) == 0)
            _exit(i == 0   ? read_for_ever(frame->path, shared, contents)
                  : i == 1 ? walk_for_ever(frame->path, shared, present)
                           : write_for_ever(frame->path, shared));
    for (int round = 0; round < 8; round++) {
        uint64_t rounds[3];
        for (int i = 0; i < 3; i++)
            rounds[i] = atomic_load(&shared->rounds[i]);
        done(store_compact(store, NULL, NULL));
        for (int i = 0; i < 3; i++)
            while (atomic_load(&shared->rounds[i]) == rounds[i])
                (void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
        done(store_lock(store, 5000)); /* something to do for the next one; readers see the same values */
        for (uint32_t i = 0; i < KEYS_N; i++)
            if (contents->key[i].seed != 0 && (i + (uint32_t)round) % 5 == 0)
                contents_put(contents, store, i, contents->key[i].seed, contents->key[i].bytes);
        done(store_publish(store));
        store_unlock(store);
    }
    atomic_store(&shared->over, true);
    for (int i = 0; i < 3; i++)
        assert_exits(pids[i], "another one");
    assert_store_sound(store);
    done(store_compact(store, NULL, NULL));
    assert_small(store);
    free(contents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(a_sparse_file_gets_small),
        FRAME_TEST(who_watches_may_end_it),
        FRAME_TEST(not_while_it_is_copied),
        FRAME_TEST(a_full_disk_loses_nothing),
        FRAME_TEST(who_compacts_may_die),
        FRAME_TEST(others_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
