/* SPDX-License-Identifier: MIT */
#include "memory/attach.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/os.h"
#include "memory/hazard.h"
#include "memory/settle.h"
#include "memory/whole.h"

/* Far behind any file's end. */
#define LOCK_BASE ((uint64_t)1 << 62)
#define GENERATION_LEASE 1024u /* one shared fetch_add per so many allocations */

static uint64_t life_byte(uint32_t index) { return LOCK_BASE + 2 * (uint64_t)index; }
static uint64_t reap_byte(uint32_t index) { return life_byte(index) + 1; }

static int error_closed(int fd)
{
    errno = EBADF;
    return error_os("attach: descriptor %d was the map's and has been closed by this program", fd);
}

int attach_open_locks(struct segment *s)
{
    s->own = os_reopen(s->file, true);
    s->probe = s->own >= 0 ? os_reopen(s->file, true) : -1;
    if (os_is_file(s->own, s->mapped) && os_is_file(s->probe, s->mapped))
        return 0;
    int rc = s->probe < 0 ? error_os("attach: cannot open the map's file again through /proc/self/fd")
                          : error_closed(s->file);
    os_close(s->own);
    os_close(s->probe);
    s->own = s->probe = -1;
    return rc;
}

/* -- Locks -------------------------------------------------------------------------------------- */

/* Another file, on a number that the program closed, knows no lock and would call everybody dead. */
bool attach_is_dead(const struct segment *s, uint32_t index)
{
    return s->probe >= 0 && index < s->geo.entries_n && !os_is_locked(s->probe, life_byte(index)) &&
           os_is_file(s->probe, s->mapped);
}

bool attach_has_died(const struct segment *s, uint32_t index)
{
    const struct entry *e = &s->entries[index];
    if (load_acquire_u32(&e->attached) == ENTRY_UNUSED) /* [attached] */
        return false;
    uint64_t since = load_acquire_u64(&e->attached_ns); /* [attached] */
    return attach_is_dead(s, index) && load_acquire_u32(&e->attached) != ENTRY_UNUSED && /* [attached] */
           load_relaxed_u64(&e->attached_ns) == since; /* relaxed: behind the load of attached */
}

/* Under the reap lock.  A dead predecessor's entry is marked before its life is locked again: behind that, its
 * taker looks like one who has settled what he found there.  `own` can be asked, because this process holds
 * nothing of an index that is not in `held`. */
static enum os_lock_answer life_lock(struct segment *s, uint32_t index)
{
    struct entry *e = &s->entries[index];
    if (os_is_locked(s->own, life_byte(index)))
        return OS_LOCK_BUSY;
    if (whole_enter(s) != 0) /* before the first write */
        return OS_LOCK_ERROR;
    if (load_relaxed_u32(&e->attached) != ENTRY_UNUSED) /* relaxed: nobody else writes it now */
        store_seq_u32(&e->attached, ENTRY_TAKEN);       /* [attached] */
    return os_lock(s->own, life_byte(index));
}

static bool index_lock(struct segment *s, uint32_t index, bool life, enum os_lock_answer *ret_answer)
{
    if (s->held[index] != 0) {
        *ret_answer = OS_LOCK_BUSY;
        return false;
    }
    *ret_answer = os_is_file(s->own, s->mapped) ? os_lock(s->own, reap_byte(index)) : OS_LOCK_ERROR;
    if (*ret_answer != OS_LOCK_TAKEN)
        return false;
    if (life) {
        *ret_answer = life_lock(s, index);
        if (*ret_answer != OS_LOCK_TAKEN) {
            os_unlock(s->own, reap_byte(index));
            return false;
        }
    }
    s->held[index] = (uint8_t)(HELD_REAP | (life ? HELD_LIFE : 0));
    return true;
}

bool attach_reap_lock(struct segment *s, uint32_t index)
{
    enum os_lock_answer answer;
    pthread_mutex_lock(&s->lock);
    bool taken = index_lock(s, index, false, &answer);
    pthread_mutex_unlock(&s->lock);
    return taken;
}

void attach_reap_unlock(struct segment *s, uint32_t index)
{
    pthread_mutex_lock(&s->lock);
    os_unlock(s->own, reap_byte(index));
    s->held[index] &= (uint8_t)~HELD_REAP;
    pthread_mutex_unlock(&s->lock);
}

bool attach_is_anybody_here(const struct segment *s)
{
    return s->probe < 0 || os_any_locked(s->probe, LOCK_BASE, 2 * (uint64_t)s->geo.entries_n) ||
           !os_is_file(s->probe, s->mapped);
}

/* -- Attaching ------------------------------------------------------------------------------------ */

static int index_take(struct segment *s, uint32_t *ret_index)
{
    enum os_lock_answer answer = OS_LOCK_BUSY;
    pthread_mutex_lock(&s->lock);
    uint32_t i = 0;
    while (i < s->geo.entries_n && !index_lock(s, i, true, &answer) && answer != OS_LOCK_ERROR)
        i++;
    pthread_mutex_unlock(&s->lock);
    if (answer == OS_LOCK_ERROR)
        return os_is_file(s->own, s->mapped) ? error_os("attach: lock of entry %u, or flush of the header", i) : error_closed(s->own);
    if (i == s->geo.entries_n)
        return error_set(SHOAL_EATTACH, "attach: all %u entries are in use; the map was made with max_threads = %u",
                         s->geo.entries_n, s->geo.entries_n);
    *ret_index = i;
    return 0;
}

