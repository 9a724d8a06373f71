/* SPDX-License-Identifier: MIT
 *
 * list, load, dump: many keys.
 */
#include "commands.h"
#include "escape.h"
#include "record.h"
#include "request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bulk {
    struct request request;
    bool tsv, values;
    char *prefix;
};

enum { KEY_TSV = 0x200, KEY_VALUES, KEY_PREFIX };

static error_t parse_bulk(int key, char *argument, struct argp_state *state)
{
    struct bulk *bulk = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = bulk;
        return 0;
    case KEY_TSV:
        bulk->tsv = true;
        return 0;
    case KEY_VALUES:
        bulk->values = true;
        return 0;
    case KEY_PREFIX:
        bulk->prefix = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* -- list, dump ------------------------------------------------------------------------ */

static void write_record(const struct bulk *bulk, const struct shoal_item *item)
{
    const struct record record = { item->key, item->key_bytes, item->value, item->value_bytes, item->type };
    if (bulk->tsv) {
        record_write_tsv(stdout, &record, bulk->values);
        return;
    }
    putchar('{');
    record_write_json(stdout, &record, bulk->values);
    fputs("}\n", stdout);
}

static int walk(const struct bulk *bulk, struct shoal *map, size_t prefix_bytes)
{
    struct shoal_iter *iter = NULL;
    int code = shoal_iter_open(map, bulk->prefix, prefix_bytes, &iter);
    struct shoal_item item;
    /* a disk that is full ends the walk: nobody reads on */
    while (code == SHOAL_OK && !ferror(stdout)) {
        code = shoal_iter_next(iter, &item);
        if (code == SHOAL_OK)
            write_record(bulk, &item);
    }
    shoal_iter_close(iter);
    return code == SHOAL_END ? SHOAL_OK : code;
}

static int print_all(struct bulk *bulk)
{
    struct request *request = &bulk->request;
    size_t prefix_bytes = bulk->prefix ? strlen(bulk->prefix) : 0;
    if (bulk->prefix && request->escaped && !unescape(bulk->prefix, prefix_bytes, &prefix_bytes)) {
        complain("--prefix: a backslash must begin \\t \\n \\r \\\\ or \\xHH");
        return EXIT_USAGE;
    }
    struct shoal *map = NULL;
    int code = request_open(request, SHOAL_RDONLY, &map);
    if (code == SHOAL_OK)
        code = walk(bulk, map, prefix_bytes);
    shoal_close(map);
    return code == SHOAL_OK ? answer_flush(EXIT_DONE) : answer(request, code, request->words[0], NULL);
}

int command_list(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "prefix", KEY_PREFIX, "PREFIX", 0, "Only keys that begin with it", 0 },
        { "values", KEY_VALUES, NULL, 0, "Values and types too", 0 },
        { 0 },
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_bulk,
        .args_doc = "MAP",
        .doc = "Print the keys, in no order, one on each line.  Tab, newline, backslash and what is not "
               "text are written \\t \\n \\r \\\\ \\xHH, so that a line says exactly which key is meant.  "
               "With --json each line is an object.",
        .children = request_key_child,
    };
    struct bulk bulk = { 0 };
    request_parse(&argp, argc, argv, &bulk.request, 1, 1);
    bulk.tsv = !bulk.request.json;
    return print_all(&bulk);
}

int command_dump(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "tsv", KEY_TSV, NULL, 0, "KEY <tab> VALUE [<tab> TYPE] instead of JSON lines", 0 },
        { "prefix", KEY_PREFIX, "PREFIX", 0, "Only keys that begin with it", 0 },
        { 0 },
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_bulk,
        .args_doc = "MAP",
        .doc = "Print every record, in no order, as JSON lines (also called --json) or TSV.  `shoal load` "
               "reads it back: every byte of every key and value, and the types.",
        .children = request_key_child,
    };
    struct bulk bulk = { .values = true };
    request_parse(&argp, argc, argv, &bulk.request, 1, 1);
    if (bulk.tsv && bulk.request.json) {
        complain("dump: --tsv and --json exclude each other");
        return EXIT_USAGE;
    }
    return print_all(&bulk);
}

/* -- load ---------------------------------------------------------------------------- */

#define LOAD_LINES 64u /* in one call */

/* A line that was read and not stored yet. */
struct load_line {
    char *text;
    size_t room;
    uint64_t number;
    struct record_read read;
};

struct load {
    const struct bulk *bulk;
    FILE *in;
    const char *name;
    struct shoal *map;
    uint64_t line, records;
    uint64_t max_key_bytes, max_value_bytes;
    struct load_line lines[LOAD_LINES];
    size_t lines_n;
};

static json_t *load_members(const struct load *load)
{
    return json_pack("{s:I, s:I}", "line", (json_int_t)load->line, "records", (json_int_t)load->records);
}

/* What stopped the load, where, and what is in the map by now. */
static int load_stopped(const struct load *load, int code, const char *text)
{
    return answer_own(&load->bulk->request, code, load_members(load),
                      "%s: line %" PRIu64 ": %s (%" PRIu64 " records before it are stored)", load->name, load->line,
                      text, load->records);
}

static int load_one(struct load *load, const struct load_line *line)
{
    const struct record *record = &line->read.record;
    struct shoal_how how = SHOAL_HOW_INIT;
    how.type = record->type;
    int code = shoal_put_with(load->map, record->key, record->key_bytes, record->value, record->value_bytes, &how, NULL);
    load->line = line->number;
    return code == SHOAL_OK ? EXIT_DONE : load_stopped(load, code, shoal_error_text());
}

/* From the first line on that could not be stored with the others: a text is of the last failure, and if there is room now,
 * a later line of the same key has to come later again. */
