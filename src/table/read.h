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

/* The key's record in the table; above a store, SHOAL_MISSING without `deleted` leaves it to the store.  a may be NULL (then it never pins).  0, SHOAL_MISSING, SHOAL_SHORT, SHOAL_CHANGED,
 * SHOAL_ECORRUPT with a text. */
int read_key(const struct segment *s, struct attachment *a, const struct probe *p, struct read_sink *sink);

/* The same in a table that is moved from: what is sealed counts, what has moved does not. */
int read_key_old(const struct segment *old, const struct probe *p, struct read_sink *sink);

/* SHOAL_ECORRUPT with a text that names the slot. */
int read_corrupt(uint64_t slot_i, uint64_t w, const char *what);

/* Ask for the lines that a call on this key will need: the home's, then, when that is here, those of the records that may
 * be the key's. */
static inline void read_expect_group(const struct segment *s, const struct probe *p, bool write)
{
    segment_expect_line(&s->groups[p->home], write);
}
static inline void read_expect_record(const struct segment *s, const struct probe *p, bool write)
{
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        uint64_t w = load_relaxed_u64(&s->groups[p->home].slot[i]); /* relaxed: a hint */
        if (slot_finger(w) == p->finger && slot_is_in_effect(w))
            segment_expect_block(s, slot_block(w), write);
    }
}

/* The hash of a record's key. */
uint64_t read_hash(const struct segment *s, const struct record *r);

/* The home of whatever the slot's word names.  False: it cannot be read right now. */
bool read_home(const struct segment *s, const shared_u64 *slot, uint64_t w, uint64_t *ret_home);

#endif
