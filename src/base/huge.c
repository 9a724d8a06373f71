/* SPDX-License-Identifier: MIT */
#include "base/huge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

/* "ShmemPmdMapped:   2048 kB", or FilePmdMapped */
static uint64_t huge_line(const char *line)
{
    uint64_t kib;
    return sscanf(line, "ShmemPmdMapped: %" SCNu64, &kib) == 1 || sscanf(line, "FilePmdMapped: %" SCNu64, &kib) == 1
               ? kib * 1024
               : 0;
}

uint64_t huge_got(const void *at, uint64_t bytes)
{
    const uint64_t from = (uintptr_t)at, end = from + bytes;
    uint64_t begins, ends, got = 0;
    char line[512];
    bool ours = false;
    int keep = errno;
    FILE *maps = fopen("/proc/self/smaps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &begins, &ends) == 2)
            ours = begins < end && ends > from;
        else if (ours)
            got += huge_line(line);
    }
    if (maps != NULL)
        (void)fclose(maps);
    errno = keep;
    return got;
}
