/* SPDX-License-Identifier: MIT
 *
 * Maps in files, and the machine that stops at any moment (guarantee C, and what memory/whole.h promises).
 *
 * The disk is a copy of the file that os_flush brings up to date.  What may be on it besides: each page as it was flushed, or
 * as it is in memory now.  At every access to shared memory, and at both ends of every flush:
 *   W1 while the disk's header may say WHOLE, nothing behind the header differs between disk and memory
 * Processes die at each of these points, and are overtaken at each of them by others.  After each: the disks that may be are
 * opened in another life of the machine, and are refused or hold what was put; in the same life the map opens.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "format/segment.h"
#include "lib/random.h"
#include "shoal/shoal.h"

#define ROOM (256u * 1024)
#define KEYS_N 8u
#define NEVER UINT64_MAX
#define PAIRS 150u

/* Shared by all processes of a test; one of them runs at a time. */
static struct {
    uint8_t flushed[ROOM], lost[ROOM];
    bool watched, has_lost;
    bool may_be_whole; /* the disk's header, by now */
    uint64_t life, points, flushes, fail_at;
} *disk;

static char path[64], copy_path[64];
static uint8_t *memory; /* the map's file */
static uint64_t bytes;

/* This process. */
static uint64_t die_at = NEVER, stop_at = NEVER;
static int said[2], asked[2]; /* pipes: "I stand", "go on" */

/* -- The machine -------------------------------------------------------------------------------------------- */

static uint64_t whole_of(const uint8_t *file)
{
    uint64_t w;
    memcpy(&w, file + offsetof(struct segment_header, whole), sizeof w);
    return w;
}

static void look(void)
{
    disk->may_be_whole = disk->may_be_whole || whole_is_set(whole_of(memory));
    if (disk->may_be_whole && memcmp(memory + SEGMENT_PAGE, disk->flushed + SEGMENT_PAGE, bytes - SEGMENT_PAGE) != 0) {
        fprintf(stderr, "W1 is broken at point %llu\n", (unsigned long long)disk->points);
        abort();
    }
}

static void point(void)
{
    if (disk == NULL || !disk->watched)
        return;
    look();
    disk->points++;
    if (disk->points == die_at)
        raise(SIGKILL);
    if (disk->points == stop_at) {
        char c = 0;
        stop_at = NEVER;
        if (write(said[1], &c, 1) != 1 || read(asked[0], &c, 1) != 1)
            _exit(3);
    }
}

void shoal_point(enum shoal_point_kind kind, const volatile void *where);
void shoal_point(enum shoal_point_kind kind, const volatile void *where)
{
    (void)kind;
    (void)where;
    point();
}

/* A page that a failed flush has dropped is clean for the kernel, until somebody writes to it again. */
static void flush_pages(uint64_t n)
{
    for (uint64_t at = 0; at < n; at += SEGMENT_PAGE)
        if (!disk->has_lost || memcmp(memory + at, disk->lost + at, SEGMENT_PAGE) != 0)
            memcpy(disk->flushed + at, memory + at, SEGMENT_PAGE);
    disk->may_be_whole = whole_is_set(whole_of(disk->flushed));
}

int __wrap_os_flush(void *at, uint64_t n);
int __wrap_os_flush(void *at, uint64_t n)
{
    (void)at; /* always the beginning */
    if (!disk->watched)
        return 0;
    point();
    if (++disk->flushes == disk->fail_at) {
        memcpy(disk->lost, memory, bytes);
        disk->has_lost = true;
        errno = EIO;
        return -1;
    }
    flush_pages(n < bytes ? n : bytes);
    point();
    return 0;
}

bool __wrap_os_file_outlives(int fd);
bool __wrap_os_file_outlives(int fd) { return (void)fd, true; }

int __wrap_os_boot(uint8_t ret_boot[OS_BOOT_BYTES]);
int __wrap_os_boot(uint8_t ret_boot[OS_BOOT_BYTES])
{
    for (int i = 0; i < OS_BOOT_BYTES; i++)
        ret_boot[i] = (uint8_t)(random_mix(disk->life) >> i % 8 * 8);
    return 0;
}

/* -- Maps ---------------------------------------------------------------------------------------------------- */

static void value_of(uint32_t k, uint64_t seed, uint8_t to[600])
{
    uint64_t random = random_mix(seed * 131 + k);
    for (uint32_t i = 0; i < 600; i++)
        to[i] = (uint8_t)random_next(&random);
}

