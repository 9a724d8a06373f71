/* SPDX-License-Identifier: MIT
 *
 * Several processes on one store: transactions are whole whoever dies in the middle of one, readers wait for nobody, and
 * who waits for a writer learns for whom (guarantees B, C, D).
 */
#include "store/frame.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/random.h"
#include "store/board.h"
#include "store/file.h"

/* -- Waiting for the lock ------------------------------------------------------------------------------------- */

static int most_ms = INT_MAX;

int __real_board_lock(struct board *board, int timeout_ms);
int __wrap_board_lock(struct board *board, int timeout_ms);
int __wrap_board_lock(struct board *board, int timeout_ms)
{
    return __real_board_lock(board, timeout_ms < most_ms ? timeout_ms : most_ms);
}

/* -- Death at a call on the files --------------------------------------------------------------------------- */

static int calls_left; /* 0: none is the last */

static void maybe_die(void)
{
    if (calls_left > 0 && --calls_left == 0)
        (void)kill(getpid(), SIGKILL);
}

int __real_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at)
{
    int why = __real_file_write(file, parts, parts_n, at);
    maybe_die();
    return why;
}

int __real_file_flush(int file);
int __wrap_file_flush(int file);
int __wrap_file_flush(int file)
{
    int why = __real_file_flush(file);
    maybe_die();
    return why;
}

/* -- Groups: keys that each transaction gives one number, and a value that the number makes ----------------- */

#define GROUP_KEYS 8u
#define WRITERS 3u

struct shared {
    _Atomic uint64_t published[WRITERS], committed[WRITERS]; /* what returned */
    _Atomic bool over;
};

struct group_key {
    uint32_t writer, i;
};

/* Some of them in runs. */
static uint64_t group_bytes(uint64_t number, uint32_t i) { return 8 + (i == 5 ? number % 9000 : number % 200); }

