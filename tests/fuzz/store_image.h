/* SPDX-License-Identifier: MIT
 *
 * A small reference store with a page of every kind, whose files are damaged and put back, and every call on it
 * (guarantee E): an error, or what was put; never a signal, a hang, another value.
 */
#ifndef TESTS_FUZZ_STORE_IMAGE_H
#define TESTS_FUZZ_STORE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/page.h"

struct store_image {
    char dir[64];
    uint8_t *sound, *bytes; /* the pages as they were made; the file, mapped */
    uint64_t n;
    uint8_t *lock_sound, *lock; /* the other file: one page, filled in this life of the machine */
};

void store_image_make(struct store_image *image);
/* with_lock: the words of the lock file count; else it is gone, as behind a start of the machine. */
void store_image_restore(struct store_image *image, bool with_lock);
void store_image_free(struct store_image *image);

/* As long as the reference, or cut. */
void store_image_cut(struct store_image *image, uint64_t bytes);

/* One byte for each page: its kind, 0 = bytes of a large value, or free. */
uint8_t store_image_kind(const struct store_image *image, uint64_t page);
/* A page as it stands now gets the sum that belongs to it: it lies, and nobody can tell by its sum. */
void store_image_sign(struct store_image *image, uint64_t page);

enum store_trust {
    STORE_EXACT,  /* pages are damaged, their sums are not mended: what is answered is right */
    STORE_HARMLESS /* anything that the interface has */
};
struct store_findings {
    uint64_t refused, errors, right, reported, changed;
};
/* Opens it, asks for everything, walks, checks; unless read_only, changes it, and asks again. */
void store_image_use(struct store_image *image, enum store_trust trust, bool read_only, struct store_findings *findings);

#endif
