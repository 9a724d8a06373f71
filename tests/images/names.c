/* SPDX-License-Identifier: MIT
 *
 * The entries of a directory (names.h).
 */
#include "images/names.h"

#include <stdio.h>
#include <string.h>

#include "lib/fail.h"

static uint32_t index_of(const struct names *names, const char *name)
{
    uint32_t i = 0;
    while (i < names->n && strcmp(names->at[i].name, name) != 0)
        i++;
    return i;
}

uint32_t names_find(const struct names *names, const char *name)
{
    uint32_t i = index_of(names, name);
    return i < names->n ? names->at[i].file : NO_FILE;
}

const char *names_of(const struct names *names, uint32_t file)
{
    for (uint32_t i = 0; i < names->n; i++)
        if (names->at[i].file == file)
            return names->at[i].name;
    return NULL;
}

void names_set(struct names *names, const char *name, uint32_t file)
{
    uint32_t i = index_of(names, name);
    if (file == NO_FILE) {
        if (i < names->n)
            names->at[i] = names->at[--names->n];
        return;
    }
    require(i < NAMES_MAX && strlen(name) < NAME_BYTES, "%s: too many names, or too long a one", name);
    if (i == names->n)
        (void)snprintf(names->at[names->n++].name, NAME_BYTES, "%s", name);
    names->at[i].file = file;
}

void names_rename(struct names *names, const char *name, const char *to)
{
    uint32_t file = names_find(names, name);
    if (file == NO_FILE)
        return;
    names_set(names, name, NO_FILE);
    names_set(names, to, file);
}
