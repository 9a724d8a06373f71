/* SPDX-License-Identifier: MIT */
#include "table/mutate.h"

#include "base/error.h"
#include "base/os.h"
#include "memory/count.h"
#include "memory/retire.h"
#include "memory/room.h"
#include "memory/settle.h"
#include "table/insert.h"
#include "table/read.h"
#include "table/wait.h"

#define OWNED_RECORD 0u
#define AGAIN INT32_MAX /* the slot changed under the operation */
/* Each round is lost to somebody else's success; in a table that contradicts itself (a key beyond its
 * home's bound) rounds would be lost to nobody for ever. */
#define ROUNDS_MAX (1u << 20)

const void *mutate_value(const struct mutate_found *found)
{
    return (const void *)(uintptr_t)(found->record.words + found->record.value_at);
}

int mutate_verify(const struct segment *s, const struct mutate_found *found)
{
    const struct record *r = &found->record;
    if (r->checksum_at == 0)
        return 0;
    int64_t mtime_ns = r->mtime_at ? (int64_t)payload_load(&r->words[r->mtime_at]) : 0;
    const void *key = (const void *)(uintptr_t)(r->words + r->key_at);
    uint64_t sum = record_checksum(s, key, r->key_bytes, mutate_value(found), r->value_bytes, found->type, mtime_ns);
    return sum == payload_load(&r->words[r->checksum_at]) ? 0
                                                          : read_corrupt(found->slot_i, found->w, "names a record whose checksum is wrong");
}

static int find_in_slot(struct attachment *a, const struct probe *p, uint32_t hazard, uint64_t slot_i,
                        struct mutate_found *f)
{
    const struct segment *s = a->segment;
    for (;;) {
        f->w = load_seq_u64(segment_slot(s, slot_i)); /* [slot-publish] */
        if (slot_finger(f->w) != p->finger || !slot_is_live(f->w))
            return SHOAL_MISSING;
        enum pin_outcome pin = insert_pin(a, hazard, slot_i, f->w, &f->place, &f->record, &f->h);
        if (pin == PIN_CORRUPT)
            return SHOAL_ECORRUPT;
        if (pin == PIN_CHANGED)
            continue;
        if (!record_key_equals(&f->record, p))
            return SHOAL_MISSING;
        f->slot_i = slot_i;
        f->version = record_version(s, f->place.block, h_generation(f->h));
        f->type = record_type(&f->record);
        return 0;
    }
}

int mutate_find(struct attachment *a, const struct probe *p, uint32_t hazard, struct mutate_found *ret)
{
    const struct segment *s = a->segment;
    uint32_t bound = META_BOUND(load_seq_u64(&s->groups[p->home].meta)); /* [meta] */
    for (uint64_t g = p->home; g <= p->home + bound && g < s->geo.groups_all_n; g++)
        for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
            int rc = find_in_slot(a, p, hazard, g * GROUP_SLOTS + i, ret);
            if (rc != SHOAL_MISSING)
                return rc;
        }
    return SHOAL_MISSING;
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
    record_set_slot(s, b->place.block, (uint32_t)f->slot_i);
    int rc = slot_swing(a, f, slot_pack(SLOT_LIVE, p->finger, b->place.block, h_generation(b->h)));
    if (rc != 0)
        return rc;
    wait_wake(s, p->hash);
    (void)count_publish(a, b->place.block, b->h); /* dies before: OWNED(dead) and LIVE, made PUB by the settler */
    heap_disown(a, b);
    return 0;
}

static int key_remove(struct attachment *a, const struct probe *p, const struct mutate_found *f)
{
    int rc = slot_swing(a, f, 0);
    if (rc != 0)
        return rc;
    wait_wake(a->segment, p->hash);
    hazard_clear(a, HAZARD_FOUND);
    insert_lower(a, p->home, f->slot_i / GROUP_SLOTS);
    bump_relaxed_u64(&a->entry->deletes, 1);
    return 0;
}

