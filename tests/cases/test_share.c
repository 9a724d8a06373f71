/* SPDX-License-Identifier: MIT
 *
 * Many processes on one map: keys of their own, and one key for all.  Guarantee A (and C's count: exact).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cases/scene.h"
#include "lib/act.h"

#define KEY_BYTES 32u
#define HEAP_BYTES (4u << 20) /* many sizes at once: one span of each class is overhead (H) */

/* -- Keys of their own ------------------------------------------------------------------------- */

struct share {
    const char *name; /* NULL: use the inherited handle */
    struct shoal *map;
    struct gate gate;
    uint32_t keys_n;
    bool threads;
    pthread_barrier_t barrier;
};

static void own_key(char *to, uint32_t who, uint32_t k) { (void)snprintf(to, KEY_BYTES, "w%u-k%u", who, k); }
static uint64_t own_tag(uint32_t who, uint32_t k) { return ((uint64_t)who << 32) + k + 1; }
static size_t own_bytes(uint32_t who, uint32_t k) { return 8 + (who * 37 + k * 11) % 300; }

static struct shoal *share_enter(struct share *share)
{
    if (share->threads)
        (void)pthread_barrier_wait(&share->barrier);
    else
        gate_pass(&share->gate);
    return share->name != NULL ? scene_open(share->name) : share->map;
}

static void put_own_keys(uint32_t who, void *arg)
{
    struct share *share = arg;
    struct shoal *map = share_enter(share);
    char key[KEY_BYTES];
    for (uint32_t k = 0; k < share->keys_n; k++) {
        own_key(key, who, k);
        scene_put(map, key, own_tag(who, k), own_bytes(who, k));
        scene_holds(map, key, own_tag(who, k), own_bytes(who, k));
    }
    if (share->name != NULL)
        shoal_close(map);
}

static void holds_all(struct shoal *map, uint32_t crew_n, uint32_t keys_n)
{
    char key[KEY_BYTES];
    for (uint32_t who = 0; who < crew_n; who++)
        for (uint32_t k = 0; k < keys_n; k++) {
            own_key(key, who, k);
            scene_holds(map, key, own_tag(who, k), own_bytes(who, k));
        }
    require(scene_count(map) == (uint64_t)crew_n * keys_n, "count %llu of %u x %u",
            (unsigned long long)scene_count(map), crew_n, keys_n);
    (void)scene_check(map, true);
}

static void processes_share(uint32_t crew_n, uint32_t keys_n, bool by_name)
{
    pid_t pids[64];
    struct shoal_options options = scene_options(1024, HEAP_BYTES, 0);
    struct share share = { .map = scene_create(scene_name(0), &options), .keys_n = keys_n, .gate = gate_make() };
    share.name = by_name ? scene_name(0) : NULL;
    for (uint32_t i = 0; i < crew_n; i++)
        pids[i] = crew_start(i, put_own_keys, &share);
    gate_open(&share.gate);
    for (uint32_t i = 0; i < crew_n; i++)
        crew_end(pids[i]);
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    must(shoal_reap(share.map, &reaped));
    holds_all(share.map, crew_n, keys_n);
    shoal_close(share.map);
    must(shoal_unlink(scene_name(0)));
}

static void distinct_keys(void)
{
    for (uint32_t i = 0; i < scene_rounds(4); i++) {
        processes_share(4, 25, i % 2 == 0);
        processes_share(4, 20, i % 2 == 0);
        processes_share(3, 10, i % 2 == 0);
        processes_share(8, 100, i % 2 == 0);
    }
}

static void threads_distinct_keys(void)
{
    for (uint32_t i = 0; i < scene_rounds(10); i++) {
        struct share share = { .map = scene_map(1024, HEAP_BYTES), .keys_n = 20, .threads = true };
        require(pthread_barrier_init(&share.barrier, NULL, 8) == 0, "barrier");
        crew_threads(8, put_own_keys, &share);
        holds_all(share.map, 8, 20);
        struct shoal_stats stats = scene_stats(share.map);
        require(stats.attached == 1, "threads have ended, %u attached", stats.attached);
        shoal_close(share.map);
    }
}

/* -- A mix of calls, each process on ten keys of its own, against a model ---------------------- */

#define MIX_CREW 8u
#define MIX_KEYS 10u
#define MIX_CALLS 100u

struct mix {
    struct shoal *map;
    struct gate gate;
    uint64_t seed;
    struct cell cells[MIX_CREW][MIX_KEYS]; /* each row written by its process */
};

static struct act mix_act(uint64_t *random)
{
    static const enum act_kind kinds[] = { ACT_GET,    ACT_GET, ACT_PUT,     ACT_PUT,  ACT_PUT,
                                           ACT_DELETE, ACT_ADD, ACT_REPLACE, ACT_TAKE, ACT_VIEW };
    struct act act = { .kind = kinds[random_below(random, sizeof kinds / sizeof kinds[0])] };
    act.tag = random_next(random) | 1;
    act.bytes = random_below(random, 8) == 0 ? 0 : 8 + random_below(random, 400);
    return act;
}

static void mix_calls(uint32_t who, void *arg)
{
    struct mix *mix = arg;
    uint64_t random = mix->seed + who;
    char key[KEY_BYTES];
    gate_pass(&mix->gate);
    for (uint32_t n = 0; n < MIX_CALLS; n++) {
        uint32_t k = random_below(&random, MIX_KEYS);
        struct act act = mix_act(&random);
        struct answer model, real;
        own_key(key, who, k);
        require(act_apply(&act, ACT_PLAINLY, &mix->cells[who][k], &model), "no such way");
        act_do(&act, mix->map, key, strlen(key), &real);
        require(act_same_answer(&model, &real), "A: %s of %s answered %d, the model %d", act_name(act.kind), key,
                real.code, model.code);
    }
}

