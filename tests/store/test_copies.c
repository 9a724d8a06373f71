/* SPDX-License-Identifier: MIT
 *
 * Roots that are pinned, backups of them and stores made from backups (store.h), beside writers that never stop, and
 * whoever dies in the middle (guarantees C, E, F).
 */
#include "store/frame.h"

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
#include "base/os.h"
#include "lib/random.h"
#include "store/board.h"
#include "store/page.h"

#define KEYS_N 400u

static void done(int rc)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, shoal_error_text());
}

static struct contents *contents_new(void)
{
    struct contents *contents = calloc(1, sizeof *contents);
    contents->keys_n = KEYS_N;
    return contents;
}

/* Some changes of any kind; a few of the values are in runs. */
static void change(struct contents *contents, struct store *store, uint64_t *random, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t key = random_below(random, KEYS_N);
        uint64_t seed = random_next(random) | 1;
        if (random_below(random, 5) == 0)
            contents_delete(contents, store, key);
        else
            contents_put(contents, store, key, seed, random_below(random, random_below(random, 20) == 0 ? 30000 : 600));
    }
}

static void change_and(struct contents *contents, struct store *store, uint64_t *random, uint32_t n, int end(struct store *))
{
    done(store_lock(store, 5000));
    change(contents, store, random, n);
    done(end(store));
    store_unlock(store);
}

static const char *path_of(struct frame *frame, const char *last)
{
    static char path[4][160];
    static unsigned i;
    char *to = path[i++ % 4];
    (void)snprintf(to, sizeof path[0], "%s/%s", frame->dir, last);
    return to;
}

static const char *file_of(const char *directory, const char *last)
{
    static char path[4][192];
    static unsigned i;
    char *to = path[i++ % 4];
    (void)snprintf(to, sizeof path[0], "%s/%s", directory, last);
    return to;
}

static void clear(const char *directory)
{
    if (access(directory, F_OK) != 0)
        return;
    dir_clear(directory);
    (void)rmdir(directory);
}

static int teardown(void **state)
{
    struct frame *frame = *state;
    clear(path_of(frame, "backup"));
    clear(path_of(frame, "other"));
    clear(path_of(frame, "restored"));
    return frame_teardown(state);
}
#define COPY_TEST(fn) cmocka_unit_test_setup_teardown(fn, frame_setup, teardown)

/* -- Pins --------------------------------------------------------------------------------------- */

static struct store_pin *pin_now(struct store *store)
{
    struct store_pin *pin;
    done(store_lock(store, 5000));
    done(store_pin(store, &pin));
    store_unlock(store);
    return pin;
}

/* Whatever writers do with the pages that are free, what a pinned root leads to stays; then it comes back. */
static void a_pinned_root_stays(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame);
    struct contents *contents = contents_new();
    struct store_stat before, after;
    uint64_t random = 11;
    change_and(contents, store, &random, 300, store_commit);
    for (int round = 0; round < 12; round++) {
        struct store_pin *pins[3];
        change_and(contents, store, &random, 50, round % 3 == 0 ? store_commit : store_publish);
        for (int p = 0; p < 3; p++) {
            pins[p] = pin_now(store);
            for (int i = 0; i < 6; i++)
                change_and(contents, store, &random, 20, random_below(&random, 3) == 0 ? store_commit : store_publish);
        }
        done(store_stat(store, &before));
        assert_int_equal(before.pins_n, 3);
        for (int p = 0; p < 3; p++) { /* not in the order in which they were made */
            int which = (p + round) % 3;
            for (int q = p; q < 3; q++)
                done(store_pin_check(pins[(q + round) % 3]));
            store_unpin(pins[which]);
            for (int i = 0; i < 4; i++)
                change_and(contents, store, &random, 20, i % 2 == 0 ? store_commit : store_publish);
        }
        assert_contents(store, contents);
    }
    for (int i = 0; i < 3; i++)
        change_and(contents, store, &random, 300, store_commit);
    done(store_stat(store, &after));
    assert_int_equal(after.pins_n, 0);
    assert_true(after.pages_n - after.free_n - after.held_n > 3 * after.held_n / 4); /* none are kept for anybody */
    frame_close(frame);
    machine_starts_again();
    assert_contents(frame_open(frame), contents);
    free(contents);
}

