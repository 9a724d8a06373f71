/* SPDX-License-Identifier: MIT */
#include "schedules/explore.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/random.h"
#include "schedules/coroutine.h"
#include "schedules/interpose.h"
#include "schedules/older.h"
#include "schedules/world.h"

#define OP_STEPS_MAX 50000u /* accesses of one operation; the longest, a reap, has some 3 000 */
#define NODES_MAX 16384u
#define OPTIONS_MAX 12u
#define TAKEN_MAX 256u
#define NO_ID UINT16_MAX

struct option {
    uint8_t kind, arg; /* the letter and the number of a decision string; 'c', 'n': the first choice */
};

/* A place where there was a choice, on the way that is being explored. */
struct node {
    uint32_t step;
    uint8_t n, at; /* so many choices, this one now */
};

struct taken {
    uint32_t step;
    struct option option;
};

enum proc_state { PROC_IDLE, PROC_READY, PROC_DONE, PROC_DEAD };

struct proc {
    struct coroutine stack;
    enum proc_state state;
    bool asleep;     /* until somebody makes an access that conflicts with its next one */
    bool asked;      /* somebody asked whether it lives since it went on last */
    bool write;      /* its next access */
    uint32_t word;
    bool op_begun;   /* made an access that others can see */
    uint32_t op_steps;
    uint64_t began_at;
};

struct explore_counts explore_counts;

static struct explorer {
    enum explore_mode mode;
    struct explore_limits limits;
    explore_body *body;
    struct coroutine main;
    struct proc proc[EXPLORE_PROCS];
    bool on, trace, grown;
    uint32_t now, step, preemptions, kills, older;
    uint64_t clock, random;
    enum explore_end end;
    /* depth first */
    struct node node[NODES_MAX];
    uint32_t nodes_n, depth;
    /* at random */
    uint32_t places, places_mean;
    /* again */
    struct taken replay[TAKEN_MAX];
    uint32_t replay_n, replay_at;
    /* this execution's decisions */
    struct taken taken[TAKEN_MAX];
    uint32_t taken_n;
    char string[EXPLORE_STRING], failure[512];
    /* which words two touch */
    uint8_t readers[WORLD_WORDS_MAX], writers[WORLD_WORDS_MAX];
    uint16_t id[WORLD_WORDS_MAX]; /* NO_ID: one process's alone */
    uint32_t ids_n;
} ex;

static uint8_t stacks[EXPLORE_PROCS][COROUTINE_STACK] __attribute__((aligned(16)));

/* -- Ends ------------------------------------------------------------------------------------------------ */

static void finish(enum explore_end end)
{
    struct coroutine *from = &ex.proc[ex.now].stack;
    ex.end = end;
    coroutine_switch(from, &ex.main);
}

void explore_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (ex.failure[0] == '\0')
        (void)vsnprintf(ex.failure, sizeof ex.failure, format, args);
    va_end(args);
    ex.end = EXPLORE_FAILED;
    if (ex.on)
        finish(EXPLORE_FAILED);
}

const char *explore_failure(void) { return ex.failure; }
void explore_trace(bool on) { ex.trace = on; }
bool explore_was_killed(uint32_t proc) { return ex.proc[proc].state == PROC_DEAD; }
uint64_t explore_clock(void) { return ++ex.clock; }
uint64_t explore_op_began(uint32_t proc) { return ex.proc[proc].began_at; }

const char *explore_string(void)
{
    size_t at = 0;
    ex.string[0] = '\0';
    for (uint32_t i = 0; i < ex.taken_n && at < sizeof ex.string - 16; i++)
        at += (size_t)snprintf(ex.string + at, sizeof ex.string - at, "%s%u%c%u", i ? "." : "", ex.taken[i].step,
                               ex.taken[i].option.kind, ex.taken[i].option.arg);
    return ex.string;
}

/* -- Choosing ---------------------------------------------------------------------------------------------- */

