/* SPDX-License-Identifier: MIT
 *
 * Lines of dump and load.  Any line is refused with a text or gives a record; any record is written as one line of
 * either form that reads back to the byte; and what is written does not change when it is read and written again.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/breach.h"
#include "fuzz/target.h"
#include "fuzz/text.h"
#include "record.h"

const char fuzz_target[] = "records";

enum form { FORM_JSON, FORM_TSV, FORMS };

static void line_write(enum form form, const struct record *record, struct text *ret)
{
    FILE *out = text_begin(ret);
    if (form == FORM_TSV) {
        record_write_tsv(out, record, true);
    } else {
        putc('{', out);
        record_write_json(out, record, true);
        fputs("}\n", out);
    }
    text_end(ret);
    hold(ret->n > 0 && ret->bytes[ret->n - 1] == '\n', "a line without an end");
    bool tabs = form == FORM_TSV;
    hold(text_is_harmless(ret->bytes, ret->n - 1, tabs) && memchr(ret->bytes, '\n', ret->n - 1) == NULL,
         "a line holds control bytes or no UTF-8");
}

/* The line is changed in place where it is TSV. */
static bool line_read(enum form form, char *line, size_t n, struct record_read *ret)
{
    bool read = form == FORM_TSV ? record_read_tsv(line, n, ret) : record_read_json(line, n, ret);
    hold(read || (ret->text[0] != '\0' && memchr(ret->text, '\0', sizeof ret->text) != NULL), "refused without a text");
    return read;
}

static bool same_record(const struct record *a, const struct record *b)
{
    return a->type == b->type && a->key_bytes == b->key_bytes && a->value_bytes == b->value_bytes &&
           (a->key_bytes == 0 || memcmp(a->key, b->key, a->key_bytes) == 0) &&
           (a->value_bytes == 0 || memcmp(a->value, b->value, a->value_bytes) == 0);
}

/* Written, read, written again. */
static void goes_round(enum form form, const struct record *record)
{
    struct text first, second;
    struct record_read read;
    line_write(form, record, &first);
    char *line = text_copy(first.bytes, first.n - 1, false);
    hold(line_read(form, line, first.n - 1, &read), "form %d: its own line is refused: %s", (int)form, read.text);
    hold(same_record(record, &read.record), "form %d: another record comes back", (int)form);
    line_write(form, &read.record, &second);
    hold(first.n == second.n && memcmp(first.bytes, second.bytes, first.n) == 0, "form %d: two lines for one record",
         (int)form);
    record_read_end(&read);
    free(line);
    text_free(&first);
    text_free(&second);
}

static void any_line(enum form form, const uint8_t *data, size_t n)
{
    struct record_read read;
    char *line = text_copy(data, n, false);
    if (line_read(form, line, n, &read))
        for (enum form other = 0; other < FORMS; other++)
            goes_round(other, &read.record);
    record_read_end(&read);
    free(line);
}

/* The type, how long the key is, and the bytes of both. */
static void any_record(const uint8_t *data, size_t n)
{
    if (n < 3)
        return;
    size_t key_bytes = 1 + data[1] % (n - 2);
    const struct record record = { .key = data + 2,
                                   .key_bytes = key_bytes,
                                   .value = data + 2 + key_bytes,
                                   .value_bytes = n - 2 - key_bytes,
                                   .type = data[0] };
    for (enum form form = 0; form < FORMS; form++)
        goes_round(form, &record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        data = (const uint8_t *)""; /* libFuzzer begins with NULL */
    for (enum form form = 0; form < FORMS; form++)
        any_line(form, data, n);
    any_record(data, n);
    return 0;
}
