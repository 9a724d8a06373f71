/* SPDX-License-Identifier: MIT
 *
 * Tests in processes of their own, children, gates.
 */
#include "cases/scene.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/act.h"

#define NAMES_MAX 8u
#define SECONDS_DEFAULT 120u /* a test that takes so long hangs */

static pid_t scene_pid; /* of the process that runs cmocka: part of the names */

/* -- Tests ------------------------------------------------------------------------------------- */

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        require(errno == EINTR, "waitpid: %s", strerror(errno));
    return status;
}

static void names_remove(void)
{
    for (uint32_t i = 0; i < NAMES_MAX; i++)
        (void)shoal_unlink(scene_name(i));
}

void scene_run(void **state)
{
    const struct scene *scene = *state;
    scene_pid = getpid();
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static const int caught[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS }; /* by cmocka */
        for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++)
            (void)signal(caught[i], SIG_DFL);
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)alarm(from_environment("SCENE_SECONDS", SECONDS_DEFAULT));
        scene->body();
        (void)fflush(NULL);
        _exit(0);
    }
    (void)setpgid(pid, pid);
    int status = wait_for(pid);
    (void)kill(-pid, SIGKILL); /* whoever was left behind */
    names_remove();
    if (WIFSIGNALED(status))
        print_error("killed by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    assert_int_equal(status, 0);
}

uint64_t scene_seed(void)
{
    const char *text = getenv("SHOAL_TEST_SEED");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed =
        text != NULL ? strtoull(text, NULL, 0) : random_mix((uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec);
    printf("seed 0x%llx\n", (unsigned long long)seed);
    (void)fflush(stdout);
    return seed;
}

uint32_t scene_rounds(uint32_t quick) { return quick * from_environment("SHOAL_TEST_ROUNDS", 1); }

/* -- Maps -------------------------------------------------------------------------------------- */

static uint32_t scene_flags;

int scene_arguments(int argc, char **argv)
{
    const bool checked = argc > 1 && strcmp(argv[1], "--checked") == 0;
    scene_flags = checked ? SHOAL_CHECKSUM : 0;
    return 1 + checked;
}

struct shoal_options scene_options(uint64_t capacity, uint64_t heap_bytes, uint32_t max_threads)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = capacity;
    options.heap_bytes = heap_bytes;
    options.max_threads = max_threads;
    options.flags = scene_flags;
    return options;
}

const char *scene_name(uint32_t i)
{
    static char names[NAMES_MAX][64];
    require(i < NAMES_MAX, "name %u of %u", i, NAMES_MAX);
    (void)snprintf(names[i], sizeof names[i], "shoal-scene-%ld-%u", (long)scene_pid, i);
    return names[i];
}

struct shoal *scene_create(const char *name, const struct shoal_options *options)
{
    struct shoal *map = NULL;
    must(shoal_create(name, options, &map));
    return map;
}

struct shoal *scene_open(const char *name)
{
    struct shoal *map = NULL;
    must(shoal_open(name, 0, &map));
    return map;
}

struct shoal *scene_map(uint64_t capacity, uint64_t heap_bytes)
{
    struct shoal_options options = scene_options(capacity, heap_bytes, 0);
    struct shoal *map = scene_create(scene_name(NAMES_MAX - 1), &options);
    must(shoal_unlink(scene_name(NAMES_MAX - 1)));
    return map;
}

struct shoal_stats scene_stats(struct shoal *map)
{
    struct shoal_stats s = SHOAL_STATS_INIT;
    must(shoal_stats(map, &s));
    uint64_t sum = s.live_bytes + s.free_bytes + s.owned_bytes + s.retired_bytes + s.dead_bytes + s.overhead_bytes;
    require(sum == s.heap_bytes && s.heap_bytes == s.spans * s.span_bytes,
            "H: %llu live + %llu free + %llu owned + %llu retired + %llu dead + %llu overhead is not %llu",
            (unsigned long long)s.live_bytes, (unsigned long long)s.free_bytes, (unsigned long long)s.owned_bytes,
            (unsigned long long)s.retired_bytes, (unsigned long long)s.dead_bytes, (unsigned long long)s.overhead_bytes,
            (unsigned long long)s.heap_bytes);
    require(s.payload_bytes <= s.live_bytes && s.backed_bytes <= s.heap_bytes && s.spans_free <= s.spans,
            "%llu payload in %llu live, %llu backed of %llu, %llu spans free of %llu",
            (unsigned long long)s.payload_bytes, (unsigned long long)s.live_bytes, (unsigned long long)s.backed_bytes,
            (unsigned long long)s.heap_bytes, (unsigned long long)s.spans_free, (unsigned long long)s.spans);
    return s;
}

