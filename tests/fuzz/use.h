/* SPDX-License-Identifier: MIT
 *
 * Every call of the library on a damaged segment (guarantee E).  Each answers with a code that it may answer, in a
 * bounded number of accesses, and touches nothing outside.  Beyond that:
 *
 *   a key none of whose words were touched is found, and with its value; a deleted one is missing.  Where one word was
 *   damaged, this holds too for keys that are spared while all others are written, deleted, moved and swept
 *   with checksums, what is found under a key is its value, or, after writes, one that was written
 *   a changed bit under a checksum is found by check
 *   with checksums, keys that got lost by one word are not lost without a word by check
 */
#ifndef TESTS_FUZZ_USE_H
#define TESTS_FUZZ_USE_H

#include "fuzz/image.h"

/* What was done to the bytes. */
struct damage {
    uint32_t touched; /* bit k = a word that a get of key k depends on */
    bool fixed;       /* the immutable header: opened, if its checksum is right, it promises nothing but answers */
    bool unsigned_;   /* and its checksum is not: open must refuse */
    bool summed;      /* a byte that a record's checksum covers */
    bool alone;       /* one word only, so that what got lost can be told */
};
void damage_add(struct damage *damage, const struct image *image, uint64_t word_at);

struct findings {
    uint64_t refused; /* by open */
    uint64_t lost;    /* keys that did not come out as they went in */
    uint64_t reported; /* problems by check, and what it counts as left behind */
    uint64_t kept;    /* keys that came out right although others were damaged */
};

/* Open the image with these flags, do everything, close. */
void use_image(const struct image *image, const struct damage *damage, unsigned flags, struct findings *findings);

#endif
