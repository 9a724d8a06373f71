/* SPDX-License-Identifier: MIT
 *
 * The search: a list of invocations and returns, a stack of what was taken, a memo of what was tried.
 */
#include "lincheck/search.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fail.h"
#include "lib/random.h"
#include "lincheck/model.h"

#define NOBODY UINT32_MAX
#define HEAD 0u /* of the list; node 2i + 1 = invocation of operation i, 2i + 2 = its return */

struct word128 {
    uint64_t a, b;
};

struct item {
    const struct op *op;
    struct stands_for stands;
    uint64_t needs;
    uint32_t needs_i; /* in wanted */
    uint32_t before;  /* of the same batch: that comes earlier in the array; NOBODY = none does */
    bool changes, out; /* out: of the list */
};

/* What was tried when it was taken: the first choice, those of the list before it and it, all, nothing else. */
enum frame_kind { FRAME_FIRST, FRAME_CHANGE, FRAME_LAST, FRAME_GREEDY };
struct frame {
    struct state before;
    uint32_t item_i;
    uint8_t kind;
};

struct wanted { /* a value, how many operations in the list must have met it, and who leaves it */
    uint64_t value;
    uint32_t n, writer; /* NOBODY = not said by any answer */
};

struct search {
    bool moves;
    uint32_t n, depth, best, stuck;
    struct item *item;
    uint32_t *next, *prev;
    struct frame *stack;
    struct wanted *wanted;
    uint32_t wanted_room;
    struct word128 *memo, taken; /* taken: hash of the set */
    uint64_t memo_room, memo_n, steps;
    struct state state;
};

/* -- Wanted values -------------------------------------------------------------------------------------- */

static uint32_t wanted_find(const struct search *s, uint64_t value)
{
    uint32_t i = (uint32_t)random_mix(value);
    for (;; i++) {
        const struct wanted *w = &s->wanted[i & (s->wanted_room - 1)];
        if (w->value == value || w->value == 0)
            return i & (s->wanted_room - 1);
    }
}

/* The state may not be left while somebody in the list, other than this item, must have met it. */
static bool is_wanted(const struct search *s, uint64_t value, const struct item *item)
{
    return value != 0 && s->wanted[wanted_find(s, value)].n > (item->needs == value);
}

/* -- The memo --------------------------------------------------------------------------------------------- */

static struct word128 hash128(uint64_t x, uint64_t salt)
{
    return (struct word128){ random_mix(x * 0x9e3779b97f4a7c15u + salt),
                             random_mix(random_mix(x + 0x632be59bd9b4e019u) ^ salt) };
}

static void memo_put(struct word128 *memo, uint64_t room, struct word128 key)
{
    uint64_t i = key.a;
    while (memo[i & (room - 1)].a != 0)
        i++;
    memo[i & (room - 1)] = key;
}

static void memo_grow(struct search *s)
{
    const uint64_t room = s->memo_room * 2;
    struct word128 *memo = calloc(room, sizeof *memo);
    require(memo != NULL, "memory for a memo of %llu", (unsigned long long)room);
    for (uint64_t i = 0; i < s->memo_room; i++)
        if (s->memo[i].a != 0)
            memo_put(memo, room, s->memo[i]);
    free(s->memo);
    s->memo = memo;
    s->memo_room = room;
}

/* False: this set was in this state before. */
static bool memo_is_new(struct search *s, struct word128 set, const struct state *state)
{
    const struct word128 h = hash128(state->value, (uint64_t)state->type << 32 | state->bytes);
    const struct word128 key = { (set.a ^ h.a) | 1, set.b ^ h.b };
    for (uint64_t i = key.a; s->memo[i & (s->memo_room - 1)].a != 0; i++) {
        const struct word128 *at = &s->memo[i & (s->memo_room - 1)];
        if (at->a == key.a && at->b == key.b)
            return false;
    }
    memo_put(s->memo, s->memo_room, key);
    if (++s->memo_n * 2 > s->memo_room)
        memo_grow(s);
    return true;
}

/* -- The list -------------------------------------------------------------------------------------------- */

static void node_out(struct search *s, uint32_t node)
{
    s->next[s->prev[node]] = s->next[node];
    s->prev[s->next[node]] = s->prev[node];
}

static void node_in(struct search *s, uint32_t node)
{
    s->next[s->prev[node]] = node;
    s->prev[s->next[node]] = node;
}

static struct word128 set_with(const struct search *s, uint32_t i)
{
    const struct word128 h = hash128(i, 0x5ee5u);
    return (struct word128){ s->taken.a ^ h.a, s->taken.b ^ h.b };
}

static void take(struct search *s, uint32_t i, enum frame_kind kind, const struct state *after)
{
    s->stack[s->depth++] = (struct frame){ s->state, i, (uint8_t)kind };
    node_out(s, 2 * i + 1);
    node_out(s, 2 * i + 2);
    s->item[i].out = true;
    s->taken = set_with(s, i);
    if (s->item[i].needs != 0)
        s->wanted[s->item[i].needs_i].n--;
    s->state = *after;
}

