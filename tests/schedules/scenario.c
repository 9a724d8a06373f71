/* SPDX-License-Identifier: MIT */
#include "schedules/scenario.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "memory/evacuate.h"
#include "memory/retire.h"
#include "memory/settle.h"
#include "schedules/verify.h"
#include "table/read.h"

#define KEY_BYTES 8u
#define VALUE_MOST 4000u
/* Of a value 0 or 4: another class than the others', over several old block headers, which look FREE or SEALED
 * to who does not know that. */
#define FAKED_BYTES 1000u
#define CAPACITY 14u
#define KEYS_ALL (KEYS_N + WORLD_MEMBERS + FILL_MOST)

/* What a walk returned. */
struct walked {
    bool done;
    uint64_t began, ended;
    uint32_t n[KEYS_ALL];
    uint64_t value[KEYS_N]; /* the last one */
};

/* A scenario that is under way. */
static struct stage {
    const struct scenario *scenario;
    char key[KEYS_ALL][KEY_BYTES];
    struct key_state began[KEYS_N];
    uint64_t version_of_a;
    struct seen {
        uint64_t version, value;
    } seen[WORLD_MEMBERS]; /* by the last GETV */
    uint32_t span_of_a;
    struct block_place left; /* by a dead one, with this H */
    uint64_t left_h;
    struct walked walked[WORLD_PROCS];
    struct event events[WORLD_PROCS][OPS_EACH];
    uint32_t events_n[WORLD_PROCS]; /* begun */
} stage;

/* -- Keys ---------------------------------------------------------------------------------------------- */

static bool is_used(uint32_t n, const char *key)
{
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(stage.key[i], key, KEY_BYTES) == 0)
            return true;
    return false;
}

/* B shares home and fingerprint with A, C and the filling ones its home, D neither. */
static void keys_find(const struct segment *s)
{
    struct probe a = { 0 };
    for (uint32_t i = 0, at = 0; i < KEYS_ALL; at++) {
        char key[KEY_BYTES + 1];
        (void)snprintf(key, sizeof key, "k%07u", at);
        struct probe p = probe_make(s, key, KEY_BYTES);
        bool fill = i >= KEYS_N + WORLD_MEMBERS;
        bool fits = (i == KEY_A && p.home == 0) || (i == KEY_B && p.home == a.home && p.finger == a.finger) ||
                    ((i == KEY_C || fill) && p.home == a.home && p.finger != a.finger) ||
                    (i > KEY_C && !fill && p.home != a.home);
        if (!fits || is_used(i, key))
            continue;
        memcpy(stage.key[i], key, KEY_BYTES);
        if (i == KEY_A) {
            a = p;
            at = 0;
        }
        i++;
    }
}

/* -- Operations ------------------------------------------------------------------------------------------- */

/* Each word of a value is the same, so that a torn one shows. */
static const void *value_of(uint32_t member, uint64_t value, uint32_t bytes)
{
    static uint64_t words[WORLD_MEMBERS][VALUE_MOST / 8];
    for (uint32_t i = 0; i < bytes / 8; i++)
        words[member][i] = value;
    return words[member];
}

static void got_value(struct event *e, const uint64_t *words, size_t bytes)
{
    e->got = words[0];
    for (size_t i = 1; i < bytes / 8; i++)
        if (words[i] != words[0])
            explore_fail("C: a torn value: word 0 is %016llx, word %u is %016llx", (unsigned long long)words[0],
                         (unsigned)i, (unsigned long long)words[i]);
}

static int get_many(struct shoal *map, const char *key, uint64_t *words, size_t *ret_bytes)
{
    const struct shoal_key one = { key, KEY_BYTES };
    struct shoal_result result = { .buf = words, .buf_bytes = VALUE_MOST };
    (void)shoal_get_many(map, &one, 1, &result);
    *ret_bytes = result.bytes;
    return result.code;
}

