/* SPDX-License-Identifier: MIT
 *
 * Names: two creators at once, many who open or create, unlinking under those who work.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases/scene.h"

#define CREW 8u
#define SUM 800 /* 100 by each */

struct meeting {
    char name[128];
    struct gate gate;
    struct shoal_options options;
    _Atomic uint32_t created, existed;
};

/* One wins and works; the others are told, and can open what the winner made. */
static void create_at_once(uint32_t who, void *arg)
{
    struct meeting *m = arg;
    struct shoal *map = NULL;
    (void)who;
    gate_pass(&m->gate);
    int code = shoal_create(m->name, &m->options, &map);
    require(code == 0 || code == SHOAL_EMAPEXISTS, "create: %d %s", code, shoal_error_text());
    atomic_fetch_add(code == 0 ? &m->created : &m->existed, 1);
    if (code != 0) {
        require(map == NULL, "a failed create set ret_map");
        map = scene_open(m->name);
    }
    for (uint32_t i = 0; i < 100; i++)
        must(shoal_incr(map, "sum", 3, 1, NULL));
    shoal_close(map);
}

static void open_or_create_at_once(uint32_t who, void *arg)
{
    struct meeting *m = arg;
    struct shoal *map = NULL;
    (void)who;
    gate_pass(&m->gate);
    must(shoal_open_or_create(m->name, &m->options, 0, &map));
    for (uint32_t i = 0; i < 100; i++)
        must(shoal_incr(map, "sum", 3, 1, NULL));
    shoal_close(map);
}

static void meet(const char *name, crew_fn *fn)
{
    struct meeting *m = board_make(sizeof *m);
    pid_t pids[CREW];
    int64_t sum = 0;
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    m->options = scene_options(64, 0, 0);
    m->gate = gate_make();
    for (uint32_t i = 0; i < CREW; i++)
        pids[i] = crew_start(i, fn, m);
    gate_open(&m->gate);
    for (uint32_t i = 0; i < CREW; i++)
        crew_end(pids[i]);
    require(fn != create_at_once || (m->created == 1 && m->existed == CREW - 1), "%u created, %u were told", m->created,
            m->existed);
    struct shoal *map = scene_open(m->name);
    must(shoal_incr(map, "sum", 3, 0, &sum));
    require(sum == SUM, "A: %lld of %d increments are there", (long long)sum, SUM);
    (void)scene_check(map, true);
    shoal_close(map);
    must(shoal_unlink(m->name));
    must_be(shoal_open(m->name, 0, &map), SHOAL_ENOMAP);
}

/* A directory of this test's own, where path names are tried. */
static const char *directory(void)
{
    static char path[64] = "/tmp/shoal-case-XXXXXX";
    require(mkdtemp(path) != NULL, "mkdtemp: %s", strerror(errno));
    return path;
}

static void meet_often(crew_fn *fn)
{
    const char *dir = directory();
    char path[128];
    (void)snprintf(path, sizeof path, "%s/map", dir);
    for (uint32_t i = 0; i < scene_rounds(40); i++)
        meet(i % 4 == 3 ? path : scene_name(0), fn);
    require(rmdir(dir) == 0, "files are left in %s", dir);
}

static void creators_at_once(void) { meet_often(create_at_once); }
static void openers_or_creators_at_once(void) { meet_often(open_or_create_at_once); }

/* -- Unlinking --------------------------------------------------------------------------------- */

struct worker {
    struct shoal *map;
    struct gate ready, go;
};

static void work_on(uint32_t who, void *arg)
{
    struct worker *w = arg;
    struct shoal *map = who ? w->map : scene_open(scene_name(0));
    must(shoal_incr(map, "sum", 3, 1, NULL));
    bell_ring(&w->ready);
    bell_hear(&w->go);
    for (uint32_t i = 0; i < 1000; i++)
        must(shoal_incr(map, "sum", 3, 1, NULL));
    require(scene_stats(map).unlinked == 1, "its stats do not say unlinked");
    shoal_close(map);
}

static void unlinked_goes_on(void)
{
    struct shoal_options options = scene_options(64, 0, 0);
    struct shoal *map = scene_create(scene_name(0), &options), *next = NULL;
    struct worker w = { map, bell_make(), bell_make() };
    pid_t pids[4];
    int64_t sum = 0;
    for (uint32_t i = 0; i < 4; i++)
        pids[i] = crew_start(i % 2, work_on, &w);
    for (uint32_t i = 0; i < 4; i++)
        bell_hear(&w.ready);
    require(scene_stats(map).unlinked == 0, "unlinked too early");
    must(shoal_unlink(scene_name(0)));
    must_be(shoal_unlink(scene_name(0)), SHOAL_ENOMAP);
    must_be(shoal_open(scene_name(0), 0, &next), SHOAL_ENOMAP);
    require(scene_stats(map).unlinked == 1, "stats do not say unlinked");
    next = scene_create(scene_name(0), &options); /* another map of the same name */
    for (uint32_t i = 0; i < 4; i++)
        bell_ring(&w.go);
    for (uint32_t i = 0; i < 4; i++)
        crew_end(pids[i]);
    must(shoal_incr(map, "sum", 3, 0, &sum));
    require(sum == 4004, "sum %lld", (long long)sum);
    must_be(shoal_get(next, "sum", 3, NULL, 0, NULL), SHOAL_MISSING);
    require(scene_stats(next).unlinked == 0, "the new map says unlinked");
    must(shoal_reap(map, NULL));
    (void)scene_check(map, true);
    shoal_close(map);
    shoal_close(next);
}

/* Some create, open and use while others unlink: everyone gets a whole map or a clear answer. */
static void come_and_go(uint32_t who, void *arg)
{
    struct meeting *m = arg;
    for (uint32_t i = 0; i < 200; i++) {
        struct shoal *map = NULL;
        if (who % 2 == 0 && i % 3 == 0) {
            int gone = shoal_unlink(m->name);
            require(gone == 0 || gone == SHOAL_ENOMAP, "unlink: %d %s", gone, shoal_error_text());
        }
        int code = who % 4 == 1 ? shoal_open(m->name, 0, &map) : shoal_open_or_create(m->name, &m->options, 0, &map);
        require(code == 0 || (who % 4 == 1 && code == SHOAL_ENOMAP), "open: %d %s", code, shoal_error_text());
        if (code != 0)
            continue;
        must(shoal_incr(map, "sum", 3, 1, NULL));
        (void)scene_check(map, false);
        shoal_close(map);
    }
}

static void unlinking_while_opening(void)
{
    struct meeting *m = board_make(sizeof *m);
    (void)snprintf(m->name, sizeof m->name, "%s", scene_name(0));
    m->options = scene_options(8, 32768, 32);
    crew_run(CREW, come_and_go, m);
    (void)shoal_unlink(m->name);
}

SCENE_MAIN(SCENE(creators_at_once), SCENE(openers_or_creators_at_once), SCENE(unlinked_goes_on),
           SCENE(unlinking_while_opening))
