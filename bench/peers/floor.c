/* SPDX-License-Identifier: MIT
 *
 * The floor: what a table of Shoal's shape costs when nothing is protected.
 *
 * Groups of a line (a bound and seven words of fingerprint and offset), linear probing by groups, load 0.75, XXH3; key
 * and value in one block of its size class, behind a header of 16 bytes; all of it in one mapped file that each worker
 * opens by its path.  No atomic access, no fence, no check of what is read, no second look, no attachment, no generation:
 * a put writes over the value where it lies, so a reader at the same time may see half of it, and a process that dies in
 * a call leaves the table broken.  Its memory is there, and mapped, before the first call.
 *
 * floor_replace is the same, but each put makes a record and gives the old one back.  Whoever lets readers go without a
 * lock, and writers die, has to do that; how they are told apart then comes on top.
 *
 * One writer for each word: the table consists of a shard for each worker, chosen by the hash; a worker writes to its
 * own alone (driver.h: owner) and reads all.
 *
 *   file     header | shard's groups, then its heap | next shard's ...
 *   group    bound:8 .. | 7 * (live:1 | fingerprint:15 | offset from the shard:48)
 *   block    u64 that nothing uses (Shoal's H is there) | key bytes:32 | value bytes:32 | key, zero padded to 8 | value
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "peers.h"

#define LINE 64u
#define PAGE 4096u
#define GROUP_SLOTS 7u
#define WINDOW_GROUPS 256u
#define SMALL_MAX 512u /* classes by 8 bytes up to here, then 16 to a doubling */
#define CLASSES_N 512u
#define LINES_AHEAD 8u        /* of a record are asked for before its lengths are known; longer copies stream */

#define OFFSET_BITS 48
#define OFFSET_MASK (((uint64_t)1 << OFFSET_BITS) - 1)

struct group {
    uint64_t bound;
    uint64_t slot[GROUP_SLOTS];
};
_Static_assert(sizeof(struct group) == LINE, "one line");

struct block {
    uint64_t unused;
    uint32_t key_bytes, value_bytes;
    char bytes[];
};
_Static_assert(sizeof(struct block) == 16, "as large as Shoal's");

/* The beginning of a shard; its writer's alone. */
struct shard {
    uint64_t heap_next;  /* bytes from here: what was never given out */
    uint64_t free[CLASSES_N]; /* the first free block of a class; the next one is in its `unused` */
};

struct geometry {
    uint64_t groups_n; /* home groups of a shard; a tail of WINDOW_GROUPS follows */
    uint64_t groups_at, heap_at, shard_bytes;
    uint64_t shards_n;
    unsigned lines_ahead; /* of a record of the mean size */
};

struct handle {
    struct geometry geo;
    char *map;
    int file;
    bool replaces; /* with every put */
};

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* -- Classes ----------------------------------------------------------------------- */

static uint64_t block_need(size_t key_bytes, size_t value_bytes)
{
    return round_up(sizeof(struct block) + round_up(key_bytes, 8) + value_bytes, 8);
}

/* The class that holds so many bytes, and what its blocks have. */
static unsigned class_of(uint64_t need, uint64_t *ret_bytes)
{
    if (need <= SMALL_MAX) {
        *ret_bytes = need;
        return (unsigned)(need / 8);
    }
    unsigned doubling = 63u - (unsigned)__builtin_clzll((need - 1) / SMALL_MAX);
    uint64_t base = (uint64_t)SMALL_MAX << doubling, step = (need - base - 1) / (base / 16);
    *ret_bytes = base + base / 16 * (step + 1);
    return SMALL_MAX / 8 + 1 + doubling * 16 + (unsigned)step;
}

/* -- The file ---------------------------------------------------------------------- */

static struct geometry geometry_of(const struct driver_setup *setup)
{
    uint64_t bytes;
    (void)class_of(block_need(setup->key_bytes, setup->value_bytes), &bytes);
    /* A shard gets its part of the keys by their hash: six standard deviations more are never reached. */
    uint64_t keys = setup->keys / setup->workers + 1;
    if (setup->workers > 1)
        keys += (uint64_t)(6 * sqrt((double)keys));
    struct geometry geo = { .shards_n = setup->workers };
    geo.groups_n = (keys * 4 / 3 + GROUP_SLOTS - 1) / GROUP_SLOTS + 1;
    geo.groups_at = round_up(sizeof(struct shard), PAGE);
    geo.heap_at = round_up(geo.groups_at + (geo.groups_n + WINDOW_GROUPS) * sizeof(struct group), PAGE);
    geo.shard_bytes = round_up(geo.heap_at + (keys + 64) * bytes, PAGE);
    uint64_t lines = bytes / LINE + 1;
    geo.lines_ahead = (unsigned)(lines < LINES_AHEAD ? lines : LINES_AHEAD);
    return geo;
}

