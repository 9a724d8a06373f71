/* SPDX-License-Identifier: MIT
 *
 * Files of maps: created whole, opened with suspicion, unlinked by name (segfile.h).
 *
 * Creation (guarantee C: death at any instruction leaves the old name or a complete map)
 *   by link     O_TMPFILE, fill, linkat.  The kernel decides who is first; a file without a name goes with
 *               its creator.
 *   by rename   where that cannot be done: a private name made with O_EXCL, lock, fill, rename without
 *               replacing.
 *                 R1 Only who holds the lock of a draft removes it, except who made it.
 *                 R2 A draft whose lock is free belongs to nobody: its creator died, or is between its
 *                    open and its lock.  So who has locked his own draft looks whether it still has a name,
 *                    and starts again if not.
 *                 R3 The lock is taken on the file, the removal goes by name: who wants to remove looks,
 *                    under the lock, whether the name still means that file.
 *               Each creator removes leftovers once, when it comes; so it can only be thrown back by
 *               creators that came after it, once each.
 * Paths are resolved once, to a directory; everything after that is relative to its descriptor.
 */
#include "map/segfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os.h"
#include "map/name.h"
#include "tier/tier.h"

/* Thrown back that often, each time by another process that hit a window of a few instructions (between
 * a draft's open and its lock; between looking at a name and removing it): something else is at work. */
#define TRIES_MAX 64

#define SPAN_WORDS_AT_ONCE 512u

/* Answers inside this file, beside the public codes. */
enum { BEGIN_AGAIN = 100, /* another process came between */
       BY_RENAME };       /* this file system cannot make a file without a name, or name it later */

/* -- Directory and kind of file --------------------------------------------------------------- */

static int open_directory(const struct name *name)
{
    return open(name->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* errno of a failed call on the name's file or directory as a result. */
static int os_failure(const struct name *name, const char *what)
{
    if (errno == ENAMETOOLONG)
        return error_set(SHOAL_EINVAL, "%s: too long for its file system", name->shown);
    return error_os("%s: %s", name->shown, what);
}

/* The same for a name that must exist. */
static int open_failure(const struct name *name, const char *what)
{
    if (errno == ENOENT)
        return error_set(SHOAL_ENOMAP, "%s: no such map", name->shown);
    return os_failure(name, what);
}

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFLNK: return "a symbolic link";
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    case S_IFCHR:
    case S_IFBLK: return "a device";
    default: return "not a regular file";
    }
}

static int judge_kind(const struct name *name, mode_t mode)
{
    if (S_ISREG(mode))
        return 0;
    return error_set(SHOAL_EINVAL, "%s: %s; a map is a regular file", name->shown, kind_of(mode));
}

/* -- Opening ------------------------------------------------------------------------------------ */

