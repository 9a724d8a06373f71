/* SPDX-License-Identifier: MIT
 *
 * The race for slots, and the table that is full: guarantees A (one winner), G (full changes nothing).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cases/scene.h"

#define KEY_BYTES 32u

/* -- Claims ------------------------------------------------------------------------------------ */

#define CLAIMERS 10u
#define CLAIMED 50u

struct claims {
    struct shoal *map;
    struct gate gate;
    bool threads;
    pthread_barrier_t barrier;
    _Atomic uint32_t winners[CLAIMED];
    _Atomic uint32_t wins;
};

static void claim_key(char *to, uint32_t k) { (void)snprintf(to, KEY_BYTES, "claim-%u", k); }

static void claim_all(uint32_t who, void *arg)
{
    struct claims *claims = arg;
    bool mine[CLAIMED] = { false };
    char key[KEY_BYTES];
    uint32_t owner = who + 1, got = 0;
    if (claims->threads)
        (void)pthread_barrier_wait(&claims->barrier);
    else
        gate_pass(&claims->gate);
    for (uint32_t n = 0; n < CLAIMED; n++) {
        uint32_t k = (n + who * 5) % CLAIMED;
        claim_key(key, k);
        int code = shoal_add(claims->map, key, strlen(key), &owner, sizeof owner);
        require(code == 0 || code == SHOAL_EXISTS, "add: %d %s", code, shoal_error_text());
        mine[k] = code == 0;
        if (mine[k]) {
            atomic_fetch_add(&claims->wins, 1);
            require(atomic_exchange(&claims->winners[k], owner) == 0, "A: %s was claimed twice", key);
        }
    }
    for (uint32_t k = 0; k < CLAIMED; k++) {
        claim_key(key, k);
        must(shoal_get(claims->map, key, strlen(key), &got, sizeof got, NULL));
        require(!mine[k] || got == owner, "A: %s was claimed by %u and holds %u", key, owner, got);
    }
}

static void claims_judge(struct claims *claims)
{
    char key[KEY_BYTES];
    uint32_t got = 0;
    require(claims->wins == CLAIMED, "A: %u claims succeeded on %u keys", claims->wins, CLAIMED);
    for (uint32_t k = 0; k < CLAIMED; k++) {
        claim_key(key, k);
        must(shoal_get(claims->map, key, strlen(key), &got, sizeof got, NULL));
        require(got == claims->winners[k], "A: %s was claimed by %u and holds %u", key, claims->winners[k], got);
    }
    must(shoal_reap(claims->map, NULL));
    require(scene_count(claims->map) == CLAIMED, "count %llu", (unsigned long long)scene_count(claims->map));
    (void)scene_check(claims->map, true);
}

static void claims_by_threads(void)
{
    for (uint32_t i = 0; i < scene_rounds(50); i++) {
        struct claims claims = { .map = scene_map(64, 0), .threads = true };
        require(pthread_barrier_init(&claims.barrier, NULL, CLAIMERS) == 0, "barrier");
        crew_threads(CLAIMERS, claim_all, &claims);
        claims_judge(&claims);
        shoal_close(claims.map);
        (void)pthread_barrier_destroy(&claims.barrier);
    }
}

static void claims_by_processes(void)
{
    struct claims *claims = board_make(sizeof *claims);
    for (uint32_t i = 0; i < scene_rounds(30); i++) {
        pid_t pids[CLAIMERS];
        memset(claims, 0, sizeof *claims);
        claims->map = scene_map(64, 0);
        claims->gate = gate_make();
        for (uint32_t who = 0; who < CLAIMERS; who++)
            pids[who] = crew_start(who, claim_all, claims);
        gate_open(&claims->gate);
        for (uint32_t who = 0; who < CLAIMERS; who++)
            crew_end(pids[who]);
        claims_judge(claims);
        shoal_close(claims->map);
    }
}

/* -- Full -------------------------------------------------------------------------------------- */

static void full_key(char *to, uint32_t k) { (void)snprintf(to, KEY_BYTES, "key-%08x", k); }

