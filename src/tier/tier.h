/* SPDX-License-Identifier: MIT
 *
 * A table above a store: what is copied down, what leaves, what comes up (docs/tiers.md has the rules).
 *
 * The table is the truth for every key that it has an entry for, live or deleted.  The store is written only by copying
 * entries down, by the holder of its lock; an entry leaves the table only after exactly that record was copied down and
 * published.  Who dies in the middle of any of this leaves nothing to be repaired: the next holder begins anew.
 */
#ifndef SHOAL_TIER_TIER_H
#define SHOAL_TIER_TIER_H

#include "store/store.h"
#include "table/below.h"
#include "table/read.h"

/* Keys that were read below lately, as a share of what the table holds.  One that is read again while it is remembered comes
 * up, which makes a record and sends another one away: so not what is read again only because all is. */
#define TIER_SEEN_SHARE 4u
#define TIER_SEEN_LEAST 64u
#define TIER_SEEN_MOST (1u << 20)

/* A process's store below one mapped segment.  Used by all its threads. */
struct tier {
    struct below below; /* first: the table knows this part */
    struct store *store;
    struct segment *segment;
    uint64_t seen_n; /* a power of two */
    _Atomic uint32_t seen[];
};

/* What a new segment must know of the store that it is made for. */
struct tier_origin {
    char path[STORE_PATH_BYTES]; /* absolute */
    uint8_t id[16], boot[16];
    uint64_t seed;
    bool holds; /* keys, already */
};
/* Makes the store where there is none.  0, SHOAL_EINVAL, SHOAL_ESTORE. */
int tier_prepare(const char *directory, struct tier_origin *ret_origin);

/* name: of the map, for others who want the same store.  0, SHOAL_ESTORE (not there, another one than the segment was made
 * for, or in use by another map), SHOAL_EOS. */
int tier_open(struct segment *segment, const char *directory, const char *name, struct tier **ret_tier);
void tier_close(struct tier *tier); /* NULL is allowed */

/* For a key that has no entry in the table: what the store holds.  a may be NULL; else the record comes up when it is read
 * again.  0, SHOAL_MISSING, SHOAL_SHORT, SHOAL_CHANGED, SHOAL_ESTORE, SHOAL_ECORRUPT. */
int tier_read(struct tier *tier, struct attachment *a, const struct probe *p, struct read_sink *sink);

/* Everything that took effect before is in the store and on disk when it returns.  `progress` (may be NULL) is asked between
 * holds of the store's lock, with groups; what it answers, not 0, ends it.  0, SHOAL_EFULL (the text names who holds the
 * store), SHOAL_ESTORE, SHOAL_ECORRUPT. */
int tier_sync(struct tier *tier, struct attachment *a, shoal_progress_fn *progress, void *arg);
/* The same for one key, and what else is not in the store yet, up to a bound. */
int tier_sync_key(struct tier *tier, struct attachment *a, const struct probe *p);

/* Records come up until no more fit.  `progress` is asked every so many of them; what it answers, not 0, ends it. */
int tier_warm(struct tier *tier, struct attachment *a, shoal_progress_fn *progress, void *arg, uint64_t *ret_n);

/* Syncs, takes away the spill bits that nothing needs, and makes the store smaller (store_compact); others go on. */
int tier_compact(struct tier *tier, struct attachment *a, shoal_progress_fn *progress, void *arg);
/* Syncs, and copies what is in the store then (store_backup). */
int tier_backup(struct tier *tier, struct attachment *a, const char *directory, shoal_progress_fn *progress, void *arg);

/* -- Walking both -------------------------------------------------------------------------------- */

/* By ranges of homes: the table's part of one first, then the store's, without what the table had. */
struct tier_walk;
/* The least hash of a home. */
static inline uint64_t hash_least(const struct segment *s, uint64_t home)
{
    unsigned __int128 n = s->geo.groups_n;
    return (uint64_t)((((unsigned __int128)home << 64) + n - 1) / n);
}
int tier_walk_open(struct tier *tier, struct tier_walk **ret_walk);
/* As walk_next; the value goes to the sink's buffer.  SHOAL_SHORT: the same record comes again.  TABLE_MOVED: the walk has to
 * follow. */
int tier_walk_next(struct tier_walk *walk, struct attachment *a, struct read_sink *sink);
/* The next key alone: its value's length, and no value. */
int tier_walk_next_key(struct tier_walk *walk, struct attachment *a, struct read_sink *sink);
/* The map has moved to another table above the same store: the walk goes on there, from where it is. */
int tier_walk_follow(struct tier_walk *walk, struct tier *to);
void tier_walk_close(struct tier_walk *walk);

/* About how many keys there are, by one look at the slots' states. */
int tier_estimate(const struct tier *tier, uint64_t *ret_n);

#endif
