/* SPDX-License-Identifier: MIT
 *
 * System calls that do not do all of their work (interrupt.h).
 */
#include "images/interrupt.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "lib/random.h"

static uint64_t chance, interrupted_n;

void interrupt_begin(uint64_t seed) { chance = seed; }
uint64_t interrupt_n(void) { return interrupted_n; }

static bool happens(void)
{
    bool is = chance != 0 && random_below(&chance, 3) == 0;
    interrupted_n += is;
    return is;
}

static int interrupted(void)
{
    errno = EINTR;
    return -1;
}

/* 1 .. n */
static size_t part_of(size_t n) { return 1 + (size_t)(random_next(&chance) % n); }

ssize_t __real_pread(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at)
{
    if (happens())
        return interrupted();
    return __real_pread(fd, to, n > 0 && happens() ? part_of(n) : n, at);
}

ssize_t __real_pwritev(int fd, const struct iovec *parts, int parts_n, off_t at);
ssize_t __wrap_pwritev(int fd, const struct iovec *parts, int parts_n, off_t at);
ssize_t __wrap_pwritev(int fd, const struct iovec *parts, int parts_n, off_t at)
{
    if (happens())
        return interrupted();
    if (parts_n < 1 || parts[0].iov_len == 0 || !happens())
        return __real_pwritev(fd, parts, parts_n, at);
    const int whole_n = (int)random_below(&chance, (uint32_t)parts_n);
    if (whole_n > 0)
        return __real_pwritev(fd, parts, whole_n, at);
    const struct iovec part = { parts[0].iov_base, part_of(parts[0].iov_len) };
    return __real_pwritev(fd, &part, 1, at);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd) { return happens() ? interrupted() : __real_fdatasync(fd); }

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) { return happens() ? interrupted() : __real_fsync(fd); }

int __real_ftruncate(int fd, off_t bytes);
int __wrap_ftruncate(int fd, off_t bytes);
int __wrap_ftruncate(int fd, off_t bytes) { return happens() ? interrupted() : __real_ftruncate(fd, bytes); }
