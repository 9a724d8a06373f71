/* SPDX-License-Identifier: MIT
 *
 * Scenarios about the map as a whole: attaching, closing, walks, batches, reaping, waiting, names.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kill/names.h"
#include "kill/survive.h"
#include "lib/fail.h"

/* -- Attaching and closing --------------------------------------------------------------------------------- */

static void prepare_nothing(struct run *run) { (void)run; }

static void operate_open(struct run *run)
{
    run->code = shoal_open(run->name, 0, &run->map);
}

static void operate_open_put(struct run *run)
{
    run->code = shoal_open(run->name, 0, &run->map);
    if (run->code == 0)
        victim_operate(run);
}

static void operate_open_readonly(struct run *run)
{
    run->code = shoal_open(run->name, SHOAL_RDONLY, &run->map);
    if (run->code == 0)
        victim_operate(run);
}

static void operate_close(struct run *run)
{
    shoal_close(run->map);
}

static void judge_code(struct run *run)
{
    require(run->code == 0, "the victim's call: %d", run->code);
}

/* -- Walks, counts, checks ------------------------------------------------------------------------------------ */

static void walk_item(struct run *run, const struct shoal_item *item)
{
    uint64_t tag;
    if (!value_read(item->value, item->value_bytes, &tag))
        run->code = -100; /* torn */
    for (uint32_t i = 0; i < run->stage->keys_n; i++)
        if (run->stage->keys[i].bytes == item->key_bytes &&
            memcmp(run->stage->keys[i].text, item->key, item->key_bytes) == 0)
            run->walked[i]++;
}

static void operate_walk(struct run *run)
{
    struct shoal_iter *iter = NULL;
    struct shoal_item item = { 0 };
    run->code = shoal_iter_open(run->map, NULL, 0, &iter);
    if (run->code != 0)
        return;
    int code;
    while ((code = shoal_iter_next(iter, &item)) == 0)
        walk_item(run, &item);
    if (code != SHOAL_END)
        run->code = code;
    shoal_iter_close(iter);
}

/* A key that was there all the time exactly once.  One that came and went can be met again elsewhere:
 * these are not judged. */
static void judge_walk(struct run *run)
{
    judge_code(run);
    for (uint32_t i = 0; i < run->stage->keys_n; i++)
        if (run->stage->keys[i].steady || run->kind == RUN_RECORD)
            require(run->walked[i] == run->stage->keys[i].cell.present, "A: the victim's walk met key %u %u times", i,
                    run->walked[i]);
}

static void operate_check(struct run *run)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    run->code = shoal_check(run->map, &report);
    run->number = report.problems;
}

static void judge_check(struct run *run)
{
    require(run->code == 0 && run->number == 0, "check, while others wrote: %d, %llu problems", run->code,
            (unsigned long long)run->number);
}

static void operate_stats(struct run *run)
{
    struct shoal_stats s = SHOAL_STATS_INIT;
    run->code = shoal_stats(run->map, &s);
    run->number = s.heap_bytes -
                  (s.live_bytes + s.free_bytes + s.owned_bytes + s.retired_bytes + s.dead_bytes + s.overhead_bytes);
}

static void operate_count(struct run *run)
{
    run->code = shoal_count(run->map, SHOAL_EXACT, &run->number, NULL);
}

static void judge_count(struct run *run)
{
    judge_code(run);
    require(run->number <= run->stage->keys_n, "a count of %llu", (unsigned long long)run->number);
}

/* -- Batches ----------------------------------------------------------------------------------------------------- */

static void batch_keys(const struct run *run, struct shoal_key keys[STAGE_HOT])
{
    for (uint32_t i = 0; i < STAGE_HOT; i++) {
        keys[i].key = run->stage->keys[i].text;
        keys[i].bytes = run->stage->keys[i].bytes;
    }
}

static void batch_answers(struct run *run, const struct shoal_result results[STAGE_HOT], bool values)
{
    for (uint32_t i = 0; i < STAGE_HOT; i++) {
        struct answer answer = { .code = results[i].code };
        if (values && results[i].code == 0) {
            answer.bytes = results[i].bytes;
            if (!value_read(results[i].buf, results[i].bytes, &answer.tag))
                answer.code = -100; /* torn: no possibility answers so */
        }
        run->answers[i] = answer;
    }
    run->acked = STAGE_HOT;
}

