/* SPDX-License-Identifier: MIT */
#include "lib/campaign.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void campaign_append(const char *path, const char *about, const char *suite, uint64_t seed, const char *counts,
                     uint64_t failures)
{
    FILE *file = fopen(path, "ae");
    if (!file ||
        fprintf(file, "%s\t" COMPILER "\t%s\t%" PRIu64 "\t%s\t%" PRIu64 "\n", about ? about : "-\t-\t-", suite, seed,
                counts, failures) < 0 ||
        fclose(file) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
}
