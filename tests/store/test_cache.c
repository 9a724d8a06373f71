/* SPDX-License-Identifier: MIT
 *
 * A bucket in memory is changed where it is only while nobody else can be reading it (cache.h, C3); no more are kept than may
 * be, what is read once does not drive them out, and nodes that meet are kept beside each other.
 */
#include "store/frame.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <urcu/urcu-bp.h>

#include "store/cache.h"

#define PAGE 7u
#define ROUNDS 50000u

static const struct page_ref ref = { PAGE, 3 };

/* A cache that keeps one bucket, which nobody has looked for yet. */
static void keep_one(struct cache *cache)
{
    struct cached *cached = calloc(1, sizeof *cached);
    assert_non_null(cached);
    bucket_make(&cached->bucket, 0, 0);
    cache_written(cache, ref, cached);
    uatomic_set(&cache->reader, NULL);
}

static bool is_kept_as(struct cache *cache, struct page_ref name)
{
    struct bucket bucket;
    return cache_copy(cache, name, 0, 0, &bucket);
}

static bool is_kept(struct cache *cache) { return is_kept_as(cache, ref); }

static void *come(void *cache)
{
    cache_come(cache);
    return NULL;
}

static void another_comes(struct cache *cache)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, come, cache), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void the_only_reader_takes_it(void **state)
{
    (void)state;
    struct cache cache = { 0 };
    keep_one(&cache);
    cache_come(&cache);
    struct cached *taken = cache_take(&cache, ref, 0, 0);
    assert_non_null(taken);
    assert_false(is_kept(&cache));
    cache_put_back(&cache, taken);
    assert_true(is_kept(&cache));
    assert_null(cache_take(&cache, (struct page_ref){ PAGE, 4 }, 0, 0)); /* of another transaction */
    assert_true(is_kept(&cache));
    cache_close(&cache);
}

static void beside_another_reader_it_is_copied(void **state)
{
    (void)state;
    for (int both = 0; both < 2; both++) {
        struct cache cache = { 0 };
        keep_one(&cache);
        if (both)
            cache_come(&cache);
        another_comes(&cache);
        assert_null(cache_take(&cache, ref, 0, 0));
        assert_true(is_kept(&cache));
        cache_close(&cache);
    }
}

/* Whoever comes last is kept, and no more than may be. */
static void others_leave(void **state)
{
    (void)state;
    struct cache cache = { 0 };
    const uint64_t most = cache_buckets_n(&cache), pages_n = most + most / 4;
    uint64_t kept_n = 0;
    for (uint64_t page = 1; page <= pages_n; page++) {
        struct cached *cached = calloc(1, sizeof *cached);
        assert_non_null(cached);
        cache_written(&cache, (struct page_ref){ page, 3 }, cached);
        assert_true(is_kept_as(&cache, (struct page_ref){ page, 3 }));
        cache_tidy(&cache);
    }
    for (uint64_t page = 1; page <= pages_n; page++)
        kept_n += is_kept_as(&cache, (struct page_ref){ page, 3 });
    assert_int_equal(kept_n, most);
    assert_int_equal(cache.kept_n, most);
    cache_close(&cache);
}

/* What is read in passing does not drive out what is kept: only one in eight of those that come again. */
static void few_come_into_a_full_cache(void **state)
{
    (void)state;
    struct cache cache = { 0 };
    const uint64_t most = cache_buckets_n(&cache), first = most + 11, asked_n = 800;
    uint64_t wanted_n = 0;
    for (uint64_t page = most + 1; page < first; page++) {
        struct cache_place *place = cache_bucket_place(&cache, page);
        assert_false(cache_wants(&cache, place, page));
        assert_true(cache_wants(&cache, place, page));
        assert_false(cache_wants(&cache, place, page + 2 * CACHE_BUCKETS_MAX)); /* another one */
        assert_false(cache_wants(&cache, place, page));
    }
    for (uint64_t page = 1; page <= most; page++) {
        struct cached *cached = calloc(1, sizeof *cached);
        assert_non_null(cached);
        cache_written(&cache, (struct page_ref){ page, 3 }, cached);
    }
    for (uint64_t page = first; page < first + asked_n; page++) {
        struct cache_place *place = cache_bucket_place(&cache, page);
        (void)cache_wants(&cache, place, page);
        wanted_n += cache_wants(&cache, place, page);
    }
    assert_int_equal(wanted_n, asked_n / 8);
    cache_close(&cache);
}

static bool node_is_kept(struct cache *cache, struct page_ref name)
{
    const struct cached *cached = cache_node(cache_node_places(cache, name.page), name);
    return cached != NULL && cached->node.head.prefix == name.page + name.txn;
}

