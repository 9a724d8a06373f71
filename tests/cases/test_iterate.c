/* SPDX-License-Identifier: MIT
 *
 * Walks while others insert, delete, replace and move records: guarantee A's weaker half.  A key present
 * during the whole walk is returned exactly once.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases/scene.h"
#include "lib/act.h"

#define STABLE 500u
#define KEY_BYTES 24u
#define CREW 3u

struct walked {
    struct shoal *map;
    _Atomic uint32_t end;
    uint64_t seed;
    uint64_t heap_bytes;
};

static void stable_key(char *to, uint32_t k) { (void)snprintf(to, KEY_BYTES, "stable-%05u", k); }

/* Values of stable keys change; they stay this key's. */
static void stable_put(struct shoal *map, uint32_t k, uint64_t *random)
{
    char key[KEY_BYTES];
    uint8_t value[2048];
    size_t bytes = 8 + random_below(random, 8) * random_below(random, 200);
    stable_key(key, k);
    value_make(value, (random_next(random) << 16) | k, bytes);
    int code = shoal_put(map, key, strlen(key), value, bytes);
    require(code == 0, "put: %d %s", code, shoal_error_text());
}

static void disturb(uint32_t who, void *arg)
{
    struct walked *w = arg;
    uint64_t random = w->seed + who;
    while (!atomic_load(&w->end)) {
        char key[KEY_BYTES];
        uint8_t value[1024];
        uint32_t k = random_below(&random, 3000);
        size_t bytes = 8 + random_below(&random, 1000);
        (void)snprintf(key, sizeof key, "%s-%05u", k % 2 ? "passing" : "st", k);
        value_make(value, random_next(&random), bytes);
        int code = random_below(&random, 2) ? shoal_put(w->map, key, strlen(key), value, bytes)
                                            : shoal_delete(w->map, key, strlen(key));
        require(code == 0 || code == SHOAL_MISSING || code == SHOAL_EFULL, "%d %s", code, shoal_error_text());
        if (random_below(&random, 4) == 0)
            stable_put(w->map, k % STABLE, &random);
    }
}

static void walk_item(const struct shoal_item *item, const char *prefix, uint8_t *seen)
{
    uint64_t tag;
    require(item->key_bytes >= strlen(prefix) && memcmp(item->key, prefix, strlen(prefix)) == 0,
            "%.*s does not begin with %s", (int)item->key_bytes, (const char *)item->key, prefix);
    require(value_read(item->value, item->value_bytes, &tag), "the value of %.*s is torn", (int)item->key_bytes,
            (const char *)item->key);
    require(((uintptr_t)item->value & 7) == 0 && item->version != 0, "alignment or version");
    if (item->key_bytes != 12 || memcmp(item->key, "stable-", 7) != 0)
        return;
    char digits[6] = { 0 };
    memcpy(digits, (const char *)item->key + 7, 5);
    uint32_t k = (uint32_t)strtoul(digits, NULL, 10);
    require(k < STABLE && (tag & 0xffff) == k, "stable key %u has the value of %u", k, (uint32_t)tag & 0xffff);
    require(seen[k]++ == 0, "A: stable key %u was returned twice", k);
}

static void walk_once(struct shoal *map, const char *prefix, uint64_t *ret_n)
{
    struct shoal_iter *iter = NULL;
    struct shoal_item item;
    uint8_t seen[STABLE] = { 0 };
    int code;
    must(shoal_iter_open(map, prefix, strlen(prefix), &iter));
    while ((code = shoal_iter_next(iter, &item)) == 0) {
        walk_item(&item, prefix, seen);
        (*ret_n)++;
    }
    require(code == SHOAL_END, "next: %d %s", code, shoal_error_text());
    require(shoal_iter_next(iter, &item) == SHOAL_END, "the end does not last");
    shoal_iter_close(iter);
    for (uint32_t k = 0; k < STABLE; k++)
        require(seen[k] == 1, "A: stable key %u was present all the time and not returned", k);
}

/* The heap is so small that records are moved to make room. */
static void walks(uint64_t heap_bytes, bool read_only)
{
    struct walked *w = board_make(sizeof *w);
    struct shoal_options options = scene_options(4000, heap_bytes, 0);
    pid_t pids[CREW];
    w->map = scene_create(scene_name(0), &options);
    w->seed = scene_seed();
    uint64_t random = w->seed + 99, returned = 0;
    for (uint32_t k = 0; k < STABLE; k++)
        stable_put(w->map, k, &random);
    for (uint32_t i = 0; i < CREW; i++)
        pids[i] = crew_start(i, disturb, w);
    struct shoal *walker = w->map;
    if (read_only)
        must(shoal_open(scene_name(0), SHOAL_RDONLY, &walker));
    for (uint32_t i = 0; i < scene_rounds(200); i++)
        walk_once(walker, i % 3 == 0 ? "" : i % 3 == 1 ? "st" : "stable-", &returned);
    atomic_store(&w->end, 1);
    for (uint32_t i = 0; i < CREW; i++)
        crew_end(pids[i]);
    struct shoal_stats stats = scene_stats(w->map);
    printf("%llu items returned; %llu writes, %llu deletes, %llu records moved\n", (unsigned long long)returned,
           (unsigned long long)stats.writes, (unsigned long long)stats.deletes, (unsigned long long)stats.evacuated);
    must(shoal_reap(w->map, NULL));
    (void)scene_check(w->map, true);
    if (read_only)
        shoal_close(walker);
    shoal_close(w->map);
    must(shoal_unlink(scene_name(0)));
}

static void while_others_write(void) { walks(32u << 20, false); }
static void while_records_move(void) { walks(2u << 20, false); }
static void read_only_while_others_write(void) { walks(32u << 20, true); }

/* At rest, what is there and nothing else; deleting what is returned is allowed. */
static void at_rest_and_deleting(void)
{
    struct shoal *map = scene_map(1000, 0);
    struct shoal_iter *iter = NULL;
    struct shoal_item item;
    uint32_t n = 0;
    for (uint32_t k = 0; k < 1000; k++)
        must(shoal_put(map, &k, sizeof k, &k, sizeof k));
    must(shoal_iter_open(map, NULL, 0, &iter));
    while (shoal_iter_next(iter, &item) == 0) {
        require(item.key_bytes == 4 && item.value_bytes == 4 && memcmp(item.key, item.value, 4) == 0, "item %u", n);
        must(shoal_delete(map, item.key, item.key_bytes));
        n++;
    }
    shoal_iter_close(iter);
    require(n == 1000 && scene_count(map) == 0, "%u items, then %llu keys", n, (unsigned long long)scene_count(map));
    must(shoal_iter_open(map, NULL, 0, &iter));
    must_be(shoal_iter_next(iter, &item), SHOAL_END);
    shoal_iter_close(iter);
    shoal_close(map);
}

SCENE_MAIN(SCENE(while_others_write), SCENE(while_records_move), SCENE(read_only_while_others_write),
           SCENE(at_rest_and_deleting))
