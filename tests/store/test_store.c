/* SPDX-License-Identifier: MIT
 *
 * One store, one process: what was put comes out, what was given up does not, what was committed survives the machine
 * (guarantee F) and what was only published every process.
 */
#include "store/frame.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/random.h"
#include "store/page.h"

static struct contents *contents_new(uint32_t keys_n)
{
    struct contents *contents = calloc(1, sizeof *contents);
    contents->keys_n = keys_n;
    return contents;
}

static void lock(struct store *store)
{
    if (store_lock(store, 1000) != 0)
        fail_msg("lock: %s", shoal_error_text());
}

static void done(int rc)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, shoal_error_text());
}

/* -- Lives -------------------------------------------------------------------------------------- */

static void an_empty_store_is_sound(void **state)
{
    struct contents *none = contents_new(10);
    assert_contents(frame_open(*state), none);
    free(none);
}

static void values_of_every_size_come_back(void **state)
{
    static const uint64_t sizes[] = { 0,    1,    7,    8,     100,   1900,   1960,   1972,    1980,    1990,   1996,   1997,
                                      2000, 2016, 4095, 4096,  4097,  65536,  100000, 1048576, 1048577, 5000000 };
    struct contents *contents = contents_new(22);
    struct store *store = frame_open(*state);
    lock(store);
    for (uint32_t i = 0; i < 22; i++)
        contents_put(contents, store, i, 1000 + i, sizes[i]);
    done(store_publish(store));
    store_unlock(store);
    assert_contents(store, contents);
    lock(store);
    for (uint32_t i = 0; i < 22; i++)
        contents_put(contents, store, i, 2000 + i, sizes[21 - i]);
    done(store_commit(store));
    store_unlock(store);
    frame_close(*state);
    assert_contents(frame_open(*state), contents);
    free(contents);
}

/* The longest key with each kind of value, beside short keys of the same bytes. */
static void keys_of_every_length_come_back(void **state)
{
    static uint8_t key[KEY_ROOM], value[9000], out[9000];
    static const size_t lengths[] = { 1, 2, 15, 16, 1000, 1023, 1024, 1025, 1900, 4096, 8191, 65534, 65535 };
    struct store *store = frame_open(*state);
    struct store_record record;
    memset(key, 'k', sizeof key);
    value_make(7, sizeof value, value);
    for (size_t value_bytes = 0; value_bytes <= sizeof value; value_bytes += 3000) {
        lock(store);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
            done(store_put(store, &(struct store_record){ .key = key, .key_bytes = lengths[i], .value = value + i,
                                                          .value_bytes = value_bytes - (value_bytes > 0 ? i : 0) }, NULL));
        done(store_publish(store));
        store_unlock(store);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            done(store_get(store, key, lengths[i], out, sizeof out, &record));
            assert_int_equal(record.value_bytes, value_bytes - (value_bytes > 0 ? i : 0));
            assert_memory_equal(out, value + i, record.value_bytes);
        }
        assert_store_sound(store);
    }
    assert_int_equal(store_get(store, key, 17, out, sizeof out, &record), SHOAL_MISSING);
    assert_store_refused(store_get(store, key, 0, out, 1, &record), SHOAL_EINVAL, "0 bytes");
    assert_store_refused(store_get(store, key, 65536, out, 1, &record), SHOAL_EINVAL, "65536 bytes");
}

static void what_is_given_up_never_was(void **state)
{
    struct contents *contents = contents_new(300), *before = malloc(sizeof *before);
    struct store *store = frame_open(*state);
    lock(store);
    for (uint32_t i = 0; i < 200; i++)
        contents_put(contents, store, i, i + 1, i * 31);
    done(store_publish(store));
    *before = *contents;
    for (uint32_t i = 100; i < 300; i++)
        contents_put(contents, store, i, 5000 + i, i * 17);
    for (uint32_t i = 0; i < 50; i++)
        contents_delete(contents, store, i);
    store_abort(store);
    store_unlock(store);
    assert_contents(store, before);
    lock(store);
    *contents = *before;
    contents_put(contents, store, 299, 77, 4242);
    store_unlock(store); /* gives up as well */
    assert_contents(store, before);
    for (int by_abort = 0; by_abort < 2; by_abort++) { /* so few that none of them was made */
        lock(store);
        *contents = *before;
        contents_put(contents, store, 298, 78, 42);
        if (by_abort)
            store_abort(store);
        store_unlock(store);
        lock(store);
        contents_put(before, store, 297, 79 + (unsigned)by_abort, 42);
        done(store_publish(store));
        store_unlock(store);
        assert_contents(store, before);
    }
    free(contents);
    free(before);
}

