/* SPDX-License-Identifier: MIT */
#include "unit/frame.h"

#include <stdlib.h>
#include <unistd.h>

/* -- A directory of each test's own ------------------------------------------------------------ */

static int is_mapped(const char *dir)
{
    char line[1024];
    int n = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        n += strstr(line, dir) != NULL;
    fclose(maps);
    return n;
}

int frame_setup(void **state)
{
    struct frame *f = calloc(1, sizeof *f);
    strcpy(f->dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/shoal-unit-XXXXXX" : "/tmp/shoal-unit-XXXXXX");
    f->fds = fds_open();
    *state = f;
    return mkdtemp(f->dir) == NULL;
}

int frame_teardown(void **state)
{
    struct frame *f = *state;
    int failed = 0;
    if (f->map != NULL && !f->damaged)
        assert_sound(f->map);
    shoal_close(f->map);
    dir_clear(f->dir);
    failed += rmdir(f->dir) != 0;
    if (fds_open() != f->fds || is_mapped(f->dir) != 0) {
        print_error("after close: %d descriptors open, %d before; %d mappings left\n", fds_open(), f->fds,
                    is_mapped(f->dir));
        failed++;
    }
    free(f);
    return failed;
}

const char *frame_path(struct frame *f, const char *last)
{
    char *path = f->path[f->next++ % NAMES_N];
    size_t n = strlen(f->dir);
    memcpy(path, f->dir, n);
    (void)snprintf(path + n, sizeof f->path[0] - n, "/%s", last);
    return path;
}

/* -- The map -------------------------------------------------------------------------------------- */

struct shoal_options frame_options(void)
{
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    o.capacity = 64;
    o.heap_bytes = 512 * 1024;
    o.max_threads = 8;
    return o;
}

struct shoal *frame_map(struct frame *f, const struct shoal_options *options)
{
    int rc = shoal_create(frame_path(f, "map"), options, &f->map);
    if (rc != 0)
        fail_msg("create: %d, %s", rc, shoal_error_text());
    return f->map;
}

struct shoal *frame_small(struct frame *f)
{
    struct shoal_options o = frame_options();
    return frame_map(f, &o);
}

struct shoal_stats stats_of(struct shoal *map)
{
    struct shoal_stats s = SHOAL_STATS_INIT;
    assert_int_equal(shoal_stats(map, &s), 0);
    return s;
}

void assert_sound(struct shoal *map)
{
    struct shoal_report r = SHOAL_REPORT_INIT;
    int rc = shoal_check(map, &r);
    if (rc != 0 || r.problems != 0)
        fail_msg("check: %d, %llu problems: %s", rc, (unsigned long long)r.problems, r.text);
    struct shoal_stats s = stats_of(map);
    assert_int_equal(s.heap_bytes, s.live_bytes + s.free_bytes + s.owned_bytes + s.retired_bytes + s.dead_bytes +
                                       s.overhead_bytes);
    assert_true(s.backed_bytes <= s.heap_bytes && s.payload_bytes <= s.live_bytes);
}

/* -- Values ------------------------------------------------------------------------------------------ */

void fill_bytes(void *to, size_t n, uint64_t seed)
{
    uint8_t *out = to;
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)(x >> 32);
    }
    if (n > 0)
        out[n - 1] = n % 3 == 0 ? 0 : (uint8_t)(out[n - 1] | 1);
}

int put_text(struct shoal *map, const char *key, const char *value)
{
    return shoal_put(map, key, strlen(key), value, strlen(value));
}

void assert_holds(struct shoal *map, const char *key, const char *value)
{
    char buf[4096];
    size_t n = SIZE_MAX;
    int rc = shoal_get(map, key, strlen(key), buf, sizeof buf, &n);
    if (value == NULL) {
        assert_int_equal(rc, SHOAL_MISSING);
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(n, strlen(value));
    assert_memory_equal(buf, value, n);
}

uint64_t version_of(struct shoal *map, const char *key)
{
    uint64_t version = UINT64_MAX;
    int rc = shoal_getv(map, key, strlen(key), NULL, 0, NULL, &version);
    assert_true(rc == 0 || rc == SHOAL_MISSING);
    return version;
}

/* -- Texts -------------------------------------------------------------------------------------------- */

void assert_refused(int rc, int code, const char *part)
{
    if (rc != code)
        fail_msg("answered %d, not %d; \"%s\"", rc, code, shoal_error_text());
    assert_text_has(part);
}

/* -- Children ------------------------------------------------------------------------------------------ */

void in_child(struct frame *f, child_fn *fn, void *arg, const char *what)
{
    pid_t pid = child_start();
    if (pid == 0) {
        (void)alarm(CHILD_SECONDS);
        _exit(fn(f, arg));
    }
    assert_exits(pid, what);
}
