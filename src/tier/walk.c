/* SPDX-License-Identifier: MIT
 *
 * A walk over table and store (tier.h).
 *
 * Homes are cut into ranges.  Of each range the table is looked at first, every slot that its homes reach, and then the
 * store, without what the table had, live or deleted.
 *   W1 A key that is there all the time is returned: it was met in a slot; or it was in none when its slots were looked at,
 *      so it was in the store then, and it still is, since only the holder of the lock takes away what was deleted.
 *   W2 It is returned once: whatever was met in the range is kept until the range is over, and a key has one home.
 * Were the store looked at first, a key could leave for it behind the look and be in no slot any more.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "table/move.h"
#include "table/walk.h"
#include "tier/tier.h"

#define RANGE_HOMES 32u
#define MET_LEAST 1024u

/* The keys that were met: hash, length, and bytes in one heap. */
struct met {
    struct { uint64_t hash, at; uint32_t bytes; } *of; /* bytes 0: unused */
    uint32_t n, places_n;                              /* places: a power of two */
    uint8_t *keys;
    uint64_t keys_bytes, keys_room;
};

struct tier_walk {
    struct tier *tier;
    struct store_walk *below;
    uint64_t home, home_end; /* the range */
    uint64_t slot_i, slot_end;
    uint64_t hash_from; /* in the first range behind a move: what lies before was in another one */
    bool in_store, keys_only;
    struct met met;
    uint8_t key[SHOAL_KEY_MAX + 1];
};

/* -- Keys met -------------------------------------------------------------------------------------- */

static int no_memory(void)
{
    errno = ENOMEM;
    return error_os("a walk");
}

static bool met_is(const struct met *m, uint64_t hash, const void *key, uint32_t key_bytes, uint32_t *ret_place)
{
    uint32_t i = (uint32_t)hash & (m->places_n - 1);
    for (; m->of[i].bytes != 0; i = (i + 1) & (m->places_n - 1))
        if (m->of[i].hash == hash && m->of[i].bytes == key_bytes && memcmp(m->keys + m->of[i].at, key, key_bytes) == 0)
            return true;
    *ret_place = i;
    return false;
}

static bool met_has(const struct met *m, uint64_t hash, const void *key, uint32_t key_bytes)
{
    uint32_t place;
    return m->n > 0 && met_is(m, hash, key, key_bytes, &place);
}

static int met_grow(struct met *m)
{
    struct met old = *m;
    m->places_n = old.places_n == 0 ? MET_LEAST : old.places_n * 2;
    m->of = calloc(m->places_n, sizeof *m->of);
    if (m->of == NULL) {
        *m = old;
        return no_memory();
    }
    for (uint32_t i = 0; i < old.places_n; i++) {
        if (old.of[i].bytes == 0)
            continue;
        uint32_t place = (uint32_t)old.of[i].hash & (m->places_n - 1);
        while (m->of[place].bytes != 0)
            place = (place + 1) & (m->places_n - 1);
        m->of[place].hash = old.of[i].hash;
        m->of[place].at = old.of[i].at;
        m->of[place].bytes = old.of[i].bytes;
    }
    free(old.of);
    return 0;
}

/* 0, SHOAL_EXISTS where it was met before, or no memory. */
static int met_add(struct met *m, uint64_t hash, const void *key, uint32_t key_bytes)
{
    uint32_t place;
    if (m->n * 2 >= m->places_n && met_grow(m) != 0)
        return SHOAL_EOS;
    if (met_is(m, hash, key, key_bytes, &place))
        return SHOAL_EXISTS;
    if (m->keys_room - m->keys_bytes < key_bytes) {
        uint64_t room = (m->keys_bytes + key_bytes) * 2;
        uint8_t *keys = realloc(m->keys, room);
        if (keys == NULL)
            return no_memory();
        m->keys = keys;
        m->keys_room = room;
    }
    memcpy(m->keys + m->keys_bytes, key, key_bytes);
    m->of[place].hash = hash;
    m->of[place].at = m->keys_bytes;
    m->of[place].bytes = key_bytes;
    m->keys_bytes += key_bytes;
    m->n++;
    return 0;
}

