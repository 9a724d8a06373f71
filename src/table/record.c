/* SPDX-License-Identifier: MIT */
#include "table/record.h"

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
    record_write_with(s->geo.features, s, block, p, source);
}
