/* SPDX-License-Identifier: MIT
 *
 * Readers who lose every round: whenever one has looked a few times, the value is replaced before it looks again.
 * With an attachment a get pins the value in the end; without one it gives up.  Guarantees A, D.
 *
 * Built with SHOAL_POINTS: the library calls shoal_point() before each access.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "cases/scene.h"
#include "lib/act.h"
#include "table/read.h"

#define KEY "replaced", 8
#define BYTES 600u

/* One who replaces the value each time that the reader lets him. */
static struct rival {
    struct shoal *map;
    pthread_t thread;
    sem_t go, done;
    uint64_t tag; /* of the value now */
    bool end;
} rival;

/* Every third load: a round makes four, the last of them the second look at the slot.  A round under a hazard makes two
 * before its value stands still, so that not each of them can be spoiled. */
#define EVERY 3u
static _Thread_local struct {
    bool under_fire;
    uint32_t loads;
} reader;

void shoal_point(enum shoal_point_kind kind, const volatile void *where)
{
    (void)where;
    if (!reader.under_fire || kind != POINT_LOAD || ++reader.loads % EVERY != 0)
        return;
    (void)sem_post(&rival.go);
    (void)sem_wait(&rival.done);
}

static void replace(void)
{
    uint8_t value[BYTES];
    value_make(value, rival.tag + 1, sizeof value);
    must(shoal_put(rival.map, KEY, value, sizeof value));
    rival.tag++;
}

static void *rival_main(void *unused)
{
    for (;;) {
        (void)sem_wait(&rival.go);
        if (rival.end)
            return unused;
        replace();
        (void)sem_post(&rival.done);
    }
}

static void rival_start(struct shoal *map)
{
    rival.map = map;
    require(sem_init(&rival.go, 0, 0) == 0 && sem_init(&rival.done, 0, 0) == 0, "semaphores");
    replace();
    require(pthread_create(&rival.thread, NULL, rival_main, NULL) == 0, "thread");
}

static void rival_stop(void)
{
    rival.end = true;
    (void)sem_post(&rival.go);
    (void)pthread_join(rival.thread, NULL);
}

/* Whole, and the value at some time between these two. */
static void is_from(const void *value, size_t bytes, uint64_t from, uint64_t to)
{
    uint64_t tag = 0;
    require(bytes == BYTES && value_read(value, bytes, &tag), "A: a torn value of %zu bytes", bytes);
    require(tag >= from && tag <= to, "A: value %llu; it was %llu to %llu", (unsigned long long)tag,
            (unsigned long long)from, (unsigned long long)to);
}

static int get_once(struct shoal *map, bool under_fire, uint64_t *ret_replaced)
{
    uint8_t value[BYTES];
    size_t got = 0;
    const uint64_t from = rival.tag;
    reader.under_fire = under_fire;
    const int code = shoal_get(map, KEY, value, sizeof value, &got);
    reader.under_fire = false;
    *ret_replaced = rival.tag - from;
    if (code == 0)
        is_from(value, got, from, rival.tag);
    return code;
}

static int walk_once(struct shoal *map, bool under_fire, uint64_t *ret_replaced)
{
    struct shoal_iter *it = NULL;
    struct shoal_item item;
    must(shoal_iter_open(map, NULL, 0, &it));
    const uint64_t from = rival.tag;
    reader.under_fire = under_fire;
    int code = shoal_iter_next(it, &item);
    reader.under_fire = false;
    *ret_replaced = rival.tag - from;
    if (code == 0) {
        is_from(item.value, item.value_bytes, from, rival.tag);
        must_be(shoal_iter_next(it, &item), SHOAL_END);
    }
    shoal_iter_close(it);
    return code;
}

static void with_an_attachment(int (*read)(struct shoal *, bool, uint64_t *))
{
    struct shoal *map = scene_map(100, 1u << 20);
    scene_put(map, "own", 1, 8);
    must(shoal_delete(map, "own", 3));
    rival_start(map);
    for (uint32_t i = 0; i < 60; i++) {
        uint64_t replaced = 0;
        reader.loads = i;
        must(read(map, true, &replaced));
        require(replaced >= READ_ROUNDS_HAZARD, "only %llu rounds were lost", (unsigned long long)replaced);
    }
    rival_stop();
    (void)scene_check(map, true);
}

static void get_pins_in_the_end(void) { with_an_attachment(get_once); }
static void walk_pins_in_the_end(void) { with_an_attachment(walk_once); }

/* It never writes, so it can only say so; a moment later it reads. */
static void read_only_gives_up(void)
{
    const struct shoal_options options = scene_options(100, 1u << 20, 8);
    struct shoal *map = scene_create(scene_name(0), &options), *readonly = NULL;
    uint64_t replaced = 0;
    must(shoal_open(scene_name(0), SHOAL_RDONLY, &readonly));
    rival_start(map);
    must_be(get_once(readonly, true, &replaced), SHOAL_CHANGED);
    require(replaced >= READ_ROUNDS, "only %llu rounds were lost", (unsigned long long)replaced);
    must_be(walk_once(readonly, true, &replaced), SHOAL_CHANGED);
    require(replaced >= READ_ROUNDS, "only %llu rounds were lost", (unsigned long long)replaced);
    must(get_once(readonly, false, &replaced));
    must(walk_once(readonly, false, &replaced));
    rival_stop();
}

/* A thread that has only read is not attached yet: it attaches rather than give up. */
static void *reads_first(void *map)
{
    uint64_t replaced = 0;
    must(get_once(map, true, &replaced));
    require(replaced > READ_ROUNDS, "only %llu rounds were lost", (unsigned long long)replaced);
    return NULL;
}

static void *walks_first(void *map)
{
    uint64_t replaced = 0;
    must(walk_once(map, true, &replaced));
    require(replaced > READ_ROUNDS, "only %llu rounds were lost", (unsigned long long)replaced);
    return NULL;
}

static void reader_attaches_in_the_end(void)
{
    struct shoal *map = scene_map(100, 1u << 20);
    void *(*const reads[])(void *) = { reads_first, walks_first };
    rival_start(map);
    for (uint32_t i = 0; i < 2; i++) {
        pthread_t thread;
        require(pthread_create(&thread, NULL, reads[i], map) == 0, "thread");
        (void)pthread_join(thread, NULL);
    }
    rival_stop();
    (void)scene_check(map, true);
}

SCENE_MAIN(SCENE(get_pins_in_the_end), SCENE(walk_pins_in_the_end), SCENE(read_only_gives_up),
           SCENE(reader_attaches_in_the_end))
