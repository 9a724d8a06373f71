/* SPDX-License-Identifier: MIT
 *
 * Sizes of keys and values, whatever bytes they hold; what is too large is refused and changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases/scene.h"
#include "cases/table_view.h"

#define HEAP_BYTES (8ul << 20)
#define SPAN_BYTES 8192ul /* of that heap: 1024 spans */

static uint8_t *bytes_of(uint64_t *random, size_t n)
{
    uint8_t *bytes = malloc(n + 1);
    require(bytes != NULL, "memory");
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)random_next(random);
    return bytes;
}

/* Put it, get it by every call that gives values back, delete it. */
static void goes_and_comes(struct shoal *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    uint8_t *buf = malloc(value_bytes + 8);
    size_t got = 0;
    struct shoal_view view;
    struct shoal_info info = SHOAL_INFO_INIT;
    must(shoal_put(map, key, key_bytes, value, value_bytes));
    memset(buf, 0xa5, value_bytes + 8);
    must(shoal_get(map, key, key_bytes, buf, value_bytes, &got));
    require(got == value_bytes && (got == 0 || memcmp(buf, value, got) == 0), "get of %zu: %zu bytes", value_bytes,
            got);
    for (int i = 0; i < 8; i++)
        require(buf[value_bytes + (size_t)i] == 0xa5, "get wrote behind the value");
    if (value_bytes > 0)
        must_be(shoal_get(map, key, key_bytes, buf, value_bytes - 1, &got), SHOAL_SHORT);
    must(shoal_info(map, key, key_bytes, &info));
    require(info.bytes == value_bytes && info.version != 0, "info says %llu bytes", (unsigned long long)info.bytes);
    must(shoal_view(map, key, key_bytes, &view));
    require(view.bytes == value_bytes && ((uintptr_t)view.value & 7) == 0 && view.version == info.version &&
                (value_bytes == 0 || memcmp(view.value, value, value_bytes) == 0),
            "view of %zu: %zu bytes at %p", value_bytes, view.bytes, view.value);
    shoal_view_end(&view);
    must(shoal_take(map, key, key_bytes, buf, value_bytes, &got));
    require(got == value_bytes && (got == 0 || memcmp(buf, value, got) == 0), "take of %zu: %zu bytes", value_bytes,
            got);
    must_be(shoal_get(map, key, key_bytes, NULL, 0, NULL), SHOAL_MISSING);
    free(buf);
}

static struct shoal *map_with(uint32_t flags)
{
    struct shoal_options options = scene_options(1000, HEAP_BYTES, 0);
    options.flags = flags;
    struct shoal *map = scene_create(scene_name(0), &options);
    must(shoal_unlink(scene_name(0)));
    require(scene_stats(map).span_bytes == SPAN_BYTES, "spans of %llu",
            (unsigned long long)scene_stats(map).span_bytes);
    return map;
}

static const uint32_t all_flags[] = { 0, SHOAL_MTIME, SHOAL_CHECKSUM, SHOAL_MTIME | SHOAL_CHECKSUM };
#define FLAGS_N (sizeof all_flags / sizeof all_flags[0])

/* Every small size, and those around each boundary of the format. */
static void every_size(void)
{
    static const size_t around[] = { 4096,  SPAN_BYTES,      2 * SPAN_BYTES, 0x7fff,
                                     65535, 16 * SPAN_BYTES, HEAP_BYTES / 4, HEAP_BYTES / 2 };
    uint64_t random = scene_seed();
    uint8_t *key = bytes_of(&random, SHOAL_KEY_MAX), *value = bytes_of(&random, HEAP_BYTES);
    for (size_t f = 0; f < FLAGS_N; f++) {
        struct shoal *map = map_with(all_flags[f]);
        for (size_t n = 0; n <= 700; n++)
            goes_and_comes(map, key, 1 + n % 40, value, n);
        for (size_t n = 1; n <= 700; n++)
            goes_and_comes(map, key, n, value, n % 17);
        for (size_t i = 0; i < sizeof around / sizeof around[0]; i++)
            for (size_t n = around[i] - 40; n <= around[i] + 10; n++)
                goes_and_comes(map, key, 5, value, n);
        for (size_t n = 65500; n <= SHOAL_KEY_MAX; n++)
            goes_and_comes(map, key, n, value, n % 3);
        require(scene_count(map) == 0, "count");
        (void)scene_check(map, true);
        shoal_close(map);
    }
    free(key);
    free(value);
}

/* NULs and every last byte tell keys and values apart. */
static void every_trailing_byte(void)
{
    struct shoal *map = scene_map(17ul * 256, HEAP_BYTES);
    for (size_t n = 1; n <= 17; n++) {
        uint8_t key[17] = { 0 }, value[17] = { 0 }, got[17];
        for (unsigned b = 0; b < 256; b++) {
            key[n - 1] = value[n - 1] = (uint8_t)b;
            must(shoal_put(map, key, n, value, n));
        }
        for (unsigned b = 0; b < 256; b++) {
            size_t got_n = 0;
            key[n - 1] = value[n - 1] = (uint8_t)b;
            must(shoal_get(map, key, n, got, sizeof got, &got_n));
            require(got_n == n && memcmp(got, value, n) == 0, "%zu bytes that end in %u", n, b);
        }
        require(scene_count(map) == n * 256, "count %llu", (unsigned long long)scene_count(map));
    }
    shoal_close(map);
}

