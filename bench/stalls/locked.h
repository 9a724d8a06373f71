/* SPDX-License-Identifier: MIT */
#ifndef SHOAL_BENCH_STALLS_LOCKED_H
#define SHOAL_BENCH_STALLS_LOCKED_H

#include "../driver.h"

extern const struct driver driver_robust_mutex, driver_rwlock;

#endif
