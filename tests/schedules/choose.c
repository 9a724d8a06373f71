/* SPDX-License-Identifier: MIT
 *
 * Decisions: the next way depth first, a way at random, a given way again.
 */
#include <stdio.h>
#include <string.h>

#include "lib/random.h"
#include "schedules/explorer.h"

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
    bool is_load = of[0].kind == 'n';
    struct draw *draw = &ex.draw[is_load ? DRAW_OLDER : DRAW_SWITCH];
    uint32_t changes = is_load ? ex.limits.older : ex.limits.preemptions + ex.limits.kills;
    draw->places++;
    if (random_below(&ex.random, draw->mean) >= changes)
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
    ex.node[ex.nodes_n++] = (struct node){ .step = ex.step, .n = (uint8_t)n };
    ex.depth = ex.nodes_n;
    return 0;
}

struct option choose(const struct option *of, uint32_t n)
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

/* -- Switches that lead nowhere new ------------------------------------------------------------------------ */

void choose_watch(uint32_t id, uint32_t proc, bool write, uint32_t switches)
{
    struct node *node = &ex.node[ex.depth - 1];
    node->switches = (uint8_t)switches;
    node->write = write;
    node->proc = (uint8_t)proc;
    if (node->met || node->at != 0)
        return;
    node->next = ex.watched[id];
    ex.watched[id] = (uint16_t)(ex.depth - 1);
}

void choose_met(uint32_t id, uint32_t proc, bool write)
{
    if (id == NO_ID)
        return;
    for (uint16_t *at = &ex.watched[id]; *at != NO_NODE;) {
        struct node *node = &ex.node[*at];
        node->met |= node->proc != proc && (write || node->write);
        if (node->met)
            *at = node->next;
        else
            at = &node->next;
    }
}

void choose_met_last(uint32_t proc)
{
    for (uint32_t i = ex.depth; i-- > 0;)
        if (ex.node[i].proc == proc && ex.node[i].switches > 0) {
            ex.node[i].met = true;
            return;
        }
}

void choose_met_all(uint32_t proc)
{
    for (uint32_t i = 0; i < ex.depth; i++)
        ex.node[i].met |= ex.node[i].proc == proc; /* stays in its list: no harm */
}

/* -- Ways -------------------------------------------------------------------------------------------------- */

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
    for (uint32_t i = 0; i < DRAWS_N; i++)
        ex.draw[i] = (struct draw){ 0, 500 };
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
        (void)fprintf(to, " %u %u %u %u %u", ex.node[i].step, ex.node[i].n, ex.node[i].at, ex.node[i].switches,
                      ex.node[i].met);
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
        uint32_t step, n, at, switches, met;
        if (fscanf(from, "%u %u %u %u %u", &step, &n, &at, &switches, &met) != 5 || n > OPTIONS_MAX || at >= n)
            return false;
        ex.node[ex.nodes_n] = (struct node){ .step = step, .n = (uint8_t)n, .at = (uint8_t)at,
                                             .switches = (uint8_t)switches, .met = met != 0 };
    }
    return true;
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
        if (node->at == 0 && !node->met)
            node->at = node->switches;
        if (++node->at < node->n)
            return true;
        ex.nodes_n--;
    }
    return false;
}
