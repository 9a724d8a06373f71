/* SPDX-License-Identifier: MIT
 *
 * In the place of the tier, and of moving: no world here has a store below its table, or another geometry.
 */
#include <stdlib.h>

#include "map/move.h"
#include "tier/tier.h"

int tier_read(struct tier *tier, struct attachment *a, const struct probe *p, struct read_sink *sink)
{
    (void)tier, (void)a, (void)p, (void)sink;
    abort();
}

int tier_sync_key(struct tier *tier, struct attachment *a, const struct probe *p)
{
    (void)tier, (void)a, (void)p;
    abort();
}

int tier_walk_open(struct tier *tier, struct tier_walk **ret_walk)
{
    (void)tier, (void)ret_walk;
    abort();
}

int tier_walk_next(struct tier_walk *walk, struct attachment *a, struct read_sink *sink)
{
    (void)walk, (void)a, (void)sink;
    abort();
}

int tier_walk_next_key(struct tier_walk *walk, struct attachment *a, struct read_sink *sink)
{
    (void)walk, (void)a, (void)sink;
    abort();
}

void tier_walk_close(struct tier_walk *walk)
{
    (void)walk;
    abort();
}

int tier_estimate(const struct tier *tier, uint64_t *ret_n)
{
    (void)tier, (void)ret_n;
    abort();
}

int store_stat(struct store *store, struct store_stat *ret_stat)
{
    (void)store, (void)ret_stat;
    abort();
}

int store_check_with(struct store *store, store_fault_fn *each, void *arg, shoal_progress_fn *progress, void *progress_arg,
                     uint64_t *ret_faults_n)
{
    (void)store, (void)each, (void)arg, (void)progress, (void)progress_arg, (void)ret_faults_n;
    abort();
}

int tier_walk_follow(struct tier_walk *walk, struct tier *to)
{
    (void)walk, (void)to;
    abort();
}

int shoal_sync(struct shoal *map)
{
    (void)map;
    abort();
}

int move_lookup(const struct call *call, const struct probe *p, struct read_sink *sink)
{
    (void)call, (void)p, (void)sink;
    abort();
}

int move_for(const struct call *call, const struct probe *p)
{
    (void)call, (void)p;
    abort();
}

int move_call_begin(struct shoal *map, struct call *ret_call) { return call_begin(map, ret_call); }
const char *store_name(const struct store *store)
{
    (void)store;
    abort();
}
