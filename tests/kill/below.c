/* SPDX-License-Identifier: MIT
 *
 * The store below a stage's map.
 *
 * Who waits for the store's lock waits for 1 ms in this suite instead of two seconds: its holder is stopped or dead, never
 * slow, so a longer wait ends the same.  tests/tiers waits for the whole.
 */
#include "kill/below.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "lib/fail.h"
#include "lib/ledger.h"
#include "map/key.h"
#include "store/board.h"
#include "tier/copy.h"

#define WAIT_MS 1

int __real_board_lock(struct board *board, int timeout_ms);
int __wrap_board_lock(struct board *board, int timeout_ms);
int __wrap_board_lock(struct board *board, int timeout_ms)
{
    return __real_board_lock(board, timeout_ms < WAIT_MS ? timeout_ms : WAIT_MS);
}

/* -- Building ------------------------------------------------------------------------------------------ */

struct store *below_hold(const char *path)
{
    struct store *store = NULL;
    int code = store_open(path, 0, &store);
    require(code == 0, "store_open: %d %s", code, shoal_error_text());
    code = store_lock(store, 1000);
    require(code == 0, "store_lock: %d %s", code, shoal_error_text());
    return store;
}

struct store *below_hold_of(int fd)
{
    struct segment_header header;
    require(pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header, "header: %s", strerror(errno));
    return below_hold(header.store);
}

void below_release(struct store *store)
{
    store_unlock(store);
    store_close(store);
}

void below_evict(struct shoal *map, const struct stage_key *key)
{
    struct call call;
    struct probe probe;
    struct mutate_found found;
    require(key_call(map, key->text, key->bytes, true, &call, &probe) == 0, "evict: %s", shoal_error_text());
    require(mutate_find(call.a, &probe, HAZARD_SPARE, &found) == 0, "evict: %s is not in the table", key->text);
    require(mutate_evict(call.a, &found, probe.home), "evict: %s stays", key->text);
    hazard_clear(call.a, HAZARD_SPARE);
    call_end(&call);
}

/* -- The ledger ------------------------------------------------------------------------------------------ */

/* Larger where the slots would not do: the heap is what is counted. */
static size_t record_of(const struct shape *shape) { return shape->capacity < 100 ? 1900 : 100; }

/* From now on only what the store has already leaves the table; for who opens it then. */
static void spill_no_more(const char *name)
{
    struct segment_header header;
    const int fd = stage_open_file(name);
    require(pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header, "header: %s", strerror(errno));
    header.geometry.features &= ~(uint64_t)FEATURE_SPILL;
    stage_sign_header(&header);
    require(pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header, "header: %s", strerror(errno));
    close(fd);
}

uint32_t below_evict_clean(struct shoal *map)
{
    struct call call;
    struct mutate_found found;
    uint32_t n = 0;
    require(call_begin(map, &call) == 0 && call_attach(&call) == 0, "evict: %s", shoal_error_text());
    const struct segment *s = call.segment;
    for (uint64_t i = 0; i < s->geo.groups_all_n * GROUP_SLOTS; i++)
        if (slot_is_in_effect(load_acquire_u64(segment_slot(s, i))) && /* [slot-publish] */
            mutate_find_in(call.a, HAZARD_SPARE, i, &found) == 0 && copy_is_clean(&found))
            n += mutate_evict(call.a, &found, hash_home(read_hash(s, &found.record), s->geo.groups_n));
    hazard_clear(call.a, HAZARD_SPARE);
    call_end(&call);
    return n;
}

/* Every key goes, then what says that they are deleted: not a slot is left. */
static void empty_table(struct shoal *map)
{
    struct call call;
    ledger_empty(map);
    const int code = shoal_sync(map);
    require(code == 0, "sync of an empty map: %d %s", code, shoal_error_text());
    (void)below_evict_clean(map);
    require(call_begin(map, &call) == 0, "empty: %s", shoal_error_text());
    const struct segment *s = call.segment;
    for (uint64_t i = 0; i < s->geo.groups_all_n * GROUP_SLOTS; i++)
        require(load_relaxed_u64(segment_slot(s, i)) == 0, "C: of an empty map that was synced slot %llu has %llx",
                (unsigned long long)i, (unsigned long long)load_relaxed_u64(segment_slot(s, i)));
    call_end(&call);
}

uint64_t below_fill(const struct shape *shape, const char *name)
{
    static uint8_t value[2000];
    struct shoal *map = NULL;
    int code = shoal_open(name, 0, &map);
    require(code == 0, "open: %d %s", code, shoal_error_text());
    empty_table(map);
    shoal_close(map);
    spill_no_more(name);
    code = shoal_open(name, 0, &map);
    require(code == 0, "open: %d %s", code, shoal_error_text());
    uint64_t n = 0;
    for (;; n++) {
        char key[16];
        const int key_bytes = snprintf(key, sizeof key, "f%08llu", (unsigned long long)n);
        value_make(value, n, record_of(shape));
        code = shoal_put(map, key, (size_t)key_bytes, value, record_of(shape) - (size_t)key_bytes);
        if (code != 0)
            break;
    }
    require(code == SHOAL_EFULL, "put of record %llu: %d %s", (unsigned long long)n, code, shoal_error_text());
    shoal_close(map);
    return n;
}

/* -- A holder that is stopped ------------------------------------------------------------------------------ */

static void full_is_an_answer(struct run *run, bool yes)
{
    const bool always = (run->scenario->flags & SCENE_FULL) != 0;
    for (uint32_t i = 0; i < run->stage->keys_n; i++) {
        run->tracks[i].may_be_full = always || yes;
        run->tracks[i].may_be_full_below = yes;
    }
}

void below_warm(struct shoal *map)
{
    struct call call;
    require(call_begin(map, &call) == 0, "call_begin: %s", shoal_error_text());
    const int code = store_lock(call.map->tier->store, 1000);
    require(code == 0, "store_lock: %d %s", code, shoal_error_text());
    store_unlock(call.map->tier->store);
    call_end(&call);
}

static int open_lock_file(const char *name)
{
    char path[STAGE_PATH], file[STAGE_PATH + 8];
    stage_store_path(name, path);
    snprintf(file, sizeof file, "%s/lock", path);
    const int fd = open(file, O_RDWR | O_CLOEXEC);
    require(fd >= 0, "%s: %s", file, strerror(errno));
    return fd;
}

void below_watch(const char *name, struct stepper *stepper)
{
    const int fd = open_lock_file(name);
    step_watch(stepper, fd);
    close(fd);
}

void below_look(struct run *run, pid_t victim)
{
    struct board_page page;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
    const int fd = open_lock_file(run->name);
    require(fcntl(fd, F_OFD_GETLK, &lock) == 0, "F_OFD_GETLK: %s", strerror(errno));
    require(pread(fd, &page, sizeof page, 0) == (ssize_t)sizeof page, "the lock file is too short");
    close(fd);
    run->held = lock.l_type != F_UNLCK;
    run->holder = run->held && load_relaxed_u64(&page.holder[0]) == (uint64_t)victim ? victim : 0;
    full_is_an_answer(run, run->held && (run->scenario->flags & SCENE_SPILLS) != 0);
}

void below_forget(struct run *run)
{
    run->held = false;
    run->holder = 0;
    full_is_an_answer(run, false);
}

void below_names_holder(const struct run *run, const char *what)
{
    char name[32];
    snprintf(name, sizeof name, "process %d ", (int)run->holder);
    if (run->holder != 0) /* else it was stopped before it had written who it is */
        require(strstr(shoal_error_text(), name), "B: %s does not name the holder, %s: %s", what, name, shoal_error_text());
}
