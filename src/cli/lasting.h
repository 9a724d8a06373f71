/* SPDX-License-Identifier: MIT
 *
 * Commands that last: --progress.
 */
#ifndef SHOAL_CLI_LASTING_H
#define SHOAL_CLI_LASTING_H

#include "request.h"

struct lasting {
    struct request request;
    bool progress; /* asked for; else where stderr is a terminal */
    const char *unit;
};

/* So many words, and --progress. */
void lasting_parse(int argc, char **argv, const char *args_doc, const char *doc, int words, struct lasting *lasting);

/* For the call, with `lasting` as its argument; NULL where nothing is to be shown. */
shoal_progress_fn *progress_of(const struct lasting *lasting);
/* What was shown is taken away. */
void progress_over(const struct lasting *lasting);

#endif