static void met_forget(struct met *m)
{
    if (m->n > 0)
        memset(m->of, 0, m->places_n * sizeof *m->of);
    m->n = 0;
    m->keys_bytes = 0;
}

/* -- Ranges ------------------------------------------------------------------------------------------ */

/* The slots that the homes of the range reach, as their bounds are now.  A key that comes later was below or absent. */
static void range_set(struct tier_walk *w, uint64_t home, uint64_t home_end)
{
    const struct segment *s = w->tier->segment;
    uint64_t reach = home;
    w->home = home;
    w->home_end = home_end < s->geo.groups_n ? home_end : s->geo.groups_n;
    for (uint64_t h = home; h < w->home_end; h++) {
        uint64_t last = h + META_BOUND(load_acquire_u64(&s->groups[h].meta)); /* [meta] */
        reach = last > reach ? last : reach;
    }
    if (reach >= s->geo.groups_all_n)
        reach = s->geo.groups_all_n - 1;
    w->slot_i = home * GROUP_SLOTS;
    w->slot_end = (reach + 1) * GROUP_SLOTS;
    w->in_store = false;
}

static void range_begin(struct tier_walk *w, uint64_t home)
{
    range_set(w, home, home + RANGE_HOMES);
    met_forget(&w->met);
}

int tier_walk_open(struct tier *tier, struct tier_walk **ret_walk)
{
    struct tier_walk *w = calloc(1, sizeof *w);
    if (w == NULL)
        return no_memory();
    w->tier = tier;
    int rc = store_walk_open(tier->store, 0, &w->below);
    if (rc != 0) {
        free(w);
        return rc;
    }
    range_begin(w, 0);
    *ret_walk = w;
    return 0;
}

/* The range is begun again with all of its hashes, which are the store's, whatever the table; what was met in it stays met. */
int tier_walk_follow(struct tier_walk *w, struct tier *to)
{
    const struct segment *s = w->tier->segment, *t = to->segment;
    struct store_walk *below;
    int rc = store_walk_open(to->store, 0, &below);
    if (rc != 0)
        return rc;
    store_walk_close(w->below);
    w->below = below;
    uint64_t from = hash_least(s, w->home);
    bool to_the_end = w->home_end >= s->geo.groups_n;
    uint64_t end = to_the_end ? t->geo.groups_n : hash_home(hash_least(s, w->home_end), t->geo.groups_n) + 1;
    w->hash_from = from > w->hash_from ? from : w->hash_from;
    w->tier = to;
    range_set(w, hash_home(w->hash_from, t->geo.groups_n), end);
    return 0;
}

void tier_walk_close(struct tier_walk *w)
{
    store_walk_close(w->below);
    free(w->met.of);
    free(w->met.keys);
    free(w);
}

/* -- Table ------------------------------------------------------------------------------------------- */

/* The next entry of the range that was not met yet; SHOAL_END. */
static int next_in_table(struct tier_walk *w, struct attachment *a, struct read_sink *sink)
{
    const struct segment *s = w->tier->segment;
    for (; w->slot_i < w->slot_end; w->slot_i++) {
        int rc = walk_slot(s, a, w->slot_i, sink);
        if (rc == SHOAL_MISSING)
            continue;
        if (rc != 0 && rc != SHOAL_SHORT) {
            w->slot_i += rc != SHOAL_CHANGED;
            return rc;
        }
        uint64_t hash = hash_bytes(sink->key_buf, sink->key_bytes, s->geo.seed), home = hash_home(hash, s->geo.groups_n);
        if (home < w->home || home >= w->home_end || hash < w->hash_from)
            continue;
        bool enough = rc == 0 || w->keys_only || sink->deleted;
        if (!enough && met_has(&w->met, hash, sink->key_buf, sink->key_bytes))
            continue;
        if (!enough)
            return rc;
        rc = met_add(&w->met, hash, sink->key_buf, sink->key_bytes);
        if (rc == SHOAL_EXISTS || (rc == 0 && sink->deleted))
            continue;
        w->slot_i += rc == 0;
        return rc;
    }
    return SHOAL_END;
}

/* -- Store ------------------------------------------------------------------------------------------- */

