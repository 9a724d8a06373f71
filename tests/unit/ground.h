/* SPDX-License-Identifier: MIT
 *
 * What every test of this folder stands on: it and its children say what is wrong, and nothing is left behind.
 */
#ifndef TESTS_UNIT_GROUND_H
#define TESTS_UNIT_GROUND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/types.h>

#include "shoal/shoal.h"

/* Descriptors of this process. */
int fds_open(void);
/* Remove all that is in the directory; folders must be empty. */
void dir_clear(const char *dir);
/* shoal_error_text() has this part. */
void assert_text_has(const char *part);

/* -- Children: no assertion of the framework, they say where and end ---------------------------- */

#define CHECK(what)                                                                                         \
    do {                                                                                                    \
        if (!(what)) {                                                                                      \
            fprintf(stderr, "%s:%d: %s (errno %d, \"%s\")\n", __FILE__, __LINE__, #what, errno,             \
                    shoal_error_text());                                                                    \
            return 1;                                                                                       \
        }                                                                                                   \
    } while (0)
#define CHILD_SKIPS 99

/* fork, with nothing unwritten that the child would write once more. */
pid_t child_start(void);
/* The child ends with 0, or with CHILD_SKIPS: `what` is for the line that says why it was left out. */
void assert_exits(pid_t pid, const char *what);

#endif
