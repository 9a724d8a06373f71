/* SPDX-License-Identifier: MIT
 *
 * shoal_wait: what ends it, what does not, and what it costs the others.  Guarantees A, C.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "cases/scene.h"
#include "cases/table_view.h"
#include "table/record.h"

#define LATE_MS 80 /* a waiter that slept so long was not woken: it looked by itself, at 100 ms */
#define NEVER_MS 60000

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t version_of(struct shoal *map, const char *key)
{
    uint64_t version = ~(uint64_t)0;
    int code = shoal_getv(map, key, strlen(key), NULL, 0, NULL, &version);
    require(code == 0 || code == SHOAL_MISSING, "getv: %d", code);
    return version;
}

/* -- Alone ------------------------------------------------------------------------------------- */

static void timeouts(void)
{
    struct shoal *map = scene_map(8, 0);
    uint64_t version = 77;
    must_be(shoal_wait(map, "key", 3, 0, 0, &version), SHOAL_TIMEOUT);
    int64_t start = now_ms();
    must_be(shoal_wait(map, "key", 3, 0, 30, &version), SHOAL_TIMEOUT);
    require(now_ms() - start >= 29, "30 ms lasted %lld", (long long)(now_ms() - start));
    start = now_ms();
    must_be(shoal_wait(map, "key", 3, 0, 230, NULL), SHOAL_TIMEOUT);
    require(now_ms() - start >= 229, "230 ms lasted %lld", (long long)(now_ms() - start));
    require(version == 77, "a timeout wrote ret_version");
    must(shoal_put(map, "key", 3, "", 0));
    uint64_t seen = version_of(map, "key");
    require(seen != 0, "version 0 of a present key");
    must_be(shoal_wait(map, "key", 3, seen, 0, &version), SHOAL_TIMEOUT);
    must(shoal_wait(map, "key", 3, 0, -1, &version)); /* differs already: no sleep */
    require(version == seen, "the version then");
    must(shoal_wait(map, "key", 3, seen + 1, 0, &version));
    must(shoal_put(map, "key", 3, "", 0)); /* the same value is another incarnation */
    must(shoal_wait(map, "key", 3, seen, 0, &version));
    require(version != seen && version == version_of(map, "key"), "the version then");
    must(shoal_delete(map, "key", 3));
    must(shoal_wait(map, "key", 3, seen, 0, &version));
    require(version == 0, "the version of a deleted key is 0");
    must_be(shoal_wait(map, "key", 0, 0, 0, NULL), SHOAL_EINVAL);
    shoal_close(map);
}

static void read_only_cannot_wait(void)
{
    struct shoal_options options = scene_options(8, 0, 0);
    struct shoal *map = scene_create(scene_name(0), &options), *reader = NULL;
    must(shoal_open(scene_name(0), SHOAL_RDONLY, &reader));
    must_be(shoal_wait(reader, "key", 3, 1, 0, NULL), SHOAL_EREADONLY);
    shoal_close(reader);
    shoal_close(map);
}

static void on_alarm(int signal) { (void)signal; }

