/* SPDX-License-Identifier: MIT */
#include "format/geometry.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"

#define STEPS_PER_DOUBLING 16u
#define TAIL_SHARE 18u /* a run's unused end is at most 1/18: 1/17 of rounding and 1/18 of tail are < 12 % */
#define RUN_MAX 16u
#define MULTI_SPANS 8u /* records over 8 spans get a run of their own: rounding to a span wastes < 1/8 */

#define SPAN_MIN 4096u
#define SPAN_MAX (2u << 20)
#define SPANS_WANTED 1024u
#define SPANS_LEAST 8u
#define CAPACITY_MAX ((uint64_t)1 << 31)
#define SEGMENT_MAX ((uint64_t)1 << (OFFSET_BITS + 3))
#define ENTRIES_MAX 16384u
#define ENTRIES_DEFAULT 256u
#define MEAN_RECORD 64u
#define SIZE_SAMPLES 32u /* sizes beside the mean that shoal_size_for looks at */
#define SIZE_ROUNDS 8u   /* the second looks at the spans of the heap that the first asked for; more are rare */
#define HEAP_LEAST (64u * 1024)

static uint64_t round_up(uint64_t x, uint64_t to) { return (x + to - 1) / to * to; }
static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint32_t log2_floor(uint64_t x) { return 63u - (uint32_t)__builtin_clzll(x); }

/* -- Classes ------------------------------------------------------------------------------ */

/* Blocks of `bytes` in `run` spans, their bitmap in front where it has more than one word. */
static void class_layout(uint64_t span_bytes, uint32_t bytes, uint32_t run, struct block_class *ret)
{
    uint64_t room = span_bytes * run, first = 0, n = room / bytes;
    while (n > 64) {
        uint64_t words = (n + 63) / 64;
        first = words * 8;
        uint64_t fit = (room - first) / bytes;
        if (fit >= n || fit <= 64)
            break;
        n = fit;
    }
    if (n > 64 && first + n * bytes > room)
        n = (room - first) / bytes;
    ret->bytes = bytes;
    ret->run = run;
    ret->blocks_n = (uint32_t)n;
    ret->first = (uint32_t)(n > 64 ? first : 0);
    ret->bitmap_n = (uint32_t)((n + 63) / 64);
    ret->reserved = 0;
    ret->inverse = (((uint64_t)1 << 40) + bytes - 1) / bytes;
}

/* The shortest run whose end is hardly wasted. */
static void class_plan(uint64_t span_bytes, uint32_t run_max, uint32_t bytes, struct block_class *ret)
{
    struct block_class best = { 0 };
    double best_share = 2;
    for (uint32_t run = 1; run <= run_max; run++) {
        struct block_class c;
        class_layout(span_bytes, bytes, run, &c);
        uint64_t room = span_bytes * run, tail = room - (uint64_t)c.blocks_n * bytes;
        double share = (double)tail / (double)room;
        if (c.blocks_n > 0 && share < best_share) {
            best = c;
            best_share = share;
        }
        if (c.blocks_n > 0 && tail * TAIL_SHARE <= room)
            break;
    }
    *ret = best;
}

static uint32_t medium_bytes(uint32_t step_i)
{
    uint32_t doubling = step_i / STEPS_PER_DOUBLING, step = step_i % STEPS_PER_DOUBLING;
    uint32_t base = SMALL_MAX << doubling;
    return base + base / STEPS_PER_DOUBLING * (step + 1);
}

void classes_plan(uint64_t span_bytes, uint64_t spans_n, struct classes *ret_classes)
{
    struct classes *c = ret_classes;
    c->n = 0;
    /* A run must stay a small part of the heap: each class in use may keep one that is mostly empty. */
    c->run_max = (uint32_t)least(RUN_MAX, spans_n / 64 > 0 ? spans_n / 64 : 1);
    for (uint32_t bytes = SMALL_MIN; bytes <= SMALL_MAX; bytes += SMALL_STEP)
        class_plan(span_bytes, c->run_max, bytes, &c->of[c->n++]);
    uint64_t limit = span_bytes * (c->run_max < MULTI_SPANS ? c->run_max : MULTI_SPANS);
    for (uint32_t i = 0; medium_bytes(i) <= limit; i++)
        class_plan(span_bytes, c->run_max, medium_bytes(i), &c->of[c->n++]);
}
static_assert(62 + 16 * 15 < CLASSES_MAX, "exact classes, then 16 for each doubling from 512 B to 16 MiB");

