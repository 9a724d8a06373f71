/* SPDX-License-Identifier: MIT
 *
 * A map above a store whose disk is full: what it has is replaced and deleted nevertheless, in the room that the store's file
 * has, and nobody is told.
 */
#include "lib/disk.h"
#include "lib/random.h"
#include "store/frame.h"
#include "store/page.h"

#define KEYS_N 20000u

static void done(int rc)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, shoal_error_text());
}

static void put(struct shoal *map, uint64_t key, uint64_t of)
{
    uint64_t value[12] = { of };
    done(shoal_put(map, &key, sizeof key, value, sizeof value));
}

static uint64_t get(struct shoal *map, uint64_t key)
{
    uint64_t value[12];
    size_t bytes;
    done(shoal_get(map, &key, sizeof key, value, sizeof value, &bytes));
    return value[0];
}

/* Pages that the root leads to, and all of the file. */
static uint64_t live_pages(struct shoal *map, uint64_t *ret_all)
{
    struct shoal_store_stat stat = SHOAL_STORE_STAT_INIT;
    done(shoal_store_stat(map, NULL, &stat));
    *ret_all = stat.file_bytes / stat.page_bytes;
    return stat.pages - stat.free_pages - stat.held_pages;
}

/* The file ends at so many tenths of the pages in use: beside these there is room for what a commit would give back and for a
 * transaction, and it would be made longer. */
static void replace_on_a_full_disk(struct frame *frame, uint32_t on_full, uint64_t tenths)
{
    const bool spills = on_full == SHOAL_FULL_SPILL;
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    char path[128];
    static uint64_t last[KEYS_N];
    uint64_t random = 3;
    (void)snprintf(path, sizeof path, "%s/map", frame->dir);
    done(shoal_size_for(spills ? KEYS_N / 10 : KEYS_N, 8, 96, &options));
    options.store = frame->path;
    options.on_full = on_full;
    done(shoal_create(path, &options, &map));
    for (uint64_t key = 0; key < KEYS_N; key++)
        put(map, key, last[key] = 1);
    done(shoal_sync(map));
    uint64_t pages, live = live_pages(map, &pages);
    for (uint64_t i = 2; i < 5 * KEYS_N && pages < live * tenths / 10; i++) {
        uint64_t key = random_below(&random, KEYS_N);
        put(map, key, last[key] = i);
        if (i % 500 == 0 && !spills)
            done(shoal_sync(map));
        live = live_pages(map, &pages);
    }
    done(shoal_sync(map));
    (void)live_pages(map, &pages);
    disk.end = pages * PAGE_BYTES;
    for (uint64_t i = 0; i < 5 * KEYS_N; i++) {
        uint64_t key = random_below(&random, KEYS_N);
        put(map, key, last[key] = i + 1000000);
        if (i % 500 == 0 && (!spills || disk.refused_n > 0))
            done(shoal_sync(map)); /* else what is replaced stays held; but not before a put has met the disk's end */
    }
    print_message("%llu pages, of which %llu in use; %llu calls failed\n", (unsigned long long)pages, (unsigned long long)live,
                  (unsigned long long)disk.refused_n);
    assert_true(disk.refused_n > 0);
    disk.end = disk.refused_n = 0;
    for (uint64_t key = 0; key < KEYS_N; key++)
        assert_int_equal(get(map, key), last[key]);
    shoal_close(map);
    done(shoal_unlink(path));
}

/* By puts, which copy others down; then by syncs too. */
static void puts_find_room(void **state) { replace_on_a_full_disk(*state, SHOAL_FULL_SPILL, 27); }

/* By syncs alone. */
static void syncs_find_room(void **state) { replace_on_a_full_disk(*state, SHOAL_FULL_FAIL, 20); }

int main(void)
{
    const struct CMUnitTest tests[] = { FRAME_TEST(puts_find_room), FRAME_TEST(syncs_find_room) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
