/* SPDX-License-Identifier: MIT
 *
 * Stopped at an access to shared memory, for as long as a whole rebuild and what others do with the same key take, and then
 * going on: a call that began in the old table, or was about to move a record (guarantees A, B).
 *
 *     stops [--every N] [--seed N] [--store]
 *
 * Each access of each call is a place; --every: one of N, drawn by the seed.  What the stopped call and the others answered
 * must be what some order of them gives.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "map/registry.h"
#include "rebuild/scene.h"
#include "table/move.h"

void shoal_point(enum shoal_point_kind kind, const volatile void *where);

static uint64_t places_left; /* 0: nobody counts */
static uint64_t stops;
static bool warm; /* the stopped call is not the first of its process: blocks are at hand */

/* What the stopped process answered. */
static struct answer {
    int rc;
    int64_t sum;
    size_t n;
    char value[16], other[24]; /* other: a key whose home is key's */
} *answer;

void shoal_point(enum shoal_point_kind kind, const volatile void *where)
{
    (void)kind, (void)where;
    if (places_left != 0 && --places_left == 0)
        (void)raise(SIGSTOP);
}

static int put(struct shoal *map, const char *key, const char *value)
{
    return shoal_put(map, key, strlen(key), value, strlen(value));
}

/* "": absent.  Nobody else is at work: by either call the same. */
static const char *get(struct shoal *map, const char *key)
{
    static char value[2][16];
    static int at;
    char *to = value[at++ % 2], many[sizeof value[0]];
    size_t n = 0;
    const struct shoal_key one = { key, strlen(key) };
    struct shoal_result result = { .buf = many, .buf_bytes = sizeof many };
    require(shoal_get_many(map, &one, 1, &result) == 0, "get_many: %d %s", result.code, shoal_error_text());
    int rc = shoal_get(map, key, strlen(key), to, sizeof value[0] - 1, &n);
    require(rc == 0 || rc == SHOAL_MISSING, "get: %d %s", rc, shoal_error_text());
    require(rc == result.code && (rc != 0 || (n == result.bytes && memcmp(to, many, n) == 0)), "get_many: %d, get: %d",
            result.code, rc);
    to[rc == 0 ? n : 0] = 0;
    return to;
}

static bool is(const char *have, const char *want) { return strcmp(have, want) == 0; }

static void map_end(struct shoal *map, bool named)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    done(shoal_reap(map, NULL), "reap");
    done(shoal_check(map, &report), "check");
    scene_map_remove(map, named);
}

/* -- Calls that are stopped -------------------------------------------------------------------------------- */

typedef void act_fn(struct shoal *map);

static void act_put(struct shoal *map) { answer->rc = put(map, "key", "victim"); }
static void act_add(struct shoal *map) { answer->rc = shoal_add(map, "key", 3, "victim", 6); }
static void act_delete(struct shoal *map) { answer->rc = shoal_delete(map, "key", 3); }
static void act_incr(struct shoal *map) { answer->rc = shoal_incr(map, "sum", 3, 1, &answer->sum); }
static void act_get(struct shoal *map)
{
    answer->rc = shoal_get(map, "key", 3, answer->value, 15, &answer->n);
    answer->value[answer->n] = 0; /* what lies behind is left of a lost race */
}
static void act_other(struct shoal *map) { answer->rc = put(map, answer->other, "victim"); }

/* The call, stopped at this place; 0: it came to its end before. */
static pid_t begin(struct shoal *map, act_fn *act, uint64_t at)
{
    int status;
    answer->rc = -99;
    answer->n = 0;
    pid_t pid = child_fork();
    if (pid == 0) {
        if (warm)
            done(put(map, "warm", "before"), "put");
        places_left = at;
        act(map);
        places_left = 0;
        _exit(0);
    }
    require(waitpid(pid, &status, WUNTRACED) == pid, "waitpid");
    stops += WIFSTOPPED(status);
    return WIFSTOPPED(status) ? pid : 0;
}

static void go_on(pid_t pid)
{
    int status;
    if (pid == 0)
        return;
    require(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, 0) == pid, "continue");
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

/* -- Trials: false where the call came to its end before the place ----------------------------------------- */

static bool update_and_delete(struct shoal *map, uint64_t at)
{
    done(put(map, "key", "before"), "put");
    pid_t pid = begin(map, act_put, at);
    done(rebuild(map, 300, NULL), "rebuild");
    done(shoal_delete(map, "key", 3), "delete");
    require(is(get(map, "key"), ""), "place %llu: deleted, and there", (unsigned long long)at);
    go_on(pid);
    const char *last = get(map, "key");
    require(answer->rc == 0 && (is(last, "victim") || is(last, "")), "place %llu: %d, \"%s\"", (unsigned long long)at, answer->rc, last);
    return pid != 0;
}

