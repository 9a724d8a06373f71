/* SPDX-License-Identifier: MIT
 *
 * Victims by approximate recency (room.h).
 *
 * A clock: each use of a slot sets its mark to RECENCY_MAX, each passing of the hand takes one off, and who is met without
 * a mark is a victim.  The hand goes over the key's window where slots are short, and over the whole table, shared by all,
 * where the heap is.  Victims that are in the store leave at once.  Of the others a batch is copied down, and as many
 * leave as are needed: the rest stays as a reserve that leaves without the store's lock.
 *
 * What leaves for a record need not be of its size class.  So the first round takes any victims, the second those of its
 * class alone, and each later one, behind which spans are evacuated, twice as many spans of any.
 */
#include "tier/room.h"

#include <stdlib.h>

#include "base/error.h"
#include "tier/copy.h"

#define HAND_GROUPS 16u       /* the hand moves by so many */
#define LAPS (RECENCY_MAX + 1u) /* behind so many nobody has a mark, but who was used meanwhile */
#define WANT_BYTES_LEAST 16384u
#define ROUND_CLASS 2u        /* asks for the record's class */
#define FREE_SHARE 4u
#define FREE_SPANS 16u /* fewer may all be held by somebody, so that nothing can be swept out of them */
#define WANT_BLOCKS 8u        /* of the record's class */
#define SPANS_LOG2_MAX 6u
#define ANY_CLASS UINT32_MAX
#define WANT_SLOTS 4u
#define BEHIND_GROUPS 256u /* a batch, where most have no mark and are not in the store */
#define EXPECT_GROUPS 2u     /* so far ahead */
#define CLEAN_GROUPS 64u   /* that are looked at for a record that comes up: its reader waits for no more */

struct hunt {
    struct tier *tier;
    struct attachment *a;
    uint64_t want_bytes, got_bytes;
    uint32_t want_slots, got_slots;
    uint32_t class_i;      /* of victims, or ANY_CLASS */
    uint32_t round, lap;
    bool is_room;          /* nobody needs to leave */
    bool spills;           /* else whatever is clean may leave, used lately or not */
    struct copies *copies; /* NULL: only what is clean */
};

static bool hunt_is_over(const struct hunt *h)
{
    return h->got_bytes >= h->want_bytes && h->got_slots >= h->want_slots;
}

static void evict(struct hunt *h, const struct mutate_found *f)
{
    const struct segment *s = h->tier->segment;
    uint64_t home = hash_home(read_hash(s, &f->record), s->geo.groups_n);
    if (mutate_evict(h->a, f, home)) {
        h->got_bytes += f->place.bytes;
        h->got_slots++;
    }
}

/* A pass of the hand. */
static bool has_mark(const struct hunt *h, uint64_t slot_i)
{
    shared_u8 *mark = &h->tier->segment->recency[slot_i];
    if (!h->spills)
        return false;
    uint8_t left = load_relaxed_u8(mark); /* relaxed: a hint */
    if (left == 0)
        return false;
    store_relaxed_u8(mark, (uint8_t)(left - 1));
    return true;
}

/* The entry there, if it is to be looked at now; pinned. */
static bool hunt_find(const struct hunt *h, uint64_t slot_i, struct mutate_found *ret)
{
    return slot_is_in_effect(load_acquire_u64(segment_slot(h->tier->segment, slot_i))) && /* [slot-publish] */
           !has_mark(h, slot_i) && mutate_find_in(h->a, HAZARD_SPARE, slot_i, ret) == 0;
}

/* Met in an earlier lap? */
static bool is_chosen(const struct hunt *h, uint64_t slot_i)
{
    for (uint32_t i = 0; h->lap > 0 && i < h->copies->n; i++)
        if (h->copies->of[i].slot_i == slot_i)
            return true;
    return false;
}

static void choose(struct hunt *h, const struct mutate_found *f)
{
    if (h->copies != NULL && !copies_are_full(h->copies) && !is_chosen(h, f->slot_i))
        copies_add(h->tier->segment, h->copies, f);
}

