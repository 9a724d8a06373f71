/* SPDX-License-Identifier: MIT
 *
 * Pages in memory (cache.h).
 */
#include "store/cache.h"

#include <stdalign.h>
#include <stdlib.h>

#include "base/os.h"
#include "base/rcu.h"

#define LEFT_MAX 1024ul /* freed together, because waiting for all readers takes time */
/* Spare ones are as many as a transaction may change, since the next one will change as many.  With more of them left what is
 * written is not kept: its memory is free at once, and who holds the lock for long gives none back meanwhile. */
#define SPARE_SHARE 4u
#define SPARE_LEAST (2 * LEFT_MAX)

#define PLACES_FOR_EACH 4u /* bucket that may be kept; a power of two */
#define ADMIT_SHARE 8u
#define HAND_LOOKS 64u     /* more are not in a row without a bucket, but by chance */

#define LINE_BYTES 64u
#define LINES_TO_LOOK 4u /* name, head and first words of a bucket */
#define LINES_TO_COPY 6u /* what follows, the processor asks for by itself */

/* -- Places -------------------------------------------------------------------------------------- */

struct cache_places {
    uint64_t n;   /* a power of two */
    void *memory; /* in which this begins with a line */
    alignas(LINE_BYTES) struct cache_place place[];
};
static_assert(NODE_WAYS * sizeof(struct cache_place) == LINE_BYTES, "one line");

/* At most kept_n of them have something.  Places that nobody has touched are no memory yet, and a look would make them some. */
static void places_free(struct cache_places *places, uint64_t kept_n)
{
    if (places == NULL)
        return;
    for (uint64_t i = 0; i < places->n && kept_n > 0; i++)
        if (places->place[i].cached != NULL) {
            free(places->place[i].cached);
            kept_n--;
        }
    free(places->memory);
}

static uint64_t node_places_n(void) { return CACHE_NODES; }

static uint64_t bucket_places_n(void)
{
    uint64_t n = CACHE_BUCKETS_MAX, most = os_memory_bytes() / CACHE_MEMORY_SHARE / PAGE_BYTES;
    while (n > CACHE_BUCKETS_LEAST && n > most)
        n /= 2;
    return n * PLACES_FOR_EACH;
}

/* The places are made for the first page: many stores are opened for one lookup, or none. */
static struct cache_places *places_of(struct cache_places **io_places, uint64_t how_many(void))
{
    struct cache_places *places = RCU_LOAD(*io_places);
    if (places != NULL)
        return places;
    uint64_t n = how_many();
    void *memory = calloc(1, LINE_BYTES + sizeof *places + n * sizeof places->place[0]);
    if (memory == NULL)
        return NULL;
    struct cache_places *made = (struct cache_places *)(((uintptr_t)memory + LINE_BYTES - 1) & ~(uintptr_t)(LINE_BYTES - 1));
    made->memory = memory;
    made->n = n;
    places = urcu_bp_cmpxchg_pointer(io_places, NULL, made);
    if (places == NULL)
        return made;
    free(memory);
    return places;
}

static struct cache_place *place_of(struct cache_places *places, uint64_t page)
{
    return places != NULL ? &places->place[page & (places->n - 1)] : NULL;
}

struct cache_place *cache_node_places(struct cache *cache, uint64_t page)
{
    return place_of(places_of(&cache->nodes, node_places_n), page * NODE_WAYS);
}

struct cache_place *cache_bucket_place(struct cache *cache, uint64_t page)
{
    return place_of(places_of(&cache->buckets, bucket_places_n), page);
}

uint64_t cache_buckets_n(struct cache *cache)
{
    const struct cache_places *places = places_of(&cache->buckets, bucket_places_n);
    return places != NULL ? places->n / PLACES_FOR_EACH : 0;
}

/* The second time in a row; and one in ADMIT_SHARE of those where another one must leave for it.  Else each get of a store that
 * is much larger would read a page, and take memory, in vain; what is read often comes here soon nevertheless. */
