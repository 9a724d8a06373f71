/* SPDX-License-Identifier: MIT
 *
 * A map's file: from a name to a checked, open descriptor.
 */
#ifndef SHOAL_MAP_SEGFILE_H
#define SHOAL_MAP_SEGFILE_H

#include "format/geometry.h"

/* Create the file of a new map, with header, table and attachments allocated in full, and give it its
 * name at the end: it is never seen half made.  *ret_fd is open for reading and writing.
 * 0, SHOAL_EMAPEXISTS, SHOAL_EINVAL, SHOAL_EOS. */
int segfile_create(const char *name, const struct shoal_options *options, int *ret_fd,
                   struct geometry *ret_geometry);

/* The same by a private name that is renamed in the end: for file systems where a file cannot be made
 * without a name.  A creator that is killed leaves the private name to the next one that comes this way. */
int segfile_create_by_rename(const char *name, const struct shoal_options *options, int *ret_fd,
                             struct geometry *ret_geometry);

/* While a map has its private name, its creator holds this byte locked.  Attachments lock bytes far
 * behind the file's end. */
#define SEGFILE_DRAFT_BYTE 0u

/* Open and judge.  flags: SHOAL_RDONLY, SHOAL_FOREIGN.  0, SHOAL_ENOMAP, SHOAL_EVERSION, SHOAL_ECORRUPT,
 * SHOAL_EINVAL, SHOAL_EOS. */
int segfile_open(const char *name, unsigned flags, int *ret_fd, struct geometry *ret_geometry);

/* Remove the name, then mark the header.  0, SHOAL_ENOMAP, SHOAL_ECORRUPT (not a map, and so not
 * removed), SHOAL_EINVAL, SHOAL_EOS. */
int segfile_unlink(const char *name);

#endif