static int key_op(uint32_t member, struct event *e)
{
    struct shoal *map = &world.member[member].handle;
    const char *key = stage.key[e->op.key];
    bool faked = e->op.value == BLOCK_FREE || e->op.value == BLOCK_SEALED;
    uint32_t of_faked = stage.scenario->faked_bytes != 0 ? stage.scenario->faked_bytes : FAKED_BYTES;
    uint32_t bytes = faked ? of_faked : stage.scenario->value_bytes;
    uint64_t words[VALUE_MOST / 8];
    size_t got = 0;
    int64_t sum = 0;
    int code;
    switch (e->op.kind) {
    case OP_PUT:
        return shoal_put(map, key, KEY_BYTES, value_of(member, e->op.value, bytes), bytes);
    case OP_ADD:
        return shoal_add(map, key, KEY_BYTES, value_of(member, e->op.value, bytes), bytes);
    case OP_DELETE:
        return shoal_delete(map, key, KEY_BYTES);
    case OP_DELETE_IF:
        if (e->op.value != 0)
            return shoal_delete_if(map, key, KEY_BYTES, stage.version_of_a);
        e->op.value = stage.seen[member].value;
        return shoal_delete_if(map, key, KEY_BYTES, stage.seen[member].version);
    case OP_GETV:
        stage.seen[member] = (struct seen){ 0, 0 };
        code = shoal_getv(map, key, KEY_BYTES, words, sizeof words, &got, &stage.seen[member].version);
        if (code == 0)
            got_value(e, words, got);
        stage.seen[member].value = e->got;
        return code;
    case OP_GET_MANY:
        code = get_many(map, key, words, &got);
        if (code == 0)
            got_value(e, words, got);
        return code;
    case OP_WAIT:
        return shoal_wait(map, key, KEY_BYTES, stage.version_of_a, -1, NULL);
    case OP_INCR:
        code = shoal_incr(map, key, KEY_BYTES, (int64_t)e->op.value, &sum);
        e->got = (uint64_t)sum;
        return code;
    default:
        code = e->op.kind == OP_TAKE ? shoal_take(map, key, KEY_BYTES, words, sizeof words, &got)
                                     : shoal_get(map, key, KEY_BYTES, words, sizeof words, &got);
        if (code == 0)
            got_value(e, words, got);
        return code;
    }
}

static int fill(uint32_t member, uint64_t n)
{
    const uint32_t bytes = stage.scenario->value_bytes;
    for (uint32_t i = 0; i < n && i < FILL_MOST; i++) {
        int code = shoal_put(&world.member[member].handle, stage.key[KEYS_N + WORLD_MEMBERS + i], KEY_BYTES,
                             value_of(member, 1, bytes), bytes);
        if (code == SHOAL_EFULL && n > FILL_MOST)
            return 0;
        if (code != 0)
            return code;
    }
    return 0;
}

static int check(struct shoal *map)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    return shoal_check(map, &report);
}

static int stats(struct shoal *map)
{
    struct shoal_stats now = SHOAL_STATS_INIT;
    int code = shoal_stats(map, &now);
    uint32_t killed = 0;
    for (uint32_t i = 0; i < WORLD_PROCS; i++)
        killed += explore_was_killed(i);
    if (code == 0 && now.dead > killed)
        explore_fail("C: %u are counted as dead, and %u are", now.dead, killed);
    return code;
}

static uint64_t block_of(uint32_t key)
{
    struct segment *s = &world.member[WORLD_CHECKER].segment;
    struct probe p = probe_make(s, stage.key[key], KEY_BYTES);
    struct read_sink sink = { .buf = NULL };
    int code = read_key(s, NULL, &p, &sink);
    return code == 0 || code == SHOAL_SHORT ? sink.block : 0;
}

static int wrap(struct attachment *a)
{
    uint64_t generation = h_generation(load_relaxed_u64(segment_block(a->segment, block_of(KEY_A))));
    a->generation_next = generation + TAG_MASK + 1; /* a lease that nobody else has been given yet */
    a->generation_end = a->generation_next + 1;
    return 0;
}

/* Back to behind the CAS that placed A's record; then the kernel's part of a death, and somebody else attaches. */
static int die(uint32_t member)
{
    struct segment *s = &world.member[member].segment;
    struct entry *e = world.member[member].a->entry;
    const uint32_t index = world.member[member].a->index;
    const uint64_t block = block_of(KEY_A), count = load_relaxed_u64(&e->counter); /* relaxed: nobody else runs */
    if (!segment_locate(s, block, &stage.left))
        return SHOAL_MISSING;
    shared_u64 *words = segment_block(s, block), *slot = segment_slot(s, place_slot(payload_load(&words[1])));
    stage.left_h = h_pack(h_generation(load_relaxed_u64(words)), index, BLOCK_OWNED);
    store_relaxed_u64(slot, slot_with(load_relaxed_u64(slot), SLOT_TENT));
    store_relaxed_u64(words, stage.left_h);
    store_relaxed_u64(&e->counter, counter_pack(counter_count(count) - 1, count, 0));
    store_relaxed_u64(&e->owned[0], block);
    store_relaxed_u64(&e->hazard[HAZARD_OWN], block);
    world_release_locks(member);
    int code = world_attach(member); /* not with that index, which it seems to hold itself */
    s->held[index] = 0;
    return code;
}

