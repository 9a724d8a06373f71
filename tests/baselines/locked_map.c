/* SPDX-License-Identifier: MIT
 *
 * The map under a lock.
 */
#include "baselines/locked_map.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shoal/shoal.h"

struct node {
    uint32_t bytes; /* of the block */
    uint32_t next;
    uint32_t hash;
    uint32_t key_n;
    uint32_t value_n;
    uint8_t text[]; /* key, value */
};

struct free_block {
    uint32_t bytes;
    uint32_t next;
};

#define UNIT 8u
#define BLOCK_MIN 32u
#define RECORD_BLOCK 120u /* a node with 100 bytes of key and value */

static uint8_t *at(const struct locked_map *map, uint32_t offset) { return (uint8_t *)(uintptr_t)map + offset; }
static struct node *node_at(const struct locked_map *map, uint32_t offset) { return (void *)at(map, offset); }
static struct free_block *free_at(const struct locked_map *map, uint32_t offset) { return (void *)at(map, offset); }

static uint32_t blocks_at(const struct locked_map *map)
{
    const size_t head = sizeof *map + map->buckets_n * sizeof map->bucket[0];
    return (uint32_t)((head + UNIT - 1) / UNIT * UNIT);
}

static uint32_t buckets_for(uint32_t records)
{
    uint32_t n = 16;
    while (n < records)
        n *= 2;
    return n;
}

size_t locked_map_bytes(uint32_t records)
{
    return sizeof(struct locked_map) + buckets_for(records) * sizeof(uint32_t) + (size_t)records * RECORD_BLOCK;
}

void locked_map_make(struct locked_map *map, size_t bytes, uint32_t records)
{
    memset(map, 0, bytes);
    map->bytes = (uint32_t)(bytes / UNIT * UNIT);
    map->buckets_n = buckets_for(records);
    map->free_at = blocks_at(map);
    free_at(map, map->free_at)->bytes = map->bytes - map->free_at;
}

/* -- Blocks ----------------------------------------------------------------------------------------- */

/* First fit; the rest stays free where it is worth it.  0 = no room. */
static uint32_t block_take(struct locked_map *map, size_t wanted)
{
    const uint32_t bytes = wanted < BLOCK_MIN ? BLOCK_MIN : (uint32_t)((wanted + UNIT - 1) / UNIT * UNIT);
    for (uint32_t *link = &map->free_at; *link; link = &free_at(map, *link)->next) {
        const uint32_t found = *link;
        struct free_block *block = free_at(map, found);
        if (block->bytes < bytes)
            continue;
        if (block->bytes - bytes < BLOCK_MIN) {
            *link = block->next;
            return found;
        }
        const uint32_t rest = found + bytes;
        *free_at(map, rest) = (struct free_block){ .bytes = block->bytes - bytes, .next = block->next };
        *link = rest;
        block->bytes = bytes;
        return found;
    }
    return 0;
}

static void block_join(struct locked_map *map, uint32_t first)
{
    struct free_block *block = free_at(map, first);
    if (block->next && first + block->bytes == block->next) {
        const struct free_block *next = free_at(map, block->next);
        block->bytes += next->bytes;
        block->next = next->next;
    }
}

static void block_give(struct locked_map *map, uint32_t block)
{
    uint32_t before = 0;
    uint32_t *link = &map->free_at;
    while (*link && *link < block) {
        before = *link;
        link = &free_at(map, before)->next;
    }
    free_at(map, block)->next = *link;
    *link = block;
    block_join(map, block);
    if (before)
        block_join(map, before);
}

/* -- Keys ------------------------------------------------------------------------------------------- */

/* The link that names the key's node, or the chain's last one. */
static uint32_t *find(const struct locked_map *map, uint32_t hash, const void *key, size_t key_bytes)
{
    uint32_t *link = (uint32_t *)(uintptr_t)&map->bucket[hash & (map->buckets_n - 1)];
    while (*link) {
        struct node *node = node_at(map, *link);
        if (node->hash == hash && node->key_n == key_bytes && memcmp(node->text, key, key_bytes) == 0)
            break;
        link = &node->next;
    }
    return link;
}

