/* SPDX-License-Identifier: MIT
 *
 * Every access to shared memory, with named orders.
 *
 * An order stronger than relaxed carries a name in brackets at its use.  Each name is listed here with
 * its release sites and acquire sites, and what becomes visible:
 *
 *  [slot-publish]  release: the CAS that makes a slot TENT, LIVE, or names another record (insert, mutate,
 *                  evacuate).  acquire: the slot load of get, pin, walk, check.  Visible: the record's bytes,
 *                  and that its H carries the slot's tag.
 *  [block-own]     release: the CAS that makes H OWNED, followed by a release fence before the payload
 *                  stores.  acquire: the re-read of H behind an acquire fence.  Visible: who read any byte of
 *                  the new record sees the new generation, and so throws it away.
 *  [block-state]   seq_cst: every other CAS on H.  acquire: the load of H before a decision.  Visible: what
 *                  the maker did before (slot swung, counter settled).
 *  [hazard]        seq_cst: a hazard's store, then the re-read of the word that named the block, or of H itself
 *                  where no word but a dead entry's names it.  partner:
 *                  the CAS that unlinked the block, then, behind H made RETIRED, the scan of all hazards, all
 *                  of them seq_cst too.  Either the scan sees the hazard, or the re-read sees the unlinking.
 *  [meta]          seq_cst: raises and lowerings of a bound, and of a summary word; acquire: get, walk.  Visible to who
 *                  sees a LIVE slot's key anywhere: a bound that reaches it, a summary that says so.
 *  [span-ready]    release: the CAS that makes a span READY.  acquire: the span load of whoever was led
 *                  there.  Visible: initialised block headers, backed memory.
 *  [counter]       release: the store that sets pending, behind pending_block and pending_h, and the owner's that
 *                  takes it away, before H loses H_PENDING.  acquire: a helper's load of the counter.
 *  [entry-names]   release: an entry names a block or span before the CAS it announces (seq_cst, so ordered
 *                  behind it).  acquire: the reaper's load.
 *  [attached]      seq_cst: an entry is marked attached before its first hazard, and not attached behind the
 *                  last, by its owner or its settler.  acquire: a scan of hazards leaves out what is not
 *                  attached; the settler looks again under the reap lock.  seq_cst too: marked as taken before
 *                  the taker locks life.  acquire: the load behind a look at that lock tells a taker who has
 *                  not settled the dead one's blocks yet.  The header's word `whole` likewise: changed by who
 *                  attaches, behind his lock and before all he writes; by who closes, behind a look at all locks.
 *  [entries-used]  seq_cst: raised before the entry's first hazard; loaded before a scan of hazards.
 *  [wait-mask]     seq_cst: a waiter sets its bit, then a full fence, then re-reads the key; a writer swings the
 *                  slot, then loads the mask.  One of them sees the other.  The fence, because the re-read is
 *                  get's, whose loads are acquire: without it they may return what they would have returned
 *                  before the bit was set.
 *  [spill]         seq_cst: a spill bit is set before the publish that it announces; loaded behind the slots, and by
 *                  who commits behind its scan.
 *  [clean]         release: the mark of a record whose copy was published (RMW).  acquire: the load of who evicts or
 *                  copies.  Visible: the published root.
 *  [dirty]         seq_cst: a group's bit is set behind the change of its slot; the store's holder takes it away before
 *                  he looks at the slots, having set it in `syncing`.
 *  [successor]     seq_cst: a map moves on from a segment, by CAS; release: nothing is left to move (predecessor).
 *                  seq_cst: the load of who found nothing there, or is about to commit; acquire: of who has the old
 *                  segment mapped.  Visible: the successor's name; that every home has moved.
 *  [hint]          relaxed RMW or plain loads on bitmaps: they may lie; H decides.
 *
 * Relaxed is enough for payload words because every reader re-reads H behind an acquire fence
 * ([block-own]) or holds a validated hazard ([hazard]).
 *
 * With SHOAL_POINTS each access calls shoal_point() first: a place where tests schedule, kill or fail.
 */
#ifndef SHOAL_BASE_ATOMIC_H
#define SHOAL_BASE_ATOMIC_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic uint64_t shared_u64;
typedef _Atomic uint32_t shared_u32;
typedef _Atomic uint8_t shared_u8;
static_assert(sizeof(shared_u64) == 8 && sizeof(shared_u32) == 4, "no lock beside the value");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "address-free between processes");

enum shoal_point_kind { POINT_LOAD, POINT_STORE, POINT_CAS, POINT_RMW };
#ifdef SHOAL_POINTS
void shoal_point(enum shoal_point_kind kind, const volatile void *where);
#define ATOMIC_POINT(kind, p) shoal_point(kind, (const volatile void *)(p))
#else
#define ATOMIC_POINT(kind, p) ((void)0)
#endif

/* A planted fault: a ThreadSanitizer job that does not find it proves nothing. */
#ifdef SHOAL_PLANT_RELAXED_SLOT
#define ATOMIC_CAS_ORDER memory_order_relaxed
#else
#define ATOMIC_CAS_ORDER memory_order_seq_cst
#endif

