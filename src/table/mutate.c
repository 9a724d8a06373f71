/* SPDX-License-Identifier: MIT */
#include "table/mutate.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/hot.h"
#include "base/os.h"
#include "memory/count.h"
#include "memory/retire.h"
#include "memory/room.h"
#include "memory/settle.h"
#include "table/insert.h"
#include "table/move.h"
#include "table/read.h"
#include "table/wait.h"

#define AGAIN INT32_MAX /* the slot changed under the operation */
#define NEED_ROOM (INT32_MAX - 1)
#define NEEDED_MAX 64u /* times that room is made before an operation gives up: others took it each time */
#define NEEDED_EASY 1u /* behind so many, sweeps and evacuation too: what left lies scattered */
/* Each round is lost to somebody else's success; in a table that contradicts itself (a key beyond its
 * home's bound) rounds would be lost to nobody for ever. */
#define ROUNDS_MAX (1u << 20)

void mutate_copy_value(const struct mutate_found *f, void *to)
{
    if (!f->below)
        copy_out(f->record.words + f->record.value_at, to, f->value_bytes);
    else if (f->value_bytes > 0)
        memcpy(to, f->value, f->value_bytes);
}

int mutate_verify(const struct segment *s, const struct mutate_found *found)
{
    const struct record *r = &found->record;
    if (found->below || r->checksum_at == 0) /* the store has sums of its own */
        return 0;
    int64_t mtime_ns = r->mtime_at ? (int64_t)payload_load(&r->words[r->mtime_at]) : 0;
    const void *key = (const void *)(uintptr_t)(r->words + r->key_at);
    uint64_t sum = record_checksum(s, key, r->key_bytes, found->value, r->value_bytes, found->type, mtime_ns);
    return sum == payload_load(&r->words[r->checksum_at]) ? 0
                                                          : read_corrupt(found->slot_i, found->w, "names a record whose checksum is wrong");
}

static void found_fill(const struct segment *s, uint64_t slot_i, struct mutate_found *f)
{
    f->slot_i = slot_i;
    f->version = record_version(s, f->place.block, h_generation(f->h));
    f->type = record_type(&f->record);
    f->value = (const void *)(uintptr_t)(f->record.words + f->record.value_at);
    f->value_bytes = f->record.value_bytes;
    f->below = false;
}

/* p NULL: whatever key. */
static int find_in_slot(struct attachment *a, const struct probe *p, uint32_t hazard, uint64_t slot_i,
                        struct mutate_found *f)
{
    const struct segment *s = a->segment;
    for (;;) {
        f->w = load_seq_u64(segment_slot(s, slot_i)); /* [slot-publish] */
        if (!slot_is_in_effect(f->w) || (p != NULL && slot_finger(f->w) != p->finger))
            return SHOAL_MISSING;
        enum pin_outcome pin = insert_pin(a, hazard, slot_i, f->w, &f->place, &f->record, &f->h);
        if (pin == PIN_CORRUPT)
            return SHOAL_ECORRUPT;
        if (pin == PIN_CHANGED)
            continue;
        if (p != NULL && !record_key_equals(&f->record, p))
            return SHOAL_MISSING;
        found_fill(s, slot_i, f);
        return 0;
    }
}

int mutate_find_in(struct attachment *a, uint32_t hazard, uint64_t slot_i, struct mutate_found *ret)
{
    return find_in_slot(a, NULL, hazard, slot_i, ret);
}

static inline int find_in_group(struct attachment *a, const struct probe *p, uint32_t hazard, uint64_t group,
                                struct mutate_found *ret)
{
    const struct group *g = &a->segment->groups[group];
    const uint32_t finger = p->finger;
#pragma GCC unroll 7
    for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
        if (slot_finger(load_seq_u64(&g->slot[i])) != finger) /* [slot-publish] */
            continue;
        int rc = find_in_slot(a, p, hazard, group * GROUP_SLOTS + i, ret);
        if (rc != SHOAL_MISSING)
            return rc;
    }
    return SHOAL_MISSING;
}

int mutate_find(struct attachment *a, const struct probe *p, uint32_t hazard, struct mutate_found *ret)
{
    const struct segment *s = a->segment;
    const uint32_t bound = META_BOUND(load_seq_u64(&s->groups[p->home].meta)); /* [meta] */
    int rc = SHOAL_MISSING;
    for (uint64_t g = p->home; rc == SHOAL_MISSING && g <= p->home + bound && g < s->geo.groups_all_n; g++)
        rc = find_in_group(a, p, hazard, g, ret);
    return rc;
}

