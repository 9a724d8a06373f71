/* SPDX-License-Identifier: MIT
 *
 * Who is attached, and who is dead.
 *
 * Each attached thread has an entry in the segment.  Two bytes of the file, far behind its end, are
 * locked by the kernel for as long as the holder lives:
 *   life(i)  held by the process of the thread that owns entry i
 *   reap(i)  held by who is settling entry i: only that one writes to an entry which is not its own
 * Attaching takes reap, marks a dead predecessor's entry as taken, takes life, settles what the dead one
 * left, marks the entry as in use, drops reap.
 */
#ifndef SHOAL_MEMORY_ATTACH_H
#define SHOAL_MEMORY_ATTACH_H

#include "base/os.h"
#include "memory/segment.h"

/* Blocks that seem to be free, each as long as its span's word is what it was. */
#define CACHE_N 64u
struct block_cache {
    uint64_t ready; /* bit i: retired[i] is of this class, and nobody pins it */
    uint32_t n;
    uint32_t span_at; /* where the next search for a span begins */
    struct block_place of[CACHE_N];
};

/* What this thread knows of a block that its entry's retired[] names. */
struct retired_block {
    struct block_place place; /* as it was then */
    uint64_t h;               /* RETIRED; 0: only named so far */
};

/* The private side of an entry. */
struct attachment {
    struct segment *segment;
    _Atomic bool gone; /* released: only the memory is left, for its thread to free */
    bool orphan;       /* its thread has ended: whoever releases it frees it */
    struct entry *entry;
    struct attachment *next; /* of the segment's */
    struct attachment *next_of_thread;
    uint32_t index;
    uint32_t ops;       /* counts to the next look at somebody else */
    uint32_t peer_at;   /* whom to look at next */
    uint32_t sweep_at, sweep_block; /* where the sweep goes on */
    uint32_t claim_at;  /* where the search for unused spans begins */
    uint32_t avoid_at, avoid_n; /* spans that are being emptied for a run: not to be claimed now */
    uint64_t retired_free;  /* bit i: retired[i] is unused */
    uint64_t retired_ready; /* bit i: it is RETIRED, and was seen not to be pinned since */
    uint32_t retired_n;     /* the others: named and RETIRED, or about to be */
    uint32_t retired_trigger;
    uint32_t retired_forget; /* which name to let go next, when all are pinned */
    bool no_space;      /* the file system gave no memory for the last claim */
    uint32_t entry_users; /* the thread, and each view; under the registry's lock */
    _Atomic uint32_t views; /* bits of view hazards in use; set by the thread, cleared by any */
    uint64_t retired_bytes, retired_most; /* of all named; more are given back at once */
    uint64_t generation_next, generation_end;
    uint64_t full_sum, full_bytes; /* a search for so many bytes failed when activity stood at the sum */
    _Atomic uint64_t reads;        /* not yet in the entry: hits:32 | gets:32 */
    uint32_t heir;                 /* 1: the index was a dead one's, settled when it was taken; not yet reported */
    uint64_t heir_aborted, heir_completed;
    struct retired_block retired[RETIRED_N];
    struct block_cache *cache[CLASSES_MAX];
};

#define HELD_LIFE 1u
#define HELD_REAP 2u

/* Open own and probe anew; also in a forked child, whose inherited ones were closed. */
int attach_open_locks(struct segment *segment);

/* Attach the calling thread.  0, SHOAL_EATTACH, SHOAL_EOS. */
int attach_take(struct segment *segment, struct attachment **ret_attachment);

/* Settle the own entry and give up its index.  Any thread of this process may do it, once nobody uses
 * the attachment. */
void attach_release(struct attachment *a);
/* The memory, after that, or in a forked child that has no entry. */
void attach_free(struct attachment *a);

/* Is an entry's owner alive, or somebody about to be one, in whichever process?  True when in doubt. */
bool attach_is_anybody_here(const struct segment *segment);

/* Is nobody alive behind this entry?  False when in doubt. */
bool attach_is_dead(const struct segment *segment, uint32_t index);
/* The same of a thread that was attached at the time.  Without the reap lock "attached" and "dead" are two looks,
 * between which one may have detached and another attached: attached_ns, signed before "attached", tells them
 * apart. */
bool attach_has_died(const struct segment *segment, uint32_t index);

/* Take and drop the reap lock of an entry. */
bool attach_reap_lock(struct segment *segment, uint32_t index);
void attach_reap_unlock(struct segment *segment, uint32_t index);

/* What it has read, to its entry. */
static inline void attach_tell_reads(struct attachment *a)
{
    uint64_t reads = atomic_load_explicit(&a->reads, memory_order_relaxed); /* relaxed: statistics */
    bump_relaxed_u64(&a->entry->gets, (uint32_t)reads);
    bump_relaxed_u64(&a->entry->hits, reads >> 32);
    atomic_store_explicit(&a->reads, 0, memory_order_relaxed);
}

#define READS_UNTOLD 4096u

/* By its thread.  True: they are to be told. */
HOT_INLINE bool attach_count_read(struct attachment *a, bool hit)
{
    uint64_t reads = atomic_load_explicit(&a->reads, memory_order_relaxed) + ((uint64_t)hit << 32) + 1; /* relaxed: statistics */
    atomic_store_explicit(&a->reads, reads, memory_order_relaxed);
    return (uint32_t)reads >= READS_UNTOLD;
}

/* Never 0 and never the one that would make a version 0. */
HOT_INLINE bool attach_generation_serves(const struct attachment *a, uint64_t generation)
{
    return generation != 0 && generation != a->segment->geo.version_salt >> 24;
}

/* A new generation. */
uint64_t attach_generation_slowly(struct attachment *a);
HOT_INLINE uint64_t attach_generation(struct attachment *a)
{
    uint64_t generation = a->generation_next & GENERATION_MASK;
    if (UNLIKELY(a->generation_next == a->generation_end || !attach_generation_serves(a, generation)))
        return attach_generation_slowly(a);
    a->generation_next++;
    return generation;
}

#endif
