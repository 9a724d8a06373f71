/* SPDX-License-Identifier: MIT
 *
 * Copying between private memory and payload words, which may be another record's before the copy ends: whoever copies out
 * throws away what he has where H says so ([block-own] in atomic.h).
 *
 * By C11 these are relaxed loads and stores of 8 bytes.  Compilers make neither wider, so on x86-64 from 16 bytes on they
 * are copied by instructions of 16, the last of which, or the last four, may reach back over bytes that are copied already.
 * That is the same: a value needs no indivisible words, because a copy that a writer met is thrown away as a whole; the
 * processor keeps all loads, and all stores, in the order of the program, whatever their width; and the asm is a compiler's
 * barrier.
 * COPY_BY_WORDS: not, for who looks at every access.
 */
#ifndef SHOAL_BASE_COPY_H
#define SHOAL_BASE_COPY_H

#include <string.h>

#include "base/atomic.h"
#include "base/hot.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(ATOMIC_TSAN) && !defined(COPY_BY_WORDS)
#define COPY_WIDE 1
static inline void copy_wide_64(volatile void *to, const volatile void *from)
{
    __asm__ volatile("movups (%1), %%xmm0\n\t"
                     "movups 16(%1), %%xmm1\n\t"
                     "movups 32(%1), %%xmm2\n\t"
                     "movups 48(%1), %%xmm3\n\t"
                     "movups %%xmm0, (%0)\n\t"
                     "movups %%xmm1, 16(%0)\n\t"
                     "movups %%xmm2, 32(%0)\n\t"
                     "movups %%xmm3, 48(%0)"
                     :
                     : "r"(to), "r"(from)
                     : "memory", "xmm0", "xmm1", "xmm2", "xmm3");
}
static inline void copy_wide_16(volatile void *to, const volatile void *from)
{
    __asm__ volatile("movups (%1), %%xmm0\n\t"
                     "movups %%xmm0, (%0)"
                     :
                     : "r"(to), "r"(from)
                     : "memory", "xmm0");
}
#endif

/* The first n < 8 bytes of a word. */
HOT_INLINE void copy_bytes_of(uint64_t word, uint8_t *to, uint64_t n)
{
    const uint8_t *in = (const uint8_t *)&word;
    if (n & 4) {
        memcpy(to, in, 4);
        to += 4;
        in += 4;
    }
    if (n & 2) {
        memcpy(to, in, 2);
        to += 2;
        in += 2;
    }
    if (n & 1)
        *to = *in;
}

#ifdef COPY_WIDE
/* n >= 16 bytes; the last piece may overlap those before. */
HOT_INLINE void copy_wide(volatile void *to, const volatile void *from, uint64_t n)
{
    volatile uint8_t *out = to;
    const volatile uint8_t *in = from;
    if (n >= 64) {
        copy_wide_64(out, in);
        for (uint64_t at = 64; at < n - 64; at += 64)
            copy_wide_64(out + at, in + at);
        copy_wide_64(out + n - 64, in + n - 64);
    } else {
        for (uint64_t at = 0; at + 16 < n; at += 16)
            copy_wide_16(out + at, in + at);
        copy_wide_16(out + n - 16, in + n - 16);
    }
}
#endif

/* n bytes out of whole words; the last word is read as a whole. */
HOT_INLINE void copy_out(const shared_u64 *words, void *to, uint64_t n)
{
    uint8_t *out = to;
#ifdef COPY_WIDE
    if (n >= 16) {
        copy_wide(out, words, n);
        return;
    }
#endif
    for (; n >= 8; n -= 8, out += 8, words++) {
        uint64_t w = payload_load(words);
        memcpy(out, &w, 8);
    }
    if (n > 0)
        copy_bytes_of(payload_load(words), out, n);
}

/* n bytes into whole words, the last one padded with zeros; returns the words written. */
static inline uint64_t copy_in(shared_u64 *words, const void *from, uint64_t n)
{
    const uint8_t *in = from;
    const uint64_t words_n = (n + 7) / 8;
#ifdef COPY_WIDE
    if (n >= 16) {
        copy_wide(words, in, n & ~(uint64_t)7);
        if (n % 8 != 0) { /* of the last eight bytes those that are not there yet */
            uint64_t w;
            memcpy(&w, in + n - 8, 8);
            payload_store(&words[words_n - 1], w >> (64 - n % 8 * 8));
        }
        return words_n;
    }
#endif
    for (; n >= 8; n -= 8, in += 8) {
        uint64_t w;
        memcpy(&w, in, 8);
        payload_store(words++, w);
    }
    if (n > 0) {
        uint64_t w = 0;
        for (uint64_t i = 0; i < n; i++)
            ((uint8_t *)&w)[i] = in[i];
        payload_store(words, w);
    }
    return words_n;
}

#endif
