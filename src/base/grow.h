/* SPDX-License-Identifier: MIT
 *
 * A buffer that is as large as what it was last wanted for.
 */
#ifndef SHOAL_BASE_GROW_H
#define SHOAL_BASE_GROW_H

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

/* At least `bytes`; what was in it is still there.  0, or SHOAL_EOS with a text that says for what: then it is as before. */
static inline int grow(void **io_buffer, uint64_t *io_room, uint64_t bytes, const char *what)
{
    void *larger = realloc(*io_buffer, bytes);
    if (larger == NULL) {
        errno = ENOMEM;
        return error_os("%s of %llu bytes", what, (unsigned long long)bytes);
    }
    *io_buffer = larger;
    *io_room = bytes;
    return 0;
}

#endif
