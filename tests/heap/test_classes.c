/* SPDX-License-Identifier: MIT
 *
 * Size classes: whatever a record's size, its share of the heap is at most 12 % waste (heaps of 4 MiB and
 * more), and small sizes are exact.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cases/scene.h"
#include "format/geometry.h"

#define SMALL_MAX 512u /* exact up to here */
#define WASTE_MAX 0.12

/* The heap that one record of these bytes takes, ends of runs and bitmaps included. */
static double share_of(const struct classes *classes, uint64_t span_bytes, uint64_t bytes)
{
    uint32_t i = classes_find(classes, bytes);
    if (i == classes->n)
        return (double)(bytes + (span_bytes - bytes % span_bytes) % span_bytes);
    const struct block_class *c = &classes->of[i];
    require(c->bytes >= bytes && (i == 0 || classes->of[i - 1].bytes < bytes), "%llu bytes in class %u of %u bytes",
            (unsigned long long)bytes, i, c->bytes);
    require((uint64_t)c->first + (uint64_t)c->blocks_n * c->bytes <= c->run * span_bytes, "class %u overlaps", i);
    require(c->bytes % 8 == 0 && c->first % 8 == 0 && c->first >= (c->bitmap_n > 1 ? c->bitmap_n * 8 : 0), "class %u",
            i);
    return (double)(c->run * span_bytes) / c->blocks_n;
}

static void classes_of(uint64_t heap_bytes)
{
    struct shoal_options options = scene_options(1000, heap_bytes, 4);
    struct geometry g;
    struct classes classes;
    must(geometry_plan(&options, &g));
    classes_plan(g.span_bytes, g.spans_n, &classes);
    double worst = 0, worst_small = 0;
    uint64_t worst_at = 0;
    for (uint64_t bytes = 24; bytes <= heap_bytes / 4; bytes += bytes < 70000 ? 8 : bytes / 512 / 8 * 8) {
        double waste = 1 - (double)bytes / share_of(&classes, g.span_bytes, bytes);
        if (waste > worst && bytes > SMALL_MAX) {
            worst = waste;
            worst_at = bytes;
        }
        if (waste > worst_small && bytes <= SMALL_MAX)
            worst_small = waste;
        require(bytes > SMALL_MAX || classes.of[classes_find(&classes, bytes)].bytes == bytes, "%llu is not exact",
                (unsigned long long)bytes);
    }
    printf("heap %llu MiB, spans of %llu: at most %.1f %% waste (at %llu bytes), %.1f %% up to %u bytes; %u classes, "
           "runs up to %u\n",
           (unsigned long long)heap_bytes >> 20, (unsigned long long)g.span_bytes, worst * 100,
           (unsigned long long)worst_at, worst_small * 100, SMALL_MAX, classes.n, classes.run_max);
    require(worst <= WASTE_MAX && worst_small <= WASTE_MAX, "H: %.1f %% waste at %llu bytes", worst * 100,
            (unsigned long long)worst_at);
    struct block_class *c = &classes.of[0];
    for (uint64_t i = 0; i < classes.n; i++)
        require(c[i].inverse != 0 && c[i].blocks_n > 0 && c[i].run >= 1 && c[i].run <= classes.run_max, "class %llu",
                (unsigned long long)i);
}

static void little_waste(void)
{
    for (uint64_t heap_bytes = 4u << 20; heap_bytes <= (uint64_t)64 << 30; heap_bytes *= 2) {
        classes_of(heap_bytes);
        classes_of(heap_bytes + heap_bytes / 3);
        classes_of(heap_bytes * 2 - 4096);
    }
}

/* Finding a block by multiplication instead of division is exact for every offset of every class. */
static void inverses_are_exact(void)
{
    struct classes classes;
    for (uint64_t span_bytes = 4096; span_bytes <= 2u << 20; span_bytes *= 2) {
        classes_plan(span_bytes, 4096, &classes);
        for (uint32_t i = 0; i < classes.n; i++) {
            const struct block_class *c = &classes.of[i];
            for (uint64_t off = 0; off < c->run * span_bytes; off += 8) {
                uint64_t n = (off * c->inverse) >> 40;
                bool start = n * c->bytes == off;
                require(start == (off % c->bytes == 0) && (!start || n == off / c->bytes),
                        "class of %u bytes, offset %llu", c->bytes, (unsigned long long)off);
            }
        }
    }
}

SCENE_MAIN(SCENE(little_waste), SCENE(inverses_are_exact))
