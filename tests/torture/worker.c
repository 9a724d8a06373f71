/* SPDX-License-Identifier: MIT
 *
 * The life of a worker.
 *
 * What it may hold against the map while others work, beside the final judgement of board.c:
 *   own keys     hold what was acknowledged last, or what a killed predecessor may have made of them
 *   counters     only grow
 *   shared keys  of each writer's values a reader sees ever later ones; the writer never sees one of its
 *                own that it has replaced
 *   its steps    where they are counted: a call may make so many accesses to shared memory that it walks
 *                everything a few times over (B), and again so many for each call that another worker ended,
 *                and each worker that died, meanwhile.  Whoever works alone among stopped and dead has the
 *                first share only.
 */
#include "torture/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/act.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "torture/steps.h"

struct life {
    struct board *board;
    struct board_slot *slot;
    struct shoal *map;
    uint32_t slot_i;
    uint64_t random;
};

static uint8_t buf[VALUE_MAX];

static uint32_t below(struct life *l, uint32_t n) { return random_below(&l->random, n); }

/* -- Writing things down ------------------------------------------------------------------------------ */

/* The process may die anywhere: intent_key and intent_tag before intent, the acknowledgement before its
 * clearing. */
static void intend(struct life *l, enum intent intent, uint32_t key, uint64_t tag)
{
    l->slot->intent_key = key;
    l->slot->intent_tag = tag;
    __asm__ volatile("" ::: "memory");
    *(volatile uint32_t *)&l->slot->intent = intent;
    __asm__ volatile("" ::: "memory");
}

static void intended(struct life *l)
{
    __asm__ volatile("" ::: "memory");
    *(volatile uint32_t *)&l->slot->intent = INTENT_NONE;
}

static void own_done(struct life *l, uint32_t key, uint64_t tag)
{
    __asm__ volatile("" ::: "memory");
    l->slot->own[key] = tag;
    __asm__ volatile("" ::: "memory");
    board_certain(l->slot, key);
    intended(l);
}

static uint64_t next_tag(struct life *l, uint32_t key, uint32_t sizes)
{
    return tag_make(l->slot_i, key, below(l, sizes), ++l->slot->sequence);
}

/* -- Own keys ---------------------------------------------------------------------------------------------- */

/* What the key was seen to be. */
static void own_seen(struct life *l, uint32_t key, uint64_t tag, const char *how)
{
    char known[BOARD_SAY_BYTES];
    if (board_seen(l->board, l->slot, key, tag))
        return;
    board_say(l->slot, key, known);
    require(false, "C: %s saw own%u.%03u as %llx; %s", how, l->slot_i, key, (unsigned long long)tag, known);
}

static uint64_t tag_of(const void *value, size_t bytes, const char *how)
{
    uint64_t tag = 0;
    require(value_read(value, bytes, &tag) && bytes == tag_bytes(tag), "C: %s gave a torn value: tag %llx, %zu bytes", how,
            (unsigned long long)tag, bytes);
    return tag;
}

static void own_get(struct life *l, uint32_t key)
{
    char name[24];
    size_t bytes = 0;
    const int code = shoal_get(l->map, name, (size_t)board_own_key(l->slot_i, key, name), buf, sizeof buf, &bytes);
    require(code == 0 || code == SHOAL_MISSING, "get: %d %s", code, shoal_error_text());
    own_seen(l, key, code == 0 ? tag_of(buf, bytes, "get") : 0, "get");
}

static void own_put(struct life *l, uint32_t key)
{
    char name[24];
    const size_t key_bytes = (size_t)board_own_key(l->slot_i, key, name);
    const uint64_t tag = next_tag(l, key, below(l, 40) == 0 ? TAG_SIZES : TAG_SIZES - 1);
    value_make(buf, tag, tag_bytes(tag));
    intend(l, INTENT_OWN, key, tag);
    const int code = shoal_put(l->map, name, key_bytes, buf, tag_bytes(tag));
    require(code == 0, "put of %u bytes: %d %s", tag_bytes(tag), code, shoal_error_text());
    own_done(l, key, tag);
}

