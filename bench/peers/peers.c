/* SPDX-License-Identifier: MIT
 *
 * The table of peers.  A new driver is declared in peers.h, listed here, and built in meson.build.
 */
#include "peers.h"

#include <stddef.h>

#ifdef PEER_SHOAL
#define WITH_SHOAL(driver) &driver
#else
#define WITH_SHOAL(driver) NULL
#endif
#ifdef PEER_FLOOR
#define WITH_FLOOR(driver) &driver
#else
#define WITH_FLOOR(driver) NULL
#endif
#ifdef PEER_BOOST
#define WITH_BOOST(driver) &driver
#else
#define WITH_BOOST(driver) NULL
#endif
#ifdef PEER_LMDB
#define WITH_LMDB(driver) &driver
#else
#define WITH_LMDB(driver) NULL
#endif
#ifdef PEER_CDS_LFHT
#define WITH_CDS_LFHT(driver) &driver
#else
#define WITH_CDS_LFHT(driver) NULL
#endif
#ifdef PEER_TBB
#define WITH_TBB(driver) &driver
#else
#define WITH_TBB(driver) NULL
#endif
#ifdef PEER_LIBCUCKOO
#define WITH_LIBCUCKOO(driver) &driver
#else
#define WITH_LIBCUCKOO(driver) NULL
#endif
#ifdef PEER_CK
#define WITH_CK(driver) &driver
#else
#define WITH_CK(driver) NULL
#endif
#ifdef PEER_DPDK
#define WITH_DPDK(driver) &driver
#else
#define WITH_DPDK(driver) NULL
#endif
#ifdef PEER_TKRZW
#define WITH_TKRZW(driver) &driver
#else
#define WITH_TKRZW(driver) NULL
#endif
#ifdef PEER_KYOTO
#define WITH_KYOTO(driver) &driver
#else
#define WITH_KYOTO(driver) NULL
#endif
#ifdef PEER_GDBM
#define WITH_GDBM(driver) &driver
#else
#define WITH_GDBM(driver) NULL
#endif
#ifdef PEER_REDIS
#define WITH_REDIS(driver) &driver
#else
#define WITH_REDIS(driver) NULL
#endif
#ifdef PEER_MEMCACHED
#define WITH_MEMCACHED(driver) &driver
#else
#define WITH_MEMCACHED(driver) NULL
#endif
#ifdef PEER_CLHT
#define WITH_CLHT(driver) &driver
#else
#define WITH_CLHT(driver) NULL
#endif
#ifdef PEER_GROWT
#define WITH_GROWT(driver) &driver
#else
#define WITH_GROWT(driver) NULL
#endif

const struct peer peers[] = {
    { WITH_SHOAL(driver_shoal), "shoal", NULL },
    { WITH_FLOOR(driver_floor), "floor", "libxxhash-dev" },
    { WITH_FLOOR(driver_floor_replace), "floor_replace", "libxxhash-dev" },
    { WITH_BOOST(driver_boost_interprocess), "boost_interprocess", "libboost-dev g++ libxxhash-dev" },
    { WITH_BOOST(driver_boost_mutex), "boost_mutex", "libboost-dev g++ libxxhash-dev" },
    { WITH_LMDB(driver_lmdb), "lmdb", "liblmdb-dev" },
    { WITH_CDS_LFHT(driver_cds_lfht), "cds_lfht", "liburcu-dev libxxhash-dev" },
    { WITH_CDS_LFHT(driver_cds_lfht_qsbr), "cds_lfht_qsbr", "liburcu-dev libxxhash-dev" },
    { WITH_TBB(driver_tbb), "tbb", "libtbb-dev g++ libxxhash-dev" },
    { WITH_LIBCUCKOO(driver_libcuckoo), "libcuckoo", "libcuckoo-dev g++ libxxhash-dev" },
    { WITH_CK(driver_ck_ht), "ck_ht", "libck-dev libxxhash-dev" },
    { WITH_DPDK(driver_dpdk), "dpdk_hash", "libdpdk-dev libxxhash-dev" },
    { WITH_TKRZW(driver_tkrzw_hash), "tkrzw_hash", "libtkrzw-dev g++" },
    { WITH_TKRZW(driver_tkrzw_tiny), "tkrzw_tiny", "libtkrzw-dev g++" },
    { WITH_TKRZW(driver_tkrzw_cache), "tkrzw_cache", "libtkrzw-dev g++" },
    { WITH_KYOTO(driver_kyoto_stash), "kyoto_stash", "libkyotocabinet-dev g++" },
    { WITH_KYOTO(driver_kyoto_proto), "kyoto_proto", "libkyotocabinet-dev g++" },
    { WITH_KYOTO(driver_kyoto_cache), "kyoto_cache", "libkyotocabinet-dev g++" },
    { WITH_GDBM(driver_gdbm_memory), "gdbm", "libgdbm-dev" },
    { WITH_REDIS(driver_redis), "redis", "redis-server" },
    { WITH_MEMCACHED(driver_memcached), "memcached", "memcached" },
    { WITH_CLHT(driver_clht), "clht", NULL },
    { WITH_GROWT(driver_growt), "growt", NULL },
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
