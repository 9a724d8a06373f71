/* SPDX-License-Identifier: MIT
 *
 * Many threads over one mapping (guarantees A, B, C as far as one process sees them; made to be run under
 * ThreadSanitizer): mixed calls against an oracle, threads that come and go, views handed to other threads,
 * walks and checks all the while, and a map that is closed under calls.
 *
 *     test_threads [SEED [CALLS]]      CALLS of each thread
 *
 * The oracle
 *   own keys   written by one thread alone: each read gives what it wrote last
 *   counters   incr by all, and put_with if_version by all: the sum of what was acknowledged
 *   tokens     each value is put once with a number of its own and taken: no number twice, none from nowhere
 *   contested  written by all: values describe themselves, so a torn one is seen
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fail.h"
#include "lib/random.h"
#include "shoal/shoal.h"

#define THREADS 4u
#define LIVES 6u /* threads of each player, one after the other */
#define OWN_KEYS 48u
#define KEPT_KEYS 8u /* of these: never deleted, so that every walk must meet them */
#define COUNTERS 3u
#define CONTESTED 4u
#define TOKEN_KEYS 2u
#define VALUE_MAX 700u
#define MAIL 16u

enum key_kind { KIND_OWN, KIND_COUNTER, KIND_VERSIONED, KIND_TOKEN, KIND_CONTESTED };

static uint64_t seed_of_run = 1, calls_of_run = 40000;

/* -- Keys and values ------------------------------------------------------------------------------------ */

struct key {
    char text[32];
    size_t bytes;
};

static struct key key_of(enum key_kind kind, unsigned who, unsigned i)
{
    struct key key;
    key.bytes = (size_t)snprintf(key.text, sizeof key.text, "%c/%u/%u", "ocvtx"[kind], who, i);
    return key;
}

/* A value is its number, then bytes that follow from it. */
static size_t value_make(uint8_t *to, uint64_t number, size_t bytes)
{
    uint64_t state = number;
    memcpy(to, &number, sizeof number);
    for (size_t i = sizeof number; i < bytes; i++)
        to[i] = (uint8_t)(random_mix(state + i / 8) >> i % 8 * 8);
    return bytes;
}

static bool value_is_whole(const void *value, size_t bytes, uint64_t *ret_number)
{
    uint8_t expected[VALUE_MAX];
    if (bytes < 8 || bytes > VALUE_MAX)
        return false;
    memcpy(ret_number, value, 8);
    value_make(expected, *ret_number, bytes);
    return memcmp(expected, value, bytes) == 0;
}

/* -- The players ------------------------------------------------------------------------------------------ */

/* What a player knows; handed from each of its threads to the next. */
struct player {
    struct game *game;
    uint64_t random;
    unsigned who;
    uint64_t number; /* of its last value; the top byte is who */
    uint64_t own_number[OWN_KEYS];
    size_t own_bytes[OWN_KEYS]; /* 0 = absent */
    int64_t added[COUNTERS];
    uint64_t swapped; /* successes of put_with if_version */
    uint64_t calls, walks, views;
};

struct game {
    struct shoal *map;
    struct player player[THREADS];
    _Atomic uint64_t tokens_put, tokens_taken, tokens_sum_put, tokens_sum_taken;
    pthread_mutex_t lock;
    struct shoal_view mail[MAIL]; /* views for somebody else to end */
    unsigned mail_n;
};

static uint64_t number_next(struct player *p) { return ++p->number; }

static size_t some_bytes(struct player *p)
{
    return 8 + random_below(&p->random, random_below(&p->random, 8) == 0 ? VALUE_MAX - 8 : 60);
}

#define done(rc) require((rc) == 0, "%d, %s", (rc), shoal_error_text())

/* -- Own keys --------------------------------------------------------------------------------------------- */

