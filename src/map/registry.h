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
    struct segment *_Atomic plain; /* its segment, where that has no features and is not being moved to; else NULL */
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
    struct segment *segment;
    rcu_section section;
};

/* What the process and the thread have, for the calls below alone. */
extern struct registry_process {
    uint64_t *fork_word; /* fork_id; 0 in a child that has not noticed yet */
    uint64_t fork_id;    /* from 1 on */
} registry_process;
extern _Thread_local struct registry_thread {
    /* The handle that registry_plain looked at last, and the thread's attachment to its map, NULL: none.  They count where
     * plain_fork_id is the process's: not in a child that has not noticed yet, nor while an update function runs, nor once the
     * thread's attachments have changed. */
    const struct shoal *plain;
    uint64_t plain_fork_id;
    struct attachment *plain_a;
    struct attachment *last, *list;
    struct update_frame *update;
    uint64_t fork_id; /* the list belongs to this process if it matches the process's */
    bool keyed;
} registry_thread;

/* What liburcu orders, ThreadSanitizer cannot see. */
#ifdef ATOMIC_TSAN
#include <sanitizer/tsan_interface.h>
#define RCU_READ_ENDS(segment) __tsan_release(segment)
#define RCU_READERS_ENDED(segment) __tsan_acquire(segment)
#else
#define RCU_READ_ENDS(segment) ((void)0)
#define RCU_READERS_ENDED(segment) ((void)0)
#endif

HOT_INLINE bool registry_forked(void)
{
    return *registry_process.fork_word == 0;
}

int call_begin_slowly(struct shoal *map, struct call *ret_call);
void call_end_slowly(struct call *call);
struct attachment *registry_attachment_slowly(const struct segment *segment);
/* May plain calls on this handle begin?  Then registry_thread.plain is this one. */
bool registry_plain(struct shoal *map);
/* What the attachment has counted, if it is still one to this segment, which the call under way holds. */
void registry_tell_reads(struct attachment *a, const struct segment *segment);

/* Begin a call: 0, or SHOAL_EINVAL (NULL, closed, or called from an update function of this map), or why a map that has moved
 * to a new geometry could not be followed.  On 0, call_end must follow. */
#ifdef REGISTRY_REPLACED /* by a scheduler of tests, which has no threads */
int call_begin(struct shoal *map, struct call *ret_call);
void call_end(struct call *call);
int call_attach(struct call *call);
struct attachment *call_attachment(const struct call *call);
bool call_plain_begin(struct shoal *map, struct plain_call *ret_call);
void call_plain_count(const struct plain_call *call, bool hit);
struct attachment *call_plain_attachment(const struct plain_call *call);
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

/* As call_begin, for calls that need nothing but a table without features that is not being moved to.  Of the loads between one
 * record's miss and the next key's a processor holds some fifty, so these are few.  False: call_begin must say, and nothing has
 * happened. */
HOT_INLINE bool call_plain_begin(struct shoal *map, struct plain_call *ret_call)
{
    if (UNLIKELY(registry_thread.plain != map || registry_thread.plain_fork_id != *registry_process.fork_word) &&
        !registry_plain(map))
        return false;
    ret_call->section = rcu_enter();
    if (UNLIKELY(ret_call->section == NULL))
        return false;
    ret_call->segment = atomic_load_explicit(&map->plain, memory_order_acquire);
    if (LIKELY(ret_call->segment != NULL))
        return true;
    rcu_leave(ret_call->section);
    return false;
}

HOT_INLINE void call_plain_end(const struct plain_call *call)
{
    RCU_READ_ENDS(call->segment);
    rcu_leave(call->section);
}

/* A read.  Nobody but the thread frees its attachment, so it may count for a map that the handle has left meanwhile. */
HOT_INLINE void call_plain_count(const struct plain_call *call, bool hit)
{
    struct attachment *a = registry_thread.plain_a;
    if (LIKELY(a != NULL) && UNLIKELY(attach_count_read(a, hit)))
        registry_tell_reads(a, call->segment);
}

/* The thread's attachment for a call that writes.  NULL: call_plain_end, then call_begin. */
HOT_INLINE struct attachment *call_plain_attachment(const struct plain_call *call)
{
    struct attachment *a = registry_thread.plain_a;
    if (LIKELY(a != NULL && a->segment == call->segment && !atomic_load_explicit(&a->gone, memory_order_relaxed)))
        return a;
    registry_thread.plain_fork_id = 0; /* the handle has come to another map since registry_plain looked */
    return NULL;
}

HOT_INLINE void call_end(struct call *call)
{
    if (!call->locked || call->map == NULL || call->map->tier != NULL) {
        call_end_slowly(call);
        return;
    }
    RCU_READ_ENDS(call->segment);
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
/* The handle's map is no longer being moved to. */
void registry_moved(struct shoal *map);
/* Waits for all calls that may see what is no longer there; not inside of a call. */
void registry_wait_for_calls(void);

#endif
