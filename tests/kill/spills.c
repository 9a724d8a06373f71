/* SPDX-License-Identifier: MIT
 *
 * Scenarios of a map above a store (A, B, C, F, G): copying down, leaving, coming up, syncing.
 */
#include <string.h>

#include "base/os.h"
#include "kill/below.h"
#include "kill/machine.h"
#include "kill/names.h"
#include "lib/fail.h"
#include "map/registry.h"
#include "tier/tier.h"

#define BULKY 3000u /* a few of them fill the heap; in the store each has pages of its own */
#define PAGES_APART 1500u /* two fit into a bucket, three do not */
#define ROOT_BITS 10u /* a root tells 8 apart */

/* -- Setups ------------------------------------------------------------------------------------------- */

static void synced(struct shoal *map)
{
    const int code = shoal_sync(map);
    require(code == 0, "setup: sync: %d %s", code, shoal_error_text());
}

static void all_below(struct stage *stage, struct shoal *map, int fd)
{
    (void)stage, (void)fd;
    synced(map);
}

/* 0 if it is there, 2, 5 and 6 are in the store alone, 1 and 4 in both, 7 newer in the table. */
static void some_below(struct stage *stage, struct shoal *map, int fd)
{
    static const uint32_t leave[] = { 0, 2, 5, 6 };
    (void)fd;
    synced(map);
    for (uint32_t i = 0; i < sizeof leave / sizeof leave[0]; i++)
        if (stage->keys[leave[i]].cell.present)
            below_evict(map, &stage->keys[leave[i]]);
    stage_put(stage, map, 7, 207, 100);
}

/* 0 and 1 are newer in the table, 2 is deleted, 8 is new. */
static void some_dirty(struct stage *stage, struct shoal *map, int fd)
{
    (void)fd;
    synced(map);
    stage_put(stage, map, 0, 200, 100);
    stage_put(stage, map, 1, 201, 16);
    require(shoal_delete(map, stage->keys[2].text, stage->keys[2].bytes) == 0, "setup: delete");
    stage->keys[2].cell = (struct cell){ .writes = 2 };
    stage_put(stage, map, 8, 208, 100);
}

static void fill(struct stage *stage, struct shoal *map, int fd, uint32_t bytes)
{
    static uint8_t value[BULKY];
    struct store *held = below_hold_of(fd);
    for (bool full = false; !full;) {
        const uint32_t i = stage_add_key(stage, fd, false);
        struct stage_key *key = &stage->keys[i];
        value_make(value, 1000 + i, bytes);
        const int code = shoal_put(map, key->text, key->bytes, value, bytes);
        full = code == SHOAL_EFULL;
        require(code == 0 || full, "setup: %d %s", code, shoal_error_text());
        if (!full)
            key->cell = (struct cell){ .tag = 1000 + i, .bytes = bytes, .writes = 1, .present = 1 };
    }
    below_release(held);
}

static void full_of_dirty(struct stage *stage, struct shoal *map, int fd) { fill(stage, map, fd, BULKY); }

static void full_of_clean(struct stage *stage, struct shoal *map, int fd)
{
    fill(stage, map, fd, BULKY);
    synced(map);
}

static void full_of_slots(struct stage *stage, struct shoal *map, int fd) { fill(stage, map, fd, 16); }

/* And 0 lies below. */
static void full_above_one(struct stage *stage, struct shoal *map, int fd)
{
    synced(map);
    below_evict(map, &stage->keys[0]);
    fill(stage, map, fd, 16);
}

/* Five that lie together: with what is dirty a bucket overflows, more than once. */
static void bucket_nearly_full(struct stage *stage, struct shoal *map, int fd)
{
    for (uint32_t i = 0; i < 5; i++) {
        const uint32_t key_i = stage_add_key(stage, fd, false);
        if (i == 2)
            synced(map);
        stage_put(stage, map, key_i, 300 + i, PAGES_APART);
    }
}

/* Three whose hashes a root cannot tell apart: what is dirty makes the directory a level higher. */
static void root_cannot_tell(struct stage *stage, struct shoal *map, int fd)
{
    uint32_t first = stage_add_key(stage, fd, false);
    stage_put(stage, map, first, 300, PAGES_APART);
    stage_put(stage, map, stage_add_key_beside(stage, fd, first, ROOT_BITS), 301, PAGES_APART);
    synced(map);
    stage_put(stage, map, stage_add_key_beside(stage, fd, first, ROOT_BITS), 302, PAGES_APART);
}

