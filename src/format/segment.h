/* SPDX-License-Identifier: MIT
 *
 * The layout of a segment: offsets, words, invariants.  No functions with state.
 *
 *   0        struct segment_header            4096 bytes: geometry (immutable, checksummed), then
 *                                             a read-mostly line, then the generation counter
 *   wait_at        u32   wait[WAIT_N]         futex words, one per hash bucket
 *   entries_at     struct entry[entries_n]    one attached thread each
 *   summary_at     u32   summary[runs_n]      one per RUN_GROUPS groups: may any slot be in use?
 *   groups_at      struct group[groups_all_n] the table
 *   dirty_at       u64   dirty[dirty_n]       above a store, a bit per group: what its slots mean has changed.  Set by who
 *                                             changed it, behind the change, or by who settles him; taken away by the
 *                                             holder of the store's lock, who has set it in
 *                  u64   syncing[dirty_n]     before: written by the holder alone; the next one goes on with what is there
 *   recency_at     u8    recency[slots]       above a store: a hint, written by readers and by who looks for victims
 *   spans_at       u64   span[spans_n]        what each span of the heap is
 *   maps_at        u64   map[spans_n]         hint: free blocks of spans with <= 64 blocks
 *   hints_at       u64   hint[classes][..]    hint: spans of a class that may have a free block
 *   heap_at        the spans
 *
 * Every region starts on a 64-byte line, the heap on a page (2 MiB where spans are that large).
 * Offsets, never pointers; fixed-width types only.
 */
#ifndef SHOAL_FORMAT_SEGMENT_H
#define SHOAL_FORMAT_SEGMENT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#define SEGMENT_MAGIC 0x50414d4c414f4853u /* "SHOALMAP", little endian */
#define SEGMENT_LAYOUT 3u
#define SEGMENT_ENDIAN 0x01020304u
#define SEGMENT_LINE 64u
#define SEGMENT_PAGE 4096u

/* -- Header ---------------------------------------------------------------------- */

/* Written once before the segment has a name, never again. */
struct geometry {
    uint64_t segment_bytes; /* of the file */
    uint64_t capacity;
    uint64_t groups_n;     /* home groups */
    uint64_t groups_all_n; /* and the tail, so that no window wraps */
    uint64_t runs_n;
    uint64_t heap_bytes; /* spans_n * span_bytes */
    uint64_t span_bytes; /* a power of two, 4 KiB .. 2 MiB */
    uint64_t spans_n;
    uint64_t wait_at, entries_at, summary_at, groups_at, dirty_at, recency_at, spans_at, maps_at, hints_at, heap_at;
    uint64_t dirty_n;      /* u64 words of a bit per group; 0 without a store */
    uint64_t recency_n;    /* u64 words of a byte per slot; 0 without a store */
    uint64_t hint_words; /* u64 words of one class's hint */
    uint64_t max_key_bytes, max_value_bytes;
    uint64_t seed;         /* of every hash in this map */
    uint64_t version_salt; /* versions are xored with it; its generation part is never given out */
    uint64_t features;     /* enum feature: all must be known to open */
    int64_t created_ns;
    uint32_t entries_n;
    uint32_t classes_n;
    uint32_t run_max; /* spans in the longest run that holds more than one block */
    uint32_t spill_flip; /* spill bits are kept xored with it: 0, or all ones where the store held keys before the map */
    uint8_t store_id[16]; /* which store lies below */
    uint8_t boot[16];     /* above a store: the life of the machine in which it was made */
    uint64_t id;          /* of this segment: segment_id() */
    uint64_t family;      /* of the map: random, and handed on by a rebuild */
};

enum feature { /* set by creation flags of the same name */
    FEATURE_MTIME = 1u << 0,
    FEATURE_CHECKSUM = 1u << 1,
    FEATURE_EXPIRY = 1u << 2, /* the field is placed and skipped; no call sets it yet */
    FEATURE_STORE = 1u << 3,  /* above a store */
    FEATURE_SPILL = 1u << 4,  /* what is not used lately leaves for it when room is short */
    FEATURES_KNOWN = FEATURE_MTIME | FEATURE_CHECKSUM | FEATURE_STORE | FEATURE_SPILL
};

#define WAIT_N 256u
#define STORE_PATH_BYTES 3072u

