/* SPDX-License-Identifier: MIT
 *
 * Between the store and its files (record.h).
 */
#include "images/record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "store/file.h"

#define OPEN_MAX_N 64u
#define LOCK_NAME "lock"
#define LOCK_FILE (NO_FILE - 1) /* its bytes are kept beside each entry */
#define OTHER_FILE (NO_FILE - 2) /* in another directory than the one that is recorded */
#define LOCK_BYTES_MAX 65536u
#define WALL_NS 1800000000000000000 /* the year 2027 */

const char *const record_call_names[CALL_KINDS] = {
    "open directory", "open", "open or make", "make", "rename", "read", "write", "flush", "flush directory",
    "resize", "size", "boot",
};
const char *const record_how_names[FAIL_KINDS] = { "not", "eio", "enospc", "short" };

struct open {
    int fd;
    bool is_directory, is_parent, is_other;
    uint32_t file;
};

static struct open opens[OPEN_MAX_N];
static uint32_t opens_n;
static struct log *into;
static char directory[PATH_MAX];
static uint8_t lock_now[LOCK_BYTES_MAX];
static struct log_bytes lock_kept;
static uint32_t boot;
static uint64_t seed, chance;

static uint8_t *call_kinds;
static uint64_t calls_n, calls_room, fail_at_call;
static enum record_how fail_how;
static struct record_failed failed;

/* -- What is open ------------------------------------------------------------------------------------ */

static void opens_add(const struct open *open)
{
    require(opens_n < OPEN_MAX_N, "%u files are open", opens_n);
    opens[opens_n++] = *open;
}

static struct open *opens_find(int fd)
{
    for (uint32_t i = 0; i < opens_n; i++)
        if (opens[i].fd == fd)
            return &opens[i];
    fail_at(__FILE__, __LINE__, "opens_find", "descriptor %d was not opened through store/file.h", fd);
}

static const char *name_of(uint32_t file)
{
    if (file == OTHER_FILE)
        return RECORD_OTHER;
    const char *name = file == LOCK_FILE ? LOCK_NAME : file == NO_FILE ? "" : names_of(&into->live, file);
    return name == NULL ? "a file without a name" : name;
}

static bool is_recorded(uint32_t file) { return file != LOCK_FILE && file != OTHER_FILE; }

uint32_t record_open_n(const char **ret_name)
{
    *ret_name = opens_n > 0 ? name_of(opens[opens_n - 1].file) : "";
    return opens_n;
}

/* -- The log ----------------------------------------------------------------------------------------- */