static uint32_t choose_replay(const struct option *of, uint32_t n)
{
    if (ex.replay_at == ex.replay_n || ex.replay[ex.replay_at].step != ex.step)
        return 0;
    const struct option *want = &ex.replay[ex.replay_at].option;
    for (uint32_t i = 0; i < n; i++)
        if (of[i].kind == want->kind && of[i].arg == want->arg) {
            ex.replay_at++;
            return i;
        }
    return 0;
}

static uint32_t choose_random(const struct option *of, uint32_t n)
{
    if (of[0].kind == 'r') /* somebody has to */
        return (uint32_t)random_below(&ex.random, n);
    ex.places++;
    uint32_t changes = ex.limits.preemptions + ex.limits.kills + ex.limits.older;
    if (random_below(&ex.random, ex.places_mean) >= changes)
        return 0;
    return 1 + (uint32_t)random_below(&ex.random, n - 1);
}

static uint32_t choose_next(uint32_t n)
{
    if (ex.depth < ex.nodes_n) {
        const struct node *node = &ex.node[ex.depth++];
        if (node->step != ex.step || node->n != n) {
            explore_fail("schedules: an execution did not repeat itself: step %u with %u choices, was %u with %u",
                         ex.step, n, node->step, node->n);
            return 0;
        }
        return node->at;
    }
    if (ex.nodes_n == NODES_MAX) {
        explore_fail("schedules: more than %u decisions", NODES_MAX);
        return 0;
    }
    ex.node[ex.nodes_n++] = (struct node){ ex.step, (uint8_t)n, 0 };
    ex.depth = ex.nodes_n;
    return 0;
}

static struct option choose(const struct option *of, uint32_t n)
{
    uint32_t i = 0;
    if (ex.mode == EXPLORE_REPLAY)
        i = choose_replay(of, n);
    else if (n > 1)
        i = ex.mode == EXPLORE_RANDOM ? choose_random(of, n) : choose_next(n);
    if (n > 1)
        explore_counts.decisions++;
    if ((i > 0 || of[0].kind == 'r') && ex.taken_n < TAKEN_MAX)
        ex.taken[ex.taken_n++] = (struct taken){ ex.step, of[i] };
    if (ex.trace && (i > 0 || of[0].kind == 'r'))
        printf("      -- %u%c%u\n", ex.step, of[i].kind, of[i].arg);
    return of[i];
}

/* -- Going on --------------------------------------------------------------------------------------------------- */

static void wake(uint32_t word, bool write)
{
    for (uint32_t q = 0; q < EXPLORE_PROCS; q++)
        if (ex.proc[q].asleep && ex.proc[q].word == word && (write || ex.proc[q].write))
            ex.proc[q].asleep = false;
}

static void touch(uint32_t proc, uint32_t word, bool write)
{
    const uint8_t bit = (uint8_t)(1u << proc);
    ex.readers[word] |= bit;
    if (write)
        ex.writers[word] |= bit;
    if (ex.id[word] != NO_ID || ex.writers[word] == 0 || (ex.readers[word] & (ex.readers[word] - 1)) == 0)
        return;
    ex.id[word] = (uint16_t)ex.ids_n++;
    ex.grown = true;
}

static bool may_kill(uint32_t proc)
{
    return ex.kills < ex.limits.kills && (ex.limits.killable >> proc & 1) != 0;
}

static void die(uint32_t proc)
{
    ex.kills++;
    explore_counts.kills++;
    ex.proc[proc].state = PROC_DEAD;
    ex.proc[proc].asleep = false;
    world_release_locks(proc);
}

void explore_lock_lost(uint32_t word)
{
    if (!ex.on)
        return;
    uint32_t holder = (uint32_t)world_lock_holder(word);
    touch(holder, word, true);
    wake(word, true);
    older_store(holder, ex.id[word], memory_order_seq_cst, true, 0);
}

