/* SPDX-License-Identifier: MIT
 *
 * Every system call on the store's files, and nothing else: tests record, fail, tear and replay here.
 *
 * Each returns 0 or an errno value, and leaves errno alone.  EINTR is not seen outside.
 */
#ifndef SHOAL_STORE_FILE_H
#define SHOAL_STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A directory, to name files in.  Made where it is missing and `make`; its parent must exist. */
int file_open_directory(const char *path, bool make, int *ret_dir);

int file_open(int dir, const char *name, bool writable, int *ret_file);
/* The same, made empty where it is missing.  Its mode is that of the directory, less the right to search. */
int file_open_or_make(int dir, const char *name, int *ret_file);

/* The same, made anew and empty; one that has the name goes. */
int file_make(int dir, const char *name, int *ret_file);
/* The file of that name gets the other name at once; one that had it goes. */
int file_rename(int dir, const char *name, const char *to);

/* *ret_got < bytes only at the file's end. */
int file_read(int file, void *to, size_t bytes, uint64_t at, size_t *ret_got);

struct file_part {
    const void *from;
    size_t bytes;
};
/* The parts one behind the other.  After a failure any of it may be written. */
int file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);

/* What was written is on disk, with the size that it needs. */
int file_flush(int file);
/* What was named is on disk. */
int file_flush_directory(int dir);

/* Longer or shorter. */
int file_resize(int file, uint64_t bytes);
int file_size(int file, uint64_t *ret_bytes);

void file_close(int file);

/* The machine's present life, as the kernel names it. */
#define FILE_BOOT_BYTES 16
int file_boot(uint8_t ret_boot[FILE_BOOT_BYTES]);

#endif
