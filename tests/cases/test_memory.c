/* SPDX-License-Identifier: MIT
 *
 * The calling process has no memory left: malloc fails once, or from some time on, at each place in turn.  A call
 * says so or does without; nothing that was acknowledged is lost, nothing that was refused is there, and once there is
 * memory again everything works.  The same of descriptors, at creation.
 *
 * Linked with --wrap: the library's malloc, calloc and realloc are the ones below.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cases/scene.h"

#define KEYS 400u
#define KEY_BYTES 8u
#define HEAP_BYTES (64u << 10)

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static struct {
    bool counts, for_good;
    uint32_t asked, fail_at; /* the one with this number, from 1; 0 = none */
    uint32_t failed;
} memory;

static bool memory_fails(void)
{
    if (!memory.counts || memory.fail_at == 0)
        return false;
    memory.asked++;
    bool fails = memory.asked == memory.fail_at || (memory.for_good && memory.asked > memory.fail_at);
    memory.failed += fails;
    return fails;
}

void *__wrap_malloc(size_t bytes) { return memory_fails() ? NULL : __real_malloc(bytes); }
void *__wrap_calloc(size_t n, size_t bytes) { return memory_fails() ? NULL : __real_calloc(n, bytes); }
void *__wrap_realloc(void *old, size_t bytes) { return memory_fails() ? NULL : __real_realloc(old, bytes); }

/* -- What is done -------------------------------------------------------------------------------------------- */

struct trial {
    struct shoal *map;
    bool present[KEYS];
};

/* It may say that there is no memory, in words; and no_room, that the heap is full. */
static bool went_well(int code, bool no_room, const char *what)
{
    if (code == 0)
        return true;
    require(memory.failed > 0 || (no_room && code == SHOAL_EFULL), "%s: %d %s, and no memory was refused", what, code,
            shoal_error_text());
    require(code == SHOAL_EOS || code == SHOAL_EFULL, "%s: %d %s", what, code, shoal_error_text());
    require(code != SHOAL_EOS || strstr(shoal_error_text(), "memory") != NULL, "%s: a text without its reason: %s", what,
            shoal_error_text());
    return false;
}

static void key_of(char *to, uint32_t k) { (void)snprintf(to, KEY_BYTES + 1, "key%05u", k % 100000); }

static uint32_t bytes_of(uint32_t k) { return k < 250 ? 40 + k % 150 : 1500 + k % 900; }

static void put(struct trial *t, uint32_t k)
{
    static const uint8_t zeros[4096];
    char key[KEY_BYTES + 1];
    key_of(key, k);
    if (went_well(shoal_put(t->map, key, KEY_BYTES, zeros, bytes_of(k)), true, "put"))
        t->present[k] = true;
}

static void delete(struct trial *t, uint32_t k)
{
    char key[KEY_BYTES + 1];
    key_of(key, k);
    int code = shoal_delete(t->map, key, KEY_BYTES);
    if (code == (t->present[k] ? 0 : SHOAL_MISSING))
        t->present[k] = false;
    else
        (void)went_well(code, false, "delete");
}

static void walk(struct trial *t)
{
    struct shoal_iter *it = NULL;
    struct shoal_item item;
    if (!went_well(shoal_iter_open(t->map, "key", 3, &it), false, "iter_open"))
        return;
    uint32_t n = 0, expected = 0;
    int code;
    while ((code = shoal_iter_next(it, &item)) == 0)
        n++;
    shoal_iter_close(it);
    for (uint32_t k = 0; k < KEYS; k++)
        expected += t->present[k];
    if (code == SHOAL_END)
        require(n == expected, "a walk met %u of %u", n, expected);
    else
        (void)went_well(code, false, "iter_next");
}

static void look(struct trial *t)
{
    struct shoal_view view;
    struct shoal_report report = SHOAL_REPORT_INIT;
    char key[KEY_BYTES + 1];
    key_of(key, 1);
    int code = shoal_view(t->map, key, KEY_BYTES, &view);
    if (code == 0)
        shoal_view_end(&view);
    else if (t->present[1])
        (void)went_well(code, false, "view");
    (void)went_well(shoal_check(t->map, &report), false, "check");
    (void)went_well(shoal_reap(t->map, NULL), false, "reap");
    walk(t);
}

