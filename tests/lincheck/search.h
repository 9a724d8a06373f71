/* SPDX-License-Identifier: MIT
 *
 * Is there an order of a key's operations that explains their answers?
 *
 * Wing and Gong's search with Lowe's memo, as Porcupine does it: operations are taken one after the other
 * from a list of invocations and returns; one may be taken while no return of another stands before its
 * invocation; where none fits, the last is put back.  On top of it:
 *   - an operation that changes nothing and fits is taken at once and for good: whatever order there is,
 *     it may be moved to here;
 *   - values are unique, so a value that an operation left in the list must have met is not replaced;
 *   - a pending operation that was not taken is dropped when its last moment is reached, and only where nobody met
 *     what it would have left;
 *   - the operations of a batch on one key are taken in the order of its array, as the header promises;
 *   - the operation that returns first is tried before the others, or whoever leaves the value that it must have met:
 *     of sixteen that overlap few orders matter, and an early choice without need is found wrong late;
 *   - the memo keeps 128 bits of hash of (operations taken, state) instead of the set.  Two sets of one
 *     hash (below 2^-80 for 2^24 entries) could only reject too much, never accept too much.
 */
#ifndef TESTS_LINCHECK_SEARCH_H
#define TESTS_LINCHECK_SEARCH_H

#include "lincheck/history.h"

enum verdict {
    VERDICT_ACCEPTED,
    VERDICT_REJECTED,
    VERDICT_UNDECIDED /* after SEARCH_STEPS: counts as a failure, never as accepted */
};
#define SEARCH_STEPS (400u * 1000 * 1000)

struct search_result {
    enum verdict verdict;
    bool by_versions; /* rejected because one version stood for two values: nothing was searched */
    uint32_t key;     /* where it ended otherwise than accepted */
    uint32_t taken, of;
    struct op stuck; /* the operation before whose return no order got */
    uint64_t steps;
};

/* Every key of the history; ends at the first that is not accepted. */
struct search_result search_history(const struct history *history);

#endif
