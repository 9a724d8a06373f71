/* SPDX-License-Identifier: MIT
 *
 * One scene: filler, survivor, others, and the watch over them.
 */
#include "scene.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../keyset.h"
#include "lib/child.h"
#include "lib/random.h"

#define KEYS_N 250u /* half of what the smallest table here has room for */
#define KEY_BYTES 16u
#define VALUE_BYTES 80u
#define OTHERS_N 2u
#define HANDLES_MAX 64u
#define FILL_SECONDS 20u
#define MS 1000000
#define LINE 128

const char *const disturbance_names[DISTURBANCES_N] = { "calm", "kill", "stop" };
const char *const call_names[CALLS_N] = { "get", "put" };

/* What the processes of a scene share. */
struct share {
    _Alignas(LINE) _Atomic int64_t since; /* survivor: when the call under way began; 0 = between calls */
    _Atomic uint32_t call;
    _Alignas(LINE) _Atomic uint32_t end; /* watch: finish */
    _Alignas(LINE) _Atomic uint32_t ready[OTHERS_N];
    _Atomic uint32_t failed; /* whoever is the first to fail writes the error */
    struct scene_result result;
};

struct other {
    pid_t pid;
    int64_t stopped_until; /* 0 = runs */
};

struct stage {
    const struct scene *scene;
    struct driver_setup setup;
    char path[96];
    struct share *share;
    struct other others[OTHERS_N];
    pid_t survivor;
    uint64_t random;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void nap_us(long us)
{
    const struct timespec span = { .tv_nsec = us * 1000 };
    nanosleep(&span, NULL);
}

/* -- In each process ---------------------------------------------------------------------------- */

_Noreturn static void give_up(struct share *share, const char *who)
{
    if (atomic_exchange(&share->failed, 1) == 0)
        snprintf(share->result.error, sizeof share->result.error, "%s: %.130s", who, driver_fail_text());
    _exit(1);
}

static void *open_table(struct stage *stage, const char *who)
{
    void *handle = NULL;
    const struct subject *subject = stage->scene->subject;
    /* Which host is said only by there being one: these are processes. */
    if (subject->driver->open(&stage->setup, stage, &handle) != 0)
        give_up(stage->share, who);
    if (subject->recover && subject->recover(handle) != 0) {
        driver_fail("the recovery step failed");
        give_up(stage->share, who);
    }
    return handle;
}

static void key_of(uint64_t number, char key[KEY_BYTES])
{
    const uint64_t words[] = { random_mix(number + 1), random_mix(~number) };
    memcpy(key, words, KEY_BYTES);
}

static int put_key(const struct driver *driver, void *handle, const char *key, uint32_t version)
{
    char value[VALUE_BYTES];
    keyset_value(key, version, value, sizeof value);
    return driver->put(handle, key, KEY_BYTES, value, sizeof value);
}

static void fill(struct stage *stage)
{
    const struct driver *driver = stage->scene->subject->driver;
    char key[KEY_BYTES];
    void *host = NULL;
    alarm(FILL_SECONDS);
    if (driver->open(&stage->setup, NULL, &host) != 0)
        give_up(stage->share, "creation");
    void *handle = open_table(stage, "filling");
    for (uint64_t i = 0; i < KEYS_N; i++) {
        key_of(i, key);
        if (put_key(driver, handle, key, 0) != 0)
            give_up(stage->share, "filling");
    }
    driver->close(handle);
    driver->close(host);
}

/* Until it is killed. */
static void other_calls(struct stage *stage, unsigned index, uint64_t seed)
{
    const struct driver *driver = stage->scene->subject->driver;
    void *handle = open_table(stage, "a newcomer");
    char key[KEY_BYTES], value[VALUE_BYTES];
    size_t bytes;
    atomic_store(&stage->share->ready[index], 1);
    for (uint64_t random = seed;;) {
        const uint32_t draw = random_below(&random, 2 * KEYS_N);
        key_of(draw / 2, key);
        if (draw % 2 ? put_key(driver, handle, key, (uint32_t)random) != 0
                     : driver->get(handle, key, KEY_BYTES, value, sizeof value, &bytes) < 0)
            give_up(stage->share, "another process");
    }
}

static int timed_call(const struct stage *stage, void *handle, enum call call, const char *key, char *value, size_t *ret_bytes)
{
    const struct driver *driver = stage->scene->subject->driver;
    struct share *share = stage->share;
    atomic_store_explicit(&share->call, call, memory_order_relaxed);
    const int64_t since = now_ns();
    atomic_store_explicit(&share->since, since, memory_order_release);
    const int code = call == CALL_GET ? driver->get(handle, key, KEY_BYTES, value, VALUE_BYTES, ret_bytes)
                                      : driver->put(handle, key, KEY_BYTES, value, VALUE_BYTES);
    const uint64_t took = (uint64_t)(now_ns() - since), clock = latency_clock_ns();
    atomic_store_explicit(&share->since, 0, memory_order_release);
    histogram_add(&share->result.calls[call], took > clock ? took - clock : 0);
    return code;
}

static void survive(struct stage *stage)
{
    struct share *share = stage->share;
    void *handle = open_table(stage, "the survivor");
    uint64_t random = stage->scene->seed ^ 1;
    char key[KEY_BYTES], value[VALUE_BYTES];
    (void)latency_clock_ns();
    while (!atomic_load_explicit(&share->end, memory_order_relaxed)) {
        const uint32_t draw = random_below(&random, 2 * KEYS_N);
        const enum call call = draw % 2 ? CALL_PUT : CALL_GET;
        size_t bytes = 0;
        key_of(draw / 2, key);
        keyset_value(key, (uint32_t)random, value, sizeof value);
        const int code = timed_call(stage, handle, call, key, value, &bytes);
        if (code < 0)
            give_up(share, "the survivor");
        if (call == CALL_GET && (code != 0 || bytes != sizeof value || !keyset_value_ok(key, value, sizeof value)))
            share->result.wrong++;
    }
}

/* -- The watch ---------------------------------------------------------------------------------- */

static void start_other(struct stage *stage, unsigned index)
{
    const uint64_t seed = random_next(&stage->random);
    atomic_store(&stage->share->ready[index], 0);
    const pid_t pid = child_fork_bound();
    if (pid == 0) {
        other_calls(stage, index, seed);
        _exit(0);
    }
    stage->others[index] = (struct other){ .pid = pid };
}

static void kill_pid(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void replace_other(struct stage *stage, unsigned index)
{
    kill_pid(stage->others[index].pid);
    start_other(stage, index);
}

static void end_stops(struct stage *stage, int64_t now)
{
    for (unsigned i = 0; i < OTHERS_N; i++) {
        struct other *other = &stage->others[i];
        if (!other->stopped_until || now < other->stopped_until)
            continue;
        other->stopped_until = 0;
        if (random_below(&stage->random, 2))
            replace_other(stage, i);
        else
            kill(other->pid, SIGCONT);
    }
}

/* Returns when to do so again. */
static int64_t disturb(struct stage *stage, int64_t now)
{
    const int stops = stage->scene->disturbance == DISTURB_STOP;
    const unsigned index = random_below(&stage->random, OTHERS_N);
    struct other *other = &stage->others[index];
    if (!atomic_load(&stage->share->ready[index]) || other->stopped_until)
        return now + MS;
    stage->share->result.disturbed++;
    if (stops) {
        kill(other->pid, SIGSTOP);
        other->stopped_until = now + (50 + random_below(&stage->random, 100)) * (int64_t)MS;
    } else {
        replace_other(stage, index);
    }
    return now + (1 + random_below(&stage->random, stops ? 50 : 10)) * (int64_t)MS;
}

/* The survivor's call has been under way for longer than the limit.  It stays so: it is stopped first. */
static int is_blocked(struct stage *stage, int64_t now)
{
    struct share *share = stage->share;
    int64_t since = atomic_load_explicit(&share->since, memory_order_acquire);
    if (since == 0 || now - since <= stage->scene->limit_ns)
        return 0;
    kill_pid(stage->survivor);
    stage->survivor = 0;
    since = atomic_load(&share->since);
    if (since == 0) /* it had just returned; its histogram has the call */
        return 1;
    const uint32_t call = atomic_load(&share->call);
    share->result.blocked[call] = 1;
    histogram_add(&share->result.calls[call], (uint64_t)(now_ns() - since));
    return 1;
}

/* Until the survivor has ended. */
static void watch(struct stage *stage)
{
    int64_t now = now_ns(), next = now + 10 * MS;
    const int64_t deadline = now + (int64_t)(stage->scene->seconds * 1e9);
    while (stage->survivor && !atomic_load(&stage->share->failed)) {
        nap_us(300);
        now = now_ns();
        end_stops(stage, now);
        if (is_blocked(stage, now))
            return;
        if (now >= deadline)
            atomic_store(&stage->share->end, 1);
        else if (stage->scene->disturbance != DISTURB_NOT && now >= next)
            next = disturb(stage, now);
        if (waitpid(stage->survivor, NULL, WNOHANG) == stage->survivor)
            stage->survivor = 0;
    }
}

/* -- The whole ---------------------------------------------------------------------------------- */

static int filled(struct stage *stage)
{
    int status = -1;
    const pid_t pid = child_fork_bound();
    if (pid == 0) {
        fill(stage);
        _exit(0);
    }
    return waitpid(pid, &status, 0) == pid && status == 0;
}

static void play(struct stage *stage)
{
    for (unsigned i = 0; i < OTHERS_N; i++)
        start_other(stage, i);
    stage->survivor = child_fork_bound();
    if (stage->survivor == 0) {
        survive(stage);
        _exit(0);
    }
    watch(stage);
    if (stage->survivor)
        kill_pid(stage->survivor);
    for (unsigned i = 0; i < OTHERS_N; i++)
        kill_pid(stage->others[i].pid);
}

void scene_run(const struct scene *scene, struct scene_result *ret_result)
{
    struct stage stage = {
        .scene = scene,
        .share = child_memory(sizeof(struct share)),
        .random = scene->seed,
        .setup = { .name = scene->name, .keys = KEYS_N, .workers = HANDLES_MAX, .key_bytes = KEY_BYTES,
                   .value_bytes = VALUE_BYTES },
    };
    const struct driver *driver = scene->subject->driver;
    snprintf(stage.path, sizeof stage.path, "/dev/shm/%s", scene->name);
    stage.setup.path = stage.path;
    if (driver->unlink)
        driver->unlink(&stage.setup);
    if (filled(&stage))
        play(&stage);
    else if (!atomic_load(&stage.share->failed))
        snprintf(stage.share->result.error, sizeof stage.share->result.error, "the table was not filled");
    if (driver->unlink)
        driver->unlink(&stage.setup);
    *ret_result = stage.share->result;
    munmap(stage.share, sizeof *stage.share);
}