static int put(struct shoal *map, uint32_t k, uint64_t seed)
{
    uint8_t value[600];
    value_of(k, seed, value);
    return shoal_put(map, &k, sizeof k, value, sizeof value);
}

/* 0: missing; else which of the seeds. */
static uint64_t seed_of(struct shoal *map, uint32_t k)
{
    uint8_t value[600], expected[600];
    size_t n;
    int rc = shoal_get(map, &k, sizeof k, value, sizeof value, &n);
    if (rc == SHOAL_MISSING)
        return 0;
    assert_int_equal(rc, 0);
    for (uint64_t seed = 1; seed < 4; seed++) {
        value_of(k, seed, expected);
        if (n == sizeof value && memcmp(value, expected, n) == 0)
            return seed;
    }
    fail_msg("key %u has a value that nobody put", k);
    return 0;
}

enum before { BEFORE_OPEN, BEFORE_CLOSED, BEFORE_OTHER_LIFE, BEFORES };

/* A map whose only process died without closing it; nothing was flushed. */
static void make(void)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    options.capacity = 16;
    options.heap_bytes = 64 * 1024;
    options.max_threads = 4;
    options.flags = SHOAL_CHECKSUM;
    if (shoal_create(path, &options, &map) != 0)
        _exit(2);
    for (uint32_t k = 0; k < KEYS_N; k++)
        if (put(map, k, 1) != 0)
            _exit(2);
    _exit(0);
}

static void begin(enum before before)
{
    struct shoal *map;
    struct stat st;
    int status;
    uint64_t life = disk->life;
    memset(disk, 0, sizeof *disk);
    disk->life = life + 1;
    disk->fail_at = NEVER;
    (void)unlink(path);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        make();
    assert_true(waitpid(pid, &status, 0) == pid && status == 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size <= ROOM);
    bytes = (uint64_t)st.st_size;
    memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(memory != MAP_FAILED);
    close(fd);
    disk->watched = true;
    if (before != BEFORE_OPEN) {
        assert_int_equal(shoal_open(path, 0, &map), 0);
        shoal_close(map);
    }
    disk->life += before == BEFORE_OTHER_LIFE;
    disk->points = disk->flushes = 0;
}

static void end(void)
{
    (void)munmap(memory, bytes);
    memory = NULL;
    disk->watched = false;
    (void)unlink(path);
    (void)unlink(copy_path);
}

/* What a process does: key 0 is replaced, one is new, one goes. */
static void work(uint64_t seed)
{
    struct shoal *map;
    uint32_t k = 1;
    if (shoal_open(path, 0, &map) != 0) {
        fprintf(stderr, "%s\n", shoal_error_text());
        _exit(2);
    }
    if (put(map, 0, seed) != 0 || put(map, KEYS_N + (uint32_t)seed, seed) != 0 || shoal_delete(map, &k, sizeof k) < 0)
        _exit(2);
    shoal_close(map);
}

/* -- What may be left ------------------------------------------------------------------------------------------ */

/* How a page of the disk may be. */
enum page { PAGE_FLUSHED, PAGE_MEMORY, PAGE_EITHER };

static void copy_make(enum page header, enum page others, uint64_t *random)
{
    static uint8_t copy[ROOM];
    for (uint64_t at = 0; at < bytes; at += SEGMENT_PAGE) {
        enum page page = at == 0 ? header : others;
        bool flushed = page == PAGE_FLUSHED || (page == PAGE_EITHER && random_below(random, 2));
        memcpy(copy + at, (flushed ? disk->flushed : memory) + at, SEGMENT_PAGE);
    }
    int fd = open(copy_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, copy, bytes), bytes);
    close(fd);
}

static void assert_contents(struct shoal *map)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    assert_true(seed_of(map, 0) >= 1);
    (void)seed_of(map, 1);
    for (uint32_t k = 2; k < KEYS_N; k++)
        assert_int_equal(seed_of(map, k), 1);
    if (shoal_check(map, &report) != 0)
        fail_msg("%s", report.text);
}

