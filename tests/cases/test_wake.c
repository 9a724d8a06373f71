/* SPDX-License-Identifier: MIT
 *
 * shoal_wait: no wake is lost.  Built with a library whose sleepers never look by themselves, so that a lost wake
 * is a sleep for ever, which the alarm ends.  Guarantee C.
 */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "cases/sleeper.h"
#include "cases/table_view.h"
#include "table/record.h"

/* It sleeps; the change wakes it, or it sleeps for ever. */
static void wakes(struct sleeper *sleeper, pid_t pid, const char *how)
{
    bell_hear(&sleeper->woken);
    require(sleeper->seen[0] == version_of(sleeper->map, sleeper->key[0]), "%s: the version then", how);
    if (sleeper->seen[0] != 0)
        crew_await_asleep(pid);
}

static void every_change_wakes(void)
{
    for (uint32_t i = 0; i < scene_rounds(20); i++) {
        struct sleeper *sleeper = sleeper_make(scene_map(8, 0));
        struct shoal *map = sleeper->map;
        struct shoal_how how = SHOAL_HOW_INIT;
        uint8_t value[16];
        strcpy(sleeper->key[0], "key");
        pid_t pid = crew_start(0, sleep_on_key, sleeper);
        crew_await_asleep(pid);
        must(shoal_add(map, "key", 3, "a", 1));
        wakes(sleeper, pid, "add");
        must(shoal_put(map, "key", 3, "b", 1));
        wakes(sleeper, pid, "put");
        must(shoal_replace(map, "key", 3, "c", 1));
        wakes(sleeper, pid, "replace");
        how.type = SHOAL_I64;
        must(shoal_put_with(map, "key", 3, "12345678", 8, &how, NULL));
        wakes(sleeper, pid, "put_with");
        must(shoal_incr(map, "key", 3, 1, NULL));
        wakes(sleeper, pid, "incr");
        must(shoal_update(map, "key", 3, change_keep, NULL));
        wakes(sleeper, pid, "update");
        if (i % 3 == 0)
            must(shoal_delete(map, "key", 3));
        else if (i % 3 == 1)
            must(shoal_take(map, "key", 3, value, sizeof value, NULL));
        else
            must(shoal_delete_if(map, "key", 3, version_of(map, "key")));
        wakes(sleeper, pid, "delete");
        crew_end(pid);
        shoal_close(map);
    }
}

/* -- Many waiters on one bucket ---------------------------------------------------------------- */

#define BUCKET_KEYS 12u

static uint32_t bucket_of(struct shoal *map, const char *key)
{
    return hash_bucket(probe_make(segment_of(map), key, strlen(key)).hash);
}

static void keys_of_one_bucket(struct sleeper *sleeper)
{
    uint32_t n = 1;
    strcpy(sleeper->key[0], "key-0");
    for (uint32_t i = 1; n < BUCKET_KEYS; i++) {
        char key[24];
        (void)snprintf(key, sizeof key, "key-%u", i);
        if (bucket_of(sleeper->map, key) == bucket_of(sleeper->map, sleeper->key[0]))
            memcpy(sleeper->key[n++], key, sizeof key);
    }
}

static uint32_t changed_n(const struct sleeper *sleeper)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < BUCKET_KEYS; i++)
        n += atomic_load(&sleeper->seen[i]) != 0;
    return n;
}

/* A change wakes all of the bucket, and those whose key did not change sleep on. */
static void absorbed_wakes(void)
{
    for (uint32_t round = 0; round < scene_rounds(10); round++) {
        struct sleeper *sleeper = sleeper_make(scene_map(64, 0));
        pid_t pids[BUCKET_KEYS];
        keys_of_one_bucket(sleeper);
        for (uint32_t i = 0; i < BUCKET_KEYS; i++)
            pids[i] = crew_start(i, sleep_on_key, sleeper);
        for (uint32_t i = 0; i < BUCKET_KEYS; i++) {
            for (uint32_t k = i; k < BUCKET_KEYS; k++)
                crew_await_asleep(pids[k]);
            must(shoal_add(sleeper->map, sleeper->key[i], strlen(sleeper->key[i]), "", 0));
            bell_hear(&sleeper->woken);
            require(sleeper->seen[i] == version_of(sleeper->map, sleeper->key[i]) && changed_n(sleeper) == i + 1,
                    "after %u changes %u waiters have returned", i + 1, changed_n(sleeper));
        }
        for (uint32_t i = 0; i < BUCKET_KEYS; i++) {
            must(shoal_delete(sleeper->map, sleeper->key[i], strlen(sleeper->key[i])));
            bell_hear(&sleeper->woken);
        }
        for (uint32_t i = 0; i < BUCKET_KEYS; i++)
            crew_end(pids[i]);
        shoal_close(sleeper->map);
    }
}

/* -- Ping-pong: no wake is lost ---------------------------------------------------------------- */

#define PINGS 25000u

/* Wait for the other's n, then set the own key to n (or n + 1). */
static void play(uint32_t who, void *arg)
{
    struct shoal *map = arg;
    const char *mine = who ? "pong" : "ping", *theirs = who ? "ping" : "pong";
    uint64_t seen = 0;
    for (uint64_t n = 1; n <= PINGS; n++) {
        uint64_t got = 0;
        if (who == 0)
            must(shoal_put(map, mine, 4, &n, sizeof n));
        for (got = 0; got < n;) {
            must(shoal_wait(map, theirs, 4, seen, NEVER_MS, &seen));
            must(shoal_get(map, theirs, 4, &got, sizeof got, NULL));
        }
        require(got == n, "A: %llu instead of %llu", (unsigned long long)got, (unsigned long long)n);
        if (who == 1)
            must(shoal_put(map, mine, 4, &n, sizeof n));
    }
}

static void ping_pong(void)
{
    struct shoal *map = scene_map(8, 0);
    for (uint32_t i = 0; i < scene_rounds(1); i++)
        crew_run(2, play, map);
    shoal_close(map);
}

SCENE_MAIN(SCENE(every_change_wakes), SCENE(absorbed_wakes), SCENE(ping_pong))