static void operate_get_many(struct run *run)
{
    static uint8_t buf[STAGE_HOT][512];
    struct shoal_key keys[STAGE_HOT];
    struct shoal_result results[STAGE_HOT] = { 0 };
    batch_keys(run, keys);
    for (uint32_t i = 0; i < STAGE_HOT; i++) {
        results[i].buf = buf[i];
        results[i].buf_bytes = sizeof buf[i];
    }
    run->code = shoal_get_many(run->map, keys, STAGE_HOT, results);
    batch_answers(run, results, true);
}

static void operate_put_many(struct run *run)
{
    static uint8_t buf[STAGE_HOT][512];
    struct shoal_key keys[STAGE_HOT];
    struct shoal_value values[STAGE_HOT];
    struct shoal_result results[STAGE_HOT] = { 0 };
    batch_keys(run, keys);
    for (uint32_t i = 0; i < STAGE_HOT; i++) {
        value_make(buf[i], run->acts[i].tag, run->acts[i].bytes);
        values[i] = (struct shoal_value){ .value = buf[i], .bytes = run->acts[i].bytes };
    }
    run->code = shoal_put_many(run->map, keys, values, STAGE_HOT, results);
    batch_answers(run, results, false);
}

static void operate_delete_many(struct run *run)
{
    struct shoal_key keys[STAGE_HOT];
    struct shoal_result results[STAGE_HOT] = { 0 };
    batch_keys(run, keys);
    run->code = shoal_delete_many(run->map, keys, STAGE_HOT, results);
    batch_answers(run, results, false);
}

/* -- Reaping -------------------------------------------------------------------------------------------------------- */

static void operate_reap(struct run *run)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    run->code = shoal_reap(run->map, &reaped);
}

/* -- Waiting --------------------------------------------------------------------------------------------------------- */

#define SHORT_WAIT_MS 15
#define LONG_WAIT_MS 60000

static uint64_t version_of_hot(struct run *run, struct shoal *map)
{
    uint64_t version = 0;
    const int code = shoal_getv(map, run->stage->keys[0].text, run->stage->keys[0].bytes, NULL, 0, NULL, &version);
    require(code == 0 || code == SHOAL_MISSING || code == SHOAL_SHORT, "getv: %d", code);
    return version;
}

/* Does the point lie before the victim's first sleep?  Then a change while it is stopped must be seen,
 * however late; behind it the short wait may have ended before. */
static bool before_sleep(const struct run *run)
{
    for (uint64_t i = 0; run->trace && i <= run->point && i < run->trace->n; i++)
        if (run->trace->place[i].what & STEP_SLEPT)
            return false;
    return true;
}

static void prepare_wait(struct run *run)
{
    victim_prepare(run);
    run->asleep_before = run->kind == RUN_STOP && before_sleep(run);
    run->acts[0].seen_version = version_of_hot(run, run->map);
}

static void operate_wait(struct run *run)
{
    uint64_t version = 0;
    const int timeout = run->asleep_before ? LONG_WAIT_MS : SHORT_WAIT_MS;
    run->code = shoal_wait(run->map, run->stage->keys[0].text, run->stage->keys[0].bytes, run->acts[0].seen_version,
                           timeout, &version);
    run->number = version;
}

/* Whatever survivors did at random, in the end the key has another version. */
static void change_hot(struct run *run)
{
    const struct act put = { .kind = ACT_PUT, .tag = 31, .bytes = 100 };
    survive_act(run, run->a, 0, &put);
}

static void judge_wait(struct run *run)
{
    if (run->kind == RUN_RECORD)
        require(run->code == SHOAL_TIMEOUT, "wait: %d", run->code);
    else if (run->asleep_before)
        require(run->code == 0 && run->number != run->acts[0].seen_version, "C: a wait lost a change: %d", run->code);
    else
        require(run->code == 0 || run->code == SHOAL_TIMEOUT, "wait: %d", run->code);
}

