/* SPDX-License-Identifier: MIT */
#include "schedules/explore.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedules/explorer.h"
#include "schedules/older.h"

struct explore_counts explore_counts;
struct explorer ex;

static uint8_t stacks[EXPLORE_PROCS][COROUTINE_STACK] __attribute__((aligned(16)));

/* -- Ends -------------------------------------------------------------------------------------------------- */

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
uint64_t explore_died_at(uint32_t proc) { return explore_was_killed(proc) ? ex.proc[proc].died_at : 0; }
uint64_t explore_clock(void) { return ++ex.clock; }
uint64_t explore_op_began(uint32_t proc) { return ex.proc[proc].began_at; }
uint64_t explore_moved_at(uint32_t proc) { return ex.proc[proc].moved_at; }

const char *explore_string(void)
{
    size_t at = 0;
    ex.string[0] = '\0';
    for (uint32_t i = 0; i < ex.taken_n && at < sizeof ex.string - 16; i++)
        at += (size_t)snprintf(ex.string + at, sizeof ex.string - at, "%s%u%c%u", i ? "." : "", ex.taken[i].step,
                               ex.taken[i].option.kind, ex.taken[i].option.arg);
    return ex.string;
}

/* -- Going on ---------------------------------------------------------------------------------------------- */

/* An access by `proc`; or what a death does to a word. */
static void wake(uint32_t proc, uint32_t word, bool write)
{
    if (ex.mode == EXPLORE_ALL)
        choose_met(ex.id[word], proc, write);
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
    ex.watched[ex.id[word]] = NO_NODE;
    ex.grown = true;
}

static bool may_kill(uint32_t proc)
{
    return ex.kills < ex.limits.kills && (ex.limits.killable >> proc & 1) != 0;
}

static void die(uint32_t proc)
{
    choose_met_all(proc);
    ex.kills++;
    explore_counts.kills++;
    ex.proc[proc].state = PROC_DEAD;
    ex.proc[proc].died_at = explore_clock();
    ex.proc[proc].asleep = false;
    world_release_locks(proc);
}

void explore_lock_lost(uint32_t word)
{
    if (!ex.on)
        return;
    uint32_t holder = (uint32_t)world_lock_holder(word);
    touch(holder, word, true);
    wake(EXPLORE_PROCS, word, true);
    if (ex.limits.older != 0)
        older_store(holder, ex.id[word], memory_order_seq_cst, true, 0);
}

static void go_on(uint32_t proc)
{
    struct coroutine *from = &ex.proc[ex.now].stack;
    ex.now = proc;
    coroutine_switch(from, &ex.proc[proc].stack);
}

