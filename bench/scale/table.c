/* SPDX-License-Identifier: MIT
 *
 * Keys, values, loops, figures.
 */
#include "table.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../median.h"
#include "lib/fail.h"
#include "lib/random.h"

#define ABSENT (UINT64_C(1) << 60) /* added to a number: its key is never there */
#define CALLS_PER_LOOK 64u

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* -- The map ---------------------------------------------------------------------------------------- */

struct table table_make(const char *name, uint64_t keys, int varies)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct table table = { .varies = varies, .random = 1 };
    int code = shoal_size_for(keys, KEY_BYTES, VALUE_BYTES, &options);
    require(code == 0, "shoal_size_for: %s", shoal_strerror(code));
    (void)shoal_unlink(name);
    code = shoal_create(name, &options, &table.map);
    require(code == 0, "shoal_create: %s", shoal_error_text());
    return table;
}

void table_close(struct table *table, const char *name)
{
    shoal_close(table->map);
    (void)shoal_unlink(name);
}

static void key_of(uint64_t number, uint64_t key[2])
{
    key[0] = random_mix(number + 1);
    key[1] = random_mix(~number);
}

static size_t value_of(const struct table *table, uint64_t number, uint64_t value[VALUE_MAX / 8 + 1])
{
    value[0] = number;
    return table->varies ? VALUE_BYTES - 80 + random_mix(number ^ ABSENT) % 161 : VALUE_BYTES;
}

int table_add(struct table *table)
{
    uint64_t key[2], value[VALUE_MAX / 8 + 1] = { 0 };
    const uint64_t number = table->first + table->n;
    key_of(number, key);
    const int code = shoal_add(table->map, key, KEY_BYTES, value, value_of(table, number, value));
    require(code == 0 || code == SHOAL_EFULL, "shoal_add: %d, %s", code, shoal_error_text());
    table->n += code == 0;
    return code;
}

int table_fill(struct table *table, uint64_t n)
{
    while (table->n < n)
        if (table_add(table) != 0)
            return SHOAL_EFULL;
    return SHOAL_OK;
}

void table_drop_first(struct table *table)
{
    uint64_t key[2];
    key_of(table->first, key);
    const int code = shoal_delete(table->map, key, KEY_BYTES);
    require(code == 0, "shoal_delete: %d", code);
    table->first++;
    table->n--;
}

void table_get(struct table *table, uint64_t at)
{
    uint64_t key[2], value[VALUE_MAX / 8 + 1];
    size_t bytes = 0;
    const uint64_t number = table->first + at;
    key_of(number, key);
    const int code = shoal_get(table->map, key, KEY_BYTES, value, sizeof value, &bytes);
    require(code == 0 && value[0] == number, "shoal_get: %d, key %llu", code, (unsigned long long)number);
}

void table_put(struct table *table, uint64_t at)
{
    uint64_t key[2], value[VALUE_MAX / 8 + 1] = { 0 };
    const uint64_t number = table->first + at;
    key_of(number, key);
    const int code = shoal_put(table->map, key, KEY_BYTES, value, value_of(table, number, value));
    require(code == 0, "shoal_put: %d, %s", code, shoal_error_text());
}

void table_miss(struct table *table, uint64_t at)
{
    uint64_t key[2], value[VALUE_MAX / 8 + 1];
    key_of(ABSENT + at, key);
    const int code = shoal_get(table->map, key, KEY_BYTES, value, sizeof value, NULL);
    require(code == SHOAL_MISSING, "shoal_get of an absent key: %d", code);
}

/* -- Loops ------------------------------------------------------------------------------------------ */

double table_time(struct table *table, table_call *call, double seconds)
{
    const int64_t start = now_ns(), deadline = start + (int64_t)(seconds * 1e9);
    uint64_t n = 0;
    int64_t now;
    do {
        for (unsigned i = 0; i < CALLS_PER_LOOK; i++)
            call(table, (random_next(&table->random) >> 32) * table->n >> 32);
        n += CALLS_PER_LOOK;
        now = now_ns();
    } while (now < deadline);
    return (double)(now - start) / (double)n;
}

double table_churn(struct table *table, uint64_t pairs)
{
    const int64_t start = now_ns();
    for (uint64_t i = 0; i < pairs; i++) {
        table_drop_first(table);
        require(table_add(table) == 0, "no room for the key behind a deleted one");
    }
    return (double)(now_ns() - start) / (double)(2 * pairs);
}

double table_time_churn(struct table *table, double seconds)
{
    const int64_t start = now_ns(), deadline = start + (int64_t)(seconds * 1e9);
    uint64_t n = 0;
    int64_t now;
    do {
        (void)table_churn(table, CALLS_PER_LOOK / 2);
        n += CALLS_PER_LOOK;
        now = now_ns();
    } while (now < deadline);
    return (double)(now - start) / (double)n;
}

double table_bytes_per_entry(struct table *table, const char *name)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    struct stat file;
    char path[128];
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    require(shoal_stats(table->map, &stats) == 0 && stat(path, &file) == 0, "stats of %s", path);
    return ((double)file.st_blocks * 512 - (double)stats.payload_bytes) / (double)table->n;
}

/* -- Figures ---------------------------------------------------------------------------------------- */

void part_begin(const struct part *part)
{
    printf("\n%s: median (least-most)\n%12s", part->name, part->axis);
    for (unsigned m = 0; m < METRICS_MAX && part->metrics[m]; m++)
        printf(" %28s", part->metrics[m]);
    printf("\n");
}

void part_figure(struct part *part, unsigned metric, double figure)
{
    if (part->figures_n[metric] < ROUNDS_MAX)
        part->figure[metric][part->figures_n[metric]++] = figure;
}

void part_row(struct part *part, double x)
{
    printf("%12.10g", x);
    for (unsigned m = 0; m < METRICS_MAX && part->metrics[m]; m++) {
        double *figures = part->figure[m];
        const unsigned n = part->figures_n[m];
        char text[64] = "-";
        for (unsigned i = 0; i < n && part->csv; i++)
            fprintf(part->csv, "%s,%.10g,%s,%u,%.10g\n", part->name, x, part->metrics[m], i, figures[i]);
        const double middle = median(figures, n);
        if (n == 1)
            snprintf(text, sizeof text, "%.8g", middle);
        else if (n > 1)
            snprintf(text, sizeof text, "%.5g (%.4g-%.4g)", middle, figures[0], figures[n - 1]);
        printf(" %28s", text);
        part->figures_n[m] = 0;
    }
    printf("\n");
    fflush(stdout);
}