static void what_is_published_survives_its_handle_but_not_the_machine(void **state)
{
    struct contents *contents = contents_new(400), *committed = malloc(sizeof *committed);
    struct store *store = frame_open(*state);
    lock(store);
    for (uint32_t i = 0; i < 200; i++)
        contents_put(contents, store, i, i + 1, i * 40);
    done(store_commit(store));
    *committed = *contents;
    for (uint32_t i = 100; i < 400; i++)
        contents_put(contents, store, i, 900 + i, i * 30);
    done(store_publish(store));
    contents_delete(contents, store, 3);
    done(store_publish(store));
    store_unlock(store);
    frame_close(*state);
    assert_contents(frame_open(*state), contents);
    frame_close(*state);
    machine_starts_again();
    assert_contents(frame_open(*state), committed);
    free(contents);
    free(committed);
}

/* Nothing of a life of the machine may be taken for the next one's. */
static void lives_follow_each_other(void **state)
{
    struct contents *contents = contents_new(500), *committed = malloc(sizeof *committed);
    uint64_t random = 11;
    *committed = *contents;
    for (int turn = 0; turn < 40; turn++) {
        struct store *store = frame_open(*state);
        assert_contents(store, contents);
        lock(store);
        for (int n = 0; n < 30; n++) {
            uint32_t i = random_below(&random, 500);
            if (random_below(&random, 3) == 0)
                contents_delete(contents, store, i);
            else
                contents_put(contents, store, i, random_next(&random) | 1, random_below(&random, 6000));
            if (n % 10 == 9)
                done(store_publish(store));
        }
        if (turn % 3 != 2) {
            done(store_commit(store));
            *committed = *contents;
        }
        if (turn % 2 == 0) {
            contents_put(contents, store, 1, 99, 99);
            done(store_publish(store));
        }
        store_unlock(store);
        frame_close(*state);
        if (turn % 4 == 1) {
            machine_starts_again();
            *contents = *committed;
        }
    }
    free(contents);
    free(committed);
}

/* -- Growth --------------------------------------------------------------------------------------- */

static int put_number(struct store *store, uint64_t i, uint64_t value)
{
    return store_put(store, &(struct store_record){ .key = &i, .key_bytes = 8, .value = &value, .value_bytes = 8 }, NULL);
}

static void assert_number(struct store *store, uint64_t i, uint64_t value)
{
    uint64_t out = 0;
    struct store_record record;
    int rc = store_get(store, &i, 8, &out, 8, &record);
    if (rc != (value == 0 ? SHOAL_MISSING : 0) || out != value)
        fail_msg("%llu: %d, %llu, not %llu", (unsigned long long)i, rc, (unsigned long long)out,
                 (unsigned long long)value);
}

/* Enough for three levels of nodes, and back to one: N1, N2 on the way. */
static void the_directory_grows_and_shrinks(void **state)
{
    enum { N = 300000, BATCH = 50000 };
    struct store *store = frame_open(*state);
    struct store_stat stat;
    for (uint64_t i = 1; i <= N;) {
        lock(store);
        for (uint64_t end = i + BATCH; i < end; i++)
            done(put_number(store, i, i * 3));
        done(store_publish(store));
        store_unlock(store);
        done(store_stat(store, &stat));
        assert_int_equal(stat.records_n, i - 1);
    }
    assert_true(stat.levels >= 2);
    for (uint64_t i = 1; i <= N; i += 7)
        assert_number(store, i, i * 3);
    assert_number(store, N + 1, 0);
    assert_store_sound(store);
    uint64_t most = stat.file_bytes;
    for (uint64_t i = 1; i <= N;) {
        lock(store);
        for (uint64_t end = i + BATCH; i < end; i++)
            if (i % 1000 != 0)
                done(store_delete(store, &i, 8));
        done(store_commit(store));
        store_unlock(store);
        assert_store_sound(store);
    }
    for (uint64_t i = 1; i <= N; i += i % 1000 == 0 ? 1 : 333)
        assert_number(store, i, i % 1000 == 0 ? i * 3 : 0);
    done(store_stat(store, &stat));
    assert_int_equal(stat.records_n, N / 1000);
    assert_int_equal(stat.levels, 1);
    assert_true(stat.pages_n - stat.free_n - stat.held_n < most / PAGE_BYTES / 10);
}

/* Updates for ever fit a file that does not grow for ever, committed or only published. */
static void space_comes_back(void **state)
{
    struct store *store = frame_open(*state);
    struct store_stat stat;
    static uint8_t value[70000];
    for (int commits = 0; commits < 2; commits++)
        for (uint64_t n = 0; n < 3000; n++) {
            uint64_t key = n % 20;
            lock(store);
            done(store_put(store, &(struct store_record){ .key = &key, .key_bytes = 8, .value = value,
                                                          .value_bytes = 60000 + n }, NULL));
            done(commits ? store_commit(store) : store_publish(store));
            store_unlock(store);
            if (n % 500 == 0)
                assert_store_sound(store);
        }
    done(store_stat(store, &stat));
    assert_true(stat.file_bytes < (uint64_t)90 << 20); /* 64 MiB may be held back between two commits */
    assert_true(stat.free_n + stat.held_n + 20 * 18 > stat.pages_n / 2);
}