/* -- Victims ------------------------------------------------------------------------------------------- */

static void operate_sync(struct run *run) { run->code = shoal_sync(run->map); }

static void operate_warm(struct run *run) { run->code = shoal_warm(run->map, NULL, NULL, &run->number); }

static void operate_durable(struct run *run)
{
    const struct stage_key *key = &run->stage->keys[0];
    struct shoal_how how = SHOAL_HOW_INIT;
    uint8_t value[100];
    how.flags = SHOAL_DURABLE;
    value_make(value, run->acts[0].tag, sizeof value);
    run->answers[0] = (struct answer){ .code = shoal_put_with(run->map, key->text, key->bytes, value, sizeof value, &how,
                                                              NULL) };
    run->acked = 1;
}

static int begin_flushing(void *map)
{
    struct shoal_flush how = SHOAL_FLUSH_INIT;
    how.interval_ms = 1;
    return shoal_flush_start(map, &how);
}

/* The flusher's thread: it sleeps, is due, leads, syncs, and sleeps again. */
static void operate_flush(struct run *run) { run->code = machine_run_thread(begin_flushing, run->map); }

static void operate_close(struct run *run) { shoal_close(run->map); }

static void prepare_nothing(struct run *run) { (void)run; }

/* It has read nothing below: what it keeps of that is freed place by place, 80 000 of them. */
static void prepare_unread(struct run *run)
{
    const int code = shoal_open(run->name, 0, &run->map);
    require(code == 0, "the victim's open: %d %s", code, shoal_error_text());
    below_warm(run->map);
}

static void operate_open_put(struct run *run)
{
    run->code = shoal_open(run->name, 0, &run->map);
    if (run->code == 0)
        victim_operate(run);
}

static void operate_count(struct run *run) { run->code = shoal_count(run->map, SHOAL_EXACT, &run->number, NULL); }

/* -- Judges -------------------------------------------------------------------------------------------- */

static void judge_code(struct run *run) { require(run->code == 0, "the victim's call: %d", run->code); }

static void judge_flush(struct run *run)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    judge_code(run);
    require(shoal_stats(run->a, &stats) == 0, "stats: %s", shoal_error_text());
    require(stats.flushes == 1 && stats.flush_failures == 0, "the thread flushed %llu times, and failed %llu times",
            (unsigned long long)stats.flushes, (unsigned long long)stats.flush_failures);
}

/* Who led is dead: the next one does. */
static void lead_after_death(struct run *run)
{
    struct call call;
    int file = -1;
    require(call_begin(run->a, &call) == 0, "call_begin: %s", shoal_error_text());
    require(store_lead(call.map->tier->store, &file), "C: nobody leads any more");
    call_end(&call);
    os_close(file);
}

/* -- Table -------------------------------------------------------------------------------------------- */

#define ONE(...) .acts = { { __VA_ARGS__ } }, .acts_n = 1
#define ABOVE .attacks = "A B C F G", .shape = SHAPE_ABOVE
#define BELOW ABOVE, .hot_present = true, .hot_bytes = 100, .setup = some_below
#define DIRTY ABOVE, .hot_present = true, .hot_bytes = 100, .setup = some_dirty
#define FULL ABOVE, .flags = SCENE_SPILLS, .hot_present = false