static void keep_node(struct cache *cache, struct page_ref name)
{
    struct cached *cached = calloc(1, sizeof *cached);
    assert_non_null(cached);
    cached->node.head.prefix = name.page + name.txn;
    cache_node_written(cache, name, cached);
}

/* Nodes that meet: as many as there are places for them, and then whoever comes last. */
static void nodes_that_meet(void **state)
{
    (void)state;
    const uint64_t apart = CACHE_NODES / NODE_WAYS;
    struct cache cache = { 0 };
    for (uint64_t i = 0; i < NODE_WAYS; i++)
        keep_node(&cache, (struct page_ref){ 5 + i * apart, 7 });
    for (uint64_t i = 0; i < NODE_WAYS; i++)
        assert_true(node_is_kept(&cache, (struct page_ref){ 5 + i * apart, 7 }));
    keep_node(&cache, (struct page_ref){ 5 + apart, 8 });
    assert_false(node_is_kept(&cache, (struct page_ref){ 5 + apart, 7 }));
    assert_true(node_is_kept(&cache, (struct page_ref){ 5 + apart, 8 }));
    assert_int_equal(cache.nodes_n, NODE_WAYS);
    for (uint64_t i = NODE_WAYS; i < 10 * NODE_WAYS; i++) {
        keep_node(&cache, (struct page_ref){ 5 + i * apart, i });
        assert_true(node_is_kept(&cache, (struct page_ref){ 5 + i * apart, i }));
    }
    assert_int_equal(cache.nodes_n, NODE_WAYS);
    cache_close(&cache);
}

/* Places tell pages apart by half of their numbers, identity by all of it. */
static void half_a_name_is_none(void **state)
{
    (void)state;
    const struct page_ref other = { PAGE + ((uint64_t)1 << 32), 3 };
    struct cache cache = { 0 };
    keep_one(&cache);
    assert_ptr_equal(cache_bucket_place(&cache, PAGE), cache_bucket_place(&cache, other.page));
    assert_true(is_kept_as(&cache, ref));
    assert_false(is_kept_as(&cache, other));
    keep_node(&cache, ref);
    assert_ptr_equal(cache_node_places(&cache, PAGE), cache_node_places(&cache, other.page));
    assert_non_null(cache_node(cache_node_places(&cache, PAGE), ref));
    assert_null(cache_node(cache_node_places(&cache, PAGE), other));
    cache_close(&cache);
}

/* -- At the same time ------------------------------------------------------------------------------ */

struct race {
    struct cache cache;
    atomic_uint round; /* begun */
    atomic_uint over;  /* by the reader */
    bool seen;         /* what the reader met */
};

static void *reader(void *arg)
{
    struct race *race = arg;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        while (atomic_load(&race->round) != i)
            ;
        cache_come(&race->cache);
        urcu_bp_read_lock();
        race->seen = cache_bucket(cache_bucket_place(&race->cache, PAGE), ref, 0, 0) != NULL;
        urcu_bp_read_unlock();
        atomic_store(&race->over, i);
    }
    return NULL;
}

/* Each round is the first time that the other thread looks. */
static void who_comes_meanwhile_finds_nothing(void **state)
{
    (void)state;
    struct race race = { .round = 0 };
    pthread_t thread;
    unsigned taken_n = 0, seen_n = 0;
    assert_int_equal(pthread_create(&thread, NULL, reader, &race), 0);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        keep_one(&race.cache);
        atomic_store(&race.round, i);
        for (volatile unsigned wait = i % 1024; wait > 0 && (i % 8 != 0 || atomic_load(&race.over) != i); wait -= i % 8 != 0)
            ; /* each eighth time until the other one has looked */
        struct cached *taken = cache_take(&race.cache, ref, 0, 0);
        while (atomic_load(&race.over) != i)
            ;
        taken_n += taken != NULL;
        seen_n += race.seen;
        assert_false(taken != NULL && race.seen);
        free(taken);
        cache_tidy(&race.cache);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("taken %u times, seen %u times of %u\n", taken_n, seen_n, ROUNDS);
    assert_true(taken_n > 0 && seen_n > 0);
    cache_close(&race.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_only_reader_takes_it),
        cmocka_unit_test(beside_another_reader_it_is_copied),
        cmocka_unit_test(others_leave),
        cmocka_unit_test(few_come_into_a_full_cache),
        cmocka_unit_test(nodes_that_meet),
        cmocka_unit_test(half_a_name_is_none),
        cmocka_unit_test(who_comes_meanwhile_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
