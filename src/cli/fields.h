/* SPDX-License-Identifier: MIT
 *
 * Numbers of a struct, by name.
 */
#ifndef SHOAL_CLI_FIELDS_H
#define SHOAL_CLI_FIELDS_H

#include <stddef.h>

#include "request.h"

struct field {
    const char *name;
    size_t at, bytes;
};
#define FIELD(type, member)                                                                                            \
    {                                                                                                                  \
#member, offsetof(struct type, member), sizeof(((struct type *)0)->member)                                     \
    }

/* As lines on stdout, or, with --json, as members of an object, which is returned. */
json_t *show_fields(const struct request *request, const struct field *fields, size_t n, const void *from);
#define SHOW(request, fields, from) show_fields(request, fields, sizeof(fields) / sizeof((fields)[0]), from)

#endif
