/* SPDX-License-Identifier: MIT
 *
 * To a new geometry, while others read and write (move.h, table/move.h).
 *
 *   1 the next segment, complete, under a private name       dies here: a leftover, removed by the next rebuild
 *   2 CAS of `successor`                                     takes effect; dies behind it: others go on
 *   3 the map's name                                         by whoever opens the map
 *   4 moving                                                 by every writer, for his key and a little more
 *   5 the old segment's file, then `predecessor`             by whoever has seen the last home moved
 */
#include <errno.h>

#include "base/error.h"
#include "map/mapping.h"
#include "map/move.h"
#include "map/segfile.h"
#include "memory/count.h"
#include "table/wait.h"
#include "tier/tier.h"

#define HEAP_SHARE 16u /* of what is live: what runs and classes of another shape may waste, at least */

struct next {
    const char *path;
    struct open_map *map;
};

static int next_take(void *arg, int fd, const struct geometry *geometry)
{
    struct next *next = arg;
    return mapping_make(fd, geometry, next->path, 0, &next->map);
}

static void next_leave(void *arg) { open_map_unref(((struct next *)arg)->map); }

/* -- What the new one is to be ------------------------------------------------------------------------ */

static void options_complete(const struct segment *s, struct shoal_options *io)
{
    const struct geometry *g = &s->geo;
    if (io->capacity == 0)
        io->capacity = g->capacity;
    if (io->heap_bytes == 0)
        io->heap_bytes = g->heap_bytes;
    if (io->max_threads == 0)
        io->max_threads = g->entries_n;
    if (io->max_key_bytes == 0)
        io->max_key_bytes = g->max_key_bytes;
    if (io->max_value_bytes == 0)
        io->max_value_bytes = g->max_value_bytes + SEGMENT_PAGE < g->heap_bytes ? g->max_value_bytes : 0; /* all of the heap */
    io->flags |= ((g->features & FEATURE_MTIME) ? SHOAL_MTIME : 0) | ((g->features & FEATURE_CHECKSUM) ? SHOAL_CHECKSUM : 0);
    io->store = segment_has_store(s) ? s->header->store : NULL;
    io->on_full = (g->features & FEATURE_SPILL) ? SHOAL_FULL_SPILL : SHOAL_FULL_FAIL;
}

static int options_judge(const struct segment *s, const struct shoal_options *o)
{
    const struct geometry *g = &s->geo;
    if (o->size != sizeof *o)
        return error_set(SHOAL_EINVAL, "options.size: %zu, expected %zu; start from SHOAL_OPTIONS_INIT", o->size, sizeof *o);
    if (o->store != NULL || o->on_full != 0 || o->mode != 0 || o->gid != -1)
        return error_set(SHOAL_EINVAL, "options: store, on_full, mode and gid stay what they are in a rebuild");
    if (o->max_key_bytes != 0 && o->max_key_bytes < g->max_key_bytes)
        return error_set(SHOAL_EINVAL, "options.max_key_bytes: %llu; the map may hold keys of %llu",
                         (unsigned long long)o->max_key_bytes, (unsigned long long)g->max_key_bytes);
    return 0;
}

/* Room for what the map holds now; what others write meanwhile is theirs to be refused. */
static int room_judge(struct shoal *map, const struct segment *s, const struct shoal_options *o)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    int64_t count = count_sum(s);
    if (segment_has_store(s)) /* what finds no room leaves for it */
        return 0;
    int rc = shoal_stats(map, &stats);
    if (rc != 0)
        return rc;
    if (count > 0 && (uint64_t)count > o->capacity)
        return error_set(SHOAL_EFULL, "options.capacity: %llu; the map holds %lld keys", (unsigned long long)o->capacity,
                         (long long)count);
    if (stats.live_bytes + stats.live_bytes / HEAP_SHARE > o->heap_bytes)
        return error_set(SHOAL_EFULL, "options.heap_bytes: %llu; the map's records take %llu and need a sixteenth more",
                         (unsigned long long)o->heap_bytes, (unsigned long long)stats.live_bytes);
    return 0;
}

/* -- Doing it ----------------------------------------------------------------------------------------- */

static void wake_all(const struct segment *s)
{
    for (uint32_t i = 0; i < WAIT_N; i++) {
        (void)fetch_add_u32(&s->wait[i], 1); /* [wait-mask] */
        os_futex_wake_all(&s->wait[i]);
    }
}