/* A pin does not keep what was committed behind it from being known as durable: the machine comes back to it. */
static void a_commit_beside_a_pin_is_durable(void **state)
{
    struct frame *frame = *state;
    struct contents *contents = contents_new(), *committed = malloc(sizeof *committed);
    uint64_t random = 3;
    change_and(contents, frame_open(frame), &random, 300, store_commit);
    for (int life = 0; life < 6; life++) {
        struct store_pin *pin = pin_now(frame->store);
        for (int i = 0; i < 3; i++)
            change_and(contents, frame->store, &random, 30, store_commit);
        *committed = *contents;
        for (int i = 0; i < 4; i++)
            change_and(contents, frame->store, &random, 30, store_publish);
        done(store_pin_check(pin));
        store_unpin(pin);
        frame_close(frame);
        machine_starts_again();
        assert_contents(frame_open(frame), committed);
        *contents = *committed;
    }
    free(contents);
    free(committed);
}

/* A pin ends with its owner; a child that is forked meanwhile does not keep it. */
static void a_dead_ones_pin_is_none(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame);
    struct contents *contents = contents_new();
    struct store_stat stat;
    uint64_t random = 5;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    change_and(contents, store, &random, 300, store_commit);
    for (int round = 0; round < 2 * (int)BOARD_PINS; round++) {
        pid_t child = -1, owner = child_start();
        if (owner == 0) {
            struct store *own;
            if (store_open(frame->path, 0, &own) == 0 && pin_now(own) != NULL && round == 0 && (child = fork()) > 0)
                (void)pause(); /* the child says so when it has closed what it inherited: behind its fork */
            child = child == 0 ? getpid() : -1;
            if (write(pipes[1], &child, sizeof child) != sizeof child)
                _exit(1);
            (void)pause(); /* ended by the test */
            _exit(0);
        }
        assert_int_equal(read(pipes[0], &child, sizeof child), sizeof child);
        done(store_stat(store, &stat));
        assert_int_equal(stat.pins_n, 1);
        assert_int_equal(kill(owner, SIGKILL), 0);
        assert_int_equal(waitpid(owner, NULL, 0), owner);
        done(store_stat(store, &stat));
        assert_int_equal(stat.pins_n, 0);
        change_and(contents, store, &random, 20, store_commit);
        if (child > 0)
            assert_int_equal(kill(child, SIGKILL), 0);
    }
    assert_contents(store, contents);
    close(pipes[0]);
    close(pipes[1]);
    free(contents);
}

static void pins_are_few_and_a_lost_one_says_so(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame);
    struct contents *contents = contents_new();
    struct store_pin *pins[BOARD_PINS], *more;
    uint64_t random = 5;
    change_and(contents, store, &random, 300, store_publish);
    for (unsigned i = 0; i < BOARD_PINS; i++)
        pins[i] = pin_now(store);
    done(store_lock(store, 1000));
    assert_store_refused(store_pin(store, &more), SHOAL_EFULL, "8 backups are being made of it already");
    change(contents, store, &random, 1);
    assert_store_refused(store_pin(store, &more), SHOAL_EINVAL, "not published");
    done(store_publish(store));
    store_unlock(store);
    assert_int_equal(unlink(file_of(frame->path, "lock")), 0);
    for (int i = 0; i < 8; i++)
        change_and(contents, store, &random, 200, store_commit);
    assert_store_refused(store_pin_check(pins[0]), SHOAL_ESTORE, "its lock file was deleted while it was copied");
    for (unsigned i = 0; i < BOARD_PINS; i++)
        store_unpin(pins[i]);
    assert_contents(store, contents);
    free(contents);
}

/* -- Backups ------------------------------------------------------------------------------------ */

static void assert_backup_holds(const char *directory, const struct contents *contents)
{
    struct store *store;
    struct store_stat stat;
    done(store_open(directory, STORE_RDONLY, &store));
    done(store_stat(store, &stat));
    assert_true(stat.is_backup);
    assert_contents(store, contents);
    store_close(store);
    assert_store_refused(store_open(directory, STORE_CREATE, &store), SHOAL_ESTORE, "is a backup");
}

