/* SPDX-License-Identifier: MIT
 *
 * A map's new file by itself, without the map.
 */
#ifndef TESTS_LIB_NEW_FILE_H
#define TESTS_LIB_NEW_FILE_H

#include <unistd.h>

#include "map/segfile.h"

struct new_file {
    int fd;
    struct geometry geometry;
};

static inline int new_file_take(void *arg, int fd, const struct geometry *geometry)
{
    *(struct new_file *)arg = (struct new_file){ fd, *geometry };
    return 0;
}

static inline void new_file_leave(void *arg) { close(((struct new_file *)arg)->fd); }

typedef int create_fn(const char *name, const struct shoal_options *options, const struct tier_origin *store,
                      const struct segfile_user *user);

/* By segfile_create or segfile_create_by_rename.  *ret_fd stays as it is where there is no file. */
static inline int new_file(create_fn *create, const char *path, const struct shoal_options *options, int *ret_fd,
                           struct geometry *ret_geometry)
{
    struct new_file file;
    int code = create(path, options, NULL, &(struct segfile_user){ new_file_take, new_file_leave, &file });
    if (code == 0) {
        *ret_fd = file.fd;
        *ret_geometry = file.geometry;
    }
    return code;
}

#endif
