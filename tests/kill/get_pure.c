/* SPDX-License-Identifier: MIT
 *
 * Readers write nothing shared (D).
 *
 * First each reading call is stepped, on a read-write and on a read-only attachment: no lock-prefixed
 * instruction, no xchg with memory, no fence, no changed byte, no store to the segment by the
 * instructions' encoding, and none by the page protection, which is taken away before.
 * Then many processes of another user attach read-only, read, and are killed at random instants: the
 * segment is bit-identical afterwards.
 *
 *   get_pure [--readers N] [--seed S]
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/act.h"
#include "lib/child.h"
#include "lib/fail.h"
#include "lib/processor.h"
#include "lib/random.h"
#include "lib/step.h"
#include "shoal/shoal.h"

#define KEYS 24u
#define NOBODY 65534u
#define READERS_AT_ONCE 6u
#define LOOK_EVERY 64u /* readers whose mapping is looked at */
#define TRACE_ROOM 400000u

static char name[64];
static uint64_t seed, readers_wanted = 10000;

static uint32_t bytes_of(uint32_t key_i)
{
    static const uint32_t sizes[] = { 0, 8, 16, 100, 104, 300, 1000, 5000 };
    return sizes[key_i % (sizeof sizes / sizeof sizes[0])];
}

/* Keys of 1 to 70 bytes; the absent ones have numbers from KEYS on. */
static size_t key_of(uint32_t key_i, char key[96])
{
    const int n = snprintf(key, 96, "%u", key_i);
    const size_t bytes = 2 + key_i * 3 % 70;
    memset(key + n, 'x', 96 - (size_t)n);
    return bytes;
}

static void make_map(void)
{
    static uint8_t value[VALUE_MAX];
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map = NULL;
    options.capacity = 300;
    options.heap_bytes = 96 << 10;
    options.max_threads = 4; /* fewer than readers at once: a reader takes no entry */
    options.mode = 0644;
    shm_unlink(name);
    int code = shoal_create(name, &options, &map);
    require(code == 0, "create: %d %s", code, shoal_error_text());
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[96];
        const size_t key_bytes = key_of(i, key);
        value_make(value, 100 + i, bytes_of(i));
        code = shoal_put(map, key, key_bytes, value, bytes_of(i));
        require(code == 0, "put: %d %s", code, shoal_error_text());
    }
    shoal_close(map);
}

static void in_a_child(void (*body)(void))
{
    int status = 0;
    const pid_t pid = child_fork();
    if (pid == 0) {
        body();
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    require(status == 0, "status 0x%x", status);
}

/* -- One read, stepped ----------------------------------------------------------------------------------- */

enum reading { READ_GET, READ_GETV, READ_INFO, READ_GET_MANY, READINGS };
static const char *const reading_names[READINGS] = { "get", "getv", "info", "get_many" };

struct stepped {
    enum reading reading;
    unsigned flags; /* of open */
    uint32_t key_i;
    int code;
};

static void read_once(struct shoal *map, struct stepped *stepped, const char *key, size_t key_bytes)
{
    static uint8_t buf[VALUE_MAX];
    struct shoal_info info = SHOAL_INFO_INIT;
    const struct shoal_key many = { key, key_bytes };
    struct shoal_result result = { .buf = buf, .buf_bytes = sizeof buf };
    uint64_t version;
    size_t bytes;
    switch (stepped->reading) {
    case READ_GET: stepped->code = shoal_get(map, key, key_bytes, buf, sizeof buf, &bytes); break;
    case READ_GETV: stepped->code = shoal_getv(map, key, key_bytes, buf, sizeof buf, &bytes, &version); break;
    case READ_INFO: stepped->code = shoal_info(map, key, key_bytes, &info); break;
    default:
        stepped->code = shoal_get_many(map, &many, 1, &result);
        if (stepped->code == 0)
            stepped->code = result.code;
        break;
    }
}

/* From here on a store to the segment ends this process. */
static void protect_segment(void)
{
    char line[512], wanted[96];
    snprintf(wanted, sizeof wanted, "/dev/shm/%s", name);
    FILE *maps = fopen("/proc/self/maps", "re");
    require(maps, "maps: %s", strerror(errno));
    uint32_t n = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (!strstr(line, wanted) || sscanf(line, "%lx-%lx", &from, &to) != 2)
            continue;
        require(mprotect((void *)from, to - from, PROT_READ) == 0, "mprotect: %s", strerror(errno));
        n++;
    }
    fclose(maps);
    require(n > 0, "the segment is not mapped");
}

