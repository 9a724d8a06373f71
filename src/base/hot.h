/* SPDX-License-Identifier: MIT
 *
 * For the few functions that every call runs through: a processor overlaps the misses of one call with those of the next
 * only as far as its window of some hundred instructions reaches, so what they do not do counts as much as what they do.
 */
#ifndef SHOAL_BASE_HOT_H
#define SHOAL_BASE_HOT_H

#define HOT_INLINE static inline __attribute__((always_inline))
#define COLD __attribute__((noinline, cold))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
