/* SPDX-License-Identifier: MIT
 *
 * Entries: full and free again, hundreds of them, and one index used again while a reaper that stopped
 * half-way still believes it dead.  Guarantee C.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases/entries.h"
#include "cases/scene.h"

/* -- Full -------------------------------------------------------------------------------------- */

struct crowd {
    struct shoal *map;
    pthread_barrier_t all_in, all_seen;
    uint32_t each;
};

static struct crowd *crowd_make(struct shoal *map, uint32_t n, uint32_t each)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    require(crowd != NULL && pthread_barrier_init(&crowd->all_in, NULL, n) == 0 &&
                pthread_barrier_init(&crowd->all_seen, NULL, n) == 0,
            "barriers");
    crowd->map = map;
    crowd->each = each;
    return crowd;
}

static void come_and_stay(uint32_t who, void *arg)
{
    struct crowd *crowd = arg;
    must(shoal_put(crowd->map, &who, sizeof who, &who, sizeof who));
    (void)pthread_barrier_wait(&crowd->all_in);
    (void)pthread_barrier_wait(&crowd->all_seen);
    for (uint32_t i = 0; i < crowd->each; i++)
        must(shoal_incr(crowd->map, "sum", 3, 1, NULL));
}

static void open_is_refused(uint32_t who, void *arg)
{
    struct shoal *map = NULL;
    (void)who;
    (void)arg;
    must_be(shoal_open(scene_name(0), 0, &map), SHOAL_EATTACH);
    require(strstr(shoal_error_text(), "max_threads") != NULL && map == NULL, "the text is: %s", shoal_error_text());
    must(shoal_open(scene_name(0), SHOAL_RDONLY, &map)); /* readers need no entry */
    must(shoal_get(map, "key", 3, NULL, 0, NULL));
    shoal_close(map);
}

static void call_is_refused(uint32_t who, void *arg)
{
    struct shoal *map = arg;
    struct shoal_view view;
    (void)who;
    must_be(shoal_put(map, "key", 3, "x", 1), SHOAL_EATTACH);
    must_be(shoal_incr(map, "key", 3, 1, NULL), SHOAL_EATTACH);
    must_be(shoal_wait(map, "key", 3, 1, 0, NULL), SHOAL_EATTACH);
    must(shoal_view(map, "key", 3, &view)); /* a private copy */
    require(view.bytes == 5 && memcmp(view.value, "value", 5) == 0, "a view of %zu bytes", view.bytes);
    shoal_view_end(&view);
    must(shoal_get(map, "key", 3, NULL, 0, NULL)); /* a plain get needs none */
}

static void call_succeeds(uint32_t who, void *arg) { must(shoal_put(arg, &who, sizeof who, "x", 1)); }

struct refused {
    struct crowd *crowd;
    struct shoal *map;
};

static void stay_or_be_refused(uint32_t who, void *arg)
{
    struct refused *refused = arg;
    if (who == 0) {
        come_and_stay(who, refused->crowd);
        return;
    }
    (void)pthread_barrier_wait(&refused->crowd->all_in);
    call_is_refused(who, refused->map);
    crew_run(1, open_is_refused, NULL);
    (void)pthread_barrier_wait(&refused->crowd->all_seen);
}

/* One thread too many is told so; when another has ended, it is welcome. */
static void entries_full(void)
{
    for (uint32_t i = 0; i < scene_rounds(20); i++) {
        struct shoal_options options = scene_options(64, 0, 2);
        struct shoal *map = scene_create(scene_name(0), &options);
        struct refused refused = { crowd_make(map, 2, 10), map };
        must(shoal_put(map, "key", 3, "value", 5));
        crew_threads(2, stay_or_be_refused, &refused);
        require(scene_stats(map).attached == 1, "%u attached", scene_stats(map).attached);
        crew_threads(1, call_succeeds, map);
        crew_run(1, call_succeeds, map);
        crew_run(1, call_succeeds, map); /* in the entry of a dead one that nobody has reaped */
        must(shoal_reap(map, NULL));
        (void)scene_check(map, true);
        shoal_close(map);
        must(shoal_unlink(scene_name(0)));
        free(refused.crowd);
    }
}

