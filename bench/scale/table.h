/* SPDX-License-Identifier: MIT
 *
 * A map whose keys and values follow from numbers, and loops over it; and the figures of a part of the bench.
 *
 * Keys are made inside of the timed loops, because 10^8 of them in an array would take the memory that is measured: a few ns.
 * Every hit is compared with the number behind its key; whatever is wrong ends the program.
 */
#ifndef SHOAL_BENCH_SCALE_TABLE_H
#define SHOAL_BENCH_SCALE_TABLE_H

#include <stdint.h>
#include <stdio.h>

#include "shoal/shoal.h"

#define KEY_BYTES 16u
#define VALUE_BYTES 100u /* the mean; where sizes vary, 20 to 180, each alike */
#define VALUE_MAX 180u

struct table {
    struct shoal *map;
    uint64_t first, n; /* keys of the numbers first .. first + n - 1 are there */
    int varies;        /* sizes of values follow from the numbers, too */
    uint64_t random;
};

int64_t now_ns(void);

/* A map with room for `keys`.  capacity 0 = for that many. */
struct table table_make(const char *name, uint64_t keys, int varies);
void table_close(struct table *table, const char *name);

/* SHOAL_OK or SHOAL_EFULL. */
int table_add(struct table *table);
/* Up to n keys; less, and SHOAL_EFULL, where no more fit. */
int table_fill(struct table *table, uint64_t n);
void table_drop_first(struct table *table);
/* The key `at` places behind the first one. */
void table_get(struct table *table, uint64_t at);
void table_put(struct table *table, uint64_t at);
void table_miss(struct table *table, uint64_t at);

typedef void table_call(struct table *table, uint64_t at);
/* ns of one call, of keys by chance, over so many seconds. */
double table_time(struct table *table, table_call *call, double seconds);
/* ns of one delete or add, over so many seconds: the oldest key goes, a new one comes. */
double table_time_churn(struct table *table, double seconds);
/* 2 * pairs calls; ns of one. */
double table_churn(struct table *table, uint64_t pairs);

/* Bytes that the system gave to header, table and heap, beyond keys and values, for each key. */
double table_bytes_per_entry(struct table *table, const char *name);

/* -- Figures ---------------------------------------------------------------------------------------- */

#define METRICS_MAX 8u
#define ROUNDS_MAX 32u

struct part {
    const char *name, *axis;             /* what stands in the CSV; what the rows are */
    const char *metrics[METRICS_MAX];    /* up to a NULL */
    double figure[METRICS_MAX][ROUNDS_MAX]; /* of the row at hand */
    unsigned figures_n[METRICS_MAX];
    FILE *csv;                           /* or NULL */
};

/* Prints the head of the part's table. */
void part_begin(const struct part *part);
void part_figure(struct part *part, unsigned metric, double figure);
/* Prints medians and spreads, and forgets them. */
void part_row(struct part *part, double x);

#endif
