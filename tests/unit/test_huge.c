/* SPDX-License-Identifier: MIT
 *
 * Huge pages: given where the file system gives them, counted, and refused by name where they cannot work.
 */
#include "unit/frame.h"

#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#define MIB ((uint64_t)1 << 20)

/* A mount of this process's own, gone with it. */
static bool mount_here(const char *type, const char *where, const char *options)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(type, where, type, 0, options) == 0;
}

static int create_in(struct frame *f, struct shoal **ret_map)
{
    static char path[PATH_MAX];
    struct shoal_options o = frame_options();
    (void)snprintf(path, sizeof path, "%s/map", f->dir);
    o.capacity = 100000;
    o.heap_bytes = 32 * MIB;
    return shoal_create(path, &o, ret_map);
}

static uint64_t huge_bytes_of(struct shoal *map)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    return shoal_stats(map, &stats) == 0 && stats.huge_bytes <= stats.segment_bytes ? stats.huge_bytes : UINT64_MAX;
}

static int fill(struct shoal *map)
{
    static const uint8_t value[1000];
    for (uint64_t i = 0; i < 10000; i++)
        CHECK(shoal_put(map, &i, sizeof i, value, sizeof value) == 0);
    return 0;
}

/* options: of the mount; huge: whether it gives any. */
static int map_on(struct frame *f, const char *options, bool huge)
{
    struct shoal *map = NULL;
    if (!mount_here("tmpfs", f->dir, options))
        return CHILD_SKIPS;
    CHECK(create_in(f, &map) == 0);
    CHECK(fill(map) == 0);
    uint64_t got = huge_bytes_of(map);
    fprintf(stderr, "%s: %llu bytes by huge pages\n", options, (unsigned long long)got);
    CHECK(huge ? got >= 8 * MIB && got != UINT64_MAX : got == 0);
    shoal_close(map);
    return 0;
}

static int map_on_always(struct frame *f, void *arg) { return (void)arg, map_on(f, "size=128m,huge=always", true); }
static int map_on_never(struct frame *f, void *arg) { return (void)arg, map_on(f, "size=128m,huge=never", false); }

static void a_tmpfs_gives_huge_pages(void **state)
{
    const char *why = "a_tmpfs_gives_huge_pages (no such mount is permitted)";
    in_child(*state, map_on_always, NULL, why);
    in_child(*state, map_on_never, NULL, why);
}

static int map_on_hugetlbfs(struct frame *f, void *arg)
{
    struct shoal *map = NULL;
    (void)arg;
    if (!mount_here("hugetlbfs", f->dir, NULL))
        return CHILD_SKIPS;
    CHECK(create_in(f, &map) == SHOAL_EOS && map == NULL);
    CHECK(strstr(shoal_error_text(), "hugetlbfs cannot be written to; a tmpfs mounted with huge=always") != NULL);
    return 0;
}

static void hugetlbfs_is_refused_by_name(void **state)
{
    in_child(*state, map_on_hugetlbfs, NULL, "hugetlbfs_is_refused_by_name (no such mount is permitted)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(a_tmpfs_gives_huge_pages),
        FRAME_TEST(hugetlbfs_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
