/* SPDX-License-Identifier: MIT
 *
 * Keys, values and access orders.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "keyset.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* At least this many draws, so that a small table is not asked in one short cycle that a branch predictor
 * could learn. */
#define DRAWS_MIN (1u << 20)

/* splitmix64 (Steele, Lea, Flood 2014): a bijection of 64-bit numbers, so distinct numbers give distinct keys. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void key_make(uint64_t number, char *key, size_t key_bytes)
{
    for (size_t at = 0; at < key_bytes; at += 8) {
        uint64_t word = mix(number + (uint64_t)at * UINT64_C(0x100000001b3));
        size_t n = key_bytes - at < 8 ? key_bytes - at : 8;
        memcpy(key + at, &word, n);
    }
}

__extension__ typedef unsigned __int128 wide;

/* A uniform number below n from 64 random bits. */
static uint64_t below(uint64_t random, uint64_t n) { return (uint64_t)(((wide)random * n) >> 64); }

static double unit(uint64_t random) { return (double)(random >> 11) * 0x1p-53; }

/* Zipf ranks after Gray et al., "Quickly generating billion-record synthetic databases" (SIGMOD 1994), as
 * YCSB uses them. */
struct zipf {
    uint64_t n;
    double zeta_n, alpha, eta, second;
};

static struct zipf zipf_make(uint64_t n)
{
    const double theta = KEYSET_ZIPF_THETA;
    double zeta = 0;
    for (uint64_t i = 1; i <= n; i++)
        zeta += 1.0 / pow((double)i, theta);
    double zeta_2 = 1.0 + pow(0.5, theta);
    return (struct zipf){
        .n = n,
        .zeta_n = zeta,
        .alpha = 1.0 / (1.0 - theta),
        .eta = (1.0 - pow(2.0 / (double)n, 1.0 - theta)) / (1.0 - zeta_2 / zeta),
        .second = zeta_2,
    };
}

static uint64_t zipf_rank(const struct zipf *zipf, double u)
{
    double uz = u * zipf->zeta_n;
    if (uz < 1.0 || zipf->n < 2)
        return 0;
    if (uz < zipf->second || zipf->n < 3)
        return 1;
    uint64_t rank = (uint64_t)((double)zipf->n * pow(zipf->eta * u - zipf->eta + 1.0, zipf->alpha));
    return rank < zipf->n ? rank : zipf->n - 1;
}

/* Ranks are scattered over the keys, else the hottest keys would be the first inserted and lie together.
 * The multiplier is a prime above every key count that is allowed, hence a permutation. */
static uint64_t scatter(uint64_t rank, uint64_t n)
{
    return (uint64_t)(((wide)rank * UINT64_C(2305843009213693951) + n / 3) % n);
}