static void step_body(void *arg)
{
    struct stepped *stepped = arg;
    struct shoal *map = NULL;
    char key[96];
    const size_t key_bytes = key_of(stepped->key_i, key);
    const int code = shoal_open(name, stepped->flags, &map);
    require(code == 0, "open: %d %s", code, shoal_error_text());
    read_once(map, stepped, key, key_bytes);
    protect_segment();
    step_begin();
    read_once(map, stepped, key, key_bytes);
    step_end();
    _exit(0);
}

static uint64_t step_one_read(struct stepped *stepped, struct trace *trace)
{
    struct stepper stepper;
    const int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    require(fd >= 0, "%s: %s", name, strerror(errno));
    step_start(&stepper, fd, step_body, stepped);
    close(fd);
    const bool ended = step_record(&stepper, trace);
    const char *what = reading_names[stepped->reading];
    require(ended, "D: %s ended by signal %d at %s", what, stepper.signal, step_symbol(stepper.rip));
    require(stepped->code == (stepped->key_i < KEYS ? 0 : SHOAL_MISSING), "%s of key %u: %d", what, stepped->key_i,
            stepped->code);
    bool touched = false;
    for (uint64_t i = 1; i < trace->n; i++) {
        const uint32_t did = trace->place[i].what;
        const char *where = step_symbol(trace->place[i - 1].rip);
        require(!(did & STEP_LOCKED), "D: %s executes a locked instruction at %s", what, where);
        require(!(did & STEP_FENCE), "D: %s executes a fence at %s", what, where);
        require(!(did & STEP_SYSCALL), "D: %s makes a system call at %s", what, where);
        require(!(did & (STEP_CHANGED | STEP_STORED)), "D: %s stores to the segment at %s", what, where);
        touched |= (did & STEP_TOUCHED) != 0;
    }
    require(touched, "%s was not seen to read the segment: this test sees nothing", what);
    step_release(&stepper);
    return trace->n;
}

static void step_reads(void)
{
    struct trace trace;
    struct stepped *stepped = child_memory(sizeof *stepped);
    trace_begin(&trace, TRACE_ROOM);
    processor_stay(0);
    uint64_t calls = 0, instructions = 0;
    for (uint32_t reading = 0; reading < READINGS; reading++)
        for (unsigned readonly = 0; readonly < 2; readonly++)
            for (uint32_t key_i = 0; key_i < KEYS + 2; key_i++) {
                *stepped = (struct stepped){ (enum reading)reading, readonly ? SHOAL_RDONLY : 0, key_i, -1 };
                instructions += step_one_read(stepped, &trace);
                calls++;
            }
    printf("get_pure: %llu reads stepped, %llu instructions: none locked, no fence, no store\n",
           (unsigned long long)calls, (unsigned long long)instructions);
}

/* -- Many readers of another user --------------------------------------------------------------------------- */

struct reader {
    pid_t pid;
    volatile uint64_t reads; /* shared with the reader */
};

static _Noreturn void reader_live(struct reader *reader, uint64_t random)
{
    static uint8_t buf[VALUE_MAX];
    struct shoal *map = NULL;
    if (geteuid() == 0)
        require(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0, "setuid: %s", strerror(errno));
    const int code = shoal_open(name, SHOAL_RDONLY | SHOAL_FOREIGN, &map);
    require(code == 0, "a reader's open: %d %s", code, shoal_error_text());
    require(shoal_put(map, "x", 1, "y", 1) == SHOAL_EREADONLY, "D: a reader may put");
    for (;;) {
        char key[96];
        size_t bytes = 0;
        uint64_t tag = 0;
        const uint32_t key_i = random_below(&random, KEYS + 2);
        const size_t key_bytes = key_of(key_i, key);
        const int got = shoal_get(map, key, key_bytes, buf, sizeof buf, &bytes);
        require(got == (key_i < KEYS ? 0 : SHOAL_MISSING), "get: %d %s", got, shoal_error_text());
        if (got == 0)
            require(bytes == bytes_of(key_i) && value_read(buf, bytes, &tag), "a torn value of %zu bytes", bytes);
        reader->reads++;
        sched_yield(); /* to the one who kills, on few processors */
    }
}