/* -- The three ways to change a slot ---------------------------------------------------------------- */

/* Before a record is unlinked it must be PUB: its owner may not have got there yet, or be dead. */
static uint64_t found_publish(struct attachment *a, const struct mutate_found *f)
{
    if (h_state(f->h) == BLOCK_OWNED)
        (void)count_publish(a, f->place.block, f->h);
    return load_acquire_u64(segment_block(a->segment, f->place.block)); /* [block-state] */
}

static int slot_swing(struct attachment *a, const struct mutate_found *f, uint64_t to)
{
    const struct segment *s = a->segment;
    (void)found_publish(a, f);
    uint32_t name = retire_name(a, &f->place); /* [entry-names] dies here: still referenced, the name is dropped */
    if (!cas_u64(segment_slot(s, f->slot_i), f->w, to)) { /* [slot-publish] takes effect */
        retire_unname(a, name);
        return AGAIN;
    }
    /* dies here: PUB and unreferenced, retired by who settles us, or a sweep */
    retire_commit(a, name, &f->place, load_acquire_u64(segment_block(s, f->place.block))); /* [block-state] */
    return 0;
}

static int key_replace(struct attachment *a, const struct probe *p, const struct mutate_found *f,
                       const struct heap_block *b)
{
    const struct segment *s = a->segment;
    enum slot_state to = slot_state(f->w) == SLOT_LIVE ? SLOT_LIVE : SLOT_BELOW; /* T1 */
    record_set_slot(s, b->place.block, (uint32_t)f->slot_i);
    int rc = slot_swing(a, f, slot_pack(to, p->finger, b->place.block, h_generation(b->h)));
    if (rc != 0)
        return rc;
    wait_wake(s, p->hash);
    segment_set_dirty(s, f->slot_i / GROUP_SLOTS); /* dies before: by who settles us, who finds the record OWNED */
    (void)count_publish(a, b->place.block, b->h); /* dies before: OWNED(dead) and LIVE, made PUB by the settler */
    heap_disown(a, b);
    return 0;
}

/* The store may hold the key: the entry stays, and says that it is deleted (T1). */
static int key_bury(struct attachment *a, const struct probe *p, const struct mutate_found *f)
{
    const struct segment *s = a->segment;
    if (!cas_u64(segment_slot(s, f->slot_i), f->w, slot_with(f->w, SLOT_TOMB))) /* [slot-publish] takes effect */
        return AGAIN;
    wait_wake(s, p->hash);
    segment_set_dirty(s, f->slot_i / GROUP_SLOTS); /* dies before: by who settles us, whose hazard it was */
    return 0;
}

static int key_unlink(struct attachment *a, const struct probe *p, const struct mutate_found *f)
{
    int rc = slot_swing(a, f, 0);
    if (rc != 0)
        return rc;
    wait_wake(a->segment, p->hash);
    hazard_clear(a, HAZARD_FOUND);
    insert_lower(a, p->home, f->slot_i / GROUP_SLOTS);
    return 0;
}

static int key_remove(struct attachment *a, const struct probe *p, const struct mutate_found *f)
{
    int rc = slot_state(f->w) == SLOT_BELOW ? key_bury(a, p, f) : key_unlink(a, p, f);
    if (rc == 0)
        bump_relaxed_u64(&a->entry->deletes, 1);
    return rc;
}

bool mutate_evict(struct attachment *a, const struct mutate_found *f, uint64_t home)
{
    if (slot_swing(a, f, 0) != 0)
        return false;
    insert_lower(a, home, f->slot_i / GROUP_SLOTS);
    bump_relaxed_u64(&a->entry->evicted, 1);
    return true;
}

static int table_full(const struct segment *s, const struct probe *p)
{
    return error_set(SHOAL_EFULL,
                     "table full: no free slot in the %u groups from group %llu on; capacity %llu, %llu slots, %llu keys",
                     s->window, (unsigned long long)p->home, (unsigned long long)s->geo.capacity,
                     (unsigned long long)s->slots_n, (unsigned long long)count_sum(s));
}