static int stream_make(struct keyset_stream *stream, uint64_t n, size_t key_bytes)
{
    void *at = mmap(NULL, n * key_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -1;
    stream->keys = at;
    stream->n = n;
    stream->room = n * key_bytes;
    return 0;
}

static void draw(struct keyset *set)
{
    struct zipf zipf = zipf_make(set->keys_n);
    const char *present = set->order[KEYSET_PRESENT].keys;
    struct keyset_stream *uniform = &set->order[KEYSET_UNIFORM];
    struct keyset_stream *skewed = &set->order[KEYSET_ZIPF];
    for (uint64_t i = 0; i < uniform->n; i++) {
        uint64_t one = below(mix(i ^ UINT64_C(0xa5a5a5a500000000)), set->keys_n);
        uint64_t other = scatter(zipf_rank(&zipf, unit(mix(i ^ UINT64_C(0x5a5a5a5a00000000)))), set->keys_n);
        memcpy(uniform->keys + i * set->key_bytes, present + one * set->key_bytes, set->key_bytes);
        memcpy(skewed->keys + i * set->key_bytes, present + other * set->key_bytes, set->key_bytes);
    }
    for (uint64_t i = 0; i < KEYSET_COINS; i++)
        set->coins[i] = (uint8_t)below(mix(i ^ UINT64_C(0x3c3c3c3c00000000)), 100);
}

int keyset_make(uint64_t keys_n, size_t key_bytes, size_t value_bytes, struct keyset *ret_set)
{
    uint64_t draws_n = keys_n > DRAWS_MIN ? keys_n : DRAWS_MIN;
    *ret_set = (struct keyset){ .keys_n = keys_n, .key_bytes = key_bytes, .value_bytes = value_bytes };
    for (int order = 0; order < KEYSET_ORDERS; order++) {
        uint64_t n = order == KEYSET_PRESENT || order == KEYSET_ABSENT ? keys_n : draws_n;
        if (stream_make(&ret_set->order[order], n, key_bytes) != 0) {
            keyset_free(ret_set);
            return -1;
        }
    }
    for (uint64_t i = 0; i < keys_n; i++) {
        key_make(i, ret_set->order[KEYSET_PRESENT].keys + i * key_bytes, key_bytes);
        key_make(keys_n + i, ret_set->order[KEYSET_ABSENT].keys + i * key_bytes, key_bytes);
    }
    draw(ret_set);
    return 0;
}

int keyset_part(const struct keyset *whole, keyset_belongs_fn *belongs, const void *arg, struct keyset *ret_part)
{
    *ret_part = *whole;
    memset(ret_part->order, 0, sizeof ret_part->order);
    for (int order = 0; order < KEYSET_ORDERS; order++) {
        const struct keyset_stream *from = &whole->order[order];
        struct keyset_stream *to = &ret_part->order[order];
        if (stream_make(to, from->n, whole->key_bytes) != 0) {
            keyset_free(ret_part);
            return -1;
        }
        to->n = 0;
        for (uint64_t i = 0; i < from->n; i++) {
            const char *key = from->keys + i * whole->key_bytes;
            if (belongs(arg, key))
                memcpy(to->keys + to->n++ * whole->key_bytes, key, whole->key_bytes);
        }
    }
    ret_part->keys_n = ret_part->order[KEYSET_PRESENT].n;
    return 0;
}

uint64_t keyset_bytes(const struct keyset *set)
{
    uint64_t bytes = 0;
    for (int order = 0; order < KEYSET_ORDERS; order++)
        bytes += set->order[order].n * set->key_bytes;
    return bytes;
}

void keyset_free(struct keyset *set)
{
    for (int order = 0; order < KEYSET_ORDERS; order++) {
        struct keyset_stream *stream = &set->order[order];
        if (stream->keys)
            munmap(stream->keys, stream->room);
        *stream = (struct keyset_stream){ 0 };
    }
}

int keyset_write(const struct keyset *set, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return -1;
    fprintf(file, "shoal-keys %" PRIu64 " %" PRIu64 " %zu %zu %u\n", set->keys_n, set->order[KEYSET_UNIFORM].n,
            set->key_bytes, set->value_bytes, KEYSET_COINS);
    for (int order = 0; order < KEYSET_ORDERS; order++)
        fwrite(set->order[order].keys, set->key_bytes, set->order[order].n, file);
    fwrite(set->coins, 1, KEYSET_COINS, file);
    int failed = ferror(file);
    return fclose(file) != 0 || failed ? -1 : 0;
}

/* -- Values ------------------------------------------------------------------------
 * word 0 = check:32 | version:32, word j = seed + j * STEP, the last word cut off where the size is no
 * multiple of 8.  Two multiplications for the seed, then additions: a few ns for 100 bytes. */
#define STEP UINT64_C(0xd1342543de82ef95)

static uint64_t value_seed(const char *key, uint32_t version)
{
    uint64_t word;
    memcpy(&word, key, sizeof word);
    return word * UINT64_C(0x9fb21c651e98df25) ^ (version + UINT64_C(1)) * UINT64_C(0xe7037ed1a0b428db);
}

static uint64_t value_first(uint64_t seed, uint32_t version) { return (seed & UINT64_C(0xffffffff00000000)) | version; }

void keyset_value(const char *key, uint32_t version, char *buf, size_t bytes)
{
    uint64_t seed = value_seed(key, version);
    uint64_t first = value_first(seed, version);
    memcpy(buf, &first, sizeof first);
    size_t words = bytes / 8;
    for (size_t j = 1; j < words; j++) {
        uint64_t word = seed + j * STEP;
        memcpy(buf + 8 * j, &word, sizeof word);
    }
    uint64_t last = seed + words * STEP;
    memcpy(buf + 8 * words, &last, bytes % 8);
}

int keyset_value_ok(const char *key, const char *buf, size_t bytes)
{
    uint64_t first;
    memcpy(&first, buf, sizeof first);
    uint32_t version = (uint32_t)first;
    uint64_t seed = value_seed(key, version);
    uint64_t differs = first ^ value_first(seed, version);
    size_t words = bytes / 8;
    for (size_t j = 1; j < words; j++) {
        uint64_t word;
        memcpy(&word, buf + 8 * j, sizeof word);
        differs |= word ^ (seed + j * STEP);
    }
    uint64_t last = seed + words * STEP;
    return differs == 0 && memcmp(buf + 8 * words, &last, bytes % 8) == 0;
}