/* Pages that are there, and mapped.  Kernels before 5.14 cannot be asked; then the first touch does it. */
static int make_present(void *at, uint64_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    const int advice = MADV_POPULATE_WRITE;
#else
    const int advice = 23;
#endif
    if (madvise(at, bytes, advice) == 0 || errno == EINVAL)
        return 0;
    return driver_fail("no room for %zu bytes: %s", (size_t)bytes, strerror(errno));
}

static struct shard *shard_at(const struct handle *own, uint64_t i)
{
    return (struct shard *)(void *)(own->map + i * own->geo.shard_bytes);
}

static struct group *groups_at(const struct handle *own, const struct shard *shard)
{
    return (struct group *)(uintptr_t)((const char *)shard + own->geo.groups_at);
}

static int map_it(struct handle *own, const char *path, int flags)
{
    const struct geometry *geo = &own->geo;
    own->file = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
    if (own->file < 0)
        return driver_fail("open %s: %s", path, strerror(errno));
    uint64_t bytes = geo->shards_n * geo->shard_bytes;
    if ((flags & O_CREAT) && ftruncate(own->file, (off_t)bytes) != 0)
        return driver_fail("ftruncate: %s", strerror(errno));
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, own->file, 0);
    if (map == MAP_FAILED)
        return driver_fail("mmap: %s", strerror(errno));
    own->map = map;
    return make_present(map, bytes);
}

static void close_it(void *handle)
{
    struct handle *own = handle;
    if (own->map)
        munmap(own->map, own->geo.shards_n * own->geo.shard_bytes);
    if (own->file >= 0)
        close(own->file);
    free(own);
}

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    struct handle *own = malloc(sizeof *own);
    if (!own)
        return driver_fail("no memory");
    *own = (struct handle){ .geo = geometry_of(setup), .file = -1 };
    if (map_it(own, setup->path, host ? 0 : O_CREAT | O_EXCL) != 0) {
        close_it(own);
        return DRIVER_FAILED;
    }
    for (uint64_t i = 0; !host && i < own->geo.shards_n; i++)
        shard_at(own, i)->heap_next = own->geo.heap_at;
    *ret_handle = own;
    return 0;
}

static int open_replacing(const struct driver_setup *setup, void *host, void **ret_handle)
{
    int rc = open_it(setup, host, ret_handle);
    if (rc == 0)
        ((struct handle *)*ret_handle)->replaces = true;
    return rc;
}

static void unlink_it(const struct driver_setup *setup) { unlink(setup->path); }

/* -- Places ------------------------------------------------------------------------ */

static inline uint64_t hash_of(const void *key, size_t key_bytes) { return XXH3_64bits(key, key_bytes); }

__extension__ typedef unsigned __int128 wide;

static inline uint64_t home_of(const struct handle *own, uint64_t hash)
{
    return (uint64_t)(((wide)hash * own->geo.groups_n) >> 64);
}

/* The top half of a slot's first word: live, and the fingerprint. */
static inline uint32_t mark_of(uint64_t hash) { return 0x8000u | ((uint32_t)hash & 0x7fffu); }

static inline uint64_t shard_of(uint64_t hash, uint64_t shards_n)
{
    return (uint64_t)(uint32_t)(hash >> 15) * shards_n >> 32;
}

static inline struct shard *shard_for(const struct handle *own, uint64_t hash)
{
    return own->geo.shards_n == 1 ? shard_at(own, 0) : shard_at(own, shard_of(hash, own->geo.shards_n));
}

static unsigned owner(const struct driver_setup *setup, const void *key, size_t key_bytes)
{
    return (unsigned)shard_of(hash_of(key, key_bytes), setup->workers);
}

/* A bit for each slot with this mark. */
static inline unsigned slots_with(const struct group *group, uint32_t mark)
{
#ifdef __SSE2__
    /* The upper halves of all eight words, compared together. */
    const __m128 *pairs = (const __m128 *)(const void *)group;
    const __m128i wanted = _mm_set1_epi32((int)mark);
    __m128i low = _mm_castps_si128(_mm_shuffle_ps(pairs[0], pairs[1], _MM_SHUFFLE(3, 1, 3, 1)));
    __m128i high = _mm_castps_si128(_mm_shuffle_ps(pairs[2], pairs[3], _MM_SHUFFLE(3, 1, 3, 1)));
    low = _mm_cmpeq_epi32(_mm_srli_epi32(low, 16), wanted);
    high = _mm_cmpeq_epi32(_mm_srli_epi32(high, 16), wanted);
    return ((unsigned)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128())) >> 1) & 0x7fu;