struct segment_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t endian;
    struct geometry geometry;
    uint64_t checksum; /* XXH3-64 of the bytes before it, and of `store` */
    uint8_t pad0[512 - 16 - sizeof(struct geometry) - 8];

    /* Byte 512: read by every writer, written hardly ever. */
    shared_u64 wait_mask[WAIT_N / 64]; /* bit b: somebody may sleep on wait[b].  Set by a waiter before it
                                        * re-reads its key, cleared by who wakes [wait-mask] */
    shared_u64 successor;              /* 0, or the id of the segment that the map has moved to: by CAS, once, by who
                                        * rebuilds.  From then on this one is only moved from [successor] */
    shared_u32 unlinked;               /* 1 = the name was removed; by whoever removed it, after that */
    shared_u32 entries_used;           /* no entry at or above it was ever attached; only grows, raised
                                        * before the entry's first hazard [entries-used] */
    shared_u64 predecessor;            /* 0, or the id of the segment that is being moved from: set before this one has a
                                        * name, 0 by whoever has seen that all of it has moved [successor] */
    uint8_t pad1[64 - 56];

    /* Byte 576: the next generation to lease; fetch_add by leasers. */
    shared_u64 generation_next;
    shared_u64 clock; /* the next group where victims are looked for; fetch_add by who needs room */
    shared_u64 moved_n;    /* records that were moved to this segment; statistics, relaxed */
    shared_u64 moved_most; /* in one step of one call */
    uint8_t pad2[32];

    /* Byte 640: may the file be used in another life of the machine?  Without a store, and where files outlive the
     * machine; memory/whole.h has the protocol. */
    shared_u64 life[2]; /* the machine's life (boot id) in which it was last attached for writing.  Stored by who attaches
                         * while `whole` says WHOLE, before he takes that away; all who do store the same */
    shared_u64 whole;   /* by CAS: who attaches, under his reap lock; who closes */
    uint8_t pad3[4096 - STORE_PATH_BYTES - 640 - 24];
    char store[STORE_PATH_BYTES]; /* immutable: the absolute path of the store's directory, or "" */
};
static_assert(sizeof(struct geometry) <= 512 - 24, "the immutable part fits before byte 512");
static_assert(offsetof(struct segment_header, wait_mask) == 512, "read-mostly line");
static_assert(offsetof(struct segment_header, generation_next) == 576, "own line");
static_assert(offsetof(struct segment_header, life) == 640, "own line");
static_assert(offsetof(struct segment_header, life) / 512 == offsetof(struct segment_header, whole) / 512,
              "one sector: on disk they never contradict each other");
static_assert(offsetof(struct segment_header, store) == SEGMENT_PAGE - STORE_PATH_BYTES, "at the end");
static_assert(sizeof(struct segment_header) == SEGMENT_PAGE, "one page");

/* whole  count:61 | failed:1 | known:1 | whole:1
 *  W1 while the disk's header may say WHOLE and not FAILED, every other page of the file on disk is as in memory
 *  WHOLE   the last one closed and flushed everything; taken away by who attaches, before his first other write
 *  KNOWN   the disk knows that it is not whole; with WHOLE never
 *  FAILED  a flush failed, and the kernel may have dropped what it could not write: not whole again in this life.  Who dies
 *          between the failure and this mark takes it with him: the kernel does not tell it to who opens the file later
 * count grows with each attaching, so that a closer's CAS fails who was overtaken. */
#define WHOLE 1u
#define WHOLE_KNOWN 2u
#define WHOLE_FAILED 4u
#define WHOLE_ONE 8u
static inline uint64_t whole_next(uint64_t w)
{
    return ((w & ~(uint64_t)(WHOLE | WHOLE_KNOWN)) + WHOLE_ONE) | ((w & WHOLE) ? 0 : w & WHOLE_KNOWN);
}
static inline bool whole_is_set(uint64_t w) { return (w & (WHOLE | WHOLE_FAILED)) == WHOLE; }

