/* SPDX-License-Identifier: MIT
 *
 * Stores bound to segments, and what is read below the table (tier.h).
 */
#include "tier/tier.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/grow.h"
#include "table/mutate.h"
#include "tier/room.h"

#define SETTLE_LOCK_MS 2000

/* -- Open ------------------------------------------------------------------------------------------ */

static int path_absolute(const char *directory, char *ret_path)
{
    char *path = realpath(directory, NULL);
    if (path == NULL)
        return error_os("options.store: %s", directory);
    size_t n = strlen(path);
    int rc = n < STORE_PATH_BYTES ? 0
                                  : error_set(SHOAL_EINVAL, "options.store: a path of %zu bytes; at most %u", n,
                                              STORE_PATH_BYTES - 1);
    if (rc == 0)
        memcpy(ret_path, path, n + 1);
    free(path);
    return rc;
}

/* Who takes the lock first finds what a holder left who died before it was everybody's.  Were that to happen later, values
 * would change that a new map has shown, and keys would come that it was made without.  Who cannot have the lock is told
 * why when he binds. */
static void settle_store(struct store *store)
{
    if (store_lock(store, SETTLE_LOCK_MS) == 0)
        store_unlock(store);
}

int tier_prepare(const char *directory, struct tier_origin *ret_origin)
{
    struct store *store;
    struct store_stat stat;
    if (directory[0] == 0)
        return error_set(SHOAL_EINVAL, "options.store: an empty path");
    int rc = store_open(directory, STORE_CREATE, &store);
    if (rc != 0)
        return rc;
    memset(ret_origin, 0, sizeof *ret_origin);
    settle_store(store);
    rc = store_stat(store, &stat);
    if (rc == 0)
        rc = path_absolute(directory, ret_origin->path);
    if (rc == 0) {
        memcpy(ret_origin->id, stat.id, sizeof stat.id);
        memcpy(ret_origin->boot, stat.boot, sizeof stat.boot);
        ret_origin->seed = stat.seed;
        ret_origin->holds = stat.records_n > 0;
    }
    store_close(store);
    return rc;
}

/* A segment in a file that outlived the machine: its pages reached the disk in any order, and may be older than what the
 * store has. */
static int judge_store(const struct segment *s, struct store *store, const char *directory, const char *name)
{
    struct store_stat stat;
    int rc = store_stat(store, &stat);
    if (rc != 0)
        return rc;
    if (stat.is_backup)
        return error_set(SHOAL_ESTORE, "%s: is a backup, not the store that the map was made for", directory);
    if (memcmp(stat.id, s->geo.store_id, sizeof stat.id) != 0 || stat.seed != s->geo.seed)
        return error_set(SHOAL_ESTORE, "%s: is another store than the one that the map was made for", directory);
    if (memcmp(stat.boot, s->geo.boot, sizeof stat.boot) != 0)
        return error_set(SHOAL_ESTORE, "%s: was made before the machine was started again; what was synced is in %s: remove "
                         "the map and make it anew over that", name, directory);
    return 0;
}

static int tier_look(const struct below *below, const struct probe *p, struct below_value *io_value,
                     struct below_record *ret_record);

/* One number for the map, in all processes that have it, whichever of its segments. */
static uint64_t user_of(const struct segment *s) { return hash_bytes(&s->geo.family, sizeof s->geo.family, s->geo.seed) | 1; }

static uint64_t seen_n_for(const struct segment *s)
{
    uint64_t n = TIER_SEEN_LEAST;
    while (n < TIER_SEEN_MOST && n * 2 <= s->geo.capacity / TIER_SEEN_SHARE)
        n *= 2;
    return n;
}

