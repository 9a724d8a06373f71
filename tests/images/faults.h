/* SPDX-License-Identifier: MIT
 *
 * Each call on the files of a workload made to fail, one at a time; and all of them interrupted and cut short as the
 * kernel may, which nobody must notice.
 */
#ifndef TESTS_IMAGES_FAULTS_H
#define TESTS_IMAGES_FAULTS_H

#include "images/record.h"
#include "images/run.h"

struct faults_counts {
    uint64_t calls;       /* that failed, each in a run of its own */
    uint64_t unnoticed;   /* of them, calls after which everything was right nevertheless */
    uint64_t refusals;    /* of them, flushes after which the store took no more commits in that life of the machine */
    uint64_t interrupted; /* system calls */
};
extern struct faults_counts faults_counts;

void faults_begin(void);
void faults_end(void);

#define FAULTS_ALL UINT64_MAX

struct faults_asked {
    uint64_t seed;
    uint64_t calls;           /* about so many, chosen by chance where there are more */
    uint64_t only_call;       /* FAULTS_ALL: any */
    enum record_how only_how; /* FAIL_NOT: any */
};

/* Those calls of the workload that no shorter one has. */
void faults_workload(const struct run_base *base, const struct workload *workload, const struct faults_asked *asked);

/* The workload leaves the same log when its system calls are interrupted. */
void faults_interrupt(const struct run_base *base, const struct workload *workload, uint64_t seed);

#endif
