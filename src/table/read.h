/* SPDX-License-Identifier: MIT
 *
 * Reading without a trace: get, walk and check write nothing to the segment (guarantee D).
 *
 * Order of one read: meta [meta], slot word [slot-publish], span word [span-ready], H, where H is OWNED the slot
 * word again, lengths, key, value; then slot word, H's generation and span word again.  All unchanged: what was
 * copied is the value at the instant of the slot's last load.  Swapped, a reader could accept bytes of the block's
 * next record; without the look at an OWNED one's slot, half of one that comes to have this very slot word.
 */
#ifndef SHOAL_TABLE_READ_H
#define SHOAL_TABLE_READ_H

#include "table/record.h"

/* Where a read puts what it finds. */
struct read_sink {
    void *buf;
    uint64_t buf_bytes;
    /* results */
    uint64_t value_bytes, version;
    int64_t mtime_ns, expires_ns;
    uint64_t block;
    uint32_t slot_i; /* that the record says it is in */
    uint8_t type;
    bool below;   /* the store's */
    bool deleted; /* with SHOAL_MISSING: an entry says so, whatever a store holds */
    /* for the walk: take any key, and put it here */
    void *key_buf; /* SHOAL_KEY_MAX bytes */
    uint32_t key_bytes;
};

/* -- One look ----------------------------------------------------------------------------------------- */

/* What a slot's word leads to; everything that a second look must find again. */
struct read_place {
    struct block_place block;
    struct record record;
    uint64_t h;
};

/* Between the slot's load and H's the block may have become another record's, with the same tag, which is still
 * being written.  OWNED while the slot names it: it was placed, so it is whole.  PUB: that was so before. */
HOT_INLINE bool read_open_block(const struct segment *s, const shared_u64 *slot, uint64_t w, bool pinned, struct read_place *r)
{
    if (!segment_locate(s, slot_block(w), &r->block))
        return false;
    r->h = load_acquire_u64(segment_block(s, r->block.block)); /* [block-state] */
    bool holds = h_holds_record(r->h) || (pinned && h_state(r->h) == BLOCK_RETIRED);
    if (!holds || (h_generation(r->h) & TAG_MASK) != slot_tag(w))
        return false;
    if (!pinned && h_state(r->h) == BLOCK_OWNED && load_acquire_u64(slot) != w) /* [slot-publish] */
        return false;
    return true;
}

HOT_INLINE bool read_open(const struct segment *s, const shared_u64 *slot, uint64_t w, bool pinned, struct read_place *r)
{
    return read_open_block(s, slot, w, pinned, r) &&
           record_decode_words(s->geo.features, segment_block(s, r->block.block), r->block.bytes, &r->record);
}

/* The second look.  H may have gone from OWNED to PUB meanwhile: only the generation counts. */
HOT_INLINE bool read_unchanged(const struct segment *s, const shared_u64 *slot, uint64_t w, const struct read_place *r)
{
    payload_read_fence(); /* [block-own] */
    if (load_acquire_u64(slot) != w) /* [slot-publish] */
        return false;
    return h_generation(load_acquire_u64(r->record.words)) == h_generation(r->h) && /* [block-state] */
           load_acquire_u64(&s->spans[r->block.span_i]) == r->block.span_word;      /* [span-ready] */
}

HOT_INLINE void read_facts(const struct segment *s, const struct read_place *r, struct read_sink *sink)
{
    const struct record *rec = &r->record;
    sink->value_bytes = rec->value_bytes;
    sink->version = record_version(s, r->block.block, h_generation(r->h));
    sink->type = record_type(rec);
    sink->block = r->block.block;
    sink->slot_i = rec->slot_i;
    if (s->geo.features != 0) { /* else the sink has zeros from its beginning */
        sink->mtime_ns = rec->mtime_at ? (int64_t)payload_load(&rec->words[rec->mtime_at]) : 0;
        sink->expires_ns = rec->expiry_at ? (int64_t)payload_load(&rec->words[rec->expiry_at]) : 0;
    }
    if (sink->key_buf != NULL) {
        sink->key_bytes = rec->key_bytes;
        copy_out(rec->words + rec->key_at, sink->key_buf, rec->key_bytes);
    }
    if (rec->value_bytes <= sink->buf_bytes)
        copy_out(rec->words + rec->value_at, sink->buf, rec->value_bytes);
}

