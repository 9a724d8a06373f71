/* SPDX-License-Identifier: MIT */
#include "table/move.h"

#include "base/error.h"
#include "table/mutate.h"

/* Each round is lost to somebody else's success, but in a table that contradicts itself. */
#define ROUNDS_MAX (1u << 20)
#define CORRUPT_ROUNDS 4u /* contradictions at an unchanged slot before it is called corrupt */

static struct probe probe_old(const struct segment *old, const struct probe *p)
{
    return probe_make(old, p->key, p->key_bytes);
}

/* What a sealed slot names: nobody frees or moves it.  False: bytes that contradict each other. */
static bool sealed_open(const struct segment *old, uint64_t w, struct record *ret)
{
    struct block_place place;
    if (!segment_locate(old, slot_block(w), &place))
        return false;
    uint64_t h = load_acquire_u64(segment_block(old, place.block)); /* [block-state] */
    return h_holds_record(h) && (h_generation(h) & TAG_MASK) == slot_tag(w) && record_decode(old, &place, ret);
}

static bool is_tentative(uint64_t w) { return slot_state(w) == SLOT_TENT || slot_state(w) == SLOT_ABRT; }

/* An entry of the key, sealed alone or whatever counts or counted.  What is not sealed may change under the look: then it
 * is another one's that is asked for. */
static bool window_has(const struct segment *old, const struct probe *p, bool sealed)
{
    struct probe q = probe_old(old, p);
    uint32_t bound = META_BOUND(load_seq_u64(&old->groups[q.home].meta)); /* [meta] */
    for (uint64_t g = q.home; g <= q.home + bound && g < old->geo.groups_all_n; g++)
        for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
            struct record record;
            uint64_t w = load_seq_u64(&old->groups[g].slot[i]); /* [slot-publish] */
            if (w != 0 && !is_tentative(w) && (!sealed || slot_is_sealed(w)) && slot_finger(w) == q.finger &&
                sealed_open(old, w, &record) && record_key_equals(&record, &q))
                return true;
        }
    return false;
}

bool move_is_sealed(const struct segment *old, const struct probe *p) { return window_has(old, p, true); }
bool move_is_known(const struct segment *old, const struct probe *p) { return window_has(old, p, false); }

uint64_t move_left_n(const struct segment *old)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < old->slots_n; i++) {
        uint64_t w = load_relaxed_u64(segment_slot(old, i)); /* relaxed: a count */
        n += slot_is_live(w) || slot_state(w) == SLOT_SEALED;
    }
    return n;
}

bool move_home_is_done(const struct segment *old, uint64_t home)
{
    return (load_acquire_u64(&old->groups[home].meta) & META_MOVED) != 0; /* [meta] */
}

int move_read(const struct segment *old, const struct probe *p, struct read_sink *sink)
{
    struct probe q = probe_old(old, p);
    sink->deleted = false;
    return move_home_is_done(old, q.home) ? SHOAL_MISSING : read_key_old(old, &q, sink);
}

/* -- Moving ---------------------------------------------------------------------------------------- */

/* Above a store: the store has what the slot means. */
static bool is_clean(const struct record *record, uint64_t w)
{
    uint64_t mark = slot_state(w) == SLOT_SEALED_TOMB ? BELOW_CLEAN_TOMB : BELOW_CLEAN_LIVE;
    return (record_below(record) & mark) != 0;
}

static bool is_spoiled(const struct segment *old, const struct record *r, const struct record_source *source)
{
    if (r->checksum_at == 0)
        return false;
    const void *key = (const void *)(uintptr_t)(r->words + r->key_at);
    return record_checksum(old, key, r->key_bytes, source->value, r->value_bytes, source->type, source->mtime_ns) !=
           payload_load(&r->words[r->checksum_at]);
}

/* A copy of the sealed record, where the new table has no entry of its key.  0: it is there, or need not be;
 * SHOAL_CHANGED: look at the slot again. */
