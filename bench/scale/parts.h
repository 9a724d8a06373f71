/* SPDX-License-Identifier: MIT
 *
 * The parts of the bench, each a question.
 */
#ifndef SHOAL_BENCH_SCALE_PARTS_H
#define SHOAL_BENCH_SCALE_PARTS_H

#include <stdint.h>
#include <stdio.h>

struct scale {
    const char *name;   /* of the map */
    double seconds;     /* of each timed loop */
    unsigned rounds;
    uint64_t keys_max;  /* part keys: the last decade */
    uint64_t load_keys; /* part load: the capacity */
    uint64_t churns;    /* part churn: calls */
    unsigned workers;   /* parts processes and fork: the most */
    FILE *csv;          /* or NULL */
};

void scale_keys(const struct scale *scale);      /* what a call costs in a table of 10^3 .. keys_max keys */
void scale_load(const struct scale *scale);      /* ... with more and more keys for one capacity, until it is full */
void scale_churn(const struct scale *scale);     /* ... and what still fits, after so many deletes and adds */
void scale_processes(const struct scale *scale); /* what 1, 2, 4 .. workers processes do together */
void scale_fork(const struct scale *scale);      /* how soon forked children have done their first calls */

#endif
