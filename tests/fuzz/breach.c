/* SPDX-License-Identifier: MIT */
#include "fuzz/breach.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *breach_call = "no call";

void breach_at(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list arguments;
    const char *slash = strrchr(file, '/');
    fprintf(stderr, "breach: %s:%d: ", slash ? slash + 1 : file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, " [%s] in %s\n", condition, breach_call);
    fflush(NULL);
    abort();
}