static uint64_t blocks_of(const char *directory)
{
    struct stat st;
    assert_int_equal(stat(file_of(directory, "pages"), &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

/* Again and again into the same one, which has a hole where the store has nothing. */
static void a_backup_is_the_store(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame);
    struct contents *contents = contents_new();
    const char *backup = path_of(frame, "backup");
    uint64_t random = 2;
    for (int round = 0; round < 8; round++) {
        change_and(contents, store, &random, round % 3 == 0 ? 300 : 10, store_publish);
        done(store_backup(store, backup, NULL, NULL));
        assert_backup_holds(backup, contents);
        machine_starts_again(); /* it is on disk, whatever becomes of the machine */
        assert_backup_holds(backup, contents);
    }
    done(store_lock(store, 1000));
    contents_put(contents, store, 1, 77, 8000000);
    done(store_commit(store));
    contents_put(contents, store, 2, 78, 1000);
    contents_delete(contents, store, 1);
    contents_put(contents, store, 3, 79, 4000000);
    done(store_commit(store));
    store_unlock(store);
    done(store_backup(store, path_of(frame, "other"), NULL, NULL));
    assert_backup_holds(path_of(frame, "other"), contents);
    assert_true(blocks_of(path_of(frame, "other")) < 7000000 && blocks_of(frame->path) > 8000000);
    free(contents);
}

struct stops {
    uint64_t left;
};

static int stop(uint64_t n, uint64_t total, void *arg)
{
    struct stops *stops = arg;
    assert_true(n <= total + 64);
    return stops->left-- == 0 ? 42 : 0;
}

/* Ended anywhere by who watches it, it cannot be opened, and is gone on with. */
static void an_ended_backup_is_gone_on_with(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame), *none;
    struct contents *contents = contents_new();
    const char *backup = path_of(frame, "backup"), *path = path_of(frame, "restored");
    uint64_t random = 2;
    change_and(contents, store, &random, 800, store_commit);
    done(store_lock(store, 1000));
    contents_put(contents, store, 1, 77, 4000000);
    done(store_commit(store));
    store_unlock(store);
    for (int whole = 0; whole < 2; whole++) {
        for (uint64_t at = 0; at < 4; at++) {
            struct stops stops = { at };
            assert_int_equal(store_backup(store, backup, stop, &stops), 42);
            assert_store_refused(store_open(backup, STORE_RDONLY, &none), SHOAL_ESTORE, "pages");
            assert_store_refused(store_open(backup, STORE_CREATE, &none), SHOAL_ESTORE, "an unfinished backup is there");
            assert_store_refused(store_restore(backup, path, NULL, NULL), SHOAL_ESTORE, "pages");
        }
        done(store_backup(store, backup, NULL, NULL));
        assert_backup_holds(backup, contents);
        change_and(contents, store, &random, 20, store_publish);
    }
    free(contents);
}

static void what_is_no_backup_of_it_stays(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame), *other;
    struct contents *contents = contents_new(), *others = contents_new();
    const char *backup = path_of(frame, "backup"), *path = path_of(frame, "other");
    uint64_t random = 2;
    struct stops stops = { 0 };
    change_and(contents, store, &random, 300, store_commit);
    done(store_open(path, STORE_CREATE, &other));
    change_and(others, other, &random, 800, store_commit);
    assert_store_refused(store_backup(store, frame->path, NULL, NULL), SHOAL_ESTORE, "is a store");
    assert_store_refused(store_backup(store, path, NULL, NULL), SHOAL_ESTORE, "is a store");
    done(store_backup(other, backup, NULL, NULL));
    assert_store_refused(store_backup(store, backup, NULL, NULL), SHOAL_ESTORE, "is a backup of another store");
    assert_backup_holds(backup, others);
    change_and(others, other, &random, 800, store_commit);
    assert_int_equal(store_backup(other, backup, stop, &stops), 42);
    assert_store_refused(store_backup(store, backup, NULL, NULL), SHOAL_ESTORE, "is a backup of another store");
    done(store_backup(other, backup, NULL, NULL));
    int held = open(file_of(backup, "pages"), O_RDWR | O_CLOEXEC);
    assert_int_equal(os_lock(held, 0), OS_LOCK_TAKEN);
    assert_store_refused(store_backup(other, backup, NULL, NULL), SHOAL_ESTORE, "another backup is being made there");
    close(held);
    assert_backup_holds(backup, others);
    assert_store_refused(store_backup(store, file_of(path, "none/there"), NULL, NULL), SHOAL_ESTORE, "none/there");
    assert_contents(store, contents);
    assert_contents(other, others);
    store_close(other);
    free(contents);
    free(others);
}

