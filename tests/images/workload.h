/* SPDX-License-Identifier: MIT
 *
 * What is done to a store, step by step: all short sequences over a few steps, and long ones by chance.
 */
#ifndef TESTS_IMAGES_WORKLOAD_H
#define TESTS_IMAGES_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_kind {
    STEP_PUT,
    STEP_DELETE,
    STEP_PUBLISH,
    STEP_COMMIT,
    STEP_ABORT,
    STEP_RELOCK,  /* unlock and lock: what is not published goes */
    STEP_SWAP,    /* unlock, and lock by another handle, which stays open as this one does */
    STEP_COMPACT, /* unlock, compact, lock */
    STEP_PIN,     /* publish, and pin what is there; where something is pinned, read all of that, and let it go */
    STEP_REOPEN,  /* close, open and lock */
    STEP_REBOOT,  /* the same, in another life of the machine: only what is committed stays */
};

struct step {
    enum step_kind kind;
    const char *name;
    uint32_t key;
    uint64_t bytes; /* of the value */
};

enum base {
    BASE_NONE,   /* no directory: the store is made by the first opening, with the steps */
    BASE_BARE,   /* the same, in an empty directory that is on disk */
    BASE_FILLED, /* a store with a few records, made before */
    BASE_LOST,   /* the same, but somebody has deleted its lock file in this life of the machine */
    BASES
};
extern const char *const base_names[BASES];

#define STEPS_MAX 512u
#define ID_BYTES 64u

struct workload {
    char id[ID_BYTES];
    enum base base;
    uint32_t keys_n; /* the last of them is put by nobody */
    struct step step[STEPS_MAX];
    uint32_t steps_n;
    uint32_t steps_known; /* what happens before the last of these has another workload's images */
};

/* What the base holds: steps to make it. */
const struct step *workload_base(uint32_t *ret_n);

/* -- Short ones ---------------------------------------------------------------------------------------- */

#define SHORT_STEPS 3u /* at most, upon BASE_FILLED; upon BASE_BARE one less, upon the others two */
uint32_t workload_short_n(void);
/* The i-th of them: those of fewer steps come first. */
void workload_short(uint32_t i, struct workload *ret_workload);

/* -- Long ones ----------------------------------------------------------------------------------------- */

/* Buckets are divided in all of them, nodes in many. */
void workload_random(uint32_t i, uint64_t seed, struct workload *ret_workload);

/* Values of megabytes that come and go, so that the file is cut. */
void workload_cut(struct workload *ret_workload);
/* Values that need more than one zone. */
void workload_zones(struct workload *ret_workload);

/* "filled/small/commit", "bare/large", "random/17", "cut", "zones".  false: there is none of this id. */
bool workload_find(const char *id, uint64_t seed, struct workload *ret_workload);

#endif
