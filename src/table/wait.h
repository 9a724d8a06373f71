/* SPDX-License-Identifier: MIT
 *
 * Sleeping until a key changes.
 *
 *   waiter   sets its bucket's bit, loads the bucket's word, full fence, re-reads the key, sleeps on the word
 *   writer   swings the slot, loads the mask; bit set: clears it, word + 1, wakes all
 * Either the waiter's re-read sees the new slot, or the writer's load sees the bit.  Who is woken for another
 * key of the bucket sets the bit again and sleeps on.  If the writer dies before it wakes, sleepers look
 * every 100 ms.
 */
#ifndef SHOAL_TABLE_WAIT_H
#define SHOAL_TABLE_WAIT_H

#include "base/hash.h"
#include "base/os.h"
#include "memory/segment.h"

#ifndef WAIT_LOOK_NS /* a test asks for more */
#define WAIT_LOOK_NS 100000000 /* 100 ms: a dead writer's wake is missed for so long at most */
#endif

/* Every commit calls it; one load when nobody waits. */
static inline void wait_wake(const struct segment *s, uint64_t hash)
{
    uint32_t bucket = hash_bucket(hash);
    shared_u64 *mask = &s->header->wait_mask[bucket / 64];
    uint64_t bit = (uint64_t)1 << (bucket % 64);
    if ((load_seq_u64(mask) & bit) == 0) /* [wait-mask] */
        return;
    (void)fetch_and_u64(mask, ~bit); /* [wait-mask] */
    (void)fetch_add_u32(&s->wait[bucket], 1); /* [wait-mask] dies here: sleepers look by themselves */
    os_futex_wake_all(&s->wait[bucket]);
}

/* Announce a waiter; returns the word to sleep on, and its value. */
static inline const shared_u32 *wait_announce(const struct segment *s, uint64_t hash, uint32_t *ret_seen)
{
    uint32_t bucket = hash_bucket(hash);
    (void)fetch_or_u64(&s->header->wait_mask[bucket / 64], (uint64_t)1 << (bucket % 64)); /* [wait-mask] */
    *ret_seen = load_seq_u32(&s->wait[bucket]); /* [wait-mask] */
    wait_fence();                               /* [wait-mask] */
    return &s->wait[bucket];
}

#endif