#else
    unsigned bits = 0;
    for (unsigned i = 0; i < GROUP_SLOTS; i++)
        bits |= (unsigned)(group->slot[i] >> OFFSET_BITS == mark) << i;
    return bits;
#endif
}

static inline struct block *block_at(const struct shard *shard, uint64_t slot)
{
    return (struct block *)(uintptr_t)((const char *)shard + (slot & OFFSET_MASK));
}

/* For batches.  A single get is slower with it, by a tenth where this was measured: the processor runs ahead to the copy, and
 * asks for the same lines itself. */
static inline void ask_for(const struct handle *own, const struct block *block)
{
    for (unsigned i = 0; i < own->geo.lines_ahead; i++)
        __builtin_prefetch((const char *)block + i * LINE);
}

static inline int is_of(const struct block *block, const void *key, size_t key_bytes)
{
    if (block->key_bytes != key_bytes)
        return 0;
    const char *one = key, *two = block->bytes;
    for (; key_bytes >= 8; key_bytes -= 8, one += 8, two += 8) {
        uint64_t a, b;
        memcpy(&a, one, 8);
        memcpy(&b, two, 8);
        if (a != b)
            return 0;
    }
    return key_bytes == 0 || memcmp(one, two, key_bytes) == 0;
}

/* By the length that was asked for, which is the block's: so the value's lines are on their way before the header is here. */
static inline char *value_of(struct block *block, size_t key_bytes) { return block->bytes + round_up(key_bytes, 8); }

/* The slot of a key, or NULL. */
static inline uint64_t *find(const struct handle *own, const struct shard *shard, uint64_t hash, const void *key,
                             size_t key_bytes)
{
    struct group *group = groups_at(own, shard) + home_of(own, hash), *last = group + group->bound;
    uint32_t mark = mark_of(hash);
    for (; group <= last; group++)
        for (unsigned bits = slots_with(group, mark); bits != 0; bits &= bits - 1) {
            uint64_t *slot = &group->slot[__builtin_ctz(bits)];
            if (is_of(block_at(shard, *slot), key, key_bytes))
                return slot;
        }
    return NULL;
}

/* -- Reading ----------------------------------------------------------------------- */

static inline int copy_out(struct block *block, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    if (block->value_bytes > buf_bytes)
        return driver_fail("a value of %u bytes", block->value_bytes);
    *ret_bytes = block->value_bytes;
    memcpy(buf, value_of(block, key_bytes), block->value_bytes);
    return DRIVER_OK;
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    const struct handle *own = handle;
    uint64_t hash = hash_of(key, key_bytes);
    const struct shard *shard = shard_for(own, hash);
    const uint64_t *slot = find(own, shard, hash, key, key_bytes);
    return slot ? copy_out(block_at(shard, *slot), key_bytes, buf, buf_bytes, ret_bytes) : DRIVER_MISSING;
}

/* All groups are on their way before the first is looked at, then all records. */
static int get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    const struct handle *own = handle;
    uint64_t hashes[DRIVER_BATCH];
    for (size_t i = 0; i < n; i++) {
        hashes[i] = hash_of(keys[i].key, keys[i].bytes);
        __builtin_prefetch(groups_at(own, shard_for(own, hashes[i])) + home_of(own, hashes[i]));
    }
    for (size_t i = 0; i < n; i++) {
        const struct shard *shard = shard_for(own, hashes[i]);
        const struct group *group = groups_at(own, shard) + home_of(own, hashes[i]);
        unsigned bits = slots_with(group, mark_of(hashes[i]));
        if (bits != 0)
            ask_for(own, block_at(shard, group->slot[__builtin_ctz(bits)]));
        else if (group->bound > 0)
            __builtin_prefetch(group + 1);
    }
    int result = 0;
    for (size_t i = 0; i < n && result >= 0; i++) {
        const struct shard *shard = shard_for(own, hashes[i]);
        const uint64_t *slot = find(own, shard, hashes[i], keys[i].key, keys[i].bytes);
        struct driver_result *one = &results[i];
        result = one->code = slot ? copy_out(block_at(shard, *slot), keys[i].bytes, one->buf, one->buf_bytes, &one->bytes)
                                  : DRIVER_MISSING;
    }
    return result < 0 ? result : DRIVER_OK;
}

/* -- Writing ----------------------------------------------------------------------- */

static struct block *block_new(const struct handle *own, struct shard *shard, uint64_t need)
{
    uint64_t bytes;
    unsigned class_i = class_of(need, &bytes);
    uint64_t at = shard->free[class_i];
    if (at != 0) {
        struct block *block = block_at(shard, at);
        shard->free[class_i] = block->unused;
        return block;
    }
    at = shard->heap_next;
    if (at + bytes > own->geo.shard_bytes) {
        (void)driver_fail("the heap is full");
        return NULL;
    }
    shard->heap_next = at + bytes;
    return block_at(shard, at);
}

