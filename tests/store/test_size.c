/* SPDX-License-Identifier: MIT
 *
 * How large the file gets, and in how many calls it is written (docs/store.md: Writing): counted, while records are replaced
 * at random, and behind the deletion of most of them; and what is done where it can get no larger.
 */
#include "store/frame.h"

#include "lib/disk.h"
#include "lib/random.h"
#include "store/page.h"

#define SLACK_PAGES 600u /* a row and its remainders, maps of zones, indices */

static void done(int rc)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, shoal_error_text());
}

struct work {
    struct store *store;
    uint32_t keys_n;
    size_t value_bytes;
    uint64_t random;
};

static void put_one(const struct work *work, uint64_t i)
{
    static const uint8_t value[1000];
    struct store_record record = { .key = &i, .key_bytes = sizeof i, .value = value, .value_bytes = work->value_bytes };
    done(store_put(work->store, &record, NULL));
}

static void fill(const struct work *work)
{
    for (uint32_t i = 0; i < work->keys_n; i++) {
        if (i % 5000 == 0)
            done(store_lock(work->store, 1000));
        put_one(work, i);
        if (i % 5000 == 4999 || i + 1 == work->keys_n) {
            done(store_commit(work->store));
            store_unlock(work->store);
        }
    }
}

/* Each fifth of them is a commit. */
static void replace(struct work *work, unsigned transactions_n, unsigned puts_n)
{
    for (unsigned t = 0; t < transactions_n; t++) {
        done(store_lock(work->store, 1000));
        for (unsigned i = 0; i < puts_n; i++)
            put_one(work, random_below(&work->random, work->keys_n));
        done(t % 5 == 4 ? store_commit(work->store) : store_publish(work->store));
        store_unlock(work->store);
    }
}

/* Every key once, so that no page stays where it was; likewise. */
static void replace_all(struct work *work, unsigned puts_n)
{
    for (uint64_t i = 0, t = 0; i < work->keys_n; t++) {
        done(store_lock(work->store, 1000));
        for (unsigned n = 0; n < puts_n && i < work->keys_n; n++)
            put_one(work, i++);
        done(t % 5 == 4 ? store_commit(work->store) : store_publish(work->store));
        store_unlock(work->store);
    }
}

static void delete_from(struct work *work, uint32_t from)
{
    done(store_lock(work->store, 1000));
    for (uint64_t i = from; i < work->keys_n; i++)
        done(store_delete(work->store, &i, sizeof i));
    done(store_commit(work->store));
    store_unlock(work->store);
    work->keys_n = from;
}

static uint64_t live(const struct store_stat *stat) { return stat->pages_n - stat->free_n - stat->held_n; }

/* As many pages free as the root leads to; held are at most those that the last commit's root led to. */
static void assert_size(const struct work *work, const char *when)
{
    struct store_stat stat;
    done(store_stat(work->store, &stat));
    print_message("%s: %llu pages, of which %llu are in use and %llu held; %.1f pages in a call\n", when,
                  (unsigned long long)stat.pages_n, (unsigned long long)live(&stat), (unsigned long long)stat.held_n,
                  (double)disk.pages_n / (double)disk.calls_n);
    assert_true(stat.pages_n <= 3 * live(&stat) + SLACK_PAGES);
    assert_true(stat.file_bytes <= (stat.pages_n + SLACK_PAGES) * PAGE_BYTES);
}

static void check_one(struct frame *frame, uint32_t keys_n, size_t value_bytes, uint32_t stay_n)
{
    struct work work = { frame_open(frame), keys_n, value_bytes, 5 };
    fill(&work);
    replace(&work, 20, keys_n / 10);
    disk.calls_n = disk.pages_n = 0;
    replace(&work, 40, keys_n / 10);
    assert_size(&work, "a tenth of the keys in a transaction");
    assert_true(disk.pages_n > 4 * disk.calls_n);
    replace(&work, 200, 200);
    disk.calls_n = disk.pages_n = 0;
    replace(&work, 200, 200);
    assert_size(&work, "200 keys in a transaction");
    assert_true(disk.pages_n > 4 * disk.calls_n);
    assert_store_sound(work.store);
    delete_from(&work, stay_n);
    replace(&work, 100, 200);
    replace_all(&work, 200); /* what was written while much was held still lies anywhere */
    replace(&work, 100, 200);
    assert_size(&work, "behind the deletion of many");
    assert_store_sound(work.store);
    frame_close(frame);
}

static void small_records(void **state) { check_one(*state, 40000, 100, 4000); }

/* The pages in use end near the end of a zone now and then.  So many stay that each node of the directory has some of them: one
 * without any is written anew by nobody, and keeps the file's end where it is. */
static void several_zones(void **state) { check_one(*state, 50000, 1000, 25000); }

/* -- A full disk -- */

static int replace_some(struct work *work, unsigned puts_n, bool commits)
{
    done(store_lock(work->store, 1000));
    for (unsigned i = 0; i < puts_n; i++)
        put_one(work, random_below(&work->random, work->keys_n));
    int rc = commits ? store_commit(work->store) : store_publish(work->store);
    store_unlock(work->store);
    return rc;
}

/* Where the file has room, one transaction fails, and those behind it are content with that. */
static void a_full_disk_is_no_full_file(void **state)
{
    struct frame *frame = *state;
    struct work work = { frame_open(frame), 40000, 100, 5 };
    struct store_stat stat;
    unsigned failed_n = 0;
    fill(&work);
    replace(&work, 200, 200);
    delete_from(&work, work.keys_n * 3 / 4); /* so much is free, and rows would not be found for all */
    done(store_stat(work.store, &stat));
    disk.end = stat.file_bytes;
    for (unsigned t = 0; t < 500; t++) {
        int rc = replace_some(&work, 300, t % 5 == 4);
        failed_n += rc != 0;
        if (rc != 0)
            assert_store_refused(rc, SHOAL_EFULL, "No space left");
    }
    print_message("%u of 500 transactions failed\n", failed_n);
    assert_true(failed_n <= 1);
    disk.end = 0;
    assert_store_sound(work.store);
    frame_close(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = { FRAME_TEST(small_records), FRAME_TEST(several_zones),
                                        FRAME_TEST(a_full_disk_is_no_full_file) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