static void go_on(uint32_t proc)
{
    struct coroutine *from = &ex.proc[ex.now].stack;
    ex.now = proc;
    coroutine_switch(from, &ex.proc[proc].stack);
}

/* Nobody runs: who does?  True: ex.now was set. */
static bool pick_free(void)
{
    for (;;) {
        struct option o[OPTIONS_MAX];
        uint32_t n = 0, ready = 0;
        for (uint32_t q = 0; q < EXPLORE_PROCS; q++) {
            ready += ex.proc[q].state == PROC_READY;
            if (ex.proc[q].state == PROC_READY && !ex.proc[q].asleep)
                o[n++] = (struct option){ 'r', (uint8_t)q };
        }
        for (uint32_t q = 0; q < EXPLORE_PROCS; q++) {
            bool matters = (ex.proc[q].asked && ex.proc[q].asleep) || ex.mode == EXPLORE_REPLAY;
            if (ex.proc[q].state == PROC_READY && matters && may_kill(q))
                o[n++] = (struct option){ 'x', (uint8_t)q };
        }
        if (n == 0) {
            ex.end = ready > 0 ? EXPLORE_PRUNED : EXPLORE_ENDED;
            return false;
        }
        struct option pick = choose(o, n);
        if (pick.kind == 'x') {
            die(pick.arg);
            continue;
        }
        ex.now = pick.arg;
        return true;
    }
}

/* The one that runs has ended, or died. */
static void leave(void)
{
    struct coroutine *from = &ex.proc[ex.now].stack;
    if (pick_free())
        coroutine_switch(from, &ex.proc[ex.now].stack);
    else
        coroutine_switch(from, &ex.main);
}

/* -- Arriving at an access ------------------------------------------------------------------------------------------- */

static void maybe_die(void)
{
    struct option o[2] = { { 'c', (uint8_t)ex.now }, { 'k', (uint8_t)ex.now } };
    if (may_kill(ex.now) && choose(o, 2).kind == 'k') {
        die(ex.now);
        leave();
    }
}

/* holder: of the lock that is asked about, or WORLD_NOBODY. */
static void decide(struct proc *p, bool shared, bool write, int holder)
{
    struct option o[OPTIONS_MAX] = { { 'c', (uint8_t)ex.now } };
    uint32_t n = 1, me = ex.now;
    bool again = ex.mode == EXPLORE_REPLAY;
    for (uint32_t q = 0; q < EXPLORE_PROCS; q++)
        if ((again || (shared && ex.preemptions < ex.limits.preemptions)) && q != me &&
            ex.proc[q].state == PROC_READY && !ex.proc[q].asleep)
            o[n++] = (struct option){ 's', (uint8_t)q };
    if (write && may_kill(me))
        o[n++] = (struct option){ 'k', (uint8_t)me };
    if (holder >= 0 && (uint32_t)holder < EXPLORE_PROCS && (uint32_t)holder != me &&
        ex.proc[holder].state == PROC_READY && may_kill((uint32_t)holder))
        o[n++] = (struct option){ 'x', (uint8_t)holder };
    struct option pick = choose(o, n);
    switch (pick.kind) {
    case 's':
        ex.preemptions++;
        explore_counts.preempted++;
        p->asleep = ex.mode == EXPLORE_ALL;
        p->asked = false;
        go_on(pick.arg);
        if (write && p->asked) /* another death than before, to who asked meanwhile */
            maybe_die();
        break;
    case 'k':
        die(me);
        leave();
        break;
    case 'x':
        die(pick.arg);
        break;
    default:
        break;
    }
}