#define CROWD 300u

static void look_at_crowd(uint32_t who, void *arg)
{
    struct crowd *crowd = arg;
    if (who < CROWD) {
        come_and_stay(who, crowd);
        return;
    }
    (void)pthread_barrier_wait(&crowd->all_in);
    require(scene_stats(crowd->map).attached == CROWD + 1 && entries_attached(crowd->map) == CROWD + 1, "%u attached",
            scene_stats(crowd->map).attached);
    (void)pthread_barrier_wait(&crowd->all_seen);
}

static void hundreds_of_threads(void)
{
    struct shoal_options options = scene_options(4096, 0, 4096);
    struct shoal *map = scene_create(scene_name(0), &options);
    int64_t sum = 0;
    for (uint32_t i = 0; i < scene_rounds(2); i++) {
        struct crowd *crowd = crowd_make(map, CROWD + 1, 50);
        crew_threads(CROWD + 1, look_at_crowd, crowd);
        require(scene_stats(map).attached == 1, "%u attached", scene_stats(map).attached);
        free(crowd);
    }
    must(shoal_incr(map, "sum", 3, 0, &sum));
    require(sum == 50 * (int64_t)CROWD * scene_rounds(2), "sum %lld", (long long)sum);
    (void)scene_check(map, true);
    shoal_close(map);
}

/* -- A reaper that stops half-way -------------------------------------------------------------- */

struct reuse {
    struct shoal *map;
    struct gate ready, go;
    uint64_t seed;
    _Atomic uint32_t going;
};

/* Works until it is killed in the middle of something. */
static void victim(uint32_t who, void *arg)
{
    struct reuse *r = arg;
    uint64_t random = r->seed;
    (void)who;
    for (uint32_t i = 0;; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "victim-%u", random_below(&random, 20));
        int code = random_below(&random, 3) ? shoal_put(r->map, key, strlen(key), &random, 8 + i % 100)
                                            : shoal_delete(r->map, key, strlen(key));
        require(code == 0 || code == SHOAL_MISSING, "%d %s", code, shoal_error_text());
        atomic_store(&r->going, 1);
    }
}

static void reaper(uint32_t who, void *arg)
{
    struct reuse *r = arg;
    (void)who;
    must(shoal_incr(r->map, "reapers", 7, 1, NULL)); /* attached */
    require(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "ptrace: %s", strerror(errno));
    (void)raise(SIGSTOP);
    must(shoal_reap(r->map, NULL));
}

#define PINNED 3u

/* Takes an entry, pins records and keeps them while others replace them. */
static void successor(uint32_t who, void *arg)
{
    struct reuse *r = arg;
    struct shoal_view views[PINNED];
    char key[PINNED][24];
    for (uint32_t i = 0; i < PINNED; i++) {
        (void)snprintf(key[i], sizeof key[i], "pinned-%u-%u", who, i);
        must(shoal_put(r->map, key[i], strlen(key[i]), key[i], sizeof key[i]));
        must(shoal_view(r->map, key[i], strlen(key[i]), &views[i]));
    }
    bell_ring(&r->ready);
    bell_hear(&r->go);
    for (uint32_t n = 0; n < 200; n++) {
        char other[sizeof key[0]] = { 0 };
        for (uint32_t i = 0; i < PINNED; i++) /* of the same size, so that the blocks would be used again */
            must(shoal_put(r->map, key[i], strlen(key[i]), other, sizeof other));
        must(shoal_incr(r->map, "sum", 3, 1, NULL));
    }
    for (uint32_t i = 0; i < PINNED; i++) {
        require(strcmp(views[i].value, key[i]) == 0, "C: a pinned value has changed");
        shoal_view_end(&views[i]);
    }
    shoal_close(r->map);
}

