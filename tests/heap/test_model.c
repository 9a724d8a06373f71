/* SPDX-License-Identifier: MIT
 *
 * Random sizes against a model, several processes on one heap: every value is whole and the right one,
 * refusals change nothing, and in the end the heap is as it was.  Guarantees A, G, H.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap_view.h"
#include "lib/act.h"

#define CREW 4u
#define KEYS 400u
#define CACHE_MAX 64u /* what one attachment may keep of a class */

struct record_model {
    uint64_t tag;
    uint32_t bytes;
    bool present;
};

struct crowd {
    struct shoal *map;
    struct gate gate;
    uint64_t seed;
    uint32_t calls;
    _Atomic uint64_t refused, stored, deleted;
    struct record_model model[CREW][KEYS];
};

static uint32_t any_size(uint64_t *random)
{
    switch (random_below(random, 10)) {
    case 0:
        return 0;
    case 1:
        return 8 + random_below(random, 30000);
    case 2:
    case 3:
        return 8 + random_below(random, 4000);
    default:
        return 8 + random_below(random, 200);
    }
}

static void model_key(char *to, uint32_t who, uint32_t k) { (void)snprintf(to, 16, "m%u-%u", who, k); }

static void model_holds(struct shoal *map, const char *key, const struct record_model *m)
{
    if (m->present)
        scene_holds(map, key, m->tag, m->bytes);
    else
        must_be(shoal_get(map, key, strlen(key), NULL, 0, NULL), SHOAL_MISSING);
}

static void model_put(struct crowd *c, const char *key, struct record_model *m, uint64_t *random)
{
    uint8_t value[VALUE_MAX];
    struct record_model next = { random_next(random), any_size(random), true };
    value_make(value, next.tag, next.bytes);
    int code = shoal_put(c->map, key, strlen(key), value, next.bytes);
    require(code == 0 || code == SHOAL_EFULL, "put: %d %s", code, shoal_error_text());
    if (code == 0)
        *m = next;
    else
        model_holds(c->map, key, m); /* G: a refusal changes nothing */
    atomic_fetch_add(code == 0 ? &c->stored : &c->refused, 1);
}

static void model_calls(uint32_t who, void *arg)
{
    struct crowd *c = arg;
    uint64_t random = c->seed + who;
    char key[16];
    gate_pass(&c->gate);
    for (uint32_t i = 0; i < c->calls; i++) {
        uint32_t k = random_below(&random, KEYS);
        struct record_model *m = &c->model[who][k];
        model_key(key, who, k);
        switch (random_below(&random, 4)) {
        case 0:
            model_holds(c->map, key, m);
            break;
        case 1:
            must_be(shoal_delete(c->map, key, strlen(key)), m->present ? 0 : SHOAL_MISSING);
            m->present = false;
            atomic_fetch_add(&c->deleted, 1);
            break;
        default:
            model_put(c, key, m, &random);
        }
    }
}

static void model_end(struct crowd *c)
{
    uint64_t n = 0;
    char key[16];
    must(shoal_reap(c->map, NULL));
    for (uint32_t who = 0; who < CREW; who++)
        for (uint32_t k = 0; k < KEYS; k++) {
            model_key(key, who, k);
            model_holds(c->map, key, &c->model[who][k]);
            n += c->model[who][k].present;
        }
    require(scene_count(c->map) == n, "count %llu, the model %llu", (unsigned long long)scene_count(c->map),
            (unsigned long long)n);
    (void)scene_check(c->map, true);
    for (uint32_t who = 0; who < CREW; who++)
        for (uint32_t k = 0; k < KEYS; k++) {
            model_key(key, who, k);
            must_be(shoal_delete(c->map, key, strlen(key)), c->model[who][k].present ? 0 : SHOAL_MISSING);
        }
    must(shoal_reap(c->map, NULL));
    struct shoal_stats stats = scene_stats(c->map);
    require(scene_count(c->map) == 0 &&
                stats.live_bytes + stats.owned_bytes + stats.retired_bytes + stats.dead_bytes == 0,
            "H: %llu live, %llu owned, %llu retired, %llu dead bytes of no key", (unsigned long long)stats.live_bytes,
            (unsigned long long)stats.owned_bytes, (unsigned long long)stats.retired_bytes,
            (unsigned long long)stats.dead_bytes);
}

static void against_a_model(uint64_t heap_bytes, uint32_t flags, uint32_t calls)
{
    struct crowd *c = board_make(sizeof *c);
    struct shoal_options options = scene_options(heap_bytes / 80, heap_bytes, 0);
    pid_t pids[CREW];
    options.flags = flags;
    c->map = scene_create(scene_name(0), &options);
    must(shoal_unlink(scene_name(0)));
    c->gate = gate_make();
    c->seed = scene_seed();
    c->calls = calls;
    uint32_t fresh = fill_and_empty(c->map, 100);
    for (uint32_t i = 0; i < CREW; i++)
        pids[i] = crew_start(i, model_calls, c);
    gate_open(&c->gate);
    for (uint32_t i = 0; i < CREW; i++)
        crew_end(pids[i]);
    model_end(c);
    uint32_t n = fill_series(c->map, 'f', 100, UINT32_MAX);
    printf("%llu stored, %llu refused, %llu deletes, %llu moved; %u records fit, %u at first\n",
           (unsigned long long)c->stored, (unsigned long long)c->refused, (unsigned long long)c->deleted,
           (unsigned long long)scene_stats(c->map).evacuated, n, fresh);
    require(n + CACHE_MAX >= fresh && n <= fresh + CACHE_MAX, "H: %u records fit, %u into the fresh map", n, fresh);
    shoal_close(c->map);
}

static void in_a_roomy_heap(void) { against_a_model(32u << 20, 0, scene_rounds(20000)); }
static void in_a_tight_heap(void) { against_a_model(5u << 20, SHOAL_CHECKSUM, scene_rounds(8000)); }
static void in_a_heap_too_small(void) { against_a_model(1u << 20, SHOAL_MTIME, scene_rounds(4000)); }

SCENE_MAIN(SCENE(in_a_roomy_heap), SCENE(in_a_tight_heap), SCENE(in_a_heap_too_small))
