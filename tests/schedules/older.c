/* SPDX-License-Identifier: MIT */
#include "schedules/older.h"

#include <string.h>

#define PROCS 4u
#define VALUES 16u /* remembered of one word */
#define VIEWS 8192u

struct view {
    uint16_t of[OLDER_WORDS];
};

/* Value i of a word (the one it began with is 0) lies at i % VALUES, with the view that its store carried. */
struct history {
    uint32_t n; /* stores so far */
    uint64_t value[VALUES];
    uint32_t view[VALUES];
};

static struct older {
    struct history history[OLDER_WORDS];
    struct view now[PROCS], acquired[PROCS], released[PROCS];
    struct view told;   /* by who has ended an operation */
    struct view seq;    /* the last seq_cst store to each word, and what seq_cst fences made known */
    struct view view[VIEWS]; /* 0: empty */
    uint32_t views_n, words_n;
} older;

static bool acquires(memory_order order)
{
    return order == memory_order_acquire || order == memory_order_acq_rel || order == memory_order_seq_cst;
}
static bool releases(memory_order order)
{
    return order == memory_order_release || order == memory_order_acq_rel || order == memory_order_seq_cst;
}

static void view_join(struct view *to, const struct view *from)
{
    for (uint32_t i = 0; i < older.words_n; i++)
        to->of[i] = to->of[i] > from->of[i] ? to->of[i] : from->of[i];
}
static void view_copy(struct view *to, const struct view *from)
{
    memcpy(to->of, from->of, older.words_n * sizeof to->of[0]);
}

void older_reset(uint32_t words_n)
{
    older.words_n = words_n < OLDER_WORDS ? words_n : OLDER_WORDS;
    for (uint32_t i = 0; i < older.words_n; i++) {
        older.history[i].n = 0;
        older.history[i].view[0] = 0;
    }
    older.views_n = 1;
    memset(older.told.of, 0, older.words_n * sizeof older.told.of[0]);
    memset(older.seq.of, 0, older.words_n * sizeof older.seq.of[0]);
    for (uint32_t p = 0; p < PROCS; p++) {
        memset(older.now[p].of, 0, older.words_n * sizeof older.now[p].of[0]);
        memset(older.acquired[p].of, 0, older.words_n * sizeof older.now[p].of[0]);
        memset(older.released[p].of, 0, older.words_n * sizeof older.now[p].of[0]);
    }
}

uint32_t older_n(uint32_t proc, uint32_t id, memory_order order)
{
    if (id >= older.words_n)
        return 0;
    const struct history *h = &older.history[id];
    uint32_t known = older.now[proc].of[id];
    if (order == memory_order_seq_cst && older.seq.of[id] > known)
        known = older.seq.of[id];
    uint32_t n = h->n - known;
    uint32_t most = OLDER_MOST < VALUES - 1 ? OLDER_MOST : VALUES - 1;
    return n < most ? n : most;
}

uint64_t older_load(uint32_t proc, uint32_t id, memory_order order, uint32_t age, uint64_t newest)
{
    if (id >= older.words_n)
        return newest;
    const struct history *h = &older.history[id];
    uint32_t at = h->n - age;
    older.now[proc].of[id] = (uint16_t)at;
    const struct view *carried = &older.view[h->view[at % VALUES]];
    view_join(acquires(order) ? &older.now[proc] : &older.acquired[proc], carried);
    return age == 0 ? newest : h->value[at % VALUES];
}

void older_store(uint32_t proc, uint32_t id, memory_order order, bool rmw, uint64_t old)
{
    if (id >= older.words_n || older.views_n == VIEWS)
        return;
    struct history *h = &older.history[id];
    const struct view *before = &older.view[h->view[h->n % VALUES]]; /* of another slot than the new one */
    h->value[h->n % VALUES] = old;
    if (rmw)
        view_join(acquires(order) ? &older.now[proc] : &older.acquired[proc], before);
    struct view *carried = &older.view[older.views_n];
    h->n++;
    older.now[proc].of[id] = (uint16_t)h->n;
    if (order == memory_order_seq_cst)
        older.seq.of[id] = (uint16_t)h->n;
    view_copy(carried, releases(order) ? &older.now[proc] : &older.released[proc]);
    carried->of[id] = (uint16_t)h->n;
    if (rmw)
        view_join(carried, before);
    h->view[h->n % VALUES] = older.views_n++;
}

void older_fence(uint32_t proc, memory_order order)
{
    if (acquires(order))
        view_join(&older.now[proc], &older.acquired[proc]);
    if (order == memory_order_seq_cst) {
        view_join(&older.now[proc], &older.seq);
        view_copy(&older.seq, &older.now[proc]);
    }
    if (releases(order))
        view_copy(&older.released[proc], &older.now[proc]);
}

void older_op_began(uint32_t proc) { view_join(&older.now[proc], &older.told); }
void older_op_ended(uint32_t proc) { view_join(&older.told, &older.now[proc]); }
