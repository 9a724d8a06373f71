/* SPDX-License-Identifier: MIT
 *
 * Histograms of calls.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "latency.h"

#include <stdlib.h>
#include <time.h>

#define CLOCK_TRIES 2001u

const char *const latency_names[LATENCY_POINTS] = { "p50", "p90", "p99", "p99.9", "p99.99", "max" };

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* -- Buckets ----------------------------------------------------------------------- */

static unsigned bucket_of(uint64_t ns)
{
    if (ns < 2 * HISTOGRAM_STEPS)
        return (unsigned)ns;
    unsigned doubling = 63u - (unsigned)__builtin_clzll(ns / HISTOGRAM_STEPS); /* ns >> doubling lies in [STEPS, 2 STEPS) */
    unsigned bucket = doubling * HISTOGRAM_STEPS + (unsigned)(ns >> doubling);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The longest time that falls into it. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < 2 * HISTOGRAM_STEPS)
        return bucket;
    unsigned doubling = bucket / HISTOGRAM_STEPS - 1;
    return ((uint64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS + 1) << doubling) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    histogram->n++;
    histogram->max_ns = ns > histogram->max_ns ? ns : histogram->max_ns;
    histogram->count[bucket_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *other)
{
    into->n += other->n;
    into->max_ns = other->max_ns > into->max_ns ? other->max_ns : into->max_ns;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->count[i] += other->count[i];
}

double histogram_point(const struct histogram *histogram, enum latency_point point)
{
    static const uint64_t beyond[LATENCY_POINTS] = { 2, 10, 100, 1000, 10000, 0 }; /* one of so many is longer */
    if (point == LATENCY_MAX || histogram->n == 0)
        return (double)histogram->max_ns;
    uint64_t left = histogram->n - histogram->n / beyond[point];
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->count[i] >= left)
            return (double)(bucket_end(i) < histogram->max_ns ? bucket_end(i) : histogram->max_ns);
        left -= histogram->count[i];
    }
    return (double)histogram->max_ns;
}

/* -- The clock --------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

uint64_t latency_clock_ns(void)
{
    static uint64_t cost = UINT64_MAX;
    if (cost != UINT64_MAX)
        return cost;
    uint64_t apart[CLOCK_TRIES];
    for (unsigned i = 0; i < CLOCK_TRIES; i++) {
        uint64_t first = now_ns();
        apart[i] = now_ns() - first;
    }
    qsort(apart, CLOCK_TRIES, sizeof apart[0], by_size);
    cost = apart[CLOCK_TRIES / 2];
    return cost;
}

/* -- The timed driver -------------------------------------------------------------- */

static void took(const struct timed *timed, uint64_t since)
{
    uint64_t ns = now_ns() - since, cost = latency_clock_ns();
    histogram_add(timed->histogram, ns > cost ? ns - cost : 0);
}

static int timed_insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const struct timed *timed = handle;
    uint64_t since = now_ns();
    int code = timed->driver->insert(timed->handle, key, key_bytes, value, value_bytes);
    took(timed, since);
    return code;
}

static int timed_get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    const struct timed *timed = handle;
    uint64_t since = now_ns();
    int code = timed->driver->get(timed->handle, key, key_bytes, buf, buf_bytes, ret_bytes);
    took(timed, since);
    return code;
}

static int timed_get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    const struct timed *timed = handle;
    uint64_t since = now_ns();
    int code = timed->driver->get_many(timed->handle, keys, n, results);
    took(timed, since);
    return code;
}

static int timed_put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const struct timed *timed = handle;
    uint64_t since = now_ns();
    int code = timed->driver->put(timed->handle, key, key_bytes, value, value_bytes);
    took(timed, since);
    return code;
}

static int timed_del(void *handle, const void *key, size_t key_bytes)
{
    const struct timed *timed = handle;
    uint64_t since = now_ns();
    int code = timed->driver->del(timed->handle, key, key_bytes);
    took(timed, since);
    return code;
}

static int timed_commit(void *handle)
{
    const struct timed *timed = handle;
    return timed->driver->commit(timed->handle);
}

static int timed_sync(void *handle)
{
    const struct timed *timed = handle;
    uint64_t since = now_ns();
    int code = timed->driver->sync(timed->handle);
    took(timed, since);
    return code;
}

struct driver timed_driver(const struct driver *driver)
{
    struct driver timed = *driver;
    timed.insert = timed_insert;
    timed.get = timed_get;
    timed.get_many = driver->get_many ? timed_get_many : NULL;
    timed.put = timed_put;
    timed.del = timed_del;
    timed.commit = driver->commit ? timed_commit : NULL;
    timed.sync = driver->sync ? timed_sync : NULL;
    return timed;
}