static int group_put(struct store *store, uint32_t writer, uint64_t number)
{
    static uint8_t value[16384];
    for (uint32_t i = 0; i < GROUP_KEYS; i++) {
        struct group_key key = { writer, i };
        uint64_t bytes = group_bytes(number, i);
        value_make(number * 16 + i + 1, bytes, value);
        memcpy(value, &number, sizeof number);
        int rc = store_put(store, &(struct store_record){ .key = &key, .key_bytes = sizeof key, .value = value,
                                                          .value_bytes = bytes }, NULL);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void group_publish(struct store *store, uint64_t number)
{
    assert_int_equal(store_lock(store, 5000), 0);
    assert_int_equal(group_put(store, 0, number), 0);
    assert_int_equal(store_publish(store), 0);
    store_unlock(store);
}

/* The number that a value of the key says, if it is that number's value. */
static bool group_value(uint32_t i, const uint8_t *value, uint64_t bytes, uint64_t *ret_number)
{
    static uint8_t expected[16384];
    if (bytes < sizeof *ret_number)
        return false;
    memcpy(ret_number, value, sizeof *ret_number);
    if (bytes != group_bytes(*ret_number, i))
        return false;
    value_make(*ret_number * 16 + i + 1, bytes, expected);
    memcpy(expected, ret_number, sizeof *ret_number);
    return memcmp(value, expected, bytes) == 0;
}

/* By the holder: all keys of the group have one number, which is returned; 0: none is there. */
static uint64_t group_number(struct store *store, uint32_t writer)
{
    static uint8_t value[16384];
    uint64_t first = 0;
    for (uint32_t i = 0; i < GROUP_KEYS; i++) {
        struct group_key key = { writer, i };
        struct store_record record;
        uint64_t number = 0;
        int rc = store_look(store, &key, sizeof key, value, sizeof value, &record);
        if (rc == 0)
            assert_true(group_value(i, value, record.value_bytes, &number));
        else if (rc != SHOAL_MISSING)
            fail_msg("look: %d, %s", rc, shoal_error_text());
        if (i == 0)
            first = number;
        assert_int_equal(number, first);
    }
    return first;
}

/* -- Children --------------------------------------------------------------------------------------------- */

static int write_for_ever(struct frame *frame, struct shared *shared, uint32_t writer, uint64_t number)
{
    struct store *store;
    CHECK(store_open(frame->path, 0, &store) == 0);
    for (;; number++) {
        CHECK(store_lock(store, 60000) == 0);
        CHECK(group_put(store, writer, number) == 0);
        bool durable = number % 16 == 0;
        if (number % 5 == 0)
            store_abort(store);
        else
            CHECK((durable ? store_commit(store) : store_publish(store)) == 0);
        if (number % 5 != 0) {
            atomic_store(&shared->published[writer], number);
            if (durable)
                atomic_store(&shared->committed[writer], number);
        }
        store_unlock(store);
    }
}

static int read_for_ever(struct frame *frame, struct shared *shared)
{
    static uint8_t value[16384];
    struct store *store;
    uint64_t random = 5;
    CHECK(store_open(frame->path, STORE_RDONLY, &store) == 0);
    while (!atomic_load(&shared->over)) {
        struct group_key key = { random_below(&random, WRITERS), random_below(&random, GROUP_KEYS) };
        struct store_record record;
        uint64_t number, before = atomic_load(&shared->published[key.writer]);
        int rc = store_get(store, &key, sizeof key, value, sizeof value, &record);
        if (rc == SHOAL_MISSING) {
            CHECK(before == 0);
            continue;
        }
        CHECK(rc == 0);
        CHECK(group_value(key.i, value, record.value_bytes, &number));
        CHECK(number >= before);
    }
    store_close(store);
    return 0;
}

static pid_t writer_start(struct frame *frame, struct shared *shared, uint32_t writer, uint64_t number)
{
    pid_t pid = child_start();
    if (pid == 0)
        _exit(write_for_ever(frame, shared, writer, number));
    return pid;
}

/* -- Tests ------------------------------------------------------------------------------------------------ */

static void transactions_are_whole_whoever_dies(void **state)
{
    enum { KILLS = 150 };
    struct frame *frame = *state;
    struct shared *shared = child_memory(sizeof *shared);
    struct store *store = frame_open(frame);
    uint64_t random = 3;
    pid_t writers[WRITERS], readers[2];
    for (uint32_t w = 0; w < WRITERS; w++)
        writers[w] = writer_start(frame, shared, w, 1);
    for (uint32_t r = 0; r < 2; r++)
        if ((readers[r] = child_start()) == 0)
            _exit(read_for_ever(frame, shared));
    for (int kills = 0; kills < KILLS; kills++) {
        uint32_t w = random_below(&random, WRITERS);
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000 + random_below(&random, 4000000) }, NULL);
        assert_int_equal(kill(writers[w], SIGKILL), 0);
        assert_int_equal(waitpid(writers[w], NULL, 0), writers[w]);
        uint64_t returned = atomic_load(&shared->published[w]);
        assert_int_equal(store_lock(store, 60000), 0);
        uint64_t number = group_number(store, w);
        assert_true(number >= returned && number <= returned + 2);
        for (uint32_t other = 0; other < WRITERS; other++)
            (void)group_number(store, other);
        store_unlock(store);
        if (kills % 10 == 0)
            assert_store_sound(store);
        atomic_store(&shared->published[w], number);
        writers[w] = writer_start(frame, shared, w, number + 1);
    }
    atomic_store(&shared->over, true);
    for (uint32_t r = 0; r < 2; r++)
        assert_exits(readers[r], "a reader");
    for (uint32_t w = 0; w < WRITERS; w++) {
        assert_int_equal(kill(writers[w], SIGKILL), 0);
        (void)waitpid(writers[w], NULL, 0);
    }
    frame_close(frame);
    machine_starts_again(); /* and what was committed is there */
    store = frame_open(frame);
    assert_int_equal(store_lock(store, 1000), 0);
    for (uint32_t w = 0; w < WRITERS; w++)
        assert_true(group_number(store, w) >= atomic_load(&shared->committed[w]));
    store_unlock(store);
    assert_store_sound(store);
}

