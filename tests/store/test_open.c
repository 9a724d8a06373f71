/* SPDX-License-Identifier: MIT
 *
 * What opening costs does not depend on what is in the store (guarantee F): calls on its files and bytes read are counted
 * where nothing but size differs.
 */
#include "store/frame.h"

#include <string.h>

#include "lib/count_calls.h"

#define SMALL 10000u
#define LARGE 300000u

static void done(int rc)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, shoal_error_text());
}

static struct store_record record_of(uint64_t key[2], uint64_t i)
{
    key[0] = i * 0x9e3779b97f4a7c15u;
    key[1] = i;
    return (struct store_record){ .key = key, .key_bytes = 16, .value = key + 1, .value_bytes = 8 };
}

static void fill(struct frame *frame, uint64_t from, uint64_t to)
{
    struct store *store = frame_open(frame);
    done(store_lock(store, 1000));
    for (uint64_t i = from; i < to; i++) {
        uint64_t key[2];
        struct store_record record = record_of(key, i);
        done(store_put(store, &record, NULL));
    }
    done(store_commit(store));
    store_unlock(store);
    frame_close(frame);
}

enum what { READER, WRITER, WRITER_IN_ANOTHER_LIFE, WHATS };

/* Opened, and closed again; a writer has the lock once. */
static struct calls open_once(const struct frame *frame, enum what what)
{
    struct store *store;
    if (what == WRITER_IN_ANOTHER_LIFE)
        machine_starts_again();
    memset(&calls, 0, sizeof calls);
    done(store_open(frame->path, what == READER ? STORE_RDONLY : 0, &store));
    if (what != READER) {
        done(store_lock(store, 1000));
        store_unlock(store);
    }
    struct calls ret = calls;
    store_close(store);
    return ret;
}

static void assert_records(const struct frame *frame, uint64_t n, unsigned flags)
{
    struct store *store;
    struct store_record record;
    struct store_stat stat;
    done(store_open(frame->path, flags, &store));
    done(store_stat(store, &stat));
    assert_int_equal(stat.records_n, n);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t key[2], value = 0;
        struct store_record wanted = record_of(key, i);
        done(store_get(store, wanted.key, wanted.key_bytes, &value, sizeof value, &record));
        assert_int_equal(record.value_bytes, 8);
        assert_int_equal(value, i);
    }
    store_close(store);
}

static void opening_does_not_depend_on_size(void **state)
{
    struct frame *frame = *state;
    struct calls small[WHATS], large[WHATS];
    fill(frame, 0, SMALL);
    for (enum what what = 0; what < WHATS; what++)
        small[what] = open_once(frame, what);
    fill(frame, SMALL, LARGE);
    for (enum what what = 0; what < WHATS; what++)
        large[what] = open_once(frame, what);
    for (enum what what = 0; what < WHATS; what++) {
        assert_memory_equal(&small[what], &large[what], sizeof small[what]);
        assert_true(small[what].reads > 0);
        print_message("open %d: %llu calls, %llu reads of %llu bytes\n", what, (unsigned long long)small[what].n,
                      (unsigned long long)small[what].reads, (unsigned long long)small[what].read_bytes);
    }
    assert_records(frame, LARGE, 0);
    assert_records(frame, LARGE, STORE_RDONLY);
}

int main(void)
{
    const struct CMUnitTest tests[] = { FRAME_TEST(opening_does_not_depend_on_size) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
