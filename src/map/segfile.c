/* SPDX-License-Identifier: MIT
 *
 * Files of maps: opened with suspicion, unlinked by name (segfile.h).
 */
#include "map/segfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os.h"
#include "map/name.h"
#include "map/segparts.h"

/* -- Directory and kind of file --------------------------------------------------------------- */

int segfile_open_directory(const struct name *name)
{
    return open(name->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int segfile_os_failure(const struct name *name, const char *what)
{
    if (errno == ENAMETOOLONG)
        return error_set(SHOAL_EINVAL, "%s: too long for its file system", name->shown);
    return error_os("%s: %s", name->shown, what);
}

/* As segfile_os_failure, for a name that must exist. */
static int open_failure(const struct name *name, const char *what)
{
    if (errno == ENOENT)
        return error_set(SHOAL_ENOMAP, "%s: no such map", name->shown);
    return segfile_os_failure(name, what);
}

int segfile_place(const char *path, struct name *ret_name, int *ret_dir)
{
    int code = name_parse(path, ret_name);
    if (code != 0)
        return code;
    *ret_dir = segfile_open_directory(ret_name);
    return *ret_dir < 0 ? open_failure(ret_name, "open its directory") : 0;
}

bool segfile_entry_is(int dir, const char *entry, const struct stat *st)
{
    struct stat now;
    return fstatat(dir, entry, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == st->st_dev &&
           now.st_ino == st->st_ino;
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

int segfile_judge_kind(const struct name *name, mode_t mode)
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
    int code = segfile_judge_kind(name, ret_st->st_mode);
    if (code != 0)
        return code;
    int fd = openat(dir, name->last, access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return segfile_judge_kind(name, S_IFLNK);
    if (fd < 0 && errno == EISDIR)
        return segfile_judge_kind(name, S_IFDIR);
    if (fd < 0)
        return open_failure(name, access == O_RDWR ? "open for reading and writing" : "open");
    code = fstat(fd, ret_st) != 0 ? segfile_os_failure(name, "fstat") : segfile_judge_kind(name, ret_st->st_mode);
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

int segfile_read_header(const struct name *name, int fd, const struct stat *st, struct segment_header *ret_header)
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
            return segfile_os_failure(name, "read the header");
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
        code = segfile_read_header(name, fd, &st, &header);
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

/* Until the name means a segment without a successor. */
static int open_newest(const struct name *name, int dir, unsigned flags, bool damaged, int *ret_fd,
                       struct geometry *ret_geometry)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        uint64_t successor;
        int code = open_checked(name, dir, flags, damaged, ret_fd, ret_geometry, &successor);
        if (code != 0 || successor == 0 || damaged)
            return code;
        code = segkin_name_next(name, dir, *ret_fd, successor);
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
    int dir = segfile_open_directory(&name);
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

int segfile_open_kin(const char *path, uint64_t id, unsigned flags, int *ret_fd, struct geometry *ret_geometry)
{
    struct name name;
    struct draft_name kin;
    uint64_t successor;
    int dir, code = segfile_place(path, &name, &dir);
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

/* -- Unlinking ---------------------------------------------------------------------------------------------- */

static int judge_map(const struct name *name, int fd, const struct stat *st, uint64_t *ret_successor,
                     uint64_t *ret_family)
{
    struct segment_header header = { 0 };
    int code = segfile_read_header(name, fd, st, &header);
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
        return segfile_os_failure(name, "map the header");
    if (!segfile_entry_is(dir, name->last, st))
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
    if (code == 0 && successor != 0 && segkin_name_next(name, dir, fd, successor) == 0 &&
        !segfile_entry_is(dir, name->last, &st))
        code = BEGIN_AGAIN; /* that one is meant */
    if (code == 0)
        code = remove_and_mark(name, dir, fd, &st);
    if (code == 0)
        segkin_remove(name, dir, family); /* behind the name: who misses one then sees that the map is gone (move.c) */
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
    int dir, code = segfile_place(name_text, &name, &dir);
    if (code != 0)
        return code;
    code = unlink_name(&name, dir);
    os_close(dir);
    return code;
}
