/* SPDX-License-Identifier: MIT
 *
 * Names (C, E): a creator or remover that dies or stops at any system call.
 *
 * Each run has a directory of its own, so that everything that is left behind is seen.
 */
#include "kill/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fail.h"
#include "lib/new_file.h"

/* -- Directory and map ---------------------------------------------------------------------------------- */

static void directory_of(const struct run *run, char path[96])
{
    snprintf(path, 96, "/dev/shm/%s.d", run->name);
}

static void map_of(const struct run *run, char path[128])
{
    snprintf(path, 128, "/dev/shm/%s.d/map", run->name);
}

/* Entries of the directory other than the map; removes them all where asked. */
static uint32_t directory_others(const struct run *run, bool remove_all)
{
    char path[96];
    uint32_t n = 0;
    directory_of(run, path);
    DIR *list = opendir(path);
    require(list, "%s: %s", path, strerror(errno));
    for (struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        n += strcmp(entry->d_name, "map") != 0;
        if (remove_all)
            unlinkat(dirfd(list), entry->d_name, 0);
    }
    closedir(list);
    return n;
}

static void fresh_directory(const struct run *run)
{
    char path[96];
    directory_of(run, path);
    require(mkdir(path, 0700) == 0 || errno == EEXIST, "%s: %s", path, strerror(errno));
    directory_others(run, true);
}

void name_clean(const struct run *run)
{
    char path[96];
    directory_of(run, path);
    if (access(path, F_OK) != 0)
        return;
    directory_others(run, true);
    rmdir(path);
}

static struct shoal_options options_of(const struct run *run)
{
    static char store[STAGE_PATH];
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    if (run->scenario->shape.store) {
        stage_store_path(run->name, store);
        options.store = store;
        options.on_full = SHOAL_FULL_SPILL;
    }
    options.capacity = run->scenario->shape.capacity;
    options.heap_bytes = run->scenario->shape.heap_bytes;
    options.max_threads = run->scenario->shape.threads;
    return options;
}

/* -- The victims ------------------------------------------------------------------------------------------- */

void name_operate_create(struct run *run)
{
    const struct shoal_options options = options_of(run);
    char path[128];
    map_of(run, path);
    run->code = shoal_create(path, &options, &run->map);
}

void name_operate_create_by_rename(struct run *run)
{
    const struct shoal_options options = options_of(run);
    struct geometry geometry;
    char path[128];
    int fd = -1;
    map_of(run, path);
    run->code = new_file(segfile_create_by_rename, path, &options, &fd, &geometry);
}

void name_operate_open_or_create(struct run *run)
{
    const struct shoal_options options = options_of(run);
    char path[128];
    map_of(run, path);
    run->code = shoal_open_or_create(path, &options, 0, &run->map);
}

void name_operate_unlink(struct run *run)
{
    char path[128];
    map_of(run, path);
    run->code = shoal_unlink(path);
}

static void name_body(void *arg)
{
    struct run *run = arg;
    step_begin();
    run->scenario->operate(run);
    step_end();
    _exit(0);
}

/* -- Creation ---------------------------------------------------------------------------------------------- */

/* The store below has what it had; so many keys. */
static uint64_t require_below(const struct run *run, struct shoal *map)
{
    const struct act get = { .kind = ACT_GET };
    uint64_t n = 0;
    for (uint32_t i = 0; run->scenario->shape.store && i < run->stage->keys_n; i++) {
        struct stage_key key = run->stage->keys[i];
        struct answer want, got;
        (void)act_apply(&get, ACT_PLAINLY, &key.cell, &want);
        act_do(&get, map, key.text, key.bytes, &got);
        require(act_same_answer(&want, &got), "F: key %u of the store: %d %s", i, got.code,
                got.code < 0 ? shoal_error_text() : "");
        n += key.cell.present;
    }
    return n;
}

/* Whatever opens is a whole map. */
static void require_works(const struct run *run, struct shoal *map)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    uint64_t n = 0;
    int code = shoal_check(map, &report);
    require(code == 0, "check: %d %s", code, report.text);
    const uint64_t below = require_below(run, map);
    code = shoal_put(map, "who", 3, "survivor", 8);
    require(code == 0, "put: %d %s", code, shoal_error_text());
    require(shoal_get(map, "who", 3, NULL, 0, NULL) == 0, "what was put is not there");
    code = shoal_count(map, below ? SHOAL_EXACT : 0, &n, NULL);
    require(code == 0 && n == below + 1, "count: %d %llu", code, (unsigned long long)n);
}

static int try_open(const struct run *run, struct shoal **ret_map)
{
    char path[128];
    map_of(run, path);
    const int code = shoal_open(path, 0, ret_map);
    require(code == 0 || code == SHOAL_ENOMAP, "open: %d %s", code, shoal_error_text());
    return code;
}

/* Another creator, of the victim's way. */
static int try_create(const struct run *run)
{
    const struct shoal_options options = options_of(run);
    struct geometry geometry;
    struct shoal *map = NULL;
    char path[128];
    map_of(run, path);
    if (run->scenario->operate == name_operate_create_by_rename) {
        int fd = -1;
        const int code = new_file(segfile_create_by_rename, path, &options, &fd, &geometry);
        close(fd);
        return code;
    }
    const int code = shoal_create(path, &options, &map);
    shoal_close(map);
    return code;
}