/* Steps through the reaping; it is stopped when this returns.  True: it has ended. */
static bool step_reaper(pid_t pid, uint32_t steps)
{
    int status = 0;
    for (uint32_t i = 0; i < steps; i++) {
        require(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0, "step: %s", strerror(errno));
        require(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
        if (!WIFSTOPPED(status)) {
            require(status == 0, "the reaper ended with %d", status);
            return true;
        }
    }
    return false;
}

static void kill_victim(struct reuse *r, uint64_t *random)
{
    atomic_store(&r->going, 0);
    pid_t pid = crew_start(0, victim, r);
    while (!atomic_load(&r->going))
        scene_spin(random, 100);
    scene_spin(random, 50000);
    crew_kill(pid);
}

static pid_t start_reaper(struct reuse *r)
{
    int status = 0;
    pid_t pid = crew_start(0, reaper, r);
    require(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "the reaper did not stop");
    return pid;
}

/* How many steps until the dead entry is settled and its lock dropped, about. */
static uint32_t count_steps(struct reuse *r, uint64_t *random)
{
    uint32_t steps = 0;
    pid_t pid = start_reaper(r); /* first: who attaches later takes the dead one's place */
    uint32_t attached = entries_attached(r->map);
    kill_victim(r, random);
    while (entries_attached(r->map) == attached + 1)
        require(!step_reaper(pid, 1) && ++steps < 1000000, "the reaper ended without reaping");
    require(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0, "detach: %s", strerror(errno));
    crew_end(pid);
    must(shoal_reap(r->map, NULL));
    return steps;
}

static void successors_start(struct reuse *r, pid_t *pids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        pids[i] = crew_start(i, successor, r);
    for (uint32_t i = 0; i < n; i++)
        bell_hear(&r->ready);
}

static void successors_end(struct reuse *r, const pid_t *pids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        bell_ring(&r->go);
    for (uint32_t i = 0; i < n; i++)
        crew_end(pids[i]);
}

#define SUCCESSORS 3u

/* The first reaper stops after so many steps; a second one reaps; successors take the entry; then the first
 * goes on, or is killed. */
static void stopped_reaper_round(struct reuse *r, uint64_t *random, uint32_t steps, bool killed)
{
    pid_t pids[SUCCESSORS];
    pid_t pid = start_reaper(r);
    kill_victim(r, random);
    bool ended = step_reaper(pid, steps);
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    must(shoal_reap(r->map, &reaped));
    require(reaped.dead + reaped.undecided <= 1, "%u dead, %u undecided of one", reaped.dead, reaped.undecided);
    successors_start(r, pids, SUCCESSORS);
    if (!ended && killed) {
        crew_kill(pid);
    } else if (!ended) {
        require(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0, "detach: %s", strerror(errno));
        crew_end(pid);
    }
    for (uint32_t i = 0; i < SUCCESSORS; i++)
        require(entries_of(r->map, pids[i]) == 1, "C: the entry of a living successor is gone (stopped after %u steps)",
                steps);
    must(shoal_reap(r->map, NULL));
    successors_end(r, pids, SUCCESSORS);
    must(shoal_reap(r->map, NULL));
    require(scene_stats(r->map).attached == 1 && scene_stats(r->map).dead == 0, "%u attached, %u dead",
            scene_stats(r->map).attached, scene_stats(r->map).dead);
    (void)scene_count(r->map);
    (void)scene_check(r->map, true);
}

static void stopped_reaper(void)
{
    struct reuse *r = board_make(sizeof *r);
    struct shoal_options options = scene_options(64, 256u << 10, 8);
    uint64_t random = scene_seed();
    int64_t sum = 0;
    r->map = scene_create(scene_name(0), &options);
    r->ready = bell_make();
    r->go = bell_make();
    r->seed = random;
    uint32_t all = count_steps(r, &random), rounds = scene_rounds(24);
    printf("%u steps to reap one\n", all);
    for (uint32_t i = 0; i < rounds; i++) { /* often around the locks, which stand at both ends */
        uint32_t begin = random_below(&random, 1000), end = all - 500 + random_below(&random, 1000);
        stopped_reaper_round(r, &random,
                             i % 3 == 0   ? random_below(&random, all)
                             : i % 3 == 1 ? begin
                                          : end,
                             i % 4 == 0);
    }
    must(shoal_incr(r->map, "sum", 3, 0, &sum));
    require(sum == 200 * (int64_t)SUCCESSORS * rounds, "sum %lld", (long long)sum);
    shoal_close(r->map);
}

SCENE_MAIN(SCENE(entries_full), SCENE(hundreds_of_threads), SCENE(stopped_reaper))