static struct frame put_back(struct search *s)
{
    const struct frame frame = s->stack[--s->depth];
    const uint32_t i = frame.item_i;
    node_in(s, 2 * i + 2);
    node_in(s, 2 * i + 1);
    s->item[i].out = false;
    s->taken = set_with(s, i);
    if (s->item[i].needs != 0)
        s->wanted[s->item[i].needs_i].n++;
    s->state = frame.before;
    return frame;
}

/* -- The search ------------------------------------------------------------------------------------------ */

/* The keys of a batch are worked on in the order of the array. */
static bool is_due(const struct search *s, uint32_t i)
{
    const uint32_t before = s->item[i].before;
    return before == NOBODY || s->item[before].out;
}

static bool try_item(struct search *s, uint32_t i, enum frame_kind kind)
{
    struct state after;
    const struct item *item = &s->item[i];
    s->steps++;
    if (!is_due(s, i) || !model_step(item->op, &item->stands, s->moves, &s->state, &after))
        return false;
    if (!item->changes) {
        take(s, i, FRAME_GREEDY, &after);
        return true;
    }
    if (is_wanted(s, s->state.value, item) || !memo_is_new(s, set_with(s, i), &after))
        return false;
    take(s, i, kind, &after);
    return true;
}

/* It took no effect: not where somebody must have met what it leaves. */
static bool try_drop(struct search *s, uint32_t i, enum frame_kind kind)
{
    const struct state same = s->state;
    s->steps++;
    if (is_wanted(s, op_leaves(s->item[i].op), &s->item[i]) || !memo_is_new(s, set_with(s, i), &same))
        return false;
    take(s, i, kind, &same);
    return true;
}

/* What changes nothing comes first: it is never taken back for something else. */
static void take_readers(struct search *s)
{
    for (uint32_t node = s->next[HEAD]; node != HEAD && (node & 1); node = s->next[node])
        if (!s->item[node / 2].changes)
            (void)try_item(s, node / 2, FRAME_GREEDY);
}

/* The operation that no other may be taken after, unless it is. */
static uint32_t first_to_return(const struct search *s)
{
    uint32_t node = s->next[HEAD];
    while (node & 1)
        node = s->next[node];
    return node == HEAD ? NOBODY : (node - 1) / 2;
}

static bool fits(const struct search *s, uint32_t i, struct state *ret)
{
    return model_step(s->item[i].op, &s->item[i].stands, s->moves, &s->state, ret);
}

/* The operation that returns first, if it fits; else who leaves the value that it must have met, if that one fits; and
 * so on.  NOBODY where that leads nowhere. */
static uint32_t first_choice(const struct search *s, uint32_t returns)
{
    struct state after;
    uint32_t i = returns;
    for (uint32_t hops = 0; hops < HISTORY_LIVES; hops++) {
        while (!is_due(s, i))
            i = s->item[i].before;
        const struct item *item = &s->item[i];
        if (fits(s, i, &after))
            return i;
        if (item->needs == 0 || item->needs == s->state.value)
            return NOBODY;
        i = s->wanted[item->needs_i].writer;
        if (i == NOBODY || s->item[i].out || s->item[i].op->invoked > s->item[returns].op->returned)
            return NOBODY;
    }
    return NOBODY;
}

/* One further operation, the one that most likely has to be next: late is better than early, because what was taken
 * without need is what is put back. */
static bool step_first(struct search *s)
{
    const uint32_t returns = first_to_return(s);
    if (returns == NOBODY)
        return false;
    if (s->item[returns].op->pending)
        return try_drop(s, returns, FRAME_FIRST);
    const uint32_t i = first_choice(s, returns);
    return i != NOBODY && s->item[i].changes && try_item(s, i, FRAME_FIRST);
}

/* One further operation, of the list from this node on; the memo knows what was tried already. */
static bool step_listed(struct search *s, uint32_t node)
{
    for (; node & 1; node = s->next[node])
        if (try_item(s, (node - 1) / 2, FRAME_CHANGE))
            return true;
    const uint32_t i = (node - 1) / 2;
    if (node != HEAD && s->item[i].op->pending && try_drop(s, i, FRAME_LAST))
        return true;
    if (node != HEAD && s->depth >= s->best) {
        s->best = s->depth;
        s->stuck = i;
    }
    return false;
}

/* Put back until there is another way to go on; the node to go on with, HEAD = there is none. */
static uint32_t back(struct search *s)
{
    while (s->depth > 0) {
        const struct frame frame = put_back(s);
        if (frame.kind == FRAME_FIRST)
            return s->next[HEAD];
        if (frame.kind == FRAME_CHANGE)
            return s->next[2 * frame.item_i + 1];
    }
    return HEAD;
}