/* Ids of segments: random, and a sum over that and the family, so that a word which somebody scribbled over is nobody's id. */
static inline uint64_t segment_id(uint32_t random, uint64_t family)
{
    uint64_t x = family ^ ((uint64_t)random << 17 | 1);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (uint64_t)random << 32 | (uint32_t)(x ^ x >> 31);
}
/* The id that the word says, 0 where it says none. */
static inline uint64_t segment_id_in(uint64_t word, uint64_t family)
{
    return word != 0 && word == segment_id((uint32_t)(word >> 32), family) ? word : 0;
}

/* -- Group and slot ----------------------------------------------------------------- */

#define GROUP_SLOTS 7u
#define WINDOW_GROUPS 256u /* home .. home + 255 */
#define WINDOW_SPILL 16u   /* where the table spills: it is always full, and its load must not grow until windows are */
#define RUN_GROUPS 16u     /* groups per summary word: a walk over a sparse table reads 1/16 of a line per
                            * group and, per key, at most 16 groups */

/* One line.  Invariants:
 *  T1 a LIVE record of home h lies in group h .. h + bound(h)       (kept by: TENT, then bound, then scan)
 *  T2 at most one LIVE slot holds a key
 *  T3 a slot that is not FREE lies in a run whose summary says so */
struct group {
    shared_u64 meta; /* by CAS, any writer */
    shared_u64 slot[GROUP_SLOTS];
};
static_assert(sizeof(struct group) == 64, "one line");

/* meta  bound:8 | scan:1 | moved:1 | ver:22 | spill:32
 *  T4 a key of home h that the store holds has its spill bit set (kept by: set before the publish, taken away by the
 *     holder of the store's lock alone) */
#define META_BOUND(m) ((uint32_t)((m) >> 56))
#define META_SCAN ((uint64_t)1 << 55)
#define META_MOVED ((uint64_t)1 << 54) /* nothing of this home is left to move; set by who has seen that, for good */
#define META_VER_ONE ((uint64_t)1 << 32)
#define META_VER_MASK ((((uint64_t)1 << 22) - 1) << 32)
#define META_SPILL_MASK 0xffffffffu

static inline uint64_t meta_next(uint64_t m, uint32_t bound, bool scan)
{
    return ((uint64_t)bound << 56) | (scan ? META_SCAN : 0) | (m & META_MOVED) | ((m + META_VER_ONE) & META_VER_MASK) |
           (m & META_SPILL_MASK);
}

/* summary word  used:1 | scan:1 | ver:30 */
#define SUMMARY_USED 1u
#define SUMMARY_SCAN 2u
static inline uint32_t summary_next(uint32_t s, uint32_t bits)
{
    return ((s + 4u) & ~3u) | bits;
}

/* slot  state:3 | fingerprint:12 | offset:36 (8-byte units from the segment's start) | tag:13 */
enum slot_state {
    SLOT_FREE = 0, /* the whole word is 0 */
    SLOT_TENT,     /* placed, not yet in effect; absent to readers */
    SLOT_LIVE,
    SLOT_BELOW, /* live, and a store may hold the key too */
    SLOT_TOMB,  /* deleted, but a store may still hold the key */
    SLOT_ABRT,  /* killed; for its owner to see and free */
    SLOT_SEALED, /* in a table that is moved from: was LIVE or BELOW, counts, and nobody changes it but to MOVED */
    SLOT_SEALED_TOMB
};
/* MOVED: the bits of SLOT_FREE above a word that still names the record.  Nothing is placed there, and the record stays
 * where it is. */
#define TAG_BITS 13
#define TAG_MASK (((uint64_t)1 << TAG_BITS) - 1)
#define OFFSET_BITS 36
#define OFFSET_MASK (((uint64_t)1 << OFFSET_BITS) - 1)
#define FINGER_BITS 12
#define FINGER_MASK ((1u << FINGER_BITS) - 1)
static_assert(3 + FINGER_BITS + OFFSET_BITS + TAG_BITS == 64, "a slot is a word");

