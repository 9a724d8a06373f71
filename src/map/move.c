/* SPDX-License-Identifier: MIT */
#include "map/move.h"

#include <errno.h>
#include <time.h>

#include "base/error.h"
#include "map/mapping.h"
#include "map/segfile.h"
#include "table/move.h"

#define HELP_HOMES 16u /* that a writer looks at beside his own */
#define REST_HOMES 64u /* between two looks at the progress */

/* -- Following --------------------------------------------------------------------------------------- */

static int open_by_id(const struct open_map *open, uint64_t id, struct open_map **ret_old)
{
    int fd;
    struct geometry geometry;
    struct segment *s;
    int rc = segfile_open_kin(open->path, id, open->flags, &fd, &geometry);
    if (rc != 0)
        return rc;
    rc = segment_map(fd, &geometry, open->readonly, &s);
    if (rc != 0) {
        os_close(fd);
        return rc;
    }
    return open_map_make(s, NULL, open->path, open->flags, ret_old);
}

static void take_old(struct open_map *open, struct open_map *old)
{
    uint64_t n = old->segment->geo.groups_n;
    os_random(&open->looked_from, sizeof open->looked_from); /* so that processes do not follow each other */
    open->looked_from %= n;
    atomic_store_explicit(&open->segment->old, old->segment, memory_order_release);
    atomic_store_explicit(&open->old, old, memory_order_release);
}

/* The file of what is being moved from goes when all of it has moved, before `predecessor` does; or with the map, behind
 * the map's own name, which a segment also loses when the map has moved on from it: behind `predecessor`. */
int move_open_old(struct open_map *open)
{
    struct open_map *old;
    uint64_t id = segment_predecessor(open->segment);
    int rc = id != 0 ? open_by_id(open, id, &old) : 0;
    if (rc == SHOAL_ENOMAP && os_file_unlinked(open->segment->file) && segment_predecessor(open->segment) != 0)
        return error_set(rc, "%s: was removed while it was opened", open->name);
    if (rc == SHOAL_ENOMAP) { /* all of it has moved */
        if (!open->readonly)
            store_release_u64(&open->segment->header->predecessor, 0); /* [successor] */
        return 0;
    }
    if (rc == 0 && id != 0)
        take_old(open, old);
    return rc;
}

static int follow(struct shoal *map, struct open_map *open)
{
    int fd;
    struct geometry geometry;
    struct open_map *to;
    int rc = segfile_open(open->path, open->flags, &fd, &geometry);
    if (rc == 0 && (geometry.family != open->segment->geo.family || geometry.id == open->segment->geo.id)) {
        os_close(fd);
        rc = SHOAL_ENOMAP;
    }
    if (rc == SHOAL_ENOMAP)
        return error_set(SHOAL_ENOMAP, "%s: has moved to a new geometry, and was removed before this process followed",
                         open->name);
    if (rc == 0)
        rc = mapping_make(fd, &geometry, open->path, open->flags, &to);
    if (rc != 0)
        return rc;
    if (segment_predecessor(to->segment) == open->segment->geo.id) {
        open_map_ref(open);
        take_old(to, open);
    } else {
        rc = move_open_old(to);
    }
    if (rc != 0 || !registry_move(map, open, to)) {
        open_map_unref(to);
        return rc;
    }
    registry_wait_for_calls();
    open_map_unref(open); /* the handle was its user */
    return 0;
}

static void let_go_of_old(struct shoal *map, struct open_map *open)
{
    struct open_map *old = atomic_exchange_explicit(&open->old, NULL, memory_order_acq_rel);
    atomic_store_explicit(&open->segment->old, NULL, memory_order_release);
    registry_moved(map);
    registry_wait_for_calls();
    if (old != NULL)
        open_map_unref(old);
}

int move_turn(struct shoal *map)
{
    int rc = 0;
    registry_move_lock();
    RCU_READ_LOCK();
    struct open_map *open = atomic_load_explicit(&map->open, memory_order_acquire);
    if (open != NULL)
        open_map_ref(open);
    RCU_READ_UNLOCK();
    if (open != NULL) {
        struct open_map *old = atomic_load_explicit(&open->old, memory_order_acquire);
        if (segment_has_successor(open->segment))
            rc = follow(map, open);
        else if (old != NULL && move_is_due(open, old))
            let_go_of_old(map, open);
        open_map_unref(open);
    }
    registry_move_unlock();
    return rc;
}

/* -- Looking ------------------------------------------------------------------------------------------ */

