/* SPDX-License-Identifier: MIT
 *
 * What the runs add up to.
 */
#ifndef TESTS_BASELINES_TABLE_H
#define TESTS_BASELINES_TABLE_H

#include <stdio.h>

#include "baselines/run.h"

/* One act of one system, one fate. */
struct row {
    const struct system *system;
    enum victim_act act;
    enum fate fate;
    uint64_t instructions, points, strayed;
    uint64_t asleep, spinning;          /* points at which survivors were blocked */
    uint64_t found[FOUND_N];            /* of survivors, by what they found */
    uint64_t recovered;                 /* points at which somebody had to recover */
    uint64_t refused;                   /* points at which a survivor's write found no room, the ledger aside */
    uint64_t fresh;                     /* bytes that fit into a map in which nothing ever was */
    uint64_t room;                      /* bytes that fit where nothing happened to the victim */
    uint64_t leaked_points, leaked_max, leaked_sum; /* bytes, after death, without the recovery step */
    uint64_t kept_points, kept_max, kept_sum;       /* bytes, after the recovery step too */
    uint64_t held_max, held_sum;        /* bytes, while stopped */
};

void table_add(struct row *row, const struct run *run);

uint64_t row_blocked(const struct row *row);
uint64_t row_wrong(const struct row *row);
/* The sum of several rows; maxima stay maxima. */
void row_join(struct row *sum, const struct row *row);

void table_tsv_head(FILE *to);
void table_tsv(FILE *to, const struct row *row);
/* A line of the table for people. */
void table_line_head(FILE *to);
void table_line(FILE *to, const struct row *kills, const struct row *stops);

/* Is the system of the kind that the committed table shows?  Prints what is not; how many. */
uint32_t table_judge(const struct row *rows, uint32_t n);

#endif