static inline uint64_t slot_pack(enum slot_state state, uint32_t finger, uint64_t block, uint64_t generation)
{
    return ((uint64_t)state << 61) | ((uint64_t)finger << 49) | ((block >> 3) << TAG_BITS) | (generation & TAG_MASK);
}
static inline enum slot_state slot_state(uint64_t w) { return (enum slot_state)(w >> 61); }
static inline uint32_t slot_finger(uint64_t w) { return (uint32_t)(w >> 49) & FINGER_MASK; }
/* Where only the fingerprint matters, without moving it: slot_has_finger(w, slot_finger_bits(finger)). */
static inline uint64_t slot_finger_bits(uint32_t finger) { return (uint64_t)finger << 49; }
static inline bool slot_has_finger(uint64_t w, uint64_t bits) { return ((w ^ bits) & (uint64_t)FINGER_MASK << 49) == 0; }
static inline uint64_t slot_block(uint64_t w) { return ((w >> TAG_BITS) & OFFSET_MASK) << 3; }
static inline uint64_t slot_tag(uint64_t w) { return w & TAG_MASK; }
static inline uint64_t slot_with(uint64_t w, enum slot_state state)
{
    return (w & ~((uint64_t)7 << 61)) | ((uint64_t)state << 61);
}
/* Is it what counts for its key, be that a value or a deletion? */
static inline bool slot_is_in_effect(uint64_t w)
{
    enum slot_state s = slot_state(w);
    return s == SLOT_LIVE || s == SLOT_BELOW || s == SLOT_TOMB;
}
static inline bool slot_is_live(uint64_t w)
{
    enum slot_state s = slot_state(w);
    return s == SLOT_LIVE || s == SLOT_BELOW;
}
static inline bool slot_is_sealed(uint64_t w) { return slot_state(w) >= SLOT_SEALED; }
static inline bool slot_is_moved(uint64_t w) { return slot_state(w) == SLOT_FREE && w != 0; }
/* Does the word name this block in this generation, whatever its state? */
static inline bool slot_names(uint64_t w, uint64_t block, uint64_t generation)
{
    return w != 0 && slot_block(w) == block && slot_tag(w) == (generation & TAG_MASK);
}

/* -- Block header H ------------------------------------------------------------------ */

/* H  generation:40 | owner:16 | 0:3 | copy:1 | pending:1 | state:3     The only truth about a block.
 *
 *   FREE -> OWNED(p), new generation -> PUB(p) -> RETIRED(q) -> FREE       (and OWNED -> FREE | RETIRED,
 *   RETIRED(q) -> OWNED(q), new generation, by q alone, once a look at all hazards behind RETIRED found no pin,
 *   FREE <-> SEALED while its span is being emptied)
 * Every transfer is one CAS on H that carries the new owner, made under a hazard on the block or,
 * for a reformat, when no hazard points into the span.
 * PUB and RETIRED keep the index of who made them so, because that attachment's counter may be
 * pending on it; H_PENDING on PUB says that it may be: cleared only after the counter was settled. */
enum block_state { BLOCK_FREE = 0, BLOCK_OWNED, BLOCK_PUB, BLOCK_RETIRED, BLOCK_SEALED };
#define H_STATE_MASK 7u
#define H_PENDING 8u
#define H_COPY 16u /* OWNED, and made of a record in the table that is moved from: who commits it looks there */
#define GENERATION_BITS 40
#define GENERATION_MASK (((uint64_t)1 << GENERATION_BITS) - 1)
#define OWNER_MAX 0xffffu

static inline uint64_t h_pack(uint64_t generation, uint32_t owner, enum block_state state)
{
    return (generation << 24) | ((uint64_t)owner << 8) | (uint64_t)state;
}
static inline uint64_t h_generation(uint64_t h) { return h >> 24; }
static inline uint32_t h_owner(uint64_t h) { return (uint32_t)(h >> 8) & 0xffffu; }
static inline enum block_state h_state(uint64_t h) { return (enum block_state)(h & H_STATE_MASK); }
static inline bool h_holds_record(uint64_t h) { return h_state(h) == BLOCK_OWNED || h_state(h) == BLOCK_PUB; }

/* -- Record ----------------------------------------------------------------------------
 *  0  u64 H
 *  8  u64 place   slot:32 | key bytes:16 | typed:1 | value bytes:15 (VALUE_LONG: in the next word)
 * 16  [u64 value bytes, if long] [u64 below] [u64 expiry] [u64 mtime] [u64 checksum]     as the features ask
 *     key, then the type byte if typed, zero padded to 8
 *     value, zero padded to 8
 * Everything after H is written while the block is OWNED and not yet placed, and never again, but the clean marks. */