/* AGAIN where it was given up for another.  SHOAL_EFULL without a text: no slot. */
static int key_insert(struct attachment *a, const struct probe *p, const struct heap_block *b, uint64_t below,
                      bool *ret_block_gone)
{
    int code = 0;
    enum insert_outcome outcome = insert_record(a, p, b, below, &code);
    if (outcome == INSERT_FULL) { /* the dead may hold slots */
        struct settle_count count = { 0 };
        settle_all_dead(a, &count);
        outcome = insert_record(a, p, b, below, &code);
    }
    *ret_block_gone = outcome != INSERT_FULL;
    switch (outcome) {
    case INSERT_DONE:
        return 0;
    case INSERT_ABORTED:
        return AGAIN;
    case INSERT_FULL:
        return segment_has_successor(a->segment) ? AGAIN : SHOAL_EFULL;
    default:
        return code;
    }
}

/* -- The loop ------------------------------------------------------------------------------------------- */

/* What an operation has from one round to the next: the record being made, which may be rewritten until it is placed,
 * and is placed once (R5); and what it read below. */
struct making {
    struct heap_block block;
    uint64_t below, bytes; /* as written */
    bool have, written;
    struct below_value value;
    uint64_t need_bytes; /* with NEED_ROOM: of a record, 0 = a slot */
    uint32_t needed;     /* times that room was made */
    uint64_t activity;   /* of all, when nobody could leave last */
};

/* Field by field: block is not looked at before `have`, and the whole is written in each call. */
static inline void making_begin(struct making *making)
{
    making->have = making->written = false;
    making->needed = 0;
    making->activity = 0;
    making->value.bytes = NULL;
    making->value.room = 0;
}

static void making_drop(struct attachment *a, struct making *making)
{
    if (making->have)
        heap_free_unplaced(a, &making->block);
    making->have = making->written = false;
}

static inline void making_end(struct attachment *a, struct making *making)
{
    if (UNLIKELY(making->have))
        making_drop(a, making);
    if (UNLIKELY(making->value.bytes != NULL))
        free(making->value.bytes);
}

static bool may_make_room(const struct segment *s, const struct making *making)
{
    return s->below != NULL && making->needed < NEEDED_MAX;
}

/* Where entries can leave for the store, that comes before what is costly: sweeps and evacuation. */
static int making_alloc(struct attachment *a, uint64_t bytes, struct making *making)
{
    if (!may_make_room(a->segment, making))
        return room_alloc(a, bytes, OWNED_RECORD, HAZARD_OWN, &making->block);
    making->need_bytes = bytes;
    int rc = room_alloc_at_hand(a, bytes, OWNED_RECORD, HAZARD_OWN, &making->block);
    if (rc == SHOAL_MISSING && making->needed > NEEDED_EASY)
        rc = room_alloc(a, bytes, OWNED_RECORD, HAZARD_OWN, &making->block);
    return rc == SHOAL_MISSING || rc == SHOAL_EFULL ? NEED_ROOM : rc;
}

/* A block that a record of this source fits into. */
static int making_reserve(struct attachment *a, const struct probe *p, const struct record_source *source, struct making *making)
{
    making->bytes = record_bytes(a->segment->geo.features, p->key_bytes, source->value_bytes, source->type != SHOAL_RAW);
    if (making->have && making->block.place.bytes < making->bytes)
        making_drop(a, making);
    if (making->have)
        return 0;
    making->written = false;
    int rc = making_alloc(a, making->bytes, making);
    making->have = rc == 0;
    return rc;
}

static void making_fill(struct attachment *a, const struct probe *p, struct record_source *source, struct making *making)
{
    const struct segment *s = a->segment;
    if ((s->geo.features & FEATURE_MTIME) && !source->moved)
        source->mtime_ns = os_wall_ns();
    record_write(s, making->block.place.block, p, source);
    making->written = true;
    making->below = source->below;
}

static int making_write(struct attachment *a, const struct probe *p, struct record_source *source, bool source_is_new,
                        struct making *making)
{
    if (making->written && !source_is_new && making->below == source->below)
        return 0;
    int rc = making_reserve(a, p, source, making);
    if (rc == 0)
        making_fill(a, p, source, making);
    return rc;
}

/* What the call stores. */
static int making_write_source(struct attachment *a, const struct probe *p, struct mutation *m, struct making *making)
{
    int rc = making_write(a, p, &m->source, m->source_is_new, making);
    if (rc != 0)
        return rc;
    m->source_is_new = false;
    m->ret_version = record_version(a->segment, making->block.place.block, h_generation(making->block.h));
    return 0;
}

