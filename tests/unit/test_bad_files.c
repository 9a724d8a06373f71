/* SPDX-License-Identifier: MIT
 *
 * Names that are none, and files that are no maps or damaged ones, seen through the public calls: each has
 * its code and a text that names it, and nothing is left behind (guarantee E).
 */
#include "unit/frame.h"
#include "unit/segment_image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CREATE = 1, OPEN = 2, UNLINK = 4, ALL = 7 };

static void assert_name_refused(unsigned calls, const char *name, int code, const char *text)
{
    struct shoal_options o = frame_options();
    struct shoal *map = NULL;
    if (calls & CREATE) {
        assert_refused(shoal_create(name, &o, &map), code, text);
        assert_refused(shoal_open_or_create(name, &o, 0, &map), code, text);
    }
    if (calls & OPEN) {
        assert_refused(shoal_open(name, 0, &map), code, text);
        assert_refused(shoal_open(name, SHOAL_RDONLY | SHOAL_FOREIGN, &map), code, text);
        assert_refused(shoal_open_or_create(name, &o, 0, &map), code, text);
    }
    if (calls & UNLINK)
        assert_refused(shoal_unlink(name), code, text);
    assert_null(map);
}

/* -- Names ---------------------------------------------------------------------------------------------- */

static void null_names(void **state)
{
    struct frame *f = *state;
    assert_name_refused(ALL, NULL, SHOAL_EINVAL, "name is NULL");
    assert_refused(shoal_create(frame_path(f, "map"), NULL, NULL), SHOAL_EINVAL, "ret_map is NULL");
    assert_refused(shoal_open(frame_path(f, "map"), 0, NULL), SHOAL_EINVAL, "ret_map is NULL");
    assert_refused(shoal_open_or_create(frame_path(f, "map"), NULL, 0, NULL), SHOAL_EINVAL, "ret_map is NULL");
}

static void bare_names_that_are_refused(void **state)
{
    char name[66];
    (void)state;
    assert_name_refused(ALL, "", SHOAL_EINVAL, "name \"\": empty");
    assert_name_refused(ALL, ".", SHOAL_EINVAL, "name \".\": leading dot");
    assert_name_refused(ALL, "..", SHOAL_EINVAL, "name \"..\": leading dot");
    assert_name_refused(ALL, ".jobs", SHOAL_EINVAL, "name \".jobs\": leading dot");
    assert_name_refused(ALL, "jo%62s", SHOAL_EINVAL, "name \"jo%62s\": byte '%' at 2");
    assert_name_refused(ALL, "%s%n", SHOAL_EINVAL, "name \"%s%n\": byte '%' at 0");
    assert_name_refused(ALL, "jobs ", SHOAL_EINVAL, "byte ' ' at 4");
    assert_name_refused(ALL, "a\nb", SHOAL_EINVAL, "name \"a\\x0ab\": byte 0x0a at 1");
    assert_name_refused(ALL, "caf\xc3\xa9", SHOAL_EINVAL, "byte 0xc3 at 3");
    memset(name, 'a', sizeof name);
    name[65] = '\0';
    assert_name_refused(ALL, name, SHOAL_EINVAL, "65 bytes; bare names are [A-Za-z0-9._-]{1,64}");
}

static void components_that_are_too_long(void **state)
{
    char last[301];
    memset(last, 'x', sizeof last);
    last[300] = '\0';
    const char *path = frame_path(*state, last);
    assert_name_refused(ALL, path, SHOAL_EINVAL, "component of 300 bytes");
    memset(last, 'y', sizeof last);
    memcpy(last + 290, "/jobs", 6);
    assert_name_refused(ALL, frame_path(*state, last), SHOAL_EINVAL, "component of 290 bytes");
}