static enum verdict search_run(struct search *s)
{
    take_readers(s);
    while (s->next[HEAD] != HEAD) {
        if (s->steps > SEARCH_STEPS)
            return VERDICT_UNDECIDED;
        bool taken = step_first(s) || step_listed(s, s->next[HEAD]);
        while (!taken) {
            const uint32_t node = back(s);
            if (node == HEAD)
                return VERDICT_REJECTED;
            taken = step_listed(s, node);
        }
        take_readers(s);
    }
    return VERDICT_ACCEPTED;
}

/* -- Preparing ------------------------------------------------------------------------------------------- */

struct event {
    uint64_t stamp;
    uint32_t node;
};

/* Invocations before returns of the same stamp: a tie overlaps. */
static int by_stamp(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    const uint32_t x_return = !(x->node & 1), y_return = !(y->node & 1);
    if (x->stamp != y->stamp)
        return x->stamp < y->stamp ? -1 : 1;
    if (x_return != y_return)
        return x_return < y_return ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static void *must_alloc(size_t n, size_t bytes)
{
    void *at = calloc(n + 1, bytes);
    require(at != NULL, "memory for %zu operations", n);
    return at;
}

static void link_events(struct search *s)
{
    struct event *event = must_alloc(2 * (size_t)s->n, sizeof *event);
    for (uint32_t i = 0; i < s->n; i++) {
        event[2 * i] = (struct event){ s->item[i].op->invoked, 2 * i + 1 };
        event[2 * i + 1] = (struct event){ s->item[i].op->returned, 2 * i + 2 };
    }
    qsort(event, 2 * (size_t)s->n, sizeof *event, by_stamp);
    uint32_t last = HEAD;
    for (uint32_t i = 0; i < 2 * s->n; i++) {
        s->next[last] = event[i].node;
        s->prev[event[i].node] = last;
        last = event[i].node;
    }
    s->next[last] = HEAD;
    s->prev[HEAD] = last;
    free(event);
}

static void count_wanted(struct search *s)
{
    for (s->wanted_room = 64; s->wanted_room < 2 * s->n;)
        s->wanted_room *= 2;
    s->wanted = must_alloc(s->wanted_room, sizeof *s->wanted);
    for (uint32_t i = 0; i < s->n; i++) {
        struct item *item = &s->item[i];
        if (item->needs == 0)
            continue;
        item->needs_i = wanted_find(s, item->needs);
        s->wanted[item->needs_i].value = item->needs;
        s->wanted[item->needs_i].writer = NOBODY;
        s->wanted[item->needs_i].n++;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        const uint64_t leaves = op_leaves(s->item[i].op);
        struct wanted *w = &s->wanted[wanted_find(s, leaves)];
        if (leaves != 0 && w->value == leaves)
            w->writer = i;
    }
}

static void search_make(struct search *s, const struct history *history, const struct versions *versions, uint32_t key)
{
    *s = (struct search){ .moves = history->moves };
    s->item = must_alloc(history->n, sizeof *s->item);
    for (uint32_t i = 0; i < history->n; i++) {
        const struct op *op = &history->op[i];
        if (op->key != key)
            continue;
        struct item *item = &s->item[s->n++];
        item->op = op;
        item->stands.seen = versions_value(versions, op->seen);
        item->stands.version = op_version_is_new(op) ? 0 : versions_value(versions, op->version);
        item->needs = model_needs(op, &item->stands);
        item->changes = op_changes(op);
        item->before = s->n > 1 && op_is_of_batch(item[-1].op, op) ? s->n - 2 : NOBODY;
    }
    s->next = must_alloc(2 * (size_t)s->n + 1, sizeof *s->next);
    s->prev = must_alloc(2 * (size_t)s->n + 1, sizeof *s->prev);
    s->stack = must_alloc(s->n, sizeof *s->stack);
    s->memo_room = 1024;
    s->memo = must_alloc(s->memo_room, sizeof *s->memo);
    link_events(s);
    count_wanted(s);
}

static void search_free(struct search *s)
{
    free(s->item);
    free(s->next);
    free(s->prev);
    free(s->stack);
    free(s->memo);
    free(s->wanted);
}

struct search_result search_history(const struct history *history)
{
    struct search_result result = { .verdict = VERDICT_ACCEPTED };
    struct versions versions = { 0 };
    if (!versions_learn(&versions, history, &result.key)) {
        result.verdict = VERDICT_REJECTED;
        result.by_versions = true;
    }
    for (uint32_t key = 0; key < history->keys_n && result.verdict == VERDICT_ACCEPTED; key++) {
        struct search s;
        search_make(&s, history, &versions, key);
        result.verdict = search_run(&s);
        result.steps += s.steps;
        result.key = key;
        result.taken = s.best;
        result.of = s.n;
        if (s.n > 0)
            result.stuck = *s.item[s.stuck].op;
        search_free(&s);
    }
    versions_free(&versions);
    return result;
}