uint32_t classes_find_medium(const struct classes *classes, uint64_t bytes)
{
    uint32_t doubling = log2_floor((bytes - 1) / SMALL_MAX);
    uint64_t base = (uint64_t)SMALL_MAX << doubling;
    uint64_t step = (bytes - base - 1) / (base / STEPS_PER_DOUBLING);
    uint64_t i = (SMALL_MAX - SMALL_MIN) / SMALL_STEP + 1 + (uint64_t)doubling * STEPS_PER_DOUBLING + step;
    return i < classes->n ? (uint32_t)i : classes->n;
}

/* -- Sizes ----------------------------------------------------------------------------------- */

static uint64_t features_of(uint32_t flags)
{
    return ((flags & SHOAL_MTIME) ? FEATURE_MTIME : 0) | ((flags & SHOAL_CHECKSUM) ? FEATURE_CHECKSUM : 0);
}

static uint64_t span_bytes_for(uint64_t heap_bytes)
{
    uint64_t want = heap_bytes / SPANS_WANTED;
    if (want <= SPAN_MIN)
        return SPAN_MIN;
    return least((uint64_t)1 << log2_floor(want), SPAN_MAX);
}

/* Heap that one record of so many bytes takes: its share of a full run. */
static uint64_t record_share(const struct classes *classes, uint64_t span_bytes, uint64_t record)
{
    uint32_t class_i = classes_find(classes, record);
    if (class_i == classes->n)
        return round_up(record, span_bytes);
    const struct block_class *c = &classes->of[class_i];
    return (span_bytes * c->run + c->blocks_n - 1) / c->blocks_n;
}

/* Records of the mean size, or spread evenly from half of it to one and a half, whichever takes more. */
static uint64_t mean_share(const struct classes *classes, uint64_t span_bytes, uint64_t record)
{
    uint64_t alike = record_share(classes, span_bytes, record), sum = 0;
    for (uint64_t i = 0; i < SIZE_SAMPLES; i++)
        sum += record_share(classes, span_bytes, record / 2 + record * i / SIZE_SAMPLES + 1);
    uint64_t spread = sum / SIZE_SAMPLES;
    return spread > alike ? spread : alike;
}

/* Each class of these sizes has a run that is half full in the mean. */
static uint64_t runs_begun(const struct classes *classes, uint64_t span_bytes, uint64_t keys, uint64_t record)
{
    uint32_t first = classes_find(classes, record / 2), end = classes_find(classes, record + record / 2) + 1;
    uint64_t spans = 0;
    for (uint32_t i = first; i < end && i < classes->n; i++)
        spans += classes->of[i].run;
    uint64_t n = end - first;
    return spans * span_bytes / 2 * least(keys, n) / n;
}

/* An eighth and a sixteenth more for means that were not quite met. */
static uint64_t heap_wanted(uint64_t heap_bytes, uint64_t keys, uint64_t record)
{
    struct classes classes;
    uint64_t span_bytes = span_bytes_for(heap_bytes);
    classes_plan(span_bytes, heap_bytes / span_bytes, &classes);
    uint64_t bytes = keys * mean_share(&classes, span_bytes, record);
    bytes += bytes / 8;
    return bytes + bytes / 16 + runs_begun(&classes, span_bytes, keys, record) + HEAP_LEAST;
}

/* Heap for `keys` records.  What they take depends on the spans, whose size depends on the heap: larger until
 * it is enough for itself.  Unused heap costs address space only. */
static uint64_t heap_for(uint64_t keys, uint64_t record)
{
    uint64_t bytes = HEAP_LEAST, wanted;
    for (uint32_t i = 0; i < SIZE_ROUNDS && (wanted = heap_wanted(bytes, keys, record)) > bytes; i++)
        bytes = wanted;
    return bytes;
}

