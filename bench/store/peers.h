/* SPDX-License-Identifier: MIT
 *
 * The drivers of tables on disk.  Which of them are linked is the build's choice (peers.c).
 */
#ifndef SHOAL_BENCH_STORE_PEERS_H
#define SHOAL_BENCH_STORE_PEERS_H

#include "../peers/peers.h"

/* Writes in one transaction, where the peer has them.  Chosen, not measured: other sizes were not tried. */
#define WRITES_PER_COMMIT 10000u

#ifdef __cplusplus
extern "C" {
#endif

extern const struct driver driver_store;
extern const struct driver driver_map;
extern const struct driver driver_store_floor;
extern const struct driver driver_lmdb_writemap;
extern const struct driver driver_lmdb_disk;
extern const struct driver driver_tkrzw;
extern const struct driver driver_gdbm;
extern const struct driver driver_diskhash;

#ifdef __cplusplus
}
#endif
#endif
