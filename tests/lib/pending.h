/* SPDX-License-Identifier: MIT
 *
 * Linearizability (A) of one key while calls of a stopped or killed process are under way on it.
 *
 * What the key may be is a set of possibilities: each a content, and for either actor how many of its
 * acts have taken effect with which answers.  A call of a survivor (which runs alone, so it takes effect
 * between two others) keeps those possibilities that give its answer.  When none is left, the map has
 * done something that no order of the calls explains.
 */
#ifndef TESTS_LIB_PENDING_H
#define TESTS_LIB_PENDING_H

#include "lib/act.h"

#define PENDING_ACTS 3u
enum pending_actor { ACTOR_VICTIM = 0, ACTOR_CORPSE, ACTORS }; /* stepped now; killed before the scene began */

struct possible {
    struct cell cell;
    uint32_t done[ACTORS];
    struct answer answers[PENDING_ACTS]; /* of the victim */
};

#define PENDING_POSSIBLE 6000u /* one more for each change that a stopped get might have seen */
struct pending {
    struct act acts[ACTORS][PENDING_ACTS];
    uint32_t acts_n[ACTORS];
    bool over[ACTORS]; /* nothing more can take effect */
    bool may_be_full;  /* SHOAL_EFULL is an answer to reckon with */
    bool may_be_full_below; /* also where a key that lies in the store alone is to be deleted */
    uint32_t n;
    struct possible possible[PENDING_POSSIBLE];
};

void pending_begin(struct pending *pending, const struct cell *cell);
void pending_add_act(struct pending *pending, enum pending_actor actor, const struct act *act);

/* A survivor's call has answered so.  false = impossible. */
bool pending_observe(struct pending *pending, const struct act *act, const struct answer *answer);

/* The victim's calls 0 .. n - 1 have returned with these answers.  false = impossible. */
bool pending_returned(struct pending *pending, const struct answer *answers, uint32_t n);

/* The actor is dead and reaped: what has not happened never will. */
void pending_freeze(struct pending *pending, enum pending_actor actor);

/* The first few possibilities, for a failure's text. */
const char *pending_text(const struct pending *pending);

/* Is the key there?  1, 0, -1 = both are possible. */
int pending_present(struct pending *pending);

#endif
