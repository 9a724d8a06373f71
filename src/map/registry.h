/* SPDX-License-Identifier: MIT
 *
 * The process's open maps, and the frame of every call.
 *
 * A struct shoal is a handle that is never freed, only reused: it points to an open_map or to nothing.
 * Calls read it under an RCU read lock (liburcu-bp: threads need not register), so shoal_close in one
 * thread takes the pointer away, waits for the calls under way, and then gives up its reference.  Calls
 * that may last (wait, update) and views hold references of their own instead of the lock.
 *
 * Fork: a child sees a zero in a page that the kernel wipes, at its first call or in the atfork handler,
 * and then closes the lock descriptors it inherited (never unlocks: that would unlock the parent) and
 * forgets the parent's attachments; it attaches by itself when it first needs to.
 */
#ifndef SHOAL_MAP_REGISTRY_H
#define SHOAL_MAP_REGISTRY_H

#include "base/hot.h"
#include "base/rcu.h"
#include "memory/attach.h"
#include "shoal/shoal.h"

struct tier;

struct open_map {
    struct segment *segment;
    struct tier *tier;      /* NULL: no store below */
    _Atomic uint32_t users; /* the handle, views, long calls, the map that is moved to from here */
    struct open_map *next; /* of all that are mapped, closed ones with views included */
    struct open_map *_Atomic old; /* that the map is being moved from; NULL: none (move.h) */
    _Atomic uint64_t looked;      /* homes of it, from looked_from on, that were seen to have moved */
    uint64_t looked_from;
    bool readonly;
    unsigned flags; /* it was opened with */
    char *path;     /* by which it can be opened from everywhere in the process; bare names as they are */
    char name[80]; /* for texts, cut */
};

struct shoal {
    struct open_map *_Atomic open; /* NULL: closed */
    _Atomic uint64_t openings;     /* which use of the handle this is: an iterator is of one */
    struct flusher *flusher; /* NULL: none was started; under flush_mutex */
    pthread_mutex_t flush_mutex;
    struct shoal *next;            /* of all handles ever made */
};

/* One call under way. */
struct call {
    struct open_map *map;
    struct segment *segment;
    struct open_map *old; /* that the map is being moved from; NULL: none */
    struct attachment *a; /* NULL until call_attach */
    uint64_t fork_id;     /* where it was pinned */
    bool locked;
};

/* One that needs a table and no more. */
struct plain_call {
    struct open_map *map;
    struct segment *segment;
};

/* What the process and the thread have, for the calls below alone. */
extern struct registry_process {
    uint64_t *fork_word; /* 0 in a child that has not noticed yet; NULL before the first map */
    uint64_t fork_id;
} registry_process;
extern _Thread_local struct registry_thread {
    struct attachment *last, *list;
    struct update_frame *update;
    uint64_t fork_id; /* the list belongs to this process if it matches the process's */
    bool keyed;
} registry_thread;

/* What liburcu orders, ThreadSanitizer cannot see. */
#ifdef ATOMIC_TSAN
#include <sanitizer/tsan_interface.h>
#define RCU_READ_ENDS(map) ((map) != NULL ? __tsan_release(map) : (void)0)
#define RCU_READERS_ENDED(map) __tsan_acquire(map)
#else
#define RCU_READ_ENDS(map) ((void)0)
#define RCU_READERS_ENDED(map) ((void)0)
#endif

HOT_INLINE bool registry_forked(void)
{
    return registry_process.fork_word != NULL && *registry_process.fork_word == 0;
}

int call_begin_slowly(struct shoal *map, struct call *ret_call);
void call_end_slowly(struct call *call);
struct attachment *registry_attachment_slowly(const struct segment *segment);

/* Begin a call: 0, or SHOAL_EINVAL (NULL, closed, or called from an update function of this map), or why a map that has moved
 * to a new geometry could not be followed.  On 0, call_end must follow. */
#ifdef REGISTRY_REPLACED /* by a scheduler of tests, which has no threads */
int call_begin(struct shoal *map, struct call *ret_call);
void call_end(struct call *call);
int call_attach(struct call *call);
struct attachment *call_attachment(const struct call *call);
bool call_plain_begin(struct shoal *map, struct plain_call *ret_call);
bool call_is_plain(const struct plain_call *call, struct attachment **ret_a);
void call_plain_end(const struct plain_call *call);
#else
HOT_INLINE int call_begin(struct shoal *map, struct call *ret_call)
{
    if (map == NULL || registry_thread.update != NULL || registry_forked())
        return call_begin_slowly(map, ret_call);
    RCU_READ_LOCK();
    struct open_map *open = atomic_load_explicit(&map->open, memory_order_acquire);
    if (open == NULL || atomic_load_explicit(&open->old, memory_order_acquire) != NULL ||
        segment_has_successor(open->segment)) {
        RCU_READ_UNLOCK();
        return call_begin_slowly(map, ret_call);
    }
    *ret_call = (struct call){ .map = open, .segment = open->segment, .locked = true };
    return 0;
}

