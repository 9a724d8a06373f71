/* SPDX-License-Identifier: MIT
 *
 * What every command shares: its words and options, the opened map, the answer.
 */
#ifndef SHOAL_CLI_REQUEST_H
#define SHOAL_CLI_REQUEST_H

#include <argp.h>
#include <jansson.h>
#include <shoal/shoal.h>
#include <stdbool.h>
#include <stdint.h>

#define EXIT_DONE 0
#define EXIT_NO 1 /* a normal "no": missing, exists, changed, timeout */
#define EXIT_USAGE 2
#define EXIT_SYSTEM 3
#define EXIT_CORRUPT 4
#define EXIT_FULL 5

#define REQUEST_WORDS_MAX 3

/* A command's arguments.  Commands with options of their own make this the first member of a struct
 * that holds them, and their argp parser the parent of request_argp or request_key_argp. */
struct request {
    char *words[REQUEST_WORDS_MAX]; /* words[0] is the map's name */
    int words_n, words_min, words_max;
    bool json;    /* answer in JSON */
    bool foreign; /* accept another user's map */
    bool escaped; /* KEY, VALUE and PREFIX hold \t \n \r \\ \xHH */
};

/* --json, --foreign and the words; the second one also --escaped. */
extern const struct argp request_argp, request_key_argp;
extern const struct argp_child request_child[], request_key_child[];

/* Fill *request, which stands first in argp's input, from the command line; min to max words are
 * taken.  On a usage error, --help and --usage the process ends here. */
void request_parse(const struct argp *argp, int argc, char **argv, struct request *request, int min, int max);
/* words[index] as bytes, unescaped where asked for.  False: complained already. */
bool request_bytes(struct request *request, int index, const void **ret_bytes, size_t *ret_n);
/* Open words[0].  A shoal_open code; a failure is not yet reported. */
int request_open(const struct request *request, unsigned flags, struct shoal **ret_map);

/* Report the outcome and return the exit status.  On a failure the library's text goes to stderr, on a
 * normal "no" the subject and the reason.  With --json an object goes to stdout, with `members` (may be
 * NULL; the reference is taken) after "code" and "result". */
int answer(const struct request *request, int code, const char *subject, json_t *members);
/* A failure with a text of our own. */
__attribute__((format(printf, 4, 5))) int answer_own(const struct request *request, int code, json_t *members,
                                                     const char *format, ...);
/* A result's name in JSON. */
const char *answer_name(int code);
/* Flush stdout; EXIT_SYSTEM with a message where that fails, else `status`. */
int answer_flush(int status);
/* "shoal: ..." on stderr, control bytes escaped. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/* Numbers in arguments.  Suffixes K M G T are powers of 1024.  False: not a number, or too large. */
bool parse_amount(const char *text, uint64_t *ret_amount);
bool parse_integer(const char *text, int64_t *ret_integer);

#endif
