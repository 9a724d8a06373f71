/* SPDX-License-Identifier: MIT */
#include "memory/room.h"

#include "base/error.h"
#include "memory/evacuate.h"
#include "memory/settle.h"

#define EVACUATE_ROUNDS 64u /* others may take what an evacuation freed; after so many the heap is full enough */

#define HARD_ROUNDS 2u  /* others were at work, perhaps on the spans that this search wanted */
#define BUSY_ROUNDS 32u /* and so long as they are, and leave this share of the heap free: */
#define BUSY_SHARE 8u

struct want {
    uint64_t bytes;
    uint32_t class_i, run, owned_i, hazard;
};

static int want_try(struct attachment *a, const struct want *w, struct heap_block *ret)
{
    return w->class_i == a->segment->classes.n
               ? heap_alloc_big(a, w->run, w->owned_i, w->hazard, ret)
               : heap_alloc_at_hand(a, w->class_i, true, w->owned_i, w->hazard, ret);
}

/* Only blocks that are free already: a larger class is the last resort, not a reason to claim spans. */
static int want_larger(struct attachment *a, const struct want *w, struct heap_block *ret)
{
    for (uint32_t c = w->class_i + 1; c < a->segment->classes.n; c++)
        if (heap_class_is_hinted(a->segment, c)) {
            int rc = heap_alloc_at_hand(a, c, false, w->owned_i, w->hazard, ret);
            if (rc != SHOAL_MISSING)
                return rc;
        }
    return SHOAL_MISSING;
}

static int want_by_evacuation(struct attachment *a, const struct want *w, struct heap_block *ret)
{
    for (uint32_t i = 0; i < EVACUATE_ROUNDS && evacuate_for(a, w->class_i, w->run); i++) {
        int rc = want_try(a, w, ret);
        if (rc != SHOAL_MISSING)
            return rc;
    }
    return SHOAL_MISSING;
}

/* A row of spans of its own, where that is shorter than the run of the record's class. */
static int want_alone(struct attachment *a, const struct want *w, struct heap_block *ret)
{
    struct want alone = *w;
    alone.class_i = a->segment->classes.n;
    alone.run = (uint32_t)((w->bytes + a->segment->geo.span_bytes - 1) >> a->segment->span_shift);
    if (w->class_i == alone.class_i || alone.run >= w->run)
        return SHOAL_MISSING;
    int rc = want_try(a, &alone, ret);
    return rc != SHOAL_MISSING ? rc : want_by_evacuation(a, &alone, ret);
}

static int want_hard(struct attachment *a, const struct want *w, struct heap_block *ret)
{
    retire_reclaim(a);
    int rc = want_try(a, w, ret);
    if (rc != SHOAL_MISSING)
        return rc;
    struct settle_count count = { 0 };
    settle_all_dead(a, &count);
    settle_sweep(a, &count);
    rc = want_try(a, w, ret);
    if (rc != SHOAL_MISSING)
        return rc;
    rc = want_by_evacuation(a, w, ret);
    if (rc == SHOAL_MISSING)
        rc = want_alone(a, w, ret);
    return rc != SHOAL_MISSING ? rc : want_larger(a, w, ret);
}

static int room_full(const struct attachment *a, uint64_t bytes)
{
    struct heap_room room;
    heap_room(a->segment, &room);
    return error_set(SHOAL_EFULL, "heap full%s: a record of %llu bytes asked, %llu of %llu bytes free, the largest that fits is %llu",
                     a->no_space ? ", the file system has no room for more of it" : "", (unsigned long long)bytes,
                     (unsigned long long)room.free_bytes, (unsigned long long)a->segment->geo.heap_bytes,
                     (unsigned long long)room.largest);
}

/* Has nothing happened since a search for no more bytes failed? */
static bool full_is_known(struct attachment *a, uint64_t bytes)
{
    if (bytes < a->full_bytes || a->full_sum != settle_activity(a->segment))
        return false;
    uint32_t used = segment_entries_used(a->segment);
    for (uint32_t i = 0; i < used; i++)
        if (load_seq_u32(&a->segment->entries[i].attached) != ENTRY_UNUSED && /* [attached] */
            attach_is_dead(a->segment, i))
            return false;
    return true;
}

