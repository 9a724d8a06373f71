/* SPDX-License-Identifier: MIT */
#include "table/at_once.h"

#include "memory/retire.h"
#include "memory/settle.h"
#include "table/below.h"
#include "table/insert.h"
#include "table/read.h"
#include "table/wait.h"

/* -- Finding ---------------------------------------------------------------------------------------- */

/* The first entry that has the key's fingerprint. */
struct entry_seen {
    shared_u64 *slot; /* NULL: there is none, so the key is absent */
    uint64_t slot_i, w;
};

HOT_INLINE struct entry_seen entry_look(const struct segment *s, const struct probe *p)
{
    struct group *g = &s->groups[p->home];
    const uint32_t bound = META_BOUND(load_seq_u64(&g->meta)); /* [meta] */
    const uint64_t finger = slot_finger_bits(p->finger);
    for (uint64_t group = p->home;; g++) {
#pragma GCC unroll 7
        for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
            uint64_t w = load_seq_u64(&g->slot[i]); /* [slot-publish] */
            if (slot_has_finger(w, finger))
                return (struct entry_seen){ &g->slot[i], group * GROUP_SLOTS + i, w };
        }
        if (group++ == p->home + bound || group == s->geo.groups_all_n)
            return (struct entry_seen){ NULL, 0, 0 };
    }
}

/* Pinned, LIVE, PUB, and the key's.  False: not all of that. */
HOT_INLINE bool entry_pin(struct attachment *a, const struct probe *p, const struct entry_seen *e, struct block_place *ret_place,
                          uint64_t *ret_h)
{
    const struct segment *s = a->segment;
    struct record record;
    if (slot_state(e->w) != SLOT_LIVE)
        return false;
    hazard_set(a, HAZARD_FOUND, slot_block(e->w));
    if (load_seq_u64(e->slot) != e->w || !segment_locate(s, slot_block(e->w), ret_place)) /* [hazard] */
        return false;
    const shared_u64 *words = segment_block(s, ret_place->block);
    *ret_h = load_acquire_u64(words); /* [block-state] */
    return h_state(*ret_h) == BLOCK_PUB && (h_generation(*ret_h) & TAG_MASK) == slot_tag(e->w) &&
           record_decode_plainly(words, ret_place->bytes, p->key_bytes, &record) &&
           record_key_words_same(words + record.key_at, p, record.typed);
}

/* The slot goes from the pinned entry to `to`, as in mutate.c.  False: it has changed. */
HOT_INLINE bool entry_swing(struct attachment *a, const struct entry_seen *e, const struct block_place *place, uint64_t h,
                            uint64_t to)
{
    uint32_t name = retire_name(a, place); /* [entry-names] dies here: still referenced, the name is dropped */
    if (UNLIKELY(!cas_u64(e->slot, e->w, to))) { /* [slot-publish] takes effect */
        retire_unname(a, name);
        return false;
    }
    retire_commit(a, name, place, h); /* dies before: PUB and unreferenced, retired by who settles us, or a sweep */
    return true;
}

/* -- Put -------------------------------------------------------------------------------------------- */

HOT_INLINE bool block_at_hand(struct attachment *a, const struct probe *p, const struct record_source *source,
                              struct heap_block *ret)
{
    const uint64_t bytes = record_bytes(0, p->key_bytes, source->value_bytes, source->type != SHOAL_RAW);
    const uint32_t class_i = classes_find(&a->segment->classes, bytes);
    struct block_cache *cache = class_i < a->segment->classes.n ? a->cache[class_i] : NULL;
    return cache != NULL && (cache->ready | cache->n) != 0 && retire_take_hot(a, cache, OWNED_RECORD, HAZARD_OWN, ret);
}

/* The key's entry, if the one seen is. */
HOT_INLINE int add_find(struct attachment *a, const struct probe *p, const struct entry_seen *e)
{
    struct block_place place;
    uint64_t h;
    return entry_pin(a, p, e, &place, &h) ? SHOAL_EXISTS : AT_ONCE_NOT;
}