/* -- Calls -------------------------------------------------------------------------------------------- */

#define READ_ROUNDS 1024u      /* lost races before a read-only get answers SHOAL_CHANGED */
#define READ_ROUNDS_HAZARD 16u /* before a read-write get pins the record instead */

/* One slot.  p NULL: whatever it holds.  pinned: the caller holds a validated hazard on the record, so it
 * stands still by itself. */
enum read_outcome {
    READ_MATCH,   /* sink is filled; SHOAL_SHORT if value_bytes > buf_bytes */
    READ_OTHER,   /* another key, at the instant of the second load */
    READ_AGAIN,   /* the slot changed: look at it again */
    READ_CORRUPT
};
enum read_outcome read_slot(const struct segment *s, const shared_u64 *slot, uint64_t w, bool pinned,
                            const struct probe *p, struct read_sink *sink);

/* After many lost races: pin one incarnation, so that a large value under constant replacement is read at
 * the instant of the pin. */
enum read_outcome read_pinned(const struct segment *s, struct attachment *a, const shared_u64 *slot, uint64_t w,
                              const struct probe *p, struct read_sink *sink);

/* PUB, with the slot's tag. */
HOT_INLINE bool read_is_published(uint64_t h, uint64_t w)
{
    const uint64_t wanted = h_pack(slot_tag(w), 0, BLOCK_PUB), counts = h_pack(TAG_MASK, 0, H_STATE_MASK);
    return ((h ^ wanted) & counts) == 0;
}

/* read_key in a straight line, for a map without features, where the slot that has the key's fingerprint held w, whose block is
 * in a run of one span or the first span of one: READ_MATCH, the sink is filled; READ_AGAIN, something was not as it mostly is,
 * and read_key must say.
 * Whether a block begins there need not be worked out: the second look finds the slot naming it and, behind that, the span word of
 * the first, which never comes back, so the format that holds it was there all the time.  Whatever a damaged word leads to, as
 * many bytes as a block has are the heap's.  What the second look needs are three words and where they are. */
HOT_INLINE enum read_outcome read_slot_at_once(const struct segment *s, const shared_u64 *slot, uint64_t w,
                                               const struct probe *p, struct read_sink *sink)
{
    const uint64_t block = slot_block(w), rel = block - s->geo.heap_at;
    if (UNLIKELY(slot_state(w) != SLOT_LIVE || rel >= s->geo.heap_bytes))
        return READ_AGAIN;
    const shared_u64 *span = &s->spans[rel >> s->span_shift];
    const uint64_t span_word = load_acquire_u64(span); /* [span-ready] */
    const uint32_t class_i = span_class(span_word);
    if (UNLIKELY(!span_may_be_worked_on(span_word) || class_i >= s->classes.n))
        return READ_AGAIN;
    const uint64_t bytes = s->classes.of[class_i].bytes;
    const shared_u64 *words = segment_block(s, block);
    const uint64_t h = load_acquire_u64(words); /* [block-state] */
    struct record record;
    if (UNLIKELY(!read_is_published(h, w) || rel + bytes > s->geo.heap_bytes ||
                 !record_decode_plainly(words, bytes, p->key_bytes, &record) || record.value_bytes > sink->buf_bytes ||
                 !record_key_words_same(words + record.key_at, p, record.typed)))
        return READ_AGAIN;
    sink->value_bytes = record.value_bytes;
    sink->version = record_version(s, block, h_generation(h));
    sink->type = record_type(&record);
    copy_out(words + record.value_at, sink->buf, record.value_bytes);
    payload_read_fence(); /* [block-own] */
    return LIKELY(load_acquire_u64(slot) == w &&        /* [slot-publish] */
                  load_acquire_u64(words) == h &&       /* [block-state] */
                  load_acquire_u64(span) == span_word)  /* [span-ready] */
               ? READ_MATCH
               : READ_AGAIN;
}

