/* SPDX-License-Identifier: MIT
 *
 * A plain map in shared memory, to be used under a lock: chains of nodes, and a first-fit allocator with an
 * address-ordered free list that joins neighbours.
 *
 * What one writes who knows that a process may die inside: a new node is complete before one store links it,
 * a replaced one is unlinked by one store before it is freed, and a value that fits is overwritten in place,
 * as is usual under a lock.  Offsets, never pointers.
 *
 *   locked_map | bucket[buckets_n] | blocks ...
 *   block free: bytes, next free        block in use: bytes, next in chain, hash, key_n, value_n, key, value
 */
#ifndef TESTS_BASELINES_LOCKED_MAP_H
#define TESTS_BASELINES_LOCKED_MAP_H

#include <stddef.h>
#include <stdint.h>

struct locked_map {
    uint32_t bytes;     /* of the whole, this struct included */
    uint32_t buckets_n; /* a power of two */
    uint32_t count;     /* of keys */
    uint32_t free_at;   /* the first free block, 0 = none */
    uint32_t bucket[];  /* the first node of each chain, 0 = none */
};

/* Bytes for about `records` records of 100 bytes. */
size_t locked_map_bytes(uint32_t records);
void locked_map_make(struct locked_map *map, size_t bytes, uint32_t records);

/* As system.h says; the caller holds the lock. */
int locked_map_get(const struct locked_map *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes,
                   size_t *ret_bytes);
int locked_map_put(struct locked_map *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
int locked_map_del(struct locked_map *map, const void *key, size_t key_bytes);

/* Does each node stand in its bucket's chain, does no byte have two owners, is the count right?  Bytes that
 * nobody owns are left to the ledger.  0 or SHOAL_ECORRUPT. */
int locked_map_check(const struct locked_map *map);

#endif
