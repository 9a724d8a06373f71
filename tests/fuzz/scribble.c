/* SPDX-License-Identifier: MIT
 *
 * A live process that scribbles words into the segment while three others make every call (guarantee E): errors, or
 * with checksums no wrong value ever; without, wrong values of scribbled keys.  No worker ends by a signal, makes an
 * access outside, or makes more accesses in one call than a bound that races with a scribbler can not exceed.
 *
 *     scribble [--rounds N] [--seed S] [--from ROUND]      each round follows from the seed and its number,
 *                                                          up to the order in which the processes run
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/guard.h"
#include "lib/act.h"
#include "lib/random.h"
#include "memory/segment.h"

#define WORKERS 3u
#define CALLS 400u /* of a worker in a round */
#define KEYS 32u
#define VALUE_BYTES_MAX 600u
#define REOPEN_EVERY 100u
#define ROUNDS 90u
#define STEPS_MAX 5000000u /* a hundred times what is seen: a loop goes on while the scribbler changes its word */
#define SECONDS_MAX 120     /* for a worker's round, which takes some ten milliseconds */

enum place { ANYWHERE, HEADER, ENTRIES, TABLE, SPANS, HEADS, PLACES };
static const char *const place_names[PLACES] = { "anywhere", "header", "entries", "table", "spans", "records' heads" };

/* In shared memory. */
struct board {
    _Atomic uint32_t ended;
    _Atomic uint64_t calls, corrupt, values, refused;
    uint64_t words, most;
};

struct round {
    char path[64];
    uint64_t seed, number;
    enum place place;
    bool checked;
    struct board *board;
};

/* -- Workers ------------------------------------------------------------------------------------------- */

struct worker {
    const struct round *round;
    struct shoal *map;
    uint64_t random, nonce;
    uint32_t k;
    char key[24];
    size_t key_n;
};

static void key_draw(struct worker *w)
{
    w->k = random_below(&w->random, KEYS);
    w->key_n = (size_t)snprintf(w->key, sizeof w->key, "key-%u", w->k);
}

/* A value says whose it is. */
static size_t value_draw(struct worker *w, uint8_t *to)
{
    size_t n = 8 + random_below(&w->random, VALUE_BYTES_MAX - 8);
    value_make(to, (uint64_t)w->k << 32 | (uint32_t)++w->nonce, n);
    return n;
}

static void judge_value(const struct worker *w, const void *value, size_t n)
{
    uint64_t tag;
    bool integer = n == 8; /* of incr: any */
    atomic_fetch_add(&w->round->board->values, 1);
    if (w->round->checked)
        hold(integer || (value_read(value, n, &tag) && tag >> 32 == w->k), "a wrong value of %s, %zu bytes", w->key, n);
}

static int answered(struct worker *w, int rc)
{
    bool known = (rc >= 0 && rc <= SHOAL_END) || rc == SHOAL_EINVAL || rc == SHOAL_EFULL || rc == SHOAL_ETOOBIG ||
                 rc == SHOAL_EREADONLY || rc == SHOAL_ECORRUPT || rc == SHOAL_EATTACH || rc == SHOAL_EOS;
    hold(known, "answered %d, %s", rc, shoal_error_text());
    atomic_fetch_add(&w->round->board->calls, 1);
    atomic_fetch_add(&w->round->board->corrupt, rc == SHOAL_ECORRUPT);
    return rc;
}
#define ANSWERED(call) answered(w, CALL(call))

static int halve(struct shoal_change *change, void *arg)
{
    static uint8_t value[VALUE_BYTES_MAX];
    (void)arg;
    change->value_bytes = change->old_bytes / 2 < sizeof value ? change->old_bytes / 2 : sizeof value;
    if (change->value_bytes < 9) /* keeps values apart from integers, and whole */
        return SHOAL_KEEP;
    memcpy(value, change->old, change->value_bytes);
    change->value = value;
    return SHOAL_STORE;
}

