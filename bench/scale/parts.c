/* SPDX-License-Identifier: MIT
 *
 * The parts of one process: keys, load, churn.
 */
#include "parts.h"

#include <string.h>

#include "lib/fail.h"
#include "table.h"

#define CHURN_KEYS 100000u

static double mem_available(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return (double)kib * 1024;
}

/* -- Keys ------------------------------------------------------------------------------------------- */

enum { KEYS_HIT, KEYS_MISS, KEYS_PUT, KEYS_INSERT, KEYS_BYTES };

/* All of the segment may be touched. */
static int fits_memory(const struct table *table)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    require(shoal_stats(table->map, &stats) == 0, "shoal_stats: %s", shoal_error_text());
    return (double)stats.segment_bytes < 0.8 * mem_available();
}

/* The first of its rounds begins when every key was read, so that no page is mapped in the loops. */
static void time_calls(const struct scale *scale, struct part *part, struct table *table)
{
    for (uint64_t i = 0; i < table->n; i++)
        table_get(table, i);
    for (unsigned round = 0; round < scale->rounds; round++) {
        part_figure(part, KEYS_HIT, table_time(table, table_get, scale->seconds));
        part_figure(part, KEYS_MISS, table_time(table, table_miss, scale->seconds));
        part_figure(part, KEYS_PUT, table_time(table, table_put, scale->seconds));
    }
}

void scale_keys(const struct scale *scale)
{
    struct part part = { .name = "keys", .axis = "keys", .csv = scale->csv,
                         .metrics = { "get_hit_ns", "get_miss_ns", "put_ns", "insert_ns", "bytes_per_entry" } };
    part_begin(&part);
    for (uint64_t keys = 1000; keys <= scale->keys_max; keys *= 10) {
        struct table table = table_make(scale->name, keys, 0);
        if (fits_memory(&table)) {
            const int64_t start = now_ns();
            require(table_fill(&table, keys) == 0, "full at %llu keys of %llu", (unsigned long long)table.n,
                    (unsigned long long)keys);
            part_figure(&part, KEYS_INSERT, (double)(now_ns() - start) / (double)keys);
            part_figure(&part, KEYS_BYTES, table_bytes_per_entry(&table, scale->name));
            time_calls(scale, &part, &table);
            part_row(&part, (double)keys);
        } else {
            printf("skipped: %llu keys do not fit into this machine's memory\n", (unsigned long long)keys);
        }
        table_close(&table, scale->name);
    }
}

/* -- Load ------------------------------------------------------------------------------------------- */

void scale_load(const struct scale *scale)
{
    static const double loads[] = { 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0 };
    struct part part = { .name = "load", .axis = "keys/capacity", .csv = scale->csv,
                         .metrics = { "get_hit_ns", "get_miss_ns", "put_ns", "insert_ns", "bytes_per_entry" } };
    struct table table = table_make(scale->name, scale->load_keys, 0);
    part_begin(&part);
    for (unsigned i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        const uint64_t before = table.n, keys = (uint64_t)(loads[i] * (double)scale->load_keys + 0.5);
        const int64_t start = now_ns();
        require(table_fill(&table, keys) == 0, "full at %llu of %llu keys", (unsigned long long)table.n,
                (unsigned long long)scale->load_keys);
        part_figure(&part, KEYS_INSERT, (double)(now_ns() - start) / (double)(keys - before));
        part_figure(&part, KEYS_BYTES, table_bytes_per_entry(&table, scale->name));
        time_calls(scale, &part, &table);
        part_row(&part, loads[i]);
    }
    (void)table_fill(&table, 4 * scale->load_keys);
    printf("full at %llu keys of this size, %.4f of the capacity\n", (unsigned long long)table.n,
           (double)table.n / (double)scale->load_keys);
    if (scale->csv)
        fprintf(scale->csv, "load,1,keys_that_fit,0,%llu\n", (unsigned long long)table.n);
    table_close(&table, scale->name);
}

/* -- Churn ------------------------------------------------------------------------------------------ */

enum { CHURN_HIT, CHURN_MISS, CHURN_PUT, CHURN_CALL, CHURN_BYTES, CHURN_FIT };

static void time_churned(const struct scale *scale, struct part *part, struct table *table)
{
    part_figure(part, CHURN_BYTES, table_bytes_per_entry(table, scale->name));
    for (unsigned round = 0; round < scale->rounds; round++) {
        part_figure(part, CHURN_HIT, table_time(table, table_get, scale->seconds));
        part_figure(part, CHURN_MISS, table_time(table, table_miss, scale->seconds));
        part_figure(part, CHURN_PUT, table_time(table, table_put, scale->seconds));
        part_figure(part, CHURN_CALL, table_time_churn(table, scale->seconds));
    }
}

static double keys_that_fit(struct table *table)
{
    (void)table_fill(table, 4 * CHURN_KEYS);
    return (double)table->n;
}

/* What fits into a fresh map. */
static double keys_that_fit_at_first(const struct scale *scale)
{
    struct table table = table_make(scale->name, CHURN_KEYS, 1);
    const double fit = keys_that_fit(&table);
    table_close(&table, scale->name);
    return fit;
}

void scale_churn(const struct scale *scale)
{
    struct part part = { .name = "churn", .axis = "calls before", .csv = scale->csv,
                         .metrics = { "get_hit_ns", "get_miss_ns", "put_ns", "churn_ns", "bytes_per_entry",
                                      "keys_that_fit" } };
    part_begin(&part);
    part_figure(&part, CHURN_FIT, keys_that_fit_at_first(scale));
    struct table table = table_make(scale->name, CHURN_KEYS, 1);
    require(table_fill(&table, CHURN_KEYS) == 0, "full at %llu keys", (unsigned long long)table.n);
    time_churned(scale, &part, &table);
    part_row(&part, 0);
    uint64_t done = 0;
    for (uint64_t calls = scale->churns / 100; calls <= scale->churns; calls *= 10) {
        (void)table_churn(&table, (calls - done) / 2);
        done = calls;
        time_churned(scale, &part, &table);
        if (calls == scale->churns)
            part_figure(&part, CHURN_FIT, keys_that_fit(&table));
        part_row(&part, (double)calls);
    }
    table_close(&table, scale->name);
}
