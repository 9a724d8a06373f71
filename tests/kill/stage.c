/* SPDX-License-Identifier: MIT
 *
 * Building and restoring the bytes that runs begin with.
 */
#include "kill/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "format/segment.h"
#include "kill/below.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/ledger.h"

static pid_t tree; /* of the first process: children keep the names */

struct stage *stage_new(void)
{
    tree = getpid();
    return child_memory(sizeof(struct stage));
}

void stage_name(uint32_t slot, char name[64])
{
    snprintf(name, 64, "shoal-kill-%d-%u", (int)tree, slot);
}

int stage_open_file(const char *name)
{
    const int fd = shm_open(name, O_RDWR | O_CLOEXEC, 0600);
    require(fd >= 0, "%s: %s", name, strerror(errno));
    return fd;
}

/* -- Keys ------------------------------------------------------------------------------------------- */

static struct geometry geometry_of(int fd)
{
    struct segment_header header;
    require(pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header, "header: %s", strerror(errno));
    return header.geometry;
}

static uint64_t home_of(int fd, const char *text, size_t bytes)
{
    const struct geometry geometry = geometry_of(fd);
    return hash_home(hash_bytes(text, bytes, geometry.seed), geometry.groups_n);
}

uint32_t stage_add_key_beside(struct stage *stage, int fd, uint32_t other, uint32_t bits)
{
    require(stage->keys_n < STAGE_KEYS, "too many keys");
    const uint64_t seed = geometry_of(fd).seed;
    const uint32_t key_i = stage->keys_n++;
    struct stage_key *key = &stage->keys[key_i];
    const uint64_t want = hash_bytes(stage->keys[other].text, stage->keys[other].bytes, seed) >> (64 - bits);
    for (uint32_t i = key_i;; i += STAGE_KEYS) {
        key->bytes = (uint32_t)snprintf(key->text, sizeof key->text, "k%06u", i);
        if (hash_bytes(key->text, key->bytes, seed) >> (64 - bits) == want)
            return key_i;
    }
}

uint32_t stage_add_key(struct stage *stage, int fd, bool same_home_as_first)
{
    require(stage->keys_n < STAGE_KEYS, "too many keys");
    const uint32_t key_i = stage->keys_n++;
    struct stage_key *key = &stage->keys[key_i];
    const uint64_t want = same_home_as_first ? home_of(fd, stage->keys[0].text, stage->keys[0].bytes) : 0;
    for (uint32_t i = key_i;; i += STAGE_KEYS) {
        key->bytes = (uint32_t)snprintf(key->text, sizeof key->text, "k%06u", i);
        if (!same_home_as_first || home_of(fd, key->text, key->bytes) == want)
            return key_i;
    }
}

static void stage_act(struct stage *stage, struct shoal *map, uint32_t key_i, const struct act *act)
{
    struct stage_key *key = &stage->keys[key_i];
    struct answer want = { 0 }, got = { 0 };
    act_apply(act, ACT_PLAINLY, &key->cell, &want);
    act_do(act, map, key->text, key->bytes, &got);
    require(act_same_answer(&want, &got), "setup: %s of key %u: %d %s", act_name(act->kind), key_i, got.code,
            got.code < 0 ? shoal_error_text() : "");
}

void stage_put(struct stage *stage, struct shoal *map, uint32_t key_i, uint64_t tag, uint32_t bytes)
{
    stage_act(stage, map, key_i, &(struct act){ .kind = ACT_PUT, .tag = tag, .bytes = bytes });
}

void stage_incr(struct stage *stage, struct shoal *map, uint32_t key_i, uint64_t delta)
{
    stage_act(stage, map, key_i, &(struct act){ .kind = ACT_INCR, .tag = delta });
}

/* -- Files ------------------------------------------------------------------------------------------- */

void stage_store_path(const char *name, char path[STAGE_PATH])
{
    snprintf(path, STAGE_PATH, "/dev/shm/%s.store", name);
}

static void file_of_store(const char *name, const char *which, char path[STAGE_PATH + 8])
{
    char directory[STAGE_PATH];
    stage_store_path(name, directory);
    snprintf(path, STAGE_PATH + 8, "%s/%s", directory, which);
}

void stage_remove_store(const char *name)
{
    char path[STAGE_PATH + 8];
    file_of_store(name, "pages", path);
    unlink(path);
    file_of_store(name, "lock", path);
    unlink(path);
    stage_store_path(name, path);
    rmdir(path);
}