/* add, replace: what they answer tells what was there. */
static void own_put_if(struct life *l, uint32_t key, bool add)
{
    char name[24];
    const size_t key_bytes = (size_t)board_own_key(l->slot_i, key, name);
    const uint64_t tag = next_tag(l, key, TAG_SIZES - 1);
    const bool there = l->slot->own[key] != 0, doubt = board_doubtful(l->slot, key);
    if (doubt)
        return;
    value_make(buf, tag, tag_bytes(tag));
    intend(l, INTENT_OWN, key, tag);
    const int code = (add ? shoal_add : shoal_replace)(l->map, name, key_bytes, buf, tag_bytes(tag));
    if (add ? there : !there) {
        require(code == (add ? SHOAL_EXISTS : SHOAL_MISSING), "A: %s: %d", add ? "add" : "replace", code);
        intended(l);
        return;
    }
    require(code == 0, "A: %s: %d %s", add ? "add" : "replace", code, code < 0 ? shoal_error_text() : "");
    own_done(l, key, tag);
}

static void own_remove(struct life *l, uint32_t key, bool take)
{
    char name[24];
    size_t bytes = 0;
    const size_t key_bytes = (size_t)board_own_key(l->slot_i, key, name);
    const bool doubt = board_doubtful(l->slot, key);
    if (doubt)
        return;
    intend(l, INTENT_OWN, key, 0);
    const int code = take ? shoal_take(l->map, name, key_bytes, buf, sizeof buf, &bytes)
                          : shoal_delete(l->map, name, key_bytes);
    require(code == (l->slot->own[key] ? 0 : SHOAL_MISSING), "A: %s of own%u.%03u (%llx): %d %s", take ? "take" : "delete",
            l->slot_i, key, (unsigned long long)l->slot->own[key], code, code < 0 ? shoal_error_text() : "");
    if (take && code == 0)
        require(tag_of(buf, bytes, "take") == l->slot->own[key], "A: take gave another value");
    own_done(l, key, 0);
}

struct own_update {
    struct life *life;
    uint32_t key;
    uint64_t tag;
};

static int own_update_fn(struct shoal_change *change, void *arg)
{
    struct own_update *u = arg;
    own_seen(u->life, u->key, change->old ? tag_of(change->old, change->old_bytes, "update") : 0, "update");
    change->value = buf;
    change->value_bytes = tag_bytes(u->tag);
    return SHOAL_STORE;
}

static void own_update(struct life *l, uint32_t key)
{
    char name[24];
    const size_t key_bytes = (size_t)board_own_key(l->slot_i, key, name);
    struct own_update u = { l, key, next_tag(l, key, TAG_SIZES - 1) };
    if (board_doubtful(l->slot, key))
        return;
    value_make(buf, u.tag, tag_bytes(u.tag));
    intend(l, INTENT_OWN, key, u.tag);
    const int code = shoal_update(l->map, name, key_bytes, own_update_fn, &u);
    require(code == 0, "update: %d %s", code, shoal_error_text());
    own_done(l, key, u.tag);
}

/* A view must stay what it was while its key is replaced. */
static void own_view(struct life *l, uint32_t key)
{
    char name[24];
    struct shoal_view view = { 0 };
    const size_t key_bytes = (size_t)board_own_key(l->slot_i, key, name);
    const int code = shoal_view(l->map, name, key_bytes, &view);
    require(code == 0 || code == SHOAL_MISSING, "view: %d %s", code, shoal_error_text());
    if (code != 0) {
        own_seen(l, key, 0, "view");
        return;
    }
    const uint64_t tag = tag_of(view.value, view.bytes, "view");
    own_seen(l, key, tag, "view");
    own_put(l, key);
    own_put(l, key);
    require(tag_of(view.value, view.bytes, "view, later") == tag, "A: a view changed while it was held");
    shoal_view_end(&view);
}

