/* SPDX-License-Identifier: MIT
 *
 * A map's file as bytes, beside the map itself: to compare what a failed call must not change, and to
 * damage it.
 */
#ifndef TESTS_UNIT_SEGMENT_IMAGE_H
#define TESTS_UNIT_SEGMENT_IMAGE_H

#include "memory/segment.h"
#include "unit/frame.h"

/* The file, mapped once more, by its own geometry. */
struct image {
    uint8_t *base;
    uint64_t bytes;
    struct segment segment; /* base and regions only: for segment_locate and its like */
};
void image_open(struct image *image, const char *path);
void image_close(struct image *image);

/* What must stay as it is while calls fail: everything but attachments, counters (the generation counter
 * and the hints count as such) and blocks that hold no record. */
struct snapshot {
    uint8_t *bytes;
    const struct image *image;
};
void snapshot_take(struct snapshot *snapshot, const struct image *image);
/* Fails, and says where, if a byte differs.  Frees the snapshot. */
void assert_unchanged(struct snapshot *snapshot);

/* Write a header around this geometry, with its checksum, into the file. */
void image_write_header(const char *path, const struct geometry *geometry);
/* Bytes into a file. */
void image_write(const char *path, const void *bytes, size_t n, uint64_t at);

#endif
