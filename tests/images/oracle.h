/* SPDX-License-Identifier: MIT
 *
 * What a store must hold: the contents after each transaction, and which of them may be found after a crash.
 */
#ifndef TESTS_IMAGES_ORACLE_H
#define TESTS_IMAGES_ORACLE_H

#include "images/contents.h"
#include "images/log.h"

#define NO_STORE UINT32_MAX /* the state before there is a store */

#define STATES_MAX 8u
struct states {
    uint32_t state[STATES_MAX];
    uint32_t n;
};

struct oracle {
    uint32_t keys_n;
    uint64_t *marks; /* [states_n][keys_n + 1], the last of each: the latest version that a record had got */
    uint32_t states_n, states_room;
    uint64_t working[CONTENTS_KEYS_MAX + 1]; /* of the transaction that is being made, likewise */
    uint32_t visible;                        /* the state that readers see */
    uint32_t durable;                        /* the one that the machine's next life begins with */
    struct states first_visible, first_durable; /* before the log's first entry: it is one of them */
};

/* No state yet, and no store. */
void oracle_begin(struct oracle *oracle, uint32_t keys_n);
void oracle_drop(struct oracle *oracle);

/* The working contents become a state; its number. */
uint32_t oracle_add(struct oracle *oracle);
const uint64_t *oracle_state(const struct oracle *oracle, uint32_t state);
/* Working goes on from this state: what is not published is forgotten. */
void oracle_return_to(struct oracle *oracle, uint32_t state);

/* A record that a store took is in the working contents.  0 or WRONG: its version is not a new one. */
int oracle_put(struct oracle *oracle, uint32_t key, const struct store_record *record, uint64_t version);

/* -- After a crash ----------------------------------------------------------------------------------- */

void states_also(struct states *states, uint32_t state);
void states_only(struct states *states, uint32_t state);

struct expected {
    const struct oracle *oracle;
    struct states states;
};

/* What may be found when the machine, or (is_death) the process, dies behind the log's first `point` entries. */
struct expected oracle_expect(const struct oracle *oracle, const struct log *log, uint32_t point, bool is_death);
bool expected_has(const struct expected *expected, uint32_t state);
/* Which of them it is.  0 or WRONG, with a text that says what is next to it. */
int expected_match(const struct expected *expected, const uint64_t *marks, uint32_t *ret_state);
/* One number for the states' contents. */
uint64_t expected_hash(const struct expected *expected);

#endif