static uint32_t hash_of(const void *key, size_t key_bytes) { return (uint32_t)XXH3_64bits(key, key_bytes); }

int locked_map_get(const struct locked_map *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes,
                   size_t *ret_bytes)
{
    const uint32_t *link = find(map, hash_of(key, key_bytes), key, key_bytes);
    if (!*link)
        return SHOAL_MISSING;
    const struct node *node = node_at(map, *link);
    if (node->value_n > buf_bytes)
        return SHOAL_EOS;
    memcpy(buf, node->text + node->key_n, node->value_n);
    *ret_bytes = node->value_n;
    return 0;
}

/* A complete node, not linked yet.  0 = no room. */
static uint32_t node_make(struct locked_map *map, uint32_t hash, const void *key, size_t key_bytes, const void *value,
                          size_t value_bytes)
{
    const uint32_t made = block_take(map, sizeof(struct node) + key_bytes + value_bytes);
    if (!made)
        return 0;
    struct node *node = node_at(map, made);
    node->hash = hash;
    node->key_n = (uint32_t)key_bytes;
    node->value_n = (uint32_t)value_bytes;
    memcpy(node->text, key, key_bytes);
    memcpy(node->text + key_bytes, value, value_bytes);
    return made;
}

int locked_map_put(struct locked_map *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const uint32_t hash = hash_of(key, key_bytes);
    uint32_t *link = find(map, hash, key, key_bytes);
    const uint32_t old = *link;
    struct node *node = old ? node_at(map, old) : NULL;
    if (node && sizeof *node + key_bytes + value_bytes <= node->bytes) {
        memcpy(node->text + key_bytes, value, value_bytes);
        node->value_n = (uint32_t)value_bytes;
        return 0;
    }
    const uint32_t made = node_make(map, hash, key, key_bytes, value, value_bytes);
    if (!made)
        return SHOAL_EFULL;
    node_at(map, made)->next = node ? node->next : 0;
    *link = made;
    if (old)
        block_give(map, old);
    else
        map->count++;
    return 0;
}

int locked_map_del(struct locked_map *map, const void *key, size_t key_bytes)
{
    uint32_t *link = find(map, hash_of(key, key_bytes), key, key_bytes);
    const uint32_t old = *link;
    if (!old)
        return SHOAL_MISSING;
    *link = node_at(map, old)->next;
    map->count--;
    block_give(map, old);
    return 0;
}

/* -- Check ------------------------------------------------------------------------------------------- */

/* Enter a block's units as owned.  false = it lies outside, or has an owner already. */
static bool own(const struct locked_map *map, uint8_t *owned, uint32_t block)
{
    if (block < blocks_at(map) || block % UNIT != 0 || block > map->bytes - BLOCK_MIN)
        return false;
    const uint32_t bytes = node_at(map, block)->bytes;
    if (bytes < BLOCK_MIN || bytes % UNIT != 0 || bytes > map->bytes - block)
        return false;
    for (uint32_t unit = block / UNIT; unit < (block + bytes) / UNIT; unit++)
        if (owned[unit]++)
            return false;
    return true;
}

static bool nodes_sound(const struct locked_map *map, uint8_t *owned)
{
    uint32_t count = 0;
    for (uint32_t b = 0; b < map->buckets_n; b++)
        for (uint32_t i = map->bucket[b]; i; i = node_at(map, i)->next, count++) {
            const struct node *node = node_at(map, i);
            if (!own(map, owned, i) || (node->hash & (map->buckets_n - 1)) != b ||
                (uint64_t)sizeof *node + node->key_n + node->value_n > node->bytes ||
                hash_of(node->text, node->key_n) != node->hash)
                return false;
        }
    return count == map->count;
}

int locked_map_check(const struct locked_map *map)
{
    uint8_t *owned = calloc(map->bytes / UNIT, 1);
    if (!owned)
        return SHOAL_EOS;
    bool sound = nodes_sound(map, owned);
    for (uint32_t i = map->free_at; sound && i; i = free_at(map, i)->next)
        sound = own(map, owned, i);
    free(owned);
    return sound ? 0 : SHOAL_ECORRUPT;
}