static void hunt_slot(struct hunt *h, uint64_t slot_i)
{
    struct mutate_found f;
    if (!hunt_find(h, slot_i, &f) || (h->class_i != ANY_CLASS && f.place.class_i != h->class_i))
        return;
    if (copy_is_clean(&f))
        evict(h, &f);
    else
        choose(h, &f);
}

/* What a visit of that group will read of its records is asked for: they lie in as many places. */
static void hunt_expect(const struct hunt *h, uint64_t group)
{
    const struct segment *s = h->tier->segment;
    for (uint32_t i = 0; group < s->geo.groups_all_n && i < GROUP_SLOTS; i++) {
        uint64_t w = load_relaxed_u64(&s->groups[group].slot[i]); /* relaxed: a hint, like the mark */
        if (w != 0 && (!h->spills || load_relaxed_u8(&s->recency[group * GROUP_SLOTS + i]) == 0))
            segment_expect_bytes(s, slot_block(w), RECORD_HEADER + EXPECTED_BELOW_BYTES, false);
    }
}

/* False: enough, or enough to copy. */
static bool hunt_group(struct hunt *h, uint64_t group)
{
    hunt_expect(h, group + EXPECT_GROUPS);
    for (uint32_t i = 0; i < GROUP_SLOTS; i++)
        hunt_slot(h, group * GROUP_SLOTS + i);
    return !hunt_is_over(h) && (h->copies == NULL || !copies_are_full(h->copies));
}

static uint32_t laps_of(const struct hunt *h) { return h->copies != NULL ? LAPS : 1; }

/* Where that is not enough, those behind the window are copied too: neighbours lie together in the store, and will need
 * room as well. */
static void hunt_window(struct hunt *h, const struct probe *p)
{
    const struct segment *s = h->tier->segment;
    uint64_t end = p->home + s->window;
    struct mutate_found f;
    for (h->lap = 0; h->lap < laps_of(h); h->lap++)
        for (uint64_t g = p->home; g < end && g < s->geo.groups_all_n; g++)
            if (!hunt_group(h, g))
                return;
    h->lap = 0;
    for (uint64_t g = end; h->copies != NULL && g < end + BEHIND_GROUPS && g < s->geo.groups_all_n; g++) {
        hunt_expect(h, g + EXPECT_GROUPS);
        for (uint32_t i = 0; i < GROUP_SLOTS; i++)
            if (hunt_find(h, g * GROUP_SLOTS + i, &f) && !copy_is_clean(&f))
                choose(h, &f);
    }
}

/* Most of the heap is free where this class of records cannot have it: in spans of others, until they are swept together,
 * which the table does when this call has answered. */
static bool heap_is_free(const struct hunt *h)
{
    struct heap_room room;
    heap_room(h->tier->segment, &room);
    const struct geometry *geo = &h->tier->segment->geo;
    return h->round <= ROUND_CLASS && room.free_bytes > geo->heap_bytes / FREE_SHARE &&
           room.free_bytes > FREE_SPANS * geo->span_bytes;
}

static void hunt_table(struct hunt *h)
{
    const struct segment *s = h->tier->segment;
    uint64_t steps = (s->geo.groups_all_n + HAND_GROUPS - 1) / HAND_GROUPS;
    for (uint64_t step = 0; step < steps * laps_of(h); step++) {
        h->lap = (uint32_t)(step / steps);
        if (step == steps && (h->is_room = heap_is_free(h)))
            return; /* all of the table had not enough */
        uint64_t from = fetch_add_relaxed_u64(&s->header->clock, 1) % steps * HAND_GROUPS;
        for (uint64_t g = from; g < from + HAND_GROUPS && g < s->geo.groups_all_n; g++)
            if (!hunt_group(h, g))
                return;
    }
}

