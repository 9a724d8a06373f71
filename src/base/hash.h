/* SPDX-License-Identifier: MIT
 *
 * XXH3-64 with the map's seed, and how a hash is cut up.
 */
#ifndef SHOAL_BASE_HASH_H
#define SHOAL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hot.h"

static inline uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, n, seed);
}

/* The same, without a call for the lengths that keys mostly have. */
HOT_INLINE uint64_t hash_key(const void *bytes, size_t n, uint64_t seed)
{
#ifdef HASH_9_TO_16
    if (n - 9 <= 7)
        return XXH3_len_9to16_64b(bytes, n, XXH3_kSecret, seed);
#endif
    return hash_bytes(bytes, n, seed);
}

/* The top bits choose the home: (hash * n) >> 64 needs no division and keeps the order of the hashes. */
static inline uint64_t hash_home(uint64_t hash, uint64_t groups_n)
{
    return (uint64_t)(((unsigned __int128)hash * groups_n) >> 64);
}
/* The low bits tell keys of one home apart. */
static inline uint32_t hash_finger(uint64_t hash) { return (uint32_t)hash & 0xfffu; }
static inline uint32_t hash_bucket(uint64_t hash) { return (uint32_t)(hash >> 12) & 0xffu; }

#endif