static int load_singly(struct load *load, size_t first)
{
    int status = EXIT_DONE;
    for (size_t i = first; i < load->lines_n && status == EXIT_DONE; i++) {
        status = load_one(load, &load->lines[i]);
        load->records += status == EXIT_DONE;
    }
    return status;
}

/* Stores what was read.  EXIT_DONE, or the exit status of a line that could not be stored. */
static int load_store(struct load *load)
{
    struct shoal_key keys[LOAD_LINES];
    struct shoal_value values[LOAD_LINES];
    struct shoal_result results[LOAD_LINES];
    size_t stored = 0;
    for (size_t i = 0; i < load->lines_n; i++) {
        const struct record *record = &load->lines[i].read.record;
        keys[i] = (struct shoal_key){ record->key, record->key_bytes };
        values[i] = (struct shoal_value){ .value = record->value, .bytes = record->value_bytes, .type = record->type };
    }
    const uint64_t line = load->line;
    (void)shoal_put_many(load->map, keys, values, load->lines_n, results);
    while (stored < load->lines_n && results[stored].code == SHOAL_OK)
        stored++;
    load->records += stored;
    const int status = load_singly(load, stored);
    if (status == EXIT_DONE)
        load->line = line;
    for (size_t i = 0; i < load->lines_n; i++)
        record_read_end(&load->lines[i].read);
    load->lines_n = 0;
    return status;
}

/* Behind the lines before it: a record that the map does not take, or no record. */
static int load_bad(struct load *load, struct load_line *line, bool valid)
{
    char text[sizeof line->read.text];
    memcpy(text, line->read.text, sizeof text);
    int status = load_store(load);
    if (status == EXIT_DONE)
        status = valid ? load_one(load, line) : load_stopped(load, SHOAL_EINVAL, text);
    record_read_end(&line->read);
    return status;
}

/* Its text is in the next of the lines. */
static int load_line(struct load *load, size_t n)
{
    struct load_line *line = &load->lines[load->lines_n];
    const struct record *record = &line->read.record;
    line->number = load->line;
    const bool valid = load->bulk->tsv ? record_read_tsv(line->text, n, &line->read)
                                       : record_read_json(line->text, n, &line->read);
    if (!valid || record->key_bytes - 1 >= load->max_key_bytes || record->value_bytes > load->max_value_bytes)
        return load_bad(load, line, valid);
    return ++load->lines_n == LOAD_LINES ? load_store(load) : EXIT_DONE;
}

static int load_lines(struct load *load)
{
    ssize_t got = 0;
    int status = EXIT_DONE;
    while (status == EXIT_DONE) {
        struct load_line *line = &load->lines[load->lines_n];
        if ((got = getline(&line->text, &line->room, load->in)) < 0)
            break;
        size_t n = (size_t)got;
        load->line++;
        n -= n > 0 && line->text[n - 1] == '\n';
        if (n > 0)
            status = load_line(load, n);
    }
    const int error = errno;
    const bool failed = status == EXIT_DONE && !feof(load->in);
    if (status == EXIT_DONE)
        status = load_store(load);
    for (size_t i = 0; i < LOAD_LINES; i++)
        free(load->lines[i].text);
    return failed && status == EXIT_DONE ? load_stopped(load, SHOAL_EOS, strerror(error)) : status;
}

static int load_report(const struct load *load)
{
    const struct request *request = &load->bulk->request;
    if (!request->json) {
        printf("%" PRIu64 " records\n", load->records);
        return answer_flush(EXIT_DONE);
    }
    return answer(request, SHOAL_OK, load->name, load_members(load));
}

int command_load(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "tsv", KEY_TSV, NULL, 0, "KEY <tab> VALUE [<tab> TYPE] instead of JSON lines", 0 },
        { 0 },
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_bulk,
        .args_doc = "MAP [FILE]",
        .doc = "Store a record for each line of FILE, or of standard input (also -).\v"
               "JSON lines: {\"key\": \"a\", \"value\": \"b\"}; key_base64 and value_base64 for bytes that are "
               "not UTF-8; \"type\" is raw, str, i64, json, ... or a number; an i64 has an integer as its "
               "value.\n"
               "TSV: with \\t \\n \\r \\\\ \\xHH in keys and values.\n"
               "Empty lines are passed over.  The first line that is not valid, or does not fit, is named by "
               "its number and ends the load; what came before it is kept, and, where the map was full, of the next "
               "sixty lines perhaps some.",
        .children = request_child,
    };
    struct bulk bulk = { 0 };
    request_parse(&argp, argc, argv, &bulk.request, 1, 2);
    const struct request *request = &bulk.request;
    const char *file = request->words_n > 1 ? request->words[1] : "-";
    bool is_stdin = strcmp(file, "-") == 0;
    struct load load = { .bulk = &bulk, .name = is_stdin ? "standard input" : file };
    load.in = is_stdin ? stdin : fopen(file, "r");
    if (!load.in)
        return answer_own(request, SHOAL_EOS, NULL, "%s: %s", file, strerror(errno));
    struct shoal_stats stats = SHOAL_STATS_INIT;
    int code = request_open(request, 0, &load.map);
    if (code == SHOAL_OK)
        code = shoal_stats(load.map, &stats);
    load.max_key_bytes = stats.max_key_bytes;
    load.max_value_bytes = stats.max_value_bytes;
    int status = code == SHOAL_OK ? load_lines(&load) : answer(request, code, request->words[0], NULL);
    shoal_close(load.map);
    if (!is_stdin)
        fclose(load.in);
    return status == EXIT_DONE ? load_report(&load) : status;
}
