/* SPDX-License-Identifier: MIT
 *
 * This thread's last failure, in words.
 */
#ifndef SHOAL_BASE_ERROR_H
#define SHOAL_BASE_ERROR_H

#include "shoal/shoal.h"

/* Keep the text and return the code: `return error_set(SHOAL_EINVAL, "key: %zu bytes, ...", n);`
 * errno stays as it was. */
__attribute__((format(printf, 2, 3))) int error_set(int code, const char *format, ...);

/* SHOAL_EOS with ": <strerror(errno)>" appended; errno stays as it was. */
__attribute__((format(printf, 1, 2))) int error_os(const char *format, ...);

#endif