static int look(struct attachment *a)
{
    a->ops = UINT32_MAX;
    a->peer_at = h_owner(stage.left_h) - 1;
    a->sweep_at = stage.left.span_i;
    return 0;
}

static void walk_item(struct walked *w, const struct shoal_item *item)
{
    struct event e = { .got = 0 };
    for (uint32_t i = 0; i < KEYS_ALL; i++)
        if (item->key_bytes == KEY_BYTES && memcmp(item->key, stage.key[i], KEY_BYTES) == 0) {
            got_value(&e, item->value, item->value_bytes);
            w->n[i]++;
            if (i < KEYS_N)
                w->value[i] = e.got;
            return;
        }
    explore_fail("A: the walk returned a key of %u bytes that nobody put", (unsigned)item->key_bytes);
}

static int walk(uint32_t member)
{
    struct walked *w = &stage.walked[member];
    struct shoal_iter *it = NULL;
    struct shoal_item item;
    int code = shoal_iter_open(&world.member[member].handle, NULL, 0, &it);
    *w = (struct walked){ .done = false };
    while (code == 0 && (code = shoal_iter_next(it, &item)) == 0)
        walk_item(w, &item);
    shoal_iter_close(it);
    return code == SHOAL_END ? 0 : code;
}

static int reap(struct shoal *map, struct event *e)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    int code = shoal_reap(map, &reaped);
    e->got = reaped.undecided;
    return code;
}

static int op_run(uint32_t member, struct event *e)
{
    struct member *m = &world.member[member];
    struct settle_count ignored = { 0 };
    switch (e->op.kind) {
    case OP_REAP:
        return reap(&m->handle, e);
    case OP_SWEEP:
        settle_sweep(m->a, &ignored);
        return 0;
    case OP_SETTLE:
        (void)heap_is_published(&m->segment, &stage.left); /* it begins here, having met the block */
        (void)settle_block(m->a, &stage.left, stage.left_h, &ignored);
        return 0;
    case OP_CHECK:
        return check(&m->handle);
    case OP_STATS:
        return stats(&m->handle);
    case OP_ATTACH:
        return world_attach(member);
    case OP_DETACH:
        attach_release(m->a);
        m->a = NULL;
        return 0;
    case OP_EVACUATE:
        (void)evacuate_span(m->a, stage.span_of_a, true);
        return 0;
    case OP_WRAP:
        return wrap(m->a);
    case OP_DIE:
        return die(member);
    case OP_LOOK:
        return look(m->a);
    case OP_RECLAIM:
        retire_reclaim(m->a);
        return 0;
    case OP_KEEP: /* as in a large heap */
        m->a->retired_most = UINT64_MAX;
        return 0;
    case OP_READY:
        retire_look(m->a);
        return 0;
    case OP_WALK:
        return walk(member);
    case OP_FLUSH:
        heap_flush_caches(m->a);
        return 0;
    case OP_FILL:
        return fill(member, e->op.value);
    case OP_UNFILL:
        return shoal_delete(&m->handle, stage.key[KEYS_N + WORLD_MEMBERS + e->op.value], KEY_BYTES);
    default:
        return key_op(member, e);
    }
}

static void walk_ended(uint32_t proc, const struct event *e)
{
    stage.walked[proc].began = e->began;
    stage.walked[proc].ended = e->ended;
    stage.walked[proc].done = true;
}

/* H, the overhead: freed records that `other` keeps from a put of `proc` that finds the heap full.  Who has moved since
 * the put began may have pinned one when it was looked at; who stands still or died meanwhile has what it pins
 * now, and the span that it empties; who was dead before has nothing. */
static uint32_t withheld_by(uint32_t other, uint32_t proc)
{
    const struct segment *s = &world.member[other].segment;
    const struct attachment *a = world.member[other].a;
    const uint64_t since = explore_op_began(proc);
    if (a == NULL || (explore_was_killed(other) && explore_died_at(other) < since))
        return 0;
    if (load_relaxed_u64(&a->entry->draining) != 0) /* relaxed, here and below: nobody else runs */
        return FILL_MOST;
    uint32_t pinned = explore_moved_at(other) > since;
    for (uint32_t i = 0; i < HAZARDS_N; i++) {
        struct block_place place;
        uint64_t block = load_relaxed_u64(&a->entry->hazard[i]);
        pinned += (block & HAZARD_GUARD_BIT) == 0 && segment_locate(s, block, &place) &&
                  !segment_is_referenced(s, block, load_relaxed_u64(segment_block(s, block)));
    }
    return pinned;
}

