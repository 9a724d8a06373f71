/* SPDX-License-Identifier: MIT */
#ifndef SHOAL_BENCH_MEDIAN_H
#define SHOAL_BENCH_MEDIAN_H

/* Sorts the values; NaN for none. */
double median(double *values, unsigned n);

#endif
