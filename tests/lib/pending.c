/* SPDX-License-Identifier: MIT
 *
 * The set of what a key may be.
 */
#include "lib/pending.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/fail.h"
#include "lib/random.h"

/* Which possibility has this content: an open hash table, cleared by counting up its epoch. */
#define INDEX_N 16384u
static struct {
    uint32_t epoch, at;
} seen[INDEX_N];
static uint32_t seen_epoch;

static uint64_t possible_hash(const struct possible *possible)
{
    uint64_t words[sizeof *possible / 8], hash = 0;
    memcpy(words, possible, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        hash = random_mix(hash ^ words[i]) + i;
    return hash;
}

/* Add it unless it is there already. */
static void insert(struct pending *pending, const struct possible *possible)
{
    uint32_t i = (uint32_t)possible_hash(possible) % INDEX_N;
    for (; seen[i].epoch == seen_epoch; i = (i + 1) % INDEX_N)
        if (memcmp(&pending->possible[seen[i].at], possible, sizeof *possible) == 0)
            return;
    require(pending->n < PENDING_POSSIBLE, "too many possibilities for the model");
    seen[i].epoch = seen_epoch;
    seen[i].at = pending->n;
    pending->possible[pending->n++] = *possible;
}

static void rebuild(struct pending *pending, const struct possible *from, uint32_t n)
{
    seen_epoch++;
    pending->n = 0;
    for (uint32_t i = 0; i < n; i++)
        insert(pending, &from[i]);
}

void pending_begin(struct pending *pending, const struct cell *cell)
{
    memset(pending, 0, offsetof(struct pending, possible) + sizeof pending->possible[0]);
    pending->possible[0].cell = *cell;
    pending->n = 1;
}

void pending_add_act(struct pending *pending, enum pending_actor actor, const struct act *act)
{
    require(pending->acts_n[actor] < PENDING_ACTS, "too many acts");
    pending->acts[actor][pending->acts_n[actor]++] = *act;
}

static bool may_go(const struct pending *pending, enum act_way way)
{
    return way == ACT_FULL ? pending->may_be_full : way != ACT_FULL_TOMB || pending->may_be_full_below;
}

static void advance(struct pending *pending, uint32_t from, enum pending_actor actor)
{
    const uint32_t done = pending->possible[from].done[actor];
    if (pending->over[actor] || done >= pending->acts_n[actor])
        return;
    for (int way = ACT_PLAINLY; way <= ACT_MOVED; way++) {
        if (!may_go(pending, (enum act_way)way))
            continue;
        struct possible next = pending->possible[from];
        struct answer answer;
        if (!act_apply(&pending->acts[actor][done], (enum act_way)way, &next.cell, &answer))
            continue;
        next.done[actor]++;
        if (actor == ACTOR_VICTIM)
            next.answers[done] = answer;
        insert(pending, &next);
    }
}

/* Whatever may take effect now, may have. */
static void expand(struct pending *pending)
{
    static struct possible before[PENDING_POSSIBLE];
    memcpy(before, pending->possible, pending->n * sizeof before[0]);
    rebuild(pending, before, pending->n);
    for (uint32_t i = 0; i < pending->n; i++) /* grows meanwhile */
        for (int actor = 0; actor < ACTORS; actor++)
            advance(pending, i, (enum pending_actor)actor);
}

const char *pending_text(const struct pending *pending)
{
    static char text[300];
    size_t used = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < pending->n && i < 4; i++) {
        const struct possible *p = &pending->possible[i];
        const int n = snprintf(text + used, sizeof text - used, "%s%s tag %llx bytes %llu done %u,%u",
                               i ? "; or " : "", p->cell.present ? "there" : "absent", (unsigned long long)p->cell.tag,
                               (unsigned long long)p->cell.bytes, p->done[ACTOR_VICTIM], p->done[ACTOR_CORPSE]);
        used += n > 0 && (size_t)n < sizeof text - used ? (size_t)n : 0;
    }
    return text;
}

bool pending_observe(struct pending *pending, const struct act *act, const struct answer *answer)
{
    static struct possible kept[PENDING_POSSIBLE];
    uint32_t kept_n = 0;
    expand(pending);
    for (uint32_t i = 0; i < pending->n; i++) {
        for (int way = ACT_PLAINLY; way <= ACT_MOVED; way++) {
            struct possible next = pending->possible[i];
            struct answer would;
            if (!may_go(pending, (enum act_way)way))
                continue;
            if (!act_apply(act, (enum act_way)way, &next.cell, &would) || !act_same_answer(&would, answer))
                continue;
            kept[kept_n++] = next;
            break;
        }
    }
    if (kept_n > 0) /* else as it was, for the text */
        rebuild(pending, kept, kept_n);
    return kept_n > 0;
}

bool pending_returned(struct pending *pending, const struct answer *answers, uint32_t n)
{
    expand(pending);
    static struct possible kept[PENDING_POSSIBLE];
    uint32_t kept_n = 0;
    for (uint32_t i = 0; i < pending->n; i++) {
        const struct possible *possible = &pending->possible[i];
        bool same = possible->done[ACTOR_VICTIM] >= n && possible->done[ACTOR_VICTIM] <= n + 1;
        for (uint32_t k = 0; same && k < n; k++)
            same = act_same_answer(&possible->answers[k], &answers[k]);
        if (same)
            kept[kept_n++] = *possible;
    }
    if (kept_n > 0)
        rebuild(pending, kept, kept_n);
    return kept_n > 0;
}

void pending_freeze(struct pending *pending, enum pending_actor actor)
{
    expand(pending);
    pending->over[actor] = true;
}

int pending_present(struct pending *pending)
{
    expand(pending);
    bool there = false, gone = false;
    for (uint32_t i = 0; i < pending->n; i++) {
        there |= pending->possible[i].cell.present != 0;
        gone |= pending->possible[i].cell.present == 0;
    }
    return there && gone ? -1 : there;
}