/* A load does not change what a read-only mapping holds; C11 wants the cast. */
#define ATOMIC_DEFINE(name, type, shared)                                                                   \
    static inline type load_relaxed_##name(const shared *p)                                                 \
    {                                                                                                       \
        ATOMIC_POINT(POINT_LOAD, p);                                                                        \
        return atomic_load_explicit((shared *)(uintptr_t)p, memory_order_relaxed);                          \
    }                                                                                                       \
    static inline type load_acquire_##name(const shared *p)                                                 \
    {                                                                                                       \
        ATOMIC_POINT(POINT_LOAD, p);                                                                        \
        return atomic_load_explicit((shared *)(uintptr_t)p, memory_order_acquire);                          \
    }                                                                                                       \
    static inline type load_seq_##name(const shared *p)                                                     \
    {                                                                                                       \
        ATOMIC_POINT(POINT_LOAD, p);                                                                        \
        return atomic_load_explicit((shared *)(uintptr_t)p, memory_order_seq_cst);                          \
    }                                                                                                       \
    static inline void store_relaxed_##name(shared *p, type v)                                              \
    {                                                                                                       \
        ATOMIC_POINT(POINT_STORE, p);                                                                       \
        atomic_store_explicit(p, v, memory_order_relaxed);                                                  \
    }                                                                                                       \
    static inline void store_release_##name(shared *p, type v)                                              \
    {                                                                                                       \
        ATOMIC_POINT(POINT_STORE, p);                                                                       \
        atomic_store_explicit(p, v, memory_order_release);                                                  \
    }                                                                                                       \
    /* A seq_cst store as an exchange: one lock-prefixed instruction instead of store + mfence. */          \
    static inline void store_seq_##name(shared *p, type v)                                                  \
    {                                                                                                       \
        ATOMIC_POINT(POINT_RMW, p);                                                                         \
        (void)atomic_exchange_explicit(p, v, memory_order_seq_cst);                                         \
    }                                                                                                       \
    static inline bool cas_##name(shared *p, type expected, type desired)                                   \
    {                                                                                                       \
        ATOMIC_POINT(POINT_CAS, p);                                                                         \
        return atomic_compare_exchange_strong_explicit(p, &expected, desired, ATOMIC_CAS_ORDER,             \
                                                       ATOMIC_CAS_ORDER);                                   \
    }                                                                                                       \
    static inline type fetch_add_##name(shared *p, type v)                                                  \
    {                                                                                                       \
        ATOMIC_POINT(POINT_RMW, p);                                                                         \
        return atomic_fetch_add_explicit(p, v, memory_order_seq_cst);                                       \
    }                                                                                                       \
    /* For numbers that only have to differ. */                                                            \
    static inline type fetch_add_relaxed_##name(shared *p, type v)                                          \
    {                                                                                                       \
        ATOMIC_POINT(POINT_RMW, p);                                                                         \
        return atomic_fetch_add_explicit(p, v, memory_order_relaxed);                                       \
    }                                                                                                       \
    static inline type fetch_or_##name(shared *p, type v)                                                   \
    {                                                                                                       \
        ATOMIC_POINT(POINT_RMW, p);                                                                         \
        return atomic_fetch_or_explicit(p, v, memory_order_seq_cst);                                        \
    }                                                                                                       \
    static inline type fetch_and_##name(shared *p, type v)                                                  \
    {                                                                                                       \
        ATOMIC_POINT(POINT_RMW, p);                                                                         \
        return atomic_fetch_and_explicit(p, v, memory_order_seq_cst);                                       \
    }                                                                                                       \
    static inline type exchange_##name(shared *p, type v)                                                   \
    {                                                                                                       \
        ATOMIC_POINT(POINT_RMW, p);                                                                         \
        return atomic_exchange_explicit(p, v, memory_order_seq_cst);                                        \
    }
ATOMIC_DEFINE(u64, uint64_t, shared_u64)
ATOMIC_DEFINE(u8, uint8_t, shared_u8)
ATOMIC_DEFINE(u32, uint32_t, shared_u32)
#undef ATOMIC_DEFINE

/* A statistic of one's own line: no other thread writes it. */
static inline void bump_relaxed_u64(shared_u64 *p, uint64_t by)
{
    store_relaxed_u64(p, load_relaxed_u64(p) + by);
}

/* -- Payload words, which may race with a block's reuse: see [block-own] -------------------------- */
#if defined(__SANITIZE_THREAD__)
#define ATOMIC_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATOMIC_TSAN 1
#endif
#endif

/* ThreadSanitizer does not model fences.  It needs none here: the words are atomic, so it reports no race on
 * them, what a reader concludes from them it re-reads H for, and a waiter looks again every 100 ms. */
#ifdef ATOMIC_TSAN
#define ATOMIC_PAYLOAD_FENCE(order) ((void)0)
#else
#define ATOMIC_PAYLOAD_FENCE(order) atomic_thread_fence(order)
#endif

static inline uint64_t payload_load(const shared_u64 *p)
{
    return atomic_load_explicit((shared_u64 *)(uintptr_t)p, memory_order_relaxed);
}
static inline void payload_store(shared_u64 *p, uint64_t v)
{
    atomic_store_explicit(p, v, memory_order_relaxed);
}
/* Between the CAS that owns a block and its first payload store. */
static inline void payload_write_fence(void) { ATOMIC_PAYLOAD_FENCE(memory_order_release); }
/* Between the last payload load and the re-reads that validate it. */
static inline void payload_read_fence(void) { ATOMIC_PAYLOAD_FENCE(memory_order_acquire); }

/* Between a waiter's bit and its look at the key. */
static inline void wait_fence(void) { ATOMIC_PAYLOAD_FENCE(memory_order_seq_cst); }

#endif