/* The lock file's present bytes, kept where they have changed. */
static struct log_bytes keep_lock(void)
{
    char path[PATH_MAX + sizeof LOCK_NAME];
    (void)snprintf(path, sizeof path, "%s/" LOCK_NAME, directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return lock_kept = (struct log_bytes){ 0, 0 };
    ssize_t got = read(fd, lock_now, sizeof lock_now);
    close(fd);
    require(got >= 0 && got < (ssize_t)sizeof lock_now, "%s: %zd bytes", path, got);
    if (lock_kept.at == 0 || lock_kept.bytes != (size_t)got ||
        memcmp(log_data(into, lock_kept), lock_now, (size_t)got) != 0)
        lock_kept = log_keep(into, lock_now, (size_t)got);
    return lock_kept;
}

void record_into(struct log *log, const char *path)
{
    require(opens_n == 0, "%u files are open, %s is one", opens_n, name_of(opens[0].file));
    into = log;
    lock_kept = (struct log_bytes){ 0, 0 };
    (void)snprintf(directory, sizeof directory, "%s", path);
}

static struct log_entry *note(enum log_kind kind, struct log_bytes lock_before)
{
    struct log_bytes lock_after = keep_lock();
    struct log_entry *entry = log_add(into, kind);
    entry->lock_before = lock_before;
    entry->lock_after = lock_after;
    return entry;
}

static void note_named(enum log_kind kind, struct log_bytes lock_before, const char *name, const char *to,
                       uint32_t file)
{
    struct log_entry *entry = note(kind, lock_before);
    (void)snprintf(entry->name, sizeof entry->name, "%s", name);
    (void)snprintf(entry->to, sizeof entry->to, "%s", to);
    entry->file = file;
}

void record_mark(enum log_kind kind, uint32_t state, bool is_commit)
{
    struct log_entry *entry = note(kind, keep_lock());
    entry->state = state;
    entry->is_commit = is_commit;
}

void record_boot(uint32_t life)
{
    boot = life;
    chance = random_mix(seed) ^ life;
}

void record_seed(uint64_t seed_of_all) { seed = seed_of_all; }

/* -- Failing ----------------------------------------------------------------------------------------- */

void record_fail(uint64_t call, enum record_how how)
{
    calls_n = 0;
    fail_at_call = call;
    fail_how = how;
    failed = (struct record_failed){ .is = false };
}

bool record_can_fail(enum record_call call, enum record_how how)
{
    switch (how) {
    case FAIL_EIO:
        return true;
    case FAIL_ENOSPC:
        return call == CALL_OPEN_OR_MAKE || call == CALL_MAKE || call == CALL_RENAME || call == CALL_WRITE ||
               call == CALL_FLUSH || call == CALL_RESIZE;
    case FAIL_SHORT:
        return call == CALL_READ || call == CALL_WRITE;
    default:
        return false;
    }
}

uint64_t record_calls_n(void) { return calls_n; }
enum record_call record_kind_of(uint64_t call) { return (enum record_call)call_kinds[call]; }
const struct record_failed *record_failed(void) { return &failed; }

/* Counts a call, and says how it must fail. */
static enum record_how arrive(enum record_call call, const char *name)
{
    if (calls_n == calls_room) {
        calls_room = calls_room == 0 ? 1024 : 2 * calls_room;
        call_kinds = realloc(call_kinds, calls_room);
        require(call_kinds != NULL, "no memory for %llu calls", (unsigned long long)calls_room);
    }
    call_kinds[calls_n++] = (uint8_t)call;
    if (fail_how == FAIL_NOT || calls_n - 1 != fail_at_call || !record_can_fail(call, fail_how))
        return FAIL_NOT;
    failed = (struct record_failed){ .is = true, .call = call };
    (void)snprintf(failed.name, sizeof failed.name, "%s", name);
    return fail_how;
}

/* -- The calls: names -------------------------------------------------------------------------------- */

int __real_file_open_directory(const char *path, bool make, int *ret_dir);
int __wrap_file_open_directory(const char *path, bool make, int *ret_dir);
int __wrap_file_open_directory(const char *path, bool make, int *ret_dir)
{
    if (arrive(CALL_OPEN_DIRECTORY, "") != FAIL_NOT)
        return EIO;
    const size_t n = strlen(directory);
    bool is_own = strcmp(path, directory) == 0, is_new = access(path, F_OK) != 0;
    bool is_parent = strncmp(path, directory, n) == 0 && strcmp(path + n, "/..") == 0;
    int why = __real_file_open_directory(path, make, ret_dir);
    if (why != 0)
        return why;
    if (is_own && is_new)
        (void)note(LOG_MAKE_DIRECTORY, (struct log_bytes){ 0, 0 });
    opens_add(&(struct open){ *ret_dir, true, is_parent, !is_own && !is_parent, NO_FILE });
    return 0;
}

static uint32_t file_named(int dir, const char *name)
{
    if (opens_find(dir)->is_other)
        return OTHER_FILE;
    return strcmp(name, LOCK_NAME) == 0 ? LOCK_FILE : names_find(&into->live, name);
}

static void opened(int dir, const char *name, int file)
{
    opens_add(&(struct open){ .fd = file, .file = file_named(dir, name) });
}

int __real_file_open(int dir, const char *name, bool writable, int *ret_file);
int __wrap_file_open(int dir, const char *name, bool writable, int *ret_file);
int __wrap_file_open(int dir, const char *name, bool writable, int *ret_file)
{
    if (arrive(CALL_OPEN, name) != FAIL_NOT)
        return EIO;
    int why = __real_file_open(dir, name, writable, ret_file);
    if (why == 0)
        opened(dir, name, *ret_file);
    return why;
}

/* A file other than the lock has a number as soon as it is there. */
static void made(int dir, const char *name, struct log_bytes lock_before)
{
    if (strcmp(name, LOCK_NAME) == 0 || opens_find(dir)->is_other)
        return;
    names_set(&into->live, name, into->files_n);
    note_named(LOG_MAKE, lock_before, name, "", into->files_n++);
}

int __real_file_open_or_make(int dir, const char *name, int *ret_file);
int __wrap_file_open_or_make(int dir, const char *name, int *ret_file);
int __wrap_file_open_or_make(int dir, const char *name, int *ret_file)
{
    enum record_how how = arrive(CALL_OPEN_OR_MAKE, name);
    if (how != FAIL_NOT)
        return how == FAIL_ENOSPC ? ENOSPC : EIO;
    struct log_bytes lock_before = keep_lock();
    int why = __real_file_open_or_make(dir, name, ret_file);
    if (why != 0)
        return why;
    if (file_named(dir, name) == NO_FILE)
        made(dir, name, lock_before);
    opened(dir, name, *ret_file);
    return 0;
}

int __real_file_make(int dir, const char *name, int *ret_file);
int __wrap_file_make(int dir, const char *name, int *ret_file);
int __wrap_file_make(int dir, const char *name, int *ret_file)
{
    enum record_how how = arrive(CALL_MAKE, name);
    if (how != FAIL_NOT)
        return how == FAIL_ENOSPC ? ENOSPC : EIO;
    struct log_bytes lock_before = keep_lock();
    int why = __real_file_make(dir, name, ret_file);
    if (why != 0)
        return why;
    made(dir, name, lock_before);
    opened(dir, name, *ret_file);
    return 0;
}

int __real_file_rename(int dir, const char *name, const char *to);
int __wrap_file_rename(int dir, const char *name, const char *to);
int __wrap_file_rename(int dir, const char *name, const char *to)
{
    enum record_how how = arrive(CALL_RENAME, name);
    if (how != FAIL_NOT)
        return how == FAIL_ENOSPC ? ENOSPC : EIO;
    struct log_bytes lock_before = keep_lock();
    int why = __real_file_rename(dir, name, to);
    if (why != 0 || opens_find(dir)->is_other)
        return why;
    note_named(LOG_RENAME, lock_before, name, to, names_find(&into->live, name));
    names_rename(&into->live, name, to);
    return 0;
}

int __real_file_flush_directory(int dir);
int __wrap_file_flush_directory(int dir);
int __wrap_file_flush_directory(int dir)
{
    if (arrive(CALL_FLUSH_DIRECTORY, "") != FAIL_NOT)
        return EIO;
    struct log_bytes lock_before = keep_lock();
    int why = __real_file_flush_directory(dir);
    if (why == 0 && !opens_find(dir)->is_other)
        (void)note(opens_find(dir)->is_parent ? LOG_FLUSH_PARENT : LOG_FLUSH_DIRECTORY, lock_before);
    return why;
}

void __real_file_close(int file);
void __wrap_file_close(int file);
void __wrap_file_close(int file)
{
    __real_file_close(file);
    if (file < 0)
        return;
    struct open *closed = opens_find(file);
    *closed = opens[--opens_n];
}

/* -- The calls: bytes -------------------------------------------------------------------------------- */

int __real_file_read(int file, void *to, size_t bytes, uint64_t at, size_t *ret_got);
int __wrap_file_read(int file, void *to, size_t bytes, uint64_t at, size_t *ret_got);
int __wrap_file_read(int file, void *to, size_t bytes, uint64_t at, size_t *ret_got)
{
    enum record_how how = arrive(CALL_READ, name_of(opens_find(file)->file));
    if (how == FAIL_EIO)
        return EIO;
    return __real_file_read(file, to, how == FAIL_SHORT ? bytes / 2 : bytes, at, ret_got);
}

/* One behind the other, in the log. */
static struct log_bytes keep_parts(const struct file_part *parts, size_t parts_n)
{
    struct log_bytes all = { into->bytes_n, 0 };
    for (size_t i = 0; i < parts_n; i++)
        all.bytes += log_keep(into, parts[i].from, parts[i].bytes).bytes;
    return all;
}

int __real_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
static int write_half(int file, struct log_bytes data, uint64_t at)
{
    struct file_part half = { log_data(into, data), data.bytes };
    return __real_file_write(file, &half, 1, at) == 0 ? ENOSPC : EIO;
}

int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at);
int __wrap_file_write(int file, const struct file_part *parts, size_t parts_n, uint64_t at)
{
    const uint32_t number = opens_find(file)->file;
    enum record_how how = arrive(CALL_WRITE, name_of(number));
    if (how == FAIL_EIO || how == FAIL_ENOSPC)
        return how == FAIL_EIO ? EIO : ENOSPC;
    struct log_bytes lock_before = keep_lock(), data = keep_parts(parts, parts_n);
    if (how == FAIL_SHORT)
        data.bytes /= 2;
    int why = how == FAIL_SHORT ? write_half(file, data, at) : __real_file_write(file, parts, parts_n, at);
    if ((why == 0 || how == FAIL_SHORT) && is_recorded(number)) {
        struct log_entry *entry = note(LOG_WRITE, lock_before);
        entry->file = number;
        entry->at = at;
        entry->data = data;
    }
    return why;
}

