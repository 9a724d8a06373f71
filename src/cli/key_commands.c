/* SPDX-License-Identifier: MIT
 *
 * get, put, add, del, incr: one key.
 */
#include "commands.h"
#include "escape.h"
#include "record.h"
#include "request.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Versions use all 64 bits, more than many JSON readers keep of a number: they are strings. */
static json_t *version_members(uint64_t version)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, version);
    return json_pack("{s:s}", "version", digits);
}

/* -- get --------------------------------------------------------------------------- */

struct get {
    struct request request;
    bool raw;
};

static error_t parse_get(int key, char *argument, struct argp_state *state)
{
    (void)argument;
    struct get *get = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = get;
        return 0;
    case 'r':
        get->raw = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int print_json(const struct record *record, uint64_t version)
{
    printf("{\"code\": 0, \"result\": \"done\", ");
    record_write_json(stdout, record, true);
    printf(", \"version\": \"%" PRIu64 "\"}\n", version);
    return answer_flush(EXIT_DONE);
}

/* Raw bytes for programs; for a person at a terminal nothing that it would obey, and a last newline. */
static int print_value(const struct record *record, bool raw)
{
    int64_t integer;
    if (!raw && record_integer(record, &integer)) {
        printf("%" PRId64 "\n", integer);
    } else if (!raw && isatty(STDOUT_FILENO)) {
        escape_write(stdout, ESCAPE_SCREEN, record->value, record->value_bytes);
        if (record->value_bytes == 0 || ((const char *)record->value)[record->value_bytes - 1] != '\n')
            putchar('\n');
    } else {
        fwrite(record->value, 1, record->value_bytes, stdout);
    }
    return answer_flush(EXIT_DONE);
}

int command_get(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "raw", 'r', NULL, 0, "The value's bytes as they are, on a terminal and for integers too", 0 },
        { 0 },
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_get,
        .args_doc = "MAP KEY",
        .doc = "Print a value: its bytes and nothing else, but integers (type i64) in decimal on a line.  "
               "On a terminal control bytes are escaped.",
        .children = request_key_child,
    };
    struct get get = { 0 };
    struct request *request = &get.request;
    request_parse(&argp, argc, argv, request, 2, 2);
    struct record record = { 0 };
    if (!request_bytes(request, 1, &record.key, &record.key_bytes))
        return EXIT_USAGE;
    struct shoal *map = NULL;
    struct shoal_view view = { 0 };
    int code = request_open(request, SHOAL_RDONLY, &map);
    /* A view, so that value, type and version belong together, and a large value is copied once at most. */
    if (code == SHOAL_OK)
        code = shoal_view(map, record.key, record.key_bytes, &view);
    if (code != SHOAL_OK) {
        shoal_close(map);
        return answer(request, code, request->words[1], NULL);
    }
    record.value = view.value;
    record.value_bytes = view.bytes;
    record.type = view.type;
    int status = request->json ? print_json(&record, view.version) : print_value(&record, get.raw);
    shoal_view_end(&view);
    shoal_close(map);
    return status;
}

/* -- put, add ------------------------------------------------------------------------ */

struct put {
    struct request request;
    struct shoal_how how;
    bool named; /* the type: i64 by name reads the value as decimal */
};

static error_t parse_put(int key, char *argument, struct argp_state *state)
{
    struct put *put = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = put;
        return 0;
    case 't':
        if (!type_read(argument, &put->how.type, &put->named))
            argp_error(state, "--type %s: neither a type's name nor 0 to 255", argument);
        return 0;
    case 'v':
        if (!parse_amount(argument, &put->how.if_version))
            argp_error(state, "--if-version %s: not a version", argument);
        put->how.flags |= SHOAL_IF_VERSION;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char type_doc[] =
    "raw (default), str, i64, bigint, f64, bool, none, json, pickle, or 0 to 255.  With i64 VALUE is a decimal "
    "number; a type given as a number leaves VALUE's bytes alone";

/* All of stdin.  NULL: complained already. */
static char *read_stdin(size_t *ret_n)
{
    size_t n = 0, room = 1u << 16;
    char *bytes = malloc(room);
    while (bytes) {
        n += fread(bytes + n, 1, room - n, stdin);
        if (n < room)
            break;
        room *= 2;
        char *more = realloc(bytes, room);
        if (!more)
            free(bytes);
        bytes = more;
    }
    if (!bytes || ferror(stdin)) {
        complain("standard input: %s", strerror(bytes ? errno : ENOMEM));
        free(bytes);
        return NULL;
    }
    *ret_n = n;
    return bytes;
}

/* The value to store: the argument, or stdin for "-", as bytes or as an integer. */
static int put_value(struct put *put, char **ret_held, int64_t *integer, const void **ret_value, size_t *ret_n)
{
    struct request *request = &put->request;
    const char *word = request->words[2];
    if (put->named && put->how.type == SHOAL_I64) {
        if (!parse_integer(word, integer)) {
            complain("%s: not an integer of 64 bits", word);
            return EXIT_USAGE;
        }
        *ret_value = integer;
        *ret_n = sizeof *integer;
        return EXIT_DONE;
    }
    if (strcmp(word, "-") == 0) {
        *ret_value = *ret_held = read_stdin(ret_n);
        return *ret_held ? EXIT_DONE : EXIT_SYSTEM;
    }
    return request_bytes(request, 2, ret_value, ret_n) ? EXIT_DONE : EXIT_USAGE;
}

static int store(struct put *put, bool add)
{
    struct request *request = &put->request;
    struct shoal *map = NULL;
    const void *key, *value = NULL;
    size_t key_bytes, value_bytes = 0;
    char *held = NULL;
    int64_t integer = 0;
    uint64_t version = 0;
    if (!request_bytes(request, 1, &key, &key_bytes))
        return EXIT_USAGE;
    int status = put_value(put, &held, &integer, &value, &value_bytes);
    if (status != EXIT_DONE)
        return status;
    int code = request_open(request, 0, &map);
    if (code == SHOAL_OK)
        code = shoal_put_with(map, key, key_bytes, value, value_bytes, &put->how, &version);
    if (add && code == SHOAL_CHANGED)
        code = SHOAL_EXISTS;
    shoal_close(map);
    free(held);
    return answer(request, code, request->words[1],
                  request->json && code == SHOAL_OK ? version_members(version) : NULL);
}

int command_put(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "type", 't', "TYPE", 0, type_doc, 0 },
        { "if-version", 'v', "VERSION", 0, "Only where this is the value's version still; 0 = only where absent", 0 },
        { 0 },
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_put,
        .args_doc = "MAP KEY VALUE",
        .doc = "Store a value.  VALUE - is standard input (for a lone - : --escaped, and \\x2d).",
        .children = request_key_child,
    };
    struct put put = { .how = SHOAL_HOW_INIT };
    request_parse(&argp, argc, argv, &put.request, 3, 3);
    return store(&put, false);
}