static uint64_t own_activity(const struct attachment *a)
{
    const struct entry *e = a->entry;
    return load_relaxed_u64(&e->freed) + load_relaxed_u64(&e->reaped); /* relaxed: own words */
}

/* Does anybody hold what could become free without a trace in the activity: a pin, a guard, a block under
 * way, a block retired and still pinned? */
static bool anything_is_held(struct attachment *a)
{
    const struct segment *s = a->segment;
    if (a->retired_n > 0 || atomic_load_explicit(&a->views, memory_order_relaxed) != 0)
        return true;
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++) {
        const struct entry *e = &s->entries[i];
        if (i == a->index || load_seq_u32(&e->attached) == ENTRY_UNUSED) /* [attached] */
            continue;
        for (uint32_t j = 0; j < HAZARDS_N; j++)
            if (load_seq_u64(&e->hazard[j]) != 0) /* [hazard] */
                return true;
        for (uint32_t j = 0; j < OWNED_N; j++)
            if (load_seq_u64(&e->owned[j]) != 0) /* [entry-names] */
                return true;
    }
    return false;
}

static int want_make(const struct segment *s, uint64_t bytes, uint32_t owned_i, uint32_t hazard, struct want *ret)
{
    if (bytes > s->geo.heap_bytes)
        return error_set(SHOAL_ETOOBIG, "record of %llu bytes, the whole heap has %llu", (unsigned long long)bytes,
                         (unsigned long long)s->geo.heap_bytes);
    *ret = (struct want){ bytes, classes_find(&s->classes, bytes), 0, owned_i, hazard };
    ret->run = ret->class_i == s->classes.n ? (uint32_t)((bytes + s->geo.span_bytes - 1) >> s->span_shift)
                                            : s->classes.of[ret->class_i].run;
    return 0;
}

int room_alloc_at_hand(struct attachment *a, uint64_t bytes, uint32_t owned_i, uint32_t hazard, struct heap_block *ret)
{
    struct want w = { 0 };
    int rc = want_make(a->segment, bytes, owned_i, hazard, &w);
    if (rc == 0)
        rc = want_try(a, &w, ret);
    if (rc != SHOAL_MISSING)
        return rc;
    retire_reclaim(a);
    return want_try(a, &w, ret);
}

/* Others are at work; is it worth a search more? */
static bool is_worth_more(const struct segment *s, uint32_t rounds)
{
    struct heap_room room;
    if (rounds < HARD_ROUNDS)
        return true;
    heap_room(s, &room);
    return rounds < BUSY_ROUNDS && room.free_bytes >= s->geo.heap_bytes / BUSY_SHARE;
}

int room_alloc(struct attachment *a, uint64_t bytes, uint32_t owned_i, uint32_t hazard, struct heap_block *ret)
{
    const struct segment *s = a->segment;
    struct want w = { 0 };
    int rc = want_make(s, bytes, owned_i, hazard, &w);
    if (rc == 0)
        rc = want_try(a, &w, ret);
    if (rc != SHOAL_MISSING)
        return rc;
    if (full_is_known(a, bytes))
        return room_full(a, bytes);
    a->full_bytes = UINT64_MAX;
    for (uint32_t i = 0; is_worth_more(s, i); i++) {
        uint64_t before = settle_activity(s), mine = own_activity(a);
        bool held = anything_is_held(a);
        rc = want_hard(a, &w, ret);
        if (rc != SHOAL_MISSING)
            return rc;
        uint64_t after = settle_activity(s);
        if (after - before != own_activity(a) - mine)
            continue;
        /* Nobody else was at work: true until somebody is. */
        if (!held && !anything_is_held(a)) { /* the file system was and will be asked before */
            a->full_sum = after;
            a->full_bytes = bytes;
        }
        break;
    }
    return room_full(a, bytes);
}