/* Dead behind each write and flush of a transaction: it was, or it never was, and what comes behind it is sound. */
static void every_call_may_be_the_last(void **state)
{
    struct frame *frame = *state;
    struct shared *shared = child_memory(sizeof *shared);
    struct store *store = frame_open(frame);
    uint64_t number = 1;
    for (int durable = 0; durable < 2; durable++) {
        bool finished = false;
        for (int calls = 1; !finished; calls++) {
            pid_t pid = child_start();
            if (pid == 0) {
                int rc = store_lock(store, 1000);
                calls_left = calls;
                if (rc == 0)
                    rc = group_put(store, 0, number);
                if (rc == 0)
                    rc = durable ? store_commit(store) : store_publish(store);
                if (rc == 0)
                    atomic_store(&shared->published[0], number);
                _exit(rc == 0 ? 0 : 1);
            }
            int status;
            assert_int_equal(waitpid(pid, &status, 0), pid);
            finished = WIFEXITED(status);
            assert_true(finished ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
            assert_true(calls < 100);
            assert_int_equal(store_lock(store, 1000), 0);
            uint64_t found = group_number(store, 0);
            assert_true(finished ? found == number : found == number || found == number - 1);
            number = found + 1;
            assert_int_equal(group_put(store, 1, number), 0);
            assert_int_equal(store_publish(store), 0);
            assert_int_equal(group_number(store, 0), found);
            store_unlock(store);
            assert_store_sound(store);
        }
        assert_true(number > 1);
    }
}

/* Whoever commits, what others have published is what becomes durable. */
static void a_commit_of_nothing_new_is_of_what_others_published(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame), *other;
    assert_int_equal(store_open(frame->path, 0, &other), 0);
    for (uint64_t number = 1; number < 20; number += 2) {
        group_publish(store, number);
        group_publish(other, number + 1);
        assert_int_equal(store_lock(store, 1000), 0);
        assert_int_equal(store_commit(store), 0);
        assert_int_equal(group_number(store, 0), number + 1);
        store_unlock(store);
        assert_int_equal(store_lock(other, 1000), 0);
        assert_int_equal(group_number(other, 0), number + 1);
        store_unlock(other);
        assert_store_sound(other);
    }
    store_close(other);
}

/* Who stops with the lock in his hand keeps writers out, by name, and nobody else. */
/* Who wants to say whose the store is, to make one in the same directory, or to restore one there. */
static void assert_openers_are_told(struct frame *frame, const char *backup, const char *part)
{
    char pages[sizeof frame->path + 16], away[sizeof frame->path + 16];
    struct store *none;
    (void)snprintf(pages, sizeof pages, "%s/pages", frame->path);
    (void)snprintf(away, sizeof away, "%s/away", frame->path);
    most_ms = 50;
    assert_store_refused(store_bind(frame->store, 7, "a map"), SHOAL_ESTORE, part);
    assert_store_refused(store_restore(backup, frame->path, NULL, NULL), SHOAL_ESTORE, part);
    assert_int_equal(rename(pages, away), 0);
    assert_store_refused(store_open(frame->path, STORE_CREATE, &none), SHOAL_ESTORE, part);
    assert_int_equal(rename(away, pages), 0);
    most_ms = INT_MAX;
}

