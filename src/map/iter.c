/* SPDX-License-Identifier: MIT
 *
 * Iteration and count.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/grow.h"
#include "map/iter.h"
#include "map/lookup.h"
#include "memory/count.h"
#include "memory/settle.h"

#define ITERATOR_VALUE "iterator: value"

/* Above a store what is to be moved has moved. */
static int iter_call_begin(struct shoal *map, struct call *ret_call)
{
    int rc = call_begin(map, ret_call);
    if (rc != 0 || ret_call->old == NULL || ret_call->map->tier == NULL)
        return rc;
    call_end(ret_call);
    return move_call_begin(map, ret_call);
}

int shoal_iter_open(struct shoal *map, const void *prefix, size_t prefix_bytes, struct shoal_iter **ret_iter)
{
    struct call call;
    if (ret_iter == NULL || (prefix == NULL && prefix_bytes != 0))
        return error_set(SHOAL_EINVAL, "shoal_iter_open: prefix or ret_iter is NULL");
    if (prefix_bytes > SHOAL_KEY_MAX)
        return error_set(SHOAL_ETOOBIG, "shoal_iter_open: prefix of %zu bytes, keys have at most 65535", prefix_bytes);
    int rc = iter_call_begin(map, &call);
    if (rc != 0)
        return rc;
    struct shoal_iter *it = calloc(1, sizeof *it + prefix_bytes);
    if (it == NULL || grow(&it->value, &it->value_room, 4096, ITERATOR_VALUE) != 0) {
        free(it);
        call_end(&call);
        errno = ENOMEM;
        return error_os("iterator");
    }
    it->map = map;
    it->open = call.old != NULL && call.map->tier == NULL ? call.old : call.map;
    it->next = it->open != call.map ? call.map : NULL;
    it->opening = atomic_load_explicit(&map->openings, memory_order_relaxed);
    it->fork_id = registry_fork_id();
    it->prefix_bytes = prefix_bytes;
    if (prefix_bytes != 0)
        memcpy(it->prefix, prefix, prefix_bytes);
    if (it->open->tier != NULL)
        rc = tier_walk_open(it->open->tier, &it->tier_walk);
    if (rc == 0)
        open_map_ref(it->open); /* so that its pages stay even if the map is closed */
    if (rc == 0 && it->next != NULL)
        open_map_ref(it->next);
    call_end(&call);
    if (rc != 0) {
        free(it->value);
        free(it);
        return rc;
    }
    *ret_iter = it;
    return 0;
}

/* Is the key the walk's, and not met yet in what the map is being moved from? */
static bool is_wanted(const struct shoal_iter *it, uint32_t key_bytes)
{
    if (key_bytes < it->prefix_bytes || memcmp(it->key, it->prefix, it->prefix_bytes) != 0)
        return false;
    if (it->known == NULL)
        return true;
    struct probe p = probe_make(it->known->segment, it->key, key_bytes);
    return !move_is_known(it->known->segment, &p);
}

/* The map has moved since the walk began: it goes on over the keys that were there, each with what it holds by now. */
static int iter_step_moved(struct shoal_iter *it, const struct call *call, struct read_sink *sink)
{
    for (;;) {
        struct walk before = it->walk;
        struct read_sink key = { .key_buf = it->key };
        int rc = walk_next_key_old(&it->walk, it->open->segment, &key);
        if (rc != 0)
            return rc;
        if (!is_wanted(it, key.key_bytes))
            continue;
        struct probe p = probe_make(call->segment, it->key, key.key_bytes);
        do {
            *sink = (struct read_sink){ .buf = it->value, .buf_bytes = it->value_room };
            rc = lookup_key(call, &p, sink);
            sink->key_bytes = key.key_bytes;
        } while (rc == SHOAL_SHORT && (rc = grow(&it->value, &it->value_room, sink->value_bytes, ITERATOR_VALUE)) == 0);
        if (rc == TABLE_MOVED || rc == SHOAL_CHANGED)
            it->walk = before;
        if (rc != SHOAL_MISSING)
            return rc;
    }
}