static void own_write(struct player *p, unsigned i)
{
    uint8_t value[VALUE_MAX];
    struct key key = key_of(KIND_OWN, p->who, i);
    size_t bytes = value_make(value, number_next(p), some_bytes(p));
    int rc;
    switch (random_below(&p->random, 3)) {
    case 0: rc = shoal_add(p->game->map, key.text, key.bytes, value, bytes); break;
    case 1: rc = shoal_replace(p->game->map, key.text, key.bytes, value, bytes); break;
    default: rc = shoal_put(p->game->map, key.text, key.bytes, value, bytes); break;
    }
    bool there = p->own_bytes[i] != 0;
    require(rc == 0 || rc == (there ? SHOAL_EXISTS : SHOAL_MISSING), "%d, %s", rc, shoal_error_text());
    if (rc == 0) {
        p->own_number[i] = p->number;
        p->own_bytes[i] = bytes;
    }
}

static void own_read(struct player *p, unsigned i)
{
    uint8_t value[VALUE_MAX];
    struct key key = key_of(KIND_OWN, p->who, i);
    size_t bytes = 0;
    uint64_t number = 0;
    int rc = shoal_get(p->game->map, key.text, key.bytes, value, sizeof value, &bytes);
    require(rc == (p->own_bytes[i] != 0 ? 0 : SHOAL_MISSING), "%s: %d, %s", key.text, rc, shoal_error_text());
    if (rc == 0)
        require(value_is_whole(value, bytes, &number) && number == p->own_number[i] && bytes == p->own_bytes[i],
                "%s: number %llx of %zu bytes, not %llx of %zu", key.text, (unsigned long long)number, bytes,
                (unsigned long long)p->own_number[i], p->own_bytes[i]);
}

static void own_delete(struct player *p, unsigned i)
{
    struct key key = key_of(KIND_OWN, p->who, i);
    if (i < KEPT_KEYS)
        return;
    int rc = shoal_delete(p->game->map, key.text, key.bytes);
    require(rc == (p->own_bytes[i] != 0 ? 0 : SHOAL_MISSING), "%s: %d", key.text, rc);
    p->own_bytes[i] = 0;
}

/* -- Counters --------------------------------------------------------------------------------------------- */

static void counter_add(struct player *p)
{
    unsigned i = random_below(&p->random, COUNTERS);
    struct key key = key_of(KIND_COUNTER, 0, i);
    int64_t delta = (int64_t)random_below(&p->random, 100) - 30;
    done(shoal_incr(p->game->map, key.text, key.bytes, delta, NULL));
    p->added[i] += delta;
}

static void counter_swap(struct player *p)
{
    struct key key = key_of(KIND_VERSIONED, 0, 0);
    struct shoal_how how = SHOAL_HOW_INIT;
    uint64_t n = 0;
    how.flags = SHOAL_IF_VERSION;
    int rc = shoal_getv(p->game->map, key.text, key.bytes, &n, sizeof n, NULL, &how.if_version);
    require(rc == 0 || rc == SHOAL_MISSING, "%d, %s", rc, shoal_error_text());
    n++;
    rc = shoal_put_with(p->game->map, key.text, key.bytes, &n, sizeof n, &how, NULL);
    require(rc == 0 || rc == SHOAL_CHANGED, "%d, %s", rc, shoal_error_text());
    p->swapped += rc == 0;
}

/* -- Tokens ----------------------------------------------------------------------------------------------- */

static void token_put(struct player *p)
{
    struct key key = key_of(KIND_TOKEN, 0, random_below(&p->random, TOKEN_KEYS));
    uint8_t value[32];
    uint64_t number = number_next(p);
    value_make(value, number, sizeof value);
    int rc = shoal_add(p->game->map, key.text, key.bytes, value, sizeof value);
    require(rc == 0 || rc == SHOAL_EXISTS, "%d, %s", rc, shoal_error_text());
    if (rc == 0) {
        p->game->tokens_put++;
        p->game->tokens_sum_put += random_mix(number);
    }
}

static void token_take(struct player *p)
{
    struct key key = key_of(KIND_TOKEN, 0, random_below(&p->random, TOKEN_KEYS));
    uint8_t value[32];
    uint64_t number = 0;
    size_t bytes = 0;
    int rc = shoal_take(p->game->map, key.text, key.bytes, value, sizeof value, &bytes);
    require(rc == 0 || rc == SHOAL_MISSING, "%d, %s", rc, shoal_error_text());
    if (rc != 0)
        return;
    require(value_is_whole(value, bytes, &number), "token %llx", (unsigned long long)number);
    p->game->tokens_taken++;
    p->game->tokens_sum_taken += random_mix(number);
}

