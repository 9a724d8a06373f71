/* SPDX-License-Identifier: MIT
 *
 * Files of maps: moving to a new geometry (segfile.h).
 *
 * Both segments have a private name from before the switch on, so that each can be found from the other.
 *   dies before the switch     the new one is a leftover, and the old one's second name too: removed by the next rebuild, or
 *                              with the map.  Whoever rebuilds holds SEGFILE_DRAFT_BYTE of his file meanwhile
 *   dies behind it             whoever opens the map gives the new one its name
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os.h"
#include "map/name.h"
#include "map/segfile.h"
#include "map/segparts.h"

/* So that the machine's death leaves the names that the segments count on.  Where that fails, the map is refused in its next
 * life if the names are not there. */
static void names_flush(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd);
    os_close(fd);
}

/* Between the look and the rename another process may give the name to another map: that one goes then, as with unlink. */
int segkin_name_next(const struct name *name, int dir, int fd, uint64_t successor)
{
    struct stat st;
    struct draft_name kin;
    if (fstat(fd, &st) != 0)
        return segfile_os_failure(name, "fstat");
    name_kin(name, successor, &kin);
    if (!segfile_entry_is(dir, name->last, &st))
        return 0;
    if (renameat(dir, kin.last, dir, name->last) == 0) {
        names_flush(dir);
        return 0;
    }
    return errno == ENOENT ? 0 : segfile_os_failure(name, "give the name to the map's next segment");
}

/* Names are cut, so a map with another long name may have kin that look like this one's.  A file that is no map yet is a
 * draft, whose maker has it locked while he lives. */
static bool kin_is_of(const struct name *name, int dir, const char *entry, uint64_t family)
{
    struct stat st;
    struct segment_header header;
    int fd = openat(dir, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool other = fd < 0 || (fstat(fd, &st) == 0 && segfile_read_header(name, fd, &st, &header) == 0 &&
                            header.magic == SEGMENT_MAGIC && header.geometry.family != family);
    os_close(fd);
    return !other;
}

void segkin_remove(const struct name *name, int dir, uint64_t family)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (list == NULL) {
        os_close(fd);
        return;
    }
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        if (name_is_kin_of(name, entry->d_name) && kin_is_of(name, dir, entry->d_name, family))
            segmake_leftover_remove(dir, entry->d_name);
    (void)closedir(list);
}

/* Where the file cannot be made without a name it begins with the private one. */
static int next_open(const struct making *m, const struct draft_name *kin, int *ret_fd, bool *ret_named)
{
    int code = segmake_open_unnamed(m, ret_fd);
    *ret_named = code == BY_RENAME;
    if (*ret_named) {
        *ret_fd = openat(m->dir, kin->last, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        code = *ret_fd < 0 ? segfile_os_failure(&m->name, "create a file in its directory") : 0;
    }
    if (code == 0 && os_lock(*ret_fd, SEGFILE_DRAFT_BYTE) != OS_LOCK_TAKEN) {
        code = error_os("%s: lock the new file", m->name.shown);
        if (*ret_named)
            segmake_draft_remove(m->dir, kin->last);
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
    code = segmake_complete(m, fd);
    bool taken = code == 0;
    if (taken && !named && segmake_link(fd, m->dir, mine.last) != 0)
        code = segfile_os_failure(&m->name, "give the new segment its private name");
    if (code == 0 && segmake_link(from->fd, m->dir, other.last) != 0 && errno != EEXIST)
        code = segfile_os_failure(&m->name, "give the present segment its private name");
    if (code == 0) {
        names_flush(m->dir);
        return 0;
    }
    segmake_draft_remove(m->dir, mine.last);
    if (taken)
        segmake_let_go(m);
    return code;
}

int segfile_create_next(const struct segfile_from *from, const struct shoal_options *options, const struct tier_origin *store,
                        const struct segfile_user *user)
{
    struct making m;
    struct stat st;
    int code = segmake_begin(from->path, options, store, user, &m);
    if (code != 0)
        return code;
    m.geometry.family = from->geometry->family;
    m.geometry.id = segmake_new_id(m.geometry.family);
    m.predecessor = from->geometry->id;
    if (store != NULL)
        m.geometry.spill_flip = META_SPILL_MASK; /* what the present one brings down meanwhile counts, too */
    if (fstat(from->fd, &st) != 0 || !segfile_entry_is(m.dir, m.name.last, &st))
        code = error_set(SHOAL_ENOMAP, "%s: the name means another file than this map's", m.name.shown);
    else if (st.st_uid != geteuid())
        code = error_set(SHOAL_EOS, "%s: belongs to uid %u; its owner may rebuild it", m.name.shown, (unsigned)st.st_uid);
    if (code == 0) {
        m.mode = st.st_mode & 07777;
        m.gid = st.st_gid;
        segkin_remove(&m.name, m.dir, from->geometry->family);
        code = next_make(&m, from);
    }
    os_close(m.dir);
    return code;
}

int segfile_is_named(const char *path, int fd)
{
    struct name name;
    struct stat st;
    int dir, code = segfile_place(path, &name, &dir);
    if (code != 0)
        return code;
    if (fstat(fd, &st) != 0 || !segfile_entry_is(dir, name.last, &st))
        code = error_set(SHOAL_ENOMAP, "%s: the name means another file than this map's", name.shown);
    os_close(dir);
    return code;
}

int segfile_switch(const char *path, int from_fd, uint64_t successor)
{
    struct name name;
    int dir, code = segfile_place(path, &name, &dir);
    if (code != 0)
        return code;
    code = segkin_name_next(&name, dir, from_fd, successor);
    os_close(dir);
    return code;
}

int segfile_unlink_kin(const char *path, uint64_t id)
{
    struct name name;
    struct draft_name kin;
    int dir, code = segfile_place(path, &name, &dir);
    if (code != 0)
        return code;
    name_kin(&name, id, &kin);
    if (unlinkat(dir, kin.last, 0) != 0 && errno != ENOENT)
        code = segfile_os_failure(&name, "remove its former segment");
    os_close(dir);
    return code;
}
