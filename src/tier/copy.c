/* SPDX-License-Identifier: MIT
 *
 * From the table to the store (copy.h).
 *
 * By the holder of the store's lock, for each entry:
 *   1 LIVE -> BELOW                       dies here: the store may hold the key, and does not
 *   2 the spill bit, for BELOW            dies here: likewise
 *   3 into the transaction                dies here: given up with the lock
 *   4 publish, for all of them            dies here: copied, and not marked: copied again by the next
 *   5 the record's mark, if the slot still means it
 * Were 1 left out, a delete could free the slot while the record goes down, and the key come back.  Were 2 behind 4, who
 * finds no entry could overlook what is below.  Were 5 before 4, the entry could leave with nothing below.
 */
#include "tier/copy.h"

#include "base/error.h"

void copies_add(const struct segment *s, struct copies *c, const struct mutate_found *f)
{
    c->of[c->n++] = (struct copy){ f->slot_i, f->w, h_generation(f->h), read_hash(s, &f->record) };
    c->bytes += f->value_bytes + f->record.key_bytes;
}

bool copy_is_clean(const struct mutate_found *f)
{
    return slot_state(f->w) != SLOT_LIVE && (record_below(&f->record) & below_clean_mark(f->w)) != 0;
}

/* The slot still means the record that was chosen, in any state; pinned. */
static bool is_same_record(struct attachment *a, const struct copy *c, struct mutate_found *ret)
{
    return mutate_find_in(a, HAZARD_SPARE, c->slot_i, ret) == 0 && slot_names(ret->w, slot_block(c->w), c->generation) &&
           h_generation(ret->h) == c->generation;
}

/* T2: what the slot means, in the transaction. */
static int copy_found(struct tier *tier, const struct mutate_found *f, uint64_t hash)
{
    const struct segment *s = tier->segment;
    int rc = mutate_verify(s, f);
    if (rc != 0)
        return rc;
    const void *key = (const void *)(uintptr_t)(f->record.words + f->record.key_at);
    if (slot_state(f->w) == SLOT_TOMB)
        return store_erase(tier->store, key, f->record.key_bytes);
    segment_set_spilled(s, hash_home(hash, s->geo.groups_n), hash);
    struct store_record record = { .key = key, .key_bytes = f->record.key_bytes, .value = f->value,
                                   .value_bytes = f->value_bytes, .type = f->type,
                                   .mtime_ns = f->record.mtime_at ? (int64_t)payload_load(&f->record.words[f->record.mtime_at]) : 0 };
    return store_put(tier->store, &record, NULL);
}

/* T1, T2.  c->w becomes what was copied, 0: nothing, so that nothing is marked: a record that contradicts its checksum
 * keeps no other from being published. */
static int copy_one(struct tier *tier, struct attachment *a, struct copy *c)
{
    const struct segment *s = tier->segment;
    struct mutate_found f;
    bool same = is_same_record(a, c, &f);
    while (same && slot_state(f.w) == SLOT_LIVE) {
        (void)cas_u64(segment_slot(s, c->slot_i), f.w, slot_with(f.w, SLOT_BELOW)); /* [slot-publish] T1 */
        same = is_same_record(a, c, &f);
    }
    c->w = same ? f.w : 0;
    if (!same || copy_is_clean(&f))
        return 0;
    int rc = copy_found(tier, &f, c->hash);
    if (rc != 0)
        c->w = 0;
    return rc;
}

/* Behind the publish.  The record may have been replaced meanwhile: then the mark is nobody's. */
static void copy_mark(struct attachment *a, const struct copy *c)
{
    struct mutate_found f;
    if (c->w == 0 || !is_same_record(a, c, &f) || f.w != c->w || copy_is_clean(&f))
        return;
    shared_u64 *word = (shared_u64 *)(uintptr_t)&f.record.words[f.record.below_at];
    (void)fetch_or_u64(word, below_clean_mark(f.w)); /* [clean] */
    bump_relaxed_u64(&a->entry->copied, 1);
}

#define FAR 6u /* entries ahead */

/* Between two passes over the entries the store's pages have driven the records out of the caches nearby. */
void copies_expect(const struct segment *s, const struct copies *c, uint32_t i)
{
    if (i + FAR < c->n && c->of[i + FAR].w != 0)
        segment_expect_bytes(s, slot_block(c->of[i + FAR].w), RECORD_HEADER + EXPECTED_BELOW_BYTES, true);
}

static void copies_mark(const struct segment *s, struct attachment *a, const struct copies *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        copies_expect(s, c, i);
        copy_mark(a, &c->of[i]);
    }
}

int copy_down(struct tier *tier, struct attachment *a, struct copies *copies, int end(struct store *store))
{
    int first = 0, rc = 0;
    for (uint32_t i = 0; i < copies->n && rc == 0; i++) {
        copies_expect(tier->segment, copies, i);
        rc = copy_one(tier, a, &copies->of[i]);
        if (rc == SHOAL_ECORRUPT) { /* this record alone, or the store: then the publish fails too */
            first = first != 0 ? first : rc;
            rc = 0;
        }
    }
    if (rc == 0)
        rc = end(tier->store);
    if (rc == 0)
        copies_mark(tier->segment, a, copies);
    hazard_clear(a, HAZARD_SPARE);
    return rc != 0 ? rc : first;
}
