/* SPDX-License-Identifier: MIT
 *
 * What a walk may give (A, the weaker part): a key that was there all the while exactly once, one that was
 * absent all the while never, one twice only where it was deleted meanwhile; and values that the key had,
 * or may have had, at some instant of the walk.
 *
 * Both judgements are made from what is certain in the history, so they cannot be wrong about a good walk;
 * a bad one may pass where too much overlapped it.
 */
#ifndef TESTS_LINCHECK_WALKS_H
#define TESTS_LINCHECK_WALKS_H

#include "lincheck/history.h"

struct walks_result {
    uint64_t walks, items, bound; /* bound: keys that had to be given once, or never */
    const struct walk *bad;       /* NULL = all are good */
    uint32_t key;
    const char *why;
};

struct walks_result walks_check(const struct history *history);

/* Ways to make a walk wrong. */
enum walk_mutation { WALK_DROPPED, WALK_TWICE, WALK_STALE, WALK_PHANTOM, WALK_DELETED, WALK_MUTATIONS };
const char *walk_mutation_name(enum walk_mutation mutation);
/* False: this history offers no opportunity. */
bool walks_mutate(struct history *history, enum walk_mutation mutation, uint64_t *random);

#endif
