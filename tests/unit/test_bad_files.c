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
    assert_file_refused(f, SHOAL_EVERSION, "layout version 4, this library reads 3");
    image_write_header(path, &g);
    image_write(path, &endian, sizeof endian, offsetof(struct segment_header, endian));
    assert_file_refused(f, SHOAL_EVERSION, "byte order mark 0x04030201, this machine writes 0x01020304");
    image_write_header(path, &g);
    image_write(path, &magic, sizeof magic, 0);
    assert_file_refused(f, SHOAL_EVERSION, "the other byte order");
    struct geometry newer = g;
    newer.features |= (uint64_t)1 << 40;
    image_write_header(path, &newer);
    assert_file_refused(f, SHOAL_EVERSION, "features 0x10000000000, this library knows 0x1b");
    newer.features = g.features | FEATURE_EXPIRY;
    image_write_header(path, &newer);
    assert_file_refused(f, SHOAL_EVERSION, "features 0x4");
    image_write_header(path, &g);
    assert_int_equal(shoal_open(path, 0, &f->map), 0);
    assert_int_equal(stats_of(f->map).count, 20);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