/* A signal does not end it. */
static void signals(void)
{
    struct shoal *map = scene_map(8, 0);
    struct sigaction action = { .sa_handler = on_alarm };
    timer_t timer;
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    struct itimerspec often = { .it_interval.tv_nsec = 3000000, .it_value.tv_nsec = 3000000 };
    require(sigaction(SIGUSR1, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
                timer_settime(timer, 0, &often, NULL) == 0,
            "timer");
    int64_t start = now_ms();
    must_be(shoal_wait(map, "key", 3, 0, 250, NULL), SHOAL_TIMEOUT);
    require(now_ms() - start >= 249, "a signal ended it after %lld ms", (long long)(now_ms() - start));
    (void)timer_delete(timer);
    shoal_close(map);
}

/* -- Woken ------------------------------------------------------------------------------------- */

struct sleeper {
    struct shoal *map;
    char key[64][24];
    _Atomic uint64_t seen[64], late;
    struct gate woken;
    int64_t slept_ms;
};

/* Once for each change; ends when the key is deleted. */
static void sleep_on_key(uint32_t i, void *arg)
{
    struct sleeper *sleeper = arg;
    const char *key = sleeper->key[i];
    for (uint64_t seen = version_of(sleeper->map, key), first = 1; first || seen != 0; first = 0) {
        must(shoal_wait(sleeper->map, key, strlen(key), seen, NEVER_MS, &seen));
        atomic_store(&sleeper->seen[i], seen);
        bell_ring(&sleeper->woken);
    }
}

static struct sleeper *sleeper_make(struct shoal *map)
{
    struct sleeper *sleeper = board_make(sizeof *sleeper);
    sleeper->map = map;
    sleeper->woken = bell_make();
    return sleeper;
}

/* It sleeps; the change wakes it. */
static void wakes(struct sleeper *sleeper, pid_t pid, const char *how)
{
    int64_t start = now_ms();
    bell_hear(&sleeper->woken);
    sleeper->slept_ms = now_ms() - start;
    require(sleeper->seen[0] == version_of(sleeper->map, sleeper->key[0]), "%s: the version then", how);
    if (sleeper->slept_ms > LATE_MS)
        sleeper->late++;
    if (sleeper->seen[0] != 0)
        crew_await_asleep(pid);
}

static int change_keep(struct shoal_change *change, void *arg)
{
    (void)arg;
    change->value = "updated";
    change->value_bytes = 7;
    return SHOAL_STORE;
}

static void every_change_wakes(void)
{
    for (uint32_t i = 0; i < scene_rounds(20); i++) {
        struct sleeper *sleeper = sleeper_make(scene_map(8, 0));
        struct shoal *map = sleeper->map;
        struct shoal_how how = SHOAL_HOW_INIT;
        uint8_t value[16];
        strcpy(sleeper->key[0], "key");
        pid_t pid = crew_start(0, sleep_on_key, sleeper);
        crew_await_asleep(pid);
        must(shoal_add(map, "key", 3, "a", 1));
        wakes(sleeper, pid, "add");
        must(shoal_put(map, "key", 3, "b", 1));
        wakes(sleeper, pid, "put");
        must(shoal_replace(map, "key", 3, "c", 1));
        wakes(sleeper, pid, "replace");
        how.type = SHOAL_I64;
        must(shoal_put_with(map, "key", 3, "12345678", 8, &how, NULL));
        wakes(sleeper, pid, "put_with");
        must(shoal_incr(map, "key", 3, 1, NULL));
        wakes(sleeper, pid, "incr");
        must(shoal_update(map, "key", 3, change_keep, NULL));
        wakes(sleeper, pid, "update");
        if (i % 3 == 0)
            must(shoal_delete(map, "key", 3));
        else if (i % 3 == 1)
            must(shoal_take(map, "key", 3, value, sizeof value, NULL));
        else
            must(shoal_delete_if(map, "key", 3, version_of(map, "key")));
        wakes(sleeper, pid, "delete");
        crew_end(pid);
        require(sleeper->late <= 1, "%llu of 7 changes were noticed only by looking",
                (unsigned long long)sleeper->late);
        shoal_close(map);
    }
}

/* -- Many waiters on one bucket ---------------------------------------------------------------- */

#define BUCKET_KEYS 12u

static uint32_t bucket_of(struct shoal *map, const char *key)
{
    return hash_bucket(probe_make(segment_of(map), key, strlen(key)).hash);
}

static void keys_of_one_bucket(struct sleeper *sleeper)
{
    uint32_t n = 1;
    strcpy(sleeper->key[0], "key-0");
    for (uint32_t i = 1; n < BUCKET_KEYS; i++) {
        char key[24];
        (void)snprintf(key, sizeof key, "key-%u", i);
        if (bucket_of(sleeper->map, key) == bucket_of(sleeper->map, sleeper->key[0]))
            memcpy(sleeper->key[n++], key, sizeof key);
    }
}

static uint32_t changed_n(const struct sleeper *sleeper)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < BUCKET_KEYS; i++)
        n += atomic_load(&sleeper->seen[i]) != 0;
    return n;
}

/* A change wakes all of the bucket, and those whose key did not change sleep on. */
static void absorbed_wakes(void)
{
    for (uint32_t round = 0; round < scene_rounds(10); round++) {
        struct sleeper *sleeper = sleeper_make(scene_map(64, 0));
        pid_t pids[BUCKET_KEYS];
        uint64_t late = 0;
        keys_of_one_bucket(sleeper);
        for (uint32_t i = 0; i < BUCKET_KEYS; i++)
            pids[i] = crew_start(i, sleep_on_key, sleeper);
        for (uint32_t i = 0; i < BUCKET_KEYS; i++) {
            for (uint32_t k = i; k < BUCKET_KEYS; k++)
                crew_await_asleep(pids[k]);
            int64_t start = now_ms();
            must(shoal_add(sleeper->map, sleeper->key[i], strlen(sleeper->key[i]), "", 0));
            bell_hear(&sleeper->woken);
            late += now_ms() - start > LATE_MS;
            require(sleeper->seen[i] == version_of(sleeper->map, sleeper->key[i]) && changed_n(sleeper) == i + 1,
                    "after %u changes %u waiters have returned", i + 1, changed_n(sleeper));
        }
        for (uint32_t i = 0; i < BUCKET_KEYS; i++) {
            must(shoal_delete(sleeper->map, sleeper->key[i], strlen(sleeper->key[i])));
            bell_hear(&sleeper->woken);
        }
        for (uint32_t i = 0; i < BUCKET_KEYS; i++)
            crew_end(pids[i]);
        require(late <= 1, "%llu of %u changes were noticed only by looking", (unsigned long long)late, BUCKET_KEYS);
        shoal_close(sleeper->map);
    }
}

