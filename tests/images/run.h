/* SPDX-License-Identifier: MIT
 *
 * A workload being done to a store, beside an oracle that knows what must be there.
 */
#ifndef TESTS_IMAGES_RUN_H
#define TESTS_IMAGES_RUN_H

#include "images/image.h"
#include "images/oracle.h"
#include "images/workload.h"

#define RUN_LOCK_MS 1000

struct run {
    struct image image;
    struct log log;
    struct oracle oracle;
    struct store *store; /* NULL: not open */
    struct store *other; /* a second handle, or NULL */
    struct store_pin *pin; /* of one of them, or NULL */
    bool is_locked;
    uint64_t number;     /* of the latest value */
    uint32_t boot;
};

/* How a store looks from where a workload begins. */
struct run_base {
    struct disk disk;
    uint8_t lock[4096];
    size_t lock_bytes; /* 0: there is no file */
    struct oracle oracle;
    uint64_t number;
    uint32_t boot;
};

void run_init(struct run *run, const char *name);
void run_drop(struct run *run);

/* What the base means; a store in it is made by the run.  0 or WRONG. */
int run_make_base(struct run *run, enum base base, struct run_base *ret_base);
void run_base_drop(struct run_base *base);

/* Upon this base, with an empty log and an oracle for so many keys; nothing is opened. */
void run_begin(struct run *run, const struct run_base *base, uint32_t keys_n);

/* Opens the store, or makes it where the oracle knows of none, and locks it. */
int run_open(struct run *run);
/* The store's first negative code, or WRONG, or 0.  A call that failed has no LOG_RETURNED. */
int run_step(struct run *run, const struct step *step);
/* A commit; and the store is closed. */
int run_end(struct run *run);
/* What is open is closed, what is not published goes. */
void run_close(struct run *run);

/* All of it.  *ret_new: the first point of the log whose images no shorter workload has. */
int run_workload(struct run *run, const struct run_base *base, const struct workload *workload, uint32_t *ret_new);

/* The contents, as a reader sees them, are those of a state in which the run may have left the store.  0, WRONG or the
 * store's code. */
int run_look(const struct run *run, struct store *store);
/* The same, after a failure: that state is the visible one from now on.  Changes are given up. */
int run_settle(struct run *run);

#endif