struct shoal_report scene_check(struct shoal *map, bool at_rest)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    int code = shoal_check(map, &report);
    require(code == 0 && report.problems == 0, "check: %d, %llu problems: %s", code,
            (unsigned long long)report.problems, report.text);
    require(!at_rest || report.quiet, "check at rest is not quiet: %llu tentative, %llu owned, %llu unreferenced",
            (unsigned long long)report.slots_tentative, (unsigned long long)report.blocks_owned,
            (unsigned long long)report.unreferenced);
    return report;
}

uint64_t scene_count(struct shoal *map)
{
    uint64_t n = UINT64_MAX, walked = UINT64_MAX;
    int exact = 0;
    must(shoal_count(map, 0, &n, &exact));
    must(shoal_count(map, SHOAL_EXACT, &walked, NULL));
    require(exact == 1 && walked == n, "count at rest: %llu, exact %d; by a walk %llu", (unsigned long long)n, exact,
            (unsigned long long)walked);
    return n;
}

/* -- Values ------------------------------------------------------------------------------------ */

void scene_put(struct shoal *map, const char *key, uint64_t tag, size_t bytes)
{
    uint8_t value[VALUE_MAX];
    require(bytes <= sizeof value, "%zu bytes", bytes);
    value_make(value, tag, bytes);
    must(shoal_put(map, key, strlen(key), value, bytes));
}

void scene_holds(struct shoal *map, const char *key, uint64_t tag, size_t bytes)
{
    uint8_t value[VALUE_MAX];
    size_t got = 0;
    uint64_t got_tag = 0;
    int code = shoal_get(map, key, strlen(key), value, sizeof value, &got);
    require(code == 0, "get %s: %d %s", key, code, code < 0 ? shoal_error_text() : "");
    bool whole = value_read(value, got, &got_tag);
    require(whole && got == bytes && (bytes == 0 || got_tag == tag),
            "%s holds %zu bytes, tag %llx, %s; expected %zu bytes, tag %llx", key, got, (unsigned long long)got_tag,
            whole ? "whole" : "torn", bytes, (unsigned long long)tag);
}

/* -- Children ---------------------------------------------------------------------------------- */

static pid_t start(uint32_t i, crew_fn *fn, void *arg, bool dies_with_parent)
{
    (void)fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    require(pid >= 0, "fork: %s", strerror(errno));
    if (pid != 0)
        return pid;
    if (dies_with_parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    (void)alarm(from_environment("SCENE_SECONDS", SECONDS_DEFAULT));
    fn(i, arg);
    (void)fflush(NULL);
    _exit(0);
}

pid_t crew_start(uint32_t i, crew_fn *fn, void *arg) { return start(i, fn, arg, true); }
pid_t crew_start_outliving(uint32_t i, crew_fn *fn, void *arg) { return start(i, fn, arg, false); }

void crew_end(pid_t pid)
{
    int status = wait_for(pid);
    require(!WIFSIGNALED(status), "a child was killed by signal %d (%s)", WTERMSIG(status),
            strsignal(WTERMSIG(status)));
    require(status == 0, "a child ended with %d", WEXITSTATUS(status));
}

void crew_run(uint32_t n, crew_fn *fn, void *arg)
{
    pid_t *pids = calloc(n, sizeof *pids);
    require(pids != NULL, "memory");
    for (uint32_t i = 0; i < n; i++)
        pids[i] = crew_start(i, fn, arg);
    for (uint32_t i = 0; i < n; i++)
        crew_end(pids[i]);
    free(pids);
}

void crew_kill(pid_t pid)
{
    require(kill(pid, SIGKILL) == 0, "kill: %s", strerror(errno));
    int status = wait_for(pid);
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a child to be killed had ended with status %d",
            status);
}

