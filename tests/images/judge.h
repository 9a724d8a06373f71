/* SPDX-License-Identifier: MIT
 *
 * Does a store, opened as a crash left it, hold what it must, and does it work?
 */
#ifndef TESTS_IMAGES_JUDGE_H
#define TESTS_IMAGES_JUDGE_H

#include "images/image.h"
#include "images/oracle.h"

/* What was done to an image while it was judged is a log too, with an oracle, and has its own images. */
struct judge {
    struct log log;
    struct oracle oracle;
};

void judge_drop(struct judge *judge);

/* The image, in this life of the machine, holds one of `expected`.  Opened read-only and for writing, read, checked,
 * written to, opened again.  later: of a process's death; what a loss of the machine may leave as long as nothing else
 * is committed.  NULL: what was found.  chance: which of the more expensive looks are taken.  0, or WRONG with a text. */
int judge_image(struct judge *judge, struct image *image, const struct expected *expected, const struct expected *later,
                uint32_t boot, uint64_t chance);

#endif
