/* SPDX-License-Identifier: MIT
 *
 * A map's file: from a name to a checked, open descriptor.
 */
#ifndef SHOAL_MAP_SEGFILE_H
#define SHOAL_MAP_SEGFILE_H

#include "format/geometry.h"

struct tier_origin;

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

/* Open and judge.  flags: SHOAL_RDONLY, SHOAL_FOREIGN.  0, SHOAL_ENOMAP, SHOAL_EVERSION, SHOAL_ECORRUPT,
 * SHOAL_EINVAL, SHOAL_EOS. */
int segfile_open(const char *name, unsigned flags, int *ret_fd, struct geometry *ret_geometry);

/* Open for salvage, for reading alone: the header must be right, the file may be shorter or longer than it says.
 * flags: SHOAL_FOREIGN.  Results as segfile_open's. */
int segfile_open_damaged(const char *name, unsigned flags, int *ret_fd, struct geometry *ret_geometry);

/* Remove the name, then mark the header.  0, SHOAL_ENOMAP, SHOAL_ECORRUPT (not a map, and so not
 * removed), SHOAL_EINVAL, SHOAL_EOS. */
int segfile_unlink(const char *name);

#endif