static void get(struct worker *w)
{
    uint8_t *value = malloc(VALUE_BYTES_MAX); /* so that AddressSanitizer knows its end */
    size_t n = 0;
    hold(value != NULL, "memory");
    if (ANSWERED(shoal_get(w->map, w->key, w->key_n, value, VALUE_BYTES_MAX, &n)) == 0)
        judge_value(w, value, n);
    free(value);
}

static void view(struct worker *w)
{
    static volatile uint8_t sum;
    struct shoal_view view;
    if (ANSWERED(shoal_view(w->map, w->key, w->key_n, &view)) != 0)
        return;
    for (size_t at = 0; at < view.bytes; at++)
        sum = (uint8_t)(sum + ((const uint8_t *)view.value)[at]);
    guard_call("shoal_view_end");
    shoal_view_end(&view);
}

static void walk(struct worker *w)
{
    struct shoal_iter *iter;
    struct shoal_item item;
    hold(ANSWERED(shoal_iter_open(w->map, "key", 3, &iter)) == 0, "iter_open");
    for (uint32_t i = 0; ANSWERED(shoal_iter_next(iter, &item)) != SHOAL_END; i++)
        hold(i < 100000, "the walk does not end");
    shoal_iter_close(iter);
}

static void look_at_all(struct worker *w)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    uint64_t n;
    (void)ANSWERED(shoal_check(w->map, &report));
    (void)ANSWERED(shoal_stats(w->map, &stats));
    (void)ANSWERED(shoal_count(w->map, SHOAL_EXACT, &n, NULL));
    (void)ANSWERED(shoal_reap(w->map, NULL));
}

static void write_by_version(struct worker *w, const uint8_t *value, size_t n)
{
    struct shoal_how how = SHOAL_HOW_INIT;
    how.flags = SHOAL_IF_VERSION;
    (void)ANSWERED(shoal_getv(w->map, w->key, w->key_n, NULL, 0, NULL, &how.if_version));
    (void)ANSWERED(shoal_put_with(w->map, w->key, w->key_n, value, n, &how, NULL));
    (void)ANSWERED(shoal_wait(w->map, w->key, w->key_n, how.if_version, 0, NULL));
}

static void call_some(struct worker *w)
{
    uint8_t value[VALUE_BYTES_MAX];
    key_draw(w);
    size_t n = value_draw(w, value);
    n += n == 8; /* only integers have eight bytes */
    value_make(value, (uint64_t)w->k << 32 | (uint32_t)w->nonce, n);
    uint32_t what = random_below(&w->random, 100);
    if (what < 30)
        get(w);
    else if (what < 55)
        (void)ANSWERED(shoal_put(w->map, w->key, w->key_n, value, n));
    else if (what < 65)
        view(w);
    else if (what < 73)
        (void)ANSWERED(shoal_delete(w->map, w->key, w->key_n));
    else if (what < 78)
        (void)ANSWERED(shoal_add(w->map, w->key, w->key_n, value, n));
    else if (what < 82)
        (void)ANSWERED(shoal_take(w->map, w->key, w->key_n, value, sizeof value, NULL));
    else if (what < 86)
        (void)ANSWERED(shoal_incr(w->map, "counter", 7, 1, NULL));
    else if (what < 90)
        (void)ANSWERED(shoal_update(w->map, w->key, w->key_n, halve, NULL));
    else if (what < 95)
        write_by_version(w, value, n);
    else if (what < 97)
        walk(w);
    else if (what < 99)
        look_at_all(w);
    else
        (void)ANSWERED(shoal_wait(w->map, w->key, w->key_n, 1, 1, NULL));
}

