/* SPDX-License-Identifier: MIT
 *
 * What a test found wrong (wrong.h).
 */
#include "images/wrong.h"

#include <stdarg.h>
#include <stdio.h>

#include "shoal/shoal.h"

static char text[768], now[DURING_BYTES];
static uint64_t told_n;

int wrong(const char *format, ...)
{
    va_list arguments;
    if (text[0] != '\0')
        return WRONG;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return WRONG;
}

int wrong_code(const char *call, int code)
{
    return code == WRONG ? WRONG : wrong("%s: %d (%s): %s", call, code, shoal_strerror(code), shoal_error_text());
}

const char *wrong_text(void) { return text; }
void wrong_forget(void) { text[0] = '\0'; }

void during(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(now, sizeof now, format, arguments);
    va_end(arguments);
}

const char *during_text(void) { return now; }

void wrong_tell(const char *how)
{
    told_n++;
    printf("images: failure: %s%s%s%s: %s\n", now, how[0] == '\0' ? "" : " (", how, how[0] == '\0' ? "" : ")", text);
    (void)fflush(stdout);
    wrong_forget();
}

uint64_t wrong_n(void) { return told_n; }
