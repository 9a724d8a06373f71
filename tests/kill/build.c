/* SPDX-License-Identifier: MIT
 *
 * Building stages.
 *
 * The usual keys: 0 the victim's; 1, 2, 3 of its home group, 3 absent; 4, 5 left alone by survivors; 6, 7
 * there; 8, 9 absent; 10 the victim's for warming up.
 */
#include "kill/build.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kill/below.h"
#include "kill/machine.h"
#include "lib/fail.h"
#include "lib/random.h"

#define BUILD_SLOT 999u
#define CORPSE_TRACE 2000000u

static void usual_keys(struct stage *stage, const struct scenario *scenario, struct shoal *map, int fd)
{
    for (uint32_t i = 0; i <= STAGE_WARM; i++)
        stage_add_key(stage, fd, i > 0 && i < STAGE_HOT);
    stage->keys[4].steady = stage->keys[5].steady = stage->keys[STAGE_WARM].steady = true;
    stage_put(stage, map, 1, 101, 100);
    stage_put(stage, map, 2, 102, 16);
    for (uint32_t i = 4; i < 8; i++)
        stage_put(stage, map, i, 100 + i, i % 2 ? 100 : 16);
    stage_put(stage, map, STAGE_WARM, 110, 100);
    if (scenario->hot_number)
        stage_incr(stage, map, 0, 1000);
    else if (scenario->hot_present)
        stage_put(stage, map, 0, 100, scenario->hot_bytes);
}

/* -- A process that was killed before the scene -------------------------------------------------------- */

#define BELOW_MOST 3u

struct corpse {
    const struct stage *stage;
    const struct scenario *scenario;
    char name[64];
    /* So many attach below it, and are gone later: who attaches in the scene finds their indices unused first.
     * Otherwise the first survivor would take the dead one's, and heal it before the victim does anything. */
    uint32_t below;
    struct shoal *held[BELOW_MOST];
};

static void corpse_body(void *arg)
{
    const struct corpse *corpse = arg;
    const struct stage *stage = corpse->stage;
    const struct stage_key *warm = &stage->keys[STAGE_WARM], *key = &stage->keys[stage->corpse_key];
    const struct act put = { .kind = ACT_PUT, .tag = warm->cell.tag, .bytes = (uint32_t)warm->cell.bytes };
    struct shoal *map = NULL;
    struct answer answer;
    const int code = shoal_open(corpse->name, 0, &map);
    require(code == 0, "the corpse's open: %d %s", code, shoal_error_text());
    if (stage->shape.store)
        below_warm(map);
    if (!(corpse->scenario->flags & SCENE_SPILLS))
        act_do(&put, map, warm->text, warm->bytes, &answer);
    static struct run run; /* too large for a stack */
    run.map = map;
    step_begin();
    if (corpse->scenario->corpse_operate)
        corpse->scenario->corpse_operate(&run);
    else
        act_do(&stage->corpse_act, map, key->text, key->bytes, &answer);
    step_end();
    _exit(0);
}

static void start_corpse(struct corpse *corpse, struct stepper *stepper)
{
    stage_restore(corpse->stage, corpse->name);
    for (uint32_t i = 0; i < corpse->below; i++) {
        const int code = shoal_open(corpse->name, 0, &corpse->held[i]);
        require(code == 0, "the open of one below the corpse: %d %s", code, shoal_error_text());
    }
    const int fd = stage_open_file(corpse->name);
    step_start(stepper, fd, corpse_body, corpse);
    if (corpse->stage->shape.store)
        below_watch(corpse->name, stepper);
    close(fd);
}

static void kill_corpse(struct corpse *corpse, struct stepper *stepper)
{
    step_kill(stepper);
    for (uint32_t i = 0; i < corpse->below; i++)
        shoal_close(corpse->held[i]);
}

/* Two survivors attach in the scene, and the victim before them, or in its operation: then where the corpse died. */
static void leave_corpse(struct stage *stage, const struct scenario *scenario, const char *name)
{
    struct corpse corpse = { .stage = stage, .scenario = scenario, .below = scenario->flags & SCENE_HEIR ? 1 : scenario->prepare ? 2 : 3 };
    struct stepper stepper;
    struct trace trace;
    static uint32_t points[4000];
    snprintf(corpse.name, sizeof corpse.name, "%s", name);
    trace_begin(&trace, CORPSE_TRACE);
    start_corpse(&corpse, &stepper);
    require(step_record(&stepper, &trace), "the corpse did not come to its end");
    kill_corpse(&corpse, &stepper);
    stage->variants_n = build_points(&trace, RUN_KILL, false, points, 4000);
    start_corpse(&corpse, &stepper);
    stage->variant %= stage->variants_n;
    step_to(&stepper, &trace, points[stage->variant]);
    kill_corpse(&corpse, &stepper);
    stage_take_image(stage, name);
    trace_end(&trace);
}

/* -- Stage and points -------------------------------------------------------------------------------------- */

void build_stage(struct stage *stage, const struct scenario *scenario, uint32_t variant, uint64_t seed)
{
    char name[64];
    struct shoal *map = NULL;
    stage_name(BUILD_SLOT, name);
    machine_seed(seed);
    memset(stage, 0, offsetof(struct stage, image));
    stage->shape = scenario->shape;
    stage->seed = seed;
    stage->variant = variant;
    stage->variants_n = 1;
    const int code = stage_create(&stage->shape, name, &map);
    require(code == 0, "create: %d %s", code, shoal_error_text());
    const int fd = stage_open_file(name);
    usual_keys(stage, scenario, map, fd);
    if (scenario->setup)
        scenario->setup(stage, map, fd);
    shoal_close(map);
    close(fd);
    stage_take_image(stage, name);
    if (scenario->flags & SCENE_CORPSE) {
        stage->corpse_act = scenario->corpse_act;
        stage->corpse_key = scenario->corpse_key;
        stage->has_corpse = true;
        leave_corpse(stage, scenario, name);
    }
    stage_measure_fresh(stage, name);
}

uint32_t build_points(const struct trace *trace, enum run_kind kind, bool every, uint32_t *ret_points, uint32_t room)
{
    const uint32_t kill_at = STEP_CHANGED | STEP_SYSCALL;
    const uint32_t wanted = kind == RUN_KILL ? kill_at : kill_at | STEP_TOUCHED;
    uint32_t n = 0;
    for (uint64_t i = 0; i < trace->n && n < room; i++)
        if (every || i == 0 || (trace->place[i].what & wanted))
            ret_points[n++] = (uint32_t)i;
    return n;
}
