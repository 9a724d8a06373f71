/* SPDX-License-Identifier: MIT
 *
 * The scenarios: what stands in the map, what the victim does, what may come of it.
 */
#ifndef TESTS_KILL_SCENARIO_H
#define TESTS_KILL_SCENARIO_H

#include <sys/types.h>

#include "kill/stage.h"
#include "lib/pending.h"
#include "lib/step.h"

struct run;

enum scenario_flags {
    SCENE_FULL = 1u << 0,    /* hardly any room: SHOAL_EFULL is an answer */
    SCENE_FORKED = 1u << 1,  /* the victim is a forked child of an attached process */
    SCENE_BATCH = 1u << 2,   /* act i is done to key i */
    SCENE_NO_LIFE = 1u << 3, /* no survivor writes before the victim runs */
    SCENE_NAME = 1u << 4,    /* about the name and file of a map: see names.c */
    SCENE_CORPSE = 1u << 5,  /* a process was killed before: one variant for each of its crash states */
    SCENE_HEIR = 1u << 8,    /* its index is the first survivor's, who settles it before the victim begins */
    SCENE_READER = 1u << 6,  /* the victim writes nothing: only stops are of interest */
    SCENE_CLOSES = 1u << 7,  /* the victim closes the map after the operation */
    SCENE_SPILLS = 1u << 9,  /* there is no room but what leaves for the store; nobody warms up */
    SCENE_KILLS = 1u << 10   /* no stops: whoever stands in the middle has what the others need */
};

struct scenario {
    const char *name, *attacks; /* guarantees, by letter */
    struct shape shape;
    bool hot_present, hot_number;
    uint32_t hot_bytes; /* of key 0's value at the beginning */
    uint32_t flags;
    struct act acts[STAGE_HOT];                                  /* of the victim, on key 0 */
    uint32_t acts_n;
    struct act corpse_act;
    uint32_t corpse_key;
    void (*corpse_operate)(struct run *run);                     /* instead of corpse_act */
    enum act_kind favour;                                        /* what survivors do most */
    void (*setup)(struct stage *stage, struct shoal *map, int fd); /* beyond the usual keys */
    void (*prepare)(struct run *run);                            /* victim, before the mark; default: open, warm up */
    void (*operate)(struct run *run);                            /* victim, stepped; default: the acts */
    void (*before)(struct run *run);                             /* survivor, before the victim exists */
    void (*stopped)(struct run *run);                            /* survivor, when the victim has just been
                                                                  * stopped, and before it goes on */
    void (*judge)(struct run *run);                              /* survivor, after the victim returned */
    void (*killed)(struct run *run);                             /* survivor, right after a kill */
};

extern const struct scenario scenarios_of_keys[], scenarios_of_maps[], scenarios_of_spills[];
extern const uint32_t scenarios_of_keys_n, scenarios_of_maps_n, scenarios_of_spills_n;

enum run_kind { RUN_RECORD, RUN_KILL, RUN_STOP };

/* One run, in memory that the runner, the victim and the other survivors share. */
struct run {
    const struct stage *stage;
    const struct scenario *scenario;
    enum run_kind kind;
    uint32_t slot;
    char name[64];
    uint64_t random, ops_wanted; /* of survivors while the victim is stopped */
    const struct trace *trace;
    uint64_t point;

    /* victim */
    struct shoal *map;
    struct act acts[STAGE_HOT];
    uint32_t acked;
    struct answer answers[STAGE_HOT];
    int32_t code;
    uint64_t number;
    uint32_t slept; /* RUN_RECORD: how many futex calls it made */
    bool asleep_before; /* wait: the point lies before the first sleep */
    uint32_t walked[STAGE_KEYS];

    /* survivors */
    struct shoal *a, *b;
    pid_t helper;
    int32_t helper_code;
    bool frozen, corpse_frozen;
    bool held;    /* who is stopped has the store's lock */
    pid_t holder; /* and has said so */
    uint64_t ops, reaps;
    struct pending tracks[STAGE_KEYS];
};

/* The victim's usual beginning, and its usual operation. */
void victim_warm(struct run *run);
void victim_prepare(struct run *run);
void victim_operate(struct run *run);

/* The whole of one run; fails the test or returns.  true = the victim stood where the trace says. */
bool run_scene(struct run *run, struct trace *record);
/* The same for SCENE_NAME. */
bool run_name_scene(struct run *run, struct trace *record);

#endif