static int iter_step_here(struct shoal_iter *it, const struct call *call, struct read_sink *sink)
{
    for (;;) {
        struct walk before = it->walk;
        *sink = (struct read_sink){ .buf = it->value, .buf_bytes = it->value_room, .key_buf = it->key };
        int rc = it->tier_walk != NULL ? tier_walk_next(it->tier_walk, call->a, sink)
                                       : walk_next(&it->walk, call->segment, call->a, sink);
        if (it->tier_walk == NULL && segment_has_successor(call->segment)) { /* it may have passed over what is sealed */
            it->walk = before;
            return TABLE_MOVED;
        }
        if (rc == SHOAL_SHORT)
            rc = grow(&it->value, &it->value_room, sink->value_bytes, ITERATOR_VALUE);
        else if (rc != 0 || is_wanted(it, sink->key_bytes))
            return rc;
        if (rc != 0)
            return rc;
    }
}

static int iter_step(struct shoal_iter *it, const struct call *call, struct read_sink *sink)
{
    for (;;) {
        int rc = call->map != it->open && it->tier_walk == NULL ? iter_step_moved(it, call, sink)
                                                                : iter_step_here(it, call, sink);
        if (rc != SHOAL_END || it->next == NULL)
            return rc;
        it->known = it->open;
        it->open = it->next;
        it->next = NULL;
        it->walk = (struct walk){ 0 };
    }
}

/* Above a store the walk goes on in the new table, where it has come to. */
static int iter_follow(struct shoal_iter *it, const struct call *call)
{
    if (atomic_load_explicit(&it->map->openings, memory_order_relaxed) != it->opening)
        return error_set(SHOAL_EINVAL, "the iterator's map was closed");
    if (it->tier_walk == NULL)
        return 0;
    int rc = tier_walk_follow(it->tier_walk, call->map->tier);
    if (rc != 0)
        return rc;
    open_map_ref(call->map);
    open_map_unref(it->open);
    it->open = call->map;
    return 0;
}

static int iter_next_once(struct shoal_iter *it, struct read_sink *sink)
{
    struct call call;
    int rc = it->tier_walk != NULL ? move_call_begin(it->map, &call) : call_begin(it->map, &call);
    if (rc != 0)
        return rc;
    if (call.map != it->open)
        rc = iter_follow(it, &call);
    if (rc == 0) {
        call.a = call.map->readonly ? NULL : call_attachment(&call);
        rc = iter_step(it, &call, sink);
    }
    if (rc == SHOAL_CHANGED && !call.map->readonly && call.a == NULL && call_attach(&call) == 0)
        rc = iter_step(it, &call, sink);
    call_end(&call);
    return rc;
}

int shoal_iter_next(struct shoal_iter *it, struct shoal_item *ret_item)
{
    if (it == NULL || ret_item == NULL)
        return error_set(SHOAL_EINVAL, "shoal_iter_next: iterator or ret_item is NULL");
    if (it->fork_id != registry_fork_id())
        return error_set(SHOAL_EINVAL, "the iterator belongs to the parent of this forked process; open a new one");
    struct read_sink sink;
    int rc;
    while ((rc = iter_next_once(it, &sink)) == TABLE_MOVED) {
    }
    if (rc == 0)
        *ret_item = (struct shoal_item){ .key = it->key,
                                         .key_bytes = sink.key_bytes,
                                         .value = it->value,
                                         .value_bytes = sink.value_bytes,
                                         .version = sink.version,
                                         .mtime_ns = sink.mtime_ns,
                                         .expires_ns = sink.expires_ns,
                                         .type = sink.type };
    return rc;
}

void shoal_iter_close(struct shoal_iter *it)
{
    if (it == NULL)
        return;
    if (it->tier_walk != NULL)
        tier_walk_close(it->tier_walk);
    if (it->fork_id == registry_fork_id()) {
        open_map_unref(it->open);
        if (it->next != NULL)
            open_map_unref(it->next);
        if (it->known != NULL)
            open_map_unref(it->known);
    }
    free(it->value);
    free(it);
}

/* -- Count -------------------------------------------------------------------------------------------------- */

