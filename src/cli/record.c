/* SPDX-License-Identifier: MIT
 *
 * One record on one line, as JSON or as TSV, and back.
 */
#include "record.h"

#include "escape.h"
#include "request.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {
    [SHOAL_RAW] = "raw",   [SHOAL_STR] = "str",   [SHOAL_I64] = "i64",   [SHOAL_BIGINT] = "bigint", [SHOAL_F64] = "f64",
    [SHOAL_BOOL] = "bool", [SHOAL_NONE] = "none", [SHOAL_JSON] = "json", [SHOAL_PICKLE] = "pickle",
};
#define TYPE_NAMES_N (sizeof type_names / sizeof type_names[0])

bool type_read(const char *text, uint8_t *ret_type, bool *ret_named)
{
    for (size_t i = 0; i < TYPE_NAMES_N; i++)
        if (strcmp(text, type_names[i]) == 0) {
            *ret_type = (uint8_t)i;
            if (ret_named)
                *ret_named = true;
            return true;
        }
    int64_t number;
    if (!parse_integer(text, &number) || number < 0 || number > UINT8_MAX)
        return false;
    *ret_type = (uint8_t)number;
    if (ret_named)
        *ret_named = false;
    return true;
}

bool record_integer(const struct record *record, int64_t *ret_integer)
{
    if (record->type != SHOAL_I64 || record->value_bytes != sizeof *ret_integer)
        return false;
    memcpy(ret_integer, record->value, sizeof *ret_integer);
    return true;
}

/* -- Out ------------------------------------------------------------------------- */

static void write_bytes(FILE *out, const char *name, const void *bytes, size_t n)
{
    if (utf8_valid(bytes, n)) {
        fprintf(out, "\"%s\": ", name);
        json_string_write(out, bytes, n);
        return;
    }
    fprintf(out, "\"%s_base64\": \"", name);
    base64_write(out, bytes, n);
    putc('"', out);
}

void record_write_json(FILE *out, const struct record *record, bool with_value)
{
    write_bytes(out, "key", record->key, record->key_bytes);
    if (!with_value)
        return;
    if (record->type >= TYPE_NAMES_N)
        fprintf(out, ", \"type\": %u", record->type);
    else if (record->type != SHOAL_RAW)
        fprintf(out, ", \"type\": \"%s\"", type_names[record->type]);
    fputs(", ", out);
    int64_t integer;
    if (record_integer(record, &integer)) {
        fprintf(out, "\"value\": %" PRId64, integer);
    } else if (record->type == SHOAL_I64) {
        /* not eight bytes: never a string, which would look like an integer gone wrong */
        fputs("\"value_base64\": \"", out);
        base64_write(out, record->value, record->value_bytes);
        putc('"', out);
    } else {
        write_bytes(out, "value", record->value, record->value_bytes);
    }
}

void record_write_tsv(FILE *out, const struct record *record, bool with_value)
{
    escape_write(out, ESCAPE_LINE, record->key, record->key_bytes);
    if (with_value) {
        putc('\t', out);
        int64_t integer;
        bool is_integer = record_integer(record, &integer);
        if (is_integer)
            fprintf(out, "%" PRId64, integer);
        else
            escape_write(out, ESCAPE_LINE, record->value, record->value_bytes);
        if (record->type >= TYPE_NAMES_N || (record->type == SHOAL_I64 && !is_integer))
            fprintf(out, "\t%u", record->type);
        else if (record->type != SHOAL_RAW)
            fprintf(out, "\t%s", type_names[record->type]);
    }
    putc('\n', out);
}

/* -- In: JSON --------------------------------------------------------------------- */

static bool say(struct record_read *read, const char *text, const char *what)
{
    snprintf(read->text, sizeof read->text, "%s%s", text, what);
    return false;
}

static bool read_base64(struct record_read *read, json_t *member, const char *name, void **ret_buffer,
                        const void **ret_bytes, size_t *ret_n)
{
    if (!json_is_string(member))
        return say(read, "not a string: ", name);
    size_t n = json_string_length(member);
    void *buffer = malloc(n + 1);
    if (!buffer)
        return say(read, "out of memory", "");
    *ret_buffer = buffer;
    if (!base64_read(json_string_value(member), n, buffer, ret_n))
        return say(read, "not base64: ", name);
    *ret_bytes = buffer;
    return true;
}

static bool read_type(struct record_read *read, json_t *member)
{
    struct record *record = &read->record;
    if (json_is_integer(member) && json_integer_value(member) >= 0 && json_integer_value(member) <= UINT8_MAX) {
        record->type = (uint8_t)json_integer_value(member);
        return true;
    }
    bool named;
    if (json_is_string(member) && type_read(json_string_value(member), &record->type, &named) && named)
        return true;
    return say(read, "type: neither a type's name nor 0 to 255", "");
}

