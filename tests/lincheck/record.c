/* SPDX-License-Identifier: MIT
 *
 * The map has a name for the moment of its making only, unless it is to be rebuilt; processes inherit it by fork, each becoming an
 * attachment of its own, so nothing is left in /dev/shm however this ends.  Logs lie in memory that
 * outlives who wrote them.
 */
#include "lincheck/record.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "lincheck/calls.h"
#include "map/registry.h"
#include "tier/room.h"

#define OPS_ALL (1u << 18) /* room of all logs together */
#define WALKS_ALL (1u << 12)
#define LIFE_S 60u /* a process that takes so long hangs (B) */
#define TIGHT_HEAP (256u << 10)
#define FILLERS_MAX 4000u /* where there is no end of room: twice of what the tight heap takes */
#define ROOMY_HEAP (4u << 20)

struct stage {
    uint64_t stamp;
    uint32_t go;
    char text[1000];
    struct log log[HISTORY_LIVES];
    struct op op[OPS_ALL];
    struct walk walk[WALKS_ALL];
};

struct recorder {
    const struct recording *want;
    struct course course;
    pid_t pid[HISTORY_LIVES];
    pid_t mover; /* 0: none */
    char store[96], name[64];
    uint32_t lives_n, killed;
    uint64_t random;
};

static struct stage *stage;

const char *record_text(void) { return stage && stage->text[0] ? stage->text : "nothing"; }

/* -- The map -------------------------------------------------------------------------------------------- */

/* Full of small records with holes between them: larger ones find room only where records are moved. */
static void crowd(struct shoal *map, bool spills, uint64_t *random)
{
    char name[24];
    static uint8_t value[100];
    uint32_t n = 0;
    int code = 0;
    while (code == SHOAL_OK && n < FILLERS_MAX)
        code = shoal_put(map, name, (size_t)snprintf(name, sizeof name, "filler%u", n++), value, sizeof value);
    require(code == SHOAL_EFULL || (spills && code == SHOAL_OK), "filling: %d %s", code, shoal_error_text());
    for (uint32_t i = 0; i < n - 1; i++)
        if (random_below(random, 100) < 35)
            (void)shoal_delete(map, name, (size_t)snprintf(name, sizeof name, "filler%u", i));
}

static void store_remove(const char *directory)
{
    char path[112];
    static const char *const files[] = { "pages", "pages.new", "lock" };
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

static void open_map(struct recorder *r)
{
    static const uint64_t capacities[3] = { 8, 64, 1024 };
    const char *name = r->name;
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    snprintf(r->name, sizeof r->name, "shoal-lincheck-%ld", (long)getpid());
    options.capacity = r->want->tight ? 4096 : capacities[random_below(&r->random, 3)];
    options.heap_bytes = r->want->tight ? TIGHT_HEAP : ROOMY_HEAP;
    options.max_threads = 2 * HISTORY_LIVES;
    if (r->want->store) {
        snprintf(r->store, sizeof r->store, "/dev/shm/%s.store", name);
        store_remove(r->store);
        options.store = r->store;
        options.on_full = SHOAL_FULL_SPILL;
    }
    (void)shoal_unlink(name);
    int code = shoal_create(name, &options, &r->course.map);
    require(code == 0, "create: %d %s", code, shoal_error_text());
    code = shoal_open(name, SHOAL_RDONLY, &r->course.readonly);
    if (!r->want->rebuild)
        (void)shoal_unlink(name);
    require(code == 0, "open: %d %s", code, shoal_error_text());
    if (r->want->tight)
        crowd(r->course.map, r->want->store, &r->random);
}

/* Afterwards every invariant holds, whoever died (C). */
static bool judge_map(struct recorder *r, struct history *history)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    bool good = shoal_reap(r->course.map, &reaped) == 0 && reaped.undecided == 0 &&
                shoal_check(r->course.map, &report) == 0 && shoal_stats(r->course.map, &stats) == 0;
    if (!good && !stage->text[0])
        snprintf(stage->text, sizeof stage->text, "C: afterwards: %s %s (%u dead undecided)", report.text,
                 shoal_error_text(), reaped.undecided);
    /* In the tight map, one who was killed may have moved a record without having counted it. */
    history->moves = r->want->tight || r->want->store || r->want->rebuild || stats.evacuated != 0;
    history->rebuilt = stats.moved;
    history->moved = stats.evacuated;
    history->copied = stats.copied;
    history->evicted = stats.evicted;
    history->promoted = stats.promoted;
    history->store_hits = stats.store_hits;
    shoal_close(r->course.readonly);
    shoal_close(r->course.map);
    if (r->want->rebuild && shoal_unlink(r->name) != 0 && !stage->text[0])
        snprintf(stage->text, sizeof stage->text, "unlink: %s", shoal_error_text());
    if (r->want->store)
        store_remove(r->store);
    return good;
}

