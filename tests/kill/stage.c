/* SPDX-License-Identifier: MIT
 *
 * Building and restoring the bytes that runs begin with.
 */
#include "kill/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "format/segment.h"
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

static uint64_t home_of(int fd, const char *text, size_t bytes)
{
    struct segment_header header;
    require(pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header, "header: %s", strerror(errno));
    return hash_home(hash_bytes(text, bytes, header.geometry.seed), header.geometry.groups_n);
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

/* -- Bytes ------------------------------------------------------------------------------------------- */

int stage_create(const struct shape *shape, const char *name, struct shoal **ret_map)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = shape->capacity;
    options.heap_bytes = shape->heap_bytes;
    options.flags = shape->flags;
    options.max_threads = shape->threads;
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
}

void stage_restore(const struct stage *stage, const char *name)
{
    shm_unlink(name);
    const int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(fd >= 0, "%s: %s", name, strerror(errno));
    require(pwrite(fd, stage->image, stage->image_bytes, 0) == (ssize_t)stage->image_bytes, "write: %s",
            strerror(errno));
    close(fd);
}

void stage_measure_fresh(struct stage *stage, const char *name)
{
    struct shoal *map = NULL;
    const int code = stage_create(&stage->shape, name, &map);
    require(code == 0, "create: %d %s", code, shoal_error_text());
    stage->fresh_fill = ledger_fill(map);
    shoal_close(map);
    shm_unlink(name);
}