static uint32_t withheld_from(uint32_t proc)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < WORLD_PROCS; i++)
        n += i != proc ? withheld_by(i, proc) : 0;
    return n;
}

void scenario_body(uint32_t proc)
{
    for (uint32_t i = 0; i < OPS_EACH; i++) {
        struct event *e = &stage.events[proc][i];
        *e = (struct event){ .op = stage.scenario->ops[proc][i] };
        if (e->op.kind == OP_NONE)
            return;
        stage.events_n[proc]++;
        explore_op_begin();
        e->code = op_run(proc, e);
        e->withheld = e->code == SHOAL_EFULL ? withheld_from(proc) : 0;
        e->ended = explore_op_end(&e->began);
        if (e->op.kind == OP_WALK)
            walk_ended(proc, e);
        if (e->code < 0 && !(e->code == SHOAL_EFULL && stage.scenario->may_be_full))
            explore_fail("operation %u of process %u answered %d: %s", i, proc, e->code, shoal_error_text());
    }
}

/* -- Making a scenario's world --------------------------------------------------------------------------------- */

_Noreturn static void stage_fail(const char *what, int code)
{
    (void)fprintf(stderr, "%s: %s: %d %s\n", stage.scenario->name, what, code, shoal_error_text());
    abort();
}

/* The member has its own free blocks and its lease of generations. */
static void warm(uint32_t member)
{
    struct event put = { .op = { OP_PUT, KEY_WARM + member, 1 } }, delete = { .op = { OP_DELETE, KEY_WARM + member, 0 } };
    int code = op_run(member, &put);
    if (code == 0)
        code = op_run(member, &delete);
    if (code != 0)
        stage_fail("warming", code);
    retire_reclaim(world.member[member].a);
}

static struct key_state key_now(uint32_t key)
{
    struct event get = { .op = { OP_GET, key, 1 } };
    int code = op_run(WORLD_CHECKER, &get);
    if (code < 0)
        explore_fail("get of key %u by who looks at the end: %d %s", key, code, shoal_error_text());
    return (struct key_state){ code == 0, code == 0 ? get.got : 0 };
}

static uint32_t span_of(uint32_t key)
{
    const struct segment *s = &world.member[WORLD_CHECKER].segment;
    uint64_t block = block_of(key);
    return block != 0 ? (uint32_t)((block - s->geo.heap_at) >> s->span_shift) : 0;
}

void scenario_make(const struct scenario *scenario)
{
    stage.scenario = scenario;
    explore_forget();
    world_make(CAPACITY, scenario->general ? SHOAL_MTIME : 0);
    keys_find(&world.member[0].segment);
    for (uint32_t i = 0; i < WORLD_MEMBERS; i++)
        if ((scenario->apart >> i & 1) == 0) {
            int code = world_attach(i);
            if (code != 0)
                stage_fail("attaching", code);
            if (i != WORLD_CHECKER)
                warm(i);
        }
    for (uint32_t i = 0; i < SETUP_MOST && scenario->setup[i].op.kind != OP_NONE; i++) {
        struct event e = { .op = scenario->setup[i].op };
        int code = op_run(scenario->setup[i].member, &e);
        if (code != 0)
            stage_fail("setup", code);
    }
    for (uint32_t i = 0; i < KEYS_N; i++)
        stage.began[i] = key_now(i);
    stage.version_of_a = 0;
    (void)shoal_getv(&world.member[WORLD_CHECKER].handle, stage.key[KEY_A], KEY_BYTES, NULL, 0, NULL, &stage.version_of_a);
    stage.span_of_a = span_of(KEY_A);
    world_keep();
}

uint32_t scenario_starts(const struct scenario *scenario)
{
    uint32_t starts = 0;
    for (uint32_t i = 0; i < WORLD_PROCS; i++)
        starts |= (uint32_t)(scenario->ops[i][0].kind != OP_NONE) << i;
    return starts;
}

void scenario_reset(void)
{
    world_restore();
    memset(stage.events_n, 0, sizeof stage.events_n);
    for (uint32_t i = 0; i < WORLD_PROCS; i++)
        stage.walked[i].done = false;
}

/* -- Judging ------------------------------------------------------------------------------------------------------ */

/* A key that was present during the whole walk is returned exactly once: so where it was not returned, it was
 * absent at some time, and where it was, it had that value at some time. */
