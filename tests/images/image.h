/* SPDX-License-Identifier: MIT
 *
 * A directory that is made to look like a disk, again and again: only what differs is written.
 */
#ifndef TESTS_IMAGES_IMAGE_H
#define TESTS_IMAGES_IMAGE_H

#include "images/disk.h"

#define IMAGE_PATH_BYTES 128u

struct image {
    char path[IMAGE_PATH_BYTES];
    struct disk there; /* what it holds */
    uint64_t puts_n;
};

/* The folder in which directories are, on /dev/shm where there is one: made; and gone, with all in it. */
void image_scratch(void);
void image_sweep(void);

/* A directory of this name, not there yet. */
void image_begin(struct image *image, const char *name);
void image_drop(struct image *image);

/* Nothing is pending on the disk.  lock NULL: there is no lock file. */
void image_put(struct image *image, const struct disk *disk, const uint8_t *lock, size_t lock_bytes);

/* A store has worked on it, and this is the log. */
void image_absorb(struct image *image, const struct log *log);

#endif
