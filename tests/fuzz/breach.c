/* SPDX-License-Identifier: MIT */
#include "fuzz/breach.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *breach_call = "no call";

/* To the descriptor: a target may have another stderr for a while. */
void breach_at(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list arguments;
    char said[512];
    const char *slash = strrchr(file, '/');
    va_start(arguments, format);
    (void)vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
    fflush(NULL);
    (void)dprintf(STDERR_FILENO, "breach: %s:%d: %s [%s] in %s\n", slash ? slash + 1 : file, line, said, condition,
                  breach_call);
    abort();
}
