/* SPDX-License-Identifier: MIT
 *
 * Numbers of a struct, by name (fields.h).
 */
#include "fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t field_value(const struct field *field, const void *from)
{
    uint64_t wide;
    uint32_t narrow;
    const char *at = (const char *)from + field->at;
    if (field->bytes == sizeof wide) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

json_t *show_fields(const struct request *request, const struct field *fields, size_t n, const void *from)
{
    json_t *members = request->json ? json_object() : NULL;
    for (size_t i = 0; i < n; i++) {
        uint64_t value = field_value(&fields[i], from);
        if (request->json)
            json_object_set_new(members, fields[i].name, json_integer((json_int_t)value));
        else
            printf("%-19s %" PRIu64 "\n", fields[i].name, value);
    }
    return members;
}