/* 0, or SHOAL_CHANGED: somebody else did.  Who removes the map between the look at its name and the switch leaves those who
 * have it without a way to the new segment, whose private name goes too. */
static int switch_to(const struct open_map *from, const struct segment *to)
{
    const struct segment *s = from->segment;
    uint64_t w = load_seq_u64(&s->header->successor); /* [successor] */
    int rc = segfile_is_named(from->path, s->file);
    if (rc != 0)
        return rc;
    if (segment_has_successor(s) || !cas_u64(&s->header->successor, w, to->geo.id)) /* [successor] takes effect */
        return SHOAL_CHANGED;
    rc = segfile_switch(from->path, s->file, to->geo.id);
    wake_all(s); /* they look at the new one from now on */
    return rc == 0 ? segfile_is_named(from->path, to->file) : rc;
}

static int make_next(const struct open_map *from, const struct shoal_options *options, struct next *ret_next)
{
    struct tier_origin origin;
    struct segfile_from file = { from->segment->file, &from->segment->geo, from->path };
    struct segfile_user user = { next_take, next_leave, ret_next };
    int rc = options->store != NULL ? tier_prepare(options->store, &origin) : 0;
    return rc != 0 ? rc : segfile_create_next(&file, options, options->store != NULL ? &origin : NULL, &user);
}

/* One process at a time: the lock is the kernel's to give back. */
static int rebuild_locked(const struct open_map *from, const struct shoal_options *options)
{
    struct next next = { .path = from->path };
    int lock = os_reopen(from->segment->file, true);
    if (lock < 0)
        return error_os("%s: open it again", from->name);
    enum os_lock_answer answer = os_lock(lock, SEGFILE_DRAFT_BYTE);
    int rc = answer == OS_LOCK_TAKEN ? 0
             : answer == OS_LOCK_BUSY ? SHOAL_CHANGED
                                      : error_os("%s: lock it for a rebuild", from->name);
    if (rc == 0)
        rc = make_next(from, options, &next);
    if (rc == 0) {
        rc = switch_to(from, next.map->segment);
        if (rc == SHOAL_CHANGED || rc == SHOAL_ENOMAP)
            (void)segfile_unlink_kin(from->path, next.map->segment->geo.id);
        if (rc == SHOAL_ENOMAP) /* somebody removed the map: nothing stays behind */
            (void)segfile_unlink_kin(from->path, from->segment->geo.id);
        open_map_unref(next.map); /* and with its descriptor goes the draft's lock */
    }
    os_close(lock);
    return rc == SHOAL_CHANGED ? error_set(rc, "%s: is being rebuilt by somebody else", from->name) : rc;
}

static int rebuild_begin(struct shoal *map, const struct shoal_options *options, const struct call *call)
{
    struct shoal_options whole = *options;
    const struct segment *s = call->segment;
    if (segment_predecessor(s) != 0)
        return error_set(SHOAL_EOS, "%s: the file of its former segment can only be removed by its owner", call->map->name);
    options_complete(s, &whole);
    int rc = room_judge(map, s, &whole);
    return rc != 0 ? rc : rebuild_locked(call->map, &whole);
}

static int finish(struct shoal *map, shoal_progress_fn *progress, void *arg)
{
    struct call call;
    int rc = call_begin(map, &call);
    if (rc != 0)
        return rc;
    rc = call_attach(&call);
    if (rc == 0) {
        call_pin(&call);
        rc = move_rest(&call, progress, arg);
    }
    call_end(&call);
    return rc;
}

int shoal_rebuild(struct shoal *map, const struct shoal_options *options, shoal_progress_fn *progress, void *arg)
{
    struct call call;
    if (options == NULL)
        return error_set(SHOAL_EINVAL, "shoal_rebuild: options is NULL");
    int rc = move_call_begin(map, &call); /* one move after the other */
    if (rc != 0)
        return rc;
    rc = call_attach(&call);
    if (rc == 0)
        rc = options_judge(call.segment, options);
    if (rc == 0) {
        call_pin(&call);
        rc = rebuild_begin(map, options, &call);
    }
    call_end(&call);
    return rc != 0 ? rc : finish(map, progress, arg);
}
