/* SPDX-License-Identifier: MIT
 *
 * The file of what was done: read whole at the beginning, a line appended at a time.
 */
#include "kill/done.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/fail.h"

#define DONE_MOST 8192u
#define NAME_BYTES 48u

static FILE *file;
static struct {
    char name[NAME_BYTES];
    uint32_t variant;
} done[DONE_MOST];
static uint32_t done_n;

void done_open(const char *path)
{
    char line[256];
    file = fopen(path, "ae+");
    require(file, "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, file)) {
        require(done_n < DONE_MOST, "%s: more than %u lines", path, DONE_MOST);
        require(sscanf(line, "%47s %u", done[done_n].name, &done[done_n].variant) == 2, "%s: line %u: %s", path, done_n + 1,
                line);
        done_n++;
    }
}

bool done_before(const char *scenario, uint32_t variant)
{
    for (uint32_t i = 0; i < done_n; i++)
        if (done[i].variant == variant && strcmp(done[i].name, scenario) == 0)
            return true;
    return false;
}

void done_add(const char *scenario, uint32_t variant, uint64_t instructions, uint64_t kills, uint64_t stops)
{
    if (!file)
        return;
    fprintf(file, "%s\t%u\t%llu\t%llu\t%llu\n", scenario, variant, (unsigned long long)instructions,
            (unsigned long long)kills, (unsigned long long)stops);
    fflush(file);
}