/* Everything that was put is there, and nothing else. */
static void full_holds(struct shoal *map, const bool *present, uint32_t keys_n)
{
    uint64_t n = 0;
    char key[KEY_BYTES];
    for (uint32_t k = 0; k < keys_n; k++) {
        uint32_t got = ~k;
        full_key(key, k);
        must_be(shoal_get(map, key, strlen(key), &got, sizeof got, NULL), present[k] ? 0 : SHOAL_MISSING);
        require(!present[k] || got == k, "%s holds %u", key, got);
        n += present[k];
    }
    require(scene_count(map) == n, "count %llu of %llu", (unsigned long long)scene_count(map), (unsigned long long)n);
    (void)scene_check(map, true);
}

static int full_put(struct shoal *map, uint32_t k)
{
    char key[KEY_BYTES];
    full_key(key, k);
    int code = shoal_put(map, key, strlen(key), &k, sizeof k);
    require(code == 0 || code == SHOAL_EFULL, "put: %d %s", code, shoal_error_text());
    if (code != 0)
        require(strstr(shoal_error_text(), "full") != NULL, "the text is: %s", shoal_error_text());
    return code;
}

/* Put keys first, first + 1, ... until one is refused: which one. */
static uint32_t full_fill(struct shoal *map, bool *present, uint32_t first, uint32_t keys_n)
{
    for (uint32_t k = first; k < keys_n; k++) {
        if (full_put(map, k) != 0)
            return k;
        present[k] = true;
    }
    require(false, "%u keys fitted", keys_n);
    return 0;
}

static void full_delete_one(struct shoal *map, bool *present, uint32_t refused, uint64_t *random, uint32_t keys_n)
{
    char key[KEY_BYTES];
    uint32_t k = random_below(random, refused);
    full_key(key, k);
    must(shoal_delete(map, key, strlen(key)));
    present[k] = false;
    full_holds(map, present, keys_n);
    require(full_put(map, k) == 0, "the deleted key does not fit again: %s", shoal_error_text());
    present[k] = true;
    full_holds(map, present, keys_n);
    must(shoal_delete(map, key, strlen(key)));
    present[k] = false;
    for (uint32_t other = refused; other < keys_n; other++) /* one that may lie in the slot */
        if (full_put(map, other) == 0) {
            present[other] = true;
            full_holds(map, present, keys_n);
            return;
        }
    require(false, "no other key fits where one was deleted");
}

#define FULL_KEYS 256u

static void full_round(uint64_t capacity, uint64_t heap_bytes, uint64_t *random)
{
    bool present[FULL_KEYS] = { false };
    struct shoal *map = scene_map(capacity, heap_bytes);
    uint32_t refused = full_fill(map, present, 0, FULL_KEYS);
    require(refused >= capacity, "capacity %llu, but the key after %u was refused", (unsigned long long)capacity,
            refused);
    full_holds(map, present, FULL_KEYS);
    for (uint32_t k = refused; k < FULL_KEYS; k++) /* all others are refused, or fit in a place of their own */
        present[k] = full_put(map, k) == 0;
    full_holds(map, present, FULL_KEYS);
    for (uint32_t k = 0; k < refused; k++) /* changing what is there needs no slot */
        require(full_put(map, k) == 0, "an update on a full table: %s", shoal_error_text());
    full_holds(map, present, FULL_KEYS);
    shoal_close(map);

    memset(present, 0, sizeof present);
    map = scene_map(capacity, heap_bytes);
    refused = full_fill(map, present, 0, FULL_KEYS);
    full_delete_one(map, present, refused, random, FULL_KEYS);
    shoal_close(map);
}

static void tiny_capacities(void)
{
    uint64_t random = scene_seed();
    for (uint32_t i = 0; i < scene_rounds(20); i++) {
        full_round(2, 0, &random);
        full_round(8, 0, &random);
        full_round(1, 0, &random);
    }
}