/* The sum held at one instant if no counter moved between two looks and nobody was about to move one. */
static bool count_stands_still(const struct segment *s, uint64_t *ret_n)
{
    uint64_t before = count_fingerprint(s);
    int64_t n = count_sum(s);
    bool still = count_is_at_rest(s) && count_fingerprint(s) == before;
    *ret_n = n < 0 ? 0 : (uint64_t)n;
    return still;
}

static uint64_t count_walk(const struct segment *s)
{
    uint64_t n = 0;
    for (uint64_t run = 0; run < s->geo.runs_n; run++) {
        if ((load_acquire_u32(&s->summary[run]) & SUMMARY_USED) == 0) /* [meta] */
            continue;
        uint64_t end = (run + 1) * RUN_GROUPS;
        for (uint64_t g = run * RUN_GROUPS; g < end && g < s->geo.groups_all_n; g++)
            for (uint32_t i = 0; i < GROUP_SLOTS; i++)
                n += slot_is_live(load_acquire_u64(&s->groups[g].slot[i])); /* [slot-publish] */
    }
    return n;
}

/* Above a store no counter tells which entries the store has too.  `walk`: every key, else by what the states say. */
static int count_tiers(const struct call *call, bool walk, uint64_t *ret_n)
{
    struct tier_walk *w;
    if (!walk)
        return tier_estimate(call->map->tier, ret_n);
    int rc = tier_walk_open(call->map->tier, &w);
    if (rc != 0)
        return rc;
    for (*ret_n = 0; rc == 0; *ret_n += rc == 0) {
        struct read_sink sink = { .buf = NULL };
        rc = tier_walk_next_key(w, call->a, &sink);
    }
    tier_walk_close(w);
    return rc == SHOAL_END ? 0 : rc;
}

static int count_table(const struct segment *s, bool walk, uint64_t *ret_n, bool *ret_exact)
{
    *ret_exact = count_stands_still(s, ret_n);
    if (!*ret_exact && walk) {
        uint64_t before = count_fingerprint(s);
        *ret_n = count_walk(s);
        *ret_exact = count_is_at_rest(s) && count_fingerprint(s) == before;
    }
    return 0;
}

/* What was moved already and what was not, each at its own moment. */
static int count_in_a_move(const struct call *call, uint64_t *ret_n)
{
    int64_t here = count_sum(call->segment);
    int rc = 0;
    if (call->map->tier != NULL)
        rc = tier_estimate(call->map->tier, ret_n);
    else
        *ret_n = here < 0 ? 0 : (uint64_t)here;
    *ret_n += move_left_n(call->old->segment);
    return rc;
}

static int count_once(struct shoal *map, bool walk, uint64_t *ret_n, bool *ret_exact)
{
    struct call call;
    int rc = walk ? move_call_begin(map, &call) : call_begin(map, &call);
    if (rc != 0)
        return rc;
    if (call.old != NULL && !walk) {
        rc = count_in_a_move(&call, ret_n);
        *ret_exact = false;
    } else if (call.map->tier == NULL) {
        rc = count_table(call.segment, walk, ret_n, ret_exact);
    } else {
        call.a = call.map->readonly ? NULL : call_attachment(&call);
        uint64_t before = settle_activity(call.segment);
        rc = count_tiers(&call, walk, ret_n);
        *ret_exact = walk && settle_activity(call.segment) == before;
    }
    if (segment_has_successor(call.segment))
        rc = TABLE_MOVED;
    call_end(&call);
    return rc;
}

int shoal_count(struct shoal *map, unsigned flags, uint64_t *ret_n, int *ret_exact)
{
    if (ret_n == NULL || (flags & ~(unsigned)SHOAL_EXACT) != 0)
        return error_set(SHOAL_EINVAL, "shoal_count: ret_n is NULL or flags 0x%x are not known", flags);
    bool exact = false;
    uint64_t n = 0;
    int rc;
    while ((rc = count_once(map, (flags & SHOAL_EXACT) != 0, &n, &exact)) == TABLE_MOVED) {
    }
    if (rc == 0)
        *ret_n = n;
    if (rc == 0 && ret_exact != NULL)
        *ret_exact = exact;
    return rc;
}
