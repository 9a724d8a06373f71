/* SPDX-License-Identifier: MIT
 *
 * The ways in which a process or a machine can die at one point of a log, numbered.
 */
#ifndef TESTS_IMAGES_CRASH_H
#define TESTS_IMAGES_CRASH_H

#include "images/disk.h"

/* As it was after the last entry, before the next, before the last one; other bytes, fewer bytes, no bytes. */
enum crash_lock { LOCK_ABSENT, LOCK_AFTER, LOCK_NEXT, LOCK_BEFORE, LOCK_NOISE, LOCK_SHORT, LOCK_EMPTY };

struct crash {
    bool is_death;        /* of the process; else of the machine */
    enum crash_lock lock;
    uint8_t *how;         /* enum op_how, of each pending operation */
    uint32_t how_room;
    size_t cut;
    char text[64];
};

/* Of the first `point` entries, which the disk has seen. */
struct crash_point {
    const struct log *log;
    uint32_t point;
    const struct disk *disk;
    uint64_t seed; /* of what is left to chance */
};

uint64_t crash_deaths_n(const struct crash_point *point);  /* variants 0 .. this - 1 are of the process */
uint64_t crash_losses_n(const struct crash_point *point);  /* the others, of the machine; the first: all is kept, the
                                                              * second: all is dropped */
void crash_choose(const struct crash_point *point, uint64_t variant, struct crash *ret_crash);
void crash_drop(struct crash *crash);

/* The lock file's bytes; NULL where there is none. */
const uint8_t *crash_lock_bytes(const struct crash_point *point, enum crash_lock lock, size_t *ret_bytes);

#endif