int shoal_size_for(uint64_t keys, uint64_t mean_key, uint64_t mean_value, struct shoal_options *ret_options)
{
    if (ret_options == NULL || ret_options->size != sizeof *ret_options)
        return error_set(SHOAL_EINVAL, "shoal_size_for: options are NULL or not initialised");
    if (keys < 1 || keys > CAPACITY_MAX)
        return error_set(SHOAL_EINVAL, "shoal_size_for: %llu keys, 1..2^31 allowed", (unsigned long long)keys);
    if (mean_key < 1 || mean_key > SHOAL_KEY_MAX)
        return error_set(SHOAL_EINVAL, "shoal_size_for: mean key of %llu bytes, 1..65535 allowed",
                         (unsigned long long)mean_key);
    uint64_t record = record_bytes(features_of(ret_options->flags), mean_key, least(mean_value, SEGMENT_MAX), true);
    if (record > SEGMENT_MAX / 2 / keys)
        return error_set(SHOAL_EINVAL, "shoal_size_for: %llu records of %llu bytes are over 256 GiB",
                         (unsigned long long)keys, (unsigned long long)record);
    ret_options->capacity = keys;
    ret_options->heap_bytes = heap_for(keys, record);
    return 0;
}

/* The derived fields, from capacity, heap_bytes (rounded up here), span_bytes, entries_n. */
static void geometry_layout(struct geometry *g)
{
    uint64_t slots = (g->capacity * 4 + 2) / 3; /* load <= 0.75 */
    g->groups_n = (slots + GROUP_SLOTS - 1) / GROUP_SLOTS;
    /* The tail takes every key of a small map, should all have the last home. */
    g->groups_all_n = g->groups_n + least(WINDOW_GROUPS - 1, (g->capacity + GROUP_SLOTS - 1) / GROUP_SLOTS);
    g->runs_n = (g->groups_all_n + RUN_GROUPS - 1) / RUN_GROUPS;
    g->spans_n = (g->heap_bytes + g->span_bytes - 1) / g->span_bytes;
    if (g->spans_n < SPANS_LEAST)
        g->spans_n = SPANS_LEAST;
    g->heap_bytes = g->spans_n * g->span_bytes;
    g->hint_words = (g->spans_n + 63) / 64;
    struct classes classes;
    classes_plan(g->span_bytes, g->spans_n, &classes);
    g->classes_n = classes.n;
    g->run_max = classes.run_max;

    uint64_t at = sizeof(struct segment_header);
    g->wait_at = at;
    at = round_up(at + WAIT_N * 4, SEGMENT_LINE);
    g->entries_at = at;
    at += (uint64_t)g->entries_n * sizeof(struct entry);
    g->summary_at = at;
    at = round_up(at + g->runs_n * 4, SEGMENT_LINE);
    g->groups_at = at;
    at += g->groups_all_n * sizeof(struct group);
    g->dirty_n = (g->features & FEATURE_STORE) ? (g->groups_all_n + 63) / 64 : 0;
    g->dirty_at = at;
    at = round_up(at + 2 * g->dirty_n * 8, SEGMENT_LINE);
    g->recency_n = (g->features & FEATURE_STORE) ? (g->groups_all_n * GROUP_SLOTS + 7) / 8 : 0;
    g->recency_at = at;
    at = round_up(at + g->recency_n * 8, SEGMENT_LINE);
    g->spans_at = at;
    at = round_up(at + g->spans_n * 8, SEGMENT_LINE);
    g->maps_at = at;
    at = round_up(at + g->spans_n * 8, SEGMENT_LINE);
    g->hints_at = at;
    at += g->classes_n * g->hint_words * 8;
    g->heap_at = round_up(at, g->span_bytes);
    g->segment_bytes = g->heap_at + g->heap_bytes;
}

static int options_refuse_later_ones(const struct shoal_options *o)
{
    if (o->on_full == SHOAL_FULL_SPILL && o->store == NULL)
        return error_set(SHOAL_EINVAL, "options.on_full: SHOAL_FULL_SPILL needs options.store");
    if (o->on_full == SHOAL_FULL_EVICT)
        return error_set(SHOAL_EINVAL, "options.on_full: this version drops nothing; use SHOAL_FULL_FAIL or SHOAL_FULL_SPILL");
    if (o->on_full != SHOAL_FULL_FAIL && o->on_full != SHOAL_FULL_SPILL)
        return error_set(SHOAL_EINVAL, "options.on_full: %u is not a policy", o->on_full);
    uint32_t unknown = o->flags & ~(uint32_t)(SHOAL_MTIME | SHOAL_CHECKSUM | SHOAL_PREALLOCATE);
    if (unknown)
        return error_set(SHOAL_EINVAL, "options.flags: 0x%x is not known to this version", unknown);
    return 0;
}

