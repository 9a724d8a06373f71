/* SPDX-License-Identifier: MIT
 *
 * The table of systems.  A new one is declared in system.h, listed here, and built in meson.build.
 */
#include "baselines/system.h"

#ifdef SYSTEM_BOOST
#define BOOST &system_boost
#else
#define BOOST NULL
#endif
#ifdef SYSTEM_LMDB
#define LMDB &system_lmdb
#define LMDB_WRITEMAP &system_lmdb_writemap
#else
#define LMDB NULL
#define LMDB_WRITEMAP NULL
#endif

const struct system_place systems[SYSTEMS_N] = {
    { &system_shoal, "shoal", NULL },
    { &system_rwlock, "rwlock", NULL },
    { &system_robust_mutex, "robust_mutex", NULL },
    { BOOST, "boost_interprocess", "libboost-dev g++" },
    { LMDB, "lmdb", "liblmdb-dev" },
    { LMDB_WRITEMAP, "lmdb_writemap", "liblmdb-dev" },
};