#define RECORD_HEADER 16u
#define VALUE_LONG 0x7fffu
#define PLACE_TYPED ((uint64_t)1 << 15)
static inline uint64_t place_pack(uint32_t slot, uint32_t key_bytes, bool typed, uint64_t value_bytes)
{
    uint64_t v = value_bytes < VALUE_LONG ? value_bytes : VALUE_LONG;
    return ((uint64_t)slot << 32) | ((uint64_t)key_bytes << 16) | (typed ? PLACE_TYPED : 0) | v;
}
/* Versions, before they are xored with the map's salt: of a record in a table above a store without the top bit, of one
 * in the store with it.  The salt of such a map has the two top bits, so that no version is 0. */
#define VERSION_STORE ((uint64_t)1 << 63)
#define VERSION_TABLE (VERSION_STORE - 1)
#define VERSION_SALT ((uint64_t)3 << 62)

static inline uint32_t place_slot(uint64_t place) { return (uint32_t)(place >> 32); }

/* below  base:60 | clean tomb:1 | clean live:1 | kind:2      in maps above a store
 *  kind and base   what who commits a TENT must know: on what it depends.  base: the version that the store had for the
 *                  key when the record was computed, 0 = none
 *  clean           what a BELOW slot, or a TOMB slot, means by this record is in the store.  Set by the holder of the
 *                  store's lock behind the publish, under a hazard; never cleared; a copy may have it or not */
enum record_kind {
    RECORD_PLAIN,    /* depends on nothing */
    RECORD_DEPENDS,  /* on base */
    RECORD_DELETES,  /* likewise; commits to TOMB */
    RECORD_PROMOTED  /* a copy of base: commits to BELOW, and yields to everybody */
};
#define BELOW_CLEAN_LIVE 4u
#define BELOW_CLEAN_TOMB 8u
static inline uint64_t below_pack(enum record_kind kind, uint64_t base)
{
    return base << 4 | (kind == RECORD_PROMOTED ? BELOW_CLEAN_LIVE : 0) | (uint64_t)kind;
}
static inline enum record_kind below_kind(uint64_t below) { return (enum record_kind)(below & 3); }
static inline uint64_t below_base(uint64_t below) { return below >> 4; }
static inline uint64_t below_clean_mark(uint64_t w) { return slot_state(w) == SLOT_TOMB ? BELOW_CLEAN_TOMB : BELOW_CLEAN_LIVE; }

/* -- Span word --------------------------------------------------------------------------
 *  state:3 | class:10 | backed:1 | run:18 | count:32
 * READY, DRAIN: first span of a run of `run` spans, cut into blocks of `class`.  CLOSED: the same, every
 * block of it seen SEALED; nobody begins to work on a block of it.
 * CONT: span `run` of such a run.  CLAIMED: `run` is the index of the attachment that is making or
 * unmaking it.  count grows with every change of state, so a span word never repeats. */
enum span_state { SPAN_FREE = 0, SPAN_CLAIMED, SPAN_READY, SPAN_DRAIN, SPAN_CONT, SPAN_CLOSED };
static_assert(SPAN_READY % 2 == 0 && SPAN_DRAIN == SPAN_READY + 1, "told from the others by one mask");
#define SPAN_BACKED ((uint64_t)1 << 50)
#define SPAN_RUN_MAX ((1u << 18) - 1)
#define SPAN_CLASS_MAX ((1u << 10) - 1)
static inline uint64_t span_pack(uint64_t old, enum span_state state, uint32_t class_i, uint32_t run, bool backed)
{
    return ((uint64_t)state << 61) | ((uint64_t)class_i << 51) | (backed ? SPAN_BACKED : 0) | ((uint64_t)run << 32) |
           (uint32_t)((uint32_t)old + 1u);
}
static inline enum span_state span_state(uint64_t s) { return (enum span_state)(s >> 61); }
/* READY or DRAIN. */
static inline bool span_may_be_worked_on(uint64_t s) { return (s >> 61 & ~(uint64_t)1) == SPAN_READY; }
static inline uint32_t span_class(uint64_t s) { return (uint32_t)(s >> 51) & SPAN_CLASS_MAX; }
static inline uint32_t span_run(uint64_t s) { return (uint32_t)(s >> 32) & SPAN_RUN_MAX; }