/* -- Restoring ---------------------------------------------------------------------------------- */

static void a_restored_store_is_another(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame), *restored;
    struct contents *contents = contents_new(), *then;
    const char *backup = path_of(frame, "backup"), *path = path_of(frame, "restored");
    struct store_stat stat, stat2;
    struct stops stops = { 0 };
    uint64_t random = 9;
    change_and(contents, store, &random, 800, store_commit);
    done(store_backup(store, backup, NULL, NULL));
    then = malloc(sizeof *then);
    *then = *contents;
    change_and(contents, store, &random, 800, store_commit);
    assert_int_equal(store_restore(backup, path, stop, &stops), 42);
    assert_store_refused(store_open(path, STORE_RDONLY, &restored), SHOAL_ESTORE, "pages");
    done(store_restore(backup, path, NULL, NULL));
    assert_store_refused(store_restore(backup, path, NULL, NULL), SHOAL_ESTORE, "is there already");
    assert_store_refused(store_restore(frame->path, path, NULL, NULL), SHOAL_ESTORE, "is no backup");
    machine_starts_again();
    done(store_open(path, 0, &restored));
    assert_contents(restored, then);
    done(store_stat(store, &stat));
    done(store_stat(restored, &stat2));
    assert_true(memcmp(stat.id, stat2.id, sizeof stat.id) != 0 && stat.seed == stat2.seed && !stat2.is_backup);
    for (int i = 0; i < 10; i++) { /* it lives on, each time in another life */
        change_and(then, restored, &random, 100, store_commit);
        assert_contents(restored, then);
        store_close(restored);
        machine_starts_again();
        done(store_open(path, 0, &restored));
    }
    assert_store_refused(store_backup(restored, backup, NULL, NULL), SHOAL_ESTORE, "is a backup of another store");
    store_close(restored);
    free(contents);
    free(then);
}

/* Every page of a backup with a flipped bit: it is noticed when it is restored, or the bit was in what nobody reads. */
static void a_damaged_backup_is_not_restored(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame), *restored;
    struct contents *contents = contents_new();
    const char *backup = path_of(frame, "backup"), *path = path_of(frame, "restored");
    uint64_t random = 9, noticed = 0;
    change_and(contents, store, &random, 200, store_commit);
    done(store_backup(store, backup, NULL, NULL));
    int file = open(file_of(backup, "pages"), O_RDWR | O_CLOEXEC);
    struct stat st;
    assert_int_equal(fstat(file, &st), 0);
    for (off_t page = 0; page < st.st_size / 4096; page++) {
        uint8_t byte;
        off_t at = page * 4096 + (off_t)random_below(&random, 4096);
        assert_int_equal(pread(file, &byte, 1, at), 1);
        byte ^= 4;
        assert_int_equal(pwrite(file, &byte, 1, at), 1);
        int rc = store_restore(backup, path, NULL, NULL);
        noticed += rc != 0;
        if (rc != 0) {
            assert_true(rc == SHOAL_ECORRUPT);
            assert_text_has("pages");
        } else {
            done(store_open(path, STORE_RDONLY, &restored));
            assert_contents(restored, contents);
            store_close(restored);
        }
        clear(path);
        byte ^= 4;
        assert_int_equal(pwrite(file, &byte, 1, at), 1);
    }
    assert_true(noticed > (uint64_t)st.st_size / 4096 / 3);
    close(file);
    free(contents);
}