static void ends_that_are_no_regular_files(void **state)
{
    struct frame *f = *state;
    struct shoal_options o = frame_options();
    (void)frame_small(f);
    assert_int_equal(symlink(frame_path(f, "map"), frame_path(f, "link")), 0);
    assert_int_equal(symlink("/nowhere", frame_path(f, "broken")), 0);
    assert_int_equal(mkdir(frame_path(f, "directory"), 0700), 0);
    assert_int_equal(mkfifo(frame_path(f, "fifo"), 0600), 0);
    assert_name_refused(ALL, frame_path(f, "link"), SHOAL_EINVAL, "link: a symbolic link; a map is a regular file");
    assert_name_refused(ALL, frame_path(f, "broken"), SHOAL_EINVAL, "broken: a symbolic link");
    assert_name_refused(ALL, frame_path(f, "directory"), SHOAL_EINVAL, "directory: a directory");
    assert_name_refused(ALL, frame_path(f, "fifo"), SHOAL_EINVAL, "fifo: a FIFO");
    assert_name_refused(ALL, "/dev/null", SHOAL_EINVAL, "/dev/null: a device");
    assert_name_refused(ALL, frame_path(f, "directory/"), SHOAL_EINVAL, "must end in a file's name");
    assert_name_refused(ALL, frame_path(f, "directory/.."), SHOAL_EINVAL, "must end in a file's name");
    assert_name_refused(OPEN | UNLINK, frame_path(f, "map/jobs"), SHOAL_EOS, "directory: Not a directory");
    struct shoal *map = NULL;
    assert_refused(shoal_create(frame_path(f, "nowhere/jobs"), &o, &map), SHOAL_EOS, "No such file");
    assert_null(map);
    assert_int_equal(access(frame_path(f, "map"), F_OK), 0);
}

static void names_of_nothing(void **state)
{
    struct frame *f = *state;
    struct shoal *map = NULL;
    assert_refused(shoal_open(frame_path(f, "none"), 0, &map), SHOAL_ENOMAP, "none: no such map");
    assert_refused(shoal_open("shoal-unit.none", SHOAL_RDONLY, &map), SHOAL_ENOMAP, "shoal-unit.none: no such map");
    assert_refused(shoal_unlink(frame_path(f, "none")), SHOAL_ENOMAP, "none: no such map");
    assert_refused(shoal_unlink("shoal-unit.none"), SHOAL_ENOMAP, "shoal-unit.none: no such map");
    (void)frame_small(f);
    assert_refused(shoal_create(frame_path(f, "map"), NULL, &map), SHOAL_EMAPEXISTS, "map: exists already");
    assert_null(map);
}

/* -- Foreign and damaged files ------------------------------------------------------------------------------ */

static void assert_file_refused(struct frame *f, int code, const char *text)
{
    assert_name_refused(OPEN, frame_path(f, "map"), code, text);
    assert_name_refused(OPEN, frame_path(f, "map"), code, frame_path(f, "map"));
}

/* A closed map with a few records. */
static void make_file(struct frame *f, struct geometry *ret_geometry)
{
    struct shoal *map = frame_small(f);
    struct image image;
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(shoal_put(map, &i, sizeof i, "value", 5), 0);
    shoal_close(map);
    f->map = NULL;
    image_open(&image, frame_path(f, "map"));
    *ret_geometry = image.segment.geo;
    image_close(&image);
}

static void resize(struct frame *f, uint64_t bytes)
{
    assert_int_equal(truncate(frame_path(f, "map"), (off_t)bytes), 0);
}

static void foreign_files(void **state)
{
    struct frame *f = *state;
    int fd = open(frame_path(f, "map"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, "#!/bin/sh\n", 10) == 10);
    close(fd);
    assert_file_refused(f, SHOAL_ECORRUPT, "truncated: 10 bytes, a header has 4096");
    assert_refused(shoal_unlink(frame_path(f, "map")), SHOAL_ECORRUPT, "so not removed");
    resize(f, 100000);
    assert_file_refused(f, SHOAL_ECORRUPT, "not a Shoal map (bytes 0..7 are ");
    assert_refused(shoal_unlink(frame_path(f, "map")), SHOAL_ECORRUPT, "so not removed");
    resize(f, 0);
    assert_file_refused(f, SHOAL_ECORRUPT, "empty, not a Shoal map");
    assert_name_refused(CREATE & ~OPEN, frame_path(f, "none/"), SHOAL_EINVAL, "none/");
    assert_int_equal(access(frame_path(f, "map"), F_OK), 0);
}

