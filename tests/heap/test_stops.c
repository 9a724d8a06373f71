/* SPDX-License-Identifier: MIT
 *
 * Two processes empty the same span for records of other sizes.  One is stopped at an access to shared
 * memory, then the other at one of its own; the first goes on, writes what the second may take for a block
 * header (zeros) wherever it finds room, and ends; then the second goes on.  Guarantees B, C: nothing that was
 * acknowledged changes.
 * Half of the trials stop them anywhere; the others while the first span is being emptied: the first process
 * towards the end of that, the second behind a look at the span word.
 *
 * Built with SHOAL_POINTS: the library calls shoal_point() before each access.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "heap/heap_view.h"

#define HEAP_BYTES (64u << 10)
#define RECORDS_N 1000u
#define LOOKS_MAX 500u

/* What the processes of one trial share. */
struct stops {
    struct shoal *map;
    struct member {
        uint32_t stop_at;        /* point; 0 = go through */
        uint32_t points;         /* it went through so many */
        uint32_t stored;         /* records with success */
        uint32_t bytes;          /* of its records' values, all zero */
        uint32_t most;           /* records */
        uint32_t began, freed;   /* points: when it began to empty a span; its third CAS on a span word */
        uint32_t looks_n, looks[LOOKS_MAX]; /* points behind a load of a span word in between */
    } who[2];
};

static struct {
    struct stops *stops;
    const struct segment *segment;
    uint32_t who, span_cas;
} hook;

static bool is_draining_word(const struct segment *s, uintptr_t at)
{
    const uintptr_t entries = (uintptr_t)s->entries;
    return at >= entries && at < (uintptr_t)s->summary &&
           (at - entries) % sizeof(struct entry) == offsetof(struct entry, draining);
}

static bool is_span_word(const struct segment *s, uintptr_t at)
{
    return at >= (uintptr_t)s->spans && at < (uintptr_t)(s->spans + s->geo.spans_n);
}

void shoal_point(enum shoal_point_kind kind, const volatile void *where)
{
    if (hook.stops == NULL)
        return;
    struct member *me = &hook.stops->who[hook.who];
    me->points++;
    if (kind == POINT_STORE && me->began == 0 && is_draining_word(hook.segment, (uintptr_t)where))
        me->began = me->points;
    if (kind == POINT_CAS && is_span_word(hook.segment, (uintptr_t)where) && ++hook.span_cas == 3)
        me->freed = me->points;
    if (kind == POINT_LOAD && me->began != 0 && me->freed == 0 && me->looks_n < LOOKS_MAX &&
        is_span_word(hook.segment, (uintptr_t)where))
        me->looks[me->looks_n++] = me->points + 1;
    if (me->points == me->stop_at)
        (void)raise(SIGSTOP);
}

static void key_of(char *to, uint32_t who, uint32_t k) { (void)snprintf(to, 16, "%c%u", (int)('a' + who), k); }

/* Only the first call is stopped and traced. */
static void store(uint32_t who, void *arg)
{
    static const uint8_t zeros[1024];
    struct stops *stops = arg;
    int code = 0;
    for (uint32_t k = 0; code == 0 && k < stops->who[who].most; k++) {
        char key[16];
        key_of(key, who, k);
        if (k == 0) {
            hook.segment = segment_of(stops->map);
            hook.who = who;
            hook.stops = stops;
        }
        code = shoal_put(stops->map, key, strlen(key), zeros, stops->who[who].bytes);
        hook.stops = NULL;
        require(code == 0 || code == SHOAL_EFULL, "put: %d %s", code, shoal_error_text());
        stops->who[who].stored += code == 0;
    }
}

/* Until it is stopped or has ended well.  True: stopped. */
static bool await_stop(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, WUNTRACED) < 0)
        require(errno == EINTR, "waitpid: %s", strerror(errno));
    require(WIFSTOPPED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0), "a child ended with status 0x%x",
            (unsigned)status);
    return WIFSTOPPED(status);
}

