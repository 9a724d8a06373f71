/* SPDX-License-Identifier: MIT
 *
 * Also the suite's own src/base/os.c and registry.c: the library is linked without these two.
 */
#include "schedules/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/huge.h"
#include "memory/whole.h"
#include "schedules/explore.h"

#define HEAP_BYTES (32u << 10) /* 8 spans of 4 KiB */
#define SEED 0x5eedu
#define ARENA_BYTES (4u << 20)
#define ARENA_ALIGN 16u
#define LOCK_BASE ((uint64_t)1 << 62) /* as in attach.c */
#define OWN_FD 100

struct world world;

/* Memory that the library allocates: all logical processes' together, because all of it is reset at once. */
static struct arena {
    _Alignas(ARENA_ALIGN) uint8_t bytes[ARENA_BYTES];
    size_t used;
} arena;

static struct kept {
    uint8_t *bytes, *arena;
    size_t arena_used;
    struct attachment *a[WORLD_MEMBERS], *attachments[WORLD_MEMBERS];
    uint8_t held[WORLD_MEMBERS][WORLD_ENTRIES];
    int8_t holder[2 * WORLD_ENTRIES];
} kept;

static int8_t lock_holder[2 * WORLD_ENTRIES];
static uint32_t dirty_spans; /* bit per span of the heap */

_Noreturn static void world_fail(const char *what)
{
    (void)fprintf(stderr, "world: %s\n", what);
    abort();
}

/* -- Making it ------------------------------------------------------------------------------------------ */

static void member_make(struct member *m, uint32_t member, const struct geometry *geo)
{
    struct segment *s = &m->segment;
    memset(m, 0, sizeof *m);
    s->base = world.bytes;
    s->geo = *geo;
    s->header = (struct segment_header *)(void *)s->base;
    s->wait = (shared_u32 *)(void *)(s->base + geo->wait_at);
    s->entries = (struct entry *)(void *)(s->base + geo->entries_at);
    s->summary = (shared_u32 *)(void *)(s->base + geo->summary_at);
    s->groups = (struct group *)(void *)(s->base + geo->groups_at);
    s->spans = (shared_u64 *)(void *)(s->base + geo->spans_at);
    s->maps = (shared_u64 *)(void *)(s->base + geo->maps_at);
    s->hints = (shared_u64 *)(void *)(s->base + geo->hints_at);
    s->slots_n = geo->groups_all_n * GROUP_SLOTS;
    s->span_shift = (uint32_t)__builtin_ctzll(geo->span_bytes);
    s->window = WINDOW_GROUPS;
    s->version_mask = UINT64_MAX; /* no store below */
    classes_plan(geo->span_bytes, geo->spans_n, &s->classes);
    s->file = 0;
    s->own = OWN_FD + (int)member;
    s->probe = s->own + (int)WORLD_MEMBERS;
    s->held = m->held;
    pthread_mutex_init(&s->lock, NULL);
    m->open.segment = s;
    atomic_init(&m->handle.open, &m->open);
}

