/* SPDX-License-Identifier: MIT */
#include "map/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os.h"
#include "map/flush.h"
#include "map/move.h"
#include "memory/whole.h"
#include "tier/tier.h"

/* What a process has besides: handles under a lock that is held over fork. */
static struct {
    pthread_mutex_t lock, move_lock; /* move_lock before lock */
    pthread_once_t once;
    pthread_key_t thread_key;
    struct shoal *handles;
    struct open_map *maps;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER, .move_lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

static uint64_t not_wiped = 1; /* before the first map, and where no page can be wiped */
struct registry_process registry_process = { .fork_word = &not_wiped, .fork_id = 1 };
_Thread_local struct registry_thread registry_thread;

/* -- Fork ----------------------------------------------------------------------------------------- */

/* The child's copies of the parent's attachments; the entries are the parent's. */
static void child_forget_attachments(struct segment *s)
{
    for (struct attachment *a = s->attachments, *next; a != NULL; a = next) {
        next = a->next;
        attach_free(a);
    }
    s->attachments = NULL;
}

/* In the child, alone or under the lock. */
static void child_take_over(void)
{
    registry_process.fork_id++;
    for (struct open_map *open = registry.maps; open != NULL; open = open->next) {
        struct segment *s = open->segment;
        os_close(s->own);
        os_close(s->probe);
        s->own = s->probe = -1;
        pthread_mutex_init(&s->lock, NULL); /* another thread of the parent may have held it */
        memset(s->held, 0, s->geo.entries_n);
        child_forget_attachments(s);
        atomic_store_explicit(&open->users, 1, memory_order_relaxed); /* views and calls are the parent's; a map that is
                                                                       * moved from has the other one for its user */
    }
    for (struct shoal *map = registry.handles; map != NULL; map = map->next) {
        flusher_forget(map->flusher);
        map->flusher = NULL;
        pthread_mutex_init(&map->flush_mutex, NULL);
    }
    *registry_process.fork_word = registry_process.fork_id;
}

static void fork_prepare(void)
{
    pthread_mutex_lock(&registry.move_lock);
    pthread_mutex_lock(&registry.lock);
    urcu_bp_before_fork();
}

static void fork_parent(void)
{
    urcu_bp_after_fork_parent();
    pthread_mutex_unlock(&registry.lock);
    pthread_mutex_unlock(&registry.move_lock);
}

static void fork_child(void)
{
    urcu_bp_after_fork_child();
    child_take_over();
    pthread_mutex_unlock(&registry.lock);
    pthread_mutex_unlock(&registry.move_lock);
}

/* A clone that ran no handlers. */
__attribute__((noinline)) static void fork_noticed(void)
{
    pthread_mutex_lock(&registry.lock);
    if (*registry_process.fork_word == 0)
        child_take_over();
    pthread_mutex_unlock(&registry.lock);
}

uint64_t registry_fork_id(void)
{
    if (registry_forked())
        fork_noticed();
    return registry_process.fork_id;
}

/* -- Threads ---------------------------------------------------------------------------------------- */

static void attachment_release_and_free(struct attachment *a)
{
    bool orphan = a->orphan;
    attach_release(a);
    atomic_store_explicit(&a->gone, true, memory_order_release); /* from here on its thread may free it */
    if (orphan)
        attach_free(a);
}

/* Under the registry's lock. */
static void attachment_drop(struct attachment *a)
{
    if (--a->entry_users == 0)
        attachment_release_and_free(a);
}

void attachment_ref(struct attachment *a)
{
    pthread_mutex_lock(&registry.lock);
    a->entry_users++;
    pthread_mutex_unlock(&registry.lock);
}

void attachment_unref(struct attachment *a)
{
    pthread_mutex_lock(&registry.lock);
    if (!atomic_load_explicit(&a->gone, memory_order_relaxed))
        attachment_drop(a);
    pthread_mutex_unlock(&registry.lock);
}

static void thread_exit(void *unused)
{
    (void)unused;
    registry_thread.plain_fork_id = 0;
    if (registry_thread.fork_id != registry_fork_id())
        registry_thread.list = NULL; /* they were forgotten when the fork was noticed */
    pthread_mutex_lock(&registry.lock);
    for (struct attachment *a = registry_thread.list, *next; a != NULL; a = next) {
        next = a->next_of_thread;
        a->orphan = true;
        if (atomic_load_explicit(&a->gone, memory_order_acquire))
            attach_free(a);
        else
            attachment_drop(a);
    }
    registry_thread.list = registry_thread.last = NULL;
    pthread_mutex_unlock(&registry.lock);
}

static void registry_start(void)
{
    uint64_t *word = os_wipe_on_fork_word();
    if (word != NULL) {
        *word = registry_process.fork_id;
        registry_process.fork_word = word;
    }
    pthread_atfork(fork_prepare, fork_parent, fork_child);
    pthread_key_create(&registry.thread_key, thread_exit);
}

/* The thread's attachments that are of use; others are let go. */
static void thread_prune(void)
{
    registry_thread.plain_fork_id = 0;
    if (registry_thread.fork_id != registry_process.fork_id) {
        registry_thread.list = NULL;
        registry_thread.fork_id = registry_process.fork_id;
    }
    registry_thread.last = NULL;
    for (struct attachment **at = &registry_thread.list; *at != NULL;) {
        struct attachment *a = *at;
        if (atomic_load_explicit(&a->gone, memory_order_acquire)) {
            *at = a->next_of_thread;
            attach_free(a);
        } else {
            at = &a->next_of_thread;
        }
    }
}

struct attachment *registry_attachment_slowly(const struct segment *segment)
{
    struct attachment *a;
    if (registry_thread.list == NULL)
        return NULL;
    thread_prune();
    for (a = registry_thread.list; a != NULL; a = a->next_of_thread)
        if (a->segment == segment)
            break;
    registry_thread.last = a;
    return a;
}

static int thread_attach(struct segment *s, struct attachment **ret_attachment)
{
    int rc = 0;
    pthread_mutex_lock(&registry.lock);
    if (s->own < 0)
        rc = attach_open_locks(s);
    pthread_mutex_unlock(&registry.lock);
    if (rc == 0)
        rc = attach_take(s, ret_attachment);
    if (rc != 0)
        return rc;
    thread_prune();
    if (!registry_thread.keyed) {
        (void)pthread_setspecific(registry.thread_key, &registry_thread);
        registry_thread.keyed = true;
    }
    (*ret_attachment)->next_of_thread = registry_thread.list;
    registry_thread.list = registry_thread.last = *ret_attachment;
    return 0;
}

int call_attach_slowly(struct call *call)
{
    if (call->map->readonly)
        return error_set(SHOAL_EREADONLY, "%s: opened with SHOAL_RDONLY", call->map->name);
    return thread_attach(call->segment, &call->a);
}

/* -- Calls -------------------------------------------------------------------------------------------- */

__attribute__((noinline)) static int call_refuse(struct call *call, const char *why)
{
    call_end(call);
    return error_set(SHOAL_EINVAL, "%s", why);
}

int call_begin_slowly(struct shoal *map, struct call *ret_call)
{
    ret_call->map = ret_call->old = NULL;
    ret_call->a = NULL;
    ret_call->locked = false;
    if (map == NULL)
        return error_set(SHOAL_EINVAL, "map is NULL");
    if (registry_forked())
        fork_noticed();
    for (const struct update_frame *u = registry_thread.update; u != NULL; u = u->outer)
        if (u->map == map)
            return error_set(SHOAL_EINVAL, "an update function must not call its own map");
    struct open_map *open;
    for (;;) {
        RCU_READ_LOCK();
        ret_call->locked = true;
        open = atomic_load_explicit(&map->open, memory_order_acquire);
        if (open == NULL)
            return call_refuse(ret_call, "the map is closed");
        ret_call->old = atomic_load_explicit(&open->old, memory_order_acquire);
        if (!move_is_due(open, ret_call->old))
            break;
        RCU_READ_UNLOCK();
        ret_call->locked = false;
        int rc = move_turn(map);
        if (rc != 0)
            return rc;
    }
    ret_call->map = open;
    ret_call->segment = open->segment;
    return 0;
}

bool registry_plain(struct shoal *map)
{
    if (map == NULL || registry_thread.update != NULL || registry_forked() || !RCU_CAN_ENTER)
        return false;
    RCU_READ_LOCK();
    struct segment *segment = atomic_load_explicit(&map->plain, memory_order_acquire);
    struct attachment *a = segment != NULL ? registry_attachment(segment) : NULL;
    RCU_READ_UNLOCK();
    if (segment == NULL)
        return false;
    registry_thread.plain = map;
    registry_thread.plain_fork_id = registry_process.fork_id;
    registry_thread.plain_a = a;
    return true;
}

void registry_tell_reads(struct attachment *a, const struct segment *segment)
{
    if (a->segment == segment && !atomic_load_explicit(&a->gone, memory_order_acquire))
        attach_tell_reads(a);
    else
        registry_thread.plain_fork_id = 0;
}

void call_pin(struct call *call)
{
    open_map_ref(call->map);
    if (call->old != NULL)
        open_map_ref(call->old);
    call->fork_id = registry_process.fork_id;
    RCU_READ_UNLOCK();
    call->locked = false;
}

void call_end_slowly(struct call *call)
{
    if (call->locked && call->map != NULL && call->map->tier != NULL && store_is_untidy(call->map->tier->store)) {
        call_pin(call); /* waits for all readers, so not as one of them */
        store_tidy(call->map->tier->store);
    }
    if (call->locked) {
        if (call->map != NULL)
            RCU_READ_ENDS(call->segment);
        RCU_READ_UNLOCK();
    } else if (call->map != NULL && call->fork_id == registry_fork_id()) {
        open_map_unref(call->map);
        if (call->old != NULL)
            open_map_unref(call->old);
    }
}

void update_enter(struct update_frame *frame, const struct shoal *map)
{
    frame->map = map;
    frame->outer = registry_thread.update;
    registry_thread.update = frame;
    registry_thread.plain_fork_id = 0;
}

void update_leave(const struct update_frame *frame) { registry_thread.update = frame->outer; }

/* -- Open and close -------------------------------------------------------------------------------------- */

void open_map_ref(struct open_map *map) { atomic_fetch_add_explicit(&map->users, 1, memory_order_relaxed); }

static void open_map_destroy(struct open_map *map)
{
    struct segment *s = map->segment;
    struct open_map *old = atomic_load_explicit(&map->old, memory_order_relaxed);
    pthread_mutex_lock(&registry.lock);
    while (s->attachments != NULL)
        attachment_release_and_free(s->attachments);
    pthread_mutex_unlock(&registry.lock);
    whole_leave(s); /* may take long; a child that is forked meanwhile closes its copies of the descriptors */
    pthread_mutex_lock(&registry.lock);
    for (struct open_map **at = &registry.maps; *at != NULL; at = &(*at)->next)
        if (*at == map) {
            *at = map->next;
            break;
        }
    pthread_mutex_unlock(&registry.lock);
    tier_close(map->tier);
    segment_unmap(s);
    free(map->path);
    free(map);
    if (old != NULL)
        open_map_unref(old);
}

void open_map_unref(struct open_map *map)
{
    if (atomic_fetch_sub_explicit(&map->users, 1, memory_order_acq_rel) == 1)
        open_map_destroy(map);
}

/* Under the registry's lock, behind each change of what it depends on, and before anybody waits for the calls that may still see
 * what was there. */
static void handle_look(struct shoal *map)
{
    struct open_map *open = atomic_load_explicit(&map->open, memory_order_relaxed);
    bool plain = open != NULL && open->segment->geo.features == 0 &&
                 atomic_load_explicit(&open->old, memory_order_relaxed) == NULL;
    atomic_store_explicit(&map->plain, plain ? open->segment : NULL, memory_order_release);
}

static struct shoal *handle_take(struct open_map *open)
{
    pthread_mutex_lock(&registry.lock);
    struct shoal *map = registry.handles;
    while (map != NULL && atomic_load_explicit(&map->open, memory_order_relaxed) != NULL)
        map = map->next;
    if (map == NULL) {
        map = calloc(1, sizeof *map);
        if (map != NULL) {
            pthread_mutex_init(&map->flush_mutex, NULL);
            map->next = registry.handles;
            registry.handles = map;
        }
    }
    if (map != NULL) {
        atomic_fetch_add_explicit(&map->openings, 1, memory_order_relaxed); /* relaxed: seen with `open` */
        atomic_store_explicit(&map->open, open, memory_order_release);
        handle_look(map);
    }
    pthread_mutex_unlock(&registry.lock);
    return map;
}

/* Relative ones as they are now, and bare ones as they are. */
static char *path_from_everywhere(const char *name)
{
    char *path = NULL, *here = strchr(name, '/') != NULL && name[0] != '/' ? getcwd(NULL, 0) : NULL;
    if (here == NULL)
        return strdup(name);
    if (asprintf(&path, "%s/%s", here, name) < 0)
        path = NULL;
    free(here);
    return path;
}

int open_map_make(struct segment *segment, struct tier *tier, const char *name, unsigned flags, struct open_map **ret_map)
{
    pthread_once(&registry.once, registry_start);
    (void)registry_fork_id();
    struct open_map *open = calloc(1, sizeof *open);
    if (open == NULL || (open->path = path_from_everywhere(name)) == NULL) {
        free(open);
        tier_close(tier);
        segment_unmap(segment);
        errno = ENOMEM;
        return error_os("%s", name);
    }
    open->segment = segment;
    open->tier = tier;
    open->readonly = (flags & SHOAL_RDONLY) != 0;
    open->flags = flags;
    open->users = 1;
    (void)snprintf(open->name, sizeof open->name, "%s", name);
    pthread_mutex_lock(&registry.lock);
    open->next = registry.maps;
    registry.maps = open;
    pthread_mutex_unlock(&registry.lock);
    *ret_map = open;
    return 0;
}

int registry_open(struct open_map *open, struct shoal **ret_map)
{
    struct attachment *a;
    int rc = open->readonly ? 0 : thread_attach(open->segment, &a);
    struct shoal *map = rc == 0 ? handle_take(open) : NULL;
    if (map == NULL) {
        if (rc == 0)
            rc = error_os("%s: handle", open->name);
        open_map_unref(open);
        return rc;
    }
    *ret_map = map;
    return 0;
}

bool registry_move(struct shoal *map, struct open_map *from, struct open_map *to)
{
    pthread_mutex_lock(&registry.lock);
    bool done = atomic_compare_exchange_strong_explicit(&map->open, &from, to, memory_order_acq_rel, memory_order_relaxed);
    handle_look(map);
    pthread_mutex_unlock(&registry.lock);
    return done;
}

void registry_moved(struct shoal *map)
{
    pthread_mutex_lock(&registry.lock);
    handle_look(map);
    pthread_mutex_unlock(&registry.lock);
}

void registry_move_lock(void) { pthread_mutex_lock(&registry.move_lock); }
void registry_move_unlock(void) { pthread_mutex_unlock(&registry.move_lock); }

void registry_wait_for_calls(void) { urcu_bp_synchronize_rcu(); }

void registry_close(struct shoal *map)
{
    if (atomic_load_explicit(&map->open, memory_order_acquire) != NULL)
        flusher_stop(map); /* its thread uses the handle */
    (void)registry_fork_id();
    pthread_mutex_lock(&registry.lock);
    struct open_map *open = atomic_exchange_explicit(&map->open, NULL, memory_order_acq_rel);
    handle_look(map);
    pthread_mutex_unlock(&registry.lock);
    if (open == NULL)
        return;
    urcu_bp_synchronize_rcu();
    RCU_READERS_ENDED(open->segment);
    open_map_unref(open);
}
