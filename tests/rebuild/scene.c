/* SPDX-License-Identifier: MIT */
#include "rebuild/scene.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/fail.h"
#include "lib/random.h"

struct scene scene = { .every = 1 };

void scene_begin(const char *name, int argc, char **argv)
{
    bool has_store = false;
    scene.random = (uint64_t)time(NULL);
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--store") == 0)
            has_store = true;
        else if (i + 1 < argc && strcmp(argv[i], "--every") == 0)
            scene.every = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            scene.random = strtoull(argv[++i], NULL, 10);
    require(scene.every > 0, "--every 0");
    printf("%s: seed %llu\n", name, (unsigned long long)scene.random);
    (void)snprintf(scene.dir, sizeof scene.dir, "/dev/shm/shoal-%s-XXXXXX", name);
    require(mkdtemp(scene.dir) != NULL, "mkdtemp");
    (void)snprintf(scene.path, sizeof scene.path, "%s/map", scene.dir);
    if (has_store)
        (void)snprintf(scene.store, sizeof scene.store, "%s/store", scene.dir);
}

void scene_end(void) { require(rmdir(scene.dir) == 0, "%s is not empty", scene.dir); }

void done(int rc, const char *what) { require(rc == 0, "%s: %d %s", what, rc, shoal_error_text()); }

struct shoal *scene_map(const char *name, uint32_t keys, const char *value, uint32_t capacity)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    char key[24];
    options.capacity = capacity;
    options.heap_bytes = 256 << 10;
    options.max_threads = 16;
    options.store = scene.store[0] != 0 ? scene.store : NULL;
    options.on_full = scene.store[0] != 0 ? SHOAL_FULL_SPILL : SHOAL_FULL_FAIL;
    done(shoal_create(scene.path, &options, &map), "create");
    for (uint32_t k = 0; k < keys; k++)
        done(shoal_put(map, key, (size_t)snprintf(key, sizeof key, "%s %u", name, k), value, strlen(value)), "put");
    return map;
}

void scene_map_remove(struct shoal *map, bool named)
{
    char command[160];
    shoal_close(map);
    if (named)
        done(shoal_unlink(scene.path), "unlink");
    require(files_left() == 0, "files are left behind unlink");
    (void)snprintf(command, sizeof command, "rm -rf %s", scene.store);
    if (scene.store[0] != 0)
        require(system(command) == 0, "rm");
}

int rebuild(struct shoal *map, uint32_t capacity, shoal_progress_fn *progress)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = capacity;
    options.heap_bytes = 512 << 10;
    return shoal_rebuild(map, &options, progress, NULL);
}

int stop_at_once(uint64_t at, uint64_t of, void *arg)
{
    (void)at, (void)of, (void)arg;
    return 1;
}

uint32_t files_left(void)
{
    uint32_t n = 0;
    DIR *list = opendir(scene.dir);
    require(list != NULL, "opendir");
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        n += strncmp(entry->d_name, ".map", 4) == 0;
    (void)closedir(list);
    return n;
}