static void a_stopped_holder_is_named(void **state)
{
    struct frame *frame = *state;
    struct shared *shared = child_memory(sizeof *shared);
    struct store *store = frame_open(frame);
    char part[64], backup[sizeof frame->dir + 16];
    group_publish(store, 1);
    (void)snprintf(backup, sizeof backup, "%s/backup", frame->dir);
    assert_int_equal(store_backup(store, backup, NULL, NULL), 0);
    pid_t pid = child_start();
    if (pid == 0) {
        struct store *own;
        if (store_open(frame->path, 0, &own) == 0 && store_lock(own, 1000) == 0 && group_put(own, 0, 2) == 0)
            atomic_store(&shared->published[0], 1);
        raise(SIGSTOP);
        _exit(store_publish(own) == 0 ? 0 : 1);
    }
    while (atomic_load(&shared->published[0]) == 0)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    (void)snprintf(part, sizeof part, "process %d (", (int)pid);
    assert_store_refused(store_lock(store, 50), SHOAL_EFULL, part);
    assert_openers_are_told(frame, backup, part);
    dir_clear(backup);
    struct group_key key = { 0, 5 };
    static uint8_t value[16384];
    struct store_record record;
    uint64_t number = 0;
    assert_int_equal(store_get(store, &key, sizeof key, value, sizeof value, &record), 0);
    assert_true(group_value(5, value, record.value_bytes, &number) && number == 1);
    int status;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_exits(pid, "the holder");
    assert_int_equal(store_lock(store, 1000), 0); /* it ended with the lock in its hand */
    assert_int_equal(group_number(store, 0), 2);
    store_unlock(store);
}

/* A handle from before the fork serves both. */
static void a_forked_child_goes_on(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame);
    group_publish(store, 1);
    pid_t pid = child_start();
    if (pid == 0) {
        int rc = store_lock(store, 5000);
        for (uint64_t number = 2; rc == 0 && number < 50; number++) {
            rc = group_put(store, 1, number);
            if (rc == 0)
                rc = store_publish(store);
            store_unlock(store);
            if (rc == 0)
                rc = store_lock(store, 5000);
        }
        _exit(rc == 0 ? 0 : 1); /* with the lock */
    }
    for (uint64_t number = 2; number < 50; number++)
        group_publish(store, number);
    assert_exits(pid, "the child");
    assert_int_equal(store_lock(store, 1000), 0);
    assert_int_equal(group_number(store, 0), 49);
    assert_int_equal(group_number(store, 1), 49);
    store_unlock(store);
    assert_store_sound(store);
}

/* A child that was forked in the middle of a transaction does not keep its parent's lock. */
static void a_childs_life_holds_no_lock(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame);
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t parent = child_start();
    if (parent == 0) {
        pid_t child = -1;
        if (store_lock(store, 1000) == 0 && group_put(store, 0, 1) == 0 && (child = fork()) == 0) {
            pause(); /* ended by the test */
            _exit(0);
        }
        if (write(pipes[1], &child, sizeof child) != sizeof child)
            _exit(1);
        raise(SIGKILL);
    }
    pid_t child = -1;
    assert_int_equal(read(pipes[0], &child, sizeof child), sizeof child);
    assert_true(child > 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(store_lock(store, 5000), 0);
    assert_int_equal(group_number(store, 0), 0);
    store_unlock(store);
    assert_int_equal(kill(child, SIGKILL), 0);
    close(pipes[0]);
    close(pipes[1]);
}

/* The file `lock` may be lost: writers agree on a new one, and the store is what it was. */
static void a_lost_lock_file_is_made_again(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame), *other;
    char name[128];
    (void)snprintf(name, sizeof name, "%s/lock", frame->path);
    assert_int_equal(store_open(frame->path, 0, &other), 0);
    for (uint64_t number = 1; number < 30; number++) {
        struct store *writer = number % 2 == 0 ? store : other;
        assert_int_equal(store_lock(writer, 1000), 0);
        assert_int_equal(number == 1 ? 0 : group_number(writer, 0), number - 1);
        assert_int_equal(group_put(writer, 0, number), 0);
        assert_int_equal(number % 4 == 0 ? store_commit(writer) : store_publish(writer), 0);
        store_unlock(writer);
        if (number % 3 == 0)
            assert_int_equal(unlink(name), 0);
    }
    assert_store_sound(store);
    assert_store_sound(other);
    store_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(transactions_are_whole_whoever_dies),
        FRAME_TEST(every_call_may_be_the_last),
        FRAME_TEST(a_commit_of_nothing_new_is_of_what_others_published),
        FRAME_TEST(a_stopped_holder_is_named),
        FRAME_TEST(a_forked_child_goes_on),
        FRAME_TEST(a_childs_life_holds_no_lock),
        FRAME_TEST(a_lost_lock_file_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
