/* SPDX-License-Identifier: MIT
 *
 * One scene: a table, a survivor whose calls are timed, and others that call at the same time and die or stop.
 *
 * All are processes.  The others are killed or stopped from outside at random times, wherever they are then, and replaced where
 * they died.  Each does one call after the other, half gets, half puts, of the same few keys, so that most of the time somebody
 * is inside of a call.
 */
#ifndef SHOAL_BENCH_STALLS_SCENE_H
#define SHOAL_BENCH_STALLS_SCENE_H

#include <stdint.h>

#include "../latency.h"
#include "subjects.h"

enum disturbance { DISTURB_NOT, DISTURB_KILL, DISTURB_STOP, DISTURBANCES_N };
extern const char *const disturbance_names[DISTURBANCES_N];

enum call { CALL_GET, CALL_PUT, CALLS_N };
extern const char *const call_names[CALLS_N];

struct scene {
    const struct subject *subject;
    enum disturbance disturbance;
    const char *name; /* of the table; unique in the machine */
    double seconds;
    int64_t limit_ns; /* a call that takes longer is blocked, and the scene ends */
    uint64_t seed;
};

struct scene_result {
    struct histogram calls[CALLS_N]; /* the survivor's; one that is blocked counts as long as it was watched */
    uint32_t blocked[CALLS_N];       /* 1: the last call of this kind did not return */
    uint32_t disturbed;              /* how often somebody was killed or stopped */
    uint64_t wrong;                  /* gets that had no value of their key, whole */
    char error[160];                 /* "" or why the scene ended early */
};

/* Leaves no process and no table behind. */
void scene_run(const struct scene *scene, struct scene_result *ret_result);

#endif
