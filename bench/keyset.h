/* SPDX-License-Identifier: MIT
 *
 * Keys, values and access orders, made before the clock starts.
 *
 * A stream is an array of keys in the order in which they will be asked for, so that the loop reads it
 * sequentially and the random access is the table's alone.  Everything is derived from fixed seeds: two runs
 * ask for the same keys in the same order.
 */
#ifndef SHOAL_BENCH_KEYSET_H
#define SHOAL_BENCH_KEYSET_H

#include <stddef.h>
#include <stdint.h>

#define KEYSET_KEY_MIN 8u   /* bytes; distinct keys need a 64-bit number */
#define KEYSET_VALUE_MIN 8u /* bytes; version and check word */
#define KEYSET_ZIPF_THETA 0.99
#define KEYSET_COINS 65536u /* power of two */

enum keyset_order {
    KEYSET_PRESENT, /* the keys of the table, each once */
    KEYSET_ABSENT,  /* as many keys that are not in the table, each once */
    KEYSET_UNIFORM, /* drawn from PRESENT, all alike */
    KEYSET_ZIPF,    /* drawn from PRESENT, zipf with theta 0.99 over scattered ranks */
    KEYSET_ORDERS
};

struct keyset_stream {
    char *keys;
    uint64_t n, room; /* keys in it; bytes mapped for them */
};

struct keyset {
    uint64_t keys_n;
    size_t key_bytes, value_bytes;
    struct keyset_stream order[KEYSET_ORDERS];
    uint8_t coins[KEYSET_COINS]; /* random, 0..99: which operation of a mix */
};

/* Returns 0, or -1 without memory.  `ret_set` needs no preparation. */
int keyset_make(uint64_t keys_n, size_t key_bytes, size_t value_bytes, struct keyset *ret_set);
void keyset_free(struct keyset *set);

/* The keys that belong, in the same orders; the counts of present and absent ones differ then.  Freed like the whole.  0,
 * or -1 without memory. */
typedef int keyset_belongs_fn(const void *arg, const char *key);
int keyset_part(const struct keyset *whole, keyset_belongs_fn *belongs, const void *arg, struct keyset *ret_part);
/* What its keys take. */
uint64_t keyset_bytes(const struct keyset *set);

/* For programs in other languages: one line "shoal-keys KEYS DRAWS KEY_BYTES VALUE_BYTES COINS", then the keys of the four
 * orders, one behind the other, then the coins.  0, or -1 with errno. */
int keyset_write(const struct keyset *set, const char *path);

/* The value that belongs to a key and a version: every word of it depends on both, so that a value mixed
 * from two versions, or of another key, does not pass. */
void keyset_value(const char *key, uint32_t version, char *buf, size_t bytes);
/* Does buf hold a value of this key, of whichever version?  1 or 0. */
int keyset_value_ok(const char *key, const char *buf, size_t bytes);

#endif