/* Nobody else writes: what the call answered is what is there. */
static bool alone(struct shoal *map, uint64_t at, act_fn *act, const char *last)
{
    done(put(map, "key", "before"), "put");
    pid_t pid = begin(map, act, at);
    done(rebuild(map, 300, NULL), "rebuild");
    go_on(pid);
    require(answer->rc == 0 && is(get(map, "key"), last), "place %llu: %d, \"%s\"", (unsigned long long)at, answer->rc,
            get(map, "key"));
    return pid != 0;
}

static bool update_alone(struct shoal *map, uint64_t at) { return alone(map, at, act_put, "victim"); }
static bool delete_alone(struct shoal *map, uint64_t at) { return alone(map, at, act_delete, ""); }

static bool insert_and_delete(struct shoal *map, uint64_t at)
{
    pid_t pid = begin(map, act_put, at);
    done(rebuild(map, 300, NULL), "rebuild");
    int rc = shoal_delete(map, "key", 3);
    require(is(get(map, "key"), ""), "place %llu: deleted, and there", (unsigned long long)at);
    go_on(pid);
    require(answer->rc == 0 && is(get(map, "key"), rc == 0 ? "" : "victim"), "place %llu: put %d, delete %d, \"%s\"",
            (unsigned long long)at, answer->rc, rc, get(map, "key"));
    return pid != 0;
}

static bool two_deletes(struct shoal *map, uint64_t at)
{
    done(put(map, "key", "before"), "put");
    pid_t pid = begin(map, act_delete, at);
    done(rebuild(map, 300, NULL), "rebuild");
    int rc = shoal_delete(map, "key", 3);
    go_on(pid);
    require((answer->rc == 0) + (rc == 0) == 1 && answer->rc >= 0 && rc >= 0 && is(get(map, "key"), ""), "place %llu: %d and %d",
            (unsigned long long)at, answer->rc, rc);
    return pid != 0;
}

static bool two_adds(struct shoal *map, uint64_t at)
{
    pid_t pid = begin(map, act_add, at);
    done(rebuild(map, 300, NULL), "rebuild");
    int rc = shoal_add(map, "key", 3, "other", 5);
    go_on(pid);
    require((answer->rc == 0) + (rc == 0) == 1 && is(get(map, "key"), rc == 0 ? "other" : "victim"), "place %llu: %d and %d",
            (unsigned long long)at, answer->rc, rc);
    return pid != 0;
}

static bool two_incrs(struct shoal *map, uint64_t at)
{
    int64_t sum, last;
    pid_t pid = begin(map, act_incr, at);
    done(rebuild(map, 300, NULL), "rebuild");
    done(shoal_incr(map, "sum", 3, 1, &sum), "incr");
    go_on(pid);
    done(shoal_incr(map, "sum", 3, 0, &last), "incr");
    require(answer->rc == 0 && last == 2 && sum + answer->sum == 3, "place %llu: %lld", (unsigned long long)at, (long long)last);
    return pid != 0;
}

static bool get_and_update(struct shoal *map, uint64_t at)
{
    done(put(map, "key", "before"), "put");
    pid_t pid = begin(map, act_get, at);
    done(rebuild(map, 300, NULL), "rebuild");
    done(put(map, "key", "after"), "put");
    go_on(pid);
    require(answer->rc == 0 && (is(answer->value, "before") || is(answer->value, "after")), "place %llu: %d \"%s\"",
            (unsigned long long)at, answer->rc, answer->value);
    return pid != 0;
}

/* A key of the same home as "key". */
static void choose_other(struct shoal *map)
{
    struct call call;
    done(call_begin(map, &call), "call");
    uint64_t home = probe_make(call.segment, "key", 3).home;
    for (uint32_t i = 0;; i++) {
        size_t n = (size_t)snprintf(answer->other, sizeof answer->other, "other %u", i);
        if (probe_make(call.segment, answer->other, n).home == home)
            break;
    }
    call_end(&call);
}

/* Nobody has moved that home yet. */
static bool is_to_move(struct shoal *map)
{
    struct call call;
    done(call_begin(map, &call), "call");
    require(call.old != NULL, "no move is under way");
    const struct segment *old = call.old->segment;
    bool good = !move_home_is_done(old, probe_make(old, "key", 3).home);
    call_end(&call);
    return good;
}

static struct shoal *map_to_move(void)
{
    for (;;) {
        struct shoal *map = scene_map("crowd", CROWD, "x", CROWD * 4);
        done(put(map, "key", "before"), "put");
        choose_other(map);
        done(put(map, answer->other, "before"), "put");
        require(rebuild(map, CROWD * 2, stop_at_once) == 1, "rebuild: %s", shoal_error_text());
        if (is_to_move(map))
            return map;
        map_end(map, true);
    }
}

