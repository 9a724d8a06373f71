/* SPDX-License-Identifier: MIT
 *
 * shoal_salvage: only what was once put comes out of a file, whatever has become of it (guarantee E), and the file stays as
 * it is.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/segment.h"
#include "lib/random.h"
#include "unit/frame.h"

#define KEYS_N 200u
#define ROOM 9000u
#define ROUNDS 300u
#define PAGE 4096u

/* -- What is put: a value tells its key and its number ---------------------------------------------------------- */

static size_t value_make(uint32_t k, uint64_t number, uint8_t to[ROOM])
{
    uint64_t head[2] = { number, k };
    uint64_t random = random_mix(number * 1000 + k);
    size_t n = k % 50 == 7 ? 5000 + number % 4000 : sizeof head + (k * 37 + number * 13) % 400;
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)random_next(&random);
    memcpy(to, head, sizeof head);
    return n;
}

static size_t key_make(uint32_t k, char to[64]) { return (size_t)snprintf(to, 64, "key %u of some length", k) + 0; }

static void put(struct shoal *map, uint32_t k, uint64_t number)
{
    static uint8_t value[ROOM];
    char key[64];
    struct shoal_how how = SHOAL_HOW_INIT;
    how.type = (uint8_t)(k % 3);
    size_t n = key_make(k, key), value_n = value_make(k, number, value);
    assert_int_equal(shoal_put_with(map, key, n, value, value_n, &how, NULL), 0);
}

static void del(struct shoal *map, uint32_t k)
{
    char key[64];
    size_t n = key_make(k, key);
    assert_int_equal(shoal_delete(map, key, n), 0);
}

/* What came out. */
struct haul {
    uint64_t number[KEYS_N]; /* of each key, 0 = nothing */
    enum shoal_trust trust[KEYS_N];
    uint64_t n, stop_at;
    bool unsure_may_lie;
    struct shoal_salvaged count;
};

static int take(const struct shoal_item *item, enum shoal_trust trust, void *arg)
{
    static uint8_t expected[ROOM];
    struct haul *haul = arg;
    uint64_t head[2] = { 0, UINT32_MAX };
    char key[64];
    uint32_t k = 0;
    if (item->key_bytes < sizeof key) {
        memcpy(key, item->key, item->key_bytes);
        key[item->key_bytes] = 0;
        if (sscanf(key, "key %u", &k) != 1)
            k = KEYS_N;
    }
    haul->n++;
    if (trust == SHOAL_UNSURE && haul->unsure_may_lie)
        return 0;
    assert_true(k < KEYS_N && item->key_bytes == key_make(k, key) && memcmp(item->key, key, item->key_bytes) == 0);
    assert_true(item->value_bytes >= sizeof head && (uintptr_t)item->value % 8 == 0);
    memcpy(head, item->value, sizeof head);
    assert_int_equal(head[1], k);
    assert_int_equal(item->value_bytes, value_make(k, head[0], expected));
    assert_memory_equal(item->value, expected, item->value_bytes);
    assert_int_equal(item->type, k % 3);
    assert_int_equal(haul->number[k], 0); /* each key once */
    haul->number[k] = head[0];
    haul->trust[k] = trust;
    return haul->n == haul->stop_at ? 77 : 0;
}

static int salvage(const char *path, unsigned flags, struct haul *ret)
{
    *ret = (struct haul){ .count = SHOAL_SALVAGED_INIT, .unsure_may_lie = ret->unsure_may_lie, .stop_at = ret->stop_at };
    int rc = shoal_salvage(path, flags, take, ret, &ret->count);
    if (rc == 0)
        assert_int_equal(ret->n, ret->count.named + ret->count.loose + ret->count.unsure);
    return rc;
}

/* -- Files ------------------------------------------------------------------------------------------------------- */

struct bytes {
    uint8_t *at;
    uint64_t n;
};

static struct bytes file_read(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    struct bytes b = { malloc((size_t)st.st_size), (uint64_t)st.st_size };
    assert_int_equal(read(fd, b.at, b.n), b.n);
    close(fd);
    return b;
}

