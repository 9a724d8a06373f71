/* SPDX-License-Identifier: MIT
 *
 * A small map above a store whose calls are recorded, beside what it must hold now and after a crash.
 */
#ifndef TESTS_IMAGES_ABOVE_H
#define TESTS_IMAGES_ABOVE_H

#include "images/image.h"
#include "shoal/shoal.h"

#define ABOVE_HOT 2u   /* keys that steps are about */
#define ABOVE_KEYS 18u /* the others fill the table */

enum above_kind {
    ABOVE_PUT,
    ABOVE_DELETE,
    ABOVE_UPDATE,  /* the next number, computed from the last one */
    ABOVE_DURABLE, /* a put that returns when it is on disk */
    ABOVE_READ,    /* twice: what is only below comes up */
    ABOVE_SPILL,   /* so much is put that what was there before leaves */
    ABOVE_SYNC
};

struct above_step {
    enum above_kind kind;
    const char *name;
    uint32_t key;
};

/* What a key was, from when on. */
struct above_change {
    uint32_t key;
    uint64_t number; /* of its value; 0: absent */
    uint32_t begun;  /* entries of the log before the call */
};

/* From this entry of the log on each key is on disk as this change of it says, or as a later one. */
struct above_floor {
    uint32_t point, change[ABOVE_KEYS];
};

#define ABOVE_CHANGES 256u
#define ABOVE_FLOORS 16u

struct above {
    struct image image;
    struct log log;
    struct shoal *map;
    char name[64];
    uint64_t number;                   /* of the latest value */
    uint32_t now[ABOVE_KEYS];          /* the change that made the key what it is */
    struct above_change change[ABOVE_CHANGES];
    uint32_t changes_n;
    struct above_floor floor[ABOVE_FLOORS];
    uint32_t floors_n;
};

/* A map over what image.path has. 0 or a negative code. */
int above_create(struct above *above);
void above_close(struct above *above);

/* Nothing was ever put. */
void above_forget(struct above *above);
/* A negative code, with the model as before or, after a write that was to be durable, as behind it; 0 or WRONG. */
int above_step(struct above *above, const struct above_step *step);
/* The map has what the model says. */
int above_look(struct above *above);

/* A map over a store that a crash left, twice: each key is what the oracle allows behind the log's first `point` entries,
 * the second time as the first; then it works. */
int above_judge(struct above *judge, const struct above *oracle, uint32_t point);

#endif