static void *attach_and_put(void *arg)
{
    put(arg, 7); /* this thread's first: it attaches */
    return NULL;
}

/* Small ones, until the heap is full of them; thinned out, so that larger ones need spans emptied. */
static void work(struct trial *t)
{
    pthread_t thread;
    for (uint32_t k = 0; k < 250; k++)
        put(t, k);
    for (uint32_t k = 0; k < 250; k++)
        if (k % 7 != 1)
            delete(t, k);
    for (uint32_t k = 250; k < KEYS; k++)
        put(t, k);
    look(t);
    if (pthread_create(&thread, NULL, attach_and_put, t) == 0)
        (void)pthread_join(thread, NULL);
}

static void holds(struct trial *t)
{
    uint64_t n = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        char key[KEY_BYTES + 1];
        size_t got = 0;
        key_of(key, k);
        must_be(shoal_get(t->map, key, KEY_BYTES, NULL, 0, &got), t->present[k] ? 0 : SHOAL_MISSING);
        require(!t->present[k] || got == bytes_of(k), "%s has %zu bytes", key, got);
        n += t->present[k];
    }
    require(scene_count(t->map) == n, "count");
    (void)scene_check(t->map, true);
}

/* True: memory was refused. */
static bool trial(uint32_t first, bool for_good)
{
    const struct shoal_options options = scene_options(KEYS, HEAP_BYTES, 8);
    struct trial t = { .map = NULL };
    memory.asked = memory.failed = 0;
    memory.fail_at = first;
    memory.for_good = for_good;
    memory.counts = true;
    if (!went_well(shoal_create(scene_name(0), &options, &t.map), false, "create")) {
        struct shoal *none = NULL;
        memory.counts = false;
        must_be(shoal_open(scene_name(0), 0, &none), SHOAL_ENOMAP);
        must(shoal_create(scene_name(0), &options, &t.map)); /* and left nothing in the way */
        memory.counts = true;
    }
    work(&t);
    memory.counts = false;
    holds(&t);
    const uint32_t refused = memory.failed;
    memory.failed = 0;
    work(&t);
    holds(&t);
    shoal_close(t.map);
    must(shoal_unlink(scene_name(0)));
    return refused > 0;
}

static void refused_everywhere(bool for_good)
{
    uint32_t n = 0;
    while (trial(n + 1, for_good))
        n++;
    require(n >= 10, "only %u allocations", n);
}

static void refused_once(void) { refused_everywhere(false); }
static void refused_for_good(void) { refused_everywhere(true); }

/* A map that its maker cannot use does not exist. */
static void no_descriptors(void)
{
    const struct shoal_options options = scene_options(KEYS, HEAP_BYTES, 8);
    struct shoal *map = NULL, *none = NULL;
    const int first = dup(0); /* the lowest that is free */
    uint32_t refused = 0;
    int code = SHOAL_EOS;
    require(first > 0 && close(first) == 0, "dup");
    for (uint32_t n = 0; code != 0; n++) {
        struct rlimit all, few;
        require(getrlimit(RLIMIT_NOFILE, &all) == 0, "getrlimit");
        few = all;
        few.rlim_cur = (rlim_t)first + n;
        require(setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
        code = shoal_create(scene_name(0), &options, &map);
        require(code == 0 || code == SHOAL_EOS, "create with %u descriptors: %d %s", n, code, shoal_error_text());
        require(setrlimit(RLIMIT_NOFILE, &all) == 0, "setrlimit");
        if (code != 0)
            must_be(shoal_open(scene_name(0), 0, &none), SHOAL_ENOMAP);
        refused += code != 0;
    }
    require(refused >= 3, "it takes three descriptors, and %u were enough", refused);
    scene_put(map, "key", 1, 8);
    scene_holds(map, "key", 1, 8);
}

SCENE_MAIN(SCENE(refused_once), SCENE(refused_for_good), SCENE(no_descriptors))
