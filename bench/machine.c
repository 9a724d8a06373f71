/* SPDX-License-Identifier: MIT
 *
 * The machine's memory: a chase, and random lines.  Its files, once they are in memory.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "machine.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session.h"
#include "workloads.h"

#define LINE 64u
#define AHEAD 32u
#define PAGE 4096u
#define CHUNK 4096u /* lines between two looks at the clock */

#define CALL_PAGES 256u
#define FILL 0.69 /* of a bucket, in the mean, where full ones are divided in two */
#define LOOK_PAGES (CALL_PAGES * 4) /* between two looks at the clock */

const char *const limit_names[LIMITS_N] = { "chase", "lines", "pages", "preads", "pwrites" };

struct line {
    uint64_t next; /* index of the one to go to */
    uint64_t rest[LINE / 8 - 1];
};

/* Full period over any power of two (Hull, Dobell 1962), and its steps look random to a prefetcher. */
static uint64_t step(uint64_t at) { return at * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); }

struct runner {
    struct line *lines;
    uint64_t mask;
    enum limit limit;
    double seconds, per_s;
    unsigned index;
    _Atomic unsigned *ready;
    unsigned workers_n;
    uint64_t sum; /* of what was read, so that nothing is left out */
};

static uint64_t chase_some(struct runner *runner, uint64_t at)
{
    for (unsigned i = 0; i < CHUNK; i++)
        at = runner->lines[at].next;
    runner->sum += at;
    return at;
}

static uint64_t read_some(struct runner *runner, uint64_t at)
{
    uint64_t where[AHEAD], sum = 0;
    for (unsigned i = 0; i < CHUNK; i += AHEAD) {
        for (unsigned j = 0; j < AHEAD; j++) {
            at = step(at);
            where[j] = at >> 20 & runner->mask; /* its low bits repeat soon */
            __builtin_prefetch(&runner->lines[where[j]]);
        }
        for (unsigned j = 0; j < AHEAD; j++)
            sum += runner->lines[where[j]].next;
    }
    runner->sum += sum;
    return at;
}

/* Each its own part, once. */
static uint64_t touch_all(const struct runner *runner)
{
    const uint64_t pages_n = (runner->mask + 1) * LINE / PAGE, part_n = pages_n / runner->workers_n;
    volatile char *page = (volatile char *)runner->lines + part_n * runner->index * PAGE;
    for (uint64_t i = 0; i < part_n; i++)
        page[i * PAGE] = 1;
    return part_n;
}

static uint64_t read_for(struct runner *runner, int64_t deadline)
{
    uint64_t at = (runner->mask + 1) / runner->workers_n * runner->index, n = 0;
    do {
        at = runner->limit == LIMIT_CHASE ? chase_some(runner, at) : read_some(runner, at);
        n += CHUNK;
    } while (workload_clock_ns() < deadline);
    return n;
}

static void *run(void *arg)
{
    struct runner *runner = arg;
    atomic_fetch_add(runner->ready, 1);
    while (atomic_load(runner->ready) < runner->workers_n)
        ;
    int64_t start = workload_clock_ns();
    uint64_t n = runner->limit == LIMIT_PAGES ? touch_all(runner)
                                              : read_for(runner, start + (int64_t)(runner->seconds * 1e9));
    runner->per_s = (double)n / ((double)(workload_clock_ns() - start) * 1e-9);
    return NULL;
}

static double measure(struct line *lines, uint64_t mask, enum limit limit, unsigned workers_n, double seconds)
{
    static struct runner runners[SESSION_WORKERS_MAX];
    pthread_t threads[SESSION_WORKERS_MAX];
    _Atomic unsigned ready = 0;
    double all = 0;
    for (unsigned i = 0; i < workers_n; i++) {
        runners[i] = (struct runner){ .lines = lines, .mask = mask, .limit = limit, .seconds = seconds, .index = i,
                                      .ready = &ready, .workers_n = workers_n };
        if (pthread_create(&threads[i], NULL, run, &runners[i]) != 0)
            _exit(1);
    }
    for (unsigned i = 0; i < workers_n; i++) {
        pthread_join(threads[i], NULL);
        all += runners[i].per_s;
    }
    return all;
}

/* -- Files -------------------------------------------------------------------------------------- */

struct disk {
    int file;
    uint64_t pages_n; /* of memory; the file has twice as many */
    char *memory;
    uint64_t at, next; /* of random steps; page of the file */
};

static uint64_t random_page(struct disk *disk)
{
    disk->at = step(disk->at);
    return (disk->at >> 20) % disk->pages_n;
}

