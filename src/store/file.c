/* SPDX-License-Identifier: MIT
 *
 * System calls on the store's files (file.h).
 */
#include "store/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/os.h"

#define PARTS_AT_ONCE 256
static_assert(PARTS_AT_ONCE <= IOV_MAX, "one call takes them");

/* The errno of what has just failed, with errno as it was. */
static int failed(int keep)
{
    int why = errno;
    errno = keep;
    return why;
}

/* -- Names ----------------------------------------------------------------------------------------------- */

int file_open_directory(const char *path, bool make, int *ret_dir)
{
    int keep = errno;
    if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
        return failed(keep);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return failed(keep);
    *ret_dir = dir;
    errno = keep;
    return 0;
}

static int open_with(int dir, const char *name, int flags, mode_t mode, int *ret_file)
{
    int keep = errno, file;
    do
        file = openat(dir, name, flags | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, mode);
    while (file < 0 && errno == EINTR);
    if (file < 0)
        return failed(keep);
    *ret_file = file;
    errno = keep;
    return 0;
}

int file_open(int dir, const char *name, bool writable, int *ret_file)
{
    return open_with(dir, name, writable ? O_RDWR : O_RDONLY, 0, ret_file);
}

/* Who may list the directory may read the store in it, who may write to the one may write to the other. */
static mode_t mode_in(int dir)
{
    struct stat st;
    return fstat(dir, &st) == 0 ? st.st_mode & 0666 : 0600;
}

/* The umask must not decide who of a group can write to a store: set again where it was narrower. */
static void widen(int file, mode_t mode)
{
    int keep = errno;
    (void)fchmod(file, mode);
    errno = keep;
}

int file_open_or_make(int dir, const char *name, int *ret_file)
{
    int why = open_with(dir, name, O_RDWR, 0, ret_file); /* as nearly always */
    if (why != ENOENT)
        return why;
    mode_t mode = mode_in(dir);
    why = open_with(dir, name, O_RDWR | O_CREAT | O_EXCL, mode, ret_file);
    if (why == 0)
        widen(*ret_file, mode);
    return why == EEXIST ? open_with(dir, name, O_RDWR, 0, ret_file) : why;
}

int file_make(int dir, const char *name, int *ret_file)
{
    mode_t mode = mode_in(dir);
    int keep = errno;
    if (unlinkat(dir, name, 0) != 0 && errno != ENOENT)
        return failed(keep);
    errno = keep;
    int why = open_with(dir, name, O_RDWR | O_CREAT | O_EXCL, mode, ret_file);
    if (why == 0)
        widen(*ret_file, mode);
    return why;
}

int file_rename(int dir, const char *name, const char *to)
{
    int keep = errno;
    if (renameat(dir, name, dir, to) != 0)
        return failed(keep);
    return 0;
}

void file_close(int file)
{
    int keep = errno;
    if (file >= 0)
        (void)close(file);
    errno = keep;
}

/* -- Bytes ----------------------------------------------------------------------------------------------- */

int file_read(int file, void *to, size_t bytes, uint64_t at, size_t *ret_got)
{
    int keep = errno;
    uint8_t *next = to;
    size_t got = 0;
    if (at > INT64_MAX - bytes)
        return EOVERFLOW;
    while (got < bytes) {
        ssize_t n = pread(file, next + got, bytes - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(keep);
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *ret_got = got;
    errno = keep;
    return 0;
}

/* One call that may write less: the rest is left in `vector`. */
static int write_some(int file, struct iovec *vector, size_t n, size_t *io_done, uint64_t *io_at)
{
    ssize_t wrote = pwritev(file, vector + *io_done, (int)(n - *io_done), (off_t)*io_at);
    if (wrote < 0)
        return errno == EINTR ? 0 : errno;
    if (wrote == 0)
        return EIO; /* no file of pages writes nothing of something */
    *io_at += (uint64_t)wrote;
    size_t left = (size_t)wrote;
    while (*io_done < n && left >= vector[*io_done].iov_len)
        left -= vector[(*io_done)++].iov_len;
    if (left > 0) {
        vector[*io_done].iov_base = (uint8_t *)vector[*io_done].iov_base + left;
        vector[*io_done].iov_len -= left;
    }
    return 0;
}

int file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at)
{
    struct iovec vector[PARTS_AT_ONCE];
    int keep = errno, why = 0;
    for (size_t i = 0; i < parts_n && why == 0;) {
        size_t n = 0, done = 0;
        for (; n < PARTS_AT_ONCE && i < parts_n; i++)
            if (parts[i].bytes > 0)
                vector[n++] = (struct iovec){ (void *)(uintptr_t)parts[i].from, parts[i].bytes };
        while (done < n && why == 0)
            why = write_some(file, vector, n, &done, &at);
    }
    errno = keep;
    return why;
}

/* One call of these, again after a signal. */
static int finished(int call(int file, uint64_t bytes), int file, uint64_t bytes)
{
    int keep = errno, result;
    do
        result = call(file, bytes);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        return failed(keep);
    errno = keep;
    return 0;
}

static int flush_data(int file, uint64_t unused) { return (void)unused, fdatasync(file); }
static int flush_names(int dir, uint64_t unused) { return (void)unused, fsync(dir); }
static int resize(int file, uint64_t bytes) { return ftruncate(file, (off_t)bytes); }

int file_flush(int file) { return finished(flush_data, file, 0); }
int file_flush_directory(int dir) { return finished(flush_names, dir, 0); }
int file_resize(int file, uint64_t bytes) { return bytes > INT64_MAX ? EFBIG : finished(resize, file, bytes); }

int file_size(int file, uint64_t *ret_bytes)
{
    struct stat st;
    int keep = errno;
    if (fstat(file, &st) != 0)
        return failed(keep);
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

/* -- The machine ----------------------------------------------------------------------------------------- */

static_assert(FILE_BOOT_BYTES == OS_BOOT_BYTES, "the same name");
int file_boot(uint8_t ret_boot[FILE_BOOT_BYTES]) { return os_boot(ret_boot); }