static void arrive(uint32_t word, bool write, int holder)
{
    struct proc *p = &ex.proc[ex.now];
    ex.step++;
    explore_counts.steps++;
    if (++p->op_steps > OP_STEPS_MAX)
        explore_fail("B: an operation of process %u made %u accesses and has not ended", ex.now, p->op_steps);
    if (ex.id[word] == NO_ID)
        touch(ex.now, word, write);
    bool shared = ex.id[word] != NO_ID;
    p->word = word;
    p->write = write;
    if ((shared && ex.preemptions < ex.limits.preemptions) || holder >= 0 || (write && may_kill(ex.now)) ||
        ex.mode == EXPLORE_REPLAY)
        decide(p, shared, write, holder);
    if (shared)
        wake(word, write);
    if (shared && !p->op_begun) {
        p->op_begun = true;
        p->began_at = explore_clock();
        if (ex.limits.older != 0)
            older_op_began(ex.now);
    }
}

static void trace(const char *what, uint32_t word, uint64_t from, uint64_t to)
{
    char name[64];
    world_name(word, name, sizeof name);
    printf("%5u  %*s%u  %-6s %-28s %016llx", ex.step, (int)(ex.now * 4), "", ex.now, what, name,
           (unsigned long long)from);
    if (from != to)
        printf(" -> %016llx", (unsigned long long)to);
    printf("\n");
}

void explore_lock(uint32_t word, bool write)
{
    if (!ex.on)
        return;
    int holder = world_lock_holder(word);
    arrive(word, write, holder);
    holder = world_lock_holder(word);
    if (holder >= 0 && (uint32_t)holder < EXPLORE_PROCS)
        ex.proc[holder].asked = true;
    if (write)
        older_store(ex.now, ex.id[word], memory_order_seq_cst, true, 0);
    else
        (void)older_load(ex.now, ex.id[word], memory_order_seq_cst, 0, 0);
    if (ex.trace)
        trace(write ? "lock" : "ask", word, (uint64_t)(int64_t)holder, (uint64_t)(int64_t)holder);
}

/* -- The atomics of the library ----------------------------------------------------------------------------------------- */

static uint64_t plain_load(const volatile void *at, size_t bytes)
{
    switch (bytes) {
    case 1:
        return *(const volatile uint8_t *)at;
    case 4:
        return *(const volatile uint32_t *)at;
    default:
        return *(const volatile uint64_t *)at;
    }
}

static void plain_store(volatile void *at, size_t bytes, uint64_t v)
{
    switch (bytes) {
    case 1:
        *(volatile uint8_t *)at = (uint8_t)v;
        break;
    case 4:
        *(volatile uint32_t *)at = (uint32_t)v;
        break;
    default:
        *(volatile uint64_t *)at = v;
    }
}

static uint64_t load_chosen(uint32_t word, memory_order order, uint64_t newest)
{
    uint16_t id = ex.id[word];
    if (ex.limits.older == 0 || id == NO_ID)
        return newest;
    uint32_t older_most = ex.older < ex.limits.older || ex.mode == EXPLORE_REPLAY ? older_n(ex.now, id, order) : 0;
    struct option o[OPTIONS_MAX] = { { 'n', 0 } };
    uint32_t n = 1;
    for (uint32_t age = 1; age <= older_most; age++)
        o[n++] = (struct option){ 'o', (uint8_t)age };
    uint32_t age = choose(o, n).arg;
    ex.older += age > 0;
    explore_counts.older += age > 0;
    return older_load(ex.now, id, order, age, newest);
}

uint64_t schedule_load(const volatile void *at, size_t bytes, memory_order order)
{
    uint32_t word;
    if (!ex.on || !world_word(at, &word))
        return plain_load(at, bytes);
    arrive(word, false, WORLD_NOBODY);
    uint64_t newest = plain_load(at, bytes), v = load_chosen(word, order, newest);
    if (ex.trace)
        trace(v == newest ? "load" : "LOAD", word, v, v);
    return v;
}

static void written(uint32_t word, memory_order order, bool rmw, uint64_t from, uint64_t to, const char *what)
{
    if (ex.limits.older != 0 && ex.id[word] != NO_ID)
        older_store(ex.now, ex.id[word], order, rmw, from);
    if (ex.trace)
        trace(what, word, from, to);
}

