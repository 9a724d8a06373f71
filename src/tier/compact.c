/* SPDX-License-Identifier: MIT
 *
 * Spill bits that nothing needs any more are taken away, and the store is made smaller (tier.h).
 *
 * A spill bit is set before a key of it is published below, and stays when the key goes.  It may be taken away by the
 * holder of the store's lock, who has changed nothing and so is not between setting bits and publishing, when no key of it
 * is below: while he has the lock nobody else sets or takes away one, and nobody publishes.  So of each home he takes the
 * bits that the store's keys have, all of them, and stores exactly those; by CAS, because others change the bound beside
 * them.  He may die anywhere: each home's bits are right by themselves.
 */
#include <stdlib.h>

#include "base/error.h"
#include "tier/copy.h"

#define HOMES_AT_ONCE 16384u
#define RECORDS_AT_ONCE 65536u /* looked at under one hold of the lock */

struct needs {
    const struct segment *s;
    uint64_t home;                /* the first one */
    uint64_t records;
    uint32_t bits[HOMES_AT_ONCE]; /* of the homes from there on */
};

static void need(void *arg, uint64_t hash)
{
    struct needs *n = arg;
    uint64_t home = hash_home(hash, n->s->geo.groups_n);
    n->records++;
    if (home >= n->home && home - n->home < HOMES_AT_ONCE)
        n->bits[home - n->home] |= segment_spill_bit(hash);
}

/* Exactly these. */
static void home_set(const struct segment *s, uint64_t home, uint32_t bits)
{
    shared_u64 *meta = &s->groups[home].meta;
    uint64_t wanted = (bits ^ s->geo.spill_flip) & META_SPILL_MASK, m;
    do
        m = load_seq_u64(meta); /* [spill] */
    while ((m & META_SPILL_MASK) != wanted && !cas_u64(meta, m, (m & ~(uint64_t)META_SPILL_MASK) | wanted)); /* [spill] */
}

/* Homes from n->home on, as many as may be under one hold of the lock; n->home is the next one then. */
static int homes_take(struct needs *n, struct store *store)
{
    const struct segment *s = n->s;
    uint64_t hash = hash_least(s, n->home), end = n->home + HOMES_AT_ONCE, known = n->home;
    end = end < s->geo.groups_n ? end : s->geo.groups_n;
    n->records = 0;
    memset(n->bits, 0, sizeof n->bits);
    while (known < end && (known == n->home || n->records < RECORDS_AT_ONCE)) {
        int rc = store_hashes(store, hash, need, n, &hash);
        if (rc != 0)
            return rc;
        known = hash == 0 ? end : hash_home(hash, s->geo.groups_n); /* of that one more may come */
    }
    known = known < end ? known : end;
    for (uint64_t home = n->home; home < known; home++)
        home_set(s, home, n->bits[home - n->home]);
    n->home = known;
    return 0;
}

static int bits_take(struct tier *tier, shoal_progress_fn *progress, void *arg)
{
    struct needs *n = calloc(1, sizeof *n);
    if (n == NULL)
        return error_os("compact");
    n->s = tier->segment;
    uint64_t homes = n->s->geo.groups_n;
    int rc = 0;
    while (rc == 0 && n->home < homes) {
        rc = store_lock(tier->store, COPY_LOCK_MS);
        if (rc != 0)
            break;
        rc = homes_take(n, tier->store);
        store_unlock(tier->store);
        store_give_way(tier->store);
        if (rc == 0 && progress != NULL)
            rc = progress(n->home, homes, arg);
    }
    free(n);
    return rc;
}

int tier_compact(struct tier *tier, struct attachment *a, shoal_progress_fn *progress, void *arg)
{
    int rc = tier_sync(tier, a, NULL, NULL); /* what was deleted above is deleted below */
    if (rc == 0)
        rc = bits_take(tier, progress, arg);
    return rc == 0 ? store_compact(tier->store, progress, arg) : rc;
}
