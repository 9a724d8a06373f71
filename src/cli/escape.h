/* SPDX-License-Identifier: MIT
 *
 * Any bytes as text, and back: escapes, UTF-8, base64.
 */
#ifndef SHOAL_CLI_ESCAPE_H
#define SHOAL_CLI_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Length of the UTF-8 sequence that begins at bytes[0]; 0 where none does. */
size_t utf8_length(const unsigned char *bytes, size_t n);
bool utf8_valid(const void *bytes, size_t n);

enum escape_style {
    ESCAPE_LINE,   /* unambiguous on one line: \t \n \r \\ \xHH; unescape() gives every byte back */
    ESCAPE_SCREEN, /* for eyes: as it is, but nothing that a terminal could obey except tab and newline */
};
/* Escapes control characters (C0, DEL, C1) and what is not UTF-8. */
void escape_write(FILE *out, enum escape_style style, const void *bytes, size_t n);
/* In place.  False: a backslash begins no escape. */
bool unescape(char *text, size_t n, size_t *ret_n);

/* A JSON string literal; bytes must be valid UTF-8. */
void json_string_write(FILE *out, const void *bytes, size_t n);
void base64_write(FILE *out, const void *bytes, size_t n);
/* RFC 4648 with padding.  ret_bytes has room for text_n / 4 * 3.  False: not that. */
bool base64_read(const char *text, size_t text_n, unsigned char *ret_bytes, size_t *ret_n);

#endif
