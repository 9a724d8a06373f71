/* SPDX-License-Identifier: MIT
 *
 * Backups and restored stores being made (copies.h).
 */
#include "images/copies.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "images/record.h"
#include "images/wrong.h"
#include "lib/fail.h"
#include "shoal/shoal.h"

#define LOCK_MS 1000
#define SMALL_BYTES 1300u /* three of them overflow a bucket */
#define LARGE_BYTES 21000u
#define PAGES "pages"
#define PART "pages.part"

const struct copies_work copies_works[] = {
    { .name = "backup" },
    { .name = "backup-there", .is_there = true },
    { .name = "backup-goes-on", .is_there = true, .unfinished = true },
    { .name = "backup-again", .is_there = true, .older = true },
    { .name = "backup-commits", .is_there = true, .uncommitted = true },
    { .name = "restore", .restores = true },
    { .name = "restore-there", .restores = true, .is_there = true },
    { .name = "restore-again", .restores = true, .is_there = true, .unfinished = true },
};
const uint32_t copies_works_n = sizeof copies_works / sizeof copies_works[0];

/* -- What is copied ------------------------------------------------------------------------------------ */

static int fail(const char *call, int code) { return code == 0 ? 0 : wrong_code(call, code); }

static int put(struct copies *copies, struct store *store, uint32_t from, uint32_t to, uint32_t each)
{
    int code = store_lock(store, LOCK_MS);
    for (uint32_t key = from; key < to && code == 0; key += each) {
        const uint64_t bytes = key % 8 == 3 ? LARGE_BYTES : key % 4 == 1 ? 100 : SMALL_BYTES;
        const struct store_record record = contents_record(key, ++copies->number, bytes);
        uint64_t version;
        code = store_put(store, &record, &version);
    }
    return code;
}

static int put_and(struct copies *copies, struct store *store, uint32_t each, int end(struct store *store))
{
    int code = put(copies, store, 0, COPIES_KEYS - 1, each);
    if (code == 0)
        code = end(store);
    store_unlock(store);
    return code == 0 ? contents_read(store, COPIES_KEYS, true, copies->marks) : code;
}

static uint64_t pages_hash(const char *directory)
{
    char path[IMAGE_PATH_BYTES + sizeof PAGES + 1];
    (void)snprintf(path, sizeof path, "%s/" PAGES, directory);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return 0;
    uint8_t *bytes = malloc((size_t)st.st_size);
    require(bytes != NULL && pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size, "%s cannot be read", path);
    const uint64_t hash = hash_bytes(bytes, (size_t)st.st_size, 1);
    free(bytes);
    close(fd);
    return hash;
}

int copies_judge_source(const struct copies *copies, const struct copies_work *work)
{
    if (!work->uncommitted && pages_hash(copies->from.path) != copies->pages)
        return wrong("what is copied was written to");
    return 0;
}

/* -- Sides --------------------------------------------------------------------------------------------- */

/* Nothing is there yet, or what is there stays. */
static void record_to(struct copies *copies, const struct disk *base)
{
    image_put(&copies->to, base, NULL, 0);
    log_begin(&copies->log, &base->names, base->files_n);
    record_into(&copies->log, copies->to.path);
    record_fail(0, FAIL_NOT);
}

int copies_open(struct copies *copies, const struct copies_work *work, const struct disk *base)
{
    record_to(copies, base);
    if (work->restores)
        return 0;
    int code = store_open(copies->from.path, 0, &copies->store);
    if (code == 0 && work->uncommitted)
        code = put_and(copies, copies->store, COPIES_KEYS, store_publish);
    if (code == 0 && !work->uncommitted)
        code = store_lock(copies->store, LOCK_MS); /* the first one of a life may have to write */
    if (code == 0 && !work->uncommitted)
        store_unlock(copies->store);
    return fail("opening what is copied", code);
}

void copies_close(struct copies *copies)
{
    if (copies->store != NULL)
        store_close(copies->store);
    copies->store = NULL;
    image_absorb(&copies->to, &copies->log);
}

static int copy(const struct copies *copies, const struct copies_work *work, const char *path)
{
    return work->restores ? store_restore(copies->from.path, path, NULL, NULL)
                          : store_backup(copies->store, path, NULL, NULL);
}

int copies_do(struct copies *copies, const struct copies_work *work)
{
    const int code = copy(copies, work, copies->to.path);
    if (code == 0)
        record_mark(LOG_RETURNED, 0, true);
    return code;
}

/* -- Beginnings ---------------------------------------------------------------------------------------- */

static int make_store(struct copies *copies, const char *path)
{
    struct store *store;
    int code = store_open(path, STORE_CREATE, &store);
    if (code != 0)
        return code;
    code = put_and(copies, store, 1, store_commit);
    if (code == 0)
        code = put_and(copies, store, 2, store_commit);
    store_close(store);
    return code;
}

/* A call that died behind the half of what it wrote. */
static int leave_half(struct copies *copies, const struct copies_work *work, struct disk *io_base)
{
    int code = copies_open(copies, work, io_base);
    if (code == 0)
        code = copies_do(copies, work);
    for (uint32_t i = 0; i < copies->log.n / 2; i++)
        disk_advance(io_base, &copies->log, i);
    disk_settle(io_base, NULL, 0);
    copies_close(copies);
    return code;
}