bool cache_wants(struct cache *cache, struct cache_place *place, uint64_t page)
{
    if (uatomic_read(&place->asked) != (uint32_t)page) {
        uatomic_set(&place->asked, (uint32_t)page);
        return false;
    }
    return uatomic_read(&cache->kept_n) < cache_buckets_n(cache) ||
           uatomic_add_return(&cache->wanted_n, 1) % ADMIT_SHARE == 0;
}

static unsigned long spare_max(struct cache *cache)
{
    uint64_t n = cache_buckets_n(cache) / SPARE_SHARE;
    return n > SPARE_LEAST ? n : SPARE_LEAST;
}

/* -- What is kept -------------------------------------------------------------------------------- */

static void leave(struct cache *cache, struct cached *old)
{
    struct cached *list;
    do {
        list = uatomic_read(&cache->left);
        old->next = list;
    } while (uatomic_cmpxchg(&cache->left, list, old) != list);
    uatomic_inc(&cache->left_n);
}

void cache_keep_meta(struct cache *cache, struct cached *cached)
{
    struct cached *old = urcu_bp_xchg_pointer(&cache->meta, cached);
    if (old != NULL)
        leave(cache, old);
}

/* Where the page was kept before, or nothing is; else in turns, so that nodes which no root leads to any more make room for all
 * of those that one does.  `asked` counts the turns: racing ones may take the same. */
static struct cache_place *node_place(struct cache_place *places, struct page_ref ref)
{
    struct cache_place *free_one = NULL;
    for (unsigned i = 0; i < NODE_WAYS; i++) {
        bool kept = uatomic_read(&places[i].cached) != NULL;
        if (kept && uatomic_read(&places[i].page) == (uint32_t)ref.page)
            return &places[i];
        if (!kept)
            free_one = &places[i];
    }
    if (free_one != NULL)
        return free_one;
    uint32_t turn = uatomic_read(&places->asked);
    uatomic_set(&places->asked, turn + 1);
    return &places[turn % NODE_WAYS];
}

/* Written only while it is another one, since each who reads a node of the line would wait for it. */
static void page_set(struct cache_place *place, uint64_t page)
{
    if (uatomic_read(&place->page) != (uint32_t)page)
        uatomic_set(&place->page, (uint32_t)page);
}

void cache_keep_node(struct cache *cache, struct cache_place *places, struct cached *cached)
{
    struct cache_place *place = node_place(places, cached->ref);
    page_set(place, cached->ref.page);
    struct cached *old = urcu_bp_xchg_pointer(&place->cached, cached);
    if (old != NULL)
        leave(cache, old);
    else
        uatomic_inc(&cache->nodes_n);
}

const struct cached *cache_node(const struct cache_place *places, struct page_ref ref)
{
    for (unsigned i = 0; i < NODE_WAYS; i++) {
        if (uatomic_read(&places[i].page) != (uint32_t)ref.page)
            continue;
        const struct cached *cached = RCU_LOAD(places[i].cached);
        if (cached != NULL && cached->ref.page == ref.page && cached->ref.txn == ref.txn)
            return cached;
    }
    return NULL;
}

static void bucket_leaves(struct cache *cache, struct cached *old)
{
    uatomic_dec(&cache->kept_n);
    leave(cache, old);
}

/* The next one that the hand meets, whichever that is. */
static void make_room(struct cache *cache)
{
    struct cache_places *places = RCU_LOAD(cache->buckets);
    for (unsigned looks = 0; looks < HAND_LOOKS; looks++) {
        struct cache_place *place = &places->place[uatomic_add_return(&cache->hand, 1) & (places->n - 1)];
        struct cached *old = uatomic_read(&place->cached);
        if (old != NULL && uatomic_cmpxchg(&place->cached, old, NULL) == old) {
            bucket_leaves(cache, old);
            return;
        }
    }
}

void cache_keep_bucket(struct cache *cache, struct cache_place *place, struct cached *cached)
{
    if (uatomic_add_return(&cache->kept_n, 1) > cache_buckets_n(cache))
        make_room(cache);
    page_set(place, cached->ref.page);
    struct cached *old = urcu_bp_xchg_pointer(&place->cached, cached);
    if (old != NULL)
        bucket_leaves(cache, old);
}

