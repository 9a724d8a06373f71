/* SPDX-License-Identifier: MIT
 *
 * From a map's name to its directory and file: `jobs` is /dev/shm/jobs, anything with a '/' is a path.
 */
#ifndef SHOAL_MAP_NAME_H
#define SHOAL_MAP_NAME_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define NAME_BARE_MAX 64u
#define NAME_SHOWN_BYTES 200u

struct name {
    char shown[NAME_SHOWN_BYTES]; /* for texts: escaped, the middle of a long one left out */
    const char *shown_dir;        /* before `shown`, makes it a path: "" where it is one already */
    char dir[PATH_MAX];           /* ends in '/' */
    char last[NAME_MAX + 1];      /* the file in it; never empty, "." or ".." */
};

/* 0, or SHOAL_EINVAL with a text that says what is wrong and where. */
int name_parse(const char *name, struct name *ret_name);

/* The private name, in the same directory, of a map that is being made where files cannot be made
 * without a name: `.LAST.shoal-new.XXXXXXXX`, LAST cut so that it fits.  No map may have such a name. */
struct draft_name {
    char last[NAME_MAX + 1];
};
void name_draft(const struct name *name, uint32_t random, struct draft_name *ret_draft);
/* Is this entry of the directory a draft of this map?  (Or of one with the same first 235 bytes.) */
bool name_is_draft_of(const struct name *name, const char *entry);

/* The private name of a segment that a map moves from or to, by its id: `.LAST.shoal-seg.XXXXXXXXXXXXXXXX`, likewise. */
void name_kin(const struct name *name, uint64_t id, struct draft_name *ret_kin);
bool name_is_kin_of(const struct name *name, const char *entry);

#endif
