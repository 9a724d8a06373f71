/* SPDX-License-Identifier: MIT
 *
 * Figures of all rounds; medians, spreads, ratios.
 */
#include "results.h"

#include <math.h>
#include <stdlib.h>

int plan_leaves_out(const struct plan *plan, struct cell cell)
{
    const struct driver *driver = plan->drivers[cell.driver];
    return (driver->slow && plan->slow_keys > 0 && plan->keys[cell.keys] > plan->slow_keys) ||
           (driver->key_most > 0 && plan->key_bytes > driver->key_most);
}

static size_t place(const struct results *results, unsigned round, struct cell cell)
{
    const struct plan *plan = results->plan;
    size_t at = round;
    at = at * plan->keys_n + cell.keys;
    at = at * plan->workers_n + cell.workers;
    at = at * plan->drivers_n + cell.driver;
    return at * METRICS_N + cell.metric;
}

static size_t limit_place(const struct results *results, unsigned round, struct cell cell)
{
    const struct plan *plan = results->plan;
    return (((size_t)round * plan->keys_n + cell.keys) * plan->workers_n + cell.workers) * LIMITS_N;
}

/* NaN everywhere, or NULL. */
static double *figures_make(size_t n)
{
    double *figures = malloc(n * sizeof *figures);
    for (size_t i = 0; figures && i < n; i++)
        figures[i] = (double)NAN;
    return figures;
}

int results_make(const struct plan *plan, struct results *ret_results)
{
    size_t cells = (size_t)plan->rounds * plan->keys_n * plan->workers_n;
    *ret_results = (struct results){ .plan = plan,
                                     .figure = figures_make(cells * plan->drivers_n * METRICS_N),
                                     .limit = figures_make(cells * LIMITS_N) };
    if (ret_results->figure && ret_results->limit)
        return 0;
    results_free(ret_results);
    return -1;
}

void results_free(struct results *results)
{
    free(results->figure);
    free(results->limit);
    results->figure = results->limit = NULL;
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
    for (unsigned workload = 0; workload < WORKLOADS_N; workload++)
        for (int point = 0; session->cell[workload].timed_n > 0 && point < LATENCY_POINTS; point++) {
            cell.metric = METRIC_LATENCY(workload, point);
            results->figure[place(results, round, cell)] = session->cell[workload].latency_ns[point];
        }
}

void results_add_limits(struct results *results, unsigned round, struct cell cell, const double limits[LIMITS_N])
{
    for (int limit = 0; limit < LIMITS_N; limit++)
        results->limit[limit_place(results, round, cell) + (size_t)limit] = limits[limit];
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static struct spread spread_of(double *sorted, unsigned n)
{
    if (n == 0)
        return (struct spread){ 0 };
    qsort(sorted, n, sizeof sorted[0], by_size);
    double median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    return (struct spread){ .n = n, .median = median, .min = sorted[0], .max = sorted[n - 1] };
}

struct spread results_spread(const struct results *results, struct cell cell)
{
    double known[PLAN_ROUNDS_MAX];
    unsigned n = 0;
    for (unsigned round = 0; round < results->rounds; round++) {
        double figure = results->figure[place(results, round, cell)];
        if (!isnan(figure))
            known[n++] = figure;
    }
    return spread_of(known, n);
}

struct spread results_limit(const struct results *results, struct cell cell, enum limit limit)
{
    double known[PLAN_ROUNDS_MAX];
    unsigned n = 0;
    for (unsigned round = 0; round < results->rounds; round++) {
        double figure = results->limit[limit_place(results, round, cell) + (size_t)limit];
        if (!isnan(figure))
            known[n++] = figure;
    }
    return spread_of(known, n);
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

int results_is_far_behind(const struct results *results, struct cell cell)
{
    const struct plan *plan = results->plan;
    const unsigned driver = cell.driver;
    for (cell.metric = 0; cell.metric < WORKLOADS_N; cell.metric++) {
        int best = results_best(results, cell, plan->drivers[driver]->group);
        if (best < 0)
            continue;
        struct spread own = results_spread(results, cell);
        cell.driver = (unsigned)best;
        if (own.n > 0 && own.median * 2 >= results_spread(results, cell).median)
            return 0;
        cell.driver = driver;
    }
    return 1;
}
