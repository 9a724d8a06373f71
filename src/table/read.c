/* SPDX-License-Identifier: MIT */
#include "table/read.h"

#include "base/error.h"

#define CORRUPT_ROUNDS 4u /* contradictions at an unchanged slot before it is called corrupt */

static bool read_sums_up(const struct segment *s, const struct probe *p, const struct read_sink *sink, uint64_t sum)
{
    const void *key = p ? p->key : sink->key_buf;
    uint64_t key_bytes = p ? p->key_bytes : sink->key_bytes;
    return record_checksum(s, key, key_bytes, sink->buf, sink->value_bytes, sink->type, sink->mtime_ns) == sum;
}

enum read_outcome read_slot(const struct segment *s, const shared_u64 *slot, uint64_t w, bool pinned,
                            const struct probe *p, struct read_sink *sink)
{
    struct read_place r;
    for (uint32_t round = 0; !read_open(s, slot, w, pinned, &r); round++) {
        if (load_acquire_u64(slot) != w) /* [slot-publish] */
            return READ_AGAIN;
        if (round == CORRUPT_ROUNDS)
            return READ_CORRUPT;
    }
    uint64_t sum = 0;
    bool match = p == NULL || record_key_equals(&r.record, p);
    if (match) {
        read_facts(s, &r, sink);
        sum = r.record.checksum_at ? payload_load(&r.record.words[r.record.checksum_at]) : 0;
    }
    if (!pinned && !read_unchanged(s, slot, w, &r))
        return READ_AGAIN;
    if (!match)
        return READ_OTHER;
    if (r.record.checksum_at && sink->value_bytes <= sink->buf_bytes && (p || sink->key_buf) &&
        !read_sums_up(s, p, sink, sum))
        return READ_CORRUPT;
    return READ_MATCH;
}

int read_corrupt(uint64_t slot_i, uint64_t w, const char *what)
{
    return error_set(SHOAL_ECORRUPT, "group %llu slot %llu: word %016llx %s", (unsigned long long)(slot_i / GROUP_SLOTS),
                     (unsigned long long)(slot_i % GROUP_SLOTS), (unsigned long long)w, what);
}

enum read_outcome read_pinned(const struct segment *s, struct attachment *a, const shared_u64 *slot,
                                     uint64_t w, const struct probe *p, struct read_sink *sink)
{
    enum read_outcome outcome = READ_AGAIN;
    hazard_set(a, HAZARD_FOUND, slot_block(w));
    if (load_seq_u64(slot) == w) /* [hazard] */
        outcome = read_slot(s, slot, w, true, p, sink);
    hazard_clear(a, HAZARD_FOUND);
    return outcome;
}

/* Does the word count for its key?  In a table that is moved from, what is sealed does. */
static inline bool counts(uint64_t w, bool sealed) { return slot_is_in_effect(w) || (sealed && slot_is_sealed(w)); }

static inline bool is_deletion(uint64_t w) { return slot_state(w) == SLOT_TOMB || slot_state(w) == SLOT_SEALED_TOMB; }

struct window {
    const struct segment *segment;
    struct attachment *a;
    const struct probe *probe;
    uint32_t rounds;
    bool sealed;
};

/* Look at one slot until it stands still.  SHOAL_MISSING: not this key. */
static int read_until_still(struct window *v, uint64_t slot_i, uint64_t w, struct read_sink *sink)
{
    const struct segment *s = v->segment;
    const struct probe *p = v->probe;
    const shared_u64 *slot = segment_slot(s, slot_i);
    while (counts(w, v->sealed) && slot_finger(w) == p->finger) {
        enum read_outcome outcome = v->a != NULL && v->rounds >= READ_ROUNDS_HAZARD
                                        ? read_pinned(s, v->a, slot, w, p, sink)
                                        : read_slot(s, slot, w, false, p, sink);
        if (outcome == READ_MATCH) {
            if (s->recency != NULL && v->a != NULL)
                segment_use(s, slot_i);
            sink->deleted = is_deletion(w);
            if (sink->deleted)
                return SHOAL_MISSING;
            return sink->value_bytes <= sink->buf_bytes ? 0 : SHOAL_SHORT;
        }
        if (outcome == READ_OTHER)
            return SHOAL_MISSING;
        if (outcome == READ_CORRUPT)
            return read_corrupt(slot_i, w, "leads to no sound record");
        if (++v->rounds > READ_ROUNDS && v->a == NULL)
            return error_set(SHOAL_CHANGED, "get: lost %u races with writers", READ_ROUNDS);
        w = load_acquire_u64(slot); /* [slot-publish] */
    }
    return SHOAL_MISSING;
}

static inline int read_group(struct window *v, uint64_t group, struct read_sink *sink)
{
    const struct group *g = &v->segment->groups[group];
    const uint32_t finger = v->probe->finger;
#pragma GCC unroll 7
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        uint64_t w = load_acquire_u64(&g->slot[i]); /* [slot-publish] */
        if (slot_finger(w) != finger)
            continue;
        int rc = read_until_still(v, group * GROUP_SLOTS + i, w, sink);
        if (rc != SHOAL_MISSING || sink->deleted)
            return rc;
    }
    return SHOAL_MISSING;
}

static inline int read_window(struct window *v, struct read_sink *sink)
{
    const struct segment *s = v->segment;
    const uint64_t home = v->probe->home;
    const uint32_t bound = META_BOUND(load_acquire_u64(&s->groups[home].meta)); /* [meta] */
    sink->deleted = false;
    int rc = read_group(v, home, sink);
    for (uint64_t g = home + 1; rc == SHOAL_MISSING && !sink->deleted && g <= home + bound && g < s->geo.groups_all_n; g++)
        rc = read_group(v, g, sink);
    return rc;
}

int read_key(const struct segment *s, struct attachment *a, const struct probe *p, struct read_sink *sink)
{
    struct window v = { .segment = s, .a = a, .probe = p };
    return read_window(&v, sink);
}

int read_key_old(const struct segment *old, const struct probe *p, struct read_sink *sink)
{
    struct window v = { .segment = old, .probe = p, .sealed = true };
    return read_window(&v, sink);
}

#define HASH_PIECE 512u

static uint64_t long_key_hash(const shared_u64 *words, uint64_t n, uint64_t seed)
{
    uint8_t piece[HASH_PIECE];
    XXH3_state_t state = { .seed = 0 };
    (void)XXH3_64bits_reset_withSeed(&state, seed);
    for (; n > 0; words += HASH_PIECE / 8) {
        uint64_t part = n < HASH_PIECE ? n : HASH_PIECE;
        copy_out(words, piece, part);
        (void)XXH3_64bits_update(&state, piece, part);
        n -= part;
    }
    return XXH3_64bits_digest(&state);
}

/* The hash of a key that may change under us; a piece at a time, because stacks may be small. */
uint64_t read_hash(const struct segment *s, const struct record *r)
{
    uint8_t piece[HASH_PIECE];
    const shared_u64 *words = r->words + r->key_at;
    if (r->key_bytes > HASH_PIECE)
        return long_key_hash(words, r->key_bytes, s->geo.seed);
    copy_out(words, piece, r->key_bytes);
    return hash_bytes(piece, r->key_bytes, s->geo.seed);
}

bool read_home(const struct segment *s, const shared_u64 *slot, uint64_t w, uint64_t *ret_home)
{
    struct read_place r;
    if (!read_open(s, slot, w, false, &r))
        return false;
    uint64_t hash = read_hash(s, &r.record);
    *ret_home = hash_home(hash, s->geo.groups_n);
    return read_unchanged(s, slot, w, &r);
}
