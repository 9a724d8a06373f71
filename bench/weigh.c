/* SPDX-License-Identifier: MIT
 *
 * Memory of this process, and of files.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "weigh.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The sum of the "name <n> kB" lines of a file in /proc, bytes. */
static double kib_lines(const char *path, const char *const *names, unsigned names_n)
{
    char line[256];
    double bytes = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        for (unsigned i = 0; i < names_n; i++) {
            unsigned long kib;
            if (strncmp(line, names[i], strlen(names[i])) == 0 && sscanf(line + strlen(names[i]), " %lu kB", &kib) == 1)
                bytes += (double)kib * 1024;
        }
    fclose(file);
    return bytes;
}

double weigh_resident(void)
{
    static const char *const names[] = { "RssAnon:", "RssShmem:" };
    return kib_lines("/proc/self/status", names, sizeof names / sizeof names[0]);
}

double weigh_huge(void)
{
    static const char *const names[] = { "AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:", "Shared_Hugetlb:",
                                         "Private_Hugetlb:" };
    return kib_lines("/proc/self/smaps_rollup", names, sizeof names / sizeof names[0]);
}

double weigh_file(const char *path)
{
    struct stat stat_of;
    if (stat(path, &stat_of) != 0)
        return -1;
    if (!S_ISDIR(stat_of.st_mode))
        return (double)stat_of.st_blocks * 512;
    DIR *directory = opendir(path);
    double bytes = 0;
    for (const struct dirent *one; directory && (one = readdir(directory)) != NULL;)
        if (fstatat(dirfd(directory), one->d_name, &stat_of, 0) == 0 && S_ISREG(stat_of.st_mode))
            bytes += (double)stat_of.st_blocks * 512;
    if (directory)
        closedir(directory);
    return bytes;
}
