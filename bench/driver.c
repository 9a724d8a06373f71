/* SPDX-License-Identifier: MIT
 *
 * The text of a driver's last failure.
 */
#include "driver.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_text[160] = "no reason given";

int driver_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_text, sizeof last_text, format, args);
    va_end(args);
    return DRIVER_FAILED;
}

const char *driver_fail_text(void) { return last_text; }