static void maps_of_other_users(void **state)
{
    struct frame *f = *state;
    struct geometry g;
    struct shoal *map = NULL;
    make_file(f, &g);
    const char *path = frame_path(f, "map");
    if (chown(path, 65534, (gid_t)-1) != 0) {
        print_message("skipped: maps_of_other_users (not root)\n");
        return;
    }
    assert_refused(shoal_open(path, 0, &map), SHOAL_EOS, "belongs to uid 65534, and this process is uid ");
    assert_refused(shoal_open(path, SHOAL_RDONLY, &map), SHOAL_EOS, "SHOAL_FOREIGN accepts that");
    assert_refused(shoal_open_or_create(path, NULL, 0, &map), SHOAL_EOS, path);
    assert_null(map);
    assert_int_equal(shoal_open(path, SHOAL_RDONLY | SHOAL_FOREIGN, &map), 0);
    assert_int_equal(stats_of(map).count, 20);
    shoal_close(map);
    assert_int_equal(shoal_open(path, SHOAL_FOREIGN, &f->map), 0);
    assert_int_equal(put_text(f->map, "key", "a"), 0);
}

static void truncated_and_zeroed_maps(void **state)
{
    struct frame *f = *state;
    struct geometry g;
    make_file(f, &g);
    uint64_t lengths[] = { 1, 7, 8, 511, 4095, 4096, g.groups_at, g.heap_at, g.segment_bytes - 4096, g.segment_bytes - 1 };
    for (size_t i = sizeof lengths / sizeof lengths[0]; i-- > 0;) {
        resize(f, lengths[i]);
        assert_file_refused(f, SHOAL_ECORRUPT, "truncated: ");
    }
    assert_int_equal(unlink(frame_path(f, "map")), 0);
    make_file(f, &g);
    resize(f, g.segment_bytes + 1);
    assert_file_refused(f, SHOAL_ECORRUPT, "longer than its header says");
    resize(f, g.segment_bytes);
    static const uint8_t zeros[4096];
    image_write(frame_path(f, "map"), zeros, sizeof zeros, 0);
    assert_file_refused(f, SHOAL_ECORRUPT, "not a Shoal map (bytes 0..7 are 0000000000000000)");
    resize(f, 0);
    resize(f, g.segment_bytes);
    assert_file_refused(f, SHOAL_ECORRUPT, "not a Shoal map");
}

static void other_versions_and_byte_orders(void **state)
{
    struct frame *f = *state;
    struct geometry g;
    make_file(f, &g);
    const char *path = frame_path(f, "map");
    uint32_t layout = SEGMENT_LAYOUT + 1, endian = __builtin_bswap32(SEGMENT_ENDIAN);
    uint64_t magic = __builtin_bswap64(SEGMENT_MAGIC);
    image_write(path, &layout, sizeof layout, offsetof(struct segment_header, layout));
    assert_file_refused(f, SHOAL_EVERSION, "layout version 2, this library reads 1");
    image_write_header(path, &g);
    image_write(path, &endian, sizeof endian, offsetof(struct segment_header, endian));
    assert_file_refused(f, SHOAL_EVERSION, "byte order mark 0x04030201, this machine writes 0x01020304");
    image_write_header(path, &g);
    image_write(path, &magic, sizeof magic, 0);
    assert_file_refused(f, SHOAL_EVERSION, "the other byte order");
    struct geometry newer = g;
    newer.features |= (uint64_t)1 << 40;
    image_write_header(path, &newer);
    assert_file_refused(f, SHOAL_EVERSION, "features 0x10000000000, this library knows 0x3");
    newer.features = g.features | FEATURE_EXPIRY;
    image_write_header(path, &newer);
    assert_file_refused(f, SHOAL_EVERSION, "features 0x4");
    image_write_header(path, &g);
    assert_int_equal(shoal_open(path, 0, &f->map), 0);
    assert_int_equal(stats_of(f->map).count, 20);
}

static void every_flipped_byte_of_the_geometry(void **state)
{
    struct frame *f = *state;
    struct geometry g;
    struct shoal *map = NULL;
    make_file(f, &g);
    const char *path = frame_path(f, "map");
    for (size_t at = 0; at < offsetof(struct segment_header, pad0); at++) {
        struct segment_header header;
        geometry_header(&g, &header);
        for (int bit = 0; bit < 8; bit++) {
            uint8_t byte = (uint8_t)(((uint8_t *)&header)[at] ^ 1u << bit);
            image_write(path, &byte, 1, at);
            int rc = shoal_open(path, 0, &map);
            if (rc != SHOAL_ECORRUPT && rc != SHOAL_EVERSION)
                fail_msg("bit %d of byte %zu: %d", bit, at, rc);
            assert_text_has(path);
        }
        image_write(path, (uint8_t *)&header + at, 1, at);
    }
    assert_null(map);
    assert_int_equal(shoal_open(path, 0, &f->map), 0);
}