static uint32_t judge_walks(uint32_t key, struct event *events)
{
    uint32_t n = 0;
    for (uint32_t p = 0; p < WORLD_PROCS; p++) {
        const struct walked *w = &stage.walked[p];
        if (!w->done)
            continue;
        bool found = w->n[key] > 0;
        events[n++] = (struct event){ .op = { OP_GET, key, 1 }, .began = w->began, .ended = w->ended,
                                      .code = found ? 0 : SHOAL_MISSING, .got = found ? w->value[key] : 0 };
        if (w->n[key] > 1 && !stage.scenario->keys_go)
            explore_fail("A: the walk returned key %c %u times", (int)('A' + key), w->n[key]);
    }
    return n;
}

/* The filling keys stay. */
static void judge_walks_filling(void)
{
    const struct scenario *scenario = stage.scenario;
    uint32_t filled = 0;
    for (uint32_t i = 0; i < SETUP_MOST; i++)
        if (scenario->setup[i].op.kind == OP_FILL)
            filled = (uint32_t)scenario->setup[i].op.value;
    for (uint32_t p = 0; p < WORLD_PROCS; p++)
        for (uint32_t i = 0; stage.walked[p].done && i < filled; i++)
            if (stage.walked[p].n[KEYS_N + WORLD_MEMBERS + i] != 1)
                explore_fail("A: the walk returned filling key %u %u times", i,
                             stage.walked[p].n[KEYS_N + WORLD_MEMBERS + i]);
}

/* H: a put that found the heap full began when every record deleted before had been somebody else's to use, or was
 * withheld by somebody under way. */
static void judge_full(const struct event *full)
{
    uint32_t freed = 0, used = full->withheld;
    for (uint32_t p = 0; p < WORLD_PROCS; p++)
        for (uint32_t i = 0; i < stage.events_n[p]; i++) {
            const struct event *e = &stage.events[p][i];
            freed += e->op.kind == OP_UNFILL && e->ended != 0 && e->ended < full->began;
            used += e->op.kind == OP_PUT && e->code != SHOAL_EFULL;
        }
    if (freed > used)
        explore_fail("H: full, and %u records were deleted before", freed);
}

/* C: when all that a dead process had begun was decided, because somebody reaped it and said so; 0 = not yet. */
static uint64_t decided_at(uint32_t dead)
{
    const uint64_t died = explore_died_at(dead);
    uint64_t first = 0;
    for (uint32_t p = 0; died != 0 && p < WORLD_PROCS; p++)
        for (uint32_t i = 0; i < stage.events_n[p]; i++) {
            const struct event *e = &stage.events[p][i];
            bool decides = e->op.kind == OP_REAP && e->ended != 0 && e->got == 0 && e->began > died;
            if (decides && (first == 0 || e->ended < first))
                first = e->ended;
        }
    return first;
}

static void judge_key(uint32_t key)
{
    struct event events[HISTORY_MOST];
    uint32_t n = judge_walks(key, events);
    for (uint32_t p = 0; p < WORLD_PROCS; p++)
        for (uint32_t i = 0; i < stage.events_n[p]; i++) {
            struct event e = stage.events[p][i];
            if (e.op.kind < OP_PUT || e.op.kind > OP_INCR || e.op.key != key)
                continue;
            if (e.ended == 0) {
                e.began = explore_op_began(p);
                e.decided = decided_at(p);
            } else if (e.code == SHOAL_EFULL)
                judge_full(&stage.events[p][i]);
            events[n++] = e;
        }
    struct key_state now = key_now(key);
    if (!history_explains(events, n, stage.began[key], now))
        explore_fail("A: no order explains what happened to key %c; at the end it is %s (%llu)", (int)('A' + key),
                     now.present ? "there" : "absent", (unsigned long long)now.value);
}

void scenario_judge(void)
{
    struct member *checker = &world.member[WORLD_CHECKER];
    uint32_t alive = 1u << checker->a->index;
    for (uint32_t i = 0; i < WORLD_PROCS; i++)
        if (!explore_was_killed(i) && world.member[i].a != NULL)
            alive |= 1u << world.member[i].a->index;
    int code = shoal_reap(&checker->handle, NULL);
    if (code != 0)
        explore_fail("the reap at the end answered %d: %s", code, shoal_error_text());
    heap_flush_caches(checker->a); /* what it freed itself */
    verify_segment(&checker->segment, alive);
    judge_walks_filling();
    for (uint32_t key = 0; key < KEYS_N; key++)
        judge_key(key);
}