void world_make(uint32_t capacity, uint32_t flags)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = capacity;
    options.flags = flags;
    options.heap_bytes = HEAP_BYTES;
    options.max_threads = WORLD_ENTRIES;
    struct geometry geo;
    if (geometry_plan(&options, &geo) != 0)
        world_fail(shoal_error_text());
    geo.seed = SEED;
    if (geo.segment_bytes / 4 + 2 * WORLD_ENTRIES > WORLD_WORDS_MAX)
        world_fail("the segment has too many words");
    if (world.bytes == NULL)
        world.bytes = mmap(NULL, WORLD_WORDS_MAX * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (kept.bytes == NULL)
        kept.bytes = mmap(NULL, WORLD_WORDS_MAX * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (kept.arena == NULL)
        kept.arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (world.bytes == MAP_FAILED || kept.bytes == MAP_FAILED || kept.arena == MAP_FAILED)
        world_fail("no memory");
    memset(world.bytes, 0, WORLD_WORDS_MAX * 4);
    world.words_n = (uint32_t)(geo.segment_bytes / 4);
    geometry_header(&geo, "", (struct segment_header *)(void *)world.bytes);
    memset(lock_holder, WORLD_NOBODY, sizeof lock_holder);
    arena.used = 0;
    for (uint32_t i = 0; i < WORLD_MEMBERS; i++)
        member_make(&world.member[i], i, &geo);
}

int world_attach(uint32_t member)
{
    return attach_take(&world.member[member].segment, &world.member[member].a);
}

/* -- Keeping and restoring ---------------------------------------------------------------------------- */

void world_keep(void)
{
    memcpy(kept.bytes, world.bytes, (size_t)world.words_n * 4);
    memcpy(kept.arena, arena.bytes, arena.used);
    kept.arena_used = arena.used;
    memcpy(kept.holder, lock_holder, sizeof lock_holder);
    for (uint32_t i = 0; i < WORLD_MEMBERS; i++) {
        kept.a[i] = world.member[i].a;
        kept.attachments[i] = world.member[i].segment.attachments;
        memcpy(kept.held[i], world.member[i].held, WORLD_ENTRIES);
    }
    dirty_spans = 0;
}

void world_restore(void)
{
    const struct geometry *geo = &world.member[0].segment.geo;
    memcpy(world.bytes, kept.bytes, geo->heap_at);
    for (; dirty_spans != 0; dirty_spans &= dirty_spans - 1) {
        uint64_t at = geo->heap_at + (uint64_t)__builtin_ctz(dirty_spans) * geo->span_bytes;
        memcpy(world.bytes + at, kept.bytes + at, geo->span_bytes);
    }
    memcpy(arena.bytes, kept.arena, kept.arena_used);
    arena.used = kept.arena_used;
    memcpy(lock_holder, kept.holder, sizeof lock_holder);
    for (uint32_t i = 0; i < WORLD_MEMBERS; i++) {
        world.member[i].a = kept.a[i];
        world.member[i].segment.attachments = kept.attachments[i];
        pthread_mutex_init(&world.member[i].segment.lock, NULL); /* who was killed may have held it */
        memcpy(world.member[i].held, kept.held[i], WORLD_ENTRIES);
    }
}

void world_dirty(uint32_t word)
{
    const struct geometry *geo = &world.member[0].segment.geo;
    uint64_t at = (uint64_t)word * 4;
    if (at >= geo->heap_at)
        dirty_spans |= 1u << ((at - geo->heap_at) >> world.member[0].segment.span_shift);
}

/* -- Locks ------------------------------------------------------------------------------------------------- */

int world_lock_holder(uint32_t word) { return lock_holder[word - world.words_n]; }

void world_release_locks(uint32_t member)
{
    for (uint32_t i = 0; i < 2 * WORLD_ENTRIES; i++)
        if (lock_holder[i] == (int8_t)member) {
            explore_lock_lost(world.words_n + i);
            lock_holder[i] = WORLD_NOBODY;
        }
}

static uint32_t lock_word_of(uint64_t byte) { return world.words_n + (uint32_t)(byte - LOCK_BASE); }

enum os_lock_answer os_lock(int fd, uint64_t byte)
{
    uint32_t word = lock_word_of(byte);
    explore_lock(word, true);
    int8_t *holder = &lock_holder[word - world.words_n], me = (int8_t)(fd - OWN_FD);
    if (*holder != WORLD_NOBODY && *holder != me)
        return OS_LOCK_BUSY;
    *holder = me;
    return OS_LOCK_TAKEN;
}

void os_unlock(int fd, uint64_t byte)
{
    uint32_t word = lock_word_of(byte);
    explore_lock(word, true);
    if (lock_holder[word - world.words_n] == (int8_t)(fd - OWN_FD))
        lock_holder[word - world.words_n] = WORLD_NOBODY;
}

bool os_is_locked(int fd, uint64_t byte)
{
    (void)fd;
    uint32_t word = lock_word_of(byte);
    explore_lock(word, false);
    return lock_holder[word - world.words_n] != WORLD_NOBODY;
}

/* For closing alone, which these worlds do not do. */
bool os_any_locked(int fd, uint64_t byte, uint64_t n)
{
    (void)fd, (void)byte, (void)n;
    return true;
}

/* The worlds do not outlive the machine. */
int whole_enter(struct segment *s)
{
    (void)s;
    return 0;
}

/* -- The rest of os.h ------------------------------------------------------------------------------------------ */

void *os_map(int fd, uint64_t bytes, bool writable)
{
    (void)fd, (void)bytes, (void)writable;
    return NULL;
}
void os_unmap(void *at, uint64_t bytes) { (void)at, (void)bytes; }
int os_allocate(int fd, uint64_t at, uint64_t bytes)
{
    (void)fd, (void)at, (void)bytes;
    return 0;
}
struct os_file os_file_of(int fd)
{
    (void)fd;
    return (struct os_file){ 1, 1 };
}
bool os_is_file(int fd, struct os_file file)
{
    (void)fd, (void)file;
    return true;
}
int os_reopen(int fd, bool writable)
{
    (void)writable;
    return fd;
}
void os_close(int fd) { (void)fd; }
void os_futex_wait(const shared_u32 *word, uint32_t seen, int64_t timeout_ns)
{
    (void)timeout_ns;
    explore_futex_wait(word, seen);
}
void os_futex_wake_all(shared_u32 *word) { explore_futex_wake(word); }
uint64_t huge_got(const void *at, uint64_t bytes)
{
    (void)at, (void)bytes;
    return 0;
}
int64_t os_clock_ns(void) { return 1; }
bool os_file_unlinked(int fd)
{
    (void)fd;
    return false;
}

/* No two moments are the same. */
int64_t os_wall_ns(void)
{
    static int64_t now;
    return ++now;
}
void os_who(struct os_who *ret_who) { *ret_who = (struct os_who){ .pid = 1 }; }

/* -- The frame of a call ----------------------------------------------------------------------------------------- */

static struct member *member_of(struct open_map *open)
{
    return (struct member *)(void *)((uint8_t *)open - offsetof(struct member, open));
}

int call_begin(struct shoal *map, struct call *ret_call)
{
    struct open_map *open = atomic_load_explicit(&map->open, memory_order_relaxed);
    *ret_call = (struct call){ .map = open, .segment = open->segment, .a = NULL };
    return 0;
}
void call_end(struct call *call) { (void)call; }
int call_attach(struct call *call)
{
    call->a = member_of(call->map)->a;
    return call->a != NULL ? 0 : SHOAL_EATTACH;
}
struct attachment *call_attachment(const struct call *call) { return member_of(call->map)->a; }
bool call_plain_begin(struct shoal *map, struct plain_call *ret_call)
{
    struct open_map *open = atomic_load_explicit(&map->open, memory_order_relaxed);
    *ret_call = (struct plain_call){ .segment = open->segment };
    return open->segment->geo.features == 0;
}
void call_plain_count(const struct plain_call *call, bool hit) { (void)call, (void)hit; }
struct attachment *call_plain_attachment(const struct plain_call *call)
{
    return ((const struct member *)(const void *)((const uint8_t *)call->segment - offsetof(struct member, segment)))->a;
}
void call_plain_end(const struct plain_call *call) { (void)call; }
void call_pin(struct call *call) { (void)call; }
void open_map_ref(struct open_map *map) { (void)map; }
void open_map_unref(struct open_map *map) { (void)map; }
uint64_t registry_fork_id(void) { return 1; }
void update_enter(struct update_frame *frame, const struct shoal *map) { (void)frame, (void)map; }
void update_leave(const struct update_frame *frame) { (void)frame; }

/* -- Private memory -------------------------------------------------------------------------------------------------- */

/* The linker leads the library's calls here (--wrap). */
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void __wrap_free(void *at);

void *__wrap_malloc(size_t bytes)
{
    size_t room = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (arena.used + ARENA_ALIGN + room > ARENA_BYTES)
        world_fail("the arena is full");
    uint8_t *at = arena.bytes + arena.used;
    memcpy(at, &bytes, sizeof bytes);
    arena.used += ARENA_ALIGN + room;
    return at + ARENA_ALIGN;
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    void *at = __wrap_malloc(n * bytes);
    memset(at, 0, n * bytes);
    return at;
}

void *__wrap_realloc(void *old, size_t bytes)
{
    size_t had = 0;
    if (old != NULL)
        memcpy(&had, (uint8_t *)old - ARENA_ALIGN, sizeof had);
    void *at = __wrap_malloc(bytes);
    if (old != NULL)
        memcpy(at, old, had < bytes ? had : bytes);
    return at;
}

void __wrap_free(void *at) { (void)at; }

/* -- Names --------------------------------------------------------------------------------------------------------------- */

static void entry_name(uint64_t at, char *to, size_t bytes)
{
    uint64_t entry = at / sizeof(struct entry), off = at % sizeof(struct entry);
    static const struct {
        const char *name;
        size_t from, to;
    } fields[] = { { "attached", 0, 4 },
                   { "draining", offsetof(struct entry, draining), offsetof(struct entry, draining) + 8 },
                   { "counter", offsetof(struct entry, counter), offsetof(struct entry, pending_block) },
                   { "pending_block", offsetof(struct entry, pending_block), offsetof(struct entry, pending_h) },
                   { "pending_h", offsetof(struct entry, pending_h), offsetof(struct entry, claim) },
                   { "claim", offsetof(struct entry, claim), offsetof(struct entry, owned) },
                   { "owned", offsetof(struct entry, owned), offsetof(struct entry, retired) },
                   { "retired", offsetof(struct entry, retired), offsetof(struct entry, hazard) },
                   { "hazard", offsetof(struct entry, hazard), offsetof(struct entry, gets) } };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (off >= fields[i].from && off < fields[i].to) {
            (void)snprintf(to, bytes, "entry %u %s %u", (unsigned)entry, fields[i].name,
                           (unsigned)((off - fields[i].from) / 8));
            return;
        }
    (void)snprintf(to, bytes, "entry %u byte %u", (unsigned)entry, (unsigned)off);
}

void world_name(uint32_t word, char *to, size_t bytes)
{
    const struct segment *s = &world.member[0].segment;
    const struct geometry *g = &s->geo;
    uint64_t at = (uint64_t)word * 4;
    if (word >= world.words_n)
        (void)snprintf(to, bytes, "%s lock of entry %u", (word - world.words_n) % 2 ? "reap" : "life",
                       (word - world.words_n) / 2);
    else if (at >= g->heap_at)
        (void)snprintf(to, bytes, "heap span %u byte %u", (unsigned)((at - g->heap_at) >> s->span_shift),
                       (unsigned)((at - g->heap_at) & (g->span_bytes - 1)));
    else if (at >= g->hints_at)
        (void)snprintf(to, bytes, "hint of class %u", (unsigned)((at - g->hints_at) / 8));
    else if (at >= g->maps_at)
        (void)snprintf(to, bytes, "bitmap of span %u", (unsigned)((at - g->maps_at) / 8));
    else if (at >= g->spans_at)
        (void)snprintf(to, bytes, "span word %u", (unsigned)((at - g->spans_at) / 8));
    else if (at >= g->groups_at && (at - g->groups_at) % 64 == 0)
        (void)snprintf(to, bytes, "group %u meta", (unsigned)((at - g->groups_at) / 64));
    else if (at >= g->groups_at)
        (void)snprintf(to, bytes, "group %u slot %u", (unsigned)((at - g->groups_at) / 64),
                       (unsigned)((at - g->groups_at) % 64 / 8 - 1));
    else if (at >= g->summary_at)
        (void)snprintf(to, bytes, "summary %u", (unsigned)((at - g->summary_at) / 4));
    else if (at >= g->entries_at)
        entry_name(at - g->entries_at, to, bytes);
    else
        (void)snprintf(to, bytes, "header byte %u", (unsigned)at);
}
