/* SPDX-License-Identifier: MIT
 *
 * How a test says that something is wrong: in words, once, and then it ends.
 */
#ifndef TESTS_LIB_FAIL_H
#define TESTS_LIB_FAIL_H

#include <stddef.h>

/* Where the text of a failure goes in this process and its children from now on (shared memory, so that
 * a parent can read it).  Only the first text is kept.  NULL = stderr, as at the start. */
void fail_into(char *text, size_t bytes);

/* Say it and _exit(1). */
__attribute__((format(printf, 4, 5), noreturn)) void fail_at(const char *file, int line, const char *condition,
                                                             const char *format, ...);

/* require(x == 0, "put %s: %d", key, x): the condition must hold. */
#define require(condition, ...)                                                                             \
    do {                                                                                                    \
        if (!(condition))                                                                                   \
            fail_at(__FILE__, __LINE__, #condition, __VA_ARGS__);                                           \
    } while (0)

#endif
