/* SPDX-License-Identifier: MIT
 *
 * What one key is, and what each operation does to it when it runs alone: the specification (A).
 *
 * What may be concluded from a version: it is 0 exactly where the key is absent, and two equal ones tell of
 * one incarnation of a value.  Values being unique, a version that some operation showed together with a
 * value stands for that value; of another it says only that the key is there.  Two different ones tell
 * nothing where records may have been moved, else of two incarnations.
 */
#ifndef TESTS_LINCHECK_MODEL_H
#define TESTS_LINCHECK_MODEL_H

#include "lincheck/history.h"

struct state {
    uint64_t value; /* 0 = absent: no value is 0 */
    uint32_t bytes;
    uint8_t type;
};

/* The values that the versions in an operation stand for; 0 = unknown. */
struct stands_for {
    uint64_t seen, version;
};

/* Version -> key and value, over a whole history. */
struct versions {
    struct version_entry {
        uint64_t version, value;
        uint32_t key;
    } *entry;
    uint32_t room, n;
};

/* False: one version stands for two values (or, where nothing moves, two for one) on *ret_key. */
bool versions_learn(struct versions *versions, const struct history *history, uint32_t *ret_key);
uint64_t versions_value(const struct versions *versions, uint64_t version);
/* A version that stands for this value; 0 = none was shown. */
uint64_t versions_of(const struct history *history, uint64_t value);
void versions_free(struct versions *versions);

/* The operation on that state.  False: it cannot have answered so there.  For a pending one, false: it
 * changes nothing there. */
bool model_step(const struct op *op, const struct stands_for *stands, bool moves, const struct state *state,
                struct state *ret);

/* The value that the operation must have met; 0 = none in particular. */
uint64_t model_needs(const struct op *op, const struct stands_for *stands);

#endif
