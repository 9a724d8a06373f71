/* SPDX-License-Identifier: MIT
 *
 * The workloads, one loop for all drivers.
 */
#ifndef SHOAL_BENCH_WORKLOADS_H
#define SHOAL_BENCH_WORKLOADS_H

#include <stdint.h>

#include "driver.h"
#include "keyset.h"
#include "latency.h"

enum workload_kind {
    WORKLOAD_INSERT, /* fill the empty table; by count, not by time */
    WORKLOAD_GET,
    WORKLOAD_BATCH, /* get_many of DRIVER_BATCH keys */
    WORKLOAD_MIX,   /* reads_percent gets, the rest puts */
    WORKLOAD_MODIFY, /* reads_percent gets, the rest a get and a put of the same key; that pair counts once */
    WORKLOAD_CHURN, /* delete one, insert one */
    WORKLOAD_SYNC,  /* changes_n puts, then one sync; syncs are counted */
    WORKLOAD_DELETE, /* all keys; by count */
    WORKLOAD_REOPEN /* the writer is killed in the middle, another process opens and reads one key */
};

struct workload {
    const char *name;
    enum workload_kind kind;
    enum keyset_order order; /* from which stream the keys come; not looked at by INSERT and CHURN */
    unsigned reads_percent;  /* MIX, MODIFY */
    unsigned changes_n;      /* SYNC */
};

/* In the order in which a session runs them; INSERT is first; CHURN replaces the keys, DELETE takes them away, REOPEN
 * ends the worker. */
#define WORKLOADS_N 20
extern const struct workload workloads[WORKLOADS_N];

/* The workload of that name, or -1. */
int workload_find(const char *name);

/* A place in the streams of a set. */
struct cursor {
    const struct keyset *set;
    uint64_t at[KEYSET_ORDERS];
};

/* One worker of a session: its handle and its place in the streams. */
struct worker {
    const struct driver *driver;
    void *handle;
    const struct keyset *set;
    unsigned index, workers_n;
    uint32_t version; /* of the last value written; workers count in steps, so they never write alike */
    struct keyset part; /* the keys that it may write, where the driver says which; else nothing */
    struct cursor all, own, *cursor; /* of all keys, of those it may write, and which of the two the workload follows */
    uint64_t first, share_n; /* its share of own.set: to insert, to replace, to delete */
    uint64_t coin;
    uint64_t churned; /* keys replaced so far */
    char *values;     /* DRIVER_BATCH value buffers, the first also for single calls */
    size_t stride;    /* between two of them */
    struct driver_result results[DRIVER_BATCH];
};

/* What a worker did in one workload, by CLOCK_MONOTONIC. */
struct tally {
    uint64_t ops; /* keys, not calls */
    int64_t start_ns, end_ns;
    int64_t cpu_ns; /* of this worker's processor time, the kernel's for it included */
};

/* 0, or DRIVER_FAILED without memory. */
int worker_init(struct worker *worker, const struct driver *driver, void *handle, const struct keyset *set,
                const struct driver_setup *setup, unsigned index);
void worker_done(struct worker *worker);

/* Run a workload: INSERT to its end, the others for ret_tally->end_ns >= start + seconds.  Every value read is
 * compared, every answer checked.  `histogram`, where it is not NULL, gets the time of each call to the driver, and the
 * clock is then part of what the tally says.  0 or DRIVER_FAILED with driver_fail_text(). */
int workload_run(struct worker *worker, const struct workload *workload, double seconds, struct histogram *histogram,
                 struct tally *ret_tally);

/* Read every key of the table once, untimed: proves that all are there, and maps the pages into this worker,
 * so that the timed part measures the table and not its page faults.  As workload_run. */
int workload_warm(struct worker *worker);

/* REOPEN, the worker's part: the table full and on disk, then puts for ever, counted in *writes. */
int workload_write_on(struct worker *worker, _Atomic uint64_t *writes);
/* The other's part: *ret_tally up to the first key; then all of them are looked at.  *ret_lost: those that are not there,
 * or with a value that is torn. */
int workload_reopen(struct worker *worker, const struct driver_setup *setup, struct tally *ret_tally, uint64_t *ret_lost);

int64_t workload_clock_ns(void);

#endif