/* -- Between the tiers ------------------------------------------------------------------------------------ */

/* The entries of a key and its neighbours leave for the store, which calls would not make them do in a map that is not
 * full.  They come up when they are read. */
static void make_leave(const struct course *course, uint64_t *random, uint64_t bytes)
{
    struct call call;
    char name[64] = "";
    const int name_bytes = course_key(random_below(random, course->keys_n), name);
    require(call_begin(course->map, &call) == 0 && call_attach(&call) == 0, "between: %s", shoal_error_text());
    const struct probe p = probe_make(call.segment, name, name_bytes & 31);
    const struct below *below = &call.map->tier->below;
    const int code = below->make_room(below, call.a, &p, bytes, 1);
    require(code == 0 || code == SHOAL_MISSING, "make room: %d %s", code, shoal_error_text());
    call_end(&call);
}

static void between_calls(const struct course *course, uint64_t *random)
{
    if (random_below(random, 6) == 0)
        make_leave(course, random, 0);
}

static void rebuild(const struct recorder *r, uint64_t *random)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = 64 + random_below(random, 4000);
    options.heap_bytes = ROOMY_HEAP + ((uint64_t)random_below(random, 4096) << 10);
    const int code = shoal_rebuild(r->course.map, &options, NULL, NULL);
    require(code == 0 || code == SHOAL_CHANGED || code == SHOAL_EFULL, "rebuild: %d %s", code, shoal_error_text());
}

static void mover_live(const struct recorder *r, uint64_t random)
{
    while (r->want->rebuild && !r->want->store)
        rebuild(r, &random);
    for (;;) {
        if (r->want->rebuild && random_below(&random, 8) == 0)
            rebuild(r, &random);
        if (random_below(&random, 16) == 0)
            require(shoal_sync(r->course.map) == 0, "sync: %s", shoal_error_text());
        make_leave(&r->course, &random, random_below(&random, 32) ? 0 : 1);
        sched_yield();
    }
}

static void mover_start(struct recorder *r)
{
    const uint64_t random = random_next(&r->random);
    r->mover = child_fork_bound();
    if (r->mover != 0)
        return;
    fail_into(stage->text, sizeof stage->text);
    mover_live(r, random);
}

static void mover_end(struct recorder *r)
{
    int status = 0;
    kill(r->mover, SIGKILL);
    while (waitpid(r->mover, &status, 0) < 0)
        require(errno == EINTR, "waitpid: %s", strerror(errno));
    if (!WIFSIGNALED(status) && !stage->text[0])
        snprintf(stage->text, sizeof stage->text, "the mover ended with status 0x%x", status);
    r->mover = 0;
}

/* -- Processes ------------------------------------------------------------------------------------------ */

/* Nothing of those who are dead now can take effect once this has returned. */
static void reap_dead(const struct recorder *r, uint32_t self)
{
    bool dead[HISTORY_LIVES];
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    for (uint32_t i = 0; i < self; i++)
        dead[i] = __atomic_load_n(&stage->log[i].dead, __ATOMIC_SEQ_CST) != 0;
    const int code = shoal_reap(r->course.map, &reaped);
    require(code == 0, "reap: %d %s", code, shoal_error_text());
    if (reaped.undecided != 0) /* somebody else is about it, and not done */
        return;
    const uint64_t now = stamp_next(r->course.stamp);
    for (uint32_t i = 0; i < self; i++)
        if (dead[i] && stage->log[i].reaped == 0)
            stage->log[i].reaped = now;
}

static void live_start(struct recorder *r, bool follows)
{
    const uint32_t i = r->lives_n++;
    const bool reaps = follows && random_below(&r->random, 4) != 0;
    struct log *log = &stage->log[i];
    const uint32_t room = OPS_ALL / HISTORY_LIVES, walks = WALKS_ALL / HISTORY_LIVES;
    *log = (struct log){ .op = &stage->op[i * room], .walk = &stage->walk[i * walks], .walks_room = walks };
    log->room = r->want->calls_n < room ? r->want->calls_n : room;
    const pid_t pid = child_fork_bound();
    r->pid[i] = pid;
    if (pid != 0)
        return;
    fail_into(stage->text, sizeof stage->text);
    alarm(LIFE_S);
    while (__atomic_load_n(&stage->go, __ATOMIC_ACQUIRE) == 0)
        sched_yield();
    if (reaps)
        reap_dead(r, i);
    calls_live(&r->course, log, i);
    __atomic_store_n(&log->ended, 1, __ATOMIC_SEQ_CST);
    _exit(0);
}

