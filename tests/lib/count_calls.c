/* SPDX-License-Identifier: MIT */
#include "lib/count_calls.h"

#include "store/file.h"

struct calls calls;

int __real_file_open_directory(const char *path, bool make, int *ret_dir);
int __wrap_file_open_directory(const char *path, bool make, int *ret_dir);
int __wrap_file_open_directory(const char *path, bool make, int *ret_dir)
{
    calls.n++;
    return __real_file_open_directory(path, make, ret_dir);
}

int __real_file_open(int dir, const char *name, bool writable, int *ret_file);
int __wrap_file_open(int dir, const char *name, bool writable, int *ret_file);
int __wrap_file_open(int dir, const char *name, bool writable, int *ret_file)
{
    calls.n++;
    return __real_file_open(dir, name, writable, ret_file);
}

int __real_file_open_or_make(int dir, const char *name, int *ret_file);
int __wrap_file_open_or_make(int dir, const char *name, int *ret_file);
int __wrap_file_open_or_make(int dir, const char *name, int *ret_file)
{
    calls.n++;
    return __real_file_open_or_make(dir, name, ret_file);
}

int __real_file_read(int file, void *to, size_t bytes, uint64_t at, size_t *ret_got);
int __wrap_file_read(int file, void *to, size_t bytes, uint64_t at, size_t *ret_got);
int __wrap_file_read(int file, void *to, size_t bytes, uint64_t at, size_t *ret_got)
{
    calls.n++;
    calls.reads++;
    calls.read_bytes += bytes;
    return __real_file_read(file, to, bytes, at, ret_got);
}

int __real_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at)
{
    calls.n++;
    calls.writes++;
    for (size_t i = 0; i < parts_n; i++)
        calls.written_bytes += parts[i].bytes;
    return __real_file_write(file, parts, parts_n, at);
}

int __real_file_flush(int file);
int __wrap_file_flush(int file);
int __wrap_file_flush(int file)
{
    calls.n++;
    return __real_file_flush(file);
}

int __real_file_flush_directory(int dir);
int __wrap_file_flush_directory(int dir);
int __wrap_file_flush_directory(int dir)
{
    calls.n++;
    return __real_file_flush_directory(dir);
}

int __real_file_resize(int file, uint64_t bytes);
int __wrap_file_resize(int file, uint64_t bytes);
int __wrap_file_resize(int file, uint64_t bytes)
{
    calls.n++;
    return __real_file_resize(file, bytes);
}

int __real_file_size(int file, uint64_t *ret_bytes);
int __wrap_file_size(int file, uint64_t *ret_bytes);
int __wrap_file_size(int file, uint64_t *ret_bytes)
{
    calls.n++;
    return __real_file_size(file, ret_bytes);
}