/* -- Attachment entry --------------------------------------------------------------------
 * Written by its own thread alone, except as noted, and by the holder of the entry's reap lock once
 * the thread is dead. */
#define HAZARDS_OP 8u    /* for the operation under way */
#define HAZARDS_VIEW 24u /* for views */
#define HAZARDS_N (HAZARDS_OP + HAZARDS_VIEW)
#define RETIRED_N 64u
#define OWNED_N 4u
#define COMMAND_BYTES 16u

/* counter word  count:40 (signed) | seq:22 | pending:2
 *  count = (records this entry's attachments made PUB) - (PUB records they made RETIRED)
 *  C1 the sum over all entries = records in state PUB, whenever no entry is pending
 *  pending 1 = +1, 2 = -1: waits for H of pending_block to be pending_h.  Set by the owner before its
 *  CAS on that H; settled together with the count in one word: stored by the owner, by CAS by who finds
 *  him dead, or by who is about to move that H on. */
#define COUNTER_PENDING_MASK 3u
#define COUNTER_PLUS 1u
#define COUNTER_MINUS 2u
#define COUNTER_SEQ_ONE 4u
#define COUNTER_SEQ_MASK ((((uint64_t)1 << 22) - 1) << 2)
static inline int64_t counter_count(uint64_t c) { return (int64_t)c >> 24; }
static inline uint64_t counter_pack(int64_t count, uint64_t old, uint64_t pending)
{
    return ((uint64_t)count << 24) | ((old + COUNTER_SEQ_ONE) & COUNTER_SEQ_MASK) | pending;
}

/* UNUSED -> IN_USE -> UNUSED        by the owner, who holds life
 * IN_USE | TAKEN -> TAKEN -> IN_USE by the next owner, where the last one is dead: marked before he locks life,
 *                                   in use when he has settled what was left, under reap all the time
 * IN_USE | TAKEN -> UNUSED          by a reaper, under reap, once the owner is dead and all is settled
 *  U1 where life is locked and the entry IN_USE, nothing of a dead predecessor is left
 *  U2 it is not UNUSED from before its owner's first hazard until all is settled
 * A taker who dies leaves TAKEN: to the next who looks, dead like any other. */
enum entry_use { ENTRY_UNUSED = 0, ENTRY_IN_USE, ENTRY_TAKEN };

struct entry {
    /* line 0: for people, and whether to look at the rest */
    shared_u32 attached; /* enum entry_use */
    shared_u32 pid;      /* in its own pid namespace */
    shared_u64 pid_start, pid_ns;
    shared_u64 command[COMMAND_BYTES / 8];
    shared_u64 attached_ns; /* written before attached is set: tells one attachment from the next */
    shared_u64 draining; /* first span + 1 of the run it is emptying, so that no sweep calls that off; 0 = none */
    shared_u64 flushes; /* statistics, relaxed: here because there is room */
    /* line 1: what this attachment is in the middle of; each named before the CAS it announces */
    shared_u64 counter;
    shared_u64 pending_block;
    shared_u64 pending_h;
    shared_u64 claim; /* first span:32 | spans:32 that it is claiming or releasing; spans 0 = none */
    shared_u64 owned[OWNED_N]; /* blocks it is making or has made OWNED; 0 = none */
    /* lines 2..9: blocks it is making or has made RETIRED; 0 = none */
    shared_u64 retired[RETIRED_N];
    /* lines 10..13: block offset, or HAZARD_GUARD | offset; see hazard.h */
    shared_u64 hazard[HAZARDS_N];
    /* lines 14, 15: statistics, relaxed */
    shared_u64 gets, hits, writes, deletes, reaped, healed, evacuated, freed;
    shared_u64 unpinned; /* views ended, by fetch_add of any thread of the process */
    shared_u64 below_gets, below_hits, copied, evicted, promoted; /* above a store */
    shared_u64 written; /* likewise: bytes of records */
    shared_u64 flush_failures;
};
static_assert(offsetof(struct entry, counter) == 64, "line 1");
static_assert(offsetof(struct entry, retired) == 128, "line 2");
static_assert(offsetof(struct entry, hazard) == 640, "line 10");
static_assert(sizeof(struct entry) == 1024, "sixteen lines");

#endif