/* -- Geometries that lie, with a checksum that is right ---------------------------------------------------------- */

#define GEOMETRY_WORDS (sizeof(struct geometry) / 4)

/* Fields that may hold anything of their kind: then a key may not be found, or a limit may be another one.
 * A capacity may be any that leads to the same table. */
static bool may_be_any(size_t at)
{
    static const struct {
        size_t from, to;
    } fields[] = {
        { offsetof(struct geometry, capacity), offsetof(struct geometry, groups_n) },
        { offsetof(struct geometry, max_key_bytes), offsetof(struct geometry, features) + 4 },
        { offsetof(struct geometry, created_ns), offsetof(struct geometry, entries_n) },
        { offsetof(struct geometry, reserved), sizeof(struct geometry) },
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (at >= fields[i].from && at < fields[i].to)
            return true;
    return false;
}

static int use_all(struct frame *f, void *arg)
{
    (void)arg;
    struct shoal *map;
    struct shoal_iter *iter;
    struct shoal_item item;
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    char buf[16];
    int rc = shoal_open(frame_path(f, "map"), 0, &map);
    if (rc != 0)
        return 0;
    for (uint64_t i = 0; i < 30; i++) {
        (void)shoal_get(map, &i, sizeof i, buf, sizeof buf, NULL);
        (void)shoal_put(map, &i, sizeof i, "other", 5);
        (void)shoal_delete(map, &i, sizeof i);
    }
    CHECK(shoal_iter_open(map, NULL, 0, &iter) == 0);
    for (int i = 0; i < 100 && shoal_iter_next(iter, &item) != SHOAL_END; i++) {
    }
    shoal_iter_close(iter);
    (void)shoal_check(map, &report);
    CHECK(shoal_stats(map, &stats) == 0);
    (void)shoal_reap(map, NULL);
    shoal_close(map);
    return 0;
}

static void try_geometry(struct frame *f, const struct geometry *lie, size_t at)
{
    struct shoal *map = NULL;
    const char *path = frame_path(f, "map");
    image_write_header(path, lie);
    int rc = shoal_open(path, 0, &map);
    if (rc == 0) {
        shoal_close(map);
        if (!may_be_any(at))
            fail_msg("word at %zu of the geometry: a lie was believed", at);
        in_child(f, use_all, NULL, "");
        return;
    }
    if (rc != SHOAL_ECORRUPT && rc != SHOAL_EVERSION)
        fail_msg("word at %zu of the geometry: %d, %s", at, rc, shoal_error_text());
    assert_text_has(path);
}

static void geometries_that_lie(void **state)
{
    struct frame *f = *state;
    struct geometry g;
    make_file(f, &g);
    for (size_t i = 0; i < GEOMETRY_WORDS; i++) {
        uint32_t word;
        memcpy(&word, (uint8_t *)&g + i * 4, 4);
        const uint32_t lies[] = { 0, UINT32_MAX, word + 1, word - 1, word * 2, word / 2, word ^ 0x80000000u, word + 4096 };
        for (size_t j = 0; j < sizeof lies / sizeof lies[0]; j++) {
            struct geometry lie = g;
            if (lies[j] == word)
                continue;
            memcpy((uint8_t *)&lie + i * 4, &lies[j], 4);
            try_geometry(f, &lie, i * 4);
        }
    }
    image_write_header(frame_path(f, "map"), &g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(null_names),
        FRAME_TEST(bare_names_that_are_refused),
        FRAME_TEST(components_that_are_too_long),
        FRAME_TEST(ends_that_are_no_regular_files),
        FRAME_TEST(names_of_nothing),
        FRAME_TEST(foreign_files),
        FRAME_TEST(maps_of_other_users),
        FRAME_TEST(truncated_and_zeroed_maps),
        FRAME_TEST(other_versions_and_byte_orders),
        FRAME_TEST(every_flipped_byte_of_the_geometry),
        FRAME_TEST(geometries_that_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