static void a_file_is_cut_when_its_end_is_free(void **state)
{
    struct contents *contents = contents_new(4);
    struct store *store = frame_open(*state);
    struct store_stat stat;
    lock(store);
    contents_put(contents, store, 1, 1, 100);
    done(store_commit(store));
    contents_put(contents, store, 2, 2, 30000000);
    done(store_commit(store));
    done(store_stat(store, &stat));
    assert_true(stat.file_bytes > 30000000);
    contents_delete(contents, store, 2);
    done(store_commit(store));
    for (uint64_t n = 0; n < 4; n++) { /* what was freed is released, and the changed pages move to the front */
        contents_put(contents, store, 1, 3 + n, 100);
        done(store_commit(store));
    }
    store_unlock(store);
    done(store_stat(store, &stat));
    assert_true(stat.file_bytes < 3000000);
    assert_contents(store, contents);
    free(contents);
}

/* -- Beside the holder ---------------------------------------------------------------------------- */

static void the_holder_sees_its_changes_and_nobody_else(void **state)
{
    struct store *store = frame_open(*state), *other;
    struct store_record record;
    uint64_t key = 5, out;
    done(store_open(((struct frame *)*state)->path, 0, &other));
    lock(store);
    done(put_number(store, 5, 50));
    done(store_look(store, &key, 8, &out, 8, &record));
    assert_int_equal(out, 50);
    assert_number(store, 5, 0);
    assert_number(other, 5, 0);
    assert_store_refused(store_lock(other, 30), SHOAL_EFULL, "test_store");
    done(store_publish(store));
    assert_number(store, 5, 50);
    assert_number(other, 5, 50);
    store_unlock(store);
    lock(other);
    done(put_number(other, 5, 51));
    done(put_number(other, 6, 60));
    done(store_publish(other));
    store_unlock(other);
    lock(store); /* its memory of the directory is old now */
    done(store_look(store, &key, 8, &out, 8, &record));
    assert_int_equal(out, 51);
    done(put_number(store, 7, 70));
    done(store_publish(store));
    store_unlock(store);
    for (uint64_t i = 5; i < 8; i++)
        assert_number(other, i, i == 5 ? 51 : i * 10);
    store_close(other);
}

/* Puts and removals of the same keys wait together, more than wait at once, with large values and absent keys among them. */
static void removals_and_puts_keep_their_order(void **state)
{
    enum { N = 100, ROUNDS = 40 };
    struct store *store = frame_open(*state);
    uint64_t there[N] = { 0 };
    uint64_t random = 7;
    static uint8_t large[3000];
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        lock(store);
        for (uint64_t step = 0; step < 3 * N; step++) {
            uint64_t i = random_below(&random, N), what = random_below(&random, 8);
            if (what < 3) {
                done(store_erase(store, &i, 8));
                there[i] = 0;
                continue;
            }
            memcpy(large, &round, 8);
            done(store_put(store, &(struct store_record){ .key = &i, .key_bytes = 8, .value = large,
                                                          .value_bytes = what == 3 ? sizeof large : 8 }, NULL));
            there[i] = what == 3 ? UINT64_MAX : round;
        }
        done(round % 2 == 0 ? store_publish(store) : store_commit(store));
        store_unlock(store);
        for (uint64_t i = 0; i < N; i++) {
            uint64_t out;
            struct store_record record;
            int rc = store_get(store, &i, 8, &out, 8, &record);
            assert_int_equal(rc, there[i] == 0 ? SHOAL_MISSING : there[i] == UINT64_MAX ? SHOAL_SHORT : 0);
            assert_true(rc != 0 || out == there[i]);
        }
        assert_store_sound(store);
    }
}

/* Whether the bucket of this key is the upper half of two, where buckets are told apart by 8 bits. */
static bool is_in_upper_half(const struct store *store, uint64_t key) { return (store_hash(store, &key, 8) >> 56 & 1) != 0; }

/* One handle leaves the buckets a third full, the other one fills each second of them.  When the first one empties the others,
 * what it knew of their neighbours is old. */
