/* SPDX-License-Identifier: MIT
 *
 * Who is attached, who is dead: forks, threads, exec, clones that no library hears of.  Guarantee C: a false
 * "dead" corrupts, so the living are never reaped; the dead always are, while the others work.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases/entries.h"
#include "cases/scene.h"

static struct shoal_reaped reap(struct shoal *map)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    must(shoal_reap(map, &reaped));
    return reaped;
}

static void reaps(struct shoal *map, uint32_t dead)
{
    struct shoal_reaped reaped = reap(map);
    require(reaped.dead == dead && reaped.undecided == 0, "C: %u dead, %u undecided; expected %u dead", reaped.dead,
            reaped.undecided, dead);
}

/* -- Fork -------------------------------------------------------------------------------------- */

struct talk {
    struct shoal *map;
    struct gate ready, go;
    _Atomic uint32_t end, index;
    _Atomic uint64_t done[8];
};

static struct talk *talk_make(struct shoal *map)
{
    struct talk *talk = board_make(sizeof *talk);
    talk->map = map;
    talk->ready = bell_make();
    talk->go = bell_make();
    return talk;
}

/* Use the inherited handle, say so, and go when told. */
static void use_and_stay(uint32_t who, void *arg)
{
    struct talk *talk = arg;
    require(entries_of(talk->map, getpid()) == 0, "a child has an entry before its first use");
    must_be(shoal_get(talk->map, "none", 4, NULL, 0, NULL), SHOAL_MISSING);
    must(shoal_incr(talk->map, "uses", 4, 1, NULL));
    require(entries_of(talk->map, getpid()) == 1, "a child that writes has %u entries",
            entries_of(talk->map, getpid()));
    (void)who;
    bell_ring(&talk->ready);
    bell_hear(&talk->go);
}

static void child_attaches_by_itself(void)
{
    struct talk *talk = talk_make(scene_map(64, 0));
    struct shoal *map = talk->map;
    uint32_t mine = entries_first_of(map, getpid());
    must(shoal_incr(map, "uses", 4, 1, NULL));
    require(scene_stats(map).attached == 1, "one is attached");
    for (uint32_t i = 0; i < scene_rounds(20); i++) {
        pid_t pids[3];
        for (uint32_t k = 0; k < 3; k++)
            pids[k] = crew_start(k, use_and_stay, talk);
        for (uint32_t k = 0; k < 3; k++)
            bell_hear(&talk->ready);
        require(scene_stats(map).attached == 4 && scene_stats(map).dead == 0, "%u attached, %u of them dead",
                scene_stats(map).attached, scene_stats(map).dead);
        reaps(map, 0);
        require(entries_first_of(map, getpid()) == mine, "the parent's entry has moved");
        crew_kill(pids[0]);
        require(scene_stats(map).dead == 1, "%u dead after a kill", scene_stats(map).dead);
        reaps(map, 1);
        bell_ring(&talk->go);
        bell_ring(&talk->go);
        crew_end(pids[1]);
        crew_end(pids[2]);
        reaps(map, 2); /* whoever ends without closing is like the dead */
        require(scene_stats(map).attached == 1, "%u attached", scene_stats(map).attached);
    }
    int64_t sum = 0;
    must(shoal_incr(map, "uses", 4, 0, &sum));
    require(sum == 1 + 3 * scene_rounds(20), "sum %lld", (long long)sum);
    (void)scene_check(map, true);
    shoal_close(map);
}

/* -- A SIGKILLed parent of four working children ----------------------------------------------- */

static void work(uint32_t who, void *arg)
{
    struct talk *talk = arg;
    uint64_t n = 0;
    char key[16];
    (void)snprintf(key, sizeof key, "work-%u", who);
    while (!atomic_load(&talk->end)) {
        must(shoal_incr(talk->map, key, strlen(key), 1, NULL));
        must(shoal_incr(talk->map, "all", 3, 1, NULL));
        atomic_store(&talk->done[who], ++n);
    }
}

