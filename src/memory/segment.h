/* SPDX-License-Identifier: MIT
 *
 * One process's mapping of a segment: where its regions lie, and the private copy of the geometry that
 * every offset read from shared memory is checked against (guarantee E).
 */
#ifndef SHOAL_MEMORY_SEGMENT_H
#define SHOAL_MEMORY_SEGMENT_H

#include <pthread.h>
#include <string.h>

#include "base/hot.h"
#include "base/os.h"
#include "format/geometry.h"

struct attachment;
struct below;

struct segment {
    uint8_t *base;
    struct segment_header *header;
    shared_u32 *wait;
    struct entry *entries;
    shared_u32 *summary;
    struct group *groups;
    shared_u64 *dirty, *syncing; /* NULL without a store */
    shared_u8 *recency;          /* likewise */
    shared_u64 *spans, *maps, *hints;
    struct geometry geo;
    struct classes classes;
    uint64_t slots_n;
    uint32_t span_shift;
    uint32_t window; /* groups from its home on where a key may be placed */
    bool readonly;
    bool outlives;    /* the file may be there in another life of the machine, and has no store: memory/whole.h */
    uint64_t life[2]; /* then: the present one */
    uint64_t version_mask; /* which bits of a version a record's place may have */
    const struct below *below; /* what the table asks of the store (table/below.h); NULL without one */
    struct segment *_Atomic old; /* that the map is being moved from into this one; NULL: none (table/move.h) */

    /* Descriptions of this process's own, never mapped: `own` holds locks and never asks, `probe` asks
     * and never locks.  `file` is the mapped one; it holds no lock and may be shared with a parent. */
    int file, own, probe;
    struct os_file mapped; /* what they must be of: a program may close descriptors that it did not open */

    /* Which indices this process holds through `own`, because locks of one description never conflict
     * with themselves.  Under `lock`. */
    pthread_mutex_t lock;
    uint8_t *held; /* HELD_LIFE, HELD_REAP bits per index */
    struct attachment *attachments; /* of all threads of this process, linked by `next` */
};

static inline shared_u64 *segment_block(const struct segment *s, uint64_t block)
{
    return (shared_u64 *)(void *)(s->base + block);
}

static inline shared_u64 *segment_slot(const struct segment *s, uint64_t slot_i)
{
    return &s->groups[slot_i / GROUP_SLOTS].slot[slot_i % GROUP_SLOTS];
}

/* -- Lines that will be needed soon -------------------------------------------------------- */

/* Nothing is promised, and nothing that is seen ahead counts. */
static inline void segment_expect_line(const void *at, bool write)
{
    if (write)
        __builtin_prefetch(at, 1);
    else
        __builtin_prefetch(at, 0);
}

#define SEGMENT_EXPECT_LINES 3u /* of a record; what follows, the processor asks for by itself */
static inline void segment_expect_block(const struct segment *s, uint64_t block, bool write)
{
    if (block < s->geo.segment_bytes)
        for (uint32_t i = 0; i < SEGMENT_EXPECT_LINES; i++)
            segment_expect_line(s->base + block + i * SEGMENT_LINE, write);
}

/* The first `bytes` of a block, up to a line. */
static inline void segment_expect_bytes(const struct segment *s, uint64_t block, uint64_t bytes, bool write)
{
    if (block >= s->geo.segment_bytes)
        return;
    segment_expect_line(s->base + block, write);
    if (block % SEGMENT_LINE + bytes > SEGMENT_LINE)
        segment_expect_line(s->base + block + SEGMENT_LINE, write);
}

/* -- Moving ------------------------------------------------------------------------------ */

/* Has the map moved on from here?  By who has found nothing, or is about to commit. */
static inline bool segment_has_successor(const struct segment *s)
{
    uint64_t w = load_seq_u64(&s->header->successor); /* [successor] */
    return w != 0 && segment_id_in(w, s->geo.family) != 0;
}

/* The segment that it is moved here from, 0: none, or nothing of it is left. */
static inline uint64_t segment_predecessor(const struct segment *s)
{
    return segment_id_in(load_acquire_u64(&s->header->predecessor), s->geo.family); /* [successor] */
}

/* -- Above a store ------------------------------------------------------------------------ */

static inline bool segment_has_store(const struct segment *s) { return s->dirty != NULL; }

static inline uint32_t segment_spill_bit(uint64_t hash) { return (uint32_t)1 << (hash >> 20 & 31); }

/* May the store hold a key of this home and hash?  By who found no entry behind the scan of the slots, and by who
 * commits. */
static inline bool segment_is_spilled(const struct segment *s, uint64_t home, uint64_t hash)
{
    uint64_t m = load_seq_u64(&s->groups[home].meta); /* [spill] */
    return (((uint32_t)m ^ s->geo.spill_flip) & segment_spill_bit(hash)) != 0;
}

/* Before the key is published in the store; under the store's lock. */
static inline void segment_set_spilled(const struct segment *s, uint64_t home, uint64_t hash)
{
    shared_u64 *meta = &s->groups[home].meta;
    if (segment_is_spilled(s, home, hash))
        return;
    if (s->geo.spill_flip == 0)
        (void)fetch_or_u64(meta, segment_spill_bit(hash)); /* [spill] */
    else
        (void)fetch_and_u64(meta, ~(uint64_t)segment_spill_bit(hash)); /* [spill] */
}