int tier_open(struct segment *segment, const char *directory, const char *name, struct tier **ret_tier)
{
    const uint64_t seen_n = seen_n_for(segment);
    struct tier *tier = calloc(1, sizeof *tier + seen_n * sizeof tier->seen[0]);
    if (tier == NULL) {
        errno = ENOMEM;
        return error_os("%s", directory);
    }
    tier->seen_n = seen_n;
    int rc = store_open(directory, segment->readonly ? STORE_RDONLY : 0, &tier->store);
    if (rc == 0)
        rc = judge_store(segment, tier->store, directory, name);
    if (rc == 0 && !segment->readonly)
        rc = store_bind(tier->store, user_of(segment), name);
    if (rc != 0) {
        tier_close(tier);
        return rc;
    }
    tier->segment = segment;
    tier->below.look = tier_look;
    tier->below.make_room = tier_make_room;
    segment->below = &tier->below;
    *ret_tier = tier;
    return 0;
}

void tier_close(struct tier *tier)
{
    if (tier == NULL)
        return;
    if (tier->store != NULL)
        store_close(tier->store);
    free(tier);
}

/* -- Look ------------------------------------------------------------------------------------------ */

static int tier_look(const struct below *below, const struct probe *p, struct below_value *io_value,
                     struct below_record *ret_record)
{
    const struct tier *tier = (const struct tier *)below;
    struct store_record record;
    int rc;
    *ret_record = (struct below_record){ .version = 0 };
    for (;;) {
        rc = store_get(tier->store, p->key, p->key_bytes, io_value != NULL ? io_value->bytes : NULL,
                       io_value != NULL ? io_value->room : 0, &record);
        if (rc != SHOAL_SHORT || io_value == NULL)
            break;
        rc = grow(&io_value->bytes, &io_value->room, record.value_bytes, "a value below");
        if (rc != 0)
            return rc;
    }
    if (rc == SHOAL_CHANGED)
        return error_set(SHOAL_ESTORE, "a value below was replaced faster than it can be read");
    if (rc == 0 || rc == SHOAL_SHORT)
        *ret_record = (struct below_record){ record.version, record.value_bytes, record.mtime_ns, record.type };
    return rc == SHOAL_SHORT ? 0 : rc;
}

/* -- Read ------------------------------------------------------------------------------------------ */

/* Was the key read below a while ago?  Then not again: it comes up. */
static bool is_read_again(struct tier *tier, const struct probe *p)
{
    _Atomic uint32_t *place = &tier->seen[p->hash >> 32 & (tier->seen_n - 1)];
    uint32_t mark = (uint32_t)p->hash | 1;
    bool again = atomic_load_explicit(place, memory_order_relaxed) == mark; /* relaxed: a hint, of this process alone */
    atomic_store_explicit(place, again ? 0 : mark, memory_order_relaxed);
    return again;
}

/* T6.  The value is in hand; where there is no room for it, the reader does without. */
static void promote(struct tier *tier, struct attachment *a, const struct probe *p, const struct read_sink *sink,
                    const struct store_record *record)
{
    struct below_record below = { record->version, record->value_bytes, record->mtime_ns, record->type };
    if (mutate_promote(a, p, sink->buf, &below) == SHOAL_EFULL &&
        tier_make_room_of_clean(tier, a, p, record->value_bytes + record->key_bytes) == 0)
        (void)mutate_promote(a, p, sink->buf, &below);
}

int tier_read(struct tier *tier, struct attachment *a, const struct probe *p, struct read_sink *sink)
{
    const struct segment *s = tier->segment;
    struct store_record record;
    if (!segment_is_spilled(s, p->home, p->hash))
        return SHOAL_MISSING;
    int rc = store_get(tier->store, p->key, p->key_bytes, sink->buf, sink->buf_bytes, &record);
    if (a != NULL) {
        bump_relaxed_u64(&a->entry->below_gets, 1);
        bump_relaxed_u64(&a->entry->below_hits, rc == 0 || rc == SHOAL_SHORT);
    }
    if (rc != 0 && rc != SHOAL_SHORT)
        return rc;
    sink->value_bytes = record.value_bytes;
    sink->version = record_version_below(s, record.version);
    sink->mtime_ns = record.mtime_ns;
    sink->expires_ns = record.expires_ns;
    sink->type = record.type;
    sink->below = true;
    if (rc == 0 && a != NULL && is_read_again(tier, p))
        promote(tier, a, p, sink, &record);
    return rc;
}