/* The kind is looked at before the open too, because opening a device may do something. */
static int open_regular(const struct name *name, int dir, int access, int *ret_fd, struct stat *ret_st)
{
    if (fstatat(dir, name->last, ret_st, AT_SYMLINK_NOFOLLOW) != 0)
        return open_failure(name, "stat");
    int code = judge_kind(name, ret_st->st_mode);
    if (code != 0)
        return code;
    int fd = openat(dir, name->last, access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return judge_kind(name, S_IFLNK);
    if (fd < 0 && errno == EISDIR)
        return judge_kind(name, S_IFDIR);
    if (fd < 0)
        return open_failure(name, access == O_RDWR ? "open for reading and writing" : "open");
    code = fstat(fd, ret_st) != 0 ? os_failure(name, "fstat") : judge_kind(name, ret_st->st_mode);
    if (code != 0)
        os_close(fd);
    else
        *ret_fd = fd;
    return code;
}

static int judge_owner(const struct name *name, const struct stat *st, unsigned flags)
{
    if (st->st_uid == geteuid() || (flags & SHOAL_FOREIGN))
        return 0;
    errno = EPERM;
    return error_set(SHOAL_EOS, "%s: belongs to uid %u, and this process is uid %u; SHOAL_FOREIGN accepts that",
                     name->shown, (unsigned)st->st_uid, (unsigned)geteuid());
}

/* 0, SHOAL_ECORRUPT where the file is shorter than a header, SHOAL_EOS. */
static int read_header(const struct name *name, int fd, const struct stat *st, struct segment_header *ret_header)
{
    if (st->st_size == 0)
        return error_set(SHOAL_ECORRUPT, "%s: empty, not a Shoal map", name->shown);
    uint8_t *to = (uint8_t *)ret_header;
    size_t n = 0;
    while (n < sizeof *ret_header) {
        ssize_t got = pread(fd, to + n, sizeof *ret_header - n, (off_t)n);
        if (got == 0)
            return error_set(SHOAL_ECORRUPT, "%s: truncated: %zu bytes, a header has %zu", name->shown, n,
                             sizeof *ret_header);
        if (got < 0 && errno != EINTR)
            return os_failure(name, "read the header");
        n += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* In a private copy. */
static uint64_t successor_of(const struct segment_header *header)
{
    uint64_t successor;
    memcpy(&successor, (const void *)&header->successor, sizeof successor);
    return segment_id_in(successor, header->geometry.family);
}

/* ret_successor: which segment the map has moved to, 0: none. */
static int open_checked(const struct name *name, int dir, unsigned flags, bool damaged, int *ret_fd,
                        struct geometry *ret_geometry, uint64_t *ret_successor)
{
    struct stat st;
    struct segment_header header;
    int fd = -1;
    int code = open_regular(name, dir, flags & SHOAL_RDONLY ? O_RDONLY : O_RDWR, &fd, &st);
    if (code == 0)
        code = judge_owner(name, &st, flags);
    if (code == 0)
        code = read_header(name, fd, &st, &header);
    if (code == 0)
        code = geometry_check(name->shown, &header, damaged ? header.geometry.segment_bytes : (uint64_t)st.st_size,
                              ret_geometry);
    if (code == 0)
        *ret_fd = fd;
    else
        os_close(fd);
    *ret_successor = code == 0 ? successor_of(&header) : 0;
    return code;
}

static int name_next(const struct name *name, int dir, int fd, uint64_t successor);

/* Until the name means a segment without a successor. */
static int open_newest(const struct name *name, int dir, unsigned flags, bool damaged, int *ret_fd,
                       struct geometry *ret_geometry)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        uint64_t successor;
        int code = open_checked(name, dir, flags, damaged, ret_fd, ret_geometry, &successor);
        if (code != 0 || successor == 0 || damaged)
            return code;
        code = name_next(name, dir, *ret_fd, successor);
        os_close(*ret_fd);
        if (code != 0)
            return code;
    }
    return error_set(SHOAL_ECORRUPT, "%s: has moved to a segment that is not there", name->shown);
}

static int open_by_name(const char *name_text, unsigned flags, bool damaged, int *ret_fd, struct geometry *ret_geometry)
{
    struct name name;
    int code = name_parse(name_text, &name);
    if (code != 0)
        return code;
    if (flags & ~(unsigned)(SHOAL_RDONLY | SHOAL_FOREIGN))
        return error_set(SHOAL_EINVAL, "%s: open flags 0x%x are not known", name.shown, flags);
    int dir = open_directory(&name);
    if (dir < 0)
        return open_failure(&name, "open its directory");
    code = open_newest(&name, dir, flags, damaged, ret_fd, ret_geometry);
    os_close(dir);
    return code;
}

int segfile_open(const char *name, unsigned flags, int *ret_fd, struct geometry *ret_geometry)
{
    return open_by_name(name, flags, false, ret_fd, ret_geometry);
}

int segfile_open_damaged(const char *name, unsigned flags, int *ret_fd, struct geometry *ret_geometry)
{
    return open_by_name(name, flags | SHOAL_RDONLY, true, ret_fd, ret_geometry);
}

/* -- Filling a new file ---------------------------------------------------------------------------- */

struct making {
    struct name name;
    const struct segfile_user *user;
    const struct tier_origin *store; /* NULL: none below */
    struct geometry geometry;
    uint64_t predecessor; /* 0: a new map */
    int dir;
    uint32_t mode;
    int64_t gid;
    bool preallocate;
};

/* The hashes are the store's, so that both have the same order; the spill bits say "perhaps" where it holds keys. */
static void geometry_above(const struct tier_origin *store, struct geometry *geometry)
{
    geometry->seed = store->seed;
    geometry->version_salt |= VERSION_SALT;
    geometry->spill_flip = store->holds ? META_SPILL_MASK : 0;
    memcpy(geometry->store_id, store->id, sizeof geometry->store_id);
    memcpy(geometry->boot, store->boot, sizeof geometry->boot);
}

static uint64_t new_id(uint64_t family)
{
    uint32_t random;
    os_random(&random, sizeof random);
    return segment_id(random | 1, family); /* not 0 */
}

static int making_begin(const char *name, const struct shoal_options *options, const struct tier_origin *store,
                        const struct segfile_user *user, struct making *m)
{
    m->user = user;
    m->store = store;
    int code = name_parse(name, &m->name);
    if (code == 0)
        code = geometry_plan(options, &m->geometry);
    if (code != 0)
        return code;
    m->mode = options != NULL && options->mode != 0 ? options->mode : 0600;
    m->gid = options != NULL ? options->gid : -1;
    m->preallocate = options != NULL && (options->flags & SHOAL_PREALLOCATE);
    os_random(&m->geometry.seed, sizeof m->geometry.seed);
    os_random(&m->geometry.version_salt, sizeof m->geometry.version_salt);
    os_random(&m->geometry.family, sizeof m->geometry.family);
    m->geometry.id = new_id(m->geometry.family);
    m->predecessor = 0;
    m->geometry.created_ns = os_wall_ns();
    if (store != NULL)
        geometry_above(store, &m->geometry);
    m->dir = open_directory(&m->name);
    return m->dir < 0 ? os_failure(&m->name, "open its directory") : 0;
}

/* Is the name taken, as far as one can see before trying? */
static int refuse_taken(const struct making *m)
{
    struct stat st;
    if (fstatat(m->dir, m->name.last, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : os_failure(&m->name, "stat");
    int code = judge_kind(&m->name, st.st_mode);
    return code != 0 ? code : error_set(SHOAL_EMAPEXISTS, "%s: exists already", m->name.shown);
}

/* After EEXIST: it was there a moment ago, whatever is there now. */
static int answer_taken(const struct making *m)
{
    int code = refuse_taken(m);
    return code == SHOAL_EINVAL ? code : error_set(SHOAL_EMAPEXISTS, "%s: exists already", m->name.shown);
}

/* Group before mode: the file must not be open to the wrong group in between. */
static int fill_permissions(const struct making *m, int fd)
{
    if (m->gid != -1 && fchown(fd, (uid_t)-1, (gid_t)m->gid) != 0)
        return error_os("%s: give it to group %lld", m->name.shown, (long long)m->gid);
    if (fchmod(fd, (mode_t)m->mode) != 0)
        return error_os("%s: set its mode to 0%o", m->name.shown, m->mode);
    return 0;
}

/* The kernel answers a size over the limit with a signal that ends the process. */
static int fill_size(const struct making *m, int fd)
{
    struct rlimit limit;
    unsigned long long bytes = m->geometry.segment_bytes;
    if (os_file_is_hugetlb(fd))
        return error_set(SHOAL_EOS, "%s: hugetlbfs cannot be written to; a tmpfs mounted with huge=always has huge pages too",
                         m->name.shown);
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur) {
        errno = EFBIG;
        return error_os("%s: %llu bytes, this process may make files of %llu", m->name.shown, bytes,
                        (unsigned long long)limit.rlim_cur);
    }
    if (ftruncate(fd, (off_t)bytes) != 0)
        return error_os("%s: make it %llu bytes long", m->name.shown, bytes);
    return 0;
}

static int fill_room(const struct making *m, int fd)
{
    unsigned long long bytes = m->preallocate ? m->geometry.segment_bytes : m->geometry.heap_at;
    int failed = os_allocate(fd, 0, bytes);
    if (failed == 0)
        return 0;
    errno = failed;
    return error_os("%s: allocate %llu bytes for %s", m->name.shown, bytes,
                    m->preallocate ? "header, table and heap" : "header and table");
}

static int write_all(const struct making *m, int fd, const void *bytes, size_t n, uint64_t at)
{
    const uint8_t *from = bytes;
    while (n > 0) {
        ssize_t put = pwrite(fd, from, n, (off_t)at);
        if (put < 0 && errno != EINTR)
            return error_os("%s: write %zu bytes at %llu", m->name.shown, n, (unsigned long long)at);
        if (put > 0) {
            from += put;
            at += (uint64_t)put;
            n -= (size_t)put;
        }
    }
    return 0;
}

/* Zero means: unused, not yet backed. */
static int fill_spans(const struct making *m, int fd)
{
    if (!m->preallocate)
        return 0;
    uint64_t words[SPAN_WORDS_AT_ONCE];
    for (uint32_t i = 0; i < SPAN_WORDS_AT_ONCE; i++)
        words[i] = span_pack(0, SPAN_FREE, 0, 0, true);
    int code = 0;
    for (uint64_t done = 0; done < m->geometry.spans_n && code == 0; done += SPAN_WORDS_AT_ONCE) {
        uint64_t n = m->geometry.spans_n - done;
        n = n < SPAN_WORDS_AT_ONCE ? n : SPAN_WORDS_AT_ONCE;
        code = write_all(m, fd, words, n * sizeof words[0], m->geometry.spans_at + done * sizeof words[0]);
    }
    return code;
}

/* Where it is unknown, as without /proc, it stays 0: no life is that, and who attaches sees (whole_open). */
static void sign_life(struct segment_header *header)
{
    uint64_t life[2] = { 0 };
    if (os_boot((uint8_t *)life) != 0)
        return;
    for (int i = 0; i < 2; i++)
        store_relaxed_u64(&header->life[i], life[i]); /* relaxed: nobody else sees it yet */
}

/* The header comes last: a draft that nobody finished is no map.  Permissions come late: while a draft has 0600,
 * the next creator can open it, whatever the map's are to be. */
static int fill(const struct making *m, int fd)
{
    struct segment_header header;
    int code = fill_size(m, fd);
    if (code == 0)
        code = fill_room(m, fd);
    if (code == 0)
        code = fill_spans(m, fd);
    if (code == 0)
        code = fill_permissions(m, fd);
    if (code != 0)
        return code;
    geometry_header(&m->geometry, m->store != NULL ? m->store->path : "", &header);
    store_relaxed_u64(&header.predecessor, m->predecessor); /* relaxed: nobody else sees it yet */
    sign_life(&header);
    return write_all(m, fd, &header, sizeof header, 0);
}

/* Everything but a name.  The descriptor is the user's in the end, or closed. */
static int complete(const struct making *m, int fd)
{
    int code = fill(m, fd);
    if (code == 0)
        return m->user->take(m->user->arg, fd, &m->geometry);
    os_close(fd);
    return code;
}

static void let_go(const struct making *m)
{
    int keep = errno;
    m->user->leave(m->user->arg);
    errno = keep;
}

/* -- By rename ------------------------------------------------------------------------------------------ */

static void draft_remove(int dir, const char *draft)
{
    int keep = errno;
    (void)unlinkat(dir, draft, 0);
    errno = keep;
}

/* Does the entry of the directory mean this open file? */
static bool entry_is(int dir, const char *entry, const struct stat *st)
{
    struct stat now;
    return fstatat(dir, entry, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == st->st_dev &&
           now.st_ino == st->st_ino;
}

/* R1 to R3.  What cannot be opened or locked is left: it belongs to somebody else. */
static void leftover_remove(int dir, const char *entry)
{
    struct stat st;
    int fd = openat(dir, entry, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && os_lock(fd, SEGFILE_DRAFT_BYTE) == OS_LOCK_TAKEN &&
        entry_is(dir, entry, &st))
        draft_remove(dir, entry);
    os_close(fd); /* and with it the lock */
}

/* A directory that may not be listed keeps its leftovers. */
static void leftovers_remove(const struct making *m)
{
    int fd = openat(m->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (list == NULL) {
        os_close(fd);
        return;
    }
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        if (name_is_draft_of(&m->name, entry->d_name))
            leftover_remove(m->dir, entry->d_name);
    (void)closedir(list);
}

/* A new draft that nobody else may remove.  0, BEGIN_AGAIN, SHOAL_EOS. */
static int draft_open(const struct making *m, struct draft_name *draft, int *ret_fd)
{
    uint32_t random;
    os_random(&random, sizeof random);
    name_draft(&m->name, random, draft);
    int fd = openat(m->dir, draft->last, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? BEGIN_AGAIN : os_failure(&m->name, "create a file in its directory");
    enum os_lock_answer answer = os_lock(fd, SEGFILE_DRAFT_BYTE);
    if (answer == OS_LOCK_TAKEN && !os_file_unlinked(fd)) {
        *ret_fd = fd;
        return 0;
    }
    int code = answer == OS_LOCK_ERROR ? error_os("%s: lock the new file", m->name.shown) : BEGIN_AGAIN;
    draft_remove(m->dir, draft->last);
    os_close(fd);
    return code;
}

/* Give the draft its name unless that is taken.  Between link and unlink of the second way the map is
 * complete under both names; who dies there leaves the private one to the next creator.
 * 0, BEGIN_AGAIN, SHOAL_EMAPEXISTS, SHOAL_EINVAL, SHOAL_EOS. */
static int draft_publish(const struct making *m, const struct draft_name *draft)
{
    if (renameat2(m->dir, draft->last, m->dir, m->name.last, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM) { /* EPERM: a filter */
        if (linkat(m->dir, draft->last, m->dir, m->name.last, 0) == 0) {
            draft_remove(m->dir, draft->last);
            return 0;
        }
    }
    if (errno == EEXIST)
        return answer_taken(m);
    return errno == ENOENT ? BEGIN_AGAIN : os_failure(&m->name, "name the new file");
}

static int draft_make(const struct making *m)
{
    struct draft_name draft;
    int fd = -1;
    int code = draft_open(m, &draft, &fd);
    if (code != 0)
        return code;
    code = complete(m, fd);
    const bool taken = code == 0;
    if (taken)
        code = draft_publish(m, &draft);
    if (code == 0) {
        os_unlock(fd, SEGFILE_DRAFT_BYTE);
        return 0;
    }
    draft_remove(m->dir, draft.last);
    if (taken)
        let_go(m);
    return code;
}

static int make_by_rename(const struct making *m)
{
    leftovers_remove(m);
    int code = refuse_taken(m);
    if (code != 0)
        return code;
    for (int i = 0; i < TRIES_MAX; i++) {
        code = draft_make(m);
        if (code != BEGIN_AGAIN)
            return code;
    }
    errno = EAGAIN;
    return error_os("%s: removed %d times while it was being made", m->name.shown, TRIES_MAX);
}

int segfile_create_by_rename(const char *name, const struct shoal_options *options, const struct tier_origin *store,
                             const struct segfile_user *user)
{
    struct making m;
    int code = making_begin(name, options, store, user, &m);
    if (code != 0)
        return code;
    code = make_by_rename(&m);
    os_close(m.dir);
    return code;
}

/* -- By link ---------------------------------------------------------------------------------------------- */

/* EISDIR, ENOENT: kernels and file systems that do not know O_TMPFILE see a directory opened for writing. */
static int unnamed_open(const struct making *m, int *ret_fd)
{
    int fd = openat(m->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT)
        return BY_RENAME;
    return os_failure(&m->name, "create a file in its directory");
}

static int link_fd(int fd, int dir, const char *last)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dir, last, AT_SYMLINK_FOLLOW);
}

/* ENOENT: /proc is not mounted; EPERM, EOPNOTSUPP: no hard links; the rest: odd file systems. */
static int unnamed_publish(const struct making *m, int fd)
{
    if (link_fd(fd, m->dir, m->name.last) == 0)
        return 0;
    switch (errno) {
    case EEXIST: return answer_taken(m);
    case ENOENT:
    case ENOTDIR:
    case EPERM:
    case EOPNOTSUPP:
    case EINVAL:
    case EXDEV:
    case EMLINK:
    case ENOSYS: return BY_RENAME;
    default: return os_failure(&m->name, "name the new file");
    }
}

static int make_by_link(const struct making *m)
{
    int fd = -1;
    int code = refuse_taken(m);
    if (code == 0)
        code = unnamed_open(m, &fd);
    if (code == 0)
        code = complete(m, fd);
    if (code != 0)
        return code;
    code = unnamed_publish(m, fd);
    if (code != 0)
        let_go(m);
    return code;
}

int segfile_create(const char *name, const struct shoal_options *options, const struct tier_origin *store,
                   const struct segfile_user *user)
{
    struct making m;
    int code = making_begin(name, options, store, user, &m);
    if (code != 0)
        return code;
    code = make_by_link(&m);
    if (code == BY_RENAME)
        code = make_by_rename(&m);
    os_close(m.dir);
    return code;
}

/* -- Moving to a new geometry --------------------------------------------------------------------------------
 *
 * Both segments have a private name from before the switch on, so that each can be found from the other.
 *   dies before the switch     the new one is a leftover, and the old one's second name too: removed by the next rebuild, or
 *                              with the map.  Whoever rebuilds holds SEGFILE_DRAFT_BYTE of his file meanwhile
 *   dies behind it             whoever opens the map gives the new one its name
 */

/* So that the machine's death leaves the names that the segments count on.  Where that fails, the map is refused in its next
 * life if the names are not there. */
static void names_flush(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd);
    os_close(fd);
}

/* The name means `from`, whose successor takes it.  Between the look and the rename another process may give the name to
 * another map: that one goes then, as with unlink. */
static int name_next(const struct name *name, int dir, int fd, uint64_t successor)
{
    struct stat st;
    struct draft_name kin;
    if (fstat(fd, &st) != 0)
        return os_failure(name, "fstat");
    name_kin(name, successor, &kin);
    if (!entry_is(dir, name->last, &st))
        return 0;
    if (renameat(dir, kin.last, dir, name->last) == 0) {
        names_flush(dir);
        return 0;
    }
    return errno == ENOENT ? 0 : os_failure(name, "give the name to the map's next segment");
}

/* Names are cut, so a map with another long name may have kin that look like this one's.  A file that is no map yet is a
 * draft, whose maker has it locked while he lives. */
static bool kin_is_of(const struct name *name, int dir, const char *entry, uint64_t family)
{
    struct stat st;
    struct segment_header header;
    int fd = openat(dir, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool other = fd < 0 || (fstat(fd, &st) == 0 && read_header(name, fd, &st, &header) == 0 &&
                            header.magic == SEGMENT_MAGIC && header.geometry.family != family);
    os_close(fd);
    return !other;
}

/* Private names of a map's segments, unless somebody rebuilds with them. */
static void kin_remove(const struct name *name, int dir, uint64_t family)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (list == NULL) {
        os_close(fd);
        return;
    }
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        if (name_is_kin_of(name, entry->d_name) && kin_is_of(name, dir, entry->d_name, family))
            leftover_remove(dir, entry->d_name);
    (void)closedir(list);
}

/* Where the file cannot be made without a name it begins with the private one. */
static int next_open(const struct making *m, const struct draft_name *kin, int *ret_fd, bool *ret_named)
{
    int code = unnamed_open(m, ret_fd);
    *ret_named = code == BY_RENAME;
    if (*ret_named) {
        *ret_fd = openat(m->dir, kin->last, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        code = *ret_fd < 0 ? os_failure(&m->name, "create a file in its directory") : 0;
    }
    if (code == 0 && os_lock(*ret_fd, SEGFILE_DRAFT_BYTE) != OS_LOCK_TAKEN) {
        code = error_os("%s: lock the new file", m->name.shown);
        if (*ret_named)
            draft_remove(m->dir, kin->last);
        os_close(*ret_fd);
    }
    return code;
}

static int next_make(const struct making *m, const struct segfile_from *from)
{
    struct draft_name mine, other;
    int fd = -1;
    bool named;
    name_kin(&m->name, m->geometry.id, &mine);
    name_kin(&m->name, from->geometry->id, &other);
    int code = next_open(m, &mine, &fd, &named);
    if (code != 0)
        return code;
    code = complete(m, fd);
    bool taken = code == 0;
    if (taken && !named && link_fd(fd, m->dir, mine.last) != 0)
        code = os_failure(&m->name, "give the new segment its private name");
    if (code == 0 && link_fd(from->fd, m->dir, other.last) != 0 && errno != EEXIST)
        code = os_failure(&m->name, "give the present segment its private name");
    if (code == 0) {
        names_flush(m->dir);
        return 0;
    }
    draft_remove(m->dir, mine.last);
    if (taken)
        let_go(m);
    return code;
}

int segfile_create_next(const struct segfile_from *from, const struct shoal_options *options, const struct tier_origin *store,
                        const struct segfile_user *user)
{
    struct making m;
    struct stat st;
    int code = making_begin(from->path, options, store, user, &m);
    if (code != 0)
        return code;
    m.geometry.family = from->geometry->family;
    m.geometry.id = new_id(m.geometry.family);
    m.predecessor = from->geometry->id;
    if (store != NULL)
        m.geometry.spill_flip = META_SPILL_MASK; /* what the present one brings down meanwhile counts, too */
    if (fstat(from->fd, &st) != 0 || !entry_is(m.dir, m.name.last, &st))
        code = error_set(SHOAL_ENOMAP, "%s: the name means another file than this map's", m.name.shown);
    else if (st.st_uid != geteuid())
        code = error_set(SHOAL_EOS, "%s: belongs to uid %u; its owner may rebuild it", m.name.shown, (unsigned)st.st_uid);
    if (code == 0) {
        m.mode = st.st_mode & 07777;
        m.gid = st.st_gid;
        kin_remove(&m.name, m.dir, from->geometry->family);
        code = next_make(&m, from);
    }
    os_close(m.dir);
    return code;
}

/* Name and directory of an open map's path. */
static int place_of(const char *path, struct name *ret_name, int *ret_dir)
{
    int code = name_parse(path, ret_name);
    if (code != 0)
        return code;
    *ret_dir = open_directory(ret_name);
    return *ret_dir < 0 ? open_failure(ret_name, "open its directory") : 0;
}

int segfile_is_named(const char *path, int fd)
{
    struct name name;
    struct stat st;
    int dir, code = place_of(path, &name, &dir);
    if (code != 0)
        return code;
    if (fstat(fd, &st) != 0 || !entry_is(dir, name.last, &st))
        code = error_set(SHOAL_ENOMAP, "%s: the name means another file than this map's", name.shown);
    os_close(dir);
    return code;
}

int segfile_switch(const char *path, int from_fd, uint64_t successor)
{
    struct name name;
    int dir, code = place_of(path, &name, &dir);
    if (code != 0)
        return code;
    code = name_next(&name, dir, from_fd, successor);
    os_close(dir);
    return code;
}

int segfile_open_kin(const char *path, uint64_t id, unsigned flags, int *ret_fd, struct geometry *ret_geometry)
{
    struct name name;
    struct draft_name kin;
    uint64_t successor;
    int dir, code = place_of(path, &name, &dir);
    if (code != 0)
        return code;
    name_kin(&name, id, &kin);
    memcpy(name.last, kin.last, sizeof name.last);
    code = open_checked(&name, dir, flags, false, ret_fd, ret_geometry, &successor);
    if (code == 0 && ret_geometry->id != id) {
        code = error_set(SHOAL_ECORRUPT, "%s: its former segment %s is another one", name.shown, kin.last);
        os_close(*ret_fd);
    }
    os_close(dir);
    return code;
}

int segfile_unlink_kin(const char *path, uint64_t id)
{
    struct name name;
    struct draft_name kin;
    int dir, code = place_of(path, &name, &dir);
    if (code != 0)
        return code;
    name_kin(&name, id, &kin);
    if (unlinkat(dir, kin.last, 0) != 0 && errno != ENOENT)
        code = os_failure(&name, "remove its former segment");
    os_close(dir);
    return code;
}

/* -- Unlinking ---------------------------------------------------------------------------------------------- */

static int judge_map(const struct name *name, int fd, const struct stat *st, uint64_t *ret_successor,
                     uint64_t *ret_family)
{
    struct segment_header header = { 0 };
    int code = read_header(name, fd, st, &header);
    *ret_successor = successor_of(&header);
    *ret_family = header.geometry.family;
    if (code == SHOAL_EOS || (code == 0 && header.magic == SEGMENT_MAGIC))
        return code;
    return error_set(SHOAL_ECORRUPT, "%s: not a Shoal map (%lld bytes%s), so not removed; by hand: rm %s%s",
                     name->shown, (long long)st->st_size, code == 0 ? " without its magic number" : "",
                     name->shown_dir, name->shown);
}

/* Relaxed: it tells nothing of other memory.  Who dies before it leaves a file without a name, which its
 * link count shows to those who ask. */
static void mark_unlinked(struct segment_header *header)
{
    store_relaxed_u32(&header->unlinked, 1);
}

/* Mapped first, so that failure leaves the name.  Between the look and the removal another process may
 * give the name to another map: that one goes then, without a mark, as if by rm.
 * 0, BEGIN_AGAIN where the name means another file by now, or a failure. */
static int remove_and_mark(const struct name *name, int dir, int fd, const struct stat *st)
{
    int code = 0;
    struct segment_header *header = os_map(fd, SEGMENT_PAGE, true);
    if (header == NULL)
        return os_failure(name, "map the header");
    if (!entry_is(dir, name->last, st))
        code = BEGIN_AGAIN;
    else if (unlinkat(dir, name->last, 0) != 0)
        code = open_failure(name, "remove the file");
    else
        mark_unlinked(header);
    os_unmap(header, SEGMENT_PAGE);
    return code;
}

static int unlink_once(const struct name *name, int dir)
{
    struct stat st;
    uint64_t successor, family;
    int fd = -1;
    int code = open_regular(name, dir, O_RDWR, &fd, &st);
    if (code != 0)
        return code;
    code = judge_map(name, fd, &st, &successor, &family);
    if (code == 0 && successor != 0 && name_next(name, dir, fd, successor) == 0 && !entry_is(dir, name->last, &st))
        code = BEGIN_AGAIN; /* that one is meant */
    if (code == 0)
        code = remove_and_mark(name, dir, fd, &st);
    if (code == 0)
        kin_remove(name, dir, family); /* behind the name: who misses one then sees that the map is gone (move.c) */
    os_close(fd);
    return code;
}

static int unlink_name(const struct name *name, int dir)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        int code = unlink_once(name, dir);
        if (code != BEGIN_AGAIN)
            return code;
    }
    errno = EAGAIN;
    return error_os("%s: means another file each of %d times", name->shown, TRIES_MAX);
}

int segfile_unlink(const char *name_text)
{
    struct name name;
    int code = name_parse(name_text, &name);
    if (code != 0)
        return code;
    int dir = open_directory(&name);
    if (dir < 0)
        return open_failure(&name, "open its directory");
    code = unlink_name(&name, dir);
    os_close(dir);
    return code;
}

