/* SPDX-License-Identifier: MIT
 *
 * One session: one table, one number of workers, all chosen workloads, in a process of its own.
 *
 * The host process makes the table and starts the workers; they meet at a barrier in a shared page before
 * each workload.  A peer that crashes, hangs or gives a wrong answer ends its session, not the run.
 */
#ifndef SHOAL_BENCH_SESSION_H
#define SHOAL_BENCH_SESSION_H

#include <stdint.h>

#include "driver.h"
#include "keyset.h"
#include "workloads.h"

#define SESSION_WORKERS_MAX 64u

struct session {
    const struct driver *driver;
    const struct keyset *set;
    unsigned workers_n;
    double seconds;        /* per timed workload */
    const uint8_t *chosen; /* WORKLOADS_N flags; INSERT always runs */
    const uint8_t *timed;  /* likewise: run once more with a clock around each call; not INSERT, DELETE */
    const char *directory; /* where file-like tables are */
};

struct session_result {
    struct {
        uint64_t ops; /* 0 = not run */
        double seconds, cpu_seconds;
        uint64_t timed_n; /* calls by the clock; 0 = none */
        double latency_ns[LATENCY_POINTS];
    } cell[WORKLOADS_N];    /* ops of all workers; from the first start to the last end */
    double bytes_per_entry; /* allocated beyond keys and values; may be negative where a peer shares nothing */
    double huge_bytes;      /* of the host's memory in huge pages */
    uint64_t lost;          /* REOPEN: keys that were not there, or not whole */
    char error[200];        /* "" = the session ended well */
};

/* Once, before the first session: SIGCHLD, SIGINT and SIGTERM are blocked and waited for from here on. */
void session_prepare(void);

/* Run it.  0; 1 = ret_result->error says what went wrong; -1 = a signal asks the program to end. */
int session_run(const struct session *session, struct session_result *ret_result);

#endif
