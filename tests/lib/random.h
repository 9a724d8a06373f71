/* SPDX-License-Identifier: MIT
 *
 * Numbers that a seed fixes (splitmix64).
 */
#ifndef TESTS_LIB_RANDOM_H
#define TESTS_LIB_RANDOM_H

#include <stdint.h>

static inline uint64_t random_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return random_mix(*state);
}

/* 0 .. n - 1 */
static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(((random_next(state) >> 32) * n) >> 32);
}

/* One of the numbers of the i-th of `stretches` equal stretches of 0 .. n - 1; stretches <= n. */
static inline uint32_t random_of_stretch(uint64_t *state, uint64_t n, uint64_t stretches, uint64_t i)
{
    const uint32_t from = (uint32_t)(i * n / stretches), to = (uint32_t)((i + 1) * n / stretches);
    return from + random_below(state, to - from);
}

#endif