/* The walk by prefix: own keys do not change meanwhile. */
static void own_walk(struct life *l)
{
    char prefix[24];
    struct shoal_iter *iter = NULL;
    struct shoal_item item = { 0 };
    uint32_t met[BOARD_OWN] = { 0 };
    const int prefix_bytes = snprintf(prefix, sizeof prefix, "own%u.", l->slot_i);
    int code = shoal_iter_open(l->map, prefix, (size_t)prefix_bytes, &iter);
    require(code == 0, "iter_open: %d %s", code, shoal_error_text());
    while ((code = shoal_iter_next(iter, &item)) == 0) {
        const uint64_t tag = tag_of(item.value, item.value_bytes, "walk");
        require(tag_slot(tag) == l->slot_i && tag_key(tag) < BOARD_OWN, "a walk gave %llx", (unsigned long long)tag);
        met[tag_key(tag)]++;
        own_seen(l, tag_key(tag), tag, "walk");
    }
    require(code == SHOAL_END, "iter_next: %d %s", code, shoal_error_text());
    shoal_iter_close(iter);
    for (uint32_t k = 0; k < BOARD_OWN; k++)
        require(board_doubtful(l->slot, k) ? met[k] <= 1 : met[k] == (l->slot->own[k] != 0),
                "A: a walk met own%u.%03u %u times", l->slot_i, k, met[k]);
}

/* -- Shared keys ---------------------------------------------------------------------------------------------- */

static void count_up(struct life *l)
{
    char name[24];
    int64_t sum = 0;
    const uint32_t c = below(l, BOARD_COUNTERS);
    const size_t key_bytes = (size_t)board_counter_key(c, name);
    intend(l, INTENT_COUNTER, c, 0);
    const int code = shoal_incr(l->map, name, key_bytes, 1, &sum);
    require(code == 0, "incr: %d %s", code, shoal_error_text());
    require((uint64_t)sum > l->slot->counter_seen[c], "A: %s was %llu, after one more it is %lld", name,
            (unsigned long long)l->slot->counter_seen[c], (long long)sum);
    /* The acknowledgement and the intent's end are two stores: in between, the count would be taken for
     * done and for perhaps done.  That widens the range by one; it never makes it wrong. */
    l->slot->counter_seen[c] = (uint64_t)sum;
    l->slot->counted[c]++;
    intended(l);
}

static void contested_seen(struct life *l, uint32_t key, uint64_t tag)
{
    require(tag_key(tag) == key && tag_slot(tag) < l->board->slots_n, "shared%u holds %llx", key, (unsigned long long)tag);
    uint64_t *seen = &l->slot->contested_seen[key][tag_slot(tag)];
    require(tag_sequence(tag) >= *seen, "A: shared%u went back from %llu to %llu of writer %u", key,
            (unsigned long long)*seen, (unsigned long long)tag_sequence(tag), tag_slot(tag));
    require(tag_slot(tag) != l->slot_i || tag_sequence(tag) >= l->slot->contested_done[key],
            "A: shared%u shows a value that its writer has replaced", key);
    *seen = tag_sequence(tag);
}

static void contested(struct life *l)
{
    char name[24];
    size_t bytes = 0;
    const uint32_t key = below(l, BOARD_CONTESTED), what = below(l, 6);
    const size_t key_bytes = (size_t)board_contested_key(key, name);
    if (what < 3) {
        const uint64_t tag = next_tag(l, key, TAG_SIZES - 1);
        value_make(buf, tag, tag_bytes(tag));
        intend(l, INTENT_CONTESTED, key, tag);
        const int code = (what ? shoal_put : shoal_add)(l->map, name, key_bytes, buf, tag_bytes(tag));
        require(code == 0 || (what == 0 && code == SHOAL_EXISTS), "put: %d %s", code, shoal_error_text());
        if (code == 0)
            l->slot->contested_done[key] = tag_sequence(tag);
        intended(l);
    } else if (what == 3) {
        const int code = shoal_delete(l->map, name, key_bytes);
        require(code == 0 || code == SHOAL_MISSING, "delete: %d %s", code, shoal_error_text());
    } else {
        const int code = (what == 4 ? shoal_get : shoal_take)(l->map, name, key_bytes, buf, sizeof buf, &bytes);
        require(code == 0 || code == SHOAL_MISSING, "get: %d %s", code, shoal_error_text());
        if (code == 0)
            contested_seen(l, key, tag_of(buf, bytes, "get"));
    }
}

/* -- Now and then ------------------------------------------------------------------------------------------------ */