/* -- Contested keys ----------------------------------------------------------------------------------------- */

static struct key contested_key(struct player *p)
{
    return key_of(KIND_CONTESTED, 0, random_below(&p->random, CONTESTED));
}

static void contested_write(struct player *p)
{
    uint8_t value[VALUE_MAX];
    struct key key = contested_key(p);
    size_t bytes = value_make(value, number_next(p), some_bytes(p));
    if (random_below(&p->random, 8) == 0) {
        int rc = shoal_delete(p->game->map, key.text, key.bytes);
        require(rc == 0 || rc == SHOAL_MISSING, "%d, %s", rc, shoal_error_text());
    } else {
        done(shoal_put(p->game->map, key.text, key.bytes, value, bytes));
    }
}

static void contested_read(struct player *p)
{
    uint8_t value[VALUE_MAX];
    struct key key = contested_key(p);
    size_t bytes = 0;
    uint64_t number = 0;
    int rc = shoal_get(p->game->map, key.text, key.bytes, value, sizeof value, &bytes);
    require(rc == 0 || rc == SHOAL_MISSING, "%d, %s", rc, shoal_error_text());
    require(rc != 0 || value_is_whole(value, bytes, &number), "torn: %zu bytes of %llx", bytes,
            (unsigned long long)number);
}

/* Looks at the old value in place, as a view does. */
static int change_whole(struct shoal_change *change, void *arg)
{
    struct player *p = arg;
    static _Thread_local uint8_t value[VALUE_MAX];
    uint64_t number;
    require(change->old == NULL || value_is_whole(change->old, change->old_bytes, &number), "torn in update");
    change->value = value;
    change->value_bytes = value_make(value, number_next(p), some_bytes(p));
    return (int)random_below(&p->random, 3) == SHOAL_KEEP ? SHOAL_KEEP : SHOAL_STORE;
}

static void contested_update(struct player *p)
{
    struct key key = contested_key(p);
    done(shoal_update(p->game->map, key.text, key.bytes, change_whole, p));
}

/* -- Views --------------------------------------------------------------------------------------------------- */

/* A view goes into the mail, and the one whose place it takes is ended here, by another thread than took it. */
static void view_pass_on(struct player *p)
{
    struct game *g = p->game;
    struct key key = contested_key(p);
    struct shoal_view view, other = { 0 };
    uint64_t number;
    int rc = shoal_view(g->map, key.text, key.bytes, &view);
    require(rc == 0 || rc == SHOAL_MISSING, "%d, %s", rc, shoal_error_text());
    if (rc != 0)
        return;
    require(value_is_whole(view.value, view.bytes, &number), "torn view");
    p->views++;
    pthread_mutex_lock(&g->lock);
    unsigned place = g->mail_n++ % MAIL;
    other = g->mail[place];
    g->mail[place] = view;
    pthread_mutex_unlock(&g->lock);
    require(other.value == NULL || value_is_whole(other.value, other.bytes, &number), "a view changed");
    shoal_view_end(&other);
    if (random_below(&p->random, 16) == 0)
        shoal_view_end(&other);
}

static void view_shortly(struct player *p)
{
    struct key key = contested_key(p);
    struct shoal_view view;
    uint64_t number;
    if (shoal_view(p->game->map, key.text, key.bytes, &view) != 0)
        return;
    require(value_is_whole(view.value, view.bytes, &number), "torn view");
    shoal_view_end(&view);
    p->views++;
}

/* -- The map as a whole -------------------------------------------------------------------------------------- */

static void walk(struct player *p)
{
    struct shoal_iter *iter;
    struct shoal_item item;
    char prefix[16];
    unsigned met[OWN_KEYS] = { 0 }, who, i;
    int rc, n = snprintf(prefix, sizeof prefix, "o/%u/", p->who);
    done(shoal_iter_open(p->game->map, prefix, (size_t)n, &iter));
    while ((rc = shoal_iter_next(iter, &item)) == 0) {
        char text[32] = "";
        uint64_t number = 0;
        memcpy(text, item.key, item.key_bytes < 31 ? item.key_bytes : 31);
        require(sscanf(text, "o/%u/%u", &who, &i) == 2 && who == p->who && i < OWN_KEYS, "key %s", text);
        require(value_is_whole(item.value, item.value_bytes, &number) && number == p->own_number[i], "%s", text);
        met[i]++;
    }
    require(rc == SHOAL_END, "%d, %s", rc, shoal_error_text());
    for (i = 0; i < OWN_KEYS; i++) /* nobody else writes them, so all were there throughout, or none */
        require(met[i] == (p->own_bytes[i] != 0), "own key %u: met %u times", i, met[i]);
    shoal_iter_close(iter);
    p->walks++;
}

