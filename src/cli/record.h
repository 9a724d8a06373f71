/* SPDX-License-Identifier: MIT
 *
 * One record on one line, as JSON or as TSV, and back.
 *
 *   JSON  {"key": "a", "value": "b"}         bytes that are UTF-8
 *         {"key_base64": "AP8=", ...}        bytes that are not; likewise value_base64
 *         {..., "type": "json", ...}         the type byte's name, or its number; absent = raw
 *         {..., "type": "i64", "value": -7}  eight bytes that are an integer
 *         {..., "salvaged": "loose"}         how sure `shoal salvage` was; passed over
 *   TSV   KEY <tab> VALUE [<tab> TYPE]       with \t \n \r \\ \xHH; an i64 of eight bytes in decimal.
 *                                            A TYPE written as a number leaves the value's bytes alone.
 * What record_write_* writes, record_read_* reads back to the byte.
 */
#ifndef SHOAL_CLI_RECORD_H
#define SHOAL_CLI_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct record {
    const void *key;
    size_t key_bytes;
    const void *value;
    size_t value_bytes;
    uint8_t type;
};

/* A type by name or number.  *ret_named (may be NULL): it was a name.  False: neither. */
bool type_read(const char *text, uint8_t *ret_type, bool *ret_named);
/* The value as an integer, where it is a SHOAL_I64 of eight bytes. */
bool record_integer(const struct record *record, int64_t *ret_integer);

/* The members, without the braces around them. */
void record_write_json(FILE *out, const struct record *record, bool with_value);
/* The whole line, newline included. */
void record_write_tsv(FILE *out, const struct record *record, bool with_value);

/* A record that was read, and what holds its bytes. */
struct record_read {
    struct record record;
    int64_t integer;
    void *buffers[2]; /* of base64 */
    json_t *root;
    char text[240]; /* what is wrong with the line */
};
/* The line without its newline.  TSV is unescaped in place.  False: see text.  Either way
 * record_read_end frees; the record is readable until then, and while the line is. */
bool record_read_json(const char *line, size_t n, struct record_read *ret_read);
bool record_read_tsv(char *line, size_t n, struct record_read *ret_read);
void record_read_end(struct record_read *read);

#endif
