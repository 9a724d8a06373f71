/* SPDX-License-Identifier: MIT
 *
 * The survivors.
 *
 * The model (lib/pending.h) holds for each key what it may be, given that the victim's operation takes effect
 * once, at some instant, or never; it lets that happen as late as it likes, also after a kill.  So a system is
 * held to less than Shoal promises, and all to the same.
 */
#include "baselines/survive.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "baselines/scene.h"
#include "lib/fail.h"
#include "shoal/shoal.h"

void survive_end(struct run *run, enum found found, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->text, sizeof run->text, format, arguments);
    va_end(arguments);
    _exit((int)found);
}

void survive_begin(struct run *run)
{
    for (uint32_t i = 0; i < RUN_KEYS; i++)
        pending_begin(&run->tracks[i], &run->scene->keys[i].cell);
    run->act = scene_act(run->scene);
    run->tracks[RUN_VICTIM].may_be_full = true;
    pending_add_act(&run->tracks[RUN_VICTIM], ACTOR_VICTIM, &run->act);
}

/* -- One call, judged ---------------------------------------------------------------------------------- */

static struct answer call(struct run *run, void *handle, uint32_t key_i, const struct act *act)
{
    static uint8_t value[SYSTEM_VALUE_MAX];
    const struct system *system = run->scene->system;
    const struct run_key *key = &run->scene->keys[key_i];
    struct answer answer = { 0 };
    size_t bytes = 0;
    if (act->kind == ACT_GET) {
        answer.code = system->get(handle, key->text, key->bytes, value, sizeof value, &bytes);
        answer.bytes = answer.code == 0 ? bytes : 0;
        if (answer.code == 0 && !value_read(value, bytes, &answer.tag))
            survive_end(run, FOUND_TORN, "get of %s gave a torn value of %zu bytes", key->text, bytes);
    } else if (act->kind == ACT_DELETE) {
        answer.code = system->del(handle, key->text, key->bytes);
    } else {
        value_make(value, act->tag, act->bytes);
        answer.code = system->put(handle, key->text, key->bytes, value, act->bytes);
    }
    run->progress++;
    return answer;
}

static void judged(struct run *run, void *handle, uint32_t key_i, const struct act *act)
{
    const struct answer answer = call(run, handle, key_i, act);
    const char *key = run->scene->keys[key_i].text;
    if (answer.code == SHOAL_EFULL && act->kind != ACT_GET) { /* refused: nothing may have changed */
        run->refused++;
        return;
    }
    if (answer.code < 0)
        survive_end(run, answer.code == SHOAL_ECORRUPT ? FOUND_BROKEN : FOUND_FAILED, "%s of %s failed: %d",
                    act_name(act->kind), key, answer.code);
    if (!pending_observe(&run->tracks[key_i], act, &answer))
        survive_end(run, FOUND_LOST, "%s of %s answered %d, tag %llx, %llu bytes; the model: %s", act_name(act->kind),
                    key, answer.code, (unsigned long long)answer.tag, (unsigned long long)answer.bytes,
                    pending_text(&run->tracks[key_i]));
}

static void read_all(struct run *run, void *handle)
{
    static const struct act get = { .kind = ACT_GET };
    for (uint32_t i = 0; i < RUN_KEYS; i++)
        if (i != RUN_WARM)
            judged(run, handle, i, &get);
}

/* Gets, puts and deletes of all sizes, every third on the victim's key. */
static void work(struct run *run, void *handle)
{
    static const struct act acts[] = { { .kind = ACT_GET },
                                       { .kind = ACT_PUT, .bytes = 60 },
                                       { .kind = ACT_PUT, .bytes = 140 },
                                       { .kind = ACT_GET },
                                       { .kind = ACT_DELETE },
                                       { .kind = ACT_PUT, .bytes = 24 },
                                       { .kind = ACT_GET } };
    const uint32_t n = sizeof acts / sizeof acts[0];
    for (uint32_t i = 0; i < run->rounds * n; i++)
        for (uint32_t k = 0; k < 3; k++) {
            struct act act = acts[i % n];
            act.tag = 0x10000u + i * 8 + k;
            judged(run, handle, k == 0 ? RUN_VICTIM : 2 + (i * 2 + k) % (RUN_KEYS - 2), &act);
        }
}