/* The same where the slot is not known; READ_OTHER: there is no such key. */
HOT_INLINE enum read_outcome read_at_once(const struct segment *s, const struct probe *p, struct read_sink *sink)
{
    const struct group *g = &s->groups[p->home];
    const struct group *last = g + META_BOUND(load_acquire_u64(&g->meta)); /* [meta] */
    const uint64_t finger = slot_finger_bits(p->finger);
    uint64_t w = 0;
    uint32_t i;
    for (;; g++) {
        i = 0;
#pragma GCC unroll 7
        for (; i < GROUP_SLOTS; i++) {
            w = load_acquire_u64(&g->slot[i]); /* [slot-publish] */
            if (slot_has_finger(w, finger))
                break;
        }
        if (i < GROUP_SLOTS)
            break;
        if (g == last || g + 1 == &s->groups[s->geo.groups_all_n])
            return READ_OTHER;
    }
    const shared_u64 *slot = &g->slot[i];
    __asm__("" : "+r"(slot)); /* one register instead of two */
    return read_slot_at_once(s, slot, w, p, sink);
}

/* The key's record in the table; above a store, SHOAL_MISSING without `deleted` leaves it to the store.  a may be NULL (then it
 * never pins).  0, SHOAL_MISSING, SHOAL_SHORT, SHOAL_CHANGED, SHOAL_ECORRUPT with a text. */
int read_key(const struct segment *s, struct attachment *a, const struct probe *p, struct read_sink *sink);

/* The same in a table that is moved from: what is sealed counts, what has moved does not. */
int read_key_old(const struct segment *old, const struct probe *p, struct read_sink *sink);

/* SHOAL_ECORRUPT with a text that names the slot. */
int read_corrupt(uint64_t slot_i, uint64_t w, const char *what);

/* Ask for the lines that a call on this key will need: the home's; when that is here, those of the records that may be the
 * key's, and where there are none those of the next group, which the key may lie in. */
static inline void read_expect_group(const struct segment *s, const struct probe *p, bool write)
{
    segment_expect_line(&s->groups[p->home], write);
}

/* A slot of this group that may be the key's, NULL: none.  By branches, so that a processor goes on to the next keys' groups
 * before this one is here. */
static inline const shared_u64 *read_expect_record(const struct segment *s, const struct probe *p, uint64_t group, bool write)
{
    const struct group *g = &s->groups[group];
    const uint64_t finger = slot_finger_bits(p->finger);
    const shared_u64 *slot = NULL;
#pragma GCC unroll 7
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        uint64_t w = load_relaxed_u64(&g->slot[i]); /* relaxed: a hint */
        if (slot_has_finger(w, finger)) {
            segment_expect_block(s, slot_block(w), write);
            slot = &g->slot[i];
        }
    }
    return slot;
}

/* Is there a group behind the home that the key may lie in?  Its line is asked for. */
static inline bool read_expect_next(const struct segment *s, const struct probe *p, bool write)
{
    const struct group *home = &s->groups[p->home];
    if (META_BOUND(load_relaxed_u64(&home->meta)) == 0 || p->home + 1 == s->geo.groups_all_n) /* relaxed: a hint */
        return false;
    segment_expect_line(home + 1, write);
    return true;
}

/* Only of the first that may be the key's, and of it the lines with H and the key: by who is about to replace it. */
static inline void read_expect_key(const struct segment *s, const struct probe *p)
{
    const struct group *g = &s->groups[p->home];
    const uint64_t finger = slot_finger_bits(p->finger);
#pragma GCC unroll 7
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        uint64_t w = load_relaxed_u64(&g->slot[i]); /* relaxed: a hint */
        if (slot_has_finger(w, finger)) {
            segment_expect_bytes(s, slot_block(w), RECORD_HEADER + p->key_bytes, true);
            return;
        }
    }
}

/* The hash of a record's key. */
uint64_t read_hash(const struct segment *s, const struct record *r);

/* The home of whatever the slot's word names.  False: it cannot be read right now. */
bool read_home(const struct segment *s, const shared_u64 *slot, uint64_t w, uint64_t *ret_home);

#endif
