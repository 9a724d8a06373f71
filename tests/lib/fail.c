/* SPDX-License-Identifier: MIT
 *
 * How a test says that something is wrong.
 */
#include "lib/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *place;
static size_t place_bytes;

void fail_into(char *text, size_t bytes)
{
    place = text;
    place_bytes = bytes;
}

void fail_at(const char *file, int line, const char *condition, const char *format, ...)
{
    char said[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    if (!place)
        fprintf(stderr, "%s:%d: %s [%s]\n", base, line, said, condition);
    else if (!place[0])
        snprintf(place, place_bytes, "%s:%d: %s [%s]", base, line, said, condition);
    _exit(1);
}
