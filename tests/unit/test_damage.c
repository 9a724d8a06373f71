/* SPDX-License-Identifier: MIT
 *
 * Bad bytes never crash an attacher (guarantee E): bytes of a segment are flipped, one at a time and many
 * at once, and every call is made on it.  Each answers; none reads outside (the mapping lies between guard
 * pages), none hangs (an alarm ends the child), and what is lost is reported by check.
 *
 *     test_damage [SEED [ROUNDS [FLIPS]]]      other scribbles, more of them, and up to 9 flips of each byte
 */
#include "unit/frame.h"
#include "unit/segment_image.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/random.h"
#include "table/record.h"

#define GUARD ((size_t)1 << 16)
#define SECONDS_MAX 60 /* for one damage; it takes milliseconds */

static uint64_t seed_of_run = 1, scribbles_of_run = 2000, flips_of_run = 3;

/* -- Guard pages --------------------------------------------------------------------------------------- */

void *__real_os_map(int fd, uint64_t bytes, bool writable);
void *__wrap_os_map(int fd, uint64_t bytes, bool writable);
void __wrap_os_unmap(void *at, uint64_t bytes);

/* The linker sends the library's os_map here. */
void *__wrap_os_map(int fd, uint64_t bytes, bool writable)
{
    uint8_t *room = mmap(NULL, bytes + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
    void *at = mmap(room + GUARD, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

void __wrap_os_unmap(void *at, uint64_t bytes)
{
    (void)munmap((uint8_t *)at - GUARD, bytes + 2 * GUARD);
}

/* -- What is in the map ------------------------------------------------------------------------------------ */

#define KEYS 26u
#define LONG_BYTES 40000u /* its length stands in a word of its own */

static size_t bytes_of(uint64_t i) { return i == 0 ? LONG_BYTES : i == 1 ? 5000 : (size_t)(i * 9); }

/* The sound map's bytes. */
struct original {
    uint8_t *bytes;
    struct image image; /* the file, mapped */
};

static void original_make(struct frame *f, uint32_t flags, struct original *o)
{
    struct shoal_options options = frame_options();
    struct shoal_how how = SHOAL_HOW_INIT;
    static uint8_t value[LONG_BYTES];
    options.capacity = 40;
    options.heap_bytes = 256 * 1024;
    options.max_threads = 2;
    options.flags = flags;
    struct shoal *map = frame_map(f, &options);
    for (uint64_t i = 0; i < KEYS + 6; i++) {
        fill_bytes(value, bytes_of(i), i);
        how.type = i % 3 == 0 ? SHOAL_STR : SHOAL_RAW;
        assert_int_equal(shoal_put_with(map, &i, sizeof i, value, bytes_of(i), &how, NULL), 0);
    }
    for (uint64_t i = KEYS; i < KEYS + 6; i++)
        assert_int_equal(shoal_delete(map, &i, sizeof i), 0);
    assert_int_equal(shoal_incr(map, "n", 1, 7, NULL), 0);
    shoal_close(map);
    f->map = NULL;
    image_open(&o->image, frame_path(f, "map"));
    o->bytes = malloc(o->image.bytes);
    assert_non_null(o->bytes);
    memcpy(o->bytes, o->image.base, o->image.bytes);
}

static void original_free(struct original *o)
{
    image_close(&o->image);
    free(o->bytes);
}

/* -- Every call on it -------------------------------------------------------------------------------------- */

struct findings {
    uint64_t lost;  /* keys that did not come out as they went in */
    uint64_t wrong; /* of these: done, but other bytes */
    uint64_t reported;
};

static void read_one(struct shoal *map, uint64_t i, struct findings *f)
{
    static uint8_t want[LONG_BYTES], got[LONG_BYTES * 2];
    size_t n = 0;
    struct shoal_info info = SHOAL_INFO_INIT;
    fill_bytes(want, bytes_of(i), i);
    int rc = shoal_get(map, &i, sizeof i, got, sizeof got, &n);
    bool right = rc == 0 && n == bytes_of(i) && memcmp(got, want, n) == 0;
    f->lost += !right;
    f->wrong += rc == 0 && !right;
    (void)shoal_info(map, &i, sizeof i, &info);
}

/* Reads every byte that the view shows. */
static void view_one(struct shoal *map, uint64_t i)
{
    struct shoal_view view;
    static volatile uint8_t sum;
    if (shoal_view(map, &i, sizeof i, &view) != 0)
        return;
    for (size_t at = 0; at < view.bytes; at++)
        sum = (uint8_t)(sum + ((const uint8_t *)view.value)[at]);
    shoal_view_end(&view);
}

static int walk(struct shoal *map)
{
    struct shoal_iter *iter;
    struct shoal_item item;
    int rc;
    CHECK(shoal_iter_open(map, NULL, 0, &iter) == 0);
    for (int i = 0; (rc = shoal_iter_next(iter, &item)) != SHOAL_END; i++) {
        CHECK(i < 100000);
        CHECK(rc == 0 || rc == SHOAL_ECORRUPT || rc == SHOAL_CHANGED || rc == SHOAL_EOS);
    }
    shoal_iter_close(iter);
    return 0;
}

static int doubled(struct shoal_change *change, void *arg)
{
    static uint8_t value[2 * LONG_BYTES];
    size_t n = change->old_bytes < LONG_BYTES ? change->old_bytes : LONG_BYTES;
    (void)arg;
    if (n > 0)
        memcpy(value, change->old, n);
    change->value = value;
    change->value_bytes = n;
    return SHOAL_STORE;
}

static void write_all(struct shoal *map)
{
    char buf[16];
    for (uint64_t i = 0; i < KEYS; i++) {
        (void)shoal_update(map, &i, sizeof i, doubled, NULL);
        (void)shoal_put(map, &i, sizeof i, "0123456789", i % 10);
    }
    (void)shoal_incr(map, "n", 1, 1, NULL);
    (void)shoal_wait(map, "n", 1, 0, 0, NULL);
    for (uint64_t i = 100; i < 130; i++)
        (void)shoal_add(map, &i, sizeof i, "another", 7);
    for (uint64_t i = 0; i < KEYS; i += 2)
        (void)shoal_take(map, &i, sizeof i, buf, sizeof buf, NULL);
    for (uint64_t i = 1; i < KEYS; i += 2)
        (void)shoal_delete(map, &i, sizeof i);
    (void)shoal_reap(map, NULL);
    static uint8_t large[150000];
    (void)shoal_put(map, "large", 5, large, sizeof large); /* evacuates */
}

static int look(struct shoal *map, struct findings *f)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    uint64_t n;
    for (uint64_t i = 0; i < KEYS; i++) {
        read_one(map, i, f);
        view_one(map, i);
    }
    CHECK(walk(map) == 0);
    int rc = shoal_check(map, &report);
    CHECK(rc == 0 || rc == SHOAL_ECORRUPT);
    CHECK((rc == 0) == (report.problems == 0));
    CHECK(rc == 0 || (report.text[0] != '\0' && strstr(shoal_error_text(), report.text) != NULL));
    f->reported += report.problems + report.slots_tentative + report.unreferenced; /* nobody is at work */
    CHECK(shoal_stats(map, &stats) == 0);
    CHECK(shoal_count(map, SHOAL_EXACT, &n, NULL) == 0);
    return 0;
}

/* 0, or 1 with a line: this library broke. */
static int use_damaged(struct frame *f, unsigned flags, struct findings *ret)
{
    struct shoal *map;
    int rc = shoal_open(frame_path(f, "map"), flags, &map);
    if (rc != 0) {
        CHECK(rc == SHOAL_ECORRUPT || rc == SHOAL_EVERSION || rc == SHOAL_EATTACH);
        ret->reported++;
        return 0;
    }
    CHECK(look(map, ret) == 0);
    if ((flags & SHOAL_RDONLY) == 0) {
        struct findings ignored = { 0 };
        write_all(map);
        CHECK(look(map, &ignored) == 0);
    }
    shoal_close(map);
    return 0;
}

/* -- Damages, in children --------------------------------------------------------------------------------- */

/* Does damage number i to the bytes; false = there is no such damage. */
typedef bool damage_fn(const struct original *o, uint64_t i, uint8_t *bytes, char *ret_text, size_t text_bytes);

/* Between the children and us. */
struct progress {
    uint64_t at;
    uint64_t done, unreported, lost, corrupt;
    char text[200];
};

static int damage_all(struct frame *f, const struct original *o, damage_fn *damage, bool checksums,
                      struct progress *p)
{
    for (;; p->at++) {
        memcpy(o->image.base, o->bytes, o->image.bytes);
        if (!damage(o, p->at, o->image.base, p->text, sizeof p->text))
            return 0;
        for (unsigned flags = 0; flags <= SHOAL_RDONLY; flags += SHOAL_RDONLY) {
            struct findings found = { 0 };
            (void)alarm(SECONDS_MAX);
            CHECK(use_damaged(f, flags == 0 ? SHOAL_RDONLY : 0, &found) == 0);
            CHECK(!checksums || found.wrong == 0);
            p->lost += found.lost;
            p->corrupt += found.reported != 0;
            if (checksums && found.lost > 0 && found.reported == 0 && p->unreported++ < 3)
                fprintf(stderr, "not reported: %s, %llu keys\n", p->text, (unsigned long long)found.lost);
        }
        p->done++;
    }
}

static void damage_in_children(struct frame *f, uint32_t flags, damage_fn *damage)
{
    struct original o;
    struct progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;
    original_make(f, flags, &o);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(damage_all(f, &o, damage, (flags & SHOAL_CHECKSUM) != 0, p));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("damage %llu (%s): status 0x%x", (unsigned long long)p->at, p->text, (unsigned)status);
    print_message("%llu damages: %llu keys lost, %llu times reported\n", (unsigned long long)p->done,
                  (unsigned long long)p->lost, (unsigned long long)p->corrupt);
    assert_int_equal(p->unreported, 0);
    munmap(p, sizeof *p);
    original_free(&o);
}

/* -- One byte --------------------------------------------------------------------------------------------------- */

/* All bits of a byte, or one; neighbours begin with different ones. */
static uint8_t flip_of(uint64_t at, uint64_t n)
{
    return n == 0 ? 0xff : (uint8_t)(1u << (at * 3 + n) % 8);
}

/* Damage i of the bytes [from, from + n).  False: i is further on, and less by those of this range. */
static bool flip_in(uint64_t from, uint64_t n, uint64_t *i, uint8_t *bytes, const char *what, char *text, size_t room)
{
    if (*i >= n * flips_of_run) {
        *i -= n * flips_of_run;
        return false;
    }
    uint64_t at = from + *i / flips_of_run;
    uint8_t flip = flip_of(at, *i % flips_of_run);
    bytes[at] = (uint8_t)(bytes[at] ^ flip);
    (void)snprintf(text, room, "%s, byte %llu of the segment ^ 0x%02x", what, (unsigned long long)at, flip);
    return true;
}

static bool flip_header(const struct original *o, uint64_t i, uint8_t *bytes, char *text, size_t room)
{
    (void)o;
    return flip_in(0, 640, &i, bytes, "header", text, room);
}

static bool flip_table(const struct original *o, uint64_t i, uint8_t *bytes, char *text, size_t room)
{
    const struct geometry *g = &o->image.segment.geo;
    return flip_in(g->summary_at, g->runs_n * 4, &i, bytes, "summary", text, room) ||
           flip_in(g->groups_at, g->groups_all_n * 64, &i, bytes, "groups", text, room);
}

static bool flip_spans(const struct original *o, uint64_t i, uint8_t *bytes, char *text, size_t room)
{
    const struct geometry *g = &o->image.segment.geo;
    return flip_in(g->spans_at, g->spans_n * 8, &i, bytes, "span words", text, room) ||
           flip_in(g->maps_at, g->spans_n * 8, &i, bytes, "bitmaps", text, room);
}

/* H, place and the words behind: long length, mtime, checksum. */
static bool flip_records(const struct original *o, uint64_t i, uint8_t *bytes, char *text, size_t room)
{
    const struct segment *s = &o->image.segment;
    for (uint64_t slot_i = 0; slot_i < s->slots_n; slot_i++) {
        uint64_t w;
        memcpy(&w, o->bytes + s->geo.groups_at + slot_i / GROUP_SLOTS * 64 + 8 + slot_i % GROUP_SLOTS * 8, 8);
        if (w != 0 && flip_in(slot_block(w), 40, &i, bytes, "record", text, room))
            return true;
    }
    return false;
}

static bool flip_entries(const struct original *o, uint64_t i, uint8_t *bytes, char *text, size_t room)
{
    const struct geometry *g = &o->image.segment.geo;
    return flip_in(g->entries_at, 128 + 64, &i, bytes, "attachment", text, room);
}

static void a_flipped_byte_of_the_header(void **state) { damage_in_children(*state, 0, flip_header); }
static void a_flipped_byte_of_the_table(void **state) { damage_in_children(*state, SHOAL_CHECKSUM, flip_table); }
static void a_flipped_byte_of_a_span_word(void **state) { damage_in_children(*state, SHOAL_CHECKSUM, flip_spans); }
static void a_flipped_byte_of_an_attachment(void **state) { damage_in_children(*state, 0, flip_entries); }

static void a_flipped_byte_of_a_record(void **state)
{
    damage_in_children(*state, SHOAL_CHECKSUM | SHOAL_MTIME, flip_records);
}

/* No crash either, though bytes may come out wrong. */
static void a_flipped_byte_without_checksums(void **state) { damage_in_children(*state, 0, flip_records); }

/* -- Scribbles --------------------------------------------------------------------------------------------------------- */

/* A word of the kind that stands there, or any. */
static uint64_t scribble_word(const struct original *o, uint64_t *random)
{
    uint64_t w;
    uint64_t at = 512 + random_next(random) % (o->image.bytes / 8 - 64) * 8 % (o->image.bytes - 520);
    memcpy(&w, o->bytes + at / 8 * 8, 8); /* another word of the segment */
    switch (random_next(random) % 6) {
    case 0: return 0;
    case 1: return ~(uint64_t)0;
    case 2: return w;
    case 3: return w + 1;
    case 4: return w ^ (uint64_t)1 << random_next(random) % 64;
    default: return random_next(random);
    }
}

static bool scribble(const struct original *o, uint64_t i, uint8_t *bytes, char *text, size_t room)
{
    const struct geometry *g = &o->image.segment.geo;
    uint64_t random = seed_of_run * 1000003 + i, words = 1 + random_next(&random) % 24;
    if (i >= scribbles_of_run)
        return false;
    (void)snprintf(text, room, "scribble: seed %llu, round %llu", (unsigned long long)seed_of_run,
                   (unsigned long long)i);
    for (uint64_t k = 0; k < words; k++) {
        /* Half of them into the table, the rest anywhere behind the immutable header. */
        uint64_t from = k % 2 == 0 ? g->groups_at : 512, to = k % 2 == 0 ? g->heap_at : o->image.bytes;
        uint64_t at = from + random_next(&random) % ((to - from) / 8) * 8, w = scribble_word(o, &random);
        memcpy(bytes + at, &w, 8);
    }
    return true;
}

static void scribbles(void **state)
{
    print_message("seed %llu\n", (unsigned long long)seed_of_run);
    damage_in_children(*state, 0, scribble);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(a_flipped_byte_of_the_header),
        FRAME_TEST(a_flipped_byte_of_the_table),
        FRAME_TEST(a_flipped_byte_of_a_span_word),
        FRAME_TEST(a_flipped_byte_of_an_attachment),
        FRAME_TEST(a_flipped_byte_of_a_record),
        FRAME_TEST(a_flipped_byte_without_checksums),
        FRAME_TEST(scribbles),
    };
    if (argc > 1)
        seed_of_run = strtoull(argv[1], NULL, 0);
    if (argc > 2)
        scribbles_of_run = strtoull(argv[2], NULL, 0);
    if (argc > 3)
        flips_of_run = strtoull(argv[3], NULL, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
