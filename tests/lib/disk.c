/* SPDX-License-Identifier: MIT */
#include "lib/disk.h"

#include <errno.h>
#include <stddef.h>

#include "store/file.h"
#include "store/page.h"

struct disk disk;

int __real_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < parts_n; i++)
        bytes += parts[i].bytes;
    if (disk.end > 0 && at + bytes > disk.end) {
        disk.refused_n++;
        return ENOSPC;
    }
    disk.calls_n++;
    disk.pages_n += bytes / PAGE_BYTES;
    return __real_file_write(file, parts, parts_n, at);
}