static void await_end(pid_t pid, bool stopped)
{
    if (!stopped)
        return;
    crew_continue(pid);
    require(!await_stop(pid), "stopped twice");
}

static void holds_what_was_stored(struct stops *stops)
{
    static const uint8_t zeros[1024];
    uint8_t value[1024];
    for (uint32_t who = 0; who < 2; who++)
        for (uint32_t k = 0; k < stops->who[who].stored; k++) {
            char key[16];
            size_t got = 0;
            key_of(key, who, k);
            int code = shoal_get(stops->map, key, strlen(key), value, sizeof value, &got);
            require(code == 0, "C: get %s: %d %s; stopped at %u and %u", key, code,
                    code < 0 ? shoal_error_text() : "lost", stops->who[0].stop_at, stops->who[1].stop_at);
            require(got == stops->who[who].bytes && memcmp(value, zeros, got) == 0,
                    "C: the value of %s is another; stopped at %u and %u", key, stops->who[0].stop_at,
                    stops->who[1].stop_at);
        }
    require(scene_count(stops->map) == stops->who[0].stored + (uint64_t)stops->who[1].stored, "C: count");
}

/* A heap whose spans all belong to one class, without a record. */
static struct shoal *map_of_one_class(void)
{
    struct shoal *map = scene_map(RECORDS_N, HEAP_BYTES);
    (void)fill_and_empty(map, 100);
    return map;
}

/* True: both were stopped. */
static bool trial(struct stops *stops, const uint32_t bytes[2], uint32_t first_at, uint32_t second_at)
{
    stops->map = map_of_one_class();
    for (uint32_t who = 0; who < 2; who++) {
        stops->who[who] = (struct member){ .bytes = bytes[who],
                                           .most = who == 0 ? RECORDS_N : 1,
                                           .stop_at = who == 0 ? first_at : second_at };
    }
    pid_t first = crew_start(0, store, stops);
    bool first_stopped = await_stop(first);
    pid_t second = crew_start(1, store, stops);
    bool second_stopped = await_stop(second);
    await_end(first, first_stopped);
    await_end(second, second_stopped);
    must(shoal_reap(stops->map, NULL));
    holds_what_was_stored(stops);
    (void)scene_check(stops->map, true);
    shoal_close(stops->map);
    return first_stopped && second_stopped;
}

static uint32_t first_point(const struct member *went, bool there, uint64_t *random)
{
    if (!there || went->freed <= went->began)
        return 1 + random_below(random, went->points);
    uint32_t span = (went->freed - went->began) / 3 + 1;
    return went->freed - random_below(random, span);
}

static uint32_t second_point(const struct member *went, bool there, uint64_t *random)
{
    return there && went->looks_n > 0 ? went->looks[random_below(random, went->looks_n)]
                                      : 1 + random_below(random, went->points);
}

static void two_stops(void)
{
    static const uint32_t sizes[] = { 20, 200, 500, 700, 900, 1000 };
    uint64_t random = scene_seed();
    struct stops *stops = board_make(sizeof *stops);
    uint32_t bytes[2] = { 0 };
    struct member went[2] = { 0 };
    uint32_t both = 0;
    for (uint32_t i = 0; i < scene_rounds(1500); i++) {
        if (i % 25 == 0) { /* where the points are depends on the sizes */
            bytes[0] = sizes[random_below(&random, 6)];
            bytes[1] = sizes[random_below(&random, 6)];
            (void)trial(stops, bytes, 0, 0);
            went[0] = stops->who[0];
            (void)trial(stops, bytes, (went[0].began + went[0].freed) / 2, 0); /* so that the second joins */
            went[1] = stops->who[1];
        }
        both += trial(stops, bytes, first_point(&went[0], i % 2, &random), second_point(&went[1], i % 2, &random));
    }
    printf("both stopped in %u trials\n", both);
    require(both > 0, "never were both stopped");
}

SCENE_MAIN(SCENE(two_stops))
