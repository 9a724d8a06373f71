/* SPDX-License-Identifier: MIT
 *
 * What survivors do.
 */
#include "kill/survive.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kill/below.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/ledger.h"
#include "lib/random.h"

/* -- The model --------------------------------------------------------------------------------------- */

void survive_begin(struct run *run)
{
    const struct stage *stage = run->stage;
    for (uint32_t i = 0; i < stage->keys_n; i++) {
        pending_begin(&run->tracks[i], &stage->keys[i].cell);
        run->tracks[i].may_be_full = (run->scenario->flags & SCENE_FULL) != 0;
    }
    if (stage->has_corpse)
        pending_add_act(&run->tracks[stage->corpse_key], ACTOR_CORPSE, &stage->corpse_act);
    for (uint32_t i = 0; i < run->scenario->acts_n; i++) {
        struct act act = run->scenario->acts[i];
        act.seen_writes = stage->keys[0].cell.writes; /* of the version that a conditional act has seen */
        pending_add_act(&run->tracks[run->scenario->flags & SCENE_BATCH ? i : 0], ACTOR_VICTIM, &act);
    }
}

void survive_act(struct run *run, struct shoal *map, uint32_t key_i, const struct act *act)
{
    const struct stage_key *key = &run->stage->keys[key_i];
    struct pending *track = &run->tracks[key_i];
    struct answer answer;
    act_do(act, map, key->text, key->bytes, &answer);
    run->ops++;
    if (run->held && answer.code == SHOAL_EFULL)
        below_names_holder(run, act_name(act->kind));
    require(pending_observe(track, act, &answer), "A: %s of key %u answered %d tag %llx bytes %llu; %s%s",
            act_name(act->kind), key_i, answer.code, (unsigned long long)answer.tag, (unsigned long long)answer.bytes,
            pending_text(track), answer.code < 0 ? shoal_error_text() : "");
}

void survive_read_all(struct run *run, struct shoal *map)
{
    const struct act get = { .kind = ACT_GET };
    for (uint32_t i = 0; i < run->stage->keys_n; i++)
        survive_act(run, map, i, &get);
}

/* -- Fixed orders ---------------------------------------------------------------------------------------- */

static uint64_t fresh_tag(struct run *run) { return random_next(&run->random) | 1; }

void survive_tour(struct run *run, struct shoal *map)
{
    static const enum act_kind order[] = { ACT_GET, ACT_PUT, ACT_VIEW, ACT_DELETE, ACT_GET,  ACT_ADD,
                                           ACT_GET, ACT_PUT, ACT_TAKE, ACT_INCR,   ACT_INCR, ACT_GET,
                                           ACT_UPDATE_STORE };
    for (uint32_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const struct act act = { .kind = order[i], .tag = fresh_tag(run), .bytes = i % 2 ? 100 : 16 };
        survive_act(run, map, 0, &act);
        survive_act(run, map, 1 + i % (STAGE_HOT - 1), &act);
    }
}