/* A process that waits for the next version of the hot key; run->helper_code becomes its result. */
static void start_waiter(struct run *run)
{
    run->helper_code = 1000;
    const pid_t pid = fork();
    require(pid >= 0, "no fork");
    if (pid != 0) {
        run->helper = pid;
        return;
    }
    struct shoal *map = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    require(shoal_open(run->name, 0, &map) == 0, "the waiter's open: %s", shoal_error_text());
    run->number = version_of_hot(run, map);
    run->helper_code = 1001; /* about to wait */
    const int code = shoal_wait(map, run->stage->keys[0].text, run->stage->keys[0].bytes, run->number, -1, NULL);
    *(volatile int32_t *)&run->helper_code = code;
    shoal_close(map);
    _exit(0);
}

/* 'S' in /proc/PID/stat: asleep. */
static bool is_asleep(pid_t pid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    const char *got = fgets(line, sizeof line, file);
    fclose(file);
    const char *bracket = got ? strrchr(line, ')') : NULL;
    return bracket && bracket[1] == ' ' && bracket[2] == 'S';
}

static void before_waiter(struct run *run)
{
    start_waiter(run);
    while (*(volatile int32_t *)&run->helper_code != 1001 || !is_asleep(run->helper))
        sched_yield();
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Generous: the waiter looks again every 100 ms at the latest, when the machine lets it. */
#define WAITER_MS 10000u

static void await_waiter(struct run *run, const char *when)
{
    const uint64_t from = now_ms();
    int status = 0;
    while (waitpid(run->helper, &status, WNOHANG) == 0) {
        require(now_ms() - from < WAITER_MS, "C: the waiter sleeps on, %s", when);
        sched_yield();
    }
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0 && run->helper_code == 0, "the waiter: status 0x%x, code %d",
            status, run->helper_code);
    run->helper = 0;
}

/* Where the change is there for others to see, the waiter must see it, whoever should wake it is stopped
 * or dead; otherwise it is somebody else's change that it waits for. */
static void wake_waiter(struct run *run)
{
    const struct act get = { .kind = ACT_GET };
    struct answer answer;
    if (run->helper == 0)
        return;
    require(run->kind != RUN_RECORD || run->slept > 0, "somebody sleeps on the key, and its writer wakes nobody");
    act_do(&get, run->a, run->stage->keys[0].text, run->stage->keys[0].bytes, &answer);
    if (answer.code != 0 || answer.tag != run->stage->keys[0].cell.tag) {
        await_waiter(run, "though the key has changed and its writer is stopped or dead");
        return;
    }
    change_hot(run);
    await_waiter(run, "though a survivor changed the key");
}

/* -- Table ------------------------------------------------------------------------------------------------------------ */

#define HOT .shape = SHAPE_SMALL, .hot_present = true, .hot_bytes = 100
#define ONE(...) .acts = { { __VA_ARGS__ } }, .acts_n = 1
#define REAP(name_, act_kind_, present_, bytes_) \
    { .name = name_, .attacks = "A B C", .shape = SHAPE_SMALL, .hot_present = present_, .hot_bytes = 100, \
      .flags = SCENE_CORPSE, .corpse_act = { .kind = act_kind_, .tag = 900, .bytes = bytes_ }, \
      .operate = operate_reap, .judge = judge_code }

#define NAME(name_, operate_) \
    { .name = name_, .attacks = "C E", .shape = SHAPE_SMALL, .flags = SCENE_NAME, .operate = operate_ }

