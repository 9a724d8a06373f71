/* SPDX-License-Identifier: MIT
 *
 * The entries of a directory: which name leads to which file.  Files have numbers that no name outlives.
 */
#ifndef TESTS_IMAGES_NAMES_H
#define TESTS_IMAGES_NAMES_H

#include <stdint.h>

#define NAME_BYTES 16u
#define NAMES_MAX 8u
#define NO_FILE UINT32_MAX

struct names {
    struct {
        char name[NAME_BYTES];
        uint32_t file;
    } at[NAMES_MAX];
    uint32_t n;
};

/* NO_FILE where there is none. */
uint32_t names_find(const struct names *names, const char *name);
/* NULL where no name leads to the file. */
const char *names_of(const struct names *names, uint32_t file);
/* The name leads to this file from now on; NO_FILE: the name goes. */
void names_set(struct names *names, const char *name, uint32_t file);
/* Nothing happens where there is no such name. */
void names_rename(struct names *names, const char *name, const char *to);

#endif
