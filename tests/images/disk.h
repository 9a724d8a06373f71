/* SPDX-License-Identifier: MIT
 *
 * A disk with one store on it: what was flushed, for certain, and the operations since then, each of which the machine's
 * death may leave, drop or tear.
 */
#ifndef TESTS_IMAGES_DISK_H
#define TESTS_IMAGES_DISK_H

#include "images/log.h"

#define DISK_FILES_MAX 16u

/* What became of an operation. */
enum op_how {
    OP_KEPT,
    OP_DROPPED,
    OP_HEAD,  /* of a write: what is before the cut */
    OP_TAIL,  /* what is behind it */
    OP_HOLE,  /* the file has its length, the bytes did not come */
    OP_NOISE, /* other bytes came */
    OP_HOWS
};

struct disk_op {
    const struct log *log;
    uint32_t entry;
};

struct disk_file {
    uint8_t *bytes;
    size_t size, room;
};

struct disk {
    bool is_there; /* the store's directory */
    struct names names;
    struct disk_file file[DISK_FILES_MAX];
    uint32_t files_n;
    struct disk_op *pending; /* [pending_n], in their order */
    uint32_t pending_n, pending_room;
};

/* A zeroed one is empty, without the directory. */
void disk_drop(struct disk *disk);
/* The pending operations refer to the same logs. */
void disk_copy(const struct disk *from, struct disk *to);

/* The log's i-th entry has happened. */
void disk_advance(struct disk *disk, const struct log *log, uint32_t i);

/* A flush of the file has failed: the kernel has dropped what was pending of it, and no later flush brings it. */
void disk_lose(struct disk *disk, uint32_t file);

/* Nothing is pending any more: of each operation there is what `how` says, `cut` being its byte for heads and tails.
 * how NULL: all of them are kept. */
void disk_settle(struct disk *disk, const uint8_t *how, size_t cut);

static inline const struct log_entry *disk_op(const struct disk *disk, uint32_t i)
{
    return &disk->pending[i].log->entry[disk->pending[i].entry];
}

/* One number for all that is there. */
uint64_t disk_hash(const struct disk *disk);

#endif
