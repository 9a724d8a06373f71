/* SPDX-License-Identifier: MIT
 *
 * A record's bytes: writing them into an owned block, reading them from a block that may be reused at
 * any moment.  Lengths are loaded once and checked against the block before anything else is read (E).
 */
#ifndef SHOAL_TABLE_RECORD_H
#define SHOAL_TABLE_RECORD_H

#include "base/copy.h"
#include "base/hash.h"
#include "base/hot.h"
#include "memory/heap.h"

/* A key and where it belongs. */
struct probe {
    const uint8_t *key;
    uint64_t hash, home;
    uint32_t key_bytes, finger;
};

HOT_INLINE struct probe probe_make(const struct segment *s, const void *key, size_t key_bytes)
{
    uint64_t hash = hash_key(key, key_bytes, s->geo.seed);
    return (struct probe){ key, hash, hash_home(hash, s->geo.groups_n), (uint32_t)key_bytes, hash_finger(hash) };
}

/* What a record says of itself; word indices count from H. */
struct record {
    const shared_u64 *words;
    uint64_t value_bytes;
    uint32_t key_bytes;
    uint32_t slot_i;
    uint32_t below_at, mtime_at, expiry_at, checksum_at; /* 0 = has none */
    uint32_t key_at;
    uint64_t value_at;
    bool typed;
};

/* Returns the first word behind them. */
HOT_INLINE uint32_t record_decode_features(uint64_t features, uint32_t at, struct record *ret)
{
    if (features & FEATURE_STORE)
        ret->below_at = at++;
    if (features & FEATURE_EXPIRY)
        ret->expiry_at = at++;
    if (features & FEATURE_MTIME)
        ret->mtime_at = at++;
    if (features & FEATURE_CHECKSUM)
        ret->checksum_at = at++;
    return at;
}

/* The record that is asked for most: without features, as long a key as was asked for, and a value whose length stands in the
 * place word.  Where the value lies hardly depends on what was loaded, so its lines come together with the first one.  False:
 * record_decode_words must say. */
HOT_INLINE bool record_decode_plainly(const shared_u64 *words, uint64_t bytes, uint32_t key_bytes, struct record *ret)
{
    uint64_t lens = (uint32_t)payload_load(&words[1]) ^ key_bytes << 16;
    *ret = (struct record){ .words = words, .key_bytes = key_bytes, .key_at = 2 };
    ret->value_at = 2 + (key_bytes + 7u) / 8;
    if (UNLIKELY(lens >= VALUE_LONG)) {
        ret->typed = true;
        ret->value_at = 2 + key_bytes / 8 + 1;
        lens ^= PLACE_TYPED;
    }
    ret->value_bytes = lens;
    return lens < VALUE_LONG && ret->value_at * 8 + lens <= bytes;
}

/* From the words of a block, and its bytes: at least 3 words.  False: the lengths do not fit the block. */
HOT_INLINE bool record_decode_words(uint64_t features, const shared_u64 *words, uint64_t bytes, struct record *ret)
{
    uint64_t lens = payload_load(&words[1]);
    uint32_t at = 2;
    ret->words = words;
    ret->slot_i = place_slot(lens);
    ret->key_bytes = (uint32_t)(lens >> 16) & 0xffffu;
    ret->typed = (lens & PLACE_TYPED) != 0;
    ret->value_bytes = lens & VALUE_LONG;
    ret->below_at = ret->mtime_at = ret->expiry_at = ret->checksum_at = 0;
    if (ret->value_bytes == VALUE_LONG)
        ret->value_bytes = payload_load(&words[at++]); /* blocks have 3 words at least */
    if (features != 0)
        at = record_decode_features(features, at, ret);
    ret->key_at = at;
    ret->value_at = at + (ret->key_bytes + ret->typed + 7u) / 8;
    uint64_t room = bytes / 8;
    return ret->key_bytes > 0 && ret->value_at <= room && ret->value_bytes <= (room - ret->value_at) * 8;
}

static inline bool record_decode(const struct segment *s, const struct block_place *place, struct record *ret)
{
    return record_decode_words(s->geo.features, segment_block(s, place->block), place->bytes, ret);
}

/* Of a key as long as the probe's. */
HOT_INLINE bool record_key_words_equal(const shared_u64 *words, const struct probe *p)
{
    const uint8_t *key = p->key;
    uint32_t n = p->key_bytes;
    for (; n >= 8; n -= 8, key += 8, words++) {
        uint64_t w;
        memcpy(&w, key, 8);
        if (payload_load(words) != w)
            return false;
    }
    if (n == 0)
        return true;
    uint64_t theirs = payload_load(words); /* the type byte may stand behind the key */
    return memcmp(&theirs, key, n) == 0;
}