void schedule_store(volatile void *at, size_t bytes, uint64_t value, memory_order order)
{
    uint32_t word;
    if (world_word(at, &word)) {
        world_dirty(word);
        if (ex.on) {
            arrive(word, true, WORLD_NOBODY);
            written(word, order, false, plain_load(at, bytes), value, "store");
        }
    }
    plain_store(at, bytes, value);
}

bool schedule_cas(volatile void *at, size_t bytes, void *expected, uint64_t desired, memory_order order)
{
    uint32_t word = 0;
    bool on = world_word(at, &word) && ex.on, same;
    if (on)
        arrive(word, true, WORLD_NOBODY);
    uint64_t was = plain_load(at, bytes);
    same = was == plain_load(expected, bytes);
    if (on && same)
        written(word, order, true, was, desired, "cas");
    if (on && !same) {
        if (ex.limits.older != 0 && ex.id[word] != NO_ID)
            (void)older_load(ex.now, ex.id[word], memory_order_seq_cst, 0, was);
        if (ex.trace)
            trace("CAS", word, was, was);
    }
    if (same) {
        world_dirty(word);
        plain_store(at, bytes, desired);
    } else {
        plain_store(expected, bytes, was);
    }
    return same;
}

uint64_t schedule_rmw(volatile void *at, size_t bytes, enum schedule_rmw op, uint64_t value, memory_order order)
{
    uint32_t word = 0;
    bool inside = world_word(at, &word);
    if (inside && ex.on)
        arrive(word, true, WORLD_NOBODY);
    uint64_t was = plain_load(at, bytes);
    uint64_t to = op == SCHEDULE_ADD ? was + value : op == SCHEDULE_OR ? was | value : op == SCHEDULE_AND ? was & value : value;
    if (inside && ex.on)
        written(word, order, true, was, to, "rmw");
    if (inside)
        world_dirty(word);
    plain_store(at, bytes, to);
    return was;
}

void schedule_fence(memory_order order)
{
    if (ex.on && ex.limits.older != 0)
        older_fence(ex.now, order);
}

/* -- Operations ------------------------------------------------------------------------------------------------------------ */

void explore_op_begin(void)
{
    struct proc *p = &ex.proc[ex.now];
    p->op_begun = false;
    p->op_steps = 0;
    p->began_at = explore_clock(); /* at the latest: until it touches what others do */
}

/* A death here: the operation is done and nobody was told. */
uint64_t explore_op_end(uint64_t *ret_began)
{
    struct proc *p = &ex.proc[ex.now];
    ex.step++;
    maybe_die();
    if (!p->op_begun)
        p->began_at = explore_clock();
    p->op_begun = false; /* whoever dies now had finished */
    if (ex.limits.older != 0)
        older_op_ended(ex.now);
    if (p->op_steps > explore_counts.op_steps_max)
        explore_counts.op_steps_max = p->op_steps;
    *ret_began = p->began_at;
    return explore_clock();
}

/* -- Executions -------------------------------------------------------------------------------------------------------------- */

static void proc_main(void)
{
    ex.body(ex.now);
    ex.proc[ex.now].state = PROC_DONE;
    leave();
    abort(); /* nobody comes back to an ended process */
}

void explore_forget(void)
{
    memset(ex.readers, 0, sizeof ex.readers);
    memset(ex.writers, 0, sizeof ex.writers);
    memset(ex.id, 0xff, sizeof ex.id);
    ex.ids_n = 0;
}

static void replay_parse(const char *string)
{
    ex.replay_n = 0;
    for (const char *at = string; *at != '\0' && ex.replay_n < TAKEN_MAX;) {
        unsigned step, arg;
        char kind;
        int used = 0;
        if (sscanf(at, "%u%c%u%n", &step, &kind, &arg, &used) != 3)
            break;
        ex.replay[ex.replay_n++] = (struct taken){ step, { (uint8_t)kind, (uint8_t)arg } };
        at += used;
        at += *at == '.';
    }
}