static void file_write(const char *path, const uint8_t *from, uint64_t n)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, from, n), n);
    close(fd);
}

static struct shoal *map_make(struct frame *f, uint32_t flags)
{
    struct shoal_options o = frame_options();
    o.capacity = KEYS_N * 2;
    o.heap_bytes = 512 * 1024;
    o.max_threads = 4;
    o.flags = flags;
    return frame_map(f, &o);
}

static void map_fill(struct shoal *map, uint64_t number)
{
    for (uint32_t k = 0; k < KEYS_N; k++)
        put(map, k, number);
}

/* -- Sound maps ----------------------------------------------------------------------------------------------------- */

static void a_sound_map_comes_out_whole(void **state)
{
    struct frame *f = *state;
    struct haul haul = { 0 };
    struct shoal *map = map_make(f, SHOAL_CHECKSUM | SHOAL_MTIME);
    map_fill(map, 1);
    map_fill(map, 2);
    for (uint32_t k = 0; k < 10; k++)
        del(map, k);
    struct bytes before = file_read(frame_path(f, "map"));
    assert_int_equal(salvage(frame_path(f, "map"), 0, &haul), 0);
    struct bytes after = file_read(frame_path(f, "map"));
    assert_memory_equal(before.at, after.at, before.n);
    for (uint32_t k = 10; k < KEYS_N; k++)
        assert_true(haul.number[k] == 2 && haul.trust[k] == SHOAL_NAMED);
    for (uint32_t k = 0; k < 10; k++) /* deleted: gone, or marked */
        assert_true(haul.number[k] == 0 || haul.trust[k] == SHOAL_LOOSE);
    assert_int_equal(haul.count.named, KEYS_N - 10);
    assert_int_equal(haul.count.damaged + haul.count.unreadable + haul.count.unsure, 0);
    haul.stop_at = 5;
    assert_int_equal(salvage(frame_path(f, "map"), 0, &haul), 77);
    assert_int_equal(haul.n, 5);
    assert_int_equal(shoal_salvage(frame_path(f, "map"), 0, NULL, NULL, NULL), 0);
    free(before.at);
    free(after.at);
}

static void without_checksums_only_what_is_asked_for_comes_out(void **state)
{
    struct frame *f = *state;
    struct haul haul = { 0 };
    map_fill(map_make(f, 0), 1);
    assert_refused(salvage(frame_path(f, "map"), 0, &haul), SHOAL_EINVAL, "--unverified");
    assert_int_equal(salvage(frame_path(f, "map"), SHOAL_UNVERIFIED, &haul), 0);
    for (uint32_t k = 0; k < KEYS_N; k++)
        assert_true(haul.number[k] == 1 && haul.trust[k] == SHOAL_UNSURE);
}

static void arguments_are_refused(void **state)
{
    struct frame *f = *state;
    struct haul haul = { 0 };
    struct shoal_salvaged wrong = { .size = 3 };
    (void)map_make(f, SHOAL_CHECKSUM);
    assert_refused(shoal_salvage(NULL, 0, take, &haul, NULL), SHOAL_EINVAL, "name is NULL");
    assert_refused(shoal_salvage(frame_path(f, "map"), SHOAL_RDONLY, take, &haul, NULL), SHOAL_EINVAL, "flags 0x1");
    assert_refused(shoal_salvage(frame_path(f, "map"), 0, take, &haul, &wrong), SHOAL_EINVAL, "not initialised");
    assert_refused(shoal_salvage(frame_path(f, "none"), 0, take, &haul, NULL), SHOAL_ENOMAP, "no such map");
}

/* -- Damaged ones ------------------------------------------------------------------------------------------------------ */

