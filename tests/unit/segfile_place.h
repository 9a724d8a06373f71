/* SPDX-License-Identifier: MIT
 *
 * What the tests of map files share: a directory of each test's own, children that may die, small maps.
 */
#ifndef SHOAL_TESTS_UNIT_SEGFILE_PLACE_H
#define SHOAL_TESTS_UNIT_SEGFILE_PLACE_H

#include "unit/ground.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os.h"
#include "lib/new_file.h"
#include "map/name.h"
#include "map/segfile.h"

#define UNTOUCHED (-77)
#define NOBODY 65534

static create_fn *const creators[] = { segfile_create, segfile_create_by_rename };
#define CREATORS_N 2

/* -- A directory of each test's own ------------------------------------------------------ */

struct place {
    char dir[64];
    char path[4][400];
    int fds;
};

static inline const char *in_place(struct place *p, int i, const char *last)
{
    snprintf(p->path[i], sizeof p->path[i], "%s/%s", p->dir, last);
    return p->path[i];
}

static inline int entries_n(const struct place *p)
{
    int n = 0;
    DIR *list = opendir(p->dir);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list))
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(list);
    return n;
}

static inline int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/shoal-segfile-XXXXXX");
    p->fds = fds_open();
    *state = p;
    return mkdtemp(p->dir) == NULL;
}

static inline int teardown(void **state)
{
    struct place *p = *state;
    dir_clear(p->dir);
    int failed = rmdir(p->dir) != 0;
    if (fds_open() != p->fds) {
        print_error("%d descriptors open, %d before\n", fds_open(), p->fds);
        failed = 1;
    }
    free(p);
    return failed;
}

static inline struct shoal_options small(void)
{
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    o.capacity = 16;
    o.heap_bytes = 64 * 1024;
    o.max_threads = 2;
    return o;
}

static inline void create_small(create_fn *create, const char *path)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    assert_int_equal(new_file(create, path, &o, &fd, &g), 0);
    assert_true(fd >= 0);
    close(fd);
}

static inline void assert_opens(const char *path)
{
    struct geometry g;
    int fd = UNTOUCHED;
    int code = segfile_open(path, 0, &fd, &g);
    if (code != 0)
        print_error("%s\n", shoal_error_text());
    assert_int_equal(code, 0);
    close(fd);
}

enum { CREATE = 1, OPEN = 2, UNLINK = 4, ALL = 7 };

static inline void assert_refused(unsigned calls, const char *name, int code, const char *text)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    for (int i = 0; i < CREATORS_N && (calls & CREATE); i++) {
        assert_int_equal(new_file(creators[i], name, &o, &fd, &g), code);
        assert_text_has(text);
    }
    if (calls & OPEN) {
        assert_int_equal(segfile_open(name, 0, &fd, &g), code);
        assert_text_has(text);
        assert_int_equal(segfile_open(name, SHOAL_RDONLY | SHOAL_FOREIGN, &fd, &g), code);
        assert_text_has(text);
    }
    if (calls & UNLINK) {
        assert_int_equal(segfile_unlink(name), code);
        assert_text_has(text);
    }
    assert_int_equal(fd, UNTOUCHED);
}

/* -- Children -------------------------------------------------------------------------------- */

typedef int child_fn(struct place *p);

static inline void in_child(struct place *p, child_fn *fn, const char *what)
{
    pid_t pid = child_start();
    if (pid == 0)
        _exit(fn(p));
    assert_exits(pid, what);
}

static inline void resize(const char *path, off_t bytes)
{
    assert_int_equal(truncate(path, bytes), 0);
}

static inline void put_bytes(const char *path, const void *bytes, size_t n, off_t at)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, n, at), n);
    close(fd);
}

static inline void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "half made", 9), 9);
    close(fd);
}

#endif