static int read_pages(struct disk *disk)
{
    char page[PAGE];
    for (unsigned i = 0; i < LOOK_PAGES; i++)
        if (pread(disk->file, page, PAGE, (off_t)(random_page(disk) * PAGE)) != PAGE)
            return -1;
    return 0;
}

static int write_call(struct disk *disk)
{
    struct iovec parts[CALL_PAGES];
    for (unsigned i = 0; i < CALL_PAGES; i++)
        parts[i] = (struct iovec){ disk->memory + random_page(disk) * PAGE, PAGE };
    if (disk->next + CALL_PAGES > 2 * disk->pages_n)
        disk->next = 0;
    ssize_t wrote = pwritev(disk->file, parts, CALL_PAGES, (off_t)(disk->next * PAGE));
    disk->next += CALL_PAGES;
    return wrote == (ssize_t)CALL_PAGES * PAGE ? 0 : -1;
}

static int write_pages(struct disk *disk)
{
    for (unsigned i = 0; i < LOOK_PAGES / CALL_PAGES; i++)
        if (write_call(disk) != 0)
            return -1;
    return 0;
}

static double pages_per_s(struct disk *disk, int some(struct disk *disk), double seconds)
{
    const int64_t start = workload_clock_ns();
    uint64_t n = 0;
    int64_t now;
    do {
        if (some(disk) != 0)
            return (double)NAN;
        n += LOOK_PAGES;
        now = workload_clock_ns();
    } while (now < start + (int64_t)(seconds * 1e9));
    return (double)n / ((double)(now - start) * 1e-9);
}

/* All of it is there before anything is measured. */
static int disk_fill(struct disk *disk)
{
    memset(disk->memory, 1, disk->pages_n * PAGE);
    for (uint64_t n = 0; n < 2 * disk->pages_n; n += CALL_PAGES)
        if (write_call(disk) != 0)
            return -1;
    return fdatasync(disk->file);
}

static int measure_disk(const char *directory, uint64_t bytes, double seconds, double *per_s)
{
    char path[300];
    struct disk disk = { .pages_n = (uint64_t)((double)bytes / FILL / PAGE / CALL_PAGES + 1) * CALL_PAGES };
    snprintf(path, sizeof path, "%.200s/shoal-bench-limits-%ld", directory, (long)getpid());
    disk.file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    disk.memory = mmap(NULL, disk.pages_n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (disk.file < 0 || unlink(path) != 0 || disk.memory == MAP_FAILED || disk_fill(&disk) != 0)
        return -1;
    per_s[LIMIT_PREADS] = pages_per_s(&disk, read_pages, seconds);
    per_s[LIMIT_PWRITES] = pages_per_s(&disk, write_pages, seconds);
    return isnan(per_s[LIMIT_PREADS]) || isnan(per_s[LIMIT_PWRITES]) ? -1 : 0;
}

/* -- All ---------------------------------------------------------------------------------------- */

/* In a process of its own, whose memory goes with it. */
static void measure_all(uint64_t bytes, unsigned workers_n, double seconds, const char *directory, double *per_s)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    uint64_t n = 1;
    while (n * 2 * LINE <= bytes)
        n *= 2;
    struct line *lines = mmap(NULL, n * LINE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (lines == MAP_FAILED)
        _exit(1);
    for (uint64_t i = 0; i < n; i++)
        lines[i].next = step(i) & (n - 1);
    per_s[LIMIT_CHASE] = measure(lines, n - 1, LIMIT_CHASE, workers_n, seconds);
    per_s[LIMIT_LINES] = measure(lines, n - 1, LIMIT_LINES, workers_n, seconds);
    munmap(lines, n * LINE);
    /* Shared anonymous memory is of the same kind as what lies in /dev/shm. */
    lines = mmap(NULL, n * LINE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lines == MAP_FAILED)
        _exit(1);
    per_s[LIMIT_PAGES] = measure(lines, n - 1, LIMIT_PAGES, workers_n, seconds);
    munmap(lines, n * LINE);
    per_s[LIMIT_PREADS] = per_s[LIMIT_PWRITES] = (double)NAN;
    _exit(directory != NULL && measure_disk(directory, bytes, seconds, per_s) != 0);
}

int limits_measure(uint64_t bytes, unsigned workers_n, double seconds, const char *directory, double ret_per_s[LIMITS_N])
{
    const size_t room = LIMITS_N * sizeof(double);
    double *shared = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -1;
    pid_t child = fork();
    if (child == 0)
        measure_all(bytes, workers_n, seconds, directory, shared);
    int status = -1;
    int result = child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
    for (int limit = 0; limit < LIMITS_N; limit++)
        ret_per_s[limit] = shared[limit];
    munmap(shared, room);
    return result;
}
