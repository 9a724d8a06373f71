/* SPDX-License-Identifier: MIT
 *
 * Tables for people, CSV for programs.
 */
#ifndef SHOAL_BENCH_REPORT_H
#define SHOAL_BENCH_REPORT_H

#include <stdio.h>

#include "results.h"

const char *report_group(enum driver_group group); /* "same-contract" ... */

/* The head of a CSV: facts of machine, plan and peers as comment lines, then the names of the columns. */
void report_csv_head(FILE *out, const struct plan *plan, const char *const *facts, unsigned facts_n);
/* One session: a line per workload and one for the memory, or one with the error. */
void report_csv_session(FILE *out, const struct plan *plan, unsigned round, struct cell cell,
                        const struct session_result *session);

void report_csv_limits(FILE *out, const struct plan *plan, unsigned round, struct cell cell, const double limits[LIMITS_N]);

const char *report_metric(unsigned metric); /* the name of a workload, or "bytes_per_entry" */
/* The first driver of that group, or -1. */
int report_find(const struct plan *plan, enum driver_group group);

/* All cells: median, min, max and Shoal's ratio; then single calls. */
void report_tables(FILE *out, const struct results *results);

#endif
