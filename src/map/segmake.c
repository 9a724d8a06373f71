/* SPDX-License-Identifier: MIT
 *
 * Files of maps: created whole (segfile.h).
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
 */
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
#include "map/segfile.h"
#include "map/segparts.h"
#include "tier/tier.h"

#define SPAN_WORDS_AT_ONCE 512u

/* -- Filling a new file ---------------------------------------------------------------------------- */

/* The hashes are the store's, so that both have the same order; the spill bits say "perhaps" where it holds keys. */
static void geometry_above(const struct tier_origin *store, struct geometry *geometry)
{
    geometry->seed = store->seed;
    geometry->version_salt |= VERSION_SALT;
    geometry->spill_flip = store->holds ? META_SPILL_MASK : 0;
    memcpy(geometry->store_id, store->id, sizeof geometry->store_id);
    memcpy(geometry->boot, store->boot, sizeof geometry->boot);
}

uint64_t segmake_new_id(uint64_t family)
{
    uint32_t random;
    os_random(&random, sizeof random);
    return segment_id(random | 1, family); /* not 0 */
}

int segmake_begin(const char *name, const struct shoal_options *options, const struct tier_origin *store,
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
    m->geometry.id = segmake_new_id(m->geometry.family);
    m->predecessor = 0;
    m->geometry.created_ns = os_wall_ns();
    if (store != NULL)
        geometry_above(store, &m->geometry);
    m->dir = segfile_open_directory(&m->name);
    return m->dir < 0 ? segfile_os_failure(&m->name, "open its directory") : 0;
}

/* Is the name taken, as far as one can see before trying? */
static int refuse_taken(const struct making *m)
{
    struct stat st;
    if (fstatat(m->dir, m->name.last, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : segfile_os_failure(&m->name, "stat");
    int code = segfile_judge_kind(&m->name, st.st_mode);
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

int segmake_complete(const struct making *m, int fd)
{
    int code = fill(m, fd);
    if (code == 0)
        return m->user->take(m->user->arg, fd, &m->geometry);
    os_close(fd);
    return code;
}

void segmake_let_go(const struct making *m)
{
    int keep = errno;
    m->user->leave(m->user->arg);
    errno = keep;
}

/* -- By rename ------------------------------------------------------------------------------------------ */

void segmake_draft_remove(int dir, const char *draft)
{
    int keep = errno;
    (void)unlinkat(dir, draft, 0);
    errno = keep;
}

/* R1 to R3.  What cannot be opened or locked is left: it belongs to somebody else. */
void segmake_leftover_remove(int dir, const char *entry)
{
    struct stat st;
    int fd = openat(dir, entry, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && os_lock(fd, SEGFILE_DRAFT_BYTE) == OS_LOCK_TAKEN &&
        segfile_entry_is(dir, entry, &st))
        segmake_draft_remove(dir, entry);
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
            segmake_leftover_remove(m->dir, entry->d_name);
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
        return errno == EEXIST ? BEGIN_AGAIN : segfile_os_failure(&m->name, "create a file in its directory");
    enum os_lock_answer answer = os_lock(fd, SEGFILE_DRAFT_BYTE);
    if (answer == OS_LOCK_TAKEN && !os_file_unlinked(fd)) {
        *ret_fd = fd;
        return 0;
    }
    int code = answer == OS_LOCK_ERROR ? error_os("%s: lock the new file", m->name.shown) : BEGIN_AGAIN;
    segmake_draft_remove(m->dir, draft->last);
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
            segmake_draft_remove(m->dir, draft->last);
            return 0;
        }
    }
    if (errno == EEXIST)
        return answer_taken(m);
    return errno == ENOENT ? BEGIN_AGAIN : segfile_os_failure(&m->name, "name the new file");
}

static int draft_make(const struct making *m)
{
    struct draft_name draft;
    int fd = -1;
    int code = draft_open(m, &draft, &fd);
    if (code != 0)
        return code;
    code = segmake_complete(m, fd);
    const bool taken = code == 0;
    if (taken)
        code = draft_publish(m, &draft);
    if (code == 0) {
        os_unlock(fd, SEGFILE_DRAFT_BYTE);
        return 0;
    }
    segmake_draft_remove(m->dir, draft.last);
    if (taken)
        segmake_let_go(m);
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
    int code = segmake_begin(name, options, store, user, &m);
    if (code != 0)
        return code;
    code = make_by_rename(&m);
    os_close(m.dir);
    return code;
}

/* -- By link ---------------------------------------------------------------------------------------------- */

/* EISDIR, ENOENT: kernels and file systems that do not know O_TMPFILE see a directory opened for writing. */
int segmake_open_unnamed(const struct making *m, int *ret_fd)
{
    int fd = openat(m->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT)
        return BY_RENAME;
    return segfile_os_failure(&m->name, "create a file in its directory");
}

int segmake_link(int fd, int dir, const char *last)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dir, last, AT_SYMLINK_FOLLOW);
}

/* ENOENT: /proc is not mounted; EPERM, EOPNOTSUPP: no hard links; the rest: odd file systems. */
static int unnamed_publish(const struct making *m, int fd)
{
    if (segmake_link(fd, m->dir, m->name.last) == 0)
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
    default: return segfile_os_failure(&m->name, "name the new file");
    }
}

static int make_by_link(const struct making *m)
{
    int fd = -1;
    int code = refuse_taken(m);
    if (code == 0)
        code = segmake_open_unnamed(m, &fd);
    if (code == 0)
        code = segmake_complete(m, fd);
    if (code != 0)
        return code;
    code = unnamed_publish(m, fd);
    if (code != 0)
        segmake_let_go(m);
    return code;
}

int segfile_create(const char *name, const struct shoal_options *options, const struct tier_origin *store,
                   const struct segfile_user *user)
{
    struct making m;
    int code = segmake_begin(name, options, store, user, &m);
    if (code != 0)
        return code;
    code = make_by_link(&m);
    if (code == BY_RENAME)
        code = make_by_rename(&m);
    os_close(m.dir);
    return code;
}
