/* SPDX-License-Identifier: MIT
 *
 * The table of peers.  A new driver is declared in peers.h, listed here, and built in meson.build.
 */
#include "peers.h"

#include <stddef.h>

#ifdef PEER_SHOAL
#define SHOAL_DRIVER &driver_shoal
#else
#define SHOAL_DRIVER NULL
#endif
#ifdef PEER_FLOOR
#define FLOOR_DRIVER &driver_floor
#else
#define FLOOR_DRIVER NULL
#endif
#ifdef PEER_BOOST
#define BOOST_DRIVER &driver_boost_interprocess
#else
#define BOOST_DRIVER NULL
#endif
#ifdef PEER_LMDB
#define LMDB_DRIVER &driver_lmdb
#else
#define LMDB_DRIVER NULL
#endif
#ifdef PEER_CDS_LFHT
#define CDS_LFHT_DRIVER &driver_cds_lfht
#define CDS_LFHT_QSBR_DRIVER &driver_cds_lfht_qsbr
#else
#define CDS_LFHT_DRIVER NULL
#define CDS_LFHT_QSBR_DRIVER NULL
#endif

const struct peer peers[] = {
    { SHOAL_DRIVER, "shoal", NULL },
    { FLOOR_DRIVER, "floor", "libxxhash-dev" },
    { BOOST_DRIVER, "boost_interprocess", "libboost-dev g++ libxxhash-dev" },
    { LMDB_DRIVER, "lmdb", "liblmdb-dev" },
    { CDS_LFHT_DRIVER, "cds_lfht", "liburcu-dev libxxhash-dev" },
    { CDS_LFHT_QSBR_DRIVER, "cds_lfht_qsbr", "liburcu-dev libxxhash-dev" },
};

#define BY_DEFAULT "insert,get_hit,get_zipf,get_miss,batch32,put,ycsb_a,ycsb_b,ycsb_c,ycsb_f,churn"
const struct bench bench = {
    .program = "shoal-bench",
    .peers_n = sizeof peers / sizeof peers[0],
    .directory = "/dev/shm",
    .workloads = BY_DEFAULT,
    .all = BY_DEFAULT,
    .workers_n = 2,
    .timed = "get_hit,put",
    .limits = 1,
};