void survive_forked_tour(struct run *run)
{
    int status = 0;
    const pid_t pid = child_fork();
    if (pid == 0) {
        survive_tour(run, run->a);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the forked survivor ended with status 0x%x", status);
}

static uint32_t key_of(const struct stage *stage, const void *text, size_t bytes)
{
    for (uint32_t i = 0; i < stage->keys_n; i++)
        if (stage->keys[i].bytes == bytes && memcmp(stage->keys[i].text, text, bytes) == 0)
            return i;
    return UINT32_MAX;
}

void survive_walk(struct run *run, struct shoal *map)
{
    static uint32_t seen[STAGE_KEYS];
    struct shoal_iter *iter = NULL;
    struct shoal_item item = { 0 };
    memset(seen, 0, sizeof seen);
    int code = shoal_iter_open(map, NULL, 0, &iter);
    require(code == 0, "iter_open: %d %s", code, shoal_error_text());
    while ((code = shoal_iter_next(iter, &item)) == 0) {
        uint64_t tag;
        const uint32_t key_i = key_of(run->stage, item.key, item.key_bytes);
        require(key_i != UINT32_MAX, "a walk gave a key of %zu bytes that nobody put", item.key_bytes);
        require(value_read(item.value, item.value_bytes, &tag), "a walk gave a torn value of key %u", key_i);
        seen[key_i]++;
    }
    require(code == SHOAL_END, "iter_next: %d %s", code, shoal_error_text());
    shoal_iter_close(iter);
    for (uint32_t i = 0; i < run->stage->keys_n; i++) {
        const int present = pending_present(&run->tracks[i]);
        require(present < 0 ? seen[i] <= 1 : seen[i] == (uint32_t)present, "a walk gave key %u %u times; %s", i, seen[i],
                pending_text(&run->tracks[i]));
    }
}

/* -- Random ------------------------------------------------------------------------------------------------ */

static struct act random_act(struct run *run)
{
    static const enum act_kind mix[] = { ACT_GET,  ACT_GET,     ACT_GET,    ACT_GET,  ACT_VIEW, ACT_PUT,
                                         ACT_PUT,  ACT_PUT,     ACT_PUT,    ACT_ADD,  ACT_ADD,  ACT_REPLACE,
                                         ACT_TAKE, ACT_DELETE,  ACT_DELETE, ACT_INCR, ACT_INCR, ACT_UPDATE_STORE,
                                         ACT_UPDATE_REMOVE, ACT_UPDATE_KEEP, ACT_PUT_ABSENT, ACT_TAKE_SHORT };
    static const uint32_t sizes[] = { 16, 100, 200, 100 };
    const uint32_t i = random_below(&run->random, sizeof mix / sizeof mix[0]);
    const bool favour = run->scenario->favour != ACT_GET && random_below(&run->random, 3) == 0;
    return (struct act){ .kind = favour ? run->scenario->favour : mix[i],
                         .tag = fresh_tag(run),
                         .bytes = sizes[random_below(&run->random, 4)] };
}

static uint32_t random_key(struct run *run)
{
    const uint32_t roll = random_below(&run->random, 10);
    if (roll < 2)
        return 0;
    if (roll < 3)
        return 1 + random_below(&run->random, STAGE_HOT - 1);
    for (;;) {
        const uint32_t i = random_below(&run->random, run->stage->keys_n);
        if (!run->stage->keys[i].steady && i != STAGE_WARM)
            return i;
    }
}

/* A reap while the victim is stopped: who lives is never taken for dead. */
static void reap_among_living(struct run *run)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    const int code = shoal_reap(run->b, &reaped);
    require(code == 0, "reap: %d %s", code, shoal_error_text());
    require(run->stage->has_corpse || reaped.dead == 0, "C: %u living attachments were taken for dead", reaped.dead);
}

/* What needs the store ends soon where its holder is stopped, and says so. */
static bool is_kept_out(const struct run *run, int code, const char *what)
{
    if (!run->held)
        return false;
    require(code == SHOAL_EFULL, "B: %s, while the store's holder is stopped: %d %s", what, code, shoal_error_text());
    below_names_holder(run, what);
    return true;
}

static void sync_among_writers(struct run *run)
{
    const int code = shoal_sync(run->b);
    require(is_kept_out(run, code, "sync") || code == 0, "sync: %d %s", code, shoal_error_text());
}

static void check_among_writers(struct run *run)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    const int code = shoal_check(run->a, &report);
    if (is_kept_out(run, code, "check"))
        return;
    require(code == 0, "check while the victim is stopped: %d: %llu problems: %s", code,
            (unsigned long long)report.problems, report.text);
}

/* Takes and gives back an entry: who is stopped in the middle of settling one must not hit its successor. */
static void come_and_go(struct run *run)
{
    struct shoal *third = NULL;
    const int code = shoal_open(run->name, 0, &third);
    require(code == 0, "open of a third: %d %s", code, shoal_error_text());
    const struct act put = { .kind = ACT_PUT, .tag = fresh_tag(run), .bytes = 100 };
    survive_act(run, third, random_key(run), &put);
    shoal_close(third);
}

