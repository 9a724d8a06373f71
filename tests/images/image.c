/* SPDX-License-Identifier: MIT
 *
 * A directory that is made to look like a disk (image.h).
 */
#include "images/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fail.h"

#define BLOCK 4096u
#define LOOK_AGAIN_EACH 512u

static char scratch[64];

/* -- The folder -------------------------------------------------------------------------------------- */

void image_scratch(void)
{
    const bool is_shm = access("/dev/shm", W_OK) == 0;
    (void)snprintf(scratch, sizeof scratch, "%s/shoal-images.%d", is_shm ? "/dev/shm" : "/tmp", (int)getpid());
    require(mkdir(scratch, 0700) == 0, "%s: %s", scratch, strerror(errno));
}

void image_begin(struct image *image, const char *name)
{
    *image = (struct image){ .puts_n = 0 };
    (void)snprintf(image->path, sizeof image->path, "%s/%s", scratch, name);
}

static void empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(path);
}

void image_drop(struct image *image)
{
    empty(image->path);
    disk_drop(&image->there);
}

void image_sweep(void)
{
    DIR *dir = opendir(scratch);
    struct dirent *entry;
    char path[sizeof scratch + NAME_MAX + 2];
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", scratch, entry->d_name);
        if (entry->d_name[0] != '.')
            empty(path);
    }
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(scratch);
}

/* -- Files ------------------------------------------------------------------------------------------- */

static void write_all(int fd, const uint8_t *bytes, size_t n, size_t at)
{
    require(pwrite(fd, bytes, n, (off_t)at) == (ssize_t)n, "%zu bytes at %zu: %s", n, at, strerror(errno));
}

/* Blocks of `to` that are not the same in `from`, neighbours in one call. */
static void write_differences(int fd, const struct disk_file *from, const struct disk_file *to)
{
    size_t begin = 0, end = 0; /* what is to be written */
    for (size_t at = 0; at < to->size; at += BLOCK) {
        const size_t n = to->size - at < BLOCK ? to->size - at : BLOCK;
        if (at + n <= from->size && memcmp(from->bytes + at, to->bytes + at, n) == 0)
            continue;
        if (at != end) {
            if (end > begin)
                write_all(fd, to->bytes + begin, end - begin, begin);
            begin = at;
        }
        end = at + n;
    }
    if (end > begin)
        write_all(fd, to->bytes + begin, end - begin, begin);
}

static void put_file(int dir, const char *name, const struct disk_file *from, const struct disk_file *to)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    require(fd >= 0, "%s: %s", name, strerror(errno));
    if (to->size < from->size)
        require(ftruncate(fd, (off_t)to->size) == 0, "%s: %s", name, strerror(errno));
    write_differences(fd, from, to);
    close(fd);
}

/* The shadow is what the file holds: all that a store writes passes by the recorder. */
static void look_again(int dir, const char *name, const struct disk_file *file)
{
    uint8_t block[BLOCK];
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    require(fd >= 0, "%s: %s", name, strerror(errno));
    for (size_t at = 0; at < file->size; at += BLOCK) {
        const size_t n = file->size - at < BLOCK ? file->size - at : BLOCK;
        require(read(fd, block, n) == (ssize_t)n && memcmp(block, file->bytes + at, n) == 0,
                "%s differs at %zu: it was written behind the recorder's back", name, at);
    }
    require(read(fd, block, 1) == 0, "%s is longer than %zu", name, file->size);
    close(fd);
}

static void put_lock(int dir, const uint8_t *lock, size_t bytes)
{
    (void)unlinkat(dir, "lock", 0);
    if (lock == NULL)
        return;
    int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(fd >= 0, "lock: %s", strerror(errno));
    write_all(fd, lock, bytes, 0);
    close(fd);
}

void image_put(struct image *image, const struct disk *disk, const uint8_t *lock, size_t lock_bytes)
{
    static const struct disk_file nothing;
    if (!disk->is_there) {
        empty(image->path);
        disk_copy(&(struct disk){ .is_there = false }, &image->there);
        return;
    }
    require(mkdir(image->path, 0700) == 0 || errno == EEXIST, "%s: %s", image->path, strerror(errno));
    int dir = open(image->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(dir >= 0, "%s: %s", image->path, strerror(errno));
    for (uint32_t i = 0; i < image->there.names.n; i++)
        if (names_find(&disk->names, image->there.names.at[i].name) == NO_FILE)
            (void)unlinkat(dir, image->there.names.at[i].name, 0);
    const bool is_again = ++image->puts_n % LOOK_AGAIN_EACH == 0;
    for (uint32_t i = 0; i < disk->names.n; i++) {
        const char *name = disk->names.at[i].name;
        const uint32_t had = names_find(&image->there.names, name);
        const struct disk_file *file = &disk->file[disk->names.at[i].file];
        put_file(dir, name, had == NO_FILE ? &nothing : &image->there.file[had], file);
        if (is_again)
            look_again(dir, name, file);
    }
    put_lock(dir, lock, lock_bytes);
    close(dir);
    disk_copy(disk, &image->there);
}

void image_absorb(struct image *image, const struct log *log)
{
    for (uint32_t i = 0; i < log->n; i++)
        disk_advance(&image->there, log, i);
    disk_settle(&image->there, NULL, 0);
}