static void mix_round(uint64_t seed)
{
    struct mix *mix = board_make(sizeof *mix);
    pid_t pids[MIX_CREW];
    uint64_t present = 0;
    char key[KEY_BYTES];
    mix->map = scene_map(200, HEAP_BYTES);
    mix->gate = gate_make();
    mix->seed = seed;
    for (uint32_t i = 0; i < MIX_CREW; i++)
        pids[i] = crew_start(i, mix_calls, mix);
    gate_open(&mix->gate);
    for (uint32_t i = 0; i < MIX_CREW; i++)
        crew_end(pids[i]);
    for (uint32_t who = 0; who < MIX_CREW; who++)
        for (uint32_t k = 0; k < MIX_KEYS; k++) {
            const struct cell *cell = &mix->cells[who][k];
            own_key(key, who, k);
            present += cell->present;
            if (cell->present)
                scene_holds(mix->map, key, cell->tag, cell->bytes);
            else
                must_be(shoal_get(mix->map, key, strlen(key), NULL, 0, NULL), SHOAL_MISSING);
        }
    must(shoal_reap(mix->map, NULL));
    require(scene_count(mix->map) == present, "count %llu, the model %llu", (unsigned long long)scene_count(mix->map),
            (unsigned long long)present);
    (void)scene_check(mix->map, true);
    shoal_close(mix->map);
}

static void mixed_calls(void)
{
    uint64_t seed = scene_seed();
    for (uint32_t i = 0; i < scene_rounds(20); i++)
        mix_round(seed + (uint64_t)i * 100);
}

/* -- One key for all --------------------------------------------------------------------------- */

#define CREW_INCR 64u
#define INCR_EACH 1000u

struct contest {
    struct shoal *map;
    struct gate gate;
    uint32_t each;
    _Atomic uint8_t seen[CREW_INCR * INCR_EACH + 1]; /* sums that incr has answered */
};

static int add_one(struct shoal_change *change, void *arg)
{
    uint64_t *sum = arg;
    *sum = 0;
    if (change->old != NULL)
        memcpy(sum, change->old, sizeof *sum);
    (*sum)++;
    change->value = sum;
    change->value_bytes = sizeof *sum;
    return SHOAL_STORE;
}

static void update_often(uint32_t who, void *arg)
{
    struct contest *contest = arg;
    uint64_t sum;
    (void)who;
    gate_pass(&contest->gate);
    for (uint32_t i = 0; i < contest->each; i++)
        must(shoal_update(contest->map, "contested", 9, add_one, &sum));
}

/* The same by versions: get, put if nobody was faster. */
static void compare_often(uint32_t who, void *arg)
{
    struct contest *contest = arg;
    (void)who;
    gate_pass(&contest->gate);
    for (uint32_t i = 0; i < contest->each;) {
        uint64_t sum = 0, version = 0;
        struct shoal_how how = SHOAL_HOW_INIT;
        int code = shoal_getv(contest->map, "contested", 9, &sum, sizeof sum, NULL, &version);
        require(code == 0 || (code == SHOAL_MISSING && version == 0), "getv: %d", code);
        sum++;
        how.flags = SHOAL_IF_VERSION;
        how.if_version = version;
        code = shoal_put_with(contest->map, "contested", 9, &sum, sizeof sum, &how, NULL);
        require(code == 0 || code == SHOAL_CHANGED, "put_with: %d %s", code, shoal_error_text());
        i += code == 0;
    }
}

/* Every sum is answered to exactly one caller. */
static void incr_often(uint32_t who, void *arg)
{
    struct contest *contest = arg;
    int64_t sum = 0;
    (void)who;
    gate_pass(&contest->gate);
    for (uint32_t i = 0; i < contest->each; i++) {
        must(shoal_incr(contest->map, "contested", 9, 1, &sum));
        require(sum >= 1 && sum <= (int64_t)CREW_INCR * INCR_EACH, "sum %lld", (long long)sum);
        require(atomic_fetch_add(&contest->seen[sum], 1) == 0, "A: two callers got the sum %lld", (long long)sum);
    }
}

static void contest(uint32_t crew_n, uint32_t each, crew_fn *fn)
{
    struct contest *c = board_make(sizeof *c);
    pid_t pids[CREW_INCR];
    uint64_t sum = 0;
    size_t bytes = 0;
    c->map = scene_map(8, 0);
    c->gate = gate_make();
    c->each = each;
    for (uint32_t i = 0; i < crew_n; i++)
        pids[i] = crew_start(i, fn, c);
    gate_open(&c->gate);
    for (uint32_t i = 0; i < crew_n; i++)
        crew_end(pids[i]);
    must(shoal_get(c->map, "contested", 9, &sum, sizeof sum, &bytes));
    require(bytes == sizeof sum && sum == (uint64_t)crew_n * each, "A: the sum is %llu, not %u x %u",
            (unsigned long long)sum, crew_n, each);
    must(shoal_reap(c->map, NULL));
    require(scene_count(c->map) == 1, "count %llu", (unsigned long long)scene_count(c->map));
    (void)scene_check(c->map, true);
    shoal_close(c->map);
}

static void contested_updates(void)
{
    for (uint32_t i = 0; i < scene_rounds(5); i++) {
        contest(4, 100, update_often);
        contest(4, 100, compare_often);
    }
}

static void contested_increments(void) { contest(CREW_INCR, INCR_EACH, incr_often); }

SCENE_MAIN(SCENE(distinct_keys), SCENE(threads_distinct_keys), SCENE(mixed_calls), SCENE(contested_updates),
           SCENE(contested_increments))