static int record_to_sink(struct tier_walk *w, const struct store_record *record, struct read_sink *sink)
{
    sink->value_bytes = record->value_bytes;
    sink->version = record_version_below(w->tier->segment, record->version);
    sink->mtime_ns = record->mtime_ns;
    sink->expires_ns = record->expires_ns;
    sink->type = record->type;
    sink->below = true;
    sink->key_bytes = (uint32_t)record->key_bytes;
    if (sink->key_buf != NULL)
        memcpy(sink->key_buf, record->key, record->key_bytes);
    if (record->value_bytes > sink->buf_bytes)
        return SHOAL_SHORT;
    if (record->value == NULL)
        return store_walk_value(w->below, sink->buf, sink->buf_bytes);
    if (record->value_bytes > 0)
        memcpy(sink->buf, record->value, record->value_bytes);
    return 0;
}

static int next_in_store(struct tier_walk *w, struct read_sink *sink)
{
    const struct segment *s = w->tier->segment;
    for (;;) {
        struct store_record record;
        uint64_t hash;
        int rc = store_walk_next(w->below, &hash, &record);
        if (rc != 0)
            return rc;
        if (hash_home(hash, s->geo.groups_n) >= w->home_end)
            return SHOAL_END;
        if (met_has(&w->met, hash, record.key, (uint32_t)record.key_bytes))
            continue;
        rc = record_to_sink(w, &record, sink);
        if (rc == SHOAL_SHORT && w->keys_only)
            rc = 0;
        if (rc == 0)
            rc = met_add(&w->met, hash, record.key, (uint32_t)record.key_bytes);
        else if (rc == SHOAL_SHORT || rc == SHOAL_CHANGED)
            store_walk_seek(w->below, hash); /* again; what has the same hash and was returned is met */
        if (rc == SHOAL_CHANGED)
            continue;
        return rc;
    }
}

int tier_walk_next(struct tier_walk *w, struct attachment *a, struct read_sink *sink)
{
    const struct segment *s = w->tier->segment;
    if (sink->key_buf == NULL)
        sink->key_buf = w->key;
    for (;;) {
        int rc = w->in_store ? next_in_store(w, sink) : next_in_table(w, a, sink);
        if (rc != SHOAL_END)
            return rc;
        if (!w->in_store) {
            uint64_t least = hash_least(s, w->home);
            store_walk_seek(w->below, least > w->hash_from ? least : w->hash_from);
            w->in_store = true;
        } else if (segment_has_successor(s)) {
            return TABLE_MOVED; /* what was sealed in this range was passed over: it is walked again in the new table */
        } else if (w->home_end < s->geo.groups_n) {
            range_begin(w, w->home_end);
        } else {
            return SHOAL_END;
        }
    }
}

int tier_walk_next_key(struct tier_walk *w, struct attachment *a, struct read_sink *sink)
{
    w->keys_only = true;
    sink->buf_bytes = 0;
    return tier_walk_next(w, a, sink);
}

/* -- Estimate ---------------------------------------------------------------------------------------- */

int tier_estimate(const struct tier *tier, uint64_t *ret_n)
{
    const struct segment *s = tier->segment;
    struct store_stat stat;
    uint64_t live = 0, deleted = 0;
    int rc = store_stat(tier->store, &stat);
    if (rc != 0)
        return rc;
    for (uint64_t run = 0; run < s->geo.runs_n; run++) {
        if ((load_acquire_u32(&s->summary[run]) & SUMMARY_USED) == 0) /* [meta] */
            continue;
        uint64_t end = (run + 1) * RUN_GROUPS < s->geo.groups_all_n ? (run + 1) * RUN_GROUPS : s->geo.groups_all_n;
        for (uint64_t i = run * RUN_GROUPS * GROUP_SLOTS; i < end * GROUP_SLOTS; i++) {
            enum slot_state state = slot_state(load_relaxed_u64(segment_slot(s, i))); /* relaxed: a count */
            live += state == SLOT_LIVE;
            deleted += state == SLOT_TOMB;
        }
    }
    *ret_n = stat.records_n + live > deleted ? stat.records_n + live - deleted : 0;
    return 0;
}