static bool copy_opens(unsigned flags)
{
    struct shoal *map;
    int rc = shoal_open(copy_path, flags, &map);
    if (rc != 0) {
        assert_int_equal(rc, SHOAL_ECORRUPT);
        bool never_flushed = strstr(shoal_error_text(), "not a Shoal map") != NULL;
        assert_true(never_flushed || strstr(shoal_error_text(), "`shoal salvage`") != NULL);
        return false;
    }
    assert_contents(map);
    shoal_close(map);
    return true;
}

/* How many of the disks that may be are whole. */
static uint32_t judge(uint64_t seed)
{
    static const enum page others[] = { PAGE_FLUSHED, PAGE_MEMORY, PAGE_EITHER };
    uint32_t whole = 0;
    disk->watched = false;
    copy_make(PAGE_MEMORY, PAGE_MEMORY, &seed);
    assert_true(copy_opens(0)); /* in the same life */
    disk->life++;
    for (enum page header = PAGE_FLUSHED; header <= PAGE_MEMORY; header++)
        for (uint32_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            copy_make(header, others[i], &seed);
            bool opens = copy_opens(SHOAL_RDONLY);
            assert_int_equal(copy_opens(0), opens);
            whole += opens;
        }
    disk->life--;
    disk->watched = true;
    return whole;
}
#define ALL_WHOLE 6u

/* -- Processes -------------------------------------------------------------------------------------------------- */

struct process {
    pid_t pid;
    int stands, go;
};

/* Points count from the start of each process. */
static struct process start(uint64_t die, uint64_t stop, uint64_t seed)
{
    fflush(NULL);
    disk->points = 0;
    assert_true(pipe2(said, O_CLOEXEC) == 0 && pipe2(asked, O_CLOEXEC) == 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        die_at = die;
        stop_at = stop;
        work(seed);
        look();
        _exit(0);
    }
    close(said[1]);
    close(asked[0]);
    return (struct process){ pid, said[0], asked[1] };
}

/* True where it stands at its point, false where it has ended. */
static bool stands(const struct process *p)
{
    char c;
    return read(p->stands, &c, 1) == 1;
}

/* Waits for its end.  True: by itself. */
static bool ended(const struct process *p)
{
    int status;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    close(p->stands);
    close(p->go);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return false;
    assert_int_equal(status, 0);
    return true;
}

/* What stood goes on, and nobody else stops it. */
static bool goes_on(const struct process *p)
{
    char c = 0;
    disk->points = NEVER / 2;
    assert_int_equal(write(p->go, &c, 1), 1);
    return ended(p);
}

static void a_killed_process_leaves_a_whole_file_or_a_refused_one(void **state)
{
    (void)state;
    for (enum before before = 0; before < BEFORES; before++) {
        uint32_t whole = 0;
        for (uint64_t n = 1;; n++) {
            begin(before);
            struct process p = start(n, NEVER, 2);
            bool finished = ended(&p);
            uint32_t now = judge(n);
            whole += now > 0;
            if (finished)
                assert_int_equal(now, ALL_WHOLE);
            if (finished)
                print_message("before %u: killed at each of %llu points, whole behind %u\n", before,
                              (unsigned long long)n - 1, whole);
            end();
            if (finished)
                break;
        }
    }
}

/* Once more, after what a dead one left: who comes next closes it. */
static void who_comes_behind_a_death_closes_in_order(void **state)
{
    (void)state;
    for (enum before before = 0; before < BEFORES; before++)
        for (uint64_t n = 1, finished = 0; !finished; n += 7) {
            begin(before);
            struct process p = start(n, NEVER, 2);
            finished = ended(&p);
            struct process q = start(NEVER, NEVER, 3);
            assert_true(ended(&q));
            assert_int_equal(judge(n), ALL_WHOLE);
            end();
        }
}

static void an_overtaken_process_makes_nothing_whole_that_is_not(void **state)
{
    (void)state;
    for (enum before before = 0; before < BEFORES; before++)
        for (uint64_t n = 1, finished = 0; !finished; n++) {
            begin(before);
            struct process p = start(NEVER, n, 2);
            finished = !stands(&p);
            struct process q = start(NEVER, NEVER, 3);
            assert_true(ended(&q));
            assert_true(finished ? ended(&p) : goes_on(&p));
            assert_int_equal(judge(n), ALL_WHOLE);
            end();
        }
}

