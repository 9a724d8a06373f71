/* SPDX-License-Identifier: MIT
 *
 * What segfile.c, segmake.c and segkin.c know of each other.
 *
 * Paths are resolved once, to a directory; everything after that is relative to its descriptor.
 */
#ifndef SHOAL_MAP_SEGPARTS_H
#define SHOAL_MAP_SEGPARTS_H

#include <sys/stat.h>

#include "map/name.h"
#include "map/segfile.h"

/* Thrown back that often, each time by another process that hit a window of a few instructions (between
 * a draft's open and its lock; between looking at a name and removing it): something else is at work. */
#define TRIES_MAX 64

/* Answers inside these files, beside the public codes. */
enum { BEGIN_AGAIN = 100, /* another process came between */
       BY_RENAME };       /* this file system cannot make a file without a name, or name it later */

/* -- Directory, kind and header of a file (segfile.c) ------------------------------------------------------ */

/* The descriptor, or -1 with errno. */
int segfile_open_directory(const struct name *name);
/* Name and directory of a map that exists.  0, SHOAL_EINVAL, SHOAL_ENOMAP, SHOAL_EOS. */
int segfile_place(const char *path, struct name *ret_name, int *ret_dir);
/* errno of a failed call on the name's file or directory as a result. */
int segfile_os_failure(const struct name *name, const char *what);
/* 0, SHOAL_EINVAL where it is not a regular file. */
int segfile_judge_kind(const struct name *name, mode_t mode);
/* 0, SHOAL_ECORRUPT where the file is shorter than a header, SHOAL_EOS. */
int segfile_read_header(const struct name *name, int fd, const struct stat *st, struct segment_header *ret_header);
/* Does the entry of the directory mean this open file? */
bool segfile_entry_is(int dir, const char *entry, const struct stat *st);

/* -- A new file (segmake.c) -------------------------------------------------------------------------------- */

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

/* 0, and m->dir is open; SHOAL_EINVAL, SHOAL_EOS. */
int segmake_begin(const char *name, const struct shoal_options *options, const struct tier_origin *store,
                  const struct segfile_user *user, struct making *m);
uint64_t segmake_new_id(uint64_t family);
/* A file without a name.  0, BY_RENAME, SHOAL_EINVAL, SHOAL_EOS. */
int segmake_open_unnamed(const struct making *m, int *ret_fd);
/* Everything but a name.  The descriptor is the user's in the end, or closed. */
int segmake_complete(const struct making *m, int fd);
/* Behind a segmake_complete that went well: the user lets go of it.  Keeps errno. */
void segmake_let_go(const struct making *m);
/* A name, perhaps another one, for an open file.  As linkat. */
int segmake_link(int fd, int dir, const char *last);
/* Remove a private name.  Keeps errno. */
void segmake_draft_remove(int dir, const char *draft);
/* The same, unless its maker lives. */
void segmake_leftover_remove(int dir, const char *entry);

/* -- A map that has moved (segkin.c) ----------------------------------------------------------------------- */

/* Where the name means the open file, its successor takes it.  0, also where another process was first; SHOAL_EOS. */
int segkin_name_next(const struct name *name, int dir, int fd, uint64_t successor);
/* Private names of a map's segments, unless somebody rebuilds with them. */
void segkin_remove(const struct name *name, int dir, uint64_t family);

#endif
