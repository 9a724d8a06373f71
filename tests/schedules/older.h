/* SPDX-License-Identifier: MIT
 *
 * Which older values a load may return: a view machine.  Each word's values are numbered in the order they
 * were stored; a process's view says for each word which one it knows of at least.  A release store carries
 * the storer's view (a relaxed one that of its last release fence, an RMW also that of what it replaced), an
 * acquire load takes it over (a relaxed one at the next acquire fence).
 *
 * seq_cst: the order in which the accesses are made is C11's order S.  A seq_cst load sees the last seq_cst
 * store to its word or what was stored behind it: a store of another order it need not see, unless its process
 * knows of it.  So a store that should be seq_cst and is not can be missed by a load that is, and the other way
 * round.  A seq_cst fence makes what is known before it seq_cst, and what was seq_cst before it known.
 *
 * Fewer values than C11 allows: a failed CAS sees the newest; a load never returns a value that is stored later;
 * a word's values are ordered as their stores were made.
 */
#ifndef SCHEDULES_OLDER_H
#define SCHEDULES_OLDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define OLDER_WORDS 1000u /* words that are touched by two */
#define OLDER_MOST 6u     /* older values offered for one load */

void older_reset(uint32_t words_n);
/* How many older values a load of word `id` may return. */
uint32_t older_n(uint32_t proc, uint32_t id, memory_order order);
/* The load returns the value that is `age` older than the newest, which is `newest`. */
uint64_t older_load(uint32_t proc, uint32_t id, memory_order order, uint32_t age, uint64_t newest);
/* Before a store or a successful RMW over the value `old`. */
void older_store(uint32_t proc, uint32_t id, memory_order order, bool rmw, uint64_t old);
/* What an operation did is known to whoever begins one behind its end: they may have told each other. */
void older_op_began(uint32_t proc);
void older_op_ended(uint32_t proc);
void older_fence(uint32_t proc, memory_order order);

#endif