HOT_INLINE int put_replace(struct attachment *a, const struct probe *p, const struct entry_seen *e, const struct heap_block *b)
{
    const struct segment *s = a->segment;
    struct block_place place;
    uint64_t h;
    if (!entry_pin(a, p, e, &place, &h))
        return AT_ONCE_NOT;
    record_set_slot(s, b->place.block, (uint32_t)e->slot_i);
    if (!entry_swing(a, e, &place, h, slot_pack(SLOT_LIVE, p->finger, b->place.block, h_generation(b->h))))
        return AT_ONCE_NOT;
    wait_wake(s, p->hash);
    (void)count_publish(a, b->place.block, b->h); /* dies before: OWNED(dead) and LIVE, made PUB by the settler */
    heap_disown(a, b);
    return 0;
}

/* ret_gone: the block is not the caller's any more. */
HOT_INLINE int put_insert(struct attachment *a, const struct probe *p, const struct heap_block *b, bool *ret_gone)
{
    int code = 0;
    *ret_gone = false;
    if (segment_has_successor(a->segment))
        return AT_ONCE_NOT;
    enum insert_outcome outcome = insert_record(a, p, b, below_pack(RECORD_PLAIN, 0), &code);
    *ret_gone = outcome != INSERT_FULL;
    return outcome == INSERT_DONE ? 0 : outcome == INSERT_FAILED ? code : AT_ONCE_NOT;
}

/* add: only where the key is absent. */
HOT_INLINE int store_at_once(struct attachment *a, const struct probe *p, const struct record_source *source, bool add,
                             uint64_t *ret_version)
{
    const struct segment *s = a->segment;
    struct heap_block b;
    settle_now_and_then(a);
    if (!block_at_hand(a, p, source, &b)) {
        hazard_clear(a, HAZARD_OWN);
        return AT_ONCE_NOT;
    }
    const struct entry_seen e = entry_look(s, p);
    if (e.slot != NULL)
        segment_expect_bytes(s, slot_block(e.w), RECORD_HEADER + p->key_bytes, true);
    record_write_with(0, s, b.place.block, p, source); /* while the lines of the one found are on their way */
    bool gone = false;
    int rc = e.slot == NULL ? put_insert(a, p, &b, &gone) : add ? add_find(a, p, &e) : put_replace(a, p, &e, &b);
    hazard_clear(a, HAZARD_FOUND);
    if (UNLIKELY(rc != 0)) {
        if (!gone)
            heap_free_unplaced(a, &b);
        return rc;
    }
    *ret_version = record_version(s, b.place.block, h_generation(b.h));
    bump_relaxed_u64(&a->entry->writes, 1);
    retire_now_and_then(a);
    return 0;
}

int put_at_once(struct attachment *a, const struct probe *p, const struct record_source *source, uint64_t *ret_version)
{
    return store_at_once(a, p, source, false, ret_version);
}

int add_at_once(struct attachment *a, const struct probe *p, const struct record_source *source)
{
    uint64_t version;
    return store_at_once(a, p, source, true, &version);
}

/* -- Delete ----------------------------------------------------------------------------------------- */

int delete_at_once(struct attachment *a, const struct probe *p)
{
    const struct segment *s = a->segment;
    struct block_place place;
    uint64_t h;
    settle_now_and_then(a);
    const struct entry_seen e = entry_look(s, p);
    if (e.slot == NULL)
        return segment_has_successor(s) ? AT_ONCE_NOT : SHOAL_MISSING;
    segment_expect_bytes(s, slot_block(e.w), RECORD_HEADER + p->key_bytes, true);
    bool done = entry_pin(a, p, &e, &place, &h) && entry_swing(a, &e, &place, h, 0);
    if (done)
        wait_wake(s, p->hash);
    hazard_clear(a, HAZARD_FOUND);
    if (UNLIKELY(!done))
        return AT_ONCE_NOT;
    insert_lower(a, p->home, e.slot_i / GROUP_SLOTS);
    bump_relaxed_u64(&a->entry->deletes, 1);
    retire_now_and_then(a);
    return 0;
}