/* Only sleepers are left. */
static bool waiters_look(void)
{
    bool any = false;
    for (uint32_t q = 0; q < EXPLORE_PROCS; q++) {
        struct proc *p = &ex.proc[q];
        if (p->state != PROC_WAITING || p->looked)
            continue;
        if (ex.kills == 0 && ex.failure[0] == '\0')
            (void)snprintf(ex.failure, sizeof ex.failure, "B: process %u sleeps, and who should wake it has ended", q);
        p->looked = any = ex.kills > 0;
        p->state = any ? PROC_READY : PROC_WAITING;
    }
    return any;
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
        if (n == 0 && ready == 0 && waiters_look())
            continue;
        if (n == 0) {
            ex.end = ready > 0 ? EXPLORE_PRUNED : ex.failure[0] != '\0' ? EXPLORE_FAILED : EXPLORE_ENDED;
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

/* The one that runs has ended, or died, or sleeps. */
static void leave(void)
{
    struct coroutine *from = &ex.proc[ex.now].stack;
    if (!pick_free())
        coroutine_switch(from, &ex.main);
    else if (from != &ex.proc[ex.now].stack) /* a sleeper that looks may be the only one left */
        coroutine_switch(from, &ex.proc[ex.now].stack);
}

/* -- Arriving at an access --------------------------------------------------------------------------------- */

static void maybe_die(void)
{
    struct option o[2] = { { 'c', (uint8_t)ex.now }, { 'k', (uint8_t)ex.now } };
    if (may_kill(ex.now) && choose(o, 2).kind == 'k') {
        die(ex.now);
        leave();
    }
}

static void decide(struct proc *p, bool shared, bool write, int holder)
{
    struct option o[OPTIONS_MAX] = { { 'c', (uint8_t)ex.now } };
    uint32_t n = 1, me = ex.now;
    bool again = ex.mode == EXPLORE_REPLAY;
    for (uint32_t q = 0; q < EXPLORE_PROCS; q++)
        if ((again || (shared && ex.preemptions < ex.limits.preemptions)) && q != me &&
            ex.proc[q].state == PROC_READY && !ex.proc[q].asleep)
            o[n++] = (struct option){ 's', (uint8_t)q };
    uint32_t switches = n - 1;
    if (write && may_kill(me))
        o[n++] = (struct option){ 'k', (uint8_t)me };
    if (holder >= 0 && (uint32_t)holder < EXPLORE_PROCS && (uint32_t)holder != me &&
        ex.proc[holder].state == PROC_READY && may_kill((uint32_t)holder))
        o[n++] = (struct option){ 'x', (uint8_t)holder };
    struct option pick = choose(o, n);
    if (switches > 0 && ex.mode == EXPLORE_ALL)
        choose_watch(ex.id[p->word], me, write, switches);
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

void arrive(uint32_t word, bool write, int holder)
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
        wake(ex.now, word, write);
    if (shared && !p->op_begun) {
        p->op_begun = true;
        p->began_at = explore_clock();
        if (ex.limits.older != 0)
            older_op_began(ex.now);
    }
    p->moved_at = explore_clock();
}

/* The kernel looks at the word and puts the caller to sleep in one step. */
void explore_futex_wait(const volatile void *at, uint32_t seen)
{
    uint32_t word;
    if (!ex.on || !world_word(at, &word))
        return;
    arrive(word, false, WORLD_NOBODY);
    if (ex.limits.older != 0)
        (void)older_load(ex.now, ex.id[word], memory_order_seq_cst, 0, 0);
    if (*(const volatile uint32_t *)at != seen)
        return;
    if (ex.trace)
        trace_access("sleep", word, seen, seen);
    ex.proc[ex.now].state = PROC_WAITING;
    leave();
}

void explore_futex_wake(const volatile void *at)
{
    uint32_t word;
    if (!ex.on || !world_word(at, &word))
        return;
    arrive(word, true, WORLD_NOBODY);
    for (uint32_t q = 0; q < EXPLORE_PROCS; q++)
        if (ex.proc[q].state == PROC_WAITING && ex.proc[q].word == word)
            ex.proc[q].state = PROC_READY;
    if (ex.trace)
        trace_access("wake", word, 0, 0);
}

/* -- Operations -------------------------------------------------------------------------------------------- */

void explore_op_begin(void)
{
    struct proc *p = &ex.proc[ex.now];
    p->op_begun = false;
    p->op_steps = p->lags = 0;
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
    if (ex.limits.older != 0) {
        choose_met_last(ex.now);
        older_op_ended(ex.now);
    }
    if (p->op_steps > explore_counts.op_steps_max)
        explore_counts.op_steps_max = p->op_steps;
    *ret_began = p->began_at;
    return explore_clock();
}

/* -- Executions -------------------------------------------------------------------------------------------- */

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

static void once_reset(void)
{
    ex.step = ex.preemptions = ex.kills = ex.older = ex.depth = ex.taken_n = ex.replay_at = 0;
    ex.clock = 0;
    for (uint32_t i = 0; i < DRAWS_N; i++)
        ex.draw[i].places = 0;
    ex.grown = false;
    memset(ex.watched, 0xff, sizeof ex.watched[0] * ex.ids_n);
    ex.failure[0] = '\0';
    ex.end = EXPLORE_ENDED;
    for (uint32_t i = 0; i < EXPLORE_PROCS; i++) {
        struct proc *p = &ex.proc[i];
        coroutine_make(&p->stack, stacks[i], proc_main);
        p->state = ex.limits.starts >> i & 1 ? PROC_READY : PROC_IDLE;
        p->asleep = p->asked = p->looked = p->op_begun = false;
        p->op_steps = p->lags = 0;
        p->moved_at = 0;
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
    for (uint32_t i = 0; i < DRAWS_N; i++)
        if (ex.draw[i].places > 0)
            ex.draw[i].mean = (7 * ex.draw[i].mean + ex.draw[i].places) / 8 + 1;
    if (ex.end == EXPLORE_PRUNED)
        explore_counts.pruned++;
    else
        explore_counts.executions++;
    return ex.end;
}