/* -- Too large --------------------------------------------------------------------------------- */

/* Every byte of the segment but the attachments. */
struct image {
    const struct segment *s;
    uint8_t *bytes;
};

static struct image image_take(struct shoal *map)
{
    const struct segment *s = segment_of(map);
    struct image image = { s, malloc(s->geo.segment_bytes) };
    require(image.bytes != NULL, "memory");
    memcpy(image.bytes, s->base, s->geo.heap_at);
    for (uint32_t i = 0; i < s->geo.spans_n; i++)
        if (load_acquire_u64(&s->spans[i]) & SPAN_BACKED)
            memcpy(image.bytes + segment_span_at(s, i), s->base + segment_span_at(s, i), s->geo.span_bytes);
    return image;
}

static void image_compare(const struct image *image, const char *what)
{
    const struct segment *s = image->s;
    uint64_t from = s->geo.entries_at, to = from + s->geo.entries_n * sizeof(struct entry);
    require(memcmp(s->base, image->bytes, from) == 0, "%s changed the header or the wait words", what);
    require(memcmp(s->base + to, image->bytes + to, s->geo.heap_at - to) == 0, "%s changed the table", what);
    for (uint32_t i = 0; i < s->geo.spans_n; i++)
        if (load_acquire_u64(&s->spans[i]) & SPAN_BACKED)
            require(memcmp(s->base + segment_span_at(s, i), image->bytes + segment_span_at(s, i), s->geo.span_bytes) ==
                        0,
                    "%s changed span %u", what, i);
    free(image->bytes);
}

