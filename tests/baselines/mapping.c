/* SPDX-License-Identifier: MIT */
#include "baselines/mapping.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mapping *mapping_of(const struct system_setup *setup, int flags, size_t bytes)
{
    struct stat st;
    struct mapping *own = calloc(1, sizeof *own);
    const int fd = shm_open(setup->name, O_RDWR | O_CLOEXEC | flags, 0600);
    if (!own || fd < 0 || (bytes && ftruncate(fd, (off_t)bytes) != 0) || fstat(fd, &st) != 0)
        goto out;
    own->bytes = (size_t)st.st_size;
    own->recoveries = setup->recoveries;
    own->at = mmap(NULL, own->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (own->at != MAP_FAILED)
        return own;
    free(own);
    return NULL;
out:
    if (fd >= 0)
        close(fd);
    free(own);
    return NULL;
}

struct mapping *mapping_create(const struct system_setup *setup, size_t bytes)
{
    return mapping_of(setup, O_CREAT | O_EXCL, bytes);
}

struct mapping *mapping_open(const struct system_setup *setup) { return mapping_of(setup, 0, 0); }

void mapping_close(void *mapping)
{
    struct mapping *own = mapping;
    munmap(own->at, own->bytes);
    free(own);
}

void mapping_unlink(const struct system_setup *setup) { shm_unlink(setup->name); }

const char *mapping_version(void)
{
    static char text[64];
    snprintf(text, sizeof text, "glibc %s", gnu_get_libc_version());
    return text;
}