/* r--s, and no other mapping of the segment */
static void look_at_mapping(pid_t pid)
{
    char path[64], line[512], wanted[96];
    uint32_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    snprintf(wanted, sizeof wanted, "/dev/shm/%s", name);
    FILE *maps = fopen(path, "re");
    require(maps, "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, maps)) {
        if (!strstr(line, wanted))
            continue;
        require(strstr(line, " r--s "), "D: a reader's mapping: %s", line);
        n++;
    }
    fclose(maps);
    require(n == 1, "a reader has %u mappings of the segment", n);
}

static uint8_t *copy_segment(size_t *ret_bytes)
{
    struct stat st;
    const int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    require(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", name, strerror(errno));
    uint8_t *bytes = malloc((size_t)st.st_size);
    require(bytes && pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size, "read: %s", strerror(errno));
    close(fd);
    *ret_bytes = (size_t)st.st_size;
    return bytes;
}

static void kill_reader(struct reader *reader)
{
    int status = 0;
    kill(reader->pid, SIGKILL);
    waitpid(reader->pid, &status, 0);
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a reader ended by itself: status 0x%x", status);
}

static uint64_t run_readers(void)
{
    uint64_t random = seed, looked = 0, reads = 0;
    struct reader *readers = child_memory(READERS_AT_ONCE * sizeof readers[0]);
    for (uint64_t i = 0; i < readers_wanted + READERS_AT_ONCE; i++) {
        struct reader *reader = &readers[i % READERS_AT_ONCE];
        if (i >= READERS_AT_ONCE) {
            if (i % LOOK_EVERY == 0) {
                while (reader->reads == 0 && kill(reader->pid, 0) == 0)
                    sched_yield();
                look_at_mapping(reader->pid);
                looked++;
            }
            kill_reader(reader);
            reads += reader->reads;
        }
        if (i >= readers_wanted)
            continue;
        reader->reads = 0;
        const uint64_t its_own = random_next(&random);
        const pid_t pid = child_fork();
        if (pid == 0)
            reader_live(reader, its_own);
        reader->pid = pid;
        /* Half of them are let read first; the others die where they happen to be, maybe before their open. */
        const uint64_t wanted = random_below(&random, 2) ? random_below(&random, 200) : 0;
        while (reader->reads < wanted && kill(reader->pid, 0) == 0)
            sched_yield();
    }
    printf("get_pure: %llu readers %skilled, %llu reads, %llu mappings seen to be r--s\n",
           (unsigned long long)readers_wanted, geteuid() == 0 ? "of another user " : "", (unsigned long long)reads,
           (unsigned long long)looked);
    return reads;
}

static void many_readers(void)
{
    size_t before_bytes, after_bytes;
    uint8_t *before = copy_segment(&before_bytes);
    if (geteuid() != 0)
        printf("skipped: readers as another user (needs root; they run as this one)\n");
    const uint64_t reads = run_readers();
    uint8_t *after = copy_segment(&after_bytes);
    require(reads > 0, "no reader read anything");
    require(before_bytes == after_bytes && memcmp(before, after, before_bytes) == 0, "D: readers changed the segment");
    free(before);
    free(after);
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "readers", 1, 0, 'r' }, { "seed", 1, 0, 's' }, { 0, 0, 0, 0 } };
    seed = (uint64_t)time(NULL);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'r')
            readers_wanted = strtoull(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else
            return 2;
    }
    printf("get_pure: seed %llu\n", (unsigned long long)seed);
    snprintf(name, sizeof name, "shoal-get-pure-%d", (int)getpid());
    in_a_child(make_map);
    in_a_child(step_reads);
    many_readers();
    shm_unlink(name);
    printf("get_pure: ok; segment bit-identical after %llu readers; seed %llu\n", (unsigned long long)readers_wanted,
           (unsigned long long)seed);
    return 0;
}