/* Both stand somewhere; then one of them goes on or dies, then the other. */
static void two_processes_at_any_two_points(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PAIRS; seed++) {
        uint64_t random = random_mix(seed);
        begin((enum before)random_below(&random, BEFORES));
        struct process p[2];
        bool standing[2];
        for (uint32_t i = 0; i < 2; i++) {
            p[i] = start(NEVER, 1 + random_below(&random, 200), 2 + i);
            standing[i] = stands(&p[i]);
        }
        uint32_t first = random_below(&random, 2);
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t who = i ^ first;
            bool killed = random_below(&random, 3) == 0;
            if (killed)
                kill(p[who].pid, SIGKILL);
            (void)(standing[who] && !killed ? goes_on(&p[who]) : ended(&p[who]));
            (void)judge(seed);
        }
        struct process last = start(NEVER, NEVER, 2);
        assert_true(ended(&last));
        if (judge(seed) != ALL_WHOLE)
            fail_msg("seed %llu: not closed", (unsigned long long)seed);
        end();
    }
}

/* -- A disk that fails --------------------------------------------------------------------------------------------- */

static void what_a_failed_flush_dropped_is_never_whole(void **state)
{
    struct shoal *map;
    (void)state;
    for (uint64_t n = 1;; n++) {
        begin(BEFORE_CLOSED);
        disk->fail_at = n;
        int rc = shoal_open(path, 0, &map);
        assert_true(rc == 0 || (rc == SHOAL_EOS && n == 1));
        if (rc == 0) {
            for (uint32_t i = 0; i < 40; i++) /* to pages that who comes later leaves alone */
                assert_int_equal(put(map, 2 + i % (KEYS_N - 2), 1), 0);
            shoal_close(map);
        }
        bool failed = disk->flushes >= n;
        disk->fail_at = NEVER;
        for (uint64_t i = 0; i < 2; i++) {
            struct process p = start(NEVER, NEVER, 3);
            assert_true(ended(&p));
            (void)judge(n);
        }
        end();
        if (!failed) {
            assert_int_equal(n, 4); /* of the header, of everything, of the header */
            break;
        }
    }
}

/* -- Lives ------------------------------------------------------------------------------------------------------- */

static void closed_maps_open_in_many_lives(void **state)
{
    struct shoal *map, *reader;
    (void)state;
    begin(BEFORE_CLOSED);
    for (uint64_t i = 0; i < 20; i++) {
        disk->life++;
        assert_int_equal(shoal_open(path, SHOAL_RDONLY, &reader), 0);
        assert_contents(reader);
        assert_int_equal(shoal_open(path, 0, &map), 0);
        assert_contents(reader);
        assert_int_equal(put(map, 0, 1 + i % 3), 0);
        shoal_close(map);
        assert_int_equal(seed_of(reader, 0), 1 + i % 3);
        shoal_close(reader);
    }
    end();
}

static void an_open_map_is_refused_in_another_life_and_can_be_removed(void **state)
{
    struct shoal *map, *other;
    (void)state;
    begin(BEFORE_CLOSED);
    assert_int_equal(shoal_open(path, 0, &map), 0);
    disk->life++;
    for (unsigned flags = 0; flags <= SHOAL_RDONLY; flags++) {
        assert_int_equal(shoal_open(path, flags, &other), SHOAL_ECORRUPT);
        assert_non_null(strstr(shoal_error_text(), "was not closed when the machine stopped"));
        assert_non_null(strstr(shoal_error_text(), "`shoal salvage`"));
    }
    disk->life--;
    assert_int_equal(shoal_open(path, SHOAL_RDONLY, &other), 0);
    shoal_close(other);
    assert_int_equal(shoal_unlink(path), 0);
    shoal_close(map);
    end();
}

int main(void)
{
    disk = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(path, sizeof path, "/dev/shm/shoal-whole-%ld", (long)getpid());
    snprintf(copy_path, sizeof copy_path, "/dev/shm/shoal-whole-%ld-copy", (long)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_maps_open_in_many_lives),
        cmocka_unit_test(an_open_map_is_refused_in_another_life_and_can_be_removed),
        cmocka_unit_test(a_killed_process_leaves_a_whole_file_or_a_refused_one),
        cmocka_unit_test(who_comes_behind_a_death_closes_in_order),
        cmocka_unit_test(an_overtaken_process_makes_nothing_whole_that_is_not),
        cmocka_unit_test(two_processes_at_any_two_points),
        cmocka_unit_test(what_a_failed_flush_dropped_is_never_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
