/* SPDX-License-Identifier: MIT
 *
 * Making and restoring the bytes that runs begin with.
 */
#include "baselines/scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fail.h"
#include "shoal/shoal.h"

/* Old values; the size of the others goes round, so that free lists are not empty afterwards. */
#define VALUE_BYTES 60u
#define GROWN_BYTES 140u
#define VICTIM_TAG 0x7777u

const char *const victim_names[VICTIM_ACTS] = { "insert", "update", "grow", "delete", "get" };

struct act scene_act(const struct scene *scene)
{
    const enum victim_act act = scene->act;
    return (struct act){ .kind = act == VICTIM_GET ? ACT_GET : act == VICTIM_DELETE ? ACT_DELETE : ACT_PUT,
                         .bytes = act == VICTIM_GROW ? GROWN_BYTES : VALUE_BYTES,
                         .tag = VICTIM_TAG };
}

static void put_key(const struct scene *scene, void *handle, struct run_key *key, uint64_t tag, uint32_t bytes)
{
    static uint8_t value[SYSTEM_VALUE_MAX];
    value_make(value, tag, bytes);
    const int code = scene->system->put(handle, key->text, key->bytes, value, bytes);
    require(code == 0, "%s: setup: %d", scene->system->name, code);
    key->cell = (struct cell){ .tag = tag, .bytes = bytes, .present = 1 };
}

/* A few keys come and go first: the map is not in mint condition. */
static void put_keys(struct scene *scene, void *handle)
{
    for (uint32_t i = 0; i < RUN_KEYS; i++) {
        struct run_key *key = &scene->keys[i];
        memset(key, 0, sizeof *key);
        key->bytes = (uint32_t)snprintf(key->text, sizeof key->text, "key-%08u", i);
        put_key(scene, handle, key, 1000 + i, VALUE_BYTES);
    }
    for (uint32_t i = 2; i < RUN_KEYS; i += 3)
        put_key(scene, handle, &scene->keys[i], 2000 + i, GROWN_BYTES);
    for (uint32_t i = 4; i < RUN_KEYS; i += 5) {
        const int code = scene->system->del(handle, scene->keys[i].text, scene->keys[i].bytes);
        require(code == 0, "%s: setup: %d", scene->system->name, code);
        memset(&scene->keys[i].cell, 0, sizeof scene->keys[i].cell);
    }
    for (uint32_t i = 0; i <= RUN_WARM && scene->act == VICTIM_INSERT; i++) {
        const int code = scene->system->del(handle, scene->keys[i].text, scene->keys[i].bytes);
        require(code == 0, "%s: setup: %d", scene->system->name, code);
        memset(&scene->keys[i].cell, 0, sizeof scene->keys[i].cell);
    }
}

static void take_image(struct scene *scene, const char *name)
{
    struct stat st;
    const int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    require(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", name, strerror(errno));
    require((size_t)st.st_size <= sizeof scene->image, "a map of %lld bytes", (long long)st.st_size);
    scene->image_bytes = (size_t)st.st_size;
    require(pread(fd, scene->image, scene->image_bytes, 0) == (ssize_t)scene->image_bytes, "pread: %s",
            strerror(errno));
    close(fd);
}

static uint32_t record_key(char text[24], uint64_t n)
{
    return (uint32_t)snprintf(text, 24, "fill-%07llu", (unsigned long long)n);
}

int scene_put_record(const struct system *system, void *handle, uint64_t n)
{
    static uint8_t value[SYSTEM_VALUE_MAX];
    char key[24];
    const uint32_t key_bytes = record_key(key, n);
    value_make(value, n, RUN_RECORD_BYTES - key_bytes);
    return system->put(handle, key, key_bytes, value, RUN_RECORD_BYTES - key_bytes);
}

int scene_del_record(const struct system *system, void *handle, uint64_t n)
{
    char key[24];
    const uint32_t key_bytes = record_key(key, n);
    return system->del(handle, key, key_bytes);
}

static void *make_map(const struct system *system, const struct system_setup *setup)
{
    void *handle = NULL;
    system->unlink(setup);
    int code = system->create(setup);
    require(code == 0, "%s: create: %d", system->name, code);
    code = system->open(setup, &handle);
    require(code == 0, "%s: open: %d", system->name, code);
    return handle;
}

void scene_make(struct scene *scene, const char *name)
{
    uint32_t recoveries = 0;
    const struct system *system = scene->system;
    const struct system_setup setup = { name, &recoveries };
    int code = 0;
    void *handle = make_map(system, &setup);
    for (scene->fresh = 0; (code = scene_put_record(system, handle, scene->fresh)) == 0; scene->fresh++) {
    }
    require(code == SHOAL_EFULL, "%s: filling a fresh map: %d", system->name, code);
    system->close(handle);
    handle = make_map(system, &setup);
    put_keys(scene, handle);
    system->close(handle);
    take_image(scene, name);
    system->unlink(&setup);
}

void scene_restore(const struct scene *scene, const char *name)
{
    uint32_t recoveries = 0;
    scene->system->unlink(&(struct system_setup){ name, &recoveries });
    const int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(fd >= 0, "%s: %s", name, strerror(errno));
    require(pwrite(fd, scene->image, scene->image_bytes, 0) == (ssize_t)scene->image_bytes, "pwrite: %s",
            strerror(errno));
    close(fd);
}

void scene_warm(const struct scene *scene, void *handle)
{
    static uint8_t value[SYSTEM_VALUE_MAX];
    const struct system *system = scene->system;
    const struct run_key *key = &scene->keys[RUN_WARM];
    size_t bytes = 0;
    value_make(value, key->cell.tag, key->cell.bytes);
    int code = 0;
    if (scene->act != VICTIM_INSERT)
        code = system->get(handle, key->text, key->bytes, value, sizeof value, &bytes);
    require(code == 0, "%s: warming up: %d", system->name, code);
    if (scene->act == VICTIM_GET)
        return;
    code = system->put(handle, key->text, key->bytes, value, VALUE_BYTES);
    require(code == 0, "%s: warming up: %d", system->name, code);
    code = system->del(handle, key->text, key->bytes);
    require(code == 0, "%s: warming up: %d", system->name, code);
    if (scene->act != VICTIM_INSERT)
        code = system->put(handle, key->text, key->bytes, value, VALUE_BYTES);
    require(code == 0, "%s: warming up: %d", system->name, code);
}