const struct scenario scenarios_of_spills[] = {
    { .name = "spill_put", FULL, .setup = full_of_dirty, ONE(.kind = ACT_PUT, .tag = 7, .bytes = BULKY) },
    { .name = "spill_slot", .attacks = "A B C F G", .shape = SHAPE_NARROW, .flags = SCENE_SPILLS, .setup = full_of_slots,
      ONE(.kind = ACT_ADD, .tag = 7, .bytes = 16) },
    { .name = "spill_tomb", .attacks = "A B C F G", .shape = SHAPE_NARROW, .flags = SCENE_SPILLS, .hot_present = true,
      .hot_bytes = 16, .setup = full_above_one, ONE(.kind = ACT_DELETE) },
    { .name = "evict_put", FULL, .setup = full_of_clean, ONE(.kind = ACT_PUT, .tag = 7, .bytes = BULKY) },
    { .name = "below_put", BELOW, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "below_delete", BELOW, ONE(.kind = ACT_DELETE) },
    { .name = "below_delete_reinsert", BELOW,
      .acts = { { .kind = ACT_DELETE }, { .kind = ACT_ADD, .tag = 7, .bytes = 100 } }, .acts_n = 2 },
    { .name = "below_delete_if", BELOW, ONE(.kind = ACT_DELETE_SEEN) },
    { .name = "below_take", BELOW, ONE(.kind = ACT_TAKE) },
    { .name = "below_add", BELOW, ONE(.kind = ACT_ADD, .tag = 7, .bytes = 100) },
    { .name = "below_replace", BELOW, ONE(.kind = ACT_REPLACE, .tag = 7, .bytes = 100) },
    { .name = "below_update", BELOW, ONE(.kind = ACT_UPDATE_STORE, .tag = 3, .bytes = 100), .favour = ACT_UPDATE_STORE },
    { .name = "below_incr", ABOVE, .hot_number = true, .setup = some_below, ONE(.kind = ACT_INCR, .tag = 5),
      .favour = ACT_INCR },
    { .name = "below_put_with", BELOW, ONE(.kind = ACT_PUT_SEEN, .tag = 7, .bytes = 100) },
    { .name = "below_put_absent", BELOW, ONE(.kind = ACT_PUT_ABSENT, .tag = 7, .bytes = 100) },
    { .name = "promote", BELOW, .acts = { { .kind = ACT_GET }, { .kind = ACT_GET } }, .acts_n = 2 },
    { .name = "sync", DIRTY, .operate = operate_sync, .judge = judge_code },
    { .name = "sync_split", FULL, .setup = bucket_nearly_full, .operate = operate_sync, .judge = judge_code },
    { .name = "sync_root", FULL, .setup = root_cannot_tell, .operate = operate_sync, .judge = judge_code },
    { .name = "durable_put", DIRTY, .operate = operate_durable, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "warm", BELOW, .operate = operate_warm, .judge = judge_code },
    { .name = "flush", DIRTY, .operate = operate_flush, .judge = judge_flush, .killed = lead_after_death },
    { .name = "create_above", .attacks = "A C F", .shape = SHAPE_ABOVE, .flags = SCENE_NAME | SCENE_KILLS,
      .setup = all_below, .hot_present = true, .hot_bytes = 100, .operate = name_operate_create },
    { .name = "above_attach", BELOW, .prepare = prepare_nothing, .operate = operate_open_put, .judge = judge_code,
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "above_detach", BELOW, .prepare = prepare_unread, .operate = operate_close },
    { .name = "above_count", BELOW, .operate = operate_count, .judge = judge_code },
    { .name = "sync_after_dead_sync", DIRTY, .flags = SCENE_CORPSE, .corpse_operate = operate_sync,
      .corpse_act = { .kind = ACT_GET }, .operate = operate_sync, .judge = judge_code },
    { .name = "split_after_dead_split", ABOVE, .setup = bucket_nearly_full, .flags = SCENE_CORPSE | SCENE_SPILLS,
      .corpse_operate = operate_sync, .corpse_act = { .kind = ACT_GET }, .operate = operate_sync, .judge = judge_code },
    { .name = "spill_after_dead_spill", .attacks = "A B C F G", .shape = SHAPE_ABOVE, .flags = SCENE_SPILLS | SCENE_CORPSE,
      .setup = full_of_dirty, .corpse_act = { .kind = ACT_PUT, .tag = 900, .bytes = BULKY },
      ONE(.kind = ACT_PUT, .tag = 7, .bytes = BULKY) },
    { .name = "delete_after_dead_update", BELOW, .flags = SCENE_CORPSE, .corpse_act = { .kind = ACT_UPDATE_STORE, .tag = 3,
      .bytes = 100 }, ONE(.kind = ACT_DELETE) },
};
const uint32_t scenarios_of_spills_n = sizeof scenarios_of_spills / sizeof scenarios_of_spills[0];
