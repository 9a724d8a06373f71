/* SPDX-License-Identifier: MIT
 *
 * Words and options that every command shares.
 */
#include "request.h"

#include "escape.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_FOREIGN = 0x100, KEY_ESCAPED };

static const struct argp_option common_options[] = {
    { "json", 'j', NULL, 0, "Answer in JSON", 10 },
    { "foreign", KEY_FOREIGN, NULL, 0, "Accept a map that belongs to another user", 10 },
    { 0 },
};
static const struct argp_option key_options[] = {
    { "json", 'j', NULL, 0, "Answer in JSON", 10 },
    { "foreign", KEY_FOREIGN, NULL, 0, "Accept a map that belongs to another user", 10 },
    { "escaped", KEY_ESCAPED, NULL, 0, "Keys and values in arguments are written with \\t \\n \\r \\\\ \\xHH", 10 },
    { 0 },
};

static error_t parse_common(int key, char *argument, struct argp_state *state)
{
    struct request *request = state->input;
    switch (key) {
    case 'j':
        request->json = true;
        return 0;
    case KEY_FOREIGN:
        request->foreign = true;
        return 0;
    case KEY_ESCAPED:
        request->escaped = true;
        return 0;
    case ARGP_KEY_ARG:
        if (request->words_n == request->words_max)
            argp_error(state, "%s: one argument too many", argument);
        else
            request->words[request->words_n++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (request->words_n < request->words_min)
            argp_error(state, "an argument is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp request_argp = { .options = common_options, .parser = parse_common };
const struct argp request_key_argp = { .options = key_options, .parser = parse_common };
const struct argp_child request_child[] = { { .argp = &request_argp }, { 0 } };
const struct argp_child request_key_child[] = { { .argp = &request_key_argp }, { 0 } };

void request_parse(const struct argp *argp, int argc, char **argv, struct request *request, int min, int max)
{
    request->words_min = min;
    request->words_max = max;
    error_t error = argp_parse(argp, argc, argv, 0, NULL, request);
    if (error) {
        complain("%s", strerror(error));
        exit(EXIT_SYSTEM);
    }
}

bool request_bytes(struct request *request, int index, const void **ret_bytes, size_t *ret_n)
{
    char *word = request->words[index];
    size_t n = strlen(word);
    if (request->escaped && !unescape(word, n, &n)) {
        complain("argument %d: a backslash must begin \\t \\n \\r \\\\ or \\xHH", index + 1);
        return false;
    }
    *ret_bytes = word;
    *ret_n = n;
    return true;
}

int request_open(const struct request *request, unsigned flags, struct shoal **ret_map)
{
    return shoal_open(request->words[0], flags | (request->foreign ? SHOAL_FOREIGN : 0u), ret_map);
}

bool parse_amount(const char *text, uint64_t *ret_amount)
{
    if (!isdigit((unsigned char)text[0]))
        return false;
    char *end;
    errno = 0;
    unsigned long long amount = strtoull(text, &end, 10);
    if (errno)
        return false;
    static const char suffixes[] = "KMGT";
    unsigned shift = 0;
    if (*end) {
        const char *suffix = strchr(suffixes, toupper((unsigned char)*end));
        if (!suffix || end[1])
            return false;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
    }
    if (amount > UINT64_MAX >> shift)
        return false;
    *ret_amount = (uint64_t)amount << shift;
    return true;
}

bool parse_integer(const char *text, int64_t *ret_integer)
{
    const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    if (!isdigit((unsigned char)digits[0]))
        return false;
    char *end;
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (errno || *end)
        return false;
    *ret_integer = integer;
    return true;
}