int __real_file_flush(int file);
int __wrap_file_flush(int file);
int __wrap_file_flush(int file)
{
    const uint32_t number = opens_find(file)->file;
    enum record_how how = arrive(CALL_FLUSH, name_of(number));
    struct log_bytes lock_before = keep_lock();
    int why = how == FAIL_NOT ? __real_file_flush(file) : how == FAIL_ENOSPC ? ENOSPC : EIO;
    if (is_recorded(number) && (why == 0 || how != FAIL_NOT))
        note(why == 0 ? LOG_FLUSH : LOG_FLUSH_FAILED, lock_before)->file = number;
    return why;
}

int __real_file_resize(int file, uint64_t bytes);
int __wrap_file_resize(int file, uint64_t bytes);
int __wrap_file_resize(int file, uint64_t bytes)
{
    const uint32_t number = opens_find(file)->file;
    enum record_how how = arrive(CALL_RESIZE, name_of(number));
    if (how != FAIL_NOT)
        return how == FAIL_ENOSPC ? ENOSPC : EIO;
    struct log_bytes lock_before = keep_lock();
    int why = __real_file_resize(file, bytes);
    if (why == 0 && is_recorded(number)) {
        struct log_entry *entry = note(LOG_RESIZE, lock_before);
        entry->file = number;
        entry->at = bytes;
    }
    return why;
}

int __real_file_size(int file, uint64_t *ret_bytes);
int __wrap_file_size(int file, uint64_t *ret_bytes);
int __wrap_file_size(int file, uint64_t *ret_bytes)
{
    if (arrive(CALL_SIZE, name_of(opens_find(file)->file)) != FAIL_NOT)
        return EIO;
    return __real_file_size(file, ret_bytes);
}

/* -- The machine ------------------------------------------------------------------------------------- */

int __wrap_file_boot(uint8_t ret_boot[FILE_BOOT_BYTES]);
int __wrap_file_boot(uint8_t ret_boot[FILE_BOOT_BYTES])
{
    if (arrive(CALL_BOOT, "") != FAIL_NOT)
        return EIO;
    for (uint32_t i = 0; i < FILE_BOOT_BYTES; i++)
        ret_boot[i] = (uint8_t)(random_mix(boot) >> i % 8 * 8);
    return 0;
}

void __wrap_os_random(void *buf, size_t bytes);
void __wrap_os_random(void *buf, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)buf)[i] = (uint8_t)random_next(&chance);
}

/* Runs of one workload must write the same bytes. */
int64_t __wrap_os_wall_ns(void);
int64_t __wrap_os_wall_ns(void) { return WALL_NS; }
