/* SPDX-License-Identifier: MIT
 *
 * shoal_wait: what ends it, what does not, what it costs the others, and deaths.  Guarantees A, C.
 * (test_wake.c: no wake is lost.)
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

#include "cases/sleeper.h"
#include "cases/table_view.h"
#include "lib/processor.h"

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
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
    bell_hear(&sleeper->woken); /* or it sleeps for ever, and the alarm ends the test */
    require(sleeper->seen[0] == version_of(map, "key") && sleeper->seen[0] != before,
            "C: killed %u instructions behind the commit, another version was seen", beyond);
    must(shoal_reap(map, NULL));
    must(shoal_delete(map, "key", 3));
    crew_end(waiter);
    (void)scene_check(map, false);
    shoal_close(map);
    return running;
}

static void writer_killed(void)
{
    processor_stay(0);
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
        uint64_t version = version_of(sleeper->map, "key");
        while (atomic_load(&sleeper->seen[0]) != version) /* or for ever, and the alarm ends the test */
            scene_spin(&random, 1000);
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

SCENE_MAIN(SCENE(timeouts), SCENE(read_only_cannot_wait), SCENE(signals), 
           SCENE(writer_killed), SCENE(writer_killed_at_random),
           SCENE(nobody_waits_no_call), SCENE(killed_waiters_cost_nothing))