/* Asked for together, instead of one after the other as they are met. */
static void expect_lines(const struct cached *cached, unsigned n)
{
    for (unsigned i = 0; cached != NULL && i < n; i++)
        __builtin_prefetch((const uint8_t *)cached + i * LINE_BYTES);
}

const struct bucket *cache_bucket(const struct cache_place *place, struct page_ref ref, unsigned depth, uint64_t hash)
{
    if (uatomic_read(&place->page) != (uint32_t)ref.page)
        return NULL;
    const struct cached *cached = RCU_LOAD(place->cached);
    expect_lines(cached, LINES_TO_LOOK);
    bool same = cached != NULL && cached->ref.page == ref.page && cached->ref.txn == ref.txn &&
                cached->bucket.head.depth == depth && cached->bucket.head.prefix == hash_prefix(hash, depth);
    return same ? &cached->bucket : NULL;
}

bool cache_copy(struct cache *cache, struct page_ref ref, unsigned depth, uint64_t hash, struct bucket *ret_bucket)
{
    const struct cache_place *place = cache_bucket_place(cache, ref.page);
    if (place == NULL)
        return false;
    RCU_READ_LOCK();
    const struct bucket *bucket = cache_bucket(place, ref, depth, hash);
    if (bucket != NULL)
        *ret_bucket = *bucket;
    RCU_READ_UNLOCK();
    return bucket != NULL;
}

static _Thread_local char here; /* its address tells threads apart */
static char many;

void cache_come(struct cache *cache)
{
    const void *reader = uatomic_read(&cache->reader);
    if (reader == &here || reader == &many)
        return;
    if (reader != NULL || uatomic_cmpxchg(&cache->reader, NULL, &here) != NULL)
        (void)uatomic_xchg(&cache->reader, &many);
}

static bool is_alone(struct cache *cache)
{
    const void *reader = uatomic_read(&cache->reader);
    return reader == NULL || reader == &here;
}

struct cached *cache_take(struct cache *cache, struct page_ref ref, unsigned depth, uint64_t hash)
{
    struct cache_place *place = cache_bucket_place(cache, ref.page);
    if (place == NULL || !is_alone(cache))
        return NULL;
    RCU_READ_LOCK();
    const struct bucket *bucket = cache_bucket(place, ref, depth, hash);
    struct cached *cached = bucket != NULL ? cached_of(bucket) : NULL;
    bool taken = cached != NULL && uatomic_cmpxchg(&place->cached, cached, NULL) == cached; /* a full fence (C3) */
    RCU_READ_UNLOCK();
    if (!taken)
        return NULL;
    uatomic_dec(&cache->kept_n);
    if (is_alone(cache))
        return cached;
    leave(cache, cached);
    return NULL;
}

void cache_put_back(struct cache *cache, struct cached *cached)
{
    cache_keep_bucket(cache, cache_bucket_place(cache, cached->ref.page), cached);
}

void cache_expect_lines(const struct bucket *bucket) { expect_lines(cached_of(bucket), LINES_TO_COPY); }

void cache_expect_place(struct cache *cache, uint64_t page)
{
    const struct cache_place *place = cache_bucket_place(cache, page);
    if (place != NULL)
        __builtin_prefetch(place, 1);
}

void cache_expect_bucket(struct cache *cache, uint64_t page)
{
    const struct cache_place *place = cache_bucket_place(cache, page);
    if (place != NULL)
        expect_lines(uatomic_read(&place->cached), LINES_TO_COPY); /* not looked at: it may be free already */
}

void cache_expect_record(struct cache *cache, uint64_t page, uint64_t hash, uint32_t bytes)
{
    const struct cache_place *place = cache_bucket_place(cache, page);
    if (place == NULL)
        return;
    RCU_READ_LOCK();
    const struct cached *cached = RCU_LOAD(place->cached);
    if (cached != NULL)
        bucket_expect(&cached->bucket, hash, bytes);
    RCU_READ_UNLOCK();
}