/* As call_begin, in two steps, for a call that may do its work with the first's result while the second one looks whether the
 * map is plain: without features, and not moving.  False from the first: call_begin must say, and nothing has happened. */
HOT_INLINE bool call_plain_begin(struct shoal *map, struct plain_call *ret_call)
{
    if (map == NULL || registry_thread.update != NULL || registry_forked())
        return false;
    RCU_READ_LOCK();
    ret_call->map = atomic_load_explicit(&map->open, memory_order_acquire);
    if (UNLIKELY(ret_call->map == NULL)) {
        RCU_READ_UNLOCK();
        return false;
    }
    ret_call->segment = ret_call->map->segment;
    return true;
}

HOT_INLINE void call_plain_end(const struct plain_call *call)
{
    RCU_READ_ENDS(call->map);
    (void)call;
    RCU_READ_UNLOCK();
}

HOT_INLINE void call_end(struct call *call)
{
    if (!call->locked || call->map == NULL || call->map->tier != NULL) {
        call_end_slowly(call);
        return;
    }
    RCU_READ_ENDS(call->map);
    RCU_READ_UNLOCK();
}

/* The thread's attachment to the segment, if there is one. */
HOT_INLINE struct attachment *registry_attachment(const struct segment *segment)
{
    struct attachment *a = registry_thread.last;
    if (LIKELY(a != NULL && registry_thread.fork_id == registry_process.fork_id && a->segment == segment &&
               !atomic_load_explicit(&a->gone, memory_order_relaxed)))
        return a;
    return segment->readonly ? NULL : registry_attachment_slowly(segment); /* nobody is attached to a map that is read-only */
}

HOT_INLINE struct attachment *call_attachment(const struct call *call) { return registry_attachment(call->segment); }

/* False: call_plain_end, then call_begin. */
HOT_INLINE bool call_is_plain(const struct plain_call *call, struct attachment **ret_a)
{
    *ret_a = registry_attachment(call->segment);
    return LIKELY(call->segment->geo.features == 0 &&
                  atomic_load_explicit(&call->map->old, memory_order_acquire) == NULL &&
                  !segment_has_successor(call->segment));
}

/* The calling thread's attachment, made now if need be.  0, SHOAL_EREADONLY, SHOAL_EATTACH, SHOAL_EOS. */
int call_attach_slowly(struct call *call);
HOT_INLINE int call_attach(struct call *call)
{
    call->a = call->map->readonly ? NULL : call_attachment(call);
    return call->a != NULL ? 0 : call_attach_slowly(call);
}
#endif

/* From the RCU lock to a reference: for calls that may last. */
void call_pin(struct call *call);

/* References of views. */
void open_map_ref(struct open_map *map);
void open_map_unref(struct open_map *map);
/* Views keep the entry of their thread. */
void attachment_ref(struct attachment *a);
/* One user less of an attachment whose thread may have ended; the last one releases it. */
void attachment_unref(struct attachment *a);

/* While an update function runs, calls on its map are refused. */
struct update_frame {
    const struct shoal *map;
    struct update_frame *outer;
};
void update_enter(struct update_frame *frame, const struct shoal *map);
void update_leave(const struct update_frame *frame);

/* Grows with each fork on the way to this process. */
uint64_t registry_fork_id(void);

/* A mapped segment and the tier below it, NULL where there is none, both of which are its own from here on, also where this
 * fails.  Its one user is the caller. */
int open_map_make(struct segment *segment, struct tier *tier, const char *name, unsigned flags, struct open_map **ret_map);
/* A handle for it, who is its user from here on, also where this fails.  The calling thread is attached unless readonly. */
int registry_open(struct open_map *open, struct shoal **ret_map);
void registry_close(struct shoal *map);

/* The handle's map has moved: from `from` to `to`, whose user the handle becomes.  False: the handle has another one by now. */
bool registry_move(struct shoal *map, struct open_map *from, struct open_map *to);
/* One at a time in a process, also against forks. */
void registry_move_lock(void);
void registry_move_unlock(void);
/* Waits for all calls that may see what is no longer there; not inside of a call. */
void registry_wait_for_calls(void);

#endif