static void look_at_all(struct player *p)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    uint64_t n = 0;
    switch (random_below(&p->random, 4)) {
    case 0: done(shoal_check(p->game->map, &report)); break;
    case 1: done(shoal_stats(p->game->map, &stats)); break;
    case 2: done(shoal_reap(p->game->map, NULL)); break;
    default: done(shoal_count(p->game->map, SHOAL_EXACT, &n, NULL)); break;
    }
}

static void wait_shortly(struct player *p)
{
    struct key key = contested_key(p);
    uint64_t version = 0;
    int rc = shoal_wait(p->game->map, key.text, key.bytes, random_below(&p->random, 2), 0, &version);
    require(rc == 0 || rc == SHOAL_TIMEOUT, "%d, %s", rc, shoal_error_text());
}

/* -- The game -------------------------------------------------------------------------------------------------- */

static void act(struct player *p)
{
    unsigned i = random_below(&p->random, OWN_KEYS), what = random_below(&p->random, 1000);
    if (what < 200)
        own_write(p, i);
    else if (what < 350)
        own_read(p, i);
    else if (what < 450)
        own_delete(p, i);
    else if (what < 550)
        counter_add(p);
    else if (what < 600)
        counter_swap(p);
    else if (what < 650)
        token_put(p);
    else if (what < 700)
        token_take(p);
    else if (what < 800)
        contested_write(p);
    else if (what < 850)
        contested_read(p);
    else if (what < 900)
        contested_update(p);
    else if (what < 950)
        view_pass_on(p);
    else if (what < 990)
        view_shortly(p);
    else if (what < 995)
        wait_shortly(p);
    else if (what < 998)
        walk(p);
    else
        look_at_all(p);
}

static void *live(void *arg)
{
    struct player *p = arg;
    for (uint64_t i = 0; i < calls_of_run / LIVES; i++, p->calls++)
        act(p);
    return NULL;
}

/* One thread after the other: each attaches by itself, and frees its entry when it ends. */
static void *lives(void *arg)
{
    for (unsigned i = 0; i < LIVES; i++) {
        pthread_t thread;
        require(pthread_create(&thread, NULL, live, arg) == 0, "pthread_create");
        require(pthread_join(thread, NULL) == 0, "pthread_join");
    }
    return NULL;
}

static void player_begin(struct game *g, unsigned who)
{
    struct player *p = &g->player[who];
    p->game = g;
    p->who = who;
    p->random = seed_of_run * 1000 + who;
    p->number = (uint64_t)(who + 1) << 56;
    for (unsigned i = 0; i < KEPT_KEYS; i++)
        while (p->own_bytes[i] == 0)
            own_write(p, i);
}

static void play(struct game *g)
{
    pthread_t thread[THREADS];
    for (unsigned who = 0; who < THREADS; who++)
        player_begin(g, who);
    for (unsigned who = 0; who < THREADS; who++)
        require(pthread_create(&thread[who], NULL, lives, &g->player[who]) == 0, "pthread_create");
    for (unsigned who = 0; who < THREADS; who++)
        require(pthread_join(thread[who], NULL) == 0, "pthread_join");
    for (unsigned i = 0; i < MAIL; i++)
        shoal_view_end(&g->mail[i]);
}

/* -- The sums ---------------------------------------------------------------------------------------------------- */

