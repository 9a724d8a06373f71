/* SPDX-License-Identifier: MIT
 *
 * A disk that counts what is written to it, and may be full: file_write, wrapped (-Wl,--wrap=file_write).
 */
#ifndef TESTS_LIB_DISK_H
#define TESTS_LIB_DISK_H

#include <stdint.h>

extern struct disk {
    uint64_t calls_n, pages_n; /* of write */
    uint64_t refused_n;        /* calls */
    uint64_t end;              /* no byte of a file from here on can be written; 0: all */
} disk;

#endif