/* Only a scribbled header may keep one out. */
static void reopen(struct worker *w)
{
    struct shoal *map = NULL;
    int rc = CALL(shoal_open(w->round->path, random_below(&w->random, 4) == 0 ? SHOAL_RDONLY : 0, &map));
    bool header = w->round->place == HEADER || w->round->place == ANYWHERE;
    hold(rc == 0 || (header && (rc == SHOAL_ECORRUPT || rc == SHOAL_EVERSION)), "open: %d, %s", rc, shoal_error_text());
    atomic_fetch_add(&w->round->board->refused, rc != 0);
    if (rc != 0)
        return;
    guard_call("shoal_close");
    shoal_close(w->map);
    w->map = map;
}

static void work(const struct round *round, uint32_t who, struct shoal *map)
{
    struct worker w = { .round = round, .random = random_mix(round->seed + round->number * WORKERS + who) };
    (void)alarm(SECONDS_MAX);
    guard_limit(STEPS_MAX);
    w.map = map; /* the parent's: a forked child attaches by itself */
    for (uint32_t i = 1; i <= CALLS; i++) {
        call_some(&w);
        if (i % REOPEN_EVERY == 0)
            reopen(&w);
    }
    guard_call("shoal_close");
    shoal_close(w.map);
    atomic_fetch_add(&round->board->ended, 1);
}

/* -- The scribbler ------------------------------------------------------------------------------------------ */

static uint64_t load_word(uint8_t *bytes, uint64_t at) { return load_relaxed_u64((shared_u64 *)(void *)(bytes + at)); }

/* A word of the chosen kind, of those that are there now. */
static uint64_t place_draw(const struct geometry *g, uint8_t *bytes, enum place place, uint64_t *random)
{
    uint64_t from = 0, to = g->segment_bytes, slot, block;
    switch (place) {
    case HEADER:
        to = 640;
        break;
    case ENTRIES:
        from = g->entries_at;
        to = g->entries_at + 4 * sizeof(struct entry);
        break;
    case TABLE:
        from = g->summary_at;
        to = g->spans_at;
        break;
    case SPANS:
        from = g->spans_at;
        to = g->heap_at;
        break;
    case HEADS:
        slot = g->groups_at + random_below(random, (uint32_t)g->groups_all_n * 8) * 8u;
        block = slot_block(load_word(bytes, slot)) + random_below(random, 5) * 8u;
        if (block >= g->heap_at && block + 8 <= g->segment_bytes)
            return block;
        from = g->heap_at;
        break;
    default:
        break;
    }
    return from + random_next(random) % ((to - from) / 8) * 8;
}

static void scribble_word(const struct geometry *g, uint8_t *bytes, enum place place, uint64_t *random)
{
    uint64_t at = place_draw(g, bytes, place, random), other = place_draw(g, bytes, place, random);
    uint64_t was = load_word(bytes, at), next = load_word(bytes, at >= 8 ? at - 8 : at + 8);
    const uint64_t some[] = { random_next(random), was ^ (uint64_t)1 << random_below(random, 64), was + 1, 0,
                              ~(uint64_t)0, next, at, load_word(bytes, other) };
    store_relaxed_u64((shared_u64 *)(void *)(bytes + at), some[random_below(random, 8)]);
}

/* Until the workers are done: many words or few between two calls of theirs. */
static void scribble(const struct round *round, const struct geometry *g, uint8_t *bytes)
{
    uint64_t random = random_mix(round->seed + round->number);
    uint32_t pause = (uint32_t)1 << (4 + round->number % 4 * 4);
    while (atomic_load(&round->board->ended) < WORKERS) {
        scribble_word(g, bytes, round->place, &random);
        round->board->words++;
        for (uint32_t i = random_below(&random, pause); i > 0 && atomic_load(&round->board->ended) < WORKERS; i--)
            __asm__ volatile("" ::: "memory");
    }
}

/* -- Rounds --------------------------------------------------------------------------------------------------- */