static void whole_map(struct life *l)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    uint64_t n = 0;
    char name[24];
    int code = 0;
    switch (below(l, 5)) {
    case 0:
        code = shoal_check(l->map, &report);
        require(code == 0, "check among writers: %d: %s", code, report.text);
        return;
    case 1:
        code = shoal_reap(l->map, NULL);
        break;
    case 2:
        code = shoal_stats(l->map, &stats);
        break;
    case 3:
        code = shoal_count(l->map, SHOAL_EXACT, &n, NULL);
        break;
    default:
        code = shoal_wait(l->map, name, (size_t)board_contested_key(0, name), 1, 0, NULL);
        break;
    }
    require(code >= 0, "reap, stats, count or wait: %d %s", code, shoal_error_text());
}

/* Detach and attach. */
static void come_again(struct life *l)
{
    shoal_close(l->map);
    const int code = shoal_open(l->board->name, 0, &l->map);
    require(code == 0, "open again: %d %s", code, shoal_error_text());
    l->slot->reopened++;
}

static void any_call(struct life *l)
{
    const uint32_t roll = below(l, 1000), key = below(l, BOARD_OWN);
    if (roll < 2)
        come_again(l);
    else if (roll < 220)
        own_put(l, key);
    else if (roll < 300)
        own_put_if(l, key, roll & 1);
    else if (roll < 400)
        own_remove(l, key, roll & 1);
    else if (roll < 450)
        own_update(l, key);
    else if (roll < 600)
        own_get(l, key);
    else if (roll < 800)
        count_up(l);
    else if (roll < 960)
        contested(l);
    else if (roll < 985)
        own_view(l, key);
    else if (roll < 993)
        own_walk(l);
    else
        whole_map(l);
}

/* What others have done so far that may have cost this worker a round. */
static uint64_t others_did(const struct life *l)
{
    uint64_t n = *(const volatile uint64_t *)&l->board->kills;
    for (uint32_t i = 0; i < BOARD_SLOTS; i++)
        if (i != l->slot_i)
            n += *(const volatile uint64_t *)&l->board->slot[i].calls;
    return n;
}

static void one_call(struct life *l)
{
    const uint64_t before = others_did(l);
    steps_begin();
    any_call(l);
    const struct steps steps = steps_now();
    const uint64_t meanwhile = others_did(l) - before;
    require(steps.accesses / (meanwhile + 1) <= l->board->accesses_limit,
            "B: a call made %llu accesses and %llu swaps, while others ended %llu calls or died",
            (unsigned long long)steps.accesses, (unsigned long long)steps.swaps, (unsigned long long)meanwhile);
    if (steps.accesses > l->slot->most_accesses)
        l->slot->most_accesses = steps.accesses;
    if (steps.swaps > l->slot->most_swaps)
        l->slot->most_swaps = steps.swaps;
    l->slot->alone_n += meanwhile == 0;
    if (meanwhile == 0 && steps.accesses > l->slot->alone_accesses)
        l->slot->alone_accesses = steps.accesses;
    l->slot->calls++;
}

/* A new worker sometimes wants to know at once: then the dead must be settled first. */
static void begin_with_certainty(struct life *l)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    const int code = shoal_reap(l->map, &reaped);
    require(code == 0, "reap: %d %s", code, shoal_error_text());
    for (uint32_t k = 0; k < BOARD_OWN; k++)
        own_get(l, k);
    for (uint32_t k = 0; k < BOARD_OWN && reaped.undecided == 0; k++)
        board_certain(l->slot, k);
}

_Noreturn void worker_live(struct board *board, uint32_t slot_i, struct shoal *map, uint64_t seed)
{
    struct life l = { board, &board->slot[slot_i], map, slot_i, random_mix(seed) };
    fail_into(board->text, sizeof board->text);
    prctl(PR_SET_DUMPABLE, 0);
    if (!l.map) {
        const int code = shoal_open(board->name, 0, &l.map);
        require(code == 0, "a worker's open: %d %s", code, shoal_error_text());
    }
    l.slot->lives++;
    if (below(&l, 4) == 0)
        begin_with_certainty(&l);
    for (;;)
        one_call(&l);
}
