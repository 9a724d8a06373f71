/* SPDX-License-Identifier: MIT
 *
 * One run of a scenario: restore, run the victim to a point, kill or stop it there, judge.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kill/below.h"
#include "kill/survive.h"
#include "lib/fail.h"
#include "lib/random.h"

/* -- The victim ------------------------------------------------------------------------------------- */

/* The version that a conditional act depends on. */
static void victim_see(struct run *run)
{
    uint64_t version = 0;
    const struct stage_key *key = &run->stage->keys[0];
    const int code = shoal_getv(run->map, key->text, key->bytes, NULL, 0, NULL, &version);
    require(code == 0 || code == SHOAL_MISSING || code == SHOAL_SHORT, "getv: %d", code);
    for (uint32_t i = 0; i < run->scenario->acts_n; i++)
        run->acts[i].seen_version = version;
}

/* Store a key again as it is, so that the operation does not also pay for the first use. */
void victim_warm(struct run *run)
{
    const struct stage_key *key = &run->stage->keys[STAGE_WARM];
    const struct act put = { .kind = ACT_PUT, .tag = key->cell.tag, .bytes = (uint32_t)key->cell.bytes };
    struct answer answer;
    act_do(&put, run->map, key->text, key->bytes, &answer);
    require(answer.code == 0, "warming up: %d %s", answer.code, shoal_error_text());
}

void victim_prepare(struct run *run)
{
    if (!(run->scenario->flags & SCENE_FORKED)) {
        const int code = shoal_open(run->name, 0, &run->map);
        require(code == 0, "the victim's open: %d %s", code, shoal_error_text());
        victim_see(run);
        if (run->stage->shape.store)
            below_warm(run->map);
        if (!(run->scenario->flags & (SCENE_FULL | SCENE_SPILLS)))
            victim_warm(run);
    }
}

void victim_operate(struct run *run)
{
    for (uint32_t i = 0; i < run->scenario->acts_n; i++) {
        const struct stage_key *key = &run->stage->keys[run->scenario->flags & SCENE_BATCH ? i : 0];
        act_do(&run->acts[i], run->map, key->text, key->bytes, &run->answers[i]);
        run->acked = i + 1;
    }
}

static void victim_body(void *arg)
{
    struct run *run = arg;
    (run->scenario->prepare ? run->scenario->prepare : victim_prepare)(run);
    step_begin();
    (run->scenario->operate ? run->scenario->operate : victim_operate)(run);
    step_end();
    if (run->scenario->flags & SCENE_CLOSES)
        shoal_close(run->map);
    _exit(0);
}

/* -- Survivors before ----------------------------------------------------------------------------------- */

static void open_survivor(struct run *run, struct shoal **ret_map)
{
    const int code = shoal_open(run->name, 0, ret_map);
    require(code == 0, "a survivor's open: %d %s", code, shoal_error_text());
}

/* Survivors have lived a little: they hold leases and caches. */
static void live_a_little(struct run *run)
{
    const struct act put = { .kind = ACT_PUT, .tag = 77, .bytes = 100 };
    const struct act delete = { .kind = ACT_DELETE };
    survive_act(run, run->a, STAGE_WARM - 1, &put);
    survive_act(run, run->a, STAGE_WARM - 1, &delete);
}

/* What the victim was seen to have done before it died or was stopped. */
static void judge_acks(struct run *run, bool returned)
{
    const bool batch = (run->scenario->flags & SCENE_BATCH) != 0;
    const uint32_t n = run->acked;
    for (uint32_t i = 0; run->scenario->flags & SCENE_SPILLS && i < n; i++)
        require(run->answers[i].code != SHOAL_EFULL, "G: nobody else held the store, and the victim found no room");
    if (!batch && run->scenario->acts_n > 0)
        require(pending_returned(&run->tracks[0], run->answers, n), "A: the victim's %s answered %d tag %llx bytes %llu; %s",
                act_name(run->acts[n ? n - 1 : 0].kind), run->answers[n ? n - 1 : 0].code,
                (unsigned long long)run->answers[n ? n - 1 : 0].tag,
                (unsigned long long)run->answers[n ? n - 1 : 0].bytes, pending_text(&run->tracks[0]));
    for (uint32_t i = 0; batch && returned && i < run->scenario->acts_n; i++)
        require(pending_returned(&run->tracks[i], &run->answers[i], 1), "A: the victim's %s of key %u answered %d; %s",
                act_name(run->acts[i].kind), i, run->answers[i].code, pending_text(&run->tracks[i]));
}