#define WORKERS 4u

/* Opens the map, forks the workers, works too, until it is killed; its children live on. */
static void parent_of_workers(uint32_t who, void *arg)
{
    struct talk *talk = arg;
    (void)who;
    talk->map = scene_open(scene_name(0));
    must(shoal_put(talk->map, "parent", 6, "was here", 8));
    atomic_store(&talk->index, entries_first_of(talk->map, getpid()));
    for (uint32_t i = 0; i < WORKERS; i++)
        (void)crew_start_outliving(i, work, talk);
    bell_ring(&talk->ready);
    work(WORKERS, talk);
}

static void await_work(struct talk *talk, uint64_t more)
{
    uint64_t from[WORKERS], random = 1;
    for (uint32_t i = 0; i < WORKERS; i++)
        from[i] = atomic_load(&talk->done[i]);
    for (uint32_t i = 0; i < WORKERS; i++)
        while (atomic_load(&talk->done[i]) < from[i] + more)
            scene_spin(&random, 1000);
}

static void workers_end(struct talk *talk, struct shoal *map)
{
    int64_t sum = 0, own = 0, all = 0;
    atomic_store(&talk->end, 1);
    for (uint32_t i = 0; i < WORKERS; i++) { /* inherited by this process: it is their subreaper */
        int status = 0;
        pid_t pid = waitpid(-1, &status, 0);
        require(pid > 0 && status == 0, "a worker ended with status %d", status);
    }
    for (uint32_t i = 0; i <= WORKERS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "work-%u", i);
        must(shoal_incr(map, key, strlen(key), 0, &own));
        uint64_t done = atomic_load(&talk->done[i]);
        require((uint64_t)own >= done && (uint64_t)own <= done + (i == WORKERS), "C: worker %u did %llu, %lld counted",
                i, (unsigned long long)done, (long long)own);
        sum += own;
    }
    must(shoal_incr(map, "all", 3, 0, &all));
    require(all >= sum - 1 && all <= sum, "C: %lld counted on one key, %lld on all", (long long)all, (long long)sum);
}

/* The workers reap it by their ordinary calls. */
static void killed_parent_of_workers(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (uint32_t round = 0; round < scene_rounds(10); round++) {
        struct shoal_options options = scene_options(64, 0, 0);
        struct shoal *map = scene_create(scene_name(0), &options);
        struct talk *talk = talk_make(NULL);
        uint64_t random = round;
        pid_t pid = crew_start(0, parent_of_workers, talk);
        bell_hear(&talk->ready);
        await_work(talk, 10);
        crew_kill(pid);
        while (entries_of(map, pid) != 0)
            scene_spin(&random, 1000);
        await_work(talk, 1000);
        require(scene_stats(map).dead == 0 && scene_stats(map).attached == WORKERS + 1, "%u attached, %u dead",
                scene_stats(map).attached, scene_stats(map).dead);
        reaps(map, 0);
        workers_end(talk, map);
        require(reap(map).dead <= WORKERS && scene_stats(map).attached == 1, "%u attached", scene_stats(map).attached);
        (void)scene_check(map, true);
        shoal_close(map);
        must(shoal_unlink(scene_name(0)));
    }
}

/* -- Threads ----------------------------------------------------------------------------------- */

static void put_once(uint32_t i, void *arg)
{
    struct shoal *map = arg;
    must(shoal_put(map, &i, sizeof i, &i, sizeof i));
}

/* More threads, one behind the other, than there are entries. */
static void threads_free_their_entries(void)
{
    struct shoal_options options = scene_options(64, 0, 3);
    struct shoal *map = scene_create(scene_name(0), &options);
    for (uint32_t i = 0; i < scene_rounds(100); i++) {
        crew_threads(1 + i % 2, put_once, map);
        require(scene_stats(map).attached == 1, "%u attached", scene_stats(map).attached);
    }
    for (uint32_t i = 0; i < segment_of(map)->geo.entries_n; i++)
        require(i == entries_first_of(map, getpid()) || entry_is_clean(map, i), "entry %u is not clean", i);
    reaps(map, 0);
    (void)scene_check(map, true);
    shoal_close(map);
}

