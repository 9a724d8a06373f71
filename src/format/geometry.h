/* SPDX-License-Identifier: MIT
 *
 * From options to offsets, and from a header that somebody else wrote to offsets that can be trusted.
 */
#ifndef SHOAL_FORMAT_GEOMETRY_H
#define SHOAL_FORMAT_GEOMETRY_H

#include "base/hot.h"
#include "format/segment.h"
#include "shoal/shoal.h"

/* How blocks of one class lie in a run of spans. */
struct block_class {
    uint32_t bytes;     /* of a block */
    uint32_t run;       /* spans */
    uint32_t blocks_n;  /* in a run */
    uint32_t first;     /* byte of the first block: behind the bitmap where that has more than 64 bits */
    uint32_t bitmap_n;  /* u64 words of the bitmap */
    uint32_t reserved;
    uint64_t inverse;   /* ceil(2^40 / bytes): x / bytes == x * inverse >> 40 for x < 2^24 that are multiples */
};

#define CLASSES_MAX 400u
#define SMALL_STEP 8u
#define SMALL_MIN 24u  /* header and one word of key */
#define SMALL_MAX 512u /* exact sizes up to here */

/* The classes of a heap; the same for every process that maps it. */
struct classes {
    uint32_t n;       /* classes 0 .. n - 1; n is CLASS "big": one block in a run of its own */
    uint32_t run_max;
    struct block_class of[CLASSES_MAX];
};

void classes_plan(uint64_t span_bytes, uint64_t spans_n, struct classes *ret_classes);
/* The smallest class that takes `bytes`; classes->n = big. */
uint32_t classes_find_medium(const struct classes *classes, uint64_t bytes);
HOT_INLINE uint32_t classes_find(const struct classes *classes, uint64_t bytes)
{
    if (UNLIKELY(bytes > SMALL_MAX))
        return classes_find_medium(classes, bytes);
    return bytes <= SMALL_MIN ? 0 : (uint32_t)(bytes - SMALL_MIN + SMALL_STEP - 1) / SMALL_STEP;
}

/* Bytes of a record. */
HOT_INLINE uint64_t record_bytes(uint64_t features, uint64_t key_bytes, uint64_t value_bytes, bool typed)
{
    uint64_t extra = (uint64_t)(value_bytes >= VALUE_LONG) + (uint64_t)!!(features & FEATURE_STORE) +
                     (uint64_t)!!(features & FEATURE_EXPIRY) + (uint64_t)!!(features & FEATURE_MTIME) +
                     (uint64_t)!!(features & FEATURE_CHECKSUM);
    return RECORD_HEADER + extra * 8 + (key_bytes + typed + 7) / 8 * 8 + (value_bytes + 7) / 8 * 8;
}

/* Fill in everything but seed, salt and created_ns.  0, or SHOAL_EINVAL with a text. */
int geometry_plan(const struct shoal_options *options, struct geometry *ret_geometry);

/* Build the header's immutable part around a geometry, and its mutable initial values.  store: its path, shorter than
 * STORE_PATH_BYTES, or "". */
void geometry_header(const struct geometry *geometry, const char *store, struct segment_header *ret_header);

/* Judge a header that was read from a file of file_bytes.  `name` is for the text.
 * 0, SHOAL_ECORRUPT, SHOAL_EVERSION. */
int geometry_check(const char *name, const struct segment_header *header, uint64_t file_bytes,
                   struct geometry *ret_geometry);

#endif
