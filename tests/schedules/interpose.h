/* SPDX-License-Identifier: MIT
 *
 * Included before everything else where the library is built for this suite: every C11 atomic operation
 * of its sources becomes a call of explore.c, with its address and its memory order.  The library's text is
 * the one that ships; only what the names of <stdatomic.h> mean is another.
 */
#ifndef SCHEDULES_INTERPOSE_H
#define SCHEDULES_INTERPOSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum schedule_rmw { SCHEDULE_ADD, SCHEDULE_OR, SCHEDULE_AND, SCHEDULE_SWAP };

uint64_t schedule_load(const volatile void *at, size_t bytes, memory_order order);
void schedule_store(volatile void *at, size_t bytes, uint64_t value, memory_order order);
bool schedule_cas(volatile void *at, size_t bytes, void *expected, uint64_t desired, memory_order order,
                  memory_order failed);
uint64_t schedule_rmw(volatile void *at, size_t bytes, enum schedule_rmw op, uint64_t value, memory_order order);
void schedule_fence(memory_order order);

/* The comma takes _Atomic off the type. */
#define SCHEDULE_TYPE(p) __typeof__((void)0, *(p))

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_thread_fence
#define atomic_load_explicit(p, order) \
    ((SCHEDULE_TYPE(p))schedule_load((const volatile void *)(p), sizeof *(p), order))
#define atomic_store_explicit(p, v, order) schedule_store((volatile void *)(p), sizeof *(p), (uint64_t)(v), order)
#define atomic_compare_exchange_strong_explicit(p, expected, desired, order, failed) \
    schedule_cas((volatile void *)(p), sizeof *(p), expected, (uint64_t)(desired), order, failed)
#define SCHEDULE_RMW(p, op, v, order) \
    ((SCHEDULE_TYPE(p))schedule_rmw((volatile void *)(p), sizeof *(p), op, (uint64_t)(v), order))
#define atomic_exchange_explicit(p, v, order) SCHEDULE_RMW(p, SCHEDULE_SWAP, v, order)
#define atomic_fetch_add_explicit(p, v, order) SCHEDULE_RMW(p, SCHEDULE_ADD, v, order)
#define atomic_fetch_or_explicit(p, v, order) SCHEDULE_RMW(p, SCHEDULE_OR, v, order)
#define atomic_fetch_and_explicit(p, v, order) SCHEDULE_RMW(p, SCHEDULE_AND, v, order)
#define atomic_thread_fence(order) schedule_fence(order)

#endif
