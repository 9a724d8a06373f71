/* SPDX-License-Identifier: MIT
 *
 * All that a crash may leave of a log, built and judged, one image after the other.
 */
#ifndef TESTS_IMAGES_EXPLORE_H
#define TESTS_IMAGES_EXPLORE_H

#include "images/crash.h"
#include "images/judge.h"

struct explore_counts {
    uint64_t images;   /* judged, no two of them the same */
    uint64_t deaths;   /* of them, of a process in the same life of the machine */
    uint64_t nested;   /* of them, of what was done to another image while it was judged */
    uint64_t repeated; /* built, found to be one that was judged, left out */
};
extern struct explore_counts explore_counts;

struct explore_log {
    const char *id; /* for texts */
    const struct log *log;
    const struct oracle *oracle;
    const struct disk *begin; /* before the first entry */
    uint32_t boot;            /* likewise */
    uint32_t first_point;     /* what may happen before it is not looked at */
    bool only_losses;         /* a process's death neither */
};

#define EXPLORE_ALL UINT64_MAX

struct explore_asked {
    uint64_t seed;
    uint64_t images;         /* about so many, chosen by chance where there are more */
    uint64_t nested_percent; /* of the images that the logs of judged images are to have */
    const char *only;        /* "12.5": this point and variant alone; "12.5/3.2": and this one of its log; "12.5/": and all of
                              * its log; NULL: all */
};

void explore_begin(void);
void explore_end(void);

/* A failure is told, with what brings it back. */
void explore(const struct explore_log *log, const struct explore_asked *asked);

#endif