const struct scenario scenarios_of_maps[] = {
    { .name = "attach", .attacks = "B C", HOT, .prepare = prepare_nothing, .operate = operate_open, .judge = judge_code },
    { .name = "attach_put", .attacks = "A B C", HOT, .prepare = prepare_nothing, .operate = operate_open_put,
      .judge = judge_code, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "attach_close", .attacks = "B C", HOT, .prepare = prepare_nothing, .operate = operate_open,
      .judge = judge_code, .flags = SCENE_CLOSES },
    { .name = "attach_readonly", .attacks = "A D", HOT, .prepare = prepare_nothing, .operate = operate_open_readonly,
      .judge = judge_code, ONE(.kind = ACT_GET) },
    { .name = "attach_where_one_died", .attacks = "A B C", .shape = SHAPE_SMALL, .flags = SCENE_CORPSE,
      .corpse_act = { .kind = ACT_PUT, .tag = 900, .bytes = 100 }, .prepare = prepare_nothing,
      .operate = operate_open, .judge = judge_code },
    { .name = "survivor_where_one_died", .attacks = "A B C", .shape = SHAPE_SMALL, .flags = SCENE_CORPSE | SCENE_HEIR,
      .corpse_act = { .kind = ACT_PUT, .tag = 900, .bytes = 100 }, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "detach", .attacks = "B C", HOT, .operate = operate_close },
    { .name = "walk", .attacks = "A B", HOT, .operate = operate_walk, .judge = judge_walk },
    { .name = "check", .attacks = "A B", HOT, .operate = operate_check, .judge = judge_check },
    { .name = "stats", .attacks = "B", HOT, .operate = operate_stats, .judge = judge_code },
    { .name = "count_exact", .attacks = "B", HOT, .operate = operate_count, .judge = judge_count },
    { .name = "get_many", .attacks = "A B", HOT, .flags = SCENE_BATCH, .operate = operate_get_many,
      .acts = { { .kind = ACT_GET }, { .kind = ACT_GET }, { .kind = ACT_GET }, { .kind = ACT_GET } }, .acts_n = 4 },
    { .name = "put_many", .attacks = "A B C", HOT, .flags = SCENE_BATCH, .operate = operate_put_many, .acts_n = 4,
      .acts = { { .kind = ACT_PUT, .tag = 7, .bytes = 100 }, { .kind = ACT_PUT, .tag = 8, .bytes = 16 },
                { .kind = ACT_PUT, .tag = 9, .bytes = 200 }, { .kind = ACT_PUT, .tag = 10, .bytes = 100 } } },
    { .name = "delete_many", .attacks = "A B C", HOT, .flags = SCENE_BATCH, .operate = operate_delete_many,
      .acts = { { .kind = ACT_DELETE }, { .kind = ACT_DELETE }, { .kind = ACT_DELETE }, { .kind = ACT_DELETE } },
      .acts_n = 4 },
    { .name = "reap_nobody", .attacks = "B C", HOT, .operate = operate_reap, .judge = judge_code },
    REAP("reap_put_new", ACT_PUT, false, 100),
    REAP("reap_put_larger", ACT_PUT, true, 200),
    REAP("reap_delete", ACT_DELETE, true, 0),
    REAP("reap_incr", ACT_INCR, false, 8),
    REAP("reap_update", ACT_UPDATE_STORE, true, 100),
    REAP("reap_take", ACT_TAKE, true, 0),
    { .name = "reap_put_big", .attacks = "A B C", .shape = SHAPE_ROOMY, .hot_present = true, .hot_bytes = 9000,
      .flags = SCENE_CORPSE, .corpse_act = { .kind = ACT_PUT, .tag = 900, .bytes = 10000 }, .operate = operate_reap,
      .judge = judge_code },
    { .name = "wait", .attacks = "B C", HOT, .prepare = prepare_wait, .operate = operate_wait, .stopped = change_hot,
      .judge = judge_wait },
    { .name = "wait_absent", .attacks = "B C", .shape = SHAPE_SMALL, .prepare = prepare_wait, .operate = operate_wait,
      .stopped = change_hot, .judge = judge_wait },
    { .name = "put_wakes", .attacks = "B C", HOT, .before = before_waiter, .stopped = wake_waiter,
      .judge = wake_waiter, .killed = wake_waiter, ONE(.kind = ACT_PUT, .tag = 7, .bytes = 100) },
    { .name = "delete_wakes", .attacks = "B C", HOT, .before = before_waiter, .stopped = wake_waiter,
      .judge = wake_waiter, .killed = wake_waiter, ONE(.kind = ACT_DELETE) },
    NAME("create", name_operate_create),
    NAME("create_by_rename", name_operate_create_by_rename),
    NAME("open_or_create", name_operate_open_or_create),
    NAME("unlink", name_operate_unlink),
};
const uint32_t scenarios_of_maps_n = sizeof scenarios_of_maps / sizeof scenarios_of_maps[0];
