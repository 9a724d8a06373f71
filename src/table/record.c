/* SPDX-License-Identifier: MIT */
#include "table/record.h"

/* The key, and behind it the type where there is one. */
static uint64_t key_in(shared_u64 *words, const struct probe *p, bool typed, uint8_t type)
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

uint64_t record_checksum(const struct segment *s, const void *key, uint64_t key_bytes, const void *value,
                         uint64_t value_bytes, uint8_t type, int64_t mtime_ns)
{
    struct {
        uint64_t key_hash, value_hash, value_bytes;
        int64_t mtime_ns;
        uint64_t type;
    } parts = { hash_bytes(key, key_bytes, s->geo.seed), hash_bytes(value, value_bytes, s->geo.seed), value_bytes,
                mtime_ns, type };
    return hash_bytes(&parts, sizeof parts, s->geo.seed);
}

void record_write(const struct segment *s, uint64_t block, const struct probe *p, const struct record_source *source)
{
    shared_u64 *words = segment_block(s, block);
    bool typed = source->type != SHOAL_RAW;
    uint64_t at = 2;
    payload_store(&words[1], place_pack(UINT32_MAX, p->key_bytes, typed, source->value_bytes));
    if (source->value_bytes >= VALUE_LONG)
        payload_store(&words[at++], source->value_bytes);
    if (s->geo.features & FEATURE_STORE)
        payload_store(&words[at++], source->below);
    if (s->geo.features & FEATURE_EXPIRY)
        payload_store(&words[at++], 0);
    if (s->geo.features & FEATURE_MTIME)
        payload_store(&words[at++], (uint64_t)source->mtime_ns);
    if (s->geo.features & FEATURE_CHECKSUM) {
        uint64_t sum = record_checksum(s, p->key, p->key_bytes, source->value, source->value_bytes, source->type,
                                       source->mtime_ns);
        payload_store(&words[at++], source->spoiled ? ~sum : sum);
    }
    at += key_in(&words[at], p, typed, source->type);
    (void)copy_in(&words[at], source->value, source->value_bytes);
}

void record_set_slot(const struct segment *s, uint64_t block, uint32_t slot_i)
{
    shared_u64 *place = segment_block(s, block) + 1;
    payload_store(place, (payload_load(place) & 0xffffffffu) | (uint64_t)slot_i << 32);
}
