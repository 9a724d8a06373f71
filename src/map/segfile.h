/* SPDX-License-Identifier: MIT
 *
 * A map's file: from a name to a checked, open descriptor.
 */
#ifndef SHOAL_MAP_SEGFILE_H
#define SHOAL_MAP_SEGFILE_H

#include "format/geometry.h"

struct tier_origin;
struct name;

/* Who uses a new file gets it complete, before it has its name: where he can't, there is no map either. */
struct segfile_user {
    /* fd is open for reading and writing, and the user's from here on, also where this fails. */
    int (*take)(void *arg, int fd, const struct geometry *geometry);
    /* Behind a take that went well: the file gets no name; let go of it. */
    void (*leave)(void *arg);
    void *arg;
};

/* Create the file of a new map, with header, table and attachments allocated in full, and give it its
 * name at the end: it is never seen half made.  store: what lies below, or NULL.  May call take more than once, with leave in between.
 * 0, SHOAL_EMAPEXISTS, SHOAL_EINVAL, SHOAL_EOS, what take answered. */
int segfile_create(const char *name, const struct shoal_options *options, const struct tier_origin *store,
                   const struct segfile_user *user);

/* The same by a private name that is renamed in the end: for file systems where a file cannot be made
 * without a name.  A creator that is killed leaves the private name to the next one that comes this way. */
int segfile_create_by_rename(const char *name, const struct shoal_options *options, const struct tier_origin *store,
                             const struct segfile_user *user);

/* While a map has its private name, its creator holds this byte locked.  Attachments lock bytes far
 * behind the file's end. */
#define SEGFILE_DRAFT_BYTE 0u

/* -- Moving to a new geometry (move.h) ------------------------------------------------------------------ */

/* The file of a map's next segment, complete, under its private name; `from`, the present one's descriptor and geometry, gets
 * one too.  It names `from` as its predecessor, and takes over owner, mode and family; options: size, capacity and the like.
 * What earlier rebuilds left behind that nobody needs is removed.  As segfile_create; also SHOAL_EMAPEXISTS never. */
struct segfile_from {
    int fd;
    const struct geometry *geometry;
    const char *path;
};
int segfile_create_next(const struct segfile_from *from, const struct shoal_options *options, const struct tier_origin *store,
                        const struct segfile_user *user);
/* Does the map's name mean this file?  0, SHOAL_ENOMAP, SHOAL_EOS. */
int segfile_is_named(const char *path, int fd);
/* Behind the switch: the map's name means `successor`, if it meant `from`.  0, SHOAL_EOS. */
int segfile_switch(const char *path, int from_fd, uint64_t successor);
/* By its private name, whether or not it has a successor.  SHOAL_ENOMAP: it has none. */
int segfile_open_kin(const char *path, uint64_t id, unsigned flags, int *ret_fd, struct geometry *ret_geometry);
/* Remove it.  0, also where it is gone already; SHOAL_EOS. */
int segfile_unlink_kin(const char *path, uint64_t id);

/* Open and judge.  A map whose name still means what it has moved from: the name is put right first.  flags: SHOAL_RDONLY, SHOAL_FOREIGN.  0, SHOAL_ENOMAP, SHOAL_EVERSION, SHOAL_ECORRUPT,
 * SHOAL_EINVAL, SHOAL_EOS. */
int segfile_open(const char *name, unsigned flags, int *ret_fd, struct geometry *ret_geometry);

/* Open for salvage, for reading alone: the header must be right, the file may be shorter or longer than it says.
 * flags: SHOAL_FOREIGN.  Results as segfile_open's. */
int segfile_open_damaged(const char *name, unsigned flags, int *ret_fd, struct geometry *ret_geometry);

/* Remove the name, then mark the header.  0, SHOAL_ENOMAP, SHOAL_ECORRUPT (not a map, and so not
 * removed), SHOAL_EINVAL, SHOAL_EOS. */
int segfile_unlink(const char *name);

#endif