/* -- One map, opened twice in one process ------------------------------------------------------ */

struct twice {
    struct shoal *map[2];
    _Atomic uint32_t end;
};

static void use_both(uint32_t who, void *arg)
{
    struct twice *twice = arg;
    struct shoal_view view = { 0 };
    uint64_t pinned = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        struct shoal *map = twice->map[(who + i) % 2], *other = twice->map[(who + i + 1) % 2];
        if (i % 150 == 0) { /* so long that its block would be used again */
            require(i == 0 || *(const uint64_t *)view.value == pinned, "C: a pinned value has changed");
            shoal_view_end(&view);
            must(shoal_view(map, "pinned", 6, &view));
            pinned = *(const uint64_t *)view.value;
        }
        must(shoal_incr(map, "sum", 3, 1, NULL));
        must(shoal_incr(other, "sum", 3, 1, NULL));
        must(shoal_put(other, "pinned", 6, &(uint64_t){ (uint64_t)who << 32 | i }, sizeof pinned));
        if (i % 100 == 0)
            reaps(other, 0); /* a living thread must not be taken for dead */
    }
    shoal_view_end(&view);
}

static void opened_twice(void)
{
    struct shoal_options options = scene_options(64, 0, 0);
    struct twice twice = { .map = { scene_create(scene_name(0), &options) } };
    twice.map[1] = scene_open(scene_name(0));
    require(twice.map[0] != twice.map[1] && scene_stats(twice.map[0]).attached == 2, "two handles, %u attached",
            scene_stats(twice.map[0]).attached);
    must(shoal_put(twice.map[0], "pinned", 6, &(uint64_t){ 0 }, 8));
    crew_threads(4, use_both, &twice);
    int64_t sum = 0;
    must(shoal_incr(twice.map[1], "sum", 3, 0, &sum));
    require(sum == 24000, "sum %lld", (long long)sum);
    shoal_close(twice.map[0]);
    must_be(shoal_get(twice.map[0], "sum", 3, NULL, 0, NULL), SHOAL_EINVAL);
    reaps(twice.map[1], 0);
    require(scene_stats(twice.map[1]).attached == 1, "%u attached after one close", scene_stats(twice.map[1]).attached);
    must(shoal_incr(twice.map[1], "sum", 3, 1, &sum));
    (void)scene_check(twice.map[1], true);
    shoal_close(twice.map[1]);
}

/* Two handles, many threads, forks, and a third process that reaps all the time: nobody living is reaped. */
static void reap_for_ever(uint32_t who, void *arg)
{
    struct talk *talk = arg;
    struct shoal *map = scene_open(scene_name(0));
    (void)who;
    while (!atomic_load(&talk->end))
        reaps(map, 0); /* all of them close before they end */
    shoal_close(map);
}

static void fork_from_a_thread(uint32_t who, void *arg)
{
    struct twice *twice = arg;
    for (uint32_t i = 0; i < 10; i++) {
        must(shoal_incr(twice->map[who % 2], "sum", 3, 1, NULL));
        pid_t pid = fork();
        require(pid >= 0, "fork: %s", strerror(errno));
        if (pid == 0) {
            for (uint32_t k = 0; k < 20; k++)
                must(shoal_incr(twice->map[k % 2], "sum", 3, 1, NULL));
            shoal_close(twice->map[0]);
            shoal_close(twice->map[1]);
            _exit(0);
        }
        crew_end(pid);
    }
}