/* The same by two words, where the key has two and zeros follow it. */
HOT_INLINE bool record_key_words_same(const shared_u64 *words, const struct probe *p, bool typed)
{
    const uint32_t n = p->key_bytes;
    uint64_t first, last;
    if (n - 9 > 7 || typed)
        return record_key_words_equal(words, p);
    memcpy(&first, p->key, 8);
    memcpy(&last, p->key + n - 8, 8);
    return ((payload_load(words) ^ first) | (payload_load(words + 1) ^ last >> (16 - n) * 8)) == 0;
}

HOT_INLINE bool record_key_equals(const struct record *r, const struct probe *p)
{
    return r->key_bytes == p->key_bytes && record_key_words_equal(r->words + r->key_at, p);
}

HOT_INLINE uint8_t record_type(const struct record *r)
{
    if (!r->typed)
        return SHOAL_RAW;
    uint64_t w = payload_load(&r->words[r->key_at + r->key_bytes / 8]);
    return ((const uint8_t *)&w)[r->key_bytes % 8];
}

/* The word that says how the record stands to the store; 0 without one. */
static inline uint64_t record_below(const struct record *r)
{
    return r->below_at != 0 ? load_acquire_u64(&r->words[r->below_at]) : 0; /* [clean] */
}

/* What goes into a new record. */
struct record_source {
    const void *value;
    uint64_t value_bytes;
    int64_t mtime_ns;
    uint64_t below; /* below_pack(): in maps above a store */
    uint8_t type;
    bool moved;   /* keeps its mtime */
    bool spoiled; /* its checksum was wrong where it was, and stays so */
};

uint64_t record_checksum(const struct segment *s, const void *key, uint64_t key_bytes, const void *value,
                         uint64_t value_bytes, uint8_t type, int64_t mtime_ns);

/* The key, and behind it the type where there is one; returns the words written. */
HOT_INLINE uint64_t record_key_in(shared_u64 *words, const struct probe *p, bool typed, uint8_t type)
{
    uint64_t whole = p->key_bytes / 8 * 8, at = copy_in(words, p->key, whole);
    uint64_t rest = p->key_bytes - whole;
    if (rest == 0 && !typed)
        return at;
    uint8_t last[8] = { 0 };
    memcpy(last, p->key + whole, rest);
    last[rest] = typed ? type : 0;
    return at + copy_in(words + at, last, 8);
}

/* Write everything but H into an owned block.  features: the map's. */
HOT_INLINE void record_write_with(uint64_t features, const struct segment *s, uint64_t block, const struct probe *p,
                                  const struct record_source *source)
{
    shared_u64 *words = segment_block(s, block);
    bool typed = source->type != SHOAL_RAW;
    uint64_t at = 2;
    payload_store(&words[1], place_pack(UINT32_MAX, p->key_bytes, typed, source->value_bytes));
    if (source->value_bytes >= VALUE_LONG)
        payload_store(&words[at++], source->value_bytes);
    if (features & FEATURE_STORE)
        payload_store(&words[at++], source->below);
    if (features & FEATURE_EXPIRY)
        payload_store(&words[at++], 0);
    if (features & FEATURE_MTIME)
        payload_store(&words[at++], (uint64_t)source->mtime_ns);
    if (features & FEATURE_CHECKSUM) {
        uint64_t sum = record_checksum(s, p->key, p->key_bytes, source->value, source->value_bytes, source->type,
                                       source->mtime_ns);
        payload_store(&words[at++], source->spoiled ? ~sum : sum);
    }
    at += record_key_in(&words[at], p, typed, source->type);
    (void)copy_in(&words[at], source->value, source->value_bytes);
}
void record_write(const struct segment *s, uint64_t block, const struct probe *p, const struct record_source *source);

/* Where it will be placed; before the CAS that places it. */
HOT_INLINE void record_set_slot(const struct segment *s, uint64_t block, uint32_t slot_i)
{
    shared_u64 *place = segment_block(s, block) + 1;
    payload_store(place, (payload_load(place) & 0xffffffffu) | (uint64_t)slot_i << 32);
}

HOT_INLINE uint64_t record_version(const struct segment *s, uint64_t block, uint64_t generation)
{
    return (((generation << 24) | ((block >> 3) & 0xffffffu)) & s->version_mask) ^ s->geo.version_salt;
}

/* Of a record that lies below. */
static inline uint64_t record_version_below(const struct segment *s, uint64_t version)
{
    return (version | VERSION_STORE) ^ s->geo.version_salt;
}

#endif
