/* SPDX-License-Identifier: MIT
 *
 * Figures of all rounds; medians, spreads, ratios.
 */
#include "results.h"

#include <math.h>
#include <stdlib.h>

static size_t place(const struct results *results, unsigned round, struct cell cell)
{
    const struct plan *plan = results->plan;
    size_t at = round;
    at = at * plan->keys_n + cell.keys;
    at = at * plan->workers_n + cell.workers;
    at = at * plan->drivers_n + cell.driver;
    return at * METRICS_N + cell.metric;
}

int results_make(const struct plan *plan, struct results *ret_results)
{
    size_t n = (size_t)plan->rounds * plan->keys_n * plan->workers_n * plan->drivers_n * METRICS_N;
    *ret_results = (struct results){ .plan = plan, .figure = malloc(n * sizeof(double)) };
    if (!ret_results->figure)
        return -1;
    for (size_t i = 0; i < n; i++)
        ret_results->figure[i] = (double)NAN;
    return 0;
}

void results_free(struct results *results)
{
    free(results->figure);
    results->figure = NULL;
}

void results_add(struct results *results, unsigned round, struct cell cell, const struct session_result *session)
{
    results->rounds = round + 1 > results->rounds ? round + 1 : results->rounds;
    if (session->error[0])
        return; /* figures of a peer that answers wrongly are none */
    for (cell.metric = 0; cell.metric < WORKLOADS_N; cell.metric++)
        if (results->plan->chosen[cell.metric] && session->cell[cell.metric].ops > 0)
            results->figure[place(results, round, cell)] =
                (double)session->cell[cell.metric].ops /
                (results->plan->by_cpu ? session->cell[cell.metric].cpu_seconds : session->cell[cell.metric].seconds);
    cell.metric = METRIC_BYTES;
    results->figure[place(results, round, cell)] = session->bytes_per_entry;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

struct spread results_spread(const struct results *results, struct cell cell)
{
    double sorted[PLAN_ROUNDS_MAX];
    unsigned n = 0;
    for (unsigned round = 0; round < results->rounds; round++) {
        double figure = results->figure[place(results, round, cell)];
        if (!isnan(figure))
            sorted[n++] = figure;
    }
    if (n == 0)
        return (struct spread){ 0 };
    qsort(sorted, n, sizeof sorted[0], by_size);
    double median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    return (struct spread){ .n = n, .median = median, .min = sorted[0], .max = sorted[n - 1] };
}

double results_ratio(const struct results *results, struct cell cell, unsigned against, int *ret_tie)
{
    struct cell other = cell;
    other.driver = against;
    struct spread own = results_spread(results, cell), its = results_spread(results, other);
    *ret_tie = 0;
    if (own.n == 0 || its.n == 0)
        return (double)NAN;
    unsigned faster = 0, slower = 0;
    for (unsigned round = 0; round < results->rounds; round++) {
        double one = results->figure[place(results, round, cell)];
        double two = results->figure[place(results, round, other)];
        faster += one >= two; /* false where either is NaN */
        slower += one <= two;
    }
    *ret_tie = faster > 0 && slower > 0;
    return own.median / its.median;
}

int results_best(const struct results *results, struct cell cell, enum driver_group group)
{
    int best = -1;
    double most = 0;
    for (unsigned i = 0; i < results->plan->drivers_n; i++) {
        if (results->plan->drivers[i]->group != group)
            continue;
        cell.driver = i;
        struct spread spread = results_spread(results, cell);
        if (spread.n > 0 && spread.median > most) {
            most = spread.median;
            best = (int)i;
        }
    }
    return best;
}
