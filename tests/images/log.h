/* SPDX-License-Identifier: MIT
 *
 * What a store did to its files, in order, with the bytes; and what the test knows of each moment.
 *
 * The file `lock` is not in it as writes: a store works on it through a mapping.  Each entry has what the file held
 * before it and after it instead.
 */
#ifndef TESTS_IMAGES_LOG_H
#define TESTS_IMAGES_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/names.h"

enum log_kind {
    LOG_MAKE_DIRECTORY,  /* of the store itself */
    LOG_FLUSH_PARENT,    /* the directory that it is in */
    LOG_MAKE,            /* a new file has the name */
    LOG_RENAME,
    LOG_FLUSH_DIRECTORY,
    LOG_WRITE,
    LOG_RESIZE,          /* at: the size */
    LOG_FLUSH,
    LOG_FLUSH_FAILED,    /* what was pending may be read from now on and never reach the disk (disk_lose) */
    LOG_REBOOT,          /* the machine goes down in good order and comes up again: everything is on disk */
    LOG_BEGUN,           /* state, is_commit: a call that publishes it */
    LOG_RETURNED,        /* the same, and it succeeded */
};

struct log_bytes {
    size_t at, bytes; /* at 0: nothing at all */
};

struct log_entry {
    enum log_kind kind;
    uint32_t file;
    char name[NAME_BYTES], to[NAME_BYTES];
    uint64_t at;
    struct log_bytes data;
    uint32_t state;
    bool is_commit;
    struct log_bytes lock_before, lock_after;
};

struct log {
    struct log_entry *entry;
    uint32_t n, room;
    uint8_t *bytes;
    size_t bytes_n, bytes_room;
    struct names live;  /* as the running system sees the directory */
    uint32_t files_n;   /* files have numbers below it */
};

/* Empty; the files there already have the numbers below files_n and these names. */
void log_begin(struct log *log, const struct names *live, uint32_t files_n);
void log_drop(struct log *log);

struct log_bytes log_keep(struct log *log, const void *bytes, size_t bytes_n);
/* Valid until more is kept. */
static inline const uint8_t *log_data(const struct log *log, struct log_bytes data) { return log->bytes + data.at; }

/* Zeroed, at the end. */
struct log_entry *log_add(struct log *log, enum log_kind kind);

/* "write pages 4096+8192" and the like, for people. */
#define LOG_TEXT_BYTES 96u
void log_say(const struct log *log, uint32_t i, char ret_text[LOG_TEXT_BYTES]);

#endif
