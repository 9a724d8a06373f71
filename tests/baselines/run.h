/* SPDX-License-Identifier: MIT
 *
 * One run: the same bytes, a victim in the middle of one operation, killed or stopped before a chosen
 * instruction; then survivors.
 */
#ifndef TESTS_BASELINES_RUN_H
#define TESTS_BASELINES_RUN_H

#include "baselines/system.h"
#include "baselines/watch.h"
#include "lib/pending.h"
#include "lib/step.h"

enum victim_act { VICTIM_INSERT, VICTIM_UPDATE, VICTIM_GROW, VICTIM_DELETE, VICTIM_GET, VICTIM_ACTS };
extern const char *const victim_names[VICTIM_ACTS];

enum fate { FATE_RECORD, FATE_KILL, FATE_STOP };

/* What a survivor found; its exit status. */
enum found {
    FOUND_RIGHT = 0,
    FOUND_HARNESS = 1, /* require() failed: the test is at fault */
    FOUND_TORN,        /* a value that nobody wrote */
    FOUND_LOST,        /* neither the old nor the new value, or an acknowledged key is gone */
    FOUND_BROKEN,      /* the system's own check says so */
    FOUND_FAILED,      /* a call failed that must not */
    FOUND_CRASHED,     /* a survivor died of a signal */
    FOUND_N
};
extern const char *const found_names[FOUND_N];

#define RUN_KEYS 24u
#define RUN_VICTIM 0u /* this key, and the next that only the victim's warming up uses */
#define RUN_WARM 1u
#define RUN_RECORD_BYTES 100u
#define RUN_IMAGE_BYTES (1u << 20)

struct run_key {
    char text[20];
    uint32_t bytes;
    struct cell cell;
};

/* What the runs of one system and one act begin with.  Shared memory: made by a child. */
struct scene {
    const struct system *system;
    enum victim_act act;
    struct run_key keys[RUN_KEYS];
    uint64_t fresh; /* records of 100 bytes that a map takes in which nothing ever was */
    size_t image_bytes;
    uint8_t image[RUN_IMAGE_BYTES];
};

/* Shared memory. */
struct run {
    const struct scene *scene;
    enum fate fate;
    bool recover; /* survivors run the system's recovery step before the ledger */
    uint32_t rounds; /* of survivors' work, 21 calls each */
    uint64_t point;
    const struct trace *trace;
    char name[48];
    uint32_t slot;

    volatile uint64_t progress;
    volatile uint32_t ready;
    struct act act;
    volatile uint32_t acked;
    struct answer answer; /* the victim's */

    /* the outcome */
    bool strayed;
    enum watch_end blocked; /* survivors, while the victim was dead or stopped */
    enum found found;
    uint32_t recoveries, refused; /* refused: a survivor's call was answered "full" before the ledger */
    uint64_t fits;                /* records of 100 bytes, after death, or after the stopped one had gone on */
    uint64_t fits_held;           /* while it was stopped */
    uint64_t instructions;        /* FATE_RECORD */
    char text[300];

    struct pending tracks[RUN_KEYS];
};

/* In a child: make the map, its keys and the image. */
void scene_make(struct scene *scene, const char *name);
/* In a child of its own.  FATE_RECORD fills `record`. */
void run_once(struct run *run, struct trace *record);

#endif