static int sealed_bring(struct attachment *a, const struct segment *old, uint64_t slot_i, uint64_t w)
{
    struct record r;
    if (!sealed_open(old, w, &r))
        return read_corrupt(slot_i, w, "is sealed and leads to no sound record");
    if (is_clean(&r, w))
        return 0;
    bool deleted = slot_state(w) == SLOT_SEALED_TOMB;
    struct record_source source = { .value = (const void *)(uintptr_t)(r.words + r.value_at),
                                    .value_bytes = r.value_bytes,
                                    .type = record_type(&r),
                                    .mtime_ns = r.mtime_at ? (int64_t)payload_load(&r.words[r.mtime_at]) : 0,
                                    .moved = true };
    source.spoiled = is_spoiled(old, &r, &source);
    if (deleted)
        source.value_bytes = 0;
    const void *key = (const void *)(uintptr_t)(r.words + r.key_at);
    if (hash_finger(hash_bytes(key, r.key_bytes, old->geo.seed)) != slot_finger(w))
        return read_corrupt(slot_i, w, "is sealed and has another key's fingerprint");
    struct probe p = probe_make(a->segment, key, r.key_bytes);
    int rc = mutate_bring(a, &p, &source, deleted);
    return rc == SHOAL_EXISTS ? 0 : rc;
}

/* Of which home is the entry?  0, SHOAL_CHANGED (the slot's word is another by now), SHOAL_ECORRUPT. */
static int entry_home(const struct segment *old, uint64_t slot_i, uint64_t w, uint64_t *ret_home)
{
    const shared_u64 *slot = segment_slot(old, slot_i);
    for (uint32_t round = 0; round < CORRUPT_ROUNDS; round++) {
        if (read_home(old, slot, w, ret_home))
            return 0;
        if (load_seq_u64(slot) != w) /* [slot-publish] */
            return SHOAL_CHANGED;
    }
    return read_corrupt(slot_i, w, "leads to no sound record");
}

/* One step towards MOVED.  SHOAL_CHANGED: there are more; 0: nothing of this home is there. */
static int slot_step(struct attachment *a, const struct segment *old, uint64_t slot_i, uint64_t home, uint32_t *io_n)
{
    shared_u64 *slot = segment_slot(old, slot_i);
    uint64_t w = load_seq_u64(slot), of; /* [slot-publish] */
    if (w == 0 || slot_state(w) == SLOT_ABRT || slot_is_moved(w))
        return 0;
    if (slot_state(w) == SLOT_TENT) {
        (void)cas_u64(slot, w, slot_with(w, SLOT_ABRT)); /* [slot-publish] whoever's: it cannot be committed any more */
        return SHOAL_CHANGED;
    }
    int rc = entry_home(old, slot_i, w, &of);
    if (rc != 0 || of != home)
        return rc;
    if (!slot_is_sealed(w)) {
        /* Without a hazard: should the word be another record's by now, that one is sealed, and looked at again. */
        (void)cas_u64(slot, w, slot_with(w, slot_state(w) == SLOT_TOMB ? SLOT_SEALED_TOMB : SLOT_SEALED)); /* [slot-publish] */
        return SHOAL_CHANGED;
    }
    rc = sealed_bring(a, old, slot_i, w);
    if (rc != 0)
        return rc;
    (*io_n)++;
    (void)cas_u64(slot, w, slot_with(w, SLOT_FREE)); /* [slot-publish] MOVED; or by another already */
    return SHOAL_CHANGED;
}

int move_home(struct attachment *a, const struct segment *old, uint64_t home, uint32_t *io_n)
{
    shared_u64 *meta = &old->groups[home].meta;
    uint64_t m = load_seq_u64(meta); /* [meta] */
    if ((m & META_MOVED) != 0)
        return 0;
    uint64_t end = (home + META_BOUND(m) + 1) * GROUP_SLOTS;
    for (uint64_t i = home * GROUP_SLOTS; i < end && i < old->slots_n; i++) {
        int rc = SHOAL_CHANGED;
        for (uint32_t round = 0; rc == SHOAL_CHANGED && round < ROUNDS_MAX; round++)
            rc = slot_step(a, old, i, home, io_n);
        if (rc != 0)
            return rc != SHOAL_CHANGED ? rc : read_corrupt(i, load_seq_u64(segment_slot(old, i)), "does not move"); /* [slot-publish] */
    }
    (void)fetch_or_u64(meta, META_MOVED); /* [meta] */
    return 0;
}

int move_key(struct attachment *a, const struct segment *old, const struct probe *p, uint32_t *io_n)
{
    return move_home(a, old, probe_old(old, p).home, io_n);
}
