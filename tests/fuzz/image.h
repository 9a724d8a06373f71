/* SPDX-License-Identifier: MIT
 *
 * A reference segment, made by the library, and its file, whose bytes are damaged and put back.
 *
 * It holds keys of several sizes, an integer, keys that were deleted, and what two processes left that were killed:
 * one with a view and names in its entry, one in the middle of an insert.
 */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include "memory/segment.h"
#include "shoal/shoal.h"

#define KEYS_N 24u     /* 0 .. KEYS_LIVE - 1 are there, the rest was deleted; INTEGER is one of the former */
#define KEYS_LIVE 20u
#define KEY_INTEGER 19u
#define KEY_ROOM 256u
#define VALUE_ROOM 40000u
#define INTEGER_VALUE 7

enum image_kind {
    IMAGE_SMALL,         /* under 64 KiB: every bit can be tried */
    IMAGE_SMALL_CHECKED, /* with SHOAL_CHECKSUM and SHOAL_MTIME */
    IMAGE_LARGE,         /* 256 KiB of heap, and a value whose length stands in a word of its own */
    IMAGE_LARGE_CHECKED,
    IMAGE_KINDS
};

struct image {
    enum image_kind kind;
    char path[64];
    uint8_t *sound;  /* the bytes as they were made */
    uint8_t *bytes;  /* the file, mapped */
    uint64_t n;      /* bytes */
    uint64_t left;   /* what check counts as left by the dead: tentative slots, unreferenced blocks */
    struct segment view; /* the regions of `sound` */
    uint32_t *needed_by; /* per 8-byte word: bit k = a get of key k depends on it */
    uint8_t *summed;     /* per byte: 1 = a record's checksum covers it */
};

size_t key_make(uint32_t k, char to[KEY_ROOM]); /* its bytes */
size_t value_bytes(const struct image *image, uint32_t k);
/* Of key k, before anything is done. */
void key_value(const struct image *image, uint32_t k, uint8_t *to);

static inline bool image_is_checked(const struct image *image) { return image->kind & 1u; }
static inline bool key_is_there(uint32_t k) { return k < KEYS_LIVE; }
const char *image_name(enum image_kind kind);

void image_make(enum image_kind kind, struct image *ret_image);
void image_restore(struct image *image);
void image_free(struct image *image);

/* Header words that say where everything is; behind them words that anybody may write. */
#define IMAGE_FIXED_BYTES (offsetof(struct segment_header, checksum) + 8)
/* The header around its geometry as it stands now, with the checksum that belongs to it. */
void image_sign(struct image *image);
bool image_is_signed(const struct image *image);

/* Regions of words, in the order of the segment. */
enum region {
    REGION_HEADER, /* 0 .. 640 */
    REGION_WAIT,
    REGION_ENTRIES,
    REGION_TABLE,  /* summary and groups */
    REGION_SPANS,  /* span words, bitmaps */
    REGION_HINTS,
    REGION_HEADS,  /* the first five words of each record: H, place, long length, mtime, checksum or key */
    REGION_HEAP,
    REGIONS
};
/* How many words it has; word i's byte offset. */
uint64_t region_words(const struct image *image, enum region region);
uint64_t region_at(const struct image *image, enum region region, uint64_t word_i);

static inline uint64_t image_word(const uint8_t *bytes, uint64_t at)
{
    uint64_t w;
    memcpy(&w, bytes + at, 8);
    return w;
}

#endif