static struct shoal *map_make(const struct round *round, struct geometry *ret_geometry, uint8_t **ret_bytes)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    options.capacity = KEYS;
    options.heap_bytes = 64 * 1024;
    options.max_threads = 8;
    options.flags = round->checked ? SHOAL_CHECKSUM : 0;
    (void)unlink(round->path);
    hold(shoal_create(round->path, &options, &map) == 0, "%s", shoal_error_text());
    int fd = open(round->path, O_RDWR | O_CLOEXEC);
    hold(fd >= 0, "%s", strerror(errno));
    hold(pread(fd, ret_geometry, sizeof *ret_geometry, offsetof(struct segment_header, geometry)) ==
             (ssize_t)sizeof *ret_geometry,
         "%s", strerror(errno));
    *ret_bytes = mmap(NULL, ret_geometry->segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    hold(*ret_bytes != MAP_FAILED, "%s", strerror(errno));
    (void)close(fd);
    return map;
}

/* A worker that ends badly ends the scribbler's loop too. */
static bool workers_end(const struct round *round, const pid_t pids[WORKERS])
{
    bool well = true;
    for (uint32_t i = 0; i < WORKERS; i++) {
        int status = 0;
        hold(waitpid(pids[i], &status, 0) == pids[i], "waitpid");
        if (status != 0)
            printf("seed %" PRIu64 ", round %" PRIu64 ", %s: worker %u ended with status 0x%x (signal %d)\n",
                   round->seed, round->number, place_names[round->place], i, (unsigned)status,
                   WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        well = well && status == 0;
    }
    return well;
}

static bool round_run(const struct round *round)
{
    pid_t pids[WORKERS], scribbler;
    struct geometry geometry;
    uint8_t *bytes;
    struct shoal *map = map_make(round, &geometry, &bytes);
    atomic_store(&round->board->ended, 0);
    fflush(NULL);
    for (uint32_t i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        hold(pids[i] >= 0, "fork: %s", strerror(errno));
        if (pids[i] == 0) {
            work(round, i, map);
            const char *call;
            uint64_t most = guard_most(&call);
            if (most > round->board->most)
                round->board->most = most;
            _exit(0);
        }
    }
    scribbler = fork();
    hold(scribbler >= 0, "fork: %s", strerror(errno));
    if (scribbler == 0) {
        scribble(round, &geometry, bytes);
        _exit(0);
    }
    bool well = workers_end(round, pids);
    (void)kill(scribbler, SIGKILL);
    (void)waitpid(scribbler, NULL, 0);
    shoal_close(map); /* on what is left of it */
    (void)munmap(bytes, geometry.segment_bytes);
    (void)unlink(round->path);
    return well;
}

int main(int argc, char **argv)
{
    uint64_t rounds = ROUNDS, seed = 1, from = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t *number = strcmp(argv[i], "--rounds") == 0 ? &rounds
                           : strcmp(argv[i], "--seed") == 0 ? &seed
                           : strcmp(argv[i], "--from") == 0 ? &from
                                                            : NULL;
        if (number == NULL)
            return fprintf(stderr, "usage: scribble [--rounds N] [--seed S] [--from ROUND]\n"), 2;
        *number = strtoull(argv[i + 1], NULL, 0);
    }
    struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    hold(board != MAP_FAILED, "memory");
    guard_limit(STEPS_MAX);
    for (uint64_t number = from; number < from + rounds; number++) {
        struct round round = { .seed = seed,
                               .number = number,
                               .place = (enum place)(number % PLACES),
                               .checked = number / PLACES % 2 != 0,
                               .board = board };
        (void)snprintf(round.path, sizeof round.path, "/dev/shm/shoal-fuzz-%ld-scribble", (long)getpid());
        if (!round_run(&round))
            return 1;
    }
    printf("seed %" PRIu64 "; most accesses in a call: %" PRIu64 "\n", seed, board->most);
    printf("scribble: %" PRIu64 " rounds of %u workers, %" PRIu64 " calls beside %" PRIu64 " scribbled words: %" PRIu64
           " answered corrupt, %" PRIu64 " opens refused, %" PRIu64 " values looked at\n",
           rounds, WORKERS, board->calls, board->words, board->corrupt, board->refused, board->values);
    return 0;
}