/* Those that were copied, as far as they are needed. */
static void evict_copied(struct hunt *h)
{
    for (uint32_t i = 0; i < h->copies->n && !hunt_is_over(h); i++) {
        const struct copy *c = &h->copies->of[i];
        struct mutate_found f;
        copies_expect(h->tier->segment, h->copies, i);
        if (c->w != 0 && mutate_find_in(h->a, HAZARD_SPARE, c->slot_i, &f) == 0 && f.w == c->w && copy_is_clean(&f))
            evict(h, &f);
    }
}

/* A full disk may still have room within the store's file, which the second try is content with. */
static int copy_locked(struct hunt *h)
{
    int rc = copy_down(h->tier, h->a, h->copies, store_publish);
    if (rc != SHOAL_EFULL)
        return rc;
    store_abort(h->tier->store);
    return copy_down(h->tier, h->a, h->copies, store_publish);
}

static int copy_and_evict(struct hunt *h)
{
    int rc = store_lock(h->tier->store, COPY_LOCK_MS);
    if (rc != 0)
        return rc;
    rc = copy_locked(h);
    store_unlock(h->tier->store);
    evict_copied(h); /* also where one of them could not be copied */
    return rc;
}

static struct hunt hunt_begin(struct tier *tier, struct attachment *a, uint64_t bytes, uint32_t round)
{
    const struct segment *s = tier->segment;
    struct hunt h = { .tier = tier, .a = a, .round = round, .class_i = ANY_CLASS,
                      .spills = (s->geo.features & FEATURE_SPILL) != 0 };
    uint64_t most = s->geo.heap_bytes / 64, want = bytes + bytes / 4;
    if (bytes == 0) {
        h.want_slots = WANT_SLOTS;
    } else if (round == ROUND_CLASS && classes_find(&s->classes, bytes) < s->classes.n) {
        h.class_i = classes_find(&s->classes, bytes);
        h.want_bytes = WANT_BLOCKS * bytes;
    } else {
        uint32_t spans_log2 = round < 2 ? 0 : round - 2 < SPANS_LOG2_MAX ? round - 2 : SPANS_LOG2_MAX;
        uint64_t least = WANT_BYTES_LEAST < most ? WANT_BYTES_LEAST : most;
        if (round > 2)
            least = s->geo.span_bytes << spans_log2;
        h.want_bytes = want > least ? want : least;
    }
    return h;
}

static void hunt(struct hunt *h, const struct probe *p)
{
    if (h->want_slots > 0)
        hunt_window(h, p);
    else
        hunt_table(h);
}

int tier_make_room_of_clean(struct tier *tier, struct attachment *a, const struct probe *p, uint64_t bytes)
{
    struct hunt h = hunt_begin(tier, a, bytes, 1);
    for (uint64_t g = p->home; g < p->home + CLEAN_GROUPS && g < tier->segment->geo.groups_all_n; g++)
        if (!hunt_group(&h, g))
            break;
    hazard_clear(a, HAZARD_SPARE);
    return h.got_slots > 0 ? 0 : SHOAL_EFULL;
}

/* Where nothing spills only what is in the store already may leave: then nobody writes to it but who syncs. */
static int copies_make(struct hunt *h)
{
    if (!h->spills)
        return 0;
    h->copies = malloc(sizeof *h->copies);
    if (h->copies == NULL)
        return error_os("room for records");
    h->copies->n = 0;
    h->copies->bytes = 0;
    return 0;
}

int tier_make_room(const struct below *below, struct attachment *a, const struct probe *p, uint64_t bytes,
                   uint32_t round)
{
    struct tier *tier = (struct tier *)(uintptr_t)below;
    struct hunt h = hunt_begin(tier, a, bytes, round);
    int rc = copies_make(&h);
    if (rc != 0)
        return rc;
    hunt(&h, p);
    bool any = h.copies != NULL && h.copies->n > 0;
    if (!hunt_is_over(&h) && any && !h.is_room)
        rc = copy_and_evict(&h);
    hazard_clear(a, HAZARD_SPARE);
    free(h.copies);
    if (h.is_room || h.got_slots > 0 || (h.class_i != ANY_CLASS && rc == 0))
        return 0;
    return rc != 0 || any ? rc : SHOAL_MISSING;
}