void crew_stop(pid_t pid)
{
    int status = 0;
    require(kill(pid, SIGSTOP) == 0, "stop: %s", strerror(errno));
    while (waitpid(pid, &status, WUNTRACED) < 0)
        require(errno == EINTR, "waitpid: %s", strerror(errno));
    require(WIFSTOPPED(status), "a child to be stopped had ended with status %d", status);
}

void crew_continue(pid_t pid) { require(kill(pid, SIGCONT) == 0, "continue: %s", strerror(errno)); }

void crew_await_asleep(pid_t pid)
{
    char path[64], text[512], *at;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    for (;;) {
        FILE *file = fopen(path, "r");
        require(file != NULL, "%s: %s", path, strerror(errno));
        size_t n = fread(text, 1, sizeof text - 1, file);
        (void)fclose(file);
        text[n] = '\0';
        at = strrchr(text, ')');
        if (at != NULL && (at[2] == 'S' || at[2] == 'T' || at[2] == 't'))
            return;
        require(at != NULL && at[2] != 'Z', "process %ld has ended", (long)pid);
        (void)sched_yield();
    }
}

struct crew_thread {
    pthread_t thread;
    crew_fn *fn;
    void *arg;
    uint32_t i;
};

static void *thread_main(void *arg)
{
    struct crew_thread *t = arg;
    t->fn(t->i, t->arg);
    return NULL;
}

void crew_threads(uint32_t n, crew_fn *fn, void *arg)
{
    struct crew_thread *threads = calloc(n, sizeof *threads);
    pthread_attr_t attr;
    require(threads != NULL && pthread_attr_init(&attr) == 0, "memory");
    (void)pthread_attr_setstacksize(&attr, 1u << 20); /* read_home keeps a key of 64 KiB on the stack */
    for (uint32_t i = 0; i < n; i++) {
        threads[i] = (struct crew_thread){ .fn = fn, .arg = arg, .i = i };
        int e = pthread_create(&threads[i].thread, &attr, thread_main, &threads[i]);
        require(e == 0, "pthread_create: %s", strerror(e));
    }
    for (uint32_t i = 0; i < n; i++)
        require(pthread_join(threads[i].thread, NULL) == 0, "pthread_join");
    (void)pthread_attr_destroy(&attr);
    free(threads);
}

/* -- Gates ------------------------------------------------------------------------------------- */

struct gate gate_make(void)
{
    int fd[2];
    require(pipe(fd) == 0, "pipe: %s", strerror(errno));
    return (struct gate){ fd[0], fd[1] };
}

void gate_pass(const struct gate *gate)
{
    char c;
    ssize_t n;
    (void)close(gate->out);
    do
        n = read(gate->in, &c, 1);
    while (n < 0 && errno == EINTR);
    require(n == 0, "gate: %zd %s", n, strerror(errno));
    (void)close(gate->in);
}

void gate_open(struct gate *gate)
{
    (void)close(gate->out);
    (void)close(gate->in);
}

struct gate bell_make(void) { return gate_make(); }

void bell_ring(const struct gate *bell)
{
    ssize_t n;
    do
        n = write(bell->out, "!", 1);
    while (n < 0 && errno == EINTR);
    require(n == 1, "bell: %s", strerror(errno));
}

void bell_hear(const struct gate *bell)
{
    char c;
    ssize_t n;
    do
        n = read(bell->in, &c, 1);
    while (n < 0 && errno == EINTR);
    require(n == 1, "bell: %zd %s", n, strerror(errno));
}

void *board_make(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(at != MAP_FAILED, "mmap: %s", strerror(errno));
    return at;
}

void scene_spin(uint64_t *random, uint32_t n)
{
    for (uint32_t i = random_below(random, n); i > 0; i--)
        __asm__ volatile("" ::: "memory");
}