static int table_full(const struct segment *s, const struct probe *p)
{
    return error_set(SHOAL_EFULL,
                     "table full: no free slot in the %u groups from group %llu on; capacity %llu, %llu slots, %llu keys",
                     WINDOW_GROUPS, (unsigned long long)p->home, (unsigned long long)s->geo.capacity,
                     (unsigned long long)s->slots_n, (unsigned long long)count_sum(s));
}

static int key_insert(struct attachment *a, const struct probe *p, const struct heap_block *b, bool *ret_block_gone)
{
    enum insert_outcome outcome = insert_record(a, p, b);
    if (outcome == INSERT_FULL) { /* the dead may hold slots */
        struct settle_count count = { 0 };
        settle_all_dead(a, &count);
        outcome = insert_record(a, p, b);
    }
    *ret_block_gone = outcome != INSERT_FULL;
    switch (outcome) {
    case INSERT_DONE:
        return 0;
    case INSERT_ABORTED:
        return AGAIN;
    case INSERT_FULL:
        return table_full(a->segment, p);
    default:
        return SHOAL_ECORRUPT;
    }
}

/* -- The loop ------------------------------------------------------------------------------------------- */

/* The record being made.  It may be rewritten until it is placed, and is placed once (R5). */
struct making {
    struct heap_block block;
    bool have, written;
};

static void making_drop(struct attachment *a, struct making *making)
{
    if (making->have)
        heap_free_unplaced(a, &making->block);
    making->have = making->written = false;
}

static int making_write(struct attachment *a, const struct probe *p, struct mutation *m, struct making *making)
{
    const struct segment *s = a->segment;
    uint64_t bytes = record_bytes(s->geo.features, p->key_bytes, m->source.value_bytes, m->source.type != SHOAL_RAW);
    if (making->have && making->block.place.bytes < bytes)
        making_drop(a, making);
    if (!making->have) {
        int rc = room_alloc(a, bytes, OWNED_RECORD, HAZARD_OWN, &making->block);
        if (rc != 0)
            return rc;
        making->have = true;
        making->written = false;
    }
    if (!making->written || m->source_is_new) {
        if (s->geo.features & FEATURE_MTIME)
            m->source.mtime_ns = os_wall_ns();
        record_write(s, making->block.place.block, p, &m->source);
        making->written = true;
        m->source_is_new = false;
    }
    return 0;
}

static int mutate_once(struct attachment *a, const struct probe *p, mutate_decide *decide, void *arg,
                       struct mutation *m, struct making *making)
{
    const struct segment *s = a->segment;
    struct mutate_found found;
    int rc = mutate_find(a, p, HAZARD_FOUND, &found);
    if (rc < 0)
        return rc;
    const struct mutate_found *f = rc == 0 ? &found : NULL;
    switch (decide(m, s, f, arg)) {
    case MUTATE_KEEP:
        return m->code;
    case MUTATE_REMOVE:
        return f ? key_remove(a, p, f) : SHOAL_MISSING;
    default:
        break;
    }
    rc = making_write(a, p, m, making);
    if (rc != 0)
        return rc;
    m->ret_version = record_version(s, making->block.place.block, h_generation(making->block.h));
    if (f) {
        rc = key_replace(a, p, f, &making->block);
        if (rc == 0)
            making->have = false;
    } else {
        bool gone;
        rc = key_insert(a, p, &making->block, &gone);
        if (gone)
            making->have = making->written = false;
    }
    if (rc == 0)
        bump_relaxed_u64(&a->entry->writes, 1);
    return rc;
}

int mutate_key(struct attachment *a, const struct probe *p, mutate_decide *decide, void *arg, struct mutation *m)
{
    struct making making = { .have = false };
    settle_now_and_then(a);
    int rc = AGAIN;
    for (uint32_t round = 0; rc == AGAIN; round++)
        rc = round < ROUNDS_MAX ? mutate_once(a, p, decide, arg, m, &making)
                                : error_set(SHOAL_ECORRUPT, "group %llu: the key can be neither found nor inserted",
                                            (unsigned long long)p->home);
    making_drop(a, &making);
    hazard_clear(a, HAZARD_FOUND);
    retire_now_and_then(a);
    return rc;
}
