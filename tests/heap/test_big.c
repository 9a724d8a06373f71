/* SPDX-License-Identifier: MIT
 *
 * Big records, each a row of spans of its own: freed rows are used again, small records that lie in the way
 * are moved.  Guarantee H.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap_view.h"
#include "lib/act.h"

#define HEAP_BYTES (16u << 20)
#define SPAN_BYTES (16ul << 10)
#define KEYS_MAX 400u

static uint8_t *buffer;

static int big_put(struct shoal *map, uint32_t k, uint64_t tag, size_t bytes)
{
    value_make(buffer, tag, bytes);
    int code = shoal_put(map, &k, sizeof k, buffer, bytes);
    require(code == 0 || code == SHOAL_EFULL, "put of %zu: %d %s", bytes, code, shoal_error_text());
    return code;
}

static void big_holds(struct shoal *map, uint32_t k, uint64_t tag, size_t bytes)
{
    size_t got = 0;
    uint64_t got_tag = 0;
    must(shoal_get(map, &k, sizeof k, buffer, HEAP_BYTES, &got));
    require(got == bytes && value_read(buffer, got, &got_tag) && got_tag == tag,
            "key %u: %zu of %zu bytes, tag %llx of %llx", k, got, bytes, (unsigned long long)got_tag,
            (unsigned long long)tag);
}

static struct shoal *big_map(void)
{
    buffer = malloc(HEAP_BYTES + 8);
    require(buffer != NULL, "memory");
    struct shoal *map = scene_map(200000, HEAP_BYTES);
    require(scene_stats(map).span_bytes == SPAN_BYTES, "spans of %llu",
            (unsigned long long)scene_stats(map).span_bytes);
    return map;
}

/* As many as fit, every other deleted, as many put again; and the whole heap as one record in the end. */
static void freed_and_used_again(void)
{
    static const size_t sizes[] = { 9 * SPAN_BYTES, 200000, 300000, 1000000, 3000000 };
    struct shoal *map = big_map();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t n = 0;
        while (big_put(map, n, n, sizes[i]) == 0)
            n++;
        heap_is_full(map, 4, sizes[i], "big records");
        uint64_t row = heap_block_bytes(map, 4, sizes[i]);
        require(n == HEAP_BYTES / row, "H: %u records of %llu in a heap of %u", n, (unsigned long long)row, HEAP_BYTES);
        for (uint32_t round = 0; round < 3; round++) {
            for (uint32_t k = round % 2; k < n; k += 2)
                must(shoal_delete(map, &k, sizeof k));
            for (uint32_t k = round % 2; k < n; k += 2)
                require(big_put(map, k, k + round * 1000, sizes[i]) == 0, "H: %s", shoal_error_text());
        }
        for (uint32_t k = 0; k < n; k++) {
            big_holds(map, k, k + (k % 2 ? 1000 : 2000), sizes[i]);
            must(shoal_delete(map, &k, sizeof k));
        }
    }
    uint64_t most = scene_stats(map).max_value_bytes;
    must(big_put(map, 1, 1, most - 16));
    big_holds(map, 1, 1, most - 16);
    shoal_close(map);
}

/* A small record in every row of spans: a big one of half the heap still fits, for they are moved. */
static void small_ones_in_the_way(void)
{
    uint64_t random = scene_seed();
    struct shoal *map = big_map();
    for (uint32_t round = 0; round < scene_rounds(4); round++) {
        static const uint32_t smalls[] = { 100, 1000, 4000, 60 };
        uint32_t bytes = smalls[round % 4], n = fill_series(map, 's', bytes, UINT32_MAX);
        bool *kept = calloc(n, sizeof *kept);
        uint32_t left = fill_thin_out(map, 's', n, kept, &random);
        uint64_t free_bytes = scene_stats(map).free_bytes, wanted = free_bytes / 10 * 8;
        printf("%u records of %u bytes, %u left in %llu free bytes; then one of %llu\n", n, bytes, left,
               (unsigned long long)free_bytes, (unsigned long long)wanted);
        require(big_put(map, 7, 7, wanted) == 0, "H: %s", shoal_error_text());
        big_holds(map, 7, 7, wanted);
        for (uint32_t i = 0; i < n; i++)
            if (kept[i]) {
                fill_holds(map, 's', i, bytes);
                fill_delete(map, 's', i);
            }
        must(shoal_delete(map, &(uint32_t){ 7 }, 4));
        free(kept);
    }
    (void)scene_check(map, true);
    shoal_close(map);
}

struct big {
    uint64_t tag;
    size_t bytes;
    uint64_t row;
};

/* Random rows up to 1/32 of the heap, half of the heap live: none is refused. */
static void random_rows(void)
{
    static struct big model[KEYS_MAX];
    uint64_t random = scene_seed(), live = 0;
    struct shoal *map = big_map();
    for (uint32_t i = 0; i < scene_rounds(6000); i++) {
        uint32_t k = random_below(&random, KEYS_MAX);
        size_t bytes = 8 * SPAN_BYTES + random_below(&random, HEAP_BYTES / 32 - 8 * SPAN_BYTES);
        uint64_t row = heap_block_bytes(map, 4, bytes), tag = random_next(&random);
        if (live + row <= HEAP_BYTES / 2 + model[k].row) { /* while it is replaced, both are there */
            require(big_put(map, k, tag, bytes) == 0, "H: with %llu of %u live: %s", (unsigned long long)live,
                    HEAP_BYTES, shoal_error_text());
            live = live + row - model[k].row;
            model[k] = (struct big){ tag, bytes, row };
        } else if (model[k].row != 0) {
            big_holds(map, k, model[k].tag, model[k].bytes);
            must(shoal_delete(map, &k, sizeof k));
            live -= model[k].row;
            model[k] = (struct big){ 0 };
        }
    }
    require(scene_stats(map).live_bytes == live, "%llu live, the model %llu",
            (unsigned long long)scene_stats(map).live_bytes, (unsigned long long)live);
    for (uint32_t k = 0; k < KEYS_MAX; k++)
        if (model[k].row != 0)
            big_holds(map, k, model[k].tag, model[k].bytes);
    (void)scene_check(map, true);
    shoal_close(map);
}

SCENE_MAIN(SCENE(freed_and_used_again), SCENE(small_ones_in_the_way), SCENE(random_rows))