void survive_random(struct run *run, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const struct act act = random_act(run);
        survive_act(run, i % 2 ? run->a : run->b, random_key(run), &act);
        if (i % 97 == 11)
            reap_among_living(run);
        if (i % 131 == 17)
            check_among_writers(run);
        if (i % 113 == 23)
            come_and_go(run);
        if (i % 151 == 31)
            survive_walk(run, run->b);
        if (i % 89 == 41 && run->stage->shape.store)
            sync_among_writers(run);
    }
}

/* -- At rest -------------------------------------------------------------------------------------------------- */

static void settle_count(struct run *run)
{
    uint64_t want = 0, quick = 0, exact = 0;
    for (uint32_t i = 0; i < run->stage->keys_n; i++) {
        const int present = pending_present(&run->tracks[i]);
        require(present >= 0, "model: key %u is undecided: %s", i, pending_text(&run->tracks[i]));
        want += (uint64_t)present;
    }
    int code = shoal_count(run->a, 0, &quick, NULL);
    require(code == 0 && (quick == want || run->stage->shape.store), "C: count says %llu (%d), %llu keys are there",
            (unsigned long long)quick, code, (unsigned long long)want); /* above a store: an estimate */
    code = shoal_count(run->a, SHOAL_EXACT, &exact, NULL);
    require(code == 0 && exact == want, "C: exact count says %llu (%d), %llu keys are there",
            (unsigned long long)exact, code, (unsigned long long)want);
}

static void settle_stats(struct run *run)
{
    struct shoal_stats s = SHOAL_STATS_INIT;
    const int code = shoal_stats(run->a, &s);
    require(code == 0, "stats: %d %s", code, shoal_error_text());
    const uint64_t sum = s.live_bytes + s.free_bytes + s.owned_bytes + s.retired_bytes + s.dead_bytes +
                         s.overhead_bytes;
    require(sum == s.heap_bytes, "stats: parts make %llu, the heap has %llu", (unsigned long long)sum,
            (unsigned long long)s.heap_bytes);
    require(s.dead == 0 && s.dead_bytes == 0, "C: after reaping: %u dead, %llu dead bytes", s.dead,
            (unsigned long long)s.dead_bytes);
    require(s.owned_bytes == 0, "C: at rest %llu bytes are being filled", (unsigned long long)s.owned_bytes);
}

static void settle_check(struct run *run)
{
    struct shoal_report r = SHOAL_REPORT_INIT;
    const int code = shoal_check(run->a, &r);
    require(code == 0, "check: %d: %llu problems: %s", code, (unsigned long long)r.problems, r.text);
    require(r.quiet == 1, "nobody writes, check says somebody does: %llu tentative slots, %llu unreferenced, %llu owned, "
            "%llu retired blocks", (unsigned long long)r.slots_tentative, (unsigned long long)r.unreferenced,
            (unsigned long long)r.blocks_owned, (unsigned long long)r.blocks_retired);
    require(r.slots_tentative == 0 && r.unreferenced == 0, "C: left behind: %llu tentative slots, %llu blocks",
            (unsigned long long)r.slots_tentative, (unsigned long long)r.unreferenced);
}

void survive_settle(struct run *run)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    const int code = shoal_reap(run->a, &reaped);
    require(code == 0 && reaped.undecided == 0, "reap: %d, %u undecided", code, reaped.undecided);
    run->reaps += reaped.dead;
    for (uint32_t i = 0; i < run->stage->keys_n; i++) {
        pending_freeze(&run->tracks[i], ACTOR_VICTIM);
        pending_freeze(&run->tracks[i], ACTOR_CORPSE);
    }
    survive_read_all(run, run->a);
    if (run->stage->shape.store)
        sync_among_writers(run);
    settle_check(run);
    settle_count(run);
    settle_stats(run);
    survive_walk(run, run->a);
}

void survive_ledger(struct run *run)
{
    ledger_require(run->a, run->stage->fresh_fill);
    struct shoal_report r = SHOAL_REPORT_INIT;
    const int code = shoal_check(run->a, &r);
    require(code == 0, "check of the full map: %d: %s", code, r.text);
}