/* Nothing was leaked. */
static void judge_ledger(struct run *run)
{
    const struct stage *stage = run->stage;
    if (!stage->shape.store) {
        survive_ledger(run);
        return;
    }
    shoal_close(run->a);
    run->a = NULL;
    const uint64_t n = below_fill(&stage->shape, run->name);
    require(n == stage->fresh_fill, "C, H: %llu records fit, %llu into a fresh map; %s", (unsigned long long)n,
            (unsigned long long)stage->fresh_fill, shoal_error_text());
}

/* -- Kinds of runs -------------------------------------------------------------------------------------- */

static bool go_to_point(struct run *run, struct stepper *stepper)
{
    const bool there = step_to(stepper, run->trace, run->point);
    require(stepper->signal == 0, "the victim died of signal %d at %s", stepper->signal, step_symbol(stepper->rip));
    return there;
}

static bool run_kill(struct run *run, struct stepper *stepper)
{
    const bool there = go_to_point(run, stepper);
    step_kill(stepper);
    judge_acks(run, false);
    if (run->scenario->killed)
        run->scenario->killed(run);
    if (run->stage->shape.store && random_below(&run->random, 2) == 0)
        (void)below_evict_clean(run->a); /* what the dead one has marked must be below */
    if (random_below(&run->random, 2) == 0)
        survive_settle(run);
    survive_read_all(run, run->a);
    survive_tour(run, run->a);
    survive_forked_tour(run);
    survive_settle(run);
    shoal_close(run->b);
    judge_ledger(run);
    return there;
}

static bool run_stop(struct run *run, struct stepper *stepper)
{
    const bool there = go_to_point(run, stepper);
    if (run->stage->shape.store)
        below_look(run, stepper->pid);
    if (run->scenario->stopped)
        run->scenario->stopped(run);
    survive_random(run, run->ops_wanted);
    if (run->scenario->stopped)
        run->scenario->stopped(run);
    if (run->stage->shape.store)
        below_forget(run);
    require(step_finish(stepper), "the victim went on and ended by signal %d at %s", stepper->signal,
            step_symbol(stepper->rip));
    judge_acks(run, true);
    if (run->scenario->judge)
        run->scenario->judge(run);
    for (uint32_t i = 0; i < run->stage->keys_n; i++)
        pending_freeze(&run->tracks[i], ACTOR_VICTIM);
    survive_random(run, 20);
    const int status = step_release(stepper);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the victim's end: status 0x%x", status);
    survive_settle(run);
    shoal_close(run->b);
    judge_ledger(run);
    return there;
}

/* Alone, from beginning to end, everything written down. */
static bool run_record(struct run *run, struct stepper *stepper, struct trace *record)
{
    const bool ended = step_record(stepper, record);
    require(ended, "the victim did not come to its end: signal %d after %llu instructions at %s", stepper->signal,
            (unsigned long long)record->n, step_symbol(stepper->rip));
    for (uint64_t i = 0; i < record->n; i++)
        run->slept += (record->place[i].what & STEP_SLEPT) != 0;
    judge_acks(run, true);
    if (run->scenario->judge)
        run->scenario->judge(run);
    for (uint32_t i = 0; i < run->stage->keys_n; i++)
        pending_freeze(&run->tracks[i], ACTOR_VICTIM);
    step_release(stepper);
    survive_settle(run);
    shoal_close(run->b);
    judge_ledger(run);
    return true;
}

/* Nobody has settled the one who was killed before the scene: that is for the victim to do; or a survivor has. */
static void see_corpse(const struct run *run)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    require(shoal_stats(run->a, &stats) == 0, "stats: %s", shoal_error_text());
    const bool left = run->stage->has_corpse && !(run->scenario->flags & SCENE_HEIR);
    require(stats.dead == left, "%u dead before the scene begins", stats.dead);
}

bool run_scene(struct run *run, struct trace *record)
{
    struct stepper stepper;
    stage_restore(run->stage, run->name);
    const int fd = stage_open_file(run->name);
    memcpy(run->acts, run->scenario->acts, sizeof run->acts);
    survive_begin(run);
    if (run->scenario->flags & SCENE_FORKED) {
        open_survivor(run, &run->a);
        run->map = run->a;
    }
    if (run->scenario->before)
        run->scenario->before(run);
    step_start(&stepper, fd, victim_body, run);
    if (run->stage->shape.store)
        below_watch(run->name, &stepper);
    if (!run->a)
        open_survivor(run, &run->a);
    open_survivor(run, &run->b);
    if (!(run->scenario->flags & (SCENE_FULL | SCENE_NO_LIFE | SCENE_SPILLS)))
        live_a_little(run);
    see_corpse(run);
    step_forgive(&stepper);
    bool there;
    if (run->kind == RUN_RECORD)
        there = run_record(run, &stepper, record);
    else
        there = run->kind == RUN_KILL ? run_kill(run, &stepper) : run_stop(run, &stepper);
    shoal_close(run->a);
    close(fd);
    return there;
}
