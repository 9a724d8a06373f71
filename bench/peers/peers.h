/* SPDX-License-Identifier: MIT
 *
 * The drivers there are.  Which of them are linked is the build's choice (peers.c).
 */
#ifndef SHOAL_BENCH_PEERS_H
#define SHOAL_BENCH_PEERS_H

#include "../driver.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct driver driver_shoal;
extern const struct driver driver_floor;
extern const struct driver driver_floor_replace;
extern const struct driver driver_boost_interprocess;
extern const struct driver driver_boost_mutex;
extern const struct driver driver_lmdb;
extern const struct driver driver_cds_lfht;
extern const struct driver driver_cds_lfht_qsbr;
extern const struct driver driver_tbb;
extern const struct driver driver_libcuckoo;
extern const struct driver driver_ck_ht;
extern const struct driver driver_dpdk;
extern const struct driver driver_tkrzw_hash;
extern const struct driver driver_tkrzw_tiny;
extern const struct driver driver_tkrzw_cache;
extern const struct driver driver_kyoto_stash;
extern const struct driver driver_kyoto_proto;
extern const struct driver driver_kyoto_cache;
extern const struct driver driver_gdbm_memory;
extern const struct driver driver_redis;
extern const struct driver driver_memcached;
extern const struct driver driver_clht;
extern const struct driver driver_growt;

struct peer {
    const struct driver *driver; /* NULL: left out of this build */
    const char *name;
    const char *package; /* the Debian package that brings it; NULL where none is needed */
};

extern const struct peer peers[];

/* One program, two comparisons: tables in memory (peers.c), and on disk (store/peers.c). */
struct bench {
    const char *program;
    unsigned peers_n;
    const char *directory; /* of tables that are files */
    const char *workloads; /* by default */
    const char *all;       /* what --workloads all means */
    unsigned workers_n;    /* 1: one; 2: one and two */
    const char *timed;     /* by default with a clock around each call; NULL: none */
    int limits;            /* measure the machine's, too */
};
extern const struct bench bench;

#ifdef __cplusplus
}
#endif
#endif