/* A call that stores whatever it finds makes its record first, while the lines that it will look at are on their way. */
static int make_ahead(struct attachment *a, const struct probe *p, struct mutation *m, struct making *making)
{
    if (making->written)
        return 0;
    int rc = making_reserve(a, p, &m->source, making);
    if (rc != 0)
        return rc;
    read_expect_key(a->segment, p);
    m->source.below = below_pack(RECORD_PLAIN, 0);
    making_fill(a, p, &m->source, making);
    return 0;
}

static int making_insert(struct attachment *a, const struct probe *p, struct making *making)
{
    bool gone;
    int rc = key_insert(a, p, &making->block, making->below, &gone);
    if (gone)
        making->have = making->written = false;
    if (rc != SHOAL_EFULL)
        return rc;
    if (!may_make_room(a->segment, making))
        return table_full(a->segment, p);
    making->need_bytes = 0;
    return NEED_ROOM;
}

/* No entry in the table: what lies below, and what a record that depends on it says.  f is filled where there is
 * something. */
static int look_below(const struct segment *s, const struct probe *p, const struct mutation *m, struct making *making,
                      struct mutate_found *f, uint64_t *ret_base)
{
    struct below_record record = { .version = 0 };
    *ret_base = 0;
    if (m->blind || s->below == NULL || !segment_is_spilled(s, p->home, p->hash))
        return SHOAL_MISSING;
    int rc = s->below->look(s->below, p, m->wants_value ? &making->value : NULL, &record);
    if (rc != 0)
        return rc;
    *ret_base = record.version;
    static const uint64_t nothing;
    const void *value = making->value.bytes != NULL ? making->value.bytes : &nothing;
    *f = (struct mutate_found){ .version = record_version_below(s, record.version), .value = value,
                                .value_bytes = record.value_bytes, .type = record.type, .below = true };
    return 0;
}

/* The key has an entry. */
static int entry_decided(struct attachment *a, const struct probe *p, enum mutate_verdict verdict, struct mutation *m,
                         const struct mutate_found *entry, struct making *making)
{
    if (verdict == MUTATE_REMOVE)
        return slot_is_live(entry->w) ? key_remove(a, p, entry) : SHOAL_MISSING;
    m->source.below = below_pack(RECORD_PLAIN, 0);
    int rc = making_write_source(a, p, m, making);
    if (rc != 0)
        return rc;
    rc = key_replace(a, p, entry, &making->block);
    if (rc == 0)
        making->have = making->written = false;
    return rc;
}

/* The key has none; base: the version below, 0 where nothing is there, or nobody asked. */
static int absent_decided(struct attachment *a, const struct probe *p, enum mutate_verdict verdict, struct mutation *m,
                          uint64_t base, struct making *making)
{
    int rc;
    if (verdict == MUTATE_REMOVE) {
        struct record_source grave = { .below = below_pack(RECORD_DELETES, base) };
        rc = base != 0 ? making_write(a, p, &grave, false, making) : SHOAL_MISSING;
        return rc != 0 ? rc : making_insert(a, p, making);
    }
    m->source.below = below_pack(m->blind ? RECORD_PLAIN : RECORD_DEPENDS, base);
    rc = making_write_source(a, p, m, making);
    return rc != 0 ? rc : making_insert(a, p, making);
}

static int mutate_once(struct attachment *a, const struct probe *p, mutate_decide *decide, void *arg,
                       struct mutation *m, struct making *making)
{
    const struct segment *s = a->segment;
    struct mutate_found found;
    uint64_t base = 0;
    int rc = m->blind ? make_ahead(a, p, m, making) : 0;
    if (rc != 0)
        return rc;
    rc = mutate_find(a, p, HAZARD_FOUND, &found);
    bool entry = rc == 0, absent = entry && !slot_is_live(found.w);
    if (rc == SHOAL_MISSING && segment_has_successor(s))
        return TABLE_MOVED;
    if (rc == SHOAL_MISSING) {
        rc = look_below(s, p, m, making, &found, &base);
        absent = rc == SHOAL_MISSING;
    }
    if (rc < 0)
        return rc;
    enum mutate_verdict verdict = decide(m, s, absent ? NULL : &found, arg);
    if (verdict == MUTATE_KEEP)
        return m->code;
    rc = entry ? entry_decided(a, p, verdict, m, &found, making)
               : absent_decided(a, p, verdict, m, base, making);
    if (rc != 0 || verdict != MUTATE_STORE)
        return rc;
    bump_relaxed_u64(&a->entry->writes, 1);
    if (s->below != NULL)
        bump_relaxed_u64(&a->entry->written, making->bytes);
    return 0;
}

