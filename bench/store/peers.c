/* SPDX-License-Identifier: MIT
 *
 * The table of peers on disk.  A new driver is declared in peers.h, listed here, and built in meson.build.
 */
#include "peers.h"

#include <stddef.h>

#ifdef PEER_LMDB
#define WRITEMAP_DRIVER &driver_lmdb_writemap
#define LMDB_DRIVER &driver_lmdb_disk
#else
#define WRITEMAP_DRIVER NULL
#define LMDB_DRIVER NULL
#endif
#ifdef PEER_TKRZW
#define TKRZW_DRIVER &driver_tkrzw
#else
#define TKRZW_DRIVER NULL
#endif
#ifdef PEER_GDBM
#define GDBM_DRIVER &driver_gdbm
#else
#define GDBM_DRIVER NULL
#endif
#ifdef PEER_DISKHASH
#define DISKHASH_DRIVER &driver_diskhash
#else
#define DISKHASH_DRIVER NULL
#endif

const struct peer peers[] = {
    { &driver_store, "store", NULL },
    { &driver_map, "map", NULL },
    { &driver_store_floor, "floor", NULL },
    { WRITEMAP_DRIVER, "lmdb_writemap", "liblmdb-dev" },
    { LMDB_DRIVER, "lmdb", "liblmdb-dev" },
    { TKRZW_DRIVER, "tkrzw_hash", "libtkrzw-dev g++" },
    { GDBM_DRIVER, "gdbm", "libgdbm-dev" },
    { DISKHASH_DRIVER, "diskhash", NULL },
};

#define ROWS "insert,get_hit,get_miss,put,even50,sync1,sync10,sync100,sync1000,delete,reopen"
const struct bench bench = {
    .program = "shoal-bench-store",
    .peers_n = sizeof peers / sizeof peers[0],
    .directory = "/var/tmp",
    .workloads = ROWS,
    .all = ROWS ",get_zipf,mix95,mix50",
    .workers_n = 1,
    .limits = 1,
};