static uint64_t file_take(const char *path, void *to, uint64_t room)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    require(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
    require((uint64_t)st.st_size <= room, "%s: %lld bytes", path, (long long)st.st_size);
    require(pread(fd, to, (size_t)st.st_size, 0) == (ssize_t)st.st_size, "%s: %s", path, strerror(errno));
    close(fd);
    return (uint64_t)st.st_size;
}

static void file_give(const char *path, const void *from, uint64_t bytes)
{
    unlink(path);
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(fd >= 0, "%s: %s", path, strerror(errno));
    require(pwrite(fd, from, bytes, 0) == (ssize_t)bytes, "%s: %s", path, strerror(errno));
    close(fd);
}

void stage_restore_store(const struct stage *stage, const char *name)
{
    char path[STAGE_PATH + 8];
    stage_store_path(name, path);
    require(mkdir(path, 0700) == 0 || errno == EEXIST, "%s: %s", path, strerror(errno));
    file_of_store(name, "pages", path);
    file_give(path, stage->pages, stage->pages_bytes);
    file_of_store(name, "lock", path);
    file_give(path, stage->lock, sizeof stage->lock);
}

void stage_sign_header(struct segment_header *header)
{
    header->checksum = hash_bytes(header, offsetof(struct segment_header, checksum),
                                  hash_bytes(header->store, sizeof header->store, SEGMENT_MAGIC));
}

/* The header names the store: the image's is made for another one. */
static void name_store(const char *name)
{
    struct segment_header header;
    const int fd = stage_open_file(name);
    require(pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header, "header: %s", strerror(errno));
    memset(header.store, 0, sizeof header.store);
    stage_store_path(name, header.store);
    stage_sign_header(&header);
    require(pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header, "header: %s", strerror(errno));
    close(fd);
}

/* -- Bytes ------------------------------------------------------------------------------------------- */

int stage_create(const struct shape *shape, const char *name, struct shoal **ret_map)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    char path[STAGE_PATH];
    options.capacity = shape->capacity;
    options.heap_bytes = shape->heap_bytes;
    options.flags = shape->flags;
    options.max_threads = shape->threads;
    if (shape->store) {
        stage_remove_store(name);
        stage_store_path(name, path);
        options.store = path;
        options.on_full = SHOAL_FULL_SPILL;
    }
    shm_unlink(name);
    return shoal_create(name, &options, ret_map);
}

void stage_take_image(struct stage *stage, const char *name)
{
    const int fd = stage_open_file(name);
    struct stat st;
    require(fstat(fd, &st) == 0 && (uint64_t)st.st_size <= STAGE_IMAGE, "a segment of %lld bytes",
            (long long)st.st_size);
    stage->image_bytes = (uint64_t)st.st_size;
    require(pread(fd, stage->image, stage->image_bytes, 0) == (ssize_t)stage->image_bytes, "read: %s",
            strerror(errno));
    close(fd);
    if (stage->shape.store) {
        char path[STAGE_PATH + 8];
        file_of_store(name, "pages", path);
        stage->pages_bytes = file_take(path, stage->pages, STAGE_PAGES);
        file_of_store(name, "lock", path);
        require(file_take(path, stage->lock, STAGE_LOCK) == STAGE_LOCK, "%s: too short", path);
    }
}

void stage_restore(const struct stage *stage, const char *name)
{
    shm_unlink(name);
    const int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(fd >= 0, "%s: %s", name, strerror(errno));
    require(pwrite(fd, stage->image, stage->image_bytes, 0) == (ssize_t)stage->image_bytes, "write: %s",
            strerror(errno));
    close(fd);
    if (stage->shape.store) {
        stage_restore_store(stage, name);
        name_store(name);
    }
}

void stage_measure_fresh(struct stage *stage, const char *name)
{
    struct shoal *map = NULL;
    const int code = stage_create(&stage->shape, name, &map);
    require(code == 0, "create: %d %s", code, shoal_error_text());
    stage->fresh_fill = stage->shape.store ? 0 : ledger_fill(map);
    shoal_close(map);
    if (stage->shape.store)
        stage->fresh_fill = below_fill(&stage->shape, name);
    shm_unlink(name);
    stage_remove_store(name);
}