static void judge_counters(struct game *g)
{
    for (unsigned i = 0; i < COUNTERS; i++) {
        struct key key = key_of(KIND_COUNTER, 0, i);
        int64_t sum = 0, added = 0;
        done(shoal_incr(g->map, key.text, key.bytes, 0, &sum));
        for (unsigned who = 0; who < THREADS; who++)
            added += g->player[who].added[i];
        require(sum == added, "counter %u: %lld, acknowledged were %lld", i, (long long)sum, (long long)added);
    }
    struct key key = key_of(KIND_VERSIONED, 0, 0);
    uint64_t n = 0, swapped = 0;
    (void)shoal_get(g->map, key.text, key.bytes, &n, sizeof n, NULL);
    for (unsigned who = 0; who < THREADS; who++)
        swapped += g->player[who].swapped;
    require(n == swapped, "put_with: %llu, acknowledged were %llu", (unsigned long long)n,
            (unsigned long long)swapped);
}

static void judge_tokens(struct game *g)
{
    while (g->tokens_put != g->tokens_taken) {
        uint64_t before = g->tokens_taken;
        for (int i = 0; i < 64; i++)
            token_take(&g->player[0]);
        require(g->tokens_taken > before, "%llu tokens put, %llu taken", (unsigned long long)g->tokens_put,
                (unsigned long long)g->tokens_taken);
    }
    require(g->tokens_sum_put == g->tokens_sum_taken, "tokens came out that were not put in");
}

static void judge_map(struct game *g)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    for (unsigned who = 0; who < THREADS; who++) {
        for (unsigned i = 0; i < OWN_KEYS; i++)
            own_read(&g->player[who], i);
        walk(&g->player[who]);
    }
    done(shoal_reap(g->map, NULL));
    done(shoal_check(g->map, &report));
    require(report.quiet == 1, "nobody writes, yet check saw writers");
    done(shoal_stats(g->map, &stats));
    require(stats.attached == 1 && stats.dead == 0, "%u attached, %u dead", stats.attached, stats.dead);
    require(stats.retired_bytes + stats.owned_bytes + stats.dead_bytes == 0, "not given back: %llu retired, %llu owned",
            (unsigned long long)stats.retired_bytes, (unsigned long long)stats.owned_bytes);
}