/* -- The ledger ------------------------------------------------------------------------------------------- */

static void must_work(struct run *run, int code, const char *what)
{
    run->progress++;
    if (code < 0 && code != SHOAL_EFULL)
        survive_end(run, code == SHOAL_ECORRUPT ? FOUND_BROKEN : FOUND_FAILED, "%s failed: %d", what, code);
}

/* How many records of 100 bytes, key included, are taken. */
static uint64_t fill(struct run *run, void *handle)
{
    for (uint64_t n = 0;; n++) {
        const int code = scene_put_record(run->scene->system, handle, n);
        must_work(run, code, "filling up");
        if (code == SHOAL_EFULL)
            return n;
    }
}

/* Delete everything, then fill. */
static uint64_t ledger(struct run *run, void *handle)
{
    static const struct act del = { .kind = ACT_DELETE };
    for (uint32_t i = 0; i < RUN_KEYS; i++)
        if (i != RUN_WARM)
            judged(run, handle, i, &del);
    const struct run_key *warm = &run->scene->keys[RUN_WARM];
    must_work(run, run->scene->system->del(handle, warm->text, warm->bytes), "deleting everything");
    return fill(run, handle);
}

/* Make room again, for the victim that goes on. */
static void empty(struct run *run, void *handle, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        must_work(run, scene_del_record(run->scene->system, handle, i), "making room again");
}

/* -- Survivors ---------------------------------------------------------------------------------------------- */

static void *open_map(struct run *run)
{
    const struct system_setup setup = { run->name, &run->recoveries };
    void *handle = NULL;
    const int code = run->scene->system->open(&setup, &handle);
    if (code != 0)
        survive_end(run, FOUND_FAILED, "open failed: %d", code);
    run->progress++;
    return handle;
}

static void wait_at(int gate)
{
    char byte;
    while (read(gate, &byte, 1) > 0) {
    }
}

void survive_keeper(struct run *run, int gate)
{
    void *handle = open_map(run);
    read_all(run, handle);
    run->ready = 1;
    wait_at(gate);
    (void)handle;
}

void survive_veteran(struct run *run, int gate)
{
    void *handle = open_map(run);
    read_all(run, handle);
    run->ready = 1;
    wait_at(gate);
    read_all(run, handle);
    work(run, handle);
    read_all(run, handle);
    if (run->fate == FATE_STOP) {
        const uint64_t fits = ledger(run, handle);
        run->fits_held = fits;
        empty(run, handle, fits);
    }
    run->scene->system->close(handle);
    run->progress++;
}

void survive_newcomer(struct run *run, int gate)
{
    (void)gate;
    const struct system *system = run->scene->system;
    void *handle = open_map(run);
    if (run->acked && !pending_returned(&run->tracks[RUN_VICTIM], &run->answer, 1))
        survive_end(run, FOUND_LOST, "the victim's %s answered %d, tag %llx; the model: %s",
                    victim_names[run->scene->act], run->answer.code, (unsigned long long)run->answer.tag,
                    pending_text(&run->tracks[RUN_VICTIM]));
    read_all(run, handle);
    work(run, handle);
    if (run->recover && system->recover && system->recover(handle) != 0)
        survive_end(run, FOUND_FAILED, "the recovery step failed");
    if (system->check && system->check(handle) != 0)
        survive_end(run, FOUND_BROKEN, "the system's own check finds its structure broken");
    run->fits = ledger(run, handle);
    run->progress++;
    system->close(handle);
}