/* The stopped one was about to move the key for the sake of another. */
static bool move_and_delete(struct shoal *map, uint64_t at)
{
    pid_t pid = begin(map, act_other, at);
    done(shoal_delete(map, "key", 3), "delete");
    if (at % 2)
        done(shoal_reap(map, NULL), "reap");
    require(is(get(map, "key"), ""), "place %llu: deleted, and there", (unsigned long long)at);
    go_on(pid);
    require(answer->rc == 0 && is(get(map, "key"), "") && is(get(map, answer->other), "victim"), "place %llu: %d, \"%s\"",
            (unsigned long long)at, answer->rc, get(map, "key"));
    return pid != 0;
}

static bool move_and_get(struct shoal *map, uint64_t at)
{
    pid_t pid = begin(map, act_other, at);
    require(is(get(map, "key"), "before"), "place %llu: \"%s\"", (unsigned long long)at, get(map, "key"));
    require(shoal_add(map, "key", 3, "other", 5) == SHOAL_EXISTS, "place %llu: add", (unsigned long long)at);
    done(put(map, "key", "after"), "put");
    require(is(get(map, "key"), "after"), "place %llu: \"%s\"", (unsigned long long)at, get(map, "key"));
    go_on(pid);
    require(answer->rc == 0 && is(get(map, "key"), "after"), "place %llu: %d, \"%s\"", (unsigned long long)at, answer->rc, get(map, "key"));
    return pid != 0;
}

/* A reader who is stopped meanwhile. */
static bool get_and_move(struct shoal *map, uint64_t at)
{
    pid_t pid = begin(map, act_get, at);
    done(put(map, answer->other, "x"), "put");
    if (at % 2)
        done(put(map, "key", "after"), "put");
    go_on(pid);
    require(answer->rc == 0 && (is(answer->value, "before") || (at % 2 && is(answer->value, "after"))), "place %llu: %d \"%s\"",
            (unsigned long long)at, answer->rc, answer->value);
    return pid != 0;
}

static void act_open(struct shoal *map)
{
    struct shoal *own;
    (void)map;
    answer->rc = shoal_open(scene.path, 0, &own);
    if (answer->rc == 0)
        shoal_close(own);
}

/* Who opens the map while it is removed in the middle of a move must not take the move for complete. */
static bool open_and_unlink(struct shoal *map, uint64_t at)
{
    char name[24];
    pid_t pid = begin(map, act_open, at);
    done(shoal_unlink(scene.path), "unlink");
    go_on(pid);
    require(answer->rc == 0 || answer->rc == SHOAL_ENOMAP, "place %llu: open: %d", (unsigned long long)at, answer->rc);
    for (uint32_t k = 0; k < CROWD; k++) {
        (void)snprintf(name, sizeof name, "crowd %u", k);
        require(is(get(map, name), "x"), "place %llu: %s is lost", (unsigned long long)at, name);
    }
    return pid != 0;
}

static void run(const char *what, bool (*trial)(struct shoal *map, uint64_t at), bool moving)
{
    uint64_t before = stops;
    bool more = true;
    for (uint64_t at = 1 + random_below(&scene.random, scene.every); more; at += scene.every) {
        struct shoal *map = moving ? map_to_move() : scene_map("crowd", 10, "x", 50);
        more = trial(map, at);
        map_end(map, trial != open_and_unlink);
    }
    printf("stops: %s%s%s: %llu places\n", what, warm ? ", warm" : "", scene.store[0] != 0 ? ", above a store" : "",
           (unsigned long long)(stops - before));
}

static void run_still(const char *what, bool (*trial)(struct shoal *map, uint64_t at))
{
    for (int i = 0; i < 2; i++) {
        warm = i;
        run(what, trial, false);
    }
    warm = false;
}

int main(int argc, char **argv)
{
    scene_begin("stops", argc, argv);
    answer = child_memory(sizeof *answer);
    run_still("an update", update_and_delete);
    run_still("an update, and nobody else", update_alone);
    run_still("an insert", insert_and_delete);
    run_still("a delete", two_deletes);
    run_still("a delete, and nobody else", delete_alone);
    run_still("an add", two_adds);
    run_still("an incr", two_incrs);
    run_still("a get", get_and_update);
    run("a mover, beside a delete", move_and_delete, true);
    run("a mover, beside gets and puts", move_and_get, true);
    run("a get, beside a mover", get_and_move, true);
    run("an open, beside an unlink", open_and_unlink, true);
    scene_end();
    printf("stops: %llu places: ok\n", (unsigned long long)stops);
    return 0;
}