/* A bit of the store itself: the backup does not become one. */
static void a_damaged_store_makes_no_backup(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame), *none;
    struct contents *contents = contents_new();
    const char *backup = path_of(frame, "backup");
    uint64_t random = 9;
    change_and(contents, store, &random, 200, store_commit);
    done(store_lock(store, 1000));
    contents_put(contents, store, 0, 77, 100000);
    done(store_commit(store));
    store_unlock(store);
    int file = open(frame_pages(frame), O_RDWR | O_CLOEXEC);
    struct stat st;
    assert_int_equal(fstat(file, &st), 0);
    uint8_t byte;
    off_t at = st.st_size - 4096 * 10; /* in the value, which was written last */
    assert_int_equal(pread(file, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
    assert_store_refused(store_backup(store, backup, NULL, NULL), SHOAL_ECORRUPT, "pages, page ");
    assert_store_refused(store_open(backup, STORE_RDONLY, &none), SHOAL_ESTORE, "pages");
    byte ^= 1;
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
    close(file);
    done(store_backup(store, backup, NULL, NULL));
    assert_backup_holds(backup, contents);
    free(contents);
}

/* -- Beside others ------------------------------------------------------------------------------ */

#define WRITERS 3u
#define GROUP 6u

/* Each writer's keys have one number in each transaction, and a value that it makes; some of them in runs. */
struct shared {
    _Atomic uint64_t published[WRITERS];
    _Atomic bool over;
};

struct group_key {
    uint32_t writer, i;
};

static uint64_t group_bytes(uint64_t number, uint32_t i) { return 8 + (i == 0 ? number % 50000 : number % 700); }

static void group_value(uint64_t number, uint32_t i, uint8_t *to)
{
    value_make(number * 16 + i + 1, group_bytes(number, i), to);
    memcpy(to, &number, sizeof number);
}

static int write_for_ever(const char *path, struct shared *shared, uint32_t writer)
{
    static uint8_t value[65536];
    struct store *store;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && store_open(path, 0, &store) == 0);
    for (uint64_t number = 1; !atomic_load(&shared->over); number++) {
        CHECK(store_lock(store, 60000) == 0);
        for (uint32_t i = 0; i < GROUP; i++) {
            struct group_key key = { writer, i };
            group_value(number, i, value);
            CHECK(store_put(store, &(struct store_record){ .key = &key, .key_bytes = sizeof key, .value = value,
                                                           .value_bytes = group_bytes(number, i) }, NULL) == 0);
        }
        CHECK((number % 7 == 0 ? store_commit(store) : store_publish(store)) == 0);
        atomic_store(&shared->published[writer], number);
        store_unlock(store);
    }
    store_close(store);
    return 0;
}

/* All keys of the writer have one number, which is not before what was published. */
static void assert_group(struct store *store, uint32_t writer, uint64_t least)
{
    static uint8_t value[65536], expected[65536];
    uint64_t first = 0, number;
    for (uint32_t i = 0; i < GROUP; i++) {
        struct group_key key = { writer, i };
        struct store_record record;
        done(store_get(store, &key, sizeof key, value, sizeof value, &record));
        assert_true(record.value_bytes >= sizeof number);
        memcpy(&number, value, sizeof number);
        group_value(number, i, expected);
        assert_int_equal(record.value_bytes, group_bytes(number, i));
        assert_memory_equal(value, expected, record.value_bytes);
        first = i == 0 ? number : first;
        assert_int_equal(number, first);
        assert_true(number >= least);
    }
}

