/* SPDX-License-Identifier: MIT
 *
 * What wordcount and its bystander write down outside the map, to be held against it later.
 *
 * Before each call the bystander notes what it is about to do (begun), after the call that it is done.
 * When it has been killed, each key holds what `done` says, or what `begun` says, and only one key,
 * that of the call in flight, may have the two differ.
 */
#ifndef SHOAL_EXAMPLES_WORDCOUNT_H
#define SHOAL_EXAMPLES_WORDCOUNT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    OWN_KEYS = 64,          /* put, replaced and deleted by the bystander: "~bystander/N" */
    NOISE_KEYS = 8,         /* incremented by it: "~noise/N"; no word begins with '~' */
    LIFE_OPERATIONS = 1000, /* acknowledged in each life before it is killed */
    VALUE_MAX = 600
};

struct ledger {
    _Atomic uint64_t number;          /* of the last operation on own keys, over all lives */
    _Atomic uint64_t begun[OWN_KEYS]; /* number of the operation; 0 = none yet */
    _Atomic uint64_t done[OWN_KEYS];
    _Atomic int64_t noise_begun[NOISE_KEYS]; /* sums */
    _Atomic int64_t noise_done[NOISE_KEYS];
};

/* Operation `number` on an own key: each eighth deletes it, the others store value_of(number). */
static inline int is_delete(uint64_t number) { return number % 8 == 7; }

/* The number, then bytes that follow from it; 8 to VALUE_MAX bytes, so that sizes go up and down. */
static inline size_t value_of(uint64_t number, unsigned char value[VALUE_MAX])
{
    size_t bytes = 8 + (size_t)(number * 2654435761u >> 7) % (VALUE_MAX - 8);
    memcpy(value, &number, 8);
    for (size_t i = 8; i < bytes; i++)
        value[i] = (unsigned char)(number * 31 + i * 7);
    return bytes;
}

static inline size_t own_key(int index, char key[32]) { return (size_t)snprintf(key, 32, "~bystander/%d", index); }

static inline size_t noise_key(int index, char key[32]) { return (size_t)snprintf(key, 32, "~noise/%d", index); }

#endif
