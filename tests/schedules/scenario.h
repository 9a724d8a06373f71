/* SPDX-License-Identifier: MIT
 *
 * What the three processes do, and in which map.
 */
#ifndef SCHEDULES_SCENARIO_H
#define SCHEDULES_SCENARIO_H

#include "schedules/explore.h"
#include "schedules/history.h"
#include "schedules/world.h"

#define OPS_EACH 3u
#define SETUP_MOST 12u
#define FILL_MOST 40u

enum key_name { KEY_A, KEY_B, KEY_C, KEY_D, KEYS_N, KEY_WARM = KEYS_N /* one per member from here on */ };

struct scenario {
    const char *name;
    const char *about;
    struct {
        uint32_t member;
        struct op op;
    } setup[SETUP_MOST];
    struct op ops[WORLD_PROCS][OPS_EACH];
    uint32_t value_bytes;
    uint32_t faked_bytes; /* of values 0 and 4, where not FAKED_BYTES */
    uint32_t kills;    /* so many at least: the scenario is about them */
    uint32_t killable; /* bit per process, where not all are */
    bool general;      /* records have mtimes, so no call goes in a straight line */
    bool keys_go;      /* keys are deleted while somebody walks */
    bool may_be_full;  /* SHOAL_EFULL is an answer */
    uint32_t apart;    /* bit per process that is not attached at the beginning */
    uint32_t quick;    /* percent of a scenario's share in the quick run; 0 = 100 */
};

extern const struct scenario scenarios[];
extern const uint32_t scenarios_n;
const struct scenario *scenario_find(const char *name);

/* Make its world, and remember it. */
void scenario_make(const struct scenario *scenario);
uint32_t scenario_starts(const struct scenario *scenario);
/* A process's operations. */
void scenario_body(uint32_t proc);
/* Before and behind an execution.  scenario_judge calls explore_fail where something is wrong. */
void scenario_reset(void);
void scenario_judge(void);

#endif