/* The slot's record is being used: not a victim for the next rounds of the clock.  A write only where that changes it. */
#define RECENCY_MAX 3u
static inline void segment_use(const struct segment *s, uint64_t slot_i)
{
    shared_u8 *mark = &s->recency[slot_i];
    if (load_relaxed_u8(mark) != RECENCY_MAX) /* relaxed: a hint */
        store_relaxed_u8(mark, RECENCY_MAX);
}

/* What this group's slots mean has changed, and is not in the store yet.  Behind the change, by who made it, or by who
 * settles him. */
static inline void segment_set_dirty(const struct segment *s, uint64_t group)
{
    if (!segment_has_store(s))
        return;
    shared_u64 *word = &s->dirty[group / 64];
    uint64_t bit = (uint64_t)1 << (group % 64);
    if ((load_seq_u64(word) & bit) == 0)  /* [dirty] */
        (void)fetch_or_u64(word, bit); /* [dirty] */
}

/* -- From an offset to a block ------------------------------------------------------------ */

/* A block that a READY or DRAIN span really holds, at one moment. */
struct block_place {
    uint64_t block;     /* bytes from the segment's start */
    uint64_t bytes;     /* of the block */
    uint64_t span_word; /* of the run's first span; unchanged = the block still is one */
    uint32_t span_i;    /* the run's first span */
    uint32_t class_i;   /* classes.n = big */
    uint32_t index;     /* in the run */
};

static inline uint64_t segment_span_at(const struct segment *s, uint32_t span_i)
{
    return s->geo.heap_at + ((uint64_t)span_i << s->span_shift);
}

/* Does the word of span_i, which says that a run begins there, tell of one that its class has and that ends within the heap? */
HOT_INLINE bool segment_run_fits(const struct segment *s, uint32_t span_i, uint64_t word)
{
    uint32_t class_i = span_class(word), run = span_run(word);
    if (span_i + (uint64_t)run > s->geo.spans_n)
        return false;
    return LIKELY(class_i < s->classes.n) ? s->classes.of[class_i].run == run : class_i == s->classes.n && run != 0;
}

/* Does a run of blocks begin at span_i, whose word is `word`? */
static inline bool segment_run_begins(const struct segment *s, uint32_t span_i, uint64_t word)
{
    return (span_may_be_worked_on(word) || span_state(word) == SPAN_CLOSED) && segment_run_fits(s, span_i, word);
}

/* And may its blocks be worked on? */
HOT_INLINE bool segment_run_is_open(const struct segment *s, uint32_t span_i, uint64_t word)
{
    return span_may_be_worked_on(word) && segment_run_fits(s, span_i, word);
}

/* False where the offset is no block start of a formatted span: torn, stale or bad bytes. */
HOT_INLINE bool segment_locate(const struct segment *s, uint64_t block, struct block_place *ret)
{
    uint64_t rel = block - s->geo.heap_at;
    if (rel >= s->geo.heap_bytes)
        return false;
    uint32_t span_i = (uint32_t)(rel >> s->span_shift);
    uint64_t off = rel & (s->geo.span_bytes - 1);
    uint64_t word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
    if (UNLIKELY(span_state(word) == SPAN_CONT)) {
        uint32_t back = span_run(word);
        if (back == 0 || back > span_i)
            return false;
        span_i -= back;
        off += (uint64_t)back << s->span_shift;
        word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
        if (back >= span_run(word))
            return false;
    }
    if (!segment_run_is_open(s, span_i, word))
        return false;
    uint32_t class_i = span_class(word);
    ret->block = block;
    ret->span_word = word;
    ret->span_i = span_i;
    ret->class_i = class_i;
    if (UNLIKELY(class_i == s->classes.n)) {
        ret->bytes = (uint64_t)span_run(word) << s->span_shift;
        ret->index = 0;
        return off == 0;
    }
    const struct block_class *c = &s->classes.of[class_i];
    ret->bytes = c->bytes;
    if (off < c->first)
        return false;
    off -= c->first;
    uint64_t i = (off * c->inverse) >> 40;
    ret->index = (uint32_t)i;
    return i * c->bytes == off && i < c->blocks_n;
}

/* Where block i of a run begins. */
static inline uint64_t segment_block_at(const struct segment *s, uint32_t span_i, uint32_t class_i, uint32_t i)
{
    uint64_t at = segment_span_at(s, span_i);
    if (class_i == s->classes.n)
        return at;
    const struct block_class *c = &s->classes.of[class_i];
    return at + c->first + (uint64_t)i * c->bytes;
}

/* Does the slot that the record in `block` says it is in name it?  Read H before. */
static inline bool segment_is_referenced(const struct segment *s, uint64_t block, uint64_t h)
{
    uint64_t slot_i = place_slot(payload_load(segment_block(s, block) + 1));
    return slot_i < s->slots_n &&
           slot_names(load_seq_u64(segment_slot(s, slot_i)), block, h_generation(h)); /* [slot-publish] */
}

static inline uint32_t segment_blocks_n(const struct segment *s, uint32_t class_i)
{
    return class_i == s->classes.n ? 1 : s->classes.of[class_i].blocks_n;
}

/* Entries that were ever attached. */
static inline uint32_t segment_entries_used(const struct segment *s)
{
    uint32_t n = load_seq_u32(&s->header->entries_used); /* [entries-used] */
    return n < s->geo.entries_n ? n : s->geo.entries_n;
}

/* Map and cut up a checked file.  Takes fd over on success. */
int segment_map(int fd, const struct geometry *geometry, bool readonly, struct segment **ret_segment);
void segment_unmap(struct segment *segment);

#endif
