/* SPDX-License-Identifier: MIT
 *
 * The library's atomics, and the kernel's locks: each is a place to decide, and a step of the view machine (older.h).
 */
#include <stdio.h>

#include "schedules/explorer.h"
#include "schedules/older.h"

void trace_access(const char *what, uint32_t word, uint64_t from, uint64_t to)
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
    if (holder >= 0 && (uint32_t)holder < EXPLORE_PROCS) {
        ex.proc[holder].asked = true;
        if (ex.kills < ex.limits.kills)
            choose_met_all((uint32_t)holder);
    }
    if (ex.limits.older != 0 && write)
        older_store(ex.now, ex.id[word], memory_order_seq_cst, true, 0);
    else if (ex.limits.older != 0)
        (void)older_load(ex.now, ex.id[word], memory_order_seq_cst, 0, 0);
    if (ex.trace)
        trace_access(write ? "lock" : "ask", word, (uint64_t)(int64_t)holder, (uint64_t)(int64_t)holder);
}

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

/* How old a value does the load return?  A process that lags sees the oldest that it may, of every word. */
static uint32_t age_chosen(uint32_t most)
{
    struct proc *p = &ex.proc[ex.now];
    if (p->lags > 0) {
        p->lags--;
        return most;
    }
    struct option o[OPTIONS_MAX] = { { 'n', 0 } };
    uint32_t n = 1;
    for (uint32_t age = 1; age <= most; age++)
        o[n++] = (struct option){ 'o', (uint8_t)age };
    o[n++] = (struct option){ 'l', (uint8_t)ex.now };
    struct option pick = choose(o, n);
    if (pick.kind == 'n')
        return 0;
    ex.older++;
    if (pick.kind == 'l')
        p->lags = LAG_LOADS;
    return pick.kind == 'l' ? most : pick.arg;
}

static uint64_t load_chosen(uint32_t word, memory_order order, uint64_t newest)
{
    uint16_t id = ex.id[word];
    if (ex.limits.older == 0 || id == NO_ID)
        return newest;
    bool may = ex.older < ex.limits.older || ex.mode == EXPLORE_REPLAY || ex.proc[ex.now].lags > 0;
    uint32_t most = may ? older_n(ex.now, id, order) : 0, age = most > 0 ? age_chosen(most) : 0;
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
        trace_access(v == newest ? "load" : "LOAD", word, v, v);
    return v;
}

static void written(uint32_t word, memory_order order, bool rmw, uint64_t from, uint64_t to, const char *what)
{
    if (ex.limits.older != 0 && ex.id[word] != NO_ID)
        older_store(ex.now, ex.id[word], order, rmw, from);
    if (ex.trace)
        trace_access(what, word, from, to);
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

bool schedule_cas(volatile void *at, size_t bytes, void *expected, uint64_t desired, memory_order order,
                  memory_order failed)
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
            (void)older_load(ex.now, ex.id[word], failed, 0, was);
        ex.proc[ex.now].lags = 0; /* it goes on with what is there now */
        if (ex.trace)
            trace_access("CAS", word, was, was);
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

