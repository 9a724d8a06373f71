/* SPDX-License-Identifier: MIT
 *
 * A tight heap, so that everybody moves records and empties spans all the time, and those who do are killed
 * and stopped in the middle of it.  Guarantees C and H: every key has its old or its new value, and in the end
 * as much fits as into the fresh map.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap_view.h"
#include "lib/act.h"

#define CREW 3u
#define KEYS 300u /* about 88 % of the heap */
#define HEAP_BYTES (1u << 20)

/* What a key holds; bytes 0 stands for absent. */
struct held {
    uint64_t tag;
    uint32_t bytes, reserved;
};

/* Each member's keys, written by itself: `next` before the call, `now` behind it, `under_way` in between. */
struct member {
    struct held now[KEYS], next;
    _Atomic uint32_t under_way; /* key + 1 */
    _Atomic uint64_t calls, refused;
};

struct crowd {
    struct shoal *map;
    uint64_t seed;
    _Atomic uint32_t end;
    struct member member[CREW];
};

static void name(char *to, uint32_t who, uint32_t k) { (void)snprintf(to, 16, "d%u-%u", who, k); }

static bool holds(struct shoal *map, const char *key, const struct held *h)
{
    uint8_t value[VALUE_MAX];
    size_t got = 0;
    uint64_t tag = 0;
    int code = shoal_get(map, key, strlen(key), value, sizeof value, &got);
    require(code == 0 || code == SHOAL_MISSING, "get: %d %s", code, shoal_error_text());
    require(code != 0 || value_read(value, got, &tag), "C: the value of %s is torn", key);
    return code == 0 ? got == h->bytes && tag == h->tag : h->bytes == 0;
}

/* What a dead predecessor had under way happened or did not. */
static void resolve(struct crowd *c, uint32_t who)
{
    struct member *m = &c->member[who];
    uint32_t under_way = atomic_load(&m->under_way);
    if (under_way == 0)
        return;
    char key[16];
    name(key, who, under_way - 1);
    if (holds(c->map, key, &m->next))
        m->now[under_way - 1] = m->next;
    else
        require(holds(c->map, key, &m->now[under_way - 1]), "C: %s has neither its old nor its new value", key);
    atomic_store(&m->under_way, 0);
}

static struct held any_value(uint64_t *random)
{
    static const uint32_t sizes[] = { 60, 100, 900, 1700, 3900 };
    return (struct held){ random_next(random), sizes[random_below(random, 5)], 0 };
}

static void change(struct crowd *c, uint32_t who, uint64_t *random)
{
    struct member *m = &c->member[who];
    uint32_t k = random_below(random, KEYS);
    uint8_t value[4096];
    char key[16];
    bool removes = random_below(random, 4) == 0;
    name(key, who, k);
    m->next = removes ? (struct held){ 0 } : any_value(random);
    atomic_store(&m->under_way, k + 1);
    value_make(value, m->next.tag, m->next.bytes);
    int code =
        removes ? shoal_delete(c->map, key, strlen(key)) : shoal_put(c->map, key, strlen(key), value, m->next.bytes);
    require(code == 0 || (removes ? code == SHOAL_MISSING && m->now[k].bytes == 0 : code == SHOAL_EFULL), "%s: %d %s",
            key, code, shoal_error_text());
    if (code == 0)
        m->now[k] = m->next;
    else if (code == SHOAL_EFULL)
        atomic_fetch_add(&m->refused, 1);
    atomic_store(&m->under_way, 0);
    atomic_fetch_add(&m->calls, 1);
}

static void work(uint32_t who, void *arg)
{
    struct crowd *c = arg;
    uint64_t random = c->seed + who + atomic_load(&c->member[who].calls);
    resolve(c, who);
    while (!atomic_load(&c->end)) {
        change(c, who, &random);
        if (random_below(&random, 16) == 0) {
            uint32_t k = random_below(&random, KEYS);
            char key[16];
            name(key, who, k);
            require(holds(c->map, key, &c->member[who].now[k]), "C: %s has lost its value", key);
        }
    }
}