static int options_check(const struct shoal_options *o)
{
    if (o->size != sizeof *o)
        return error_set(SHOAL_EINVAL, "options.size: %zu, expected %zu; start from SHOAL_OPTIONS_INIT", o->size, sizeof *o);
    int rc = options_refuse_later_ones(o);
    if (rc)
        return rc;
    if (o->capacity < 1 || o->capacity > CAPACITY_MAX)
        return error_set(SHOAL_EINVAL, "options.capacity: %llu keys, 1..2^31 allowed", (unsigned long long)o->capacity);
    if (o->heap_bytes > SEGMENT_MAX)
        return error_set(SHOAL_EINVAL, "options.heap_bytes: %llu, at most 512 GiB", (unsigned long long)o->heap_bytes);
    if (o->max_threads > ENTRIES_MAX)
        return error_set(SHOAL_EINVAL, "options.max_threads: %u, at most %u", o->max_threads, ENTRIES_MAX);
    if (o->mode & ~0666u)
        return error_set(SHOAL_EINVAL, "options.mode: 0%o has bits beyond 0666", o->mode);
    if (o->gid < -1 || o->gid >= UINT32_MAX)
        return error_set(SHOAL_EINVAL, "options.gid: %lld is not a group", (long long)o->gid);
    if (o->max_key_bytes > SHOAL_KEY_MAX)
        return error_set(SHOAL_EINVAL, "options.max_key_bytes: %llu, at most 65535", (unsigned long long)o->max_key_bytes);
    return 0;
}

int geometry_plan(const struct shoal_options *options, struct geometry *ret_geometry)
{
    struct shoal_options defaults = SHOAL_OPTIONS_INIT;
    defaults.capacity = 1024;
    const struct shoal_options *o = options ? options : &defaults;
    int rc = options_check(o);
    if (rc)
        return rc;
    struct geometry g = { 0 };
    g.features = features_of(o->flags) | (o->store != NULL ? FEATURE_STORE : 0) |
                 (o->on_full == SHOAL_FULL_SPILL ? FEATURE_SPILL : 0);
    g.capacity = o->capacity;
    g.heap_bytes = o->heap_bytes;
    if (g.heap_bytes == 0)
        g.heap_bytes = heap_for(o->capacity, record_bytes(g.features, 16, MEAN_RECORD - 16, true));
    g.span_bytes = span_bytes_for(g.heap_bytes);
    g.entries_n = o->max_threads ? o->max_threads : ENTRIES_DEFAULT;
    geometry_layout(&g);
    if (g.segment_bytes > SEGMENT_MAX || g.spans_n > SPAN_RUN_MAX)
        return error_set(SHOAL_EINVAL, "options: table and heap together are %llu bytes, at most 512 GiB",
                         (unsigned long long)g.segment_bytes);
    /* Without a limit: what a heap that holds nothing else takes, with the shortest key. */
    uint64_t most = g.heap_bytes - record_bytes(g.features, 1, VALUE_LONG, false) + round_up(VALUE_LONG, 8);
    if (o->max_value_bytes > most)
        return error_set(SHOAL_EINVAL, "options.max_value_bytes: %llu, but a heap of %llu bytes takes at most %llu",
                         (unsigned long long)o->max_value_bytes, (unsigned long long)g.heap_bytes,
                         (unsigned long long)most);
    g.max_value_bytes = o->max_value_bytes ? o->max_value_bytes : most;
    g.max_key_bytes = o->max_key_bytes ? o->max_key_bytes : SHOAL_KEY_MAX;
    *ret_geometry = g;
    return 0;
}

/* -- Header -------------------------------------------------------------------------------------- */

static uint64_t header_checksum(const struct segment_header *h)
{
    return hash_bytes(h, offsetof(struct segment_header, checksum), hash_bytes(h->store, sizeof h->store, SEGMENT_MAGIC));
}