/* `capacity` keys fit, whatever the seed of the map makes of them. */
static void capacity_is_a_minimum(void)
{
    uint64_t random = scene_seed();
    for (uint32_t i = 0; i < scene_rounds(60); i++) {
        uint32_t capacity = 1 + random_below(&random, i % 2 == 0 ? 40 : 20000);
        struct shoal *map = scene_map(capacity, 0);
        for (uint32_t k = 0; k < capacity; k++)
            require(full_put(map, k) == 0, "key %u of capacity %u: %s", k, capacity, shoal_error_text());
        require(scene_count(map) == capacity, "count");
        (void)scene_check(map, true);
        shoal_close(map);
    }
}

/* -- Full under a race: who is refused has changed nothing, who is not has put it -------------- */

struct crowd {
    struct shoal *map;
    struct gate gate;
    _Atomic uint8_t fitted[FULL_KEYS * 8];
};

static void crowd_put(uint32_t who, void *arg)
{
    struct crowd *crowd = arg;
    gate_pass(&crowd->gate);
    for (uint32_t i = 0; i < FULL_KEYS; i++) {
        uint32_t k = who * FULL_KEYS + i;
        if (full_put(crowd->map, k) == 0)
            atomic_store(&crowd->fitted[k], 1);
    }
}

static void full_under_a_race(void)
{
    struct crowd *crowd = board_make(sizeof *crowd);
    static bool present[FULL_KEYS * 8];
    for (uint32_t i = 0; i < scene_rounds(30); i++) {
        pid_t pids[8];
        memset(crowd, 0, sizeof *crowd);
        crowd->map = scene_map(64, i % 2 == 0 ? 0 : 1u << 20);
        crowd->gate = gate_make();
        for (uint32_t who = 0; who < 8; who++)
            pids[who] = crew_start(who, crowd_put, crowd);
        gate_open(&crowd->gate);
        for (uint32_t who = 0; who < 8; who++)
            crew_end(pids[who]);
        must(shoal_reap(crowd->map, NULL));
        for (uint32_t k = 0; k < FULL_KEYS * 8; k++)
            present[k] = crowd->fitted[k] != 0;
        full_holds(crowd->map, present, FULL_KEYS * 8);
        require(scene_count(crowd->map) >= 64, "count %llu", (unsigned long long)scene_count(crowd->map));
        shoal_close(crowd->map);
    }
}

/* -- Long keys ------------------------------------------------------------------------------------ */

#define LONG_KEYS 14u
#define LONG_BYTES 2000u

static size_t long_key(char *to, uint32_t k)
{
    memset(to, (int)('a' + k % 26), LONG_BYTES);
    (void)snprintf(to, 8, "%07u", k);
    return 500 + (size_t)k * 97; /* on both sides of what is hashed at once */
}

/* In one or two groups all homes' bounds are raised; each delete looks at who still needs them, and so hashes
 * the keys that stay.  In every order of deletes, what stays is found. */
static void long_keys_keep_their_bounds(void)
{
    char key[LONG_BYTES];
    uint64_t random = scene_seed();
    for (uint32_t round = 0; round < scene_rounds(60); round++) {
        struct shoal *map = scene_map(LONG_KEYS, 1u << 20);
        uint32_t order[LONG_KEYS];
        for (uint32_t k = 0; k < LONG_KEYS; k++) {
            uint32_t at = (uint32_t)random_below(&random, k + 1);
            order[k] = order[at];
            order[at] = k;
            must(shoal_put(map, key, long_key(key, k), &k, sizeof k));
        }
        for (uint32_t n = 0; n < LONG_KEYS; n++) {
            must(shoal_delete(map, key, long_key(key, order[n])));
            for (uint32_t i = n + 1; i < LONG_KEYS; i++) {
                uint32_t got = UINT32_MAX;
                must(shoal_get(map, key, long_key(key, order[i]), &got, sizeof got, NULL));
                require(got == order[i], "A: key %u holds %u", order[i], got);
            }
            (void)scene_check(map, true);
        }
        shoal_close(map);
    }
}

SCENE_MAIN(SCENE(claims_by_threads), SCENE(claims_by_processes), SCENE(tiny_capacities), SCENE(capacity_is_a_minimum),
           SCENE(full_under_a_race), SCENE(long_keys_keep_their_bounds))