static void the_living_are_not_reaped(void)
{
    struct shoal_options options = scene_options(64, 0, 0);
    struct twice twice = { .map = { scene_create(scene_name(0), &options), scene_open(scene_name(0)) } };
    struct talk *talk = talk_make(NULL);
    int64_t sum = 0;
    pid_t pid = crew_start(0, reap_for_ever, talk);
    for (uint32_t i = 0; i < scene_rounds(5); i++)
        crew_threads(4, fork_from_a_thread, &twice);
    atomic_store(&talk->end, 1);
    crew_end(pid);
    must(shoal_incr(twice.map[0], "sum", 3, 0, &sum));
    require(sum == (int64_t)scene_rounds(5 * 4 * 10 * 21), "sum %lld", (long long)sum);
    reaps(twice.map[0], 0);
    (void)scene_check(twice.map[0], true);
    shoal_close(twice.map[0]);
    shoal_close(twice.map[1]);
}

/* -- Exec -------------------------------------------------------------------------------------- */

/* The process lives on as another program; its attachment does not. */
static void become_cat(uint32_t who, void *arg)
{
    struct talk *talk = arg;
    struct shoal *map = who % 2 ? talk->map : scene_open(scene_name(0));
    struct shoal_view view;
    must(shoal_incr(map, "uses", 4, 1, NULL));
    must(shoal_view(map, "uses", 4, &view)); /* and a pin */
    require(dup2(talk->go.in, 0) == 0 && dup2(talk->ready.out, 1) == 1, "dup2: %s", strerror(errno));
    (void)close(talk->go.out);
    (void)write(1, "!", 1);
    (void)execlp("cat", "cat", (char *)NULL);
    require(false, "exec: %s", strerror(errno));
}

static void exec_ends_the_attachment(void)
{
    for (uint32_t i = 0; i < scene_rounds(10); i++) {
        struct shoal_options options = scene_options(64, 0, 0);
        struct talk *talk = talk_make(scene_create(scene_name(0), &options));
        uint64_t random = i;
        pid_t pid = crew_start(i, become_cat, talk);
        bell_hear(&talk->ready);
        bell_ring(&talk->go); /* cat answers: it is running */
        bell_hear(&talk->ready);
        (void)random;
        reaps(talk->map, 1);
        require(entries_of(talk->map, pid) == 0 && kill(pid, 0) == 0, "C: it lives, its entry must not");
        crew_kill(pid);
        (void)scene_check(talk->map, true);
        shoal_close(talk->map);
        must(shoal_unlink(scene_name(0)));
    }
}

/* -- Clones that run no handlers --------------------------------------------------------------- */

static pid_t raw_fork(void)
{
#ifdef SYS_fork
    return (pid_t)syscall(SYS_fork);
#else
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
#endif
}

static void raw_child(struct shoal *map, const struct shoal_view *view)
{
    struct shoal_view ended = *view;
    pid_t self = (pid_t)syscall(SYS_getpid);
    if (self % 4 < 2)
        shoal_view_end(&ended); /* the parent's: no effect */
    for (uint32_t k = 0; k < 100; k++)
        must(shoal_incr(map, "sum", 3, 1, NULL));
    require(entries_of(map, self) == 1, "a cloned child has %u entries", entries_of(map, self));
    if (self % 2)
        shoal_close(map);
    _exit(0);
}