static void await_calls(struct crowd *c, uint32_t who, uint64_t more, uint64_t *random)
{
    uint64_t enough = atomic_load(&c->member[who].calls) + more;
    while (atomic_load(&c->member[who].calls) < enough)
        scene_spin(random, 200);
}

/* Kill one and start another in its place; or stop one while the others go on. */
static void disturb(struct crowd *c, pid_t *pids, uint64_t *random)
{
    uint32_t who = random_below(random, CREW);
    await_calls(c, who, 20, random);
    scene_spin(random, 20000);
    if (random_below(random, 3) != 0) {
        crew_kill(pids[who]);
        pids[who] = crew_start(who, work, c);
        return;
    }
    crew_stop(pids[who]);
    await_calls(c, (who + 1) % CREW, 100, random);
    await_calls(c, (who + 2) % CREW, 100, random);
    crew_continue(pids[who]);
}

static void judge(struct crowd *c)
{
    uint64_t n = 0;
    char key[16];
    must(shoal_reap(c->map, NULL));
    for (uint32_t who = 0; who < CREW; who++) {
        resolve(c, who);
        for (uint32_t k = 0; k < KEYS; k++) {
            name(key, who, k);
            require(holds(c->map, key, &c->member[who].now[k]), "C: %s has lost its value", key);
            n += c->member[who].now[k].bytes != 0;
        }
    }
    require(scene_count(c->map) == n, "C: count %llu, the record says %llu", (unsigned long long)scene_count(c->map),
            (unsigned long long)n);
    (void)scene_check(c->map, true);
    for (uint32_t who = 0; who < CREW; who++)
        for (uint32_t k = 0; k < KEYS; k++) {
            name(key, who, k);
            must_be(shoal_delete(c->map, key, strlen(key)), c->member[who].now[k].bytes ? 0 : SHOAL_MISSING);
        }
    struct shoal_stats stats = scene_stats(c->map);
    require(stats.dead_bytes + stats.owned_bytes == 0 && stats.live_bytes == 0,
            "H: %llu dead, %llu owned, %llu live bytes", (unsigned long long)stats.dead_bytes,
            (unsigned long long)stats.owned_bytes, (unsigned long long)stats.live_bytes);
}

static void a_round(uint64_t seed, uint32_t disturbances)
{
    struct crowd *c = board_make(sizeof *c);
    uint64_t random = seed, calls = 0, refused = 0;
    pid_t pids[CREW];
    c->map = scene_map(20000, HEAP_BYTES);
    c->seed = seed;
    uint32_t fresh = fill_and_empty(c->map, 100);
    for (uint32_t who = 0; who < CREW; who++)
        pids[who] = crew_start(who, work, c);
    for (uint32_t i = 0; i < disturbances; i++)
        disturb(c, pids, &random);
    atomic_store(&c->end, 1);
    for (uint32_t who = 0; who < CREW; who++) {
        crew_end(pids[who]);
        calls += atomic_load(&c->member[who].calls);
        refused += atomic_load(&c->member[who].refused);
    }
    judge(c);
    struct shoal_stats stats = scene_stats(c->map);
    printf("%u kills and stops, %llu calls, %llu refused, %llu moved, %llu reaped, %llu healed\n", disturbances,
           (unsigned long long)calls, (unsigned long long)refused, (unsigned long long)stats.evacuated,
           (unsigned long long)stats.reaped, (unsigned long long)stats.healed);
    uint32_t n = fill_series(c->map, 'f', 100, UINT32_MAX);
    require(n == fresh, "H: %u records fit afterwards, %u into the fresh map", n, fresh);
    shoal_close(c->map);
}

static void killed_and_stopped_while_moving(void)
{
    uint64_t seed = scene_seed();
    for (uint32_t i = 0; i < scene_rounds(2); i++)
        a_round(seed + i, 100);
}

SCENE_MAIN(SCENE(killed_and_stopped_while_moving))
