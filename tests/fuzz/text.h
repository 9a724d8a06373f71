/* SPDX-License-Identifier: MIT
 *
 * Text that the command line writes, caught in memory.
 */
#ifndef TESTS_FUZZ_TEXT_H
#define TESTS_FUZZ_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct text {
    char *bytes;
    size_t n;
    FILE *out;
};
FILE *text_begin(struct text *text);
/* Complete, with a NUL behind the n bytes. */
void text_end(struct text *text);
void text_free(struct text *text);

/* A copy that ends where it ends, for AddressSanitizer, with a NUL behind it where asked. */
char *text_copy(const void *bytes, size_t n, bool terminated);

/* No byte that a terminal could obey, and UTF-8; newlines and tabs only where allowed. */
bool text_is_harmless(const char *bytes, size_t n, bool lines);

#endif