/* C1: whatever has the page's number goes, whichever transaction wrote it. */
static void forget(struct cache *cache, struct cache_place *place, uint64_t page)
{
    RCU_READ_LOCK();
    const struct cached *cached = RCU_LOAD(place->cached);
    bool is_it = cached != NULL && cached->ref.page == page;
    RCU_READ_UNLOCK();
    struct cached *old = is_it ? urcu_bp_xchg_pointer(&place->cached, NULL) : NULL;
    if (old != NULL)
        bucket_leaves(cache, old);
}

void cache_forget(struct cache *cache, struct page_ref ref)
{
    struct cache_place *place = cache_bucket_place(cache, ref.page);
    if (place != NULL && uatomic_read(&cache->left_n) < spare_max(cache))
        forget(cache, place, ref.page);
}

void cache_written(struct cache *cache, struct page_ref ref, struct cached *cached)
{
    struct cache_place *place = cache_bucket_place(cache, ref.page);
    if (place != NULL && uatomic_read(&cache->left_n) < spare_max(cache) && !cached->has_large) {
        cached->ref = ref;
        cache_keep_bucket(cache, place, cached);
        return;
    }
    if (place != NULL)
        forget(cache, place, ref.page);
    cache_free(cache, cached);
}

void cache_node_written(struct cache *cache, struct page_ref ref, struct cached *cached)
{
    struct cache_place *places = cache_node_places(cache, ref.page);
    cached->ref = ref;
    if (places != NULL)
        cache_keep_node(cache, places, cached);
    else
        cache_free(cache, cached);
}

/* -- Memory -------------------------------------------------------------------------------------- */

static void list_free(struct cached *cached)
{
    while (cached != NULL) {
        struct cached *next = cached->next;
        free(cached);
        cached = next;
    }
}

struct cached *cache_alloc(struct cache *cache)
{
    if (cache->own == NULL && cache->own_lists == NULL) {
        uatomic_set(&cache->spare_n, 0);
        cache->own_lists = uatomic_xchg(&cache->spare, NULL);
    }
    if (cache->own == NULL && cache->own_lists != NULL) {
        cache->own = cache->own_lists;
        cache->own_lists = cache->own->list;
    }
    struct cached *cached = cache->own;
    if (cached == NULL)
        return malloc(sizeof *cached);
    cache->own = cached->next;
    __builtin_prefetch(cache->own, 1); /* written long ago; the next call reads where its list goes on */
    return cached;
}

void cache_free(struct cache *cache, struct cached *cached)
{
    cached->next = cache->own;
    cache->own = cached;
}

/* n of them, about, which nobody can be reading any more.  They are not looked at: they are no longer near. */
static void list_spare(struct cache *cache, struct cached *list, unsigned long n)
{
    struct cached *head;
    if (list == NULL || uatomic_read(&cache->spare_n) + n > spare_max(cache)) {
        list_free(list);
        return;
    }
    do {
        head = uatomic_read(&cache->spare);
        list->list = head;
    } while (uatomic_cmpxchg(&cache->spare, head, list) != head);
    uatomic_add(&cache->spare_n, n);
}

static void lists_free(struct cached *list)
{
    while (list != NULL) {
        struct cached *next = list->list;
        list_free(list);
        list = next;
    }
}

bool cache_is_untidy(const struct cache *cache) { return uatomic_read(&cache->left_n) >= LEFT_MAX; }

void cache_tidy(struct cache *cache)
{
    if (!cache_is_untidy(cache) || urcu_bp_read_ongoing())
        return;
    unsigned long n = uatomic_xchg(&cache->left_n, 0);
    struct cached *list = uatomic_xchg(&cache->left, NULL);
    urcu_bp_synchronize_rcu();
    list_spare(cache, list, n);
}

void cache_close(struct cache *cache)
{
    places_free(cache->nodes, uatomic_read(&cache->nodes_n));
    places_free(cache->buckets, uatomic_read(&cache->kept_n));
    free(cache->meta);
    list_free(cache->left);
    lists_free(cache->spare);
    lists_free(cache->own_lists);
    list_free(cache->own);
}