/* put over version 0: absent, which is what shoal_add asks for, and keeps the type too */
int command_add(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "type", 't', "TYPE", 0, type_doc, 0 },
        { 0 },
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_put,
        .args_doc = "MAP KEY VALUE",
        .doc = "Store a value where the key is absent; exit status 1 where it exists.  VALUE - is "
               "standard input.",
        .children = request_key_child,
    };
    struct put put = { .how = SHOAL_HOW_INIT };
    request_parse(&argp, argc, argv, &put.request, 3, 3);
    put.how.flags = SHOAL_IF_VERSION;
    put.how.if_version = 0;
    return store(&put, true);
}

/* -- del ----------------------------------------------------------------------------- */

struct del {
    struct request request;
    uint64_t version;
    bool if_version;
};

static error_t parse_del(int key, char *argument, struct argp_state *state)
{
    struct del *del = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = del;
        return 0;
    case 'v':
        if (!parse_amount(argument, &del->version))
            argp_error(state, "--if-version %s: not a version", argument);
        del->if_version = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_del(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "if-version", 'v', "VERSION", 0, "Only where this is the value's version still", 0 },
        { 0 },
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_del,
        .args_doc = "MAP KEY",
        .doc = "Remove a key; exit status 1 where it is missing.",
        .children = request_key_child,
    };
    struct del del = { 0 };
    struct request *request = &del.request;
    request_parse(&argp, argc, argv, request, 2, 2);
    const void *key;
    size_t key_bytes;
    if (!request_bytes(request, 1, &key, &key_bytes))
        return EXIT_USAGE;
    struct shoal *map = NULL;
    int code = request_open(request, 0, &map);
    if (code == SHOAL_OK)
        code = del.if_version ? shoal_delete_if(map, key, key_bytes, del.version) : shoal_delete(map, key, key_bytes);
    shoal_close(map);
    return answer(request, code, request->words[1], NULL);
}

/* -- incr ---------------------------------------------------------------------------- */

/* `incr jobs hits -1`: getopt would take -1 for an option.  Behind MAP and KEY a negative number is
 * DELTA; a leading blank hides it from getopt, and strtoll passes over it. */
static char *hide_negative(int argc, char **argv)
{
    int words = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' && ++words)
            continue;
        if (strcmp(argv[i], "--") == 0)
            return NULL;
        if (words == 2 && isdigit((unsigned char)argv[i][1])) {
            char *hidden = NULL;
            if (asprintf(&hidden, " %s", argv[i]) < 0)
                return NULL;
            return argv[i] = hidden;
        }
    }
    return NULL;
}

int command_incr(int argc, char **argv)
{
    struct argp argp = request_key_argp;
    argp.args_doc = "MAP KEY [DELTA]";
    argp.doc = "Add DELTA (1) to an integer and print the sum.  An absent key counts as 0.";
    struct request request = { 0 };
    char *hidden = hide_negative(argc, argv);
    request_parse(&argp, argc, argv, &request, 2, 3);
    const void *key;
    size_t key_bytes;
    int64_t delta = 1, sum = 0;
    const char *word = request.words[2];
    bool valid = !word || parse_integer(word + (word == hidden), &delta);
    if (!valid)
        complain("%s: not an integer of 64 bits", word);
    free(hidden);
    if (!valid || !request_bytes(&request, 1, &key, &key_bytes))
        return EXIT_USAGE;
    struct shoal *map = NULL;
    int code = request_open(&request, 0, &map);
    if (code == SHOAL_OK)
        code = shoal_incr(map, key, key_bytes, delta, &sum);
    shoal_close(map);
    if (code == SHOAL_OK && !request.json)
        printf("%" PRId64 "\n", sum);
    return answer(&request, code, request.words[1],
                  request.json && code == SHOAL_OK ? json_pack("{s:I}", "value", (json_int_t)sum) : NULL);
}