static void one_game(const char *name, uint32_t flags, uint64_t heap_bytes)
{
    struct game *g = calloc(1, sizeof *g);
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    uint64_t calls = 0, walks = 0, views = 0;
    o.capacity = 1000;
    o.heap_bytes = heap_bytes;
    o.max_threads = THREADS * LIVES + 1; /* a view in the mail keeps the entry of its thread */
    o.flags = flags;
    require(g != NULL, "memory");
    pthread_mutex_init(&g->lock, NULL);
    done(shoal_create(name, &o, &g->map));
    done(shoal_unlink(name));
    play(g);
    judge_counters(g);
    judge_tokens(g);
    judge_map(g);
    for (unsigned who = 0; who < THREADS; who++) {
        calls += g->player[who].calls;
        walks += g->player[who].walks;
        views += g->player[who].views;
    }
    printf("flags 0x%x, heap %llu: %llu calls, %llu walks, %llu views\n", flags, (unsigned long long)heap_bytes,
           (unsigned long long)calls, (unsigned long long)walks, (unsigned long long)views);
    shoal_close(g->map);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* -- Close under calls ---------------------------------------------------------------------------------------------- */

struct closing {
    struct shoal *map;
    _Atomic unsigned called;
};

/* Calls until the map is gone; what it saw until then was right.  A view is ended behind the end. */
static void *call_until_closed(void *arg)
{
    struct closing *c = arg;
    uint64_t value = 0, n = 0;
    int rc = 0;
    for (uint64_t i = 0; rc != SHOAL_EINVAL; i++) {
        struct shoal_view view;
        switch (i % 4) {
        case 0: rc = shoal_put(c->map, "key", 3, &n, sizeof n); break;
        case 1: rc = shoal_get(c->map, "key", 3, &value, sizeof value, NULL); break;
        case 2: rc = shoal_incr(c->map, "n", 1, 1, NULL); break;
        default: rc = shoal_view(c->map, "key", 3, &view); break;
        }
        require(rc == 0 || rc == SHOAL_EINVAL, "%d, %s", rc, shoal_error_text());
        if (rc == 0 && i % 4 == 3) {
            require(view.bytes == 8 && memcmp(view.value, &n, 8) == 0, "another value");
            shoal_view_end(&view);
        }
        c->called++;
    }
    return NULL;
}

#define CLOSERS 3u
static void close_under_calls(const char *name, unsigned rounds)
{
    struct shoal *other;
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    o.capacity = 64;
    o.heap_bytes = 512 * 1024;
    o.max_threads = 3 * CLOSERS;
    done(shoal_create(name, &o, &other));
    for (unsigned i = 0; i < rounds; i++) {
        struct closing c = { 0 };
        pthread_t thread[CLOSERS];
        done(shoal_open(name, 0, &c.map));
        for (unsigned t = 0; t < CLOSERS; t++)
            require(pthread_create(&thread[t], NULL, call_until_closed, &c) == 0, "pthread_create");
        while (c.called < 8 + i % 40)
            sched_yield();
        shoal_close(c.map);
        for (unsigned t = 0; t < CLOSERS; t++)
            require(pthread_join(thread[t], NULL) == 0, "pthread_join");
    }
    struct shoal_stats stats = SHOAL_STATS_INIT;
    struct shoal_report report = SHOAL_REPORT_INIT;
    done(shoal_check(other, &report));
    done(shoal_stats(other, &stats));
    require(stats.attached == 1, "%u attached", stats.attached);
    done(shoal_unlink(name));
    shoal_close(other);
    printf("%u maps closed under the calls of %u threads\n", rounds, CLOSERS);
}

/* -- Threads that have several maps, and lose them to others ----------------------------------------------------------- */

struct crowd {
    struct shoal *map[4];
    pthread_barrier_t gate;
    const char *name;
};

/* Attaches to every map; the last one is closed by whoever comes last, while the others end. */
static void *use_and_leave(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < 4; i++)
        done(shoal_incr(c->map[i], "n", 1, 1, NULL));
    int last = pthread_barrier_wait(&c->gate);
    struct shoal *own;
    if (last == PTHREAD_BARRIER_SERIAL_THREAD)
        for (int i = 0; i < 4; i++)
            shoal_close(c->map[i]);
    done(shoal_open(c->name, 0, &own)); /* lets go of what was closed meanwhile */
    done(shoal_incr(own, "n", 1, 1, NULL));
    shoal_close(own);
    return NULL;
}

static void maps_that_go_while_threads_end(const char *name, unsigned rounds)
{
    struct shoal *keeper;
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    int64_t n = 0;
    o.capacity = 64;
    o.heap_bytes = 512 * 1024;
    o.max_threads = 64;
    done(shoal_create(name, &o, &keeper));
    for (unsigned i = 0; i < rounds; i++) {
        struct crowd c = { .name = name };
        pthread_t thread[THREADS];
        pthread_barrier_init(&c.gate, NULL, THREADS);
        for (int k = 0; k < 4; k++)
            done(shoal_open(name, 0, &c.map[k]));
        for (unsigned t = 0; t < THREADS; t++)
            require(pthread_create(&thread[t], NULL, use_and_leave, &c) == 0, "pthread_create");
        for (unsigned t = 0; t < THREADS; t++)
            require(pthread_join(thread[t], NULL) == 0, "pthread_join");
        pthread_barrier_destroy(&c.gate);
    }
    done(shoal_incr(keeper, "n", 1, 0, &n));
    require(n == (int64_t)rounds * THREADS * 5, "%lld", (long long)n);
    done(shoal_unlink(name));
    shoal_close(keeper);
    printf("%u rounds of %u threads with five maps each\n", rounds, THREADS);
}

int main(int argc, char **argv)
{
    char name[64];
    if (argc > 1)
        seed_of_run = strtoull(argv[1], NULL, 0);
    if (argc > 2)
        calls_of_run = strtoull(argv[2], NULL, 0);
    (void)snprintf(name, sizeof name, "shoal-threads.%ld", (long)getpid());
    printf("seed %llu\n", (unsigned long long)seed_of_run);
    one_game(name, 0, 8 << 20);
    one_game(name, SHOAL_CHECKSUM | SHOAL_MTIME, 1 << 20); /* narrow: spans are emptied and used again */
    close_under_calls(name, 200);
    maps_that_go_while_threads_end(name, 200);
    return 0;
}
