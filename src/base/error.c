/* SPDX-License-Identifier: MIT
 *
 * The fixed text of each result code, and the text of this thread's last failure (error.h).
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 512

static _Thread_local char last_text[TEXT_BYTES];

const char *shoal_strerror(int code)
{
    switch (code) {
    case SHOAL_OK: return "done";
    case SHOAL_MISSING: return "the key is absent";
    case SHOAL_EXISTS: return "the key is present already";
    case SHOAL_CHANGED: return "the key has another version";
    case SHOAL_SHORT: return "the buffer is too small";
    case SHOAL_TIMEOUT: return "nothing happened in time";
    case SHOAL_END: return "the walk is over";
    case SHOAL_EINVAL: return "bad argument";
    case SHOAL_EFULL: return "the map is full";
    case SHOAL_ETOOBIG: return "key or value over the map's limit";
    case SHOAL_ENOMAP: return "no such map";
    case SHOAL_EMAPEXISTS: return "the map exists already";
    case SHOAL_EREADONLY: return "the map was opened read-only";
    case SHOAL_EVERSION: return "the map has another layout version";
    case SHOAL_ECORRUPT: return "the map is corrupt";
    case SHOAL_EATTACH: return "too many threads are attached";
    case SHOAL_ESTORE: return "the backing store failed";
    case SHOAL_EOS: return "a system call failed";
    default: return "unknown result code";
    }
}

const char *shoal_error_text(void)
{
    return last_text;
}

/* Made aside first: an argument may be the last text itself. */
__attribute__((format(printf, 2, 0))) static void keep_text(int with_errno, const char *format, va_list args)
{
    char text[TEXT_BYTES];
    int kept = errno;
    int n = vsnprintf(text, sizeof text, format, args);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    text[used] = '\0';
    if (with_errno != 0) {
        errno = with_errno;
        (void)snprintf(text + used, sizeof text - used, ": %m");
    }
    memcpy(last_text, text, sizeof text);
    errno = kept;
}

int error_set(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    keep_text(0, format, args);
    va_end(args);
    return code;
}

int error_os(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    keep_text(errno, format, args);
    va_end(args);
    return SHOAL_EOS;
}
