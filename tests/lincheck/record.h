/* SPDX-License-Identifier: MIT
 *
 * Real histories: processes at work on one map, some of them killed and followed by others.
 */
#ifndef TESTS_LINCHECK_RECORD_H
#define TESTS_LINCHECK_RECORD_H

#include "lincheck/history.h"

struct recording {
    uint64_t seed;
    uint32_t processes, keys_n, calls_n; /* calls of each process */
    uint32_t kills;                      /* SIGKILL at random instants; each victim is followed by another */
    uint32_t walk_one_in, yield_one_in;  /* calls.h */
    bool tight; /* in a map so full that records are moved and calls answer SHOAL_EFULL */
    bool store; /* above a store, and somebody keeps moving records there and syncs */
    bool rebuild; /* somebody keeps moving the map to other geometries */
};

/* Record one.  False: something failed outright; record_text says what. */
bool record_history(const struct recording *recording, struct history *ret_history);
const char *record_text(void);

#endif