int move_lookup(const struct call *call, const struct probe *p, struct read_sink *sink)
{
    if (call->old != NULL) {
        int rc = move_read(call->old->segment, p, sink);
        if (rc == SHOAL_MISSING && !sink->deleted)
            rc = read_key(call->segment, call->a, p, sink); /* it may have moved between the two looks */
        if (rc != SHOAL_MISSING || sink->deleted)
            return rc;
    }
    return segment_has_successor(call->segment) ? TABLE_MOVED : SHOAL_MISSING;
}

/* -- Moving ------------------------------------------------------------------------------------------- */

static void count_moved(const struct segment *s, uint32_t n)
{
    if (n == 0)
        return;
    (void)fetch_add_relaxed_u64(&s->header->moved_n, n); /* relaxed: statistics */
    uint64_t most = load_relaxed_u64(&s->header->moved_most);
    while (n > most && !cas_u64(&s->header->moved_most, most, n)) /* [successor] more than it needs: a number by itself */
        most = load_relaxed_u64(&s->header->moved_most);
}

static bool all_looked_at(const struct call *call)
{
    return atomic_load_explicit(&call->map->looked, memory_order_acquire) >= call->old->segment->geo.groups_n;
}

/* Everything has moved.  Who may not remove the file leaves that, and what says that it is there, to others. */
static void move_is_over(const struct call *call)
{
    if (segfile_unlink_kin(call->map->path, call->old->segment->geo.id) == 0)
        store_release_u64(&call->segment->header->predecessor, 0); /* [successor] */
}

/* The next homes that this process has not seen moved.  Behind the last of them it has seen all, because what has moved
 * stays so. */
static int move_some(const struct call *call, uint32_t homes, uint32_t *io_n)
{
    struct open_map *map = call->map;
    const struct segment *old = call->old->segment;
    uint64_t at = atomic_load_explicit(&map->looked, memory_order_acquire), end = at + homes;
    if (at >= old->geo.groups_n)
        return 0;
    for (uint64_t i = at; i < end && i < old->geo.groups_n; i++) {
        int rc = move_home(call->a, old, (map->looked_from + i) % old->geo.groups_n, io_n);
        if (rc != 0)
            return rc;
    }
    if (atomic_compare_exchange_strong_explicit(&map->looked, &at, end, memory_order_acq_rel, memory_order_relaxed) &&
        end >= old->geo.groups_n)
        move_is_over(call);
    return 0;
}

int move_for(const struct call *call, const struct probe *p)
{
    uint32_t n = 0;
    int rc = move_key(call->a, call->old->segment, p, &n);
    if (rc == 0)
        (void)move_some(call, HELP_HOMES, &n); /* where that fails, whoever wants those keys is told */
    count_moved(call->segment, n);
    return rc;
}

int move_rest(const struct call *call, shoal_progress_fn *progress, void *arg)
{
    int rc = 0;
    uint64_t all = call->old != NULL ? call->old->segment->geo.groups_n : 0;
    while (rc == 0 && call->old != NULL && !all_looked_at(call)) {
        uint32_t n = 0;
        rc = move_some(call, REST_HOMES, &n);
        count_moved(call->segment, n);
        uint64_t at = atomic_load_explicit(&call->map->looked, memory_order_relaxed);
        if (rc == 0 && progress != NULL)
            rc = progress(at < all ? at : all, all, arg);
    }
    return rc;
}

static bool has_moved(const struct call *call)
{
    const struct segment *old = call->old->segment;
    for (uint64_t home = 0; home < old->geo.groups_n; home++)
        if (!move_home_is_done(old, home))
            return false;
    return true;
}

/* One try.  SHOAL_TIMEOUT: not yet. */
static int call_begin_moved(struct shoal *map, struct call *ret_call)
{
    int rc = call_begin(map, ret_call);
    if (rc != 0 || ret_call->old == NULL || (ret_call->map->readonly ? has_moved(ret_call) : all_looked_at(ret_call)))
        return rc;
    rc = ret_call->map->readonly ? SHOAL_TIMEOUT : call_attach(ret_call);
    if (rc == 0) {
        call_pin(ret_call);
        rc = move_rest(ret_call, NULL, NULL);
    }
    call_end(ret_call);
    return rc == 0 ? TABLE_MOVED : rc;
}

int move_call_begin(struct shoal *map, struct call *ret_call)
{
    int rc;
    for (uint32_t ms = 0; ms <= MOVE_WAIT_MS;) {
        rc = call_begin_moved(map, ret_call);
        if (rc != SHOAL_TIMEOUT && rc != TABLE_MOVED)
            return rc;
        if (rc == SHOAL_TIMEOUT) {
            (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
            ms++;
        }
    }
    return error_set(SHOAL_CHANGED, "the map is being moved to a new geometry, which a reader cannot hurry");
}