#define must_refuse(map, call, code)                                                                                   \
    do {                                                                                                               \
        struct image refuse_image = image_take(map);                                                                   \
        must_be(call, code);                                                                                           \
        require(strlen(shoal_error_text()) > 10, "no text for %s", #call);                                             \
        image_compare(&refuse_image, #call);                                                                           \
    } while (0)

static int change_to_long(struct shoal_change *change, void *arg)
{
    const struct shoal_value *value = arg;
    change->value = value->value;
    change->value_bytes = value->bytes;
    return SHOAL_STORE;
}

static void one_over_the_limit(void)
{
    uint64_t random = 1;
    uint8_t *bytes = bytes_of(&random, SHOAL_KEY_MAX + 1);
    struct shoal_options options = scene_options(100, 1u << 20, 4);
    options.max_key_bytes = 10;
    options.max_value_bytes = 100;
    struct shoal *map = scene_create(scene_name(0), &options);
    struct shoal_value long_value = { .value = bytes, .bytes = 101 };
    struct shoal_how how = SHOAL_HOW_INIT;
    goes_and_comes(map, bytes, 10, bytes, 100);
    must(shoal_put(map, "here", 4, "old", 3));
    must_refuse(map, shoal_put(map, bytes, 11, "", 0), SHOAL_ETOOBIG);
    must_refuse(map, shoal_put(map, "here", 4, bytes, 101), SHOAL_ETOOBIG);
    must_refuse(map, shoal_add(map, "new", 3, bytes, 101), SHOAL_ETOOBIG);
    must_refuse(map, shoal_replace(map, "here", 4, bytes, 101), SHOAL_ETOOBIG);
    must_refuse(map, shoal_put_with(map, "here", 4, bytes, 101, &how, NULL), SHOAL_ETOOBIG);
    must_refuse(map, shoal_update(map, "here", 4, change_to_long, &long_value), SHOAL_ETOOBIG);
    must_refuse(map, shoal_get(map, bytes, 11, NULL, 0, NULL), SHOAL_ETOOBIG);
    must_refuse(map, shoal_delete(map, bytes, 11), SHOAL_ETOOBIG);
    must_refuse(map, shoal_incr(map, bytes, 11, 1, NULL), SHOAL_ETOOBIG);
    must_refuse(map, shoal_put(map, "", 0, "x", 1), SHOAL_EINVAL);
    must_refuse(map, shoal_put(map, NULL, 4, "x", 1), SHOAL_EINVAL);
    must_refuse(map, shoal_put(map, "here", 4, NULL, 1), SHOAL_EINVAL);
    must_refuse(map, shoal_incr(map, "here", 4, 1, NULL), SHOAL_EINVAL);
    shoal_close(map);
    must(shoal_unlink(scene_name(0)));

    map = map_with(0);
    must(shoal_put(map, "here", 4, "old", 3));
    must_refuse(map, shoal_put(map, bytes, SHOAL_KEY_MAX + 1, "", 0), SHOAL_ETOOBIG);
    must_refuse(map, shoal_put(map, "here", 4, bytes, scene_stats(map).max_value_bytes + 1), SHOAL_ETOOBIG);
    must_refuse(map, shoal_put(map, "here", 4, bytes, SIZE_MAX), SHOAL_ETOOBIG);
    must_refuse(map, shoal_get(map, bytes, SIZE_MAX, NULL, 0, NULL), SHOAL_ETOOBIG);
    shoal_close(map);
    free(bytes);
}

static int try_put(struct shoal *map, const void *value, size_t bytes)
{
    int code = shoal_put(map, "k", 1, value, bytes);
    require(code == 0 || code == SHOAL_EFULL || code == SHOAL_ETOOBIG, "put of %zu: %d %s", bytes, code,
            shoal_error_text());
    if (code == 0)
        must(shoal_delete(map, "k", 1));
    return code;
}

/* The largest value of an empty map, to the byte; one more is refused and changes nothing. */
static void largest_value(void)
{
    uint64_t random = scene_seed();
    uint8_t *value = bytes_of(&random, 2 * HEAP_BYTES);
    for (size_t f = 0; f < FLAGS_N; f++) {
        struct shoal *map = map_with(all_flags[f]);
        size_t fits = 1, not = 2 * HEAP_BYTES;
        while (not -fits > 1) {
            size_t middle = fits + (not -fits) / 2;
            *(try_put(map, value, middle) == 0 ? &fits : &not ) = middle;
        }
        uint64_t limit = scene_stats(map).max_value_bytes;
        require(fits <= HEAP_BYTES && fits + 128 > HEAP_BYTES && fits == limit,
                "H: the largest value of an empty heap of %lu bytes is %zu, max_value_bytes is %llu", HEAP_BYTES, fits,
                (unsigned long long)limit);
        goes_and_comes(map, "k", 1, value, fits);
        must(shoal_put(map, "small", 5, "x", 1)); /* it takes a span, so the whole heap is not to be had */
        must_be(shoal_put(map, "k", 1, value, fits), SHOAL_EFULL);
        uint64_t largest = scene_stats(map).largest_record;
        goes_and_comes(map, "k", 1, value, largest - 1);
        require(scene_count(map) == 1, "count");
        (void)scene_check(map, true);
        shoal_close(map);
    }
    free(value);
}

/* stats.largest_record is a promise: that many bytes of key and value fit, however they are split. */
static void largest_record_fits(void)
{
    uint64_t random = scene_seed();
    uint8_t *value = bytes_of(&random, HEAP_BYTES), key[8];
    for (uint32_t i = 0; i < scene_rounds(40); i++) {
        struct shoal *map = map_with(all_flags[i % FLAGS_N]);
        uint64_t wanted = HEAP_BYTES / 100 * random_below(&random, 110);
        int code = 0;
        for (uint64_t k = 0; code == 0 && scene_stats(map).live_bytes < wanted; k++) {
            memcpy(key, &k, sizeof key);
            code = shoal_put(map, key, sizeof key, value, random_below(&random, 1u << (4 + random_below(&random, 16))));
            require(code == 0 || code == SHOAL_EFULL, "put: %d %s", code, shoal_error_text());
        }
        uint64_t largest = scene_stats(map).largest_record;
        for (uint64_t key_bytes = 9; largest > 9 && key_bytes <= 17; key_bytes += 1)
            if (key_bytes <= largest)
                goes_and_comes(map, value, key_bytes, value, largest - key_bytes);
        (void)scene_check(map, true);
        shoal_close(map);
    }
    free(value);
}

/* shoal_size_for: so many records of these mean sizes fit, all alike or from half the mean to one and a half. */
static void size_for_round(uint64_t *random, uint32_t flags, bool alike)
{
    static uint8_t value[8000];
    uint32_t keys = 1 + random_below(random, 5000), key_bytes = 8 + random_below(random, 50);
    uint32_t mean = random_below(random, 4) ? random_below(random, 300) : random_below(random, 5000);
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    uint8_t key[64] = { 0 };
    options.flags = flags;
    must(shoal_size_for(keys, key_bytes, mean, &options));
    struct shoal *map = scene_create(scene_name(0), &options);
    must(shoal_unlink(scene_name(0)));
    for (uint32_t k = 0; k < keys; k++) {
        memcpy(key, &k, sizeof k);
        uint32_t bytes = alike ? mean : mean / 2 + random_below(random, mean + 1);
        int code = shoal_put(map, key, key_bytes, value, bytes);
        require(code == 0, "size_for(%u, %u, %u) with flags %u: record %u of %u bytes: %s", keys, key_bytes, mean,
                flags, k, bytes, shoal_error_text());
    }
    shoal_close(map);
}

static void size_for_is_enough(void)
{
    uint64_t random = scene_seed();
    for (uint32_t i = 0; i < scene_rounds(200); i++)
        size_for_round(&random, all_flags[i % FLAGS_N], i % 2 == 0);
}

SCENE_MAIN(SCENE(every_size), SCENE(every_trailing_byte), SCENE(one_over_the_limit), SCENE(largest_value),
           SCENE(largest_record_fits), SCENE(size_for_is_enough))