static void buckets_that_another_one_filled_are_not_joined(void **state)
{
    enum { N = 20000, MORE = 7700 };
    struct store *store = frame_open(*state), *other;
    done(store_open(((struct frame *)*state)->path, 0, &other));
    lock(store);
    for (uint64_t i = 1; i <= N; i++)
        done(put_number(store, i, i));
    for (uint64_t i = 1; i <= N; i += 2)
        done(store_delete(store, &i, 8));
    done(store_publish(store));
    store_unlock(store);
    uint64_t end = N + 1;
    lock(other);
    for (uint64_t n = 0; n < MORE; end++)
        if (is_in_upper_half(other, end)) {
            done(put_number(other, end, end));
            n++;
        }
    done(store_publish(other));
    store_unlock(other);
    lock(store);
    for (uint64_t i = 2; i <= N; i += 2)
        if (!is_in_upper_half(store, i))
            done(store_delete(store, &i, 8));
    done(store_publish(store));
    store_unlock(store);
    for (uint64_t i = 1; i < end; i++)
        assert_number(store, i, is_in_upper_half(store, i) && (i > N || i % 2 == 0) ? i : 0);
    assert_store_sound(store);
    store_close(other);
}

static void read_only_reads(void **state)
{
    struct frame *frame = *state;
    struct contents *contents = contents_new(100);
    struct store *store = frame_open(frame), *reader;
    lock(store);
    for (uint32_t i = 0; i < 100; i++)
        contents_put(contents, store, i, i + 1, i * 100);
    done(store_commit(store));
    store_unlock(store);
    done(store_open(frame->path, STORE_RDONLY, &reader));
    assert_contents(reader, contents);
    assert_store_refused(store_lock(reader, 10), SHOAL_EREADONLY, "read-only");
    lock(store);
    contents_put(contents, store, 7, 1234, 50);
    done(store_publish(store));
    store_unlock(store);
    assert_contents(reader, contents);
    store_close(reader);
    frame_close(frame);
    char lock_name[128];
    (void)snprintf(lock_name, sizeof lock_name, "%s/lock", frame->path);
    assert_int_equal(unlink(lock_name), 0);
    done(store_open(frame->path, STORE_RDONLY, &reader)); /* a copy on a medium that nobody writes to */
    assert_contents(reader, contents);
    assert_int_equal(access(lock_name, F_OK), -1);
    store_close(reader);
    free(contents);
}

/* -- Opening what is none --------------------------------------------------------------------------- */

static void what_is_no_store_is_refused(void **state)
{
    struct frame *frame = *state;
    struct store *store;
    assert_store_refused(store_open(frame->path, 0, &store), SHOAL_ESTORE, "No such file");
    assert_null(store);
    assert_int_equal(mkdir(frame->path, 0700), 0);
    assert_store_refused(store_open(frame->path, 0, &store), SHOAL_ESTORE, "/store/pages");
    assert_store_refused(store_open(frame->path, STORE_RDONLY, &store), SHOAL_ESTORE, "/store/pages");
    assert_store_refused(store_open(frame->path, STORE_RDONLY | STORE_CREATE, &store), SHOAL_EINVAL, "flags");
    FILE *file = fopen(frame_pages(frame), "w");
    fputs("something else", file);
    fclose(file);
    assert_store_refused(store_open(frame->path, STORE_CREATE, &store), SHOAL_ECORRUPT, "not a store");
    file = fopen(frame_pages(frame), "r");
    char text[32] = "";
    assert_non_null(fgets(text, sizeof text, file));
    assert_string_equal(text, "something else");
    fclose(file);
}

static void a_store_that_was_deleted_is_not_written_to(void **state)
{
    struct frame *frame = *state;
    struct store *store = frame_open(frame);
    lock(store);
    done(put_number(store, 1, 10));
    done(store_publish(store));
    store_unlock(store);
    assert_int_equal(unlink(frame_pages(frame)), 0);
    assert_store_refused(store_lock(store, 10), SHOAL_ESTORE, "deleted");
    assert_number(store, 1, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(an_empty_store_is_sound),
        FRAME_TEST(values_of_every_size_come_back),
        FRAME_TEST(keys_of_every_length_come_back),
        FRAME_TEST(what_is_given_up_never_was),
        FRAME_TEST(what_is_published_survives_its_handle_but_not_the_machine),
        FRAME_TEST(lives_follow_each_other),
        FRAME_TEST(the_directory_grows_and_shrinks),
        FRAME_TEST(space_comes_back),
        FRAME_TEST(a_file_is_cut_when_its_end_is_free),
        FRAME_TEST(the_holder_sees_its_changes_and_nobody_else),
        FRAME_TEST(removals_and_puts_keep_their_order),
        FRAME_TEST(buckets_that_another_one_filled_are_not_joined),
        FRAME_TEST(read_only_reads),
        FRAME_TEST(what_is_no_store_is_refused),
        FRAME_TEST(a_store_that_was_deleted_is_not_written_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