void explore_begin(enum explore_mode mode, const struct explore_limits *limits, uint64_t seed, const char *string)
{
    ex.mode = mode;
    ex.limits = *limits;
    ex.random = seed;
    ex.nodes_n = 0;
    ex.places_mean = 500;
    if (mode == EXPLORE_REPLAY)
        replay_parse(string);
}

void explore_save(FILE *to)
{
    (void)fprintf(to, "words %u", ex.ids_n);
    for (uint32_t word = 0; word < WORLD_WORDS_MAX; word++)
        if (ex.id[word] != NO_ID)
            (void)fprintf(to, " %u", word);
    (void)fprintf(to, "\nnodes %u", ex.nodes_n);
    for (uint32_t i = 0; i < ex.nodes_n; i++)
        (void)fprintf(to, " %u %u %u", ex.node[i].step, ex.node[i].n, ex.node[i].at);
    (void)fprintf(to, "\n");
}

bool explore_load(FILE *from)
{
    uint32_t words_n, nodes_n;
    if (fscanf(from, " words %u", &words_n) != 1 || words_n > WORLD_WORDS_MAX)
        return false;
    explore_forget();
    for (uint32_t word; ex.ids_n < words_n; ex.id[word] = (uint16_t)ex.ids_n++)
        if (fscanf(from, "%u", &word) != 1 || word >= WORLD_WORDS_MAX)
            return false;
    if (fscanf(from, " nodes %u", &nodes_n) != 1 || nodes_n > NODES_MAX)
        return false;
    for (ex.nodes_n = 0; ex.nodes_n < nodes_n; ex.nodes_n++) {
        uint32_t step, n, at;
        if (fscanf(from, "%u %u %u", &step, &n, &at) != 3 || n > OPTIONS_MAX || at >= n)
            return false;
        ex.node[ex.nodes_n] = (struct node){ step, (uint8_t)n, (uint8_t)at };
    }
    return true;
}

static void once_reset(void)
{
    ex.step = ex.preemptions = ex.kills = ex.older = ex.depth = ex.places = ex.taken_n = ex.replay_at = 0;
    ex.clock = 0;
    ex.grown = false;
    ex.failure[0] = '\0';
    ex.end = EXPLORE_ENDED;
    for (uint32_t i = 0; i < EXPLORE_PROCS; i++) {
        struct proc *p = &ex.proc[i];
        coroutine_make(&p->stack, stacks[i], proc_main);
        p->state = ex.limits.starts >> i & 1 ? PROC_READY : PROC_IDLE;
        p->asleep = p->asked = p->op_begun = false;
        p->op_steps = 0;
    }
    if (ex.limits.older != 0)
        older_reset(ex.ids_n + 64); /* words learnt meanwhile */
}

enum explore_end explore_once(explore_body *body)
{
    once_reset();
    ex.body = body;
    ex.on = true;
    if (pick_free())
        coroutine_switch(&ex.main, &ex.proc[ex.now].stack);
    ex.on = false;
    explore_counts.shared_words = ex.ids_n;
    if (ex.mode == EXPLORE_RANDOM)
        ex.places_mean = ex.places > 0 ? (7 * ex.places_mean + ex.places) / 8 + 1 : ex.places_mean;
    if (ex.end == EXPLORE_PRUNED)
        explore_counts.pruned++;
    else
        explore_counts.executions++;
    return ex.end;
}

bool explore_next(void)
{
    if (ex.mode == EXPLORE_RANDOM)
        return true;
    if (ex.mode == EXPLORE_REPLAY)
        return false;
    if (ex.grown) { /* decisions were left out that are none to leave out */
        ex.nodes_n = 0;
        return true;
    }
    while (ex.nodes_n > 0) {
        struct node *node = &ex.node[ex.nodes_n - 1];
        if (++node->at < node->n)
            return true;
        ex.nodes_n--;
    }
    return false;
}