static void writers_start(struct frame *frame, struct shared *shared, pid_t pids[WRITERS])
{
    for (uint32_t w = 0; w < WRITERS; w++)
        if ((pids[w] = child_start()) == 0)
            _exit(write_for_ever(frame->path, shared, w));
    for (uint32_t w = 0; w < WRITERS; w++)
        while (atomic_load(&shared->published[w]) == 0) {
            assert_int_equal(waitpid(pids[w], NULL, WNOHANG), 0); /* it has not ended, or nobody would come */
            (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        }
}

static void writers_end(struct shared *shared, const pid_t pids[WRITERS])
{
    atomic_store(&shared->over, true);
    for (uint32_t w = 0; w < WRITERS; w++)
        assert_exits(pids[w], "a writer");
}

static void assert_copy(const char *directory, const uint64_t least[WRITERS])
{
    struct store *copy;
    done(store_open(directory, STORE_RDONLY, &copy));
    for (uint32_t w = 0; w < WRITERS; w++)
        assert_group(copy, w, least[w]);
    assert_store_sound(copy);
    store_close(copy);
}

/* What was published before the call is in it; of each transaction all or nothing. */
static void writers_never_stop(void **state)
{
    struct frame *frame = *state;
    struct shared *shared = child_memory(sizeof *shared);
    struct store *store = frame_open(frame);
    const char *backup = path_of(frame, "backup"), *path = path_of(frame, "restored");
    uint64_t least[WRITERS];
    pid_t pids[WRITERS];
    writers_start(frame, shared, pids);
    for (int round = 0; round < 12; round++) {
        for (uint32_t w = 0; w < WRITERS; w++)
            least[w] = atomic_load(&shared->published[w]);
        done(store_backup(store, backup, NULL, NULL));
        assert_copy(backup, least);
        if (round % 4 == 3) {
            done(store_restore(backup, path, NULL, NULL));
            assert_copy(path, least);
            clear(path);
        }
    }
    writers_end(shared, pids);
    assert_store_sound(store);
}

/* Who makes a backup, or a store of one, dies anywhere; the next one goes on, and nothing that is not whole opens. */
static void who_copies_may_die(void **state)
{
    struct frame *frame = *state;
    struct shared *shared = child_memory(sizeof *shared);
    struct store *store = frame_open(frame), *half;
    const char *backup = path_of(frame, "backup"), *path = path_of(frame, "restored");
    uint64_t random = 17, least[WRITERS], kills = 0;
    uint32_t within_ns = 8000000; /* as long as about half of them take, whatever else the machine does */
    pid_t pids[WRITERS];
    writers_start(frame, shared, pids);
    for (int round = 0; round < 60; round++) {
        bool restores = round % 3 == 2;
        for (uint32_t w = 0; w < WRITERS; w++)
            least[w] = atomic_load(&shared->published[w]);
        if (restores) {
            done(store_backup(store, backup, NULL, NULL));
            clear(path);
        }
        pid_t pid = child_start();
        if (pid == 0)
            _exit((restores ? store_restore(backup, path, NULL, NULL) : store_backup(store, backup, NULL, NULL)) == 0 ? 0 : 1);
        (void)nanosleep(&(struct timespec){ .tv_nsec = random_below(&random, within_ns) }, NULL);
        int status;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        kills += WIFSIGNALED(status);
        if (!WIFSIGNALED(status))
            within_ns -= within_ns / 4;
        else if (within_ns < 200000000)
            within_ns += within_ns / 8;
        int rc = store_open(restores ? path : backup, STORE_RDONLY, &half);
        if (rc == 0) {
            assert_store_sound(half);
            store_close(half);
        }
        if (restores && rc != 0)
            done(store_restore(backup, path, NULL, NULL));
        else if (!restores)
            done(store_backup(store, backup, NULL, NULL));
        assert_copy(restores ? path : backup, least);
    }
    assert_true(kills > 10);
    writers_end(shared, pids);
    assert_store_sound(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COPY_TEST(a_pinned_root_stays),
        COPY_TEST(a_commit_beside_a_pin_is_durable),
        COPY_TEST(a_dead_ones_pin_is_none),
        COPY_TEST(pins_are_few_and_a_lost_one_says_so),
        COPY_TEST(a_backup_is_the_store),
        COPY_TEST(an_ended_backup_is_gone_on_with),
        COPY_TEST(what_is_no_backup_of_it_stays),
        COPY_TEST(a_restored_store_is_another),
        COPY_TEST(a_damaged_backup_is_not_restored),
        COPY_TEST(a_damaged_store_makes_no_backup),
        COPY_TEST(writers_never_stop),
        COPY_TEST(who_copies_may_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