/* -- Ping-pong: no wake is lost ---------------------------------------------------------------- */

#define PINGS 25000u

struct table_tennis {
    struct shoal *map;
    _Atomic uint64_t late, late_ms;
};

/* Wait for the other's n, then set the own key to n (or n + 1). */
static void play(uint32_t who, void *arg)
{
    struct table_tennis *t = arg;
    const char *mine = who ? "pong" : "ping", *theirs = who ? "ping" : "pong";
    uint64_t seen = 0;
    for (uint64_t n = 1; n <= PINGS; n++) {
        uint64_t got = 0;
        if (who == 0)
            must(shoal_put(t->map, mine, 4, &n, sizeof n));
        for (got = 0; got < n;) {
            int64_t start = now_ms();
            must(shoal_wait(t->map, theirs, 4, seen, NEVER_MS, &seen));
            int64_t waited = now_ms() - start;
            if (waited > LATE_MS) {
                atomic_fetch_add(&t->late, 1);
                atomic_fetch_add(&t->late_ms, (uint64_t)waited);
            }
            must(shoal_get(t->map, theirs, 4, &got, sizeof got, NULL));
        }
        require(got == n, "A: %llu instead of %llu", (unsigned long long)got, (unsigned long long)n);
        if (who == 1)
            must(shoal_put(t->map, mine, 4, &n, sizeof n));
    }
}

static void ping_pong(void)
{
    struct table_tennis *t = board_make(sizeof *t);
    t->map = scene_map(8, 0);
    for (uint32_t i = 0; i < scene_rounds(1); i++)
        crew_run(2, play, t);
    printf("%u ping-pongs, %llu noticed late, %llu ms\n", PINGS * scene_rounds(1), (unsigned long long)t->late,
           (unsigned long long)t->late_ms);
    /* A lost wake costs 100 ms.  A busy machine may now and then delay one as long. */
    require(t->late <= scene_rounds(3), "C: %llu wakes were lost", (unsigned long long)t->late);
    shoal_close(t->map);
}

/* -- The writer dies around its commit --------------------------------------------------------- */

static void put_traced(uint32_t i, void *arg)
{
    struct sleeper *sleeper = arg;
    must_be(shoal_get(sleeper->map, "key", 3, NULL, 0, NULL), i % 2 ? 0 : SHOAL_MISSING);
    must(shoal_put(sleeper->map, "other", 5, "", 0)); /* attached */
    require(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "ptrace: %s", strerror(errno));
    (void)raise(SIGSTOP);
    must(shoal_put(sleeper->map, "key", 3, "new", 3));
}

static bool step(pid_t pid)
{
    int status = 0;
    require(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0, "step: %s", strerror(errno));
    require(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
    return WIFSTOPPED(status);
}

/* Step a put until it has taken effect, and `beyond` instructions on; then kill it.  A waiter sees the
 * change, woken or not. */
static bool kill_behind_commit(uint32_t beyond, bool present)
{
    struct sleeper *sleeper = sleeper_make(scene_map(8, 0));
    struct shoal *map = sleeper->map;
    int status = 0;
    strcpy(sleeper->key[0], "key");
    if (present)
        must(shoal_put(map, "key", 3, "old", 3));
    pid_t waiter = crew_start(0, sleep_on_key, sleeper);
    uint64_t before = version_of(map, "key");
    pid_t writer = crew_start(present, put_traced, sleeper);
    require(waitpid(writer, &status, WUNTRACED) == writer && WIFSTOPPED(status), "the writer did not stop");
    crew_await_asleep(waiter);
    bool running = true;
    while (running && version_of(map, "key") == before)
        running = step(writer);
    for (uint32_t i = 0; running && i < beyond; i++)
        running = step(writer);
    if (running)
        crew_kill(writer);
    int64_t start = now_ms();
    bell_hear(&sleeper->woken);
    int64_t ms = now_ms() - start;
    require(ms < 2000 && sleeper->seen[0] == version_of(map, "key") && sleeper->seen[0] != before,
            "C: killed %u instructions behind the commit, seen after %lld ms", beyond, (long long)ms);
    must(shoal_reap(map, NULL));
    must(shoal_delete(map, "key", 3));
    crew_end(waiter);
    (void)scene_check(map, false);
    shoal_close(map);
    return running;
}

static void writer_killed(void)
{
    uint32_t n = 0;
    for (uint32_t beyond = 0; kill_behind_commit(beyond, beyond % 2 == 0); beyond += 1 + beyond / 3)
        n++;
    printf("%u places behind the commit\n", n);
    require(n > 5, "the put ended after %u steps", n);
}

/* And at random, before and behind. */
static void put_for_ever(uint32_t i, void *arg)
{
    struct sleeper *sleeper = arg;
    (void)i;
    for (uint64_t n = 0;; n++)
        must(shoal_put(sleeper->map, "key", 3, &n, sizeof n));
}

static void follow(uint32_t i, void *arg)
{
    struct sleeper *sleeper = arg;
    (void)i;
    for (uint64_t seen = 0, first = 1; first || seen != 0; first = 0) {
        must(shoal_wait(sleeper->map, "key", 3, seen, NEVER_MS, &seen));
        atomic_store(&sleeper->seen[0], seen);
    }
}

static void writer_killed_at_random(void)
{
    struct sleeper *sleeper = sleeper_make(scene_map(8, 0));
    uint64_t random = scene_seed();
    pid_t waiter = crew_start(0, follow, sleeper);
    for (uint32_t i = 0; i < scene_rounds(100); i++) {
        pid_t writer = crew_start(i, put_for_ever, sleeper);
        uint64_t seen = atomic_load(&sleeper->seen[0]);
        while (atomic_load(&sleeper->seen[0]) == seen)
            scene_spin(&random, 100);
        scene_spin(&random, 200000);
        crew_kill(writer);
        int64_t start = now_ms();
        uint64_t version = version_of(sleeper->map, "key");
        while (atomic_load(&sleeper->seen[0]) != version) {
            scene_spin(&random, 1000);
            require(now_ms() - start < 2000, "C: a change was not seen within 2 s");
        }
    }
    must(shoal_reap(sleeper->map, NULL));
    must(shoal_delete(sleeper->map, "key", 3));
    crew_end(waiter);
    (void)scene_check(sleeper->map, false);
    shoal_close(sleeper->map);
}

/* -- What it costs the others
 * ------------------------------------------------------------------------------------------ */

/* From here on a futex call ends this process by SIGSYS. */
static void forbid_futex(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof code[0], code };
    require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
            "seccomp: %s", strerror(errno));
}

