/* SPDX-License-Identifier: MIT
 *
 * What a store must hold (oracle.h).
 */
#include "images/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "images/wrong.h"
#include "lib/fail.h"
#include "lib/random.h"

static size_t row(const struct oracle *oracle) { return oracle->keys_n + 1; }

void oracle_begin(struct oracle *oracle, uint32_t keys_n)
{
    require(keys_n <= CONTENTS_KEYS_MAX, "%u keys", keys_n);
    oracle->keys_n = keys_n;
    oracle->states_n = oracle->states_room = 0;
    oracle->visible = oracle->durable = NO_STORE;
    states_only(&oracle->first_visible, NO_STORE);
    states_only(&oracle->first_durable, NO_STORE);
    memset(oracle->working, 0, sizeof oracle->working);
}

void oracle_drop(struct oracle *oracle)
{
    free(oracle->marks);
    *oracle = (struct oracle){ 0 };
}

uint32_t oracle_add(struct oracle *oracle)
{
    if (oracle->states_n == oracle->states_room) {
        oracle->states_room = oracle->states_room == 0 ? 16 : 2 * oracle->states_room;
        oracle->marks = realloc(oracle->marks, oracle->states_room * row(oracle) * sizeof *oracle->marks);
        require(oracle->marks != NULL, "no memory for %u states", oracle->states_room);
    }
    memcpy(oracle->marks + oracle->states_n * row(oracle), oracle->working, row(oracle) * sizeof *oracle->marks);
    return oracle->states_n++;
}

const uint64_t *oracle_state(const struct oracle *oracle, uint32_t state)
{
    require(state < oracle->states_n, "state %u of %u", state, oracle->states_n);
    return oracle->marks + state * row(oracle);
}

void oracle_return_to(struct oracle *oracle, uint32_t state)
{
    memcpy(oracle->working, oracle_state(oracle, state), row(oracle) * sizeof *oracle->working);
}

int oracle_put(struct oracle *oracle, uint32_t key, const struct store_record *record, uint64_t version)
{
    struct store_record kept = *record;
    uint64_t *last = &oracle->working[oracle->keys_n];
    if (version <= *last)
        return wrong("key %u gets version %llu, after %llu", key, (unsigned long long)version,
                     (unsigned long long)*last);
    kept.version = *last = version;
    oracle->working[key] = contents_mark(key, &kept);
    return 0;
}

/* -- After a crash ----------------------------------------------------------------------------------- */

static bool has(const struct states *states, uint32_t state)
{
    for (uint32_t i = 0; i < states->n; i++)
        if (states->state[i] == state)
            return true;
    return false;
}

void states_also(struct states *states, uint32_t state)
{
    if (has(states, state))
        return;
    require(states->n < STATES_MAX, "%u states may be found", states->n);
    states->state[states->n++] = state;
}

void states_only(struct states *states, uint32_t state)
{
    states->state[0] = state;
    states->n = 1;
}

/* A call that has begun may have done its work, whether it goes on or has failed; one that has succeeded has. */
struct expected oracle_expect(const struct oracle *oracle, const struct log *log, uint32_t point, bool is_death)
{
    struct states visible = oracle->first_visible, durable = oracle->first_durable;
    for (uint32_t i = 0; i < point; i++) {
        const struct log_entry *entry = &log->entry[i];
        if (entry->kind == LOG_BEGUN) {
            states_also(&visible, entry->state);
            if (entry->is_commit)
                states_also(&durable, entry->state);
        } else if (entry->kind == LOG_RETURNED) {
            states_only(&visible, entry->state);
            if (entry->is_commit)
                states_only(&durable, entry->state);
        } else if (entry->kind == LOG_REBOOT) {
            visible = durable;
        }
    }
    return (struct expected){ oracle, is_death ? visible : durable };
}

bool expected_has(const struct expected *expected, uint32_t state) { return has(&expected->states, state); }

static uint32_t differing(const struct oracle *oracle, uint32_t state, const uint64_t *marks, uint32_t *ret_key)
{
    const uint64_t *wanted = oracle_state(oracle, state);
    uint32_t n = 0;
    for (uint32_t i = 0; i < oracle->keys_n; i++)
        if (wanted[i] != marks[i] && n++ == 0)
            *ret_key = i;
    return n;
}

int expected_match(const struct expected *expected, const uint64_t *marks, uint32_t *ret_state)
{
    uint32_t key = 0, n = 0, last = NO_STORE;
    for (uint32_t i = 0; i < expected->states.n; i++) {
        *ret_state = last = expected->states.state[i];
        if (last == NO_STORE)
            continue;
        n = differing(expected->oracle, last, marks, &key);
        if (n == 0)
            return 0;
    }
    if (last == NO_STORE)
        return wrong("there is a store, and nobody made one");
    for (uint32_t i = 0; i < expected->oracle->states_n; i++) {
        uint32_t ignored;
        if (differing(expected->oracle, i, marks, &ignored) == 0)
            return wrong("the contents are those of state %u, not of %u as they should", i, last);
    }
    const bool is_new = oracle_state(expected->oracle, last)[key] == 0;
    return wrong("the contents are those of no state: %u keys differ from state %u, key %u the first (%s)", n, last,
                 key, marks[key] == 0 ? "absent" : is_new ? "present" : "other");
}

uint64_t expected_hash(const struct expected *expected)
{
    uint64_t hash = expected->states.n;
    for (uint32_t i = 0; i < expected->states.n; i++) {
        const uint32_t state = expected->states.state[i];
        hash += state == NO_STORE ? random_mix(NO_STORE) :
                hash_bytes(oracle_state(expected->oracle, state), expected->oracle->keys_n * sizeof(uint64_t), 1);
    }
    return hash;
}
