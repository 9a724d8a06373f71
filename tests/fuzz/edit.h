/* SPDX-License-Identifier: MIT
 *
 * A short text of bytes that says how to damage a reference segment: small enough for a fuzzer to find its way in,
 * where a whole segment as input would be 64 KiB of which a few words count.
 *
 *   byte 0     which segment (image.h), and whether the header is signed again at the end
 *   then edits: operation | region << 4, word in the region (2 bytes), operands.  Whatever is too large is taken
 *   modulo what there is; a cut edit at the end is left out.
 */
#ifndef TESTS_FUZZ_EDIT_H
#define TESTS_FUZZ_EDIT_H

#include "fuzz/use.h"

enum edit_operation {
    EDIT_SET,       /* 8 bytes */
    EDIT_FLIP,      /* 1: the bit */
    EDIT_ZERO,
    EDIT_ONES,
    EDIT_NEIGHBOUR,
    EDIT_OFFSET,    /* its own */
    EDIT_ADD,       /* 1: signed */
    EDIT_COPY,      /* 3: region and word to copy from */
    EDIT_SLOT,      /* 3: state, the key whose fingerprint, the slot whose block and tag; of any slot */
    EDIT_SPAN,      /* 4: state, class (2), run; of any span word */
    EDIT_H,         /* 2: state and pending mark, owner; of any record */
    EDIT_PLACE,     /* 5: slot, length of the key (2), of the value (2); of any record */
    EDIT_NAME,      /* 2: the slot whose block is named, guard bit; in any attachment's words */
    EDIT_LAYOUT,    /* 4: capacity, spans, attachments, features: another header that is consistent in itself */
    EDITS
};
#define EDIT_SIGN 0x80u

/* The image, restored and edited, and what that amounts to. */
void edit_run(struct image images[IMAGE_KINDS], const uint8_t *script, size_t n, struct image **ret_image,
              struct damage *ret_damage);

#endif