static void clones_are_noticed(void)
{
    struct shoal_options options = scene_options(64, 0, 0);
    struct shoal *map = scene_create(scene_name(0), &options), *watcher = scene_open(scene_name(0));
    struct shoal_view view;
    int64_t sum = 0;
    must(shoal_incr(map, "sum", 3, 1, NULL));
    must(shoal_put(map, "pinned", 6, "pinned value", 12));
    must(shoal_view(map, "pinned", 6, &view));
    for (uint32_t i = 0; i < scene_rounds(30); i++) {
        pid_t pid = raw_fork();
        require(pid >= 0, "fork: %s", strerror(errno));
        if (pid == 0)
            raw_child(map, &view);
        crew_end(pid);
        for (uint32_t k = 0; k < 100; k++) /* of the same size, so that its block would be used again */
            must(shoal_put(map, "pinned", 6, "another text", 12));
        struct shoal_reaped reaped = reap(watcher);
        require(reaped.dead <= 1, "C: a clone's end made %u entries look dead", reaped.dead);
        require(entries_of(map, getpid()) == 2, "C: %u of this process's two entries are left",
                entries_of(map, getpid()));
        require(view.bytes == 12 && memcmp(view.value, "pinned value", 12) == 0, "the pinned value has changed");
    }
    shoal_view_end(&view);
    must(shoal_incr(map, "sum", 3, 0, &sum));
    require(sum == 1 + 100 * (int64_t)scene_rounds(30), "sum %lld", (long long)sum);
    (void)scene_check(map, true);
    shoal_close(map);
    shoal_close(watcher);
}

/* A clone that never calls the library must not keep its dead parent attached for ever, once it has ended; and
 * one of a library's fork does not keep it at all. */
static void parent_of_a_silent_child(uint32_t who, void *arg)
{
    struct talk *talk = arg;
    struct shoal *map = scene_open(scene_name(0));
    must(shoal_incr(map, "sum", 3, 1, NULL));
    pid_t pid = who ? raw_fork() : fork();
    if (pid == 0) { /* behind the library's handlers, if there were any */
        bell_ring(&talk->ready);
        bell_hear(&talk->go);
        _exit(0);
    }
    for (;;)
        (void)pause();
}

static void silent_children(void)
{
    struct shoal_options options = scene_options(64, 0, 0);
    struct shoal *map = scene_create(scene_name(0), &options);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (uint32_t raw = 0; raw < 2; raw++) {
        struct talk *talk = talk_make(map);
        int status = 0;
        pid_t pid = crew_start(raw, parent_of_a_silent_child, talk);
        bell_hear(&talk->ready);
        crew_kill(pid);
        if (!raw)
            reaps(map, 1);
        bell_ring(&talk->go);
        require(waitpid(-1, &status, 0) > 0 && status == 0, "the silent child: %d", status);
        if (raw)
            reaps(map, 1);
    }
    shoal_close(map);
}

/* -- Counting the dead ---------------------------------------------------------------------------- */

#define COMINGS 15000u

/* Attach, write, detach; with two of them, one often takes the index that the other has just left. */
static void come_and_go(uint32_t who, void *arg)
{
    struct talk *talk = arg;
    for (uint32_t i = 0; i < COMINGS; i++) {
        struct shoal *map = scene_open(scene_name(0));
        must(shoal_incr(map, who ? "comings" : "goings", 6, 1, NULL));
        shoal_close(map);
    }
    talk->end++;
}

/* Nobody dies: stats must not catch somebody between "attached" and "his lock is gone". */
static void who_detaches_is_not_dead(void)
{
    const struct shoal_options options = scene_options(100, 1 << 20, 8);
    struct shoal *map = scene_create(scene_name(0), &options);
    struct talk *talk = talk_make(map);
    const pid_t pids[2] = { crew_start(0, come_and_go, talk), crew_start(1, come_and_go, talk) };
    uint64_t looks = 0;
    for (; talk->end < 2; looks++) {
        const struct shoal_stats stats = scene_stats(map);
        require(stats.dead == 0, "C: %u of the living are counted as dead, after %llu looks", stats.dead,
                (unsigned long long)looks);
    }
    require(looks > 0, "nobody looked");
    crew_end(pids[0]);
    crew_end(pids[1]);
    shoal_close(map);
}

SCENE_MAIN(SCENE(who_detaches_is_not_dead), SCENE(child_attaches_by_itself), SCENE(killed_parent_of_workers),
           SCENE(threads_free_their_entries), SCENE(opened_twice), SCENE(the_living_are_not_reaped), SCENE(exec_ends_the_attachment),
           SCENE(clones_are_noticed), SCENE(silent_children))
