/* SPDX-License-Identifier: MIT */
#include "median.h"

#include <math.h>
#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

double median(double *values, unsigned n)
{
    if (n == 0)
        return NAN;
    qsort(values, n, sizeof values[0], by_size);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}