static void a_damaged_header_is_named(void **state)
{
    struct frame *f = *state;
    struct haul haul = { 0 };
    map_fill(map_make(f, SHOAL_CHECKSUM), 1);
    struct bytes b = file_read(frame_path(f, "map"));
    const char *copy = frame_path(f, "copy");
    b.at[offsetof(struct segment_header, geometry) + 9] ^= 1;
    file_write(copy, b.at, b.n);
    assert_refused(salvage(copy, 0, &haul), SHOAL_ECORRUPT, "header checksum");
    b.at[0] ^= 1;
    file_write(copy, b.at, b.n);
    assert_refused(salvage(copy, 0, &haul), SHOAL_ECORRUPT, "not a Shoal map");
    file_write(copy, b.at, 100);
    assert_refused(salvage(copy, 0, &haul), SHOAL_ECORRUPT, "truncated: 100 bytes");
    free(b.at);
}

static void a_cut_file_gives_what_it_has(void **state)
{
    struct frame *f = *state;
    struct haul haul = { 0 };
    uint64_t last = 0;
    map_fill(map_make(f, SHOAL_CHECKSUM), 1);
    struct bytes b = file_read(frame_path(f, "map"));
    const char *copy = frame_path(f, "copy");
    for (uint64_t n = PAGE; n <= b.n; n += PAGE) {
        file_write(copy, b.at, n);
        assert_int_equal(salvage(copy, 0, &haul), 0);
        assert_true(haul.n >= last);
        assert_true(n == b.n || haul.count.damaged + haul.count.unreadable > 0 || haul.n == KEYS_N);
        last = haul.n;
    }
    assert_int_equal(last, KEYS_N);
    free(b.at);
}

/* The machine's death: each page of the file from another time. */
static void pages_of_different_times(void **state)
{
    struct frame *f = *state;
    struct bytes at[4], mixed;
    uint64_t out = 0, loose = 0, older = 0;
    struct shoal *map = map_make(f, SHOAL_CHECKSUM | SHOAL_MTIME);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t random = random_mix(i);
        for (uint32_t j = 0; j < 2 * KEYS_N; j++)
            put(map, random_below(&random, KEYS_N), i * 10 + 1 + j % 7);
        for (uint32_t k = i; k < KEYS_N; k += 9) {
            put(map, k, 100);
            del(map, k);
        }
        at[i] = file_read(frame_path(f, "map"));
    }
    mixed = file_read(frame_path(f, "map"));
    const char *copy = frame_path(f, "copy");
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct haul haul = { .unsure_may_lie = true };
        uint64_t random = random_mix(seed);
        uint32_t last = 1 + random_below(&random, 4); /* of how many times */
        for (uint64_t page = PAGE; page < mixed.n; page += PAGE)
            memcpy(mixed.at + page, at[random_below(&random, last)].at + page, PAGE);
        for (uint32_t i = random_below(&random, 8); i > 0; i--) { /* and some words of garbage */
            uint64_t word = random_next(&random), where = random_below(&random, (uint32_t)(mixed.n - PAGE) / 8) * 8ul;
            memcpy(mixed.at + PAGE + where, &word, 8);
        }
        file_write(copy, mixed.at, mixed.n);
        if (salvage(copy, seed % 2 ? 0 : SHOAL_UNVERIFIED, &haul) != 0)
            fail_msg("seed %llu: %s", (unsigned long long)seed, shoal_error_text());
        out += haul.n;
        loose += haul.count.loose;
        older += haul.count.older;
    }
    assert_true(out > ROUNDS * KEYS_N / 4 && loose > 0 && older > 0);
    print_message("%u files: %llu records, %llu of them loose, %llu older ones\n", ROUNDS, (unsigned long long)out,
                  (unsigned long long)loose, (unsigned long long)older);
    for (uint32_t i = 0; i < 4; i++)
        free(at[i].at);
    free(mixed.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(a_sound_map_comes_out_whole),
        FRAME_TEST(without_checksums_only_what_is_asked_for_comes_out),
        FRAME_TEST(arguments_are_refused),
        FRAME_TEST(a_damaged_header_is_named),
        FRAME_TEST(a_cut_file_gives_what_it_has),
        FRAME_TEST(pages_of_different_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