static bool live_end(struct recorder *r, uint32_t i)
{
    int status = 0;
    while (waitpid(r->pid[i], &status, 0) < 0)
        require(errno == EINTR, "waitpid: %s", strerror(errno));
    r->pid[i] = 0;
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!killed && status != 0 && !stage->text[0])
        snprintf(stage->text, sizeof stage->text, "process %u ended with status 0x%x (signal %d)", i, status,
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    if (killed)
        __atomic_store_n(&stage->log[i].dead, 1, __ATOMIC_SEQ_CST);
    return killed;
}

static bool runs(const struct recorder *r, uint32_t i)
{
    return r->pid[i] != 0 && __atomic_load_n(&stage->log[i].ended, __ATOMIC_SEQ_CST) == 0;
}

/* A random one of those that run; HISTORY_LIVES = none does. */
static uint32_t victim(struct recorder *r)
{
    const uint32_t from = random_below(&r->random, r->lives_n);
    for (uint32_t i = 0; i < r->lives_n; i++)
        if (runs(r, (from + i) % r->lives_n))
            return (from + i) % r->lives_n;
    return HISTORY_LIVES;
}

/* Kills come when so many stamps have been given: the instant within the victim's call is anybody's guess. */
static void kill_some(struct recorder *r)
{
    const uint64_t every = (uint64_t)r->want->processes * r->want->calls_n / (r->want->kills + 1);
    for (uint32_t k = 1; k <= r->want->kills && r->lives_n < HISTORY_LIVES && !stage->text[0]; k++) {
        const uint64_t at = k * every - random_below(&r->random, (uint32_t)(every / 2) + 1);
        uint32_t i;
        do {
            sched_yield();
            i = victim(r);
        } while (i != HISTORY_LIVES && stamp_now(&stage->stamp) < at && !stage->text[0]);
        if (i == HISTORY_LIVES)
            return;
        if (r->mover != 0 && random_below(&r->random, 2)) {
            mover_end(r);
            mover_start(r);
        }
        kill(r->pid[i], SIGKILL);
        if (live_end(r, i)) {
            r->killed++;
            live_start(r, true);
        }
    }
}

/* -- Gathering ------------------------------------------------------------------------------------------ */

static void gather_log(const struct log *log, struct history *history)
{
    for (uint32_t i = 0; i < log->n; i++) {
        struct op op = log->op[i];
        if (op.returned == 0) {
            op.pending = 1;
            op.code = 0;
            op.shows = op.got_type = 0;
            op.got = op.version = op.got_bytes = 0;
            op.returned = log->reaped ? log->reaped : STAMP_NEVER;
            if (op_changes(&op))
                *history_add(history) = op;
        } else if (op.code != SHOAL_EFULL && (op.code != SHOAL_CHANGED || op.kind > OP_GET_MANY)) {
            *history_add(history) = op;
        }
    }
    for (uint32_t i = 0; i < log->walks_n; i++)
        *history_add_walk(history) = log->walk[i];
}

bool record_history(const struct recording *recording, struct history *ret)
{
    struct recorder r = { .want = recording, .random = random_mix(recording->seed) };
    if (!stage)
        stage = child_memory(sizeof *stage);
    stage->stamp = 1;
    stage->go = 0;
    stage->text[0] = '\0';
    r.course = (struct course){ .seed = recording->seed, .stamp = &stage->stamp, .keys_n = recording->keys_n,
                                .walk_one_in = recording->walk_one_in, .yield_one_in = recording->yield_one_in,
                                .large = recording->tight || random_below(&r.random, 2),
                                .between = recording->store ? between_calls : NULL };
    open_map(&r);
    for (uint32_t i = 0; i < recording->processes; i++)
        live_start(&r, false);
    if (recording->store || recording->rebuild)
        mover_start(&r);
    __atomic_store_n(&stage->go, 1, __ATOMIC_RELEASE);
    kill_some(&r);
    for (uint32_t i = 0; i < r.lives_n; i++)
        if (r.pid[i] != 0)
            (void)live_end(&r, i);
    if (r.mover != 0)
        mover_end(&r);
    history_clear(ret);
    ret->seed = recording->seed;
    ret->keys_n = recording->keys_n;
    ret->lives_n = r.lives_n;
    ret->killed = r.killed;
    const bool good = judge_map(&r, ret);
    for (uint32_t i = 0; i < r.lives_n; i++)
        gather_log(&stage->log[i], ret);
    return good && !stage->text[0];
}