void geometry_header(const struct geometry *geometry, const char *store, struct segment_header *ret_header)
{
    memset(ret_header, 0, sizeof *ret_header);
    ret_header->magic = SEGMENT_MAGIC;
    ret_header->layout = SEGMENT_LAYOUT;
    ret_header->endian = SEGMENT_ENDIAN;
    ret_header->geometry = *geometry;
    memcpy(ret_header->store, store, strlen(store));
    ret_header->checksum = header_checksum(ret_header);
    store_relaxed_u64(&ret_header->generation_next, 1); /* nobody else sees it yet */
}

static bool geometry_is_consistent(const struct geometry *g)
{
    if (g->capacity < 1 || g->capacity > CAPACITY_MAX || g->entries_n < 1 || g->entries_n > ENTRIES_MAX)
        return false;
    if (g->span_bytes < SPAN_MIN || g->span_bytes > SPAN_MAX || (g->span_bytes & (g->span_bytes - 1)) != 0)
        return false;
    if (g->heap_bytes < g->span_bytes || g->heap_bytes > SEGMENT_MAX)
        return false;
    if (g->heap_bytes / g->span_bytes > SPAN_RUN_MAX)
        return false;
    if (g->max_key_bytes < 1 || g->max_key_bytes > SHOAL_KEY_MAX || g->max_value_bytes > g->heap_bytes)
        return false;
    bool has_store = (g->features & FEATURE_STORE) != 0;
    if ((g->spill_flip != 0 && (!has_store || g->spill_flip != META_SPILL_MASK)) ||
        ((g->features & FEATURE_SPILL) != 0 && !has_store))
        return false;
    struct geometry again = *g;
    geometry_layout(&again);
    return memcmp(&again, g, sizeof again) == 0 && g->segment_bytes <= SEGMENT_MAX;
}

int geometry_check(const char *name, const struct segment_header *header, uint64_t file_bytes,
                   struct geometry *ret_geometry)
{
    if (header->magic == __builtin_bswap64(SEGMENT_MAGIC))
        return error_set(SHOAL_EVERSION, "%s: made on a machine of the other byte order", name);
    if (header->magic != SEGMENT_MAGIC)
        return error_set(SHOAL_ECORRUPT, "%s: not a Shoal map (bytes 0..7 are %016llx)", name,
                         (unsigned long long)header->magic);
    if (header->endian != SEGMENT_ENDIAN)
        return error_set(SHOAL_EVERSION, "%s: byte order mark 0x%08x, this machine writes 0x%08x", name, header->endian,
                         SEGMENT_ENDIAN);
    if (header->layout != SEGMENT_LAYOUT)
        return error_set(SHOAL_EVERSION, "%s: layout version %u, this library reads %u", name, header->layout,
                         SEGMENT_LAYOUT);
    if (header->checksum != header_checksum(header))
        return error_set(SHOAL_ECORRUPT, "%s: header checksum %016llx, computed %016llx", name,
                         (unsigned long long)header->checksum, (unsigned long long)header_checksum(header));
    const struct geometry *g = &header->geometry;
    if (g->features & ~(uint64_t)FEATURES_KNOWN)
        return error_set(SHOAL_EVERSION, "%s: features 0x%llx, this library knows 0x%x", name,
                         (unsigned long long)g->features, (unsigned)FEATURES_KNOWN);
    if (!geometry_is_consistent(g))
        return error_set(SHOAL_ECORRUPT, "%s: the header's geometry contradicts itself", name);
    if (header->store[STORE_PATH_BYTES - 1] != 0 || (header->store[0] != 0) != ((g->features & FEATURE_STORE) != 0))
        return error_set(SHOAL_ECORRUPT, "%s: the header's store contradicts its features", name);
    if (file_bytes != g->segment_bytes)
        return error_set(SHOAL_ECORRUPT, "%s: %s: %llu of %llu bytes", name,
                         file_bytes < g->segment_bytes ? "truncated" : "longer than its header says",
                         (unsigned long long)file_bytes, (unsigned long long)g->segment_bytes);
    *ret_geometry = *g;
    return 0;
}