/* Nothing is pinned meanwhile but the record being made. */
static int make_room(struct attachment *a, const struct probe *p, struct making *making)
{
    const struct below *below = a->segment->below;
    hazard_clear(a, HAZARD_FOUND);
    making->needed++;
    int rc = below->make_room(below, a, p, making->need_bytes, making->needed);
    if (rc != SHOAL_MISSING)
        return rc == 0 ? AGAIN : rc;
    /* Others may have made all leave, and have records under way that will be in the table soon: only where nothing has
     * happened since the last time, the next try is the last, with what is free. */
    const uint64_t activity = settle_activity(a->segment);
    if (activity == making->activity)
        making->needed = NEEDED_MAX;
    making->activity = activity;
    return AGAIN;
}

int mutate_key(struct attachment *a, const struct probe *p, mutate_decide *decide, void *arg, struct mutation *m)
{
    struct making making;
    making_begin(&making);
    read_expect_group(a->segment, p, true);
    settle_now_and_then(a);
    int rc = AGAIN;
    for (uint32_t round = 0; rc == AGAIN; round++) {
        rc = round < ROUNDS_MAX ? mutate_once(a, p, decide, arg, m, &making)
                                : error_set(SHOAL_ECORRUPT, "group %llu: the key can be neither found nor inserted",
                                            (unsigned long long)p->home);
        if (rc == NEED_ROOM)
            rc = make_room(a, p, &making);
    }
    making_end(a, &making);
    hazard_clear(a, HAZARD_FOUND);
    retire_now_and_then(a);
    return rc == SHOAL_EFULL && segment_has_successor(a->segment) ? TABLE_MOVED : rc;
}

/* H says that it is a copy, before it is placed: who meets it in its slot looks at the old table before he commits it. */
static void making_mark_copy(const struct segment *s, struct making *making)
{
    struct heap_block *b = &making->block;
    if ((b->h & H_COPY) != 0)
        return;
    if (cas_u64(segment_block(s, b->place.block), b->h, b->h | H_COPY)) /* [block-own] */
        b->h |= H_COPY;
}

int mutate_bring(struct attachment *a, const struct probe *p, struct record_source *source, bool deleted)
{
    struct making making = { .have = false };
    struct mutate_found found;
    int rc = mutate_find(a, p, HAZARD_FOUND, &found);
    hazard_clear(a, HAZARD_FOUND);
    if (rc != SHOAL_MISSING)
        return rc == 0 ? SHOAL_EXISTS : rc;
    source->below = below_pack(deleted ? RECORD_DELETES : RECORD_PLAIN, 0);
    do {
        rc = making_write(a, p, source, false, &making);
        if (rc == 0) {
            making_mark_copy(a->segment, &making);
            rc = making_insert(a, p, &making);
        }
        if (rc == AGAIN)
            break; /* placed once; the caller looks at the old table again */
        if (rc == NEED_ROOM)
            rc = make_room(a, p, &making);
    } while (rc == AGAIN);
    making_drop(a, &making);
    retire_now_and_then(a);
    return rc == AGAIN ? SHOAL_CHANGED : rc;
}

int mutate_promote(struct attachment *a, const struct probe *p, const void *value, const struct below_record *record)
{
    const struct segment *s = a->segment;
    struct record_source source = { .value = value, .value_bytes = record->value_bytes, .type = record->type,
                                    .mtime_ns = record->mtime_ns,
                                    .below = below_pack(RECORD_PROMOTED, record->version) };
    uint64_t bytes = record_bytes(s->geo.features, p->key_bytes, source.value_bytes, source.type != SHOAL_RAW);
    struct heap_block block;
    bool gone;
    int rc = room_alloc_at_hand(a, bytes, OWNED_RECORD, HAZARD_OWN, &block);
    if (rc != 0)
        return rc == SHOAL_MISSING ? SHOAL_EFULL : rc;
    record_write(s, block.place.block, p, &source);
    rc = key_insert(a, p, &block, source.below, &gone);
    if (!gone)
        heap_free_unplaced(a, &block);
    if (rc == 0)
        bump_relaxed_u64(&a->entry->promoted, 1);
    retire_now_and_then(a);
    return rc == AGAIN ? SHOAL_CHANGED : rc;
}