/* A whole one, of what the store was; then that changes. */
static int leave_older(struct copies *copies, const struct copies_work *work, struct disk *io_base)
{
    memcpy(copies->older, copies->marks, sizeof copies->older);
    int code = copies_open(copies, work, io_base);
    if (code == 0)
        code = copies_do(copies, work);
    for (uint32_t i = 0; i < copies->log.n; i++)
        disk_advance(io_base, &copies->log, i);
    disk_settle(io_base, NULL, 0);
    if (code == 0)
        code = put_and(copies, copies->store, 3, store_commit);
    copies_close(copies);
    return code;
}

static int make_backup(struct copies *copies, const char *directory)
{
    struct store *store;
    int code = make_store(copies, directory);
    if (code == 0)
        code = store_open(directory, 0, &store);
    if (code != 0)
        return code;
    code = store_backup(store, copies->from.path, NULL, NULL);
    store_close(store);
    return code;
}

int copies_begin(struct copies *copies, const struct copies_work *work, struct disk *ret_base)
{
    char directory[IMAGE_PATH_BYTES + 8];
    image_begin(&copies->from, work->name);
    image_begin(&copies->to, "to");
    (void)snprintf(directory, sizeof directory, "%s.of", copies->from.path);
    ret_base->is_there = work->is_there;
    record_to(copies, ret_base);
    int code = work->restores ? make_backup(copies, directory) : make_store(copies, copies->from.path);
    if (code == 0 && work->unfinished)
        code = leave_half(copies, work, ret_base);
    if (code == 0 && work->older)
        code = leave_older(copies, work, ret_base);
    copies->pages = pages_hash(copies->from.path);
    return fail("making what is copied", code);
}

void copies_end(struct copies *copies)
{
    image_drop(&copies->from);
    image_drop(&copies->to);
    log_drop(&copies->log);
}

/* -- Judging ------------------------------------------------------------------------------------------- */

static bool is_none(int code) { return code == SHOAL_ESTORE && shoal_error_text()[0] != '\0'; }

static int sound(struct store *store)
{
    uint64_t faults = 0;
    const int code = store_check(store, NULL, NULL, &faults);
    return code == 0 && faults == 0 ? 0 : wrong("store_check: %d, %llu faults", code, (unsigned long long)faults);
}

static int look(const struct copies *copies, const struct copies_work *work, struct store *store, bool older_is_right)
{
    struct store_stat stat;
    uint64_t marks[COPIES_KEYS];
    int code = store_stat(store, &stat);
    if (code == 0 && stat.is_backup == work->restores)
        return wrong("it is %s", stat.is_backup ? "a backup" : "no backup");
    if (code == 0)
        code = contents_read(store, COPIES_KEYS, true, marks);
    if (code != 0)
        return wrong_code("reading the copy", code);
    if (memcmp(marks, copies->marks, sizeof marks) != 0 &&
        !(older_is_right && memcmp(marks, copies->older, sizeof marks) == 0))
        return wrong("the copy has other contents");
    return sound(store);
}

/* One that is not whole keeps its place. */
static int judge_part(const char *path)
{
    char part[IMAGE_PATH_BYTES + sizeof PART + 1];
    struct store *store;
    (void)snprintf(part, sizeof part, "%s/" PART, path);
    if (access(part, F_OK) != 0)
        return 0;
    const int code = store_open(path, STORE_CREATE, &store);
    if (code == 0)
        store_close(store);
    return code == SHOAL_ESTORE && strstr(shoal_error_text(), "unfinished backup") != NULL
               ? 0
               : wrong("a store is made in the place of an unfinished backup: %d %s", code, shoal_error_text());
}

int copies_judge(const struct copies *copies, const struct copies_work *work, const char *path, bool is_whole,
                 bool *ret_there)
{
    struct store *store;
    int code = store_open(path, STORE_RDONLY, &store);
    *ret_there = code == 0;
    if (code != 0 && is_whole)
        return wrong_code("opening a copy that is whole", code);
    if (code != 0)
        return is_none(code) ? judge_part(path) : wrong_code("opening what is no copy yet", code);
    code = look(copies, work, store, work->older && !is_whole);
    store_close(store);
    return code;
}

/* A restored one is a store like others. */
static int live_on(const char *path)
{
    struct store *store;
    uint64_t version, mark;
    const struct store_record record = contents_record(COPIES_KEYS - 1, 1, SMALL_BYTES);
    int code = store_open(path, 0, &store);
    if (code != 0)
        return code;
    code = store_lock(store, LOCK_MS);
    if (code == 0) {
        code = store_put(store, &record, &version);
        if (code == 0)
            code = store_commit(store);
        store_unlock(store);
    }
    if (code == 0)
        code = contents_ask(store, COPIES_KEYS - 1, false, &mark);
    if (code == 0)
        code = sound(store);
    store_close(store);
    return code;
}

int copies_go_on(struct copies *copies, const struct copies_work *work, const char *path, bool is_there)
{
    const bool is_refused = work->restores && is_there;
    bool there;
    int code = copy(copies, work, path);
    if (code != (is_refused ? SHOAL_ESTORE : 0))
        return wrong("another call, upon %s: %d %s", is_there ? "a whole one" : "what is there", code, shoal_error_text());
    code = copies_judge(copies, work, path, true, &there);
    if (code == 0 && work->restores)
        code = fail("going on in the restored store", live_on(path));
    return code == 0 ? copies_judge_source(copies, work) : code;
}