static void block_free(struct shard *shard, struct block *block)
{
    uint64_t bytes;
    unsigned class_i = class_of(block_need(block->key_bytes, block->value_bytes), &bytes);
    block->unused = shard->free[class_i];
    shard->free[class_i] = (uint64_t)((char *)block - (char *)shard);
}

static inline void block_fill(struct block *block, const void *key, size_t key_bytes, const void *value,
                              size_t value_bytes)
{
    block->key_bytes = (uint32_t)key_bytes;
    block->value_bytes = (uint32_t)value_bytes;
    memcpy(block->bytes, key, key_bytes);
    memcpy(value_of(block, key_bytes), value, value_bytes);
}

/* The first free slot from the home on, which then lies within its bound. */
static inline uint64_t *place(const struct handle *own, struct shard *shard, uint64_t hash)
{
    struct group *home = groups_at(own, shard) + home_of(own, hash);
    for (uint64_t distance = 0; distance < WINDOW_GROUPS; distance++) {
        unsigned bits = slots_with(home + distance, 0);
        if (bits == 0)
            continue;
        if (distance > home->bound)
            home->bound = distance;
        return &home[distance].slot[__builtin_ctz(bits)];
    }
    return NULL;
}

static inline int publish(const struct handle *own, struct shard *shard, uint64_t hash, const struct block *block)
{
    uint64_t *slot = place(own, shard, hash);
    if (!slot)
        return driver_fail("no free slot in the window");
    *slot = (uint64_t)mark_of(hash) << OFFSET_BITS | (uint64_t)((const char *)block - (const char *)shard);
    return DRIVER_OK;
}

/* The record is written while the group is on its way. */
static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const struct handle *own = handle;
    uint64_t hash = hash_of(key, key_bytes);
    struct shard *shard = shard_for(own, hash);
    __builtin_prefetch(groups_at(own, shard) + home_of(own, hash), 1);
    struct block *block = block_new(own, shard, block_need(key_bytes, value_bytes));
    if (!block)
        return DRIVER_FAILED;
    block_fill(block, key, key_bytes, value, value_bytes);
    if (!find(own, shard, hash, key, key_bytes))
        return publish(own, shard, hash, block);
    block_free(shard, block);
    return DRIVER_EXISTS;
}

/* In place where the value's size stays, else into another block. */
static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    const struct handle *own = handle;
    uint64_t hash = hash_of(key, key_bytes);
    struct shard *shard = shard_for(own, hash);
    uint64_t *slot = find(own, shard, hash, key, key_bytes);
    if (slot && !own->replaces && block_at(shard, *slot)->value_bytes == value_bytes) {
        memcpy(value_of(block_at(shard, *slot), key_bytes), value, value_bytes);
        return DRIVER_OK;
    }
    struct block *block = block_new(own, shard, block_need(key_bytes, value_bytes));
    if (!block)
        return DRIVER_FAILED;
    block_fill(block, key, key_bytes, value, value_bytes);
    if (!slot)
        return publish(own, shard, hash, block);
    block_free(shard, block_at(shard, *slot));
    *slot = (*slot & ~OFFSET_MASK) | (uint64_t)((const char *)block - (const char *)shard);
    return DRIVER_OK;
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    const struct handle *own = handle;
    uint64_t hash = hash_of(key, key_bytes);
    struct shard *shard = shard_for(own, hash);
    uint64_t *slot = find(own, shard, hash, key, key_bytes);
    if (!slot)
        return DRIVER_MISSING;
    block_free(shard, block_at(shard, *slot));
    *slot = 0;
    return DRIVER_OK;
}

const struct driver driver_floor = {
    .name = "floor",
    .settings = "the same layout without any protection: one writer a shard, a shard a worker, values overwritten in "
                "place, XXH3, memory present and mapped before the first insert",
    .workers = DRIVER_PROCESSES,
    .group = DRIVER_FLOOR,
    .memory = DRIVER_MEMORY_FILE,
    .open = open_it,
    .close = close_it,
    .unlink = unlink_it,
    .insert = insert,
    .get = get,
    .get_many = get_many,
    .put = put,
    .del = del,
    .owner = owner,
};

const struct driver driver_floor_replace = {
    .name = "floor_replace",
    .settings = "as floor, but a put writes another block, the last that became free, and then the slot",
    .workers = DRIVER_PROCESSES,
    .group = DRIVER_REPLACING,
    .memory = DRIVER_MEMORY_FILE,
    .open = open_replacing,
    .close = close_it,
    .unlink = unlink_it,
    .insert = insert,
    .get = get,
    .get_many = get_many,
    .put = put,
    .del = del,
    .owner = owner,
};