/* There was a map or not; now there is, and nothing else. */
static bool survive_creation(struct run *run)
{
    struct shoal *map = NULL;
    const bool was_there = try_open(run, &map) == 0;
    shoal_close(map);
    const int code = try_create(run);
    require(code == (was_there ? SHOAL_EMAPEXISTS : 0), "create, where a map %s: %d %s",
            was_there ? "was seen" : "was not seen", code, code < 0 ? shoal_error_text() : "");
    require(try_open(run, &map) == 0, "no map after create");
    require_works(run, map);
    shoal_close(map);
    return was_there;
}

static void created_after_kill(struct run *run)
{
    if (run->scenario->operate != name_operate_create_by_rename)
        require(directory_others(run, false) == 0, "C: the dead creator left a file");
    survive_creation(run);
    require(directory_others(run, false) == 0, "C: the dead creator's file outlives the next creator");
}

static void created_after_stop(struct run *run, struct stepper *stepper)
{
    const bool was_there = survive_creation(run);
    require(step_finish(stepper), "the victim ended by signal %d", stepper->signal);
    const bool joins = was_there || run->scenario->operate == name_operate_open_or_create;
    require(run->code == (joins ? 0 : SHOAL_EMAPEXISTS), "the creator that was stopped: %d", run->code);
    step_release(stepper);
    struct shoal *map = NULL;
    require(try_open(run, &map) == 0, "no map in the end");
    require(shoal_get(map, "who", 3, NULL, 0, NULL) == 0, "it is not the map that was written to");
    shoal_close(map);
    require(directory_others(run, false) == 0, "a file is left over");
}

/* -- Removal -------------------------------------------------------------------------------------------------- */

static bool says_unlinked(struct shoal *map)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    const int code = shoal_stats(map, &stats);
    require(code == 0, "stats: %d %s", code, shoal_error_text());
    return stats.unlinked != 0;
}

/* run->a was opened before; it works on, and knows whether its name is gone. */
static void removed_after_kill(struct run *run)
{
    struct shoal *map = NULL;
    char path[128];
    map_of(run, path);
    const bool there = try_open(run, &map) == 0;
    shoal_close(map);
    require_works(run, run->a);
    require(says_unlinked(run->a) == !there, "the name is %s, stats say otherwise", there ? "there" : "gone");
    const int code = shoal_unlink(path);
    require(code == (there ? 0 : SHOAL_ENOMAP), "unlink: %d %s", code, code < 0 ? shoal_error_text() : "");
    require(says_unlinked(run->a), "the name is gone, stats do not say so");
    require(directory_others(run, false) == 0, "a file is left over");
}

/* Meanwhile the name was removed and given to another map; the victim may remove that one or not. */
static void removed_after_stop(struct run *run, struct stepper *stepper)
{
    struct shoal *next = NULL, *seen = NULL;
    char path[128];
    map_of(run, path);
    const struct shoal_options options = options_of(run);
    int code = shoal_unlink(path);
    require(code == 0 || code == SHOAL_ENOMAP, "unlink: %d %s", code, shoal_error_text());
    code = shoal_create(path, &options, &next);
    require(code == 0, "create: %d %s", code, shoal_error_text());
    require(step_finish(stepper), "the victim ended by signal %d", stepper->signal);
    require(run->code == 0 || run->code == SHOAL_ENOMAP, "the remover that was stopped: %d", run->code);
    step_release(stepper);
    require(says_unlinked(run->a), "the old map's name is gone, its stats do not say so");
    const bool there = try_open(run, &seen) == 0;
    require(says_unlinked(next) == !there, "the new map's name is %s, its stats say otherwise", there ? "there" : "gone");
    require_works(run, next);
    shoal_close(next);
    shoal_close(seen);
}

/* -- A run ------------------------------------------------------------------------------------------------------ */

bool run_name_scene(struct run *run, struct trace *record)
{
    struct stepper stepper;
    char path[128];
    const bool removal = run->scenario->operate == name_operate_unlink;
    fresh_directory(run);
    if (run->scenario->shape.store)
        stage_restore_store(run->stage, run->name);
    map_of(run, path);
    if (removal) {
        const struct shoal_options options = options_of(run);
        const int code = shoal_create(path, &options, &run->a);
        require(code == 0, "create: %d %s", code, shoal_error_text());
    }
    step_start(&stepper, -1, name_body, run);
    bool there = true;
    if (run->kind == RUN_RECORD) {
        require(step_record(&stepper, record) && run->code == 0, "the victim: signal %d, %d", stepper.signal, run->code);
        step_release(&stepper);
    } else {
        there = step_to(&stepper, run->trace, run->point);
        require(stepper.signal == 0, "the victim died of signal %d", stepper.signal);
    }
    if (run->kind == RUN_KILL) {
        step_kill(&stepper);
        (removal ? removed_after_kill : created_after_kill)(run);
    } else if (run->kind == RUN_STOP) {
        (removal ? removed_after_stop : created_after_stop)(run, &stepper);
    }
    return there;
}