static bool read_value(struct record_read *read, json_t *member, bool typed)
{
    struct record *record = &read->record;
    if (json_is_integer(member) && (!typed || record->type == SHOAL_I64)) {
        read->integer = json_integer_value(member);
        record->value = &read->integer;
        record->value_bytes = sizeof read->integer;
        record->type = SHOAL_I64;
        return true;
    }
    if (!json_is_string(member) || (typed && record->type == SHOAL_I64))
        return say(read, "value: must be a string, or an integer where the type is i64", "");
    record->value = json_string_value(member);
    record->value_bytes = json_string_length(member);
    return true;
}

static bool read_key(struct record_read *read, json_t *member)
{
    if (!json_is_string(member))
        return say(read, "key: not a string", "");
    read->record.key = json_string_value(member);
    read->record.key_bytes = json_string_length(member);
    return true;
}

static bool known_members(struct record_read *read)
{
    static const char *const known[] = { "key", "key_base64", "salvaged", "type", "value", "value_base64" };
    const char *name;
    json_t *member;
    json_object_foreach(read->root, name, member)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof known[0] && strcmp(name, known[i]) != 0)
            i++;
        if (i == sizeof known / sizeof known[0])
            return say(read, "unknown member: ", name);
    }
    return true;
}

bool record_read_json(const char *line, size_t n, struct record_read *ret_read)
{
    *ret_read = (struct record_read){ 0 };
    struct record *record = &ret_read->record;
    json_error_t error;
    json_t *root = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    ret_read->root = root;
    if (!root)
        return say(ret_read, error.text, "");
    if (!json_is_object(root))
        return say(ret_read, "not an object", "");
    if (!known_members(ret_read))
        return false;
    json_t *key = json_object_get(root, "key"), *key_base64 = json_object_get(root, "key_base64");
    json_t *value = json_object_get(root, "value"), *value_base64 = json_object_get(root, "value_base64");
    json_t *type = json_object_get(root, "type");
    if (!key == !key_base64)
        return say(ret_read, "needs one of key and key_base64", "");
    if (!value == !value_base64)
        return say(ret_read, "needs one of value and value_base64", "");
    if (type && !read_type(ret_read, type))
        return false;
    bool key_read =
        key ? read_key(ret_read, key)
            : read_base64(ret_read, key_base64, "key_base64", &ret_read->buffers[0], &record->key, &record->key_bytes);
    if (!key_read)
        return false;
    return value ? read_value(ret_read, value, type != NULL)
                 : read_base64(ret_read, value_base64, "value_base64", &ret_read->buffers[1], &record->value,
                               &record->value_bytes);
}

/* -- In: TSV ---------------------------------------------------------------------- */

/* A named i64 is written in decimal: replace the digits by the integer. */
static bool read_decimal(struct record_read *read)
{
    struct record *record = &read->record;
    char digits[32];
    if (record->value_bytes >= sizeof digits)
        return say(read, "value: not an integer of 64 bits", "");
    memcpy(digits, record->value, record->value_bytes);
    digits[record->value_bytes] = 0;
    if (strlen(digits) != record->value_bytes || !parse_integer(digits, &read->integer))
        return say(read, "value: not an integer of 64 bits", "");
    record->value = &read->integer;
    record->value_bytes = sizeof read->integer;
    return true;
}

bool record_read_tsv(char *line, size_t n, struct record_read *ret_read)
{
    *ret_read = (struct record_read){ 0 };
    struct record *record = &ret_read->record;
    char *end = line + n;
    char *value = memchr(line, '\t', n);
    if (!value)
        return say(ret_read, "no tab between key and value", "");
    value++;
    char *type = memchr(value, '\t', (size_t)(end - value));
    size_t value_n = (size_t)((type ? type : end) - value);
    bool named = false;
    if (type) {
        char name[16] = "";
        size_t name_n = (size_t)(end - ++type);
        if (name_n < sizeof name)
            memcpy(name, type, name_n);
        if (name_n >= sizeof name || strlen(name) != name_n || !type_read(name, &record->type, &named))
            return say(ret_read, "third column: neither a type's name nor 0 to 255", "");
    }
    if (!unescape(line, (size_t)(value - 1 - line), &record->key_bytes) ||
        !unescape(value, value_n, &record->value_bytes))
        return say(ret_read, "a backslash must begin \\t \\n \\r \\\\ or \\xHH", "");
    record->key = line;
    record->value = value;
    return named && record->type == SHOAL_I64 ? read_decimal(ret_read) : true;
}

void record_read_end(struct record_read *read)
{
    free(read->buffers[0]);
    free(read->buffers[1]);
    json_decref(read->root);
}