static void entries_used_raise(struct segment *s, uint32_t n)
{
    shared_u32 *word = &s->header->entries_used;
    for (uint32_t used = 0; (used = load_seq_u32(word)) < n;) /* [entries-used] */
        if (cas_u32(word, used, n))                           /* [entries-used] */
            break;
}

static void entry_sign(struct entry *e)
{
    struct os_who who;
    os_who(&who);
    uint64_t command[COMMAND_BYTES / 8];
    static_assert(sizeof who.command == sizeof command, "same field");
    memcpy(command, who.command, sizeof command);
    store_relaxed_u32(&e->pid, who.pid); /* relaxed: for people only */
    store_relaxed_u64(&e->pid_start, who.start);
    store_relaxed_u64(&e->pid_ns, who.ns);
    for (uint32_t i = 0; i < COMMAND_BYTES / 8; i++)
        store_relaxed_u64(&e->command[i], command[i]);
    store_relaxed_u64(&e->attached_ns, (uint64_t)os_wall_ns());
}

/* Settle what a dead predecessor left. */
static void inherit(struct attachment *a)
{
    struct settle_count count = { 0 };
    settle_entry(a, a->index, &count);
    a->heir_aborted = count.aborted;
    a->heir_completed = count.completed;
    bump_relaxed_u64(&a->entry->reaped, a->heir);
    bump_relaxed_u64(&a->entry->healed, count.aborted + count.completed);
}

int attach_take(struct segment *s, struct attachment **ret_attachment)
{
    struct attachment *a = calloc(1, sizeof *a);
    if (a == NULL) {
        errno = ENOMEM;
        return error_os("attach");
    }
    uint32_t index = 0;
    int rc = index_take(s, &index);
    if (rc != 0) {
        free(a);
        return rc;
    }
    a->segment = s;
    a->index = index;
    a->entry = &s->entries[index];
    a->entry_users = 1;
    a->full_bytes = UINT64_MAX;
    a->retired_free = ~(uint64_t)0;
    a->claim_at = (uint32_t)((uint64_t)index * 37 % s->geo.spans_n);
    entries_used_raise(s, index + 1);
    for (uint32_t i = 0; i < HAZARDS_N; i++) /* a dead predecessor's; both locks are held */
        store_release_u64(&a->entry->hazard[i], 0); /* [hazard] */
    store_release_u64(&a->entry->draining, 0); /* [entry-names] */
    a->heir = load_relaxed_u32(&a->entry->attached) != ENTRY_UNUSED; /* relaxed: nobody else writes it now */
    entry_sign(a->entry);
    if (!a->heir)
        store_seq_u32(&a->entry->attached, ENTRY_IN_USE); /* [attached] */
    inherit(a);
    if (a->heir) /* it was TAKEN until now */
        store_seq_u32(&a->entry->attached, ENTRY_IN_USE); /* [attached] */
    attach_reap_unlock(s, index);
    pthread_mutex_lock(&s->lock);
    a->next = s->attachments;
    s->attachments = a;
    pthread_mutex_unlock(&s->lock);
    *ret_attachment = a;
    return 0;
}

static void attachment_unlink(struct segment *s, struct attachment *a)
{
    for (struct attachment **at = &s->attachments; *at != NULL; at = &(*at)->next)
        if (*at == a) {
            *at = a->next;
            return;
        }
}

void attach_release(struct attachment *a)
{
    struct segment *s = a->segment;
    retire_reclaim(a);
    heap_flush_caches(a);
    for (uint32_t i = 0; i < RETIRED_N; i++) /* still pinned by others: a sweep frees them */
        store_release_u64(&a->entry->retired[i], 0); /* [entry-names] */
    for (uint32_t i = 0; i < HAZARDS_N; i++)
        store_release_u64(&a->entry->hazard[i], 0); /* [hazard] */
    attach_tell_reads(a);
    store_seq_u32(&a->entry->attached, ENTRY_UNUSED); /* [attached] */
    pthread_mutex_lock(&s->lock);
    attachment_unlink(s, a);
    os_unlock(s->own, life_byte(a->index));
    s->held[a->index] = 0;
    pthread_mutex_unlock(&s->lock);
}

void attach_free(struct attachment *a)
{
    for (uint32_t i = 0; i < CLASSES_MAX; i++)
        free(a->cache[i]);
    free(a);
}

uint64_t attach_generation_slowly(struct attachment *a)
{
    for (;;) {
        if (a->generation_next == a->generation_end) {
            a->generation_next = fetch_add_relaxed_u64(&a->segment->header->generation_next, GENERATION_LEASE);
            a->generation_end = a->generation_next + GENERATION_LEASE;
        }
        uint64_t generation = a->generation_next++ & GENERATION_MASK;
        if (attach_generation_serves(a, generation))
            return generation;
    }
}