static void write_all_ways(uint32_t i, void *arg)
{
    struct shoal *map = arg;
    (void)i;
    must(shoal_put(map, "attach", 6, "", 0));
    forbid_futex();
    for (uint32_t k = 0; k < 2000; k++) {
        uint32_t key = k % 100;
        must(shoal_put(map, &key, sizeof key, &k, sizeof k));
        must(shoal_incr(map, "counter", 7, 1, NULL));
        must(shoal_update(map, "key", 3, change_keep, NULL));
        if (k % 3 == 0)
            must(shoal_delete(map, &key, sizeof key));
    }
}

static uint64_t mask_of(struct shoal *map)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < WAIT_N / 64; i++)
        mask |= load_seq_u64(&segment_of(map)->header->wait_mask[i]);
    return mask;
}

static void nobody_waits_no_call(void)
{
    struct shoal *map = scene_map(1000, 0);
    require(mask_of(map) == 0, "a fresh map's mask");
    pid_t pid = crew_start(0, write_all_ways, map);
    crew_end(pid);
    shoal_close(map);
}

static void sleep_for_ever(uint32_t i, void *arg)
{
    struct shoal *map = arg;
    char key[16];
    (void)snprintf(key, sizeof key, "wait-%u", i);
    must_be(shoal_wait(map, key, strlen(key), 0, -1, NULL), 0);
}

/* Waiters that were killed, timed out or got what they wanted cost one wake at most, then nothing. */
static void killed_waiters_cost_nothing(void)
{
    struct shoal *map = scene_map(20000, 0);
    pid_t pids[16];
    for (uint32_t i = 0; i < 16; i++)
        pids[i] = crew_start(i, sleep_for_ever, map);
    for (uint32_t i = 0; i < 16; i++)
        crew_await_asleep(pids[i]);
    require(mask_of(map) != 0, "16 processes wait");
    for (uint32_t i = 0; i < 16; i++)
        crew_kill(pids[i]);
    must_be(shoal_wait(map, "elsewhere", 9, 0, 1, NULL), SHOAL_TIMEOUT);
    for (uint32_t k = 0; k < 10000; k++) /* once over every bucket */
        must(shoal_incr(map, &k, 2, 1, NULL));
    require(mask_of(map) == 0, "C: the mask of dead waiters stays");
    must(shoal_reap(map, NULL));
    pid_t pid = crew_start(0, write_all_ways, map);
    crew_end(pid);
    shoal_close(map);
}

SCENE_MAIN(SCENE(timeouts), SCENE(read_only_cannot_wait), SCENE(signals), SCENE(every_change_wakes),
           SCENE(absorbed_wakes), SCENE(ping_pong), SCENE(writer_killed), SCENE(writer_killed_at_random),
           SCENE(nobody_waits_no_call), SCENE(killed_waiters_cost_nothing))
