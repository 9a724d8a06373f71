/* SPDX-License-Identifier: MIT
 *
 * A thread that syncs (flush.h).
 *
 * Of all that run above one store the leader works: it holds a byte of the store's lock file, which the kernel gives back
 * when it dies.  The others ask for it at each of their intervals.
 */
#include "map/flush.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/os.h"
#include "map/registry.h"
#include "tier/tier.h"

#define TICK_MS 50 /* how often bytes are looked at */
#define INTERVAL_MS_MAX 3600000u

struct flusher {
    struct shoal *map;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t wake;
    uint32_t interval_ms;
    uint64_t bytes;
    bool ends;
    int lead_file;
    /* the thread's own */
    uint64_t seen_written, seen_activity;
    int64_t due_ns;
};

/* -- The thread -------------------------------------------------------------------------------------- */

struct written {
    uint64_t bytes, changes;
};

static struct written written_so_far(const struct segment *s)
{
    struct written sum = { 0, 0 };
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++) {
        const struct entry *e = &s->entries[i];
        sum.bytes += load_relaxed_u64(&e->written); /* relaxed: statistics */
        sum.changes += load_relaxed_u64(&e->writes) + load_relaxed_u64(&e->deletes);
    }
    return sum;
}

/* One look: leads, and it is time, and there is something. */
static bool is_due(struct flusher *f, uint32_t interval_ms, uint64_t bytes)
{
    struct call call;
    if (call_begin(f->map, &call) != 0)
        return false;
    struct written now = written_so_far(call.segment);
    int64_t clock = os_clock_ns();
    bool any = now.changes != f->seen_activity || f->seen_written == UINT64_MAX;
    bool due = any && (clock >= f->due_ns || (bytes > 0 && now.bytes - f->seen_written >= bytes));
    due = due && store_lead(call.map->tier->store, &f->lead_file);
    if (due || clock >= f->due_ns)
        f->due_ns = clock + (int64_t)interval_ms * 1000000;
    if (due) {
        f->seen_written = now.bytes;
        f->seen_activity = now.changes;
    }
    call_end(&call);
    return due;
}

static void sync_now(struct flusher *f)
{
    struct call call;
    int rc = shoal_sync(f->map);
    if (rc != 0)
        f->seen_activity--; /* again at the next interval, whoever writes meanwhile */
    if (call_begin(f->map, &call) != 0)
        return;
    call.a = call_attachment(&call);
    if (call.a != NULL)
        bump_relaxed_u64(rc == 0 ? &call.a->entry->flushes : &call.a->entry->flush_failures, 1);
    call_end(&call);
}

static void *flusher_run(void *arg)
{
    struct flusher *f = arg;
    (void)pthread_mutex_lock(&f->mutex);
    while (!f->ends) {
        struct timespec until;
        uint32_t interval_ms = f->interval_ms;
        uint64_t bytes = f->bytes;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)(interval_ms < TICK_MS ? interval_ms : TICK_MS) * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_clockwait(&f->wake, &f->mutex, CLOCK_MONOTONIC, &until);
        bool ends = f->ends;
        (void)pthread_mutex_unlock(&f->mutex);
        if (!ends && is_due(f, interval_ms, bytes))
            sync_now(f);
        (void)pthread_mutex_lock(&f->mutex);
    }
    (void)pthread_mutex_unlock(&f->mutex);
    return NULL;
}

/* -- Begin and end ------------------------------------------------------------------------------------- */

static int how_check(const struct shoal_flush *how)
{
    if (how->size != sizeof *how)
        return error_set(SHOAL_EINVAL, "flush.size: %zu, expected %zu; start from SHOAL_FLUSH_INIT", how->size, sizeof *how);
    if (how->interval_ms < 1 || how->interval_ms > INTERVAL_MS_MAX)
        return error_set(SHOAL_EINVAL, "flush.interval_ms: %u; 1..%u are allowed", how->interval_ms, INTERVAL_MS_MAX);
    return 0;
}

static void flusher_set(struct flusher *f, const struct shoal_flush *how)
{
    (void)pthread_mutex_lock(&f->mutex);
    f->interval_ms = how->interval_ms;
    f->bytes = how->bytes;
    (void)pthread_cond_signal(&f->wake);
    (void)pthread_mutex_unlock(&f->mutex);
}

/* With all signals blocked: handlers are for the program's own threads. */
static int flusher_begin(struct shoal *map, const struct shoal_flush *how, struct flusher **ret_flusher)
{
    struct flusher *f = calloc(1, sizeof *f);
    if (f == NULL) {
        errno = ENOMEM;
        return error_os("flush");
    }
    *f = (struct flusher){ .map = map, .interval_ms = how->interval_ms, .bytes = how->bytes, .lead_file = -1,
                           .seen_written = UINT64_MAX };
    (void)pthread_mutex_init(&f->mutex, NULL);
    (void)pthread_cond_init(&f->wake, NULL);
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int why = pthread_create(&f->thread, NULL, flusher_run, f);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (why != 0) {
        flusher_forget(f);
        errno = why;
        return error_os("flush: a thread");
    }
    *ret_flusher = f;
    return 0;
}

void flusher_forget(struct flusher *f)
{
    if (f == NULL)
        return;
    os_close(f->lead_file); /* in a child: its own descriptor; the lock stays the parent's */
    free(f);
}

static void flusher_end(struct flusher *f)
{
    if (f == NULL)
        return;
    (void)pthread_mutex_lock(&f->mutex);
    f->ends = true;
    (void)pthread_cond_signal(&f->wake);
    (void)pthread_mutex_unlock(&f->mutex);
    (void)pthread_join(f->thread, NULL);
    (void)pthread_cond_destroy(&f->wake);
    (void)pthread_mutex_destroy(&f->mutex);
    flusher_forget(f);
}

/* -- Calls --------------------------------------------------------------------------------------------- */

int shoal_flush_start(struct shoal *map, const struct shoal_flush *how)
{
    struct shoal_flush plain = SHOAL_FLUSH_INIT;
    struct call call;
    how = how != NULL ? how : &plain;
    int rc = how_check(how);
    if (rc == 0)
        rc = call_begin(map, &call);
    if (rc != 0)
        return rc;
    if (call.map->tier == NULL)
        rc = error_set(SHOAL_EINVAL, "%s: has no store to flush to", call.map->name);
    else if (call.map->readonly)
        rc = error_set(SHOAL_EREADONLY, "%s: opened with SHOAL_RDONLY", call.map->name);
    if (rc == 0) {
        pthread_mutex_lock(&map->flush_mutex);
        if (map->flusher != NULL)
            flusher_set(map->flusher, how);
        else
            rc = flusher_begin(map, how, &map->flusher);
        pthread_mutex_unlock(&map->flush_mutex);
    }
    call_end(&call);
    return rc;
}

void flusher_stop(struct shoal *map)
{
    pthread_mutex_lock(&map->flush_mutex);
    struct flusher *f = map->flusher;
    map->flusher = NULL;
    pthread_mutex_unlock(&map->flush_mutex);
    flusher_end(f);
}

int shoal_flush_stop(struct shoal *map)
{
    struct call call;
    int rc = call_begin(map, &call);
    if (rc != 0)
        return rc;
    call_end(&call);
    flusher_stop(map);
    return 0;
}
