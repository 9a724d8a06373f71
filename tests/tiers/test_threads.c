/* SPDX-License-Identifier: MIT
 *
 * Threads of one process above one store: each has keys of its own, which nobody else changes, and all have some together;
 * the table holds a part of them, and a flusher is at work.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/random.h"
#include "store/frame.h"

#define THREADS_N 4u
#define KEYS_N 300u
#define SHARED_N 40u
#define CALLS_N 4000u

struct hand {
    struct shoal *map;
    pthread_t thread;
    uint32_t i;
    uint64_t value[KEYS_N]; /* 0: absent */
    char text[200];         /* what was wrong */
};

#define HOLD(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            (void)snprintf(h->text, sizeof h->text, "line %d: %s: %s", __LINE__, #what, shoal_error_text());           \
            return NULL;                                                                                               \
        }                                                                                                              \
    } while (0)

static void *run(void *arg)
{
    struct hand *h = arg;
    uint64_t random = h->i + 1;
    for (uint32_t n = 0; n < CALLS_N; n++) {
        uint32_t key[2] = { h->i, random_below(&random, KEYS_N) }, common[2] = { THREADS_N, random_below(&random, SHARED_N) };
        uint64_t value[8] = { random_next(&random) | 1 }, got[8];
        size_t bytes;
        int rc;
        switch (random_below(&random, 6)) {
        case 0:
        case 1:
            HOLD(shoal_put(h->map, key, sizeof key, value, sizeof value) == 0);
            h->value[key[1]] = value[0];
            break;
        case 2:
            rc = shoal_delete(h->map, key, sizeof key);
            HOLD(rc == (h->value[key[1]] != 0 ? 0 : SHOAL_MISSING));
            h->value[key[1]] = 0;
            break;
        case 3:
            HOLD(shoal_incr(h->map, common, sizeof common, 1, NULL) == 0);
            break;
        default:
            rc = shoal_get(h->map, key, sizeof key, got, sizeof got, &bytes);
            HOLD(rc == (h->value[key[1]] != 0 ? 0 : SHOAL_MISSING));
            HOLD(rc != 0 || (bytes == sizeof got && got[0] == h->value[key[1]]));
        }
        if (n % 500 == 499)
            HOLD(shoal_sync(h->map) == 0);
    }
    return NULL;
}

static void threads_share_both_tiers(void **state)
{
    struct frame *frame = *state;
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal_flush flush = SHOAL_FLUSH_INIT;
    struct shoal *map;
    char path[128];
    static struct hand hands[THREADS_N];
    options.capacity = THREADS_N * KEYS_N / 4;
    options.heap_bytes = 64 * 1024;
    options.store = frame->path;
    options.on_full = SHOAL_FULL_SPILL;
    flush.interval_ms = 5;
    (void)snprintf(path, sizeof path, "%s/map", frame->dir);
    assert_int_equal(shoal_create(path, &options, &map), 0);
    assert_int_equal(shoal_flush_start(map, &flush), 0);
    for (uint32_t i = 0; i < THREADS_N; i++) {
        hands[i] = (struct hand){ .map = map, .i = i };
        assert_int_equal(pthread_create(&hands[i].thread, NULL, run, &hands[i]), 0);
    }
    uint64_t there = 0, sum = 0;
    for (uint32_t i = 0; i < THREADS_N; i++) {
        assert_int_equal(pthread_join(hands[i].thread, NULL), 0);
        if (hands[i].text[0] != 0)
            fail_msg("thread %u: %s", i, hands[i].text);
        for (uint32_t k = 0; k < KEYS_N; k++)
            there += hands[i].value[k] != 0;
    }
    uint64_t n;
    for (uint32_t k = 0; k < SHARED_N; k++) {
        uint32_t common[2] = { THREADS_N, k };
        int64_t value = 0;
        assert_int_equal(shoal_incr(map, common, sizeof common, 0, &value), 0);
        sum += (uint64_t)value;
    }
    assert_true(sum > CALLS_N / 2 && sum < THREADS_N * CALLS_N);
    assert_int_equal(shoal_count(map, SHOAL_EXACT, &n, NULL), 0);
    assert_int_equal(n, there + SHARED_N);
    struct shoal_stats stats = SHOAL_STATS_INIT;
    assert_int_equal(shoal_stats(map, &stats), 0);
    assert_true(stats.evicted > KEYS_N && stats.store_hits > 0 && stats.flush_failures == 0);
    shoal_close(map);
    assert_int_equal(shoal_unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { FRAME_TEST(threads_share_both_tiers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
