/* SPDX-License-Identifier: MIT */
#include "fuzz/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/guard.h"
#include "lib/act.h"
#include "table/record.h"

#define HEAD_WORDS 5u
#define DEATH_TRIES 2000u

const char *image_name(enum image_kind kind)
{
    static const char *const names[IMAGE_KINDS] = { "small", "small-checked", "large", "large-checked" };
    return names[kind];
}

/* -- Keys -------------------------------------------------------------------------------------------- */

size_t key_make(uint32_t k, char to[KEY_ROOM])
{
    /* One shorter than a word, some longer than one. */
    return (size_t)snprintf(to, KEY_ROOM, k % 4 == 0 ? "k%u" : "key-%03u-%u", k, k % 10);
}

size_t value_bytes(const struct image *image, uint32_t k)
{
    static const size_t small[] = { 0, 8, 41, 100, 100 }, large[] = { 0, 9, 63, 150, 234 };
    if (k == KEY_INTEGER)
        return 8;
    bool is_large = image->kind >= IMAGE_LARGE;
    if (k == 3)
        return is_large ? VALUE_ROOM : 5000;
    if (k == 7 && is_large)
        return 5000;
    return (is_large ? large : small)[k % 5];
}

void key_value(const struct image *image, uint32_t k, uint8_t *to)
{
    int64_t integer = INTEGER_VALUE;
    if (k == KEY_INTEGER)
        memcpy(to, &integer, sizeof integer);
    else
        value_make(to, 1000 + k, value_bytes(image, k));
}

/* -- Making it ----------------------------------------------------------------------------------------- */

static struct shoal_options options_of(enum image_kind kind)
{
    struct shoal_options o = SHOAL_OPTIONS_INIT;
    o.capacity = KEYS_N / 2; /* a minimum: more keys than the home groups have slots, so that some lie beyond */
    o.heap_bytes = kind >= IMAGE_LARGE ? 256 * 1024 : 44 * 1024;
    o.max_threads = 4;
    o.flags = (kind & 1u) ? SHOAL_CHECKSUM | SHOAL_MTIME : 0;
    return o;
}

static void put(const struct image *image, struct shoal *map, uint32_t k)
{
    static uint8_t value[VALUE_ROOM];
    struct shoal_how how = SHOAL_HOW_INIT;
    char key[KEY_ROOM];
    size_t n = key_make(k, key);
    how.type = k == KEY_INTEGER ? SHOAL_I64 : k % 3 == 0 ? SHOAL_STR : SHOAL_RAW;
    key_value(image, k, value);
    int rc = shoal_put_with(map, key, n, value, value_bytes(image, k), &how, NULL);
    hold(rc == 0, "put of key %u: %d, %s", k, rc, shoal_error_text());
}

/* A process that ends in the middle of putting key k, at its n-th access; n = 0: behind it, with a view. */
static void die_putting(const struct image *image, uint32_t k, uint64_t n)
{
    int status;
    pid_t pid = fork();
    hold(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        struct shoal *map;
        struct shoal_view view;
        hold(shoal_open(image->path, 0, &map) == 0, "%s", shoal_error_text());
        guard_die_at(n);
        put(image, map, k);
        (void)shoal_view(map, "k0", 2, &view);
        _exit(0);
    }
    hold(waitpid(pid, &status, 0) == pid && status == 0, "a child that was to die: status 0x%x", (unsigned)status);
}

static bool holds_a_tent(const struct image *image)
{
    const struct geometry *g = &((const struct segment_header *)(const void *)image->bytes)->geometry;
    for (uint64_t i = 0; i < g->groups_all_n * 8; i++)
        if (i % 8 != 0 && slot_state(image_word(image->bytes, g->groups_at + i * 8)) == SLOT_TENT)
            return true;
    return false;
}

/* The first access of an insert at which a death leaves a tentative slot. */
static void die_inserting(struct image *image)
{
    uint8_t *before = malloc(image->n);
    hold(before != NULL, "memory");
    memcpy(before, image->bytes, image->n);
    uint64_t n = 1;
    for (; n < DEATH_TRIES; n++) {
        die_putting(image, KEYS_N, n);
        if (holds_a_tent(image))
            break;
        memcpy(image->bytes, before, image->n);
    }
    hold(n < DEATH_TRIES, "no death leaves a tentative slot");
    free(before);
}

static void file_map(struct image *image)
{
    struct stat st;
    int fd = open(image->path, O_RDWR | O_CLOEXEC);
    hold(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", image->path, strerror(errno));
    image->n = (uint64_t)st.st_size;
    image->bytes = mmap(NULL, image->n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    hold(image->bytes != MAP_FAILED, "%s", strerror(errno));
    (void)close(fd);
}

static void segment_make(struct image *image)
{
    struct shoal_options options = options_of(image->kind);
    struct shoal *map;
    (void)unlink(image->path);
    int rc = shoal_create(image->path, &options, &map);
    hold(rc == 0, "%s", shoal_error_text());
    for (uint32_t k = 0; k < KEYS_N; k++)
        put(image, map, k);
    file_map(image);
    die_putting(image, 5, 0);
    for (uint32_t k = KEYS_LIVE; k < KEYS_N; k++) {
        char key[KEY_ROOM];
        size_t n = key_make(k, key);
        hold(shoal_delete(map, key, n) == 0, "%s", shoal_error_text());
    }
    die_inserting(image);
    shoal_close(map);
}

/* -- What a get depends on -------------------------------------------------------------------------------- */

static void view_make(struct image *image)
{
    struct segment *s = &image->view;
    s->base = image->sound;
    s->header = (struct segment_header *)(void *)s->base;
    s->geo = s->header->geometry;
    s->entries = (struct entry *)(void *)(s->base + s->geo.entries_at);
    s->summary = (shared_u32 *)(void *)(s->base + s->geo.summary_at);
    s->groups = (struct group *)(void *)(s->base + s->geo.groups_at);
    s->spans = (shared_u64 *)(void *)(s->base + s->geo.spans_at);
    s->slots_n = s->geo.groups_all_n * GROUP_SLOTS;
    s->span_shift = (uint32_t)__builtin_ctzll(s->geo.span_bytes);
    classes_plan(s->geo.span_bytes, s->geo.spans_n, &s->classes);
}

static void need(struct image *image, uint32_t k, uint64_t from, uint64_t bytes)
{
    for (uint64_t at = from / 8; at < (from + bytes + 7) / 8; at++)
        image->needed_by[at] |= 1u << k;
}

static uint64_t at_of(const struct image *image, const volatile void *word)
{
    return (uint64_t)((const volatile uint8_t *)word - image->sound);
}

/* Key, type, value, and the words of mtime and sum, without the padding. */
static void mark_summed(struct image *image, const struct block_place *place, const struct record *r)
{
    uint8_t *mark = image->summed + place->block;
    if (r->checksum_at == 0)
        return;
    memset(mark + r->mtime_at * 8ul, 1, 8);
    memset(mark + r->checksum_at * 8ul, 1, 8);
    memset(mark + r->key_at * 8ul, 1, r->key_bytes + r->typed);
    memset(mark + r->value_at * 8, 1, r->value_bytes);
}

/* The record that a live slot of the window names, if it is key k's. */
static bool depend_on_slot(struct image *image, uint32_t k, const struct probe *p, uint64_t slot_i)
{
    const struct segment *s = &image->view;
    uint64_t w = load_relaxed_u64(segment_slot(s, slot_i));
    struct block_place place;
    struct record r;
    if (!slot_is_live(w) || !segment_locate(s, slot_block(w), &place) || !record_decode(s, &place, &r) ||
        !record_key_equals(&r, p))
        return false;
    need(image, k, place.block, place.bytes);
    need(image, k, at_of(image, &s->spans[place.span_i]), (uint64_t)span_run(place.span_word) * 8);
    mark_summed(image, &place, &r);
    return true;
}

/* The home's meta word, every slot within its bound, the record with all its block, its span words. */
static void depend(struct image *image, uint32_t k)
{
    const struct segment *s = &image->view;
    char key[KEY_ROOM];
    bool found = false;
    struct probe p = probe_make(s, key, key_make(k, key));
    uint64_t bound = META_BOUND(load_relaxed_u64(&s->groups[p.home].meta));
    need(image, k, 0, IMAGE_FIXED_BYTES);
    need(image, k, at_of(image, &s->groups[p.home]), (bound + 1) * sizeof(struct group));
    for (uint64_t i = p.home * GROUP_SLOTS; i < (p.home + bound + 1) * GROUP_SLOTS; i++)
        found = depend_on_slot(image, k, &p, i) || found;
    hold(found == key_is_there(k), "key %u is %s", k, found ? "there" : "missing");
}

static uint64_t left_by_the_dead(const struct image *image)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal *map;
    hold(shoal_open(image->path, SHOAL_RDONLY, &map) == 0 && shoal_check(map, &report) == 0, "%s", shoal_error_text());
    shoal_close(map);
    hold(report.slots_live == KEYS_LIVE, "%llu keys", (unsigned long long)report.slots_live);
    return report.slots_tentative + report.unreferenced;
}

void image_make(enum image_kind kind, struct image *ret_image)
{
    struct image *image = ret_image;
    memset(image, 0, sizeof *image);
    image->kind = kind;
    (void)snprintf(image->path, sizeof image->path, "/dev/shm/shoal-fuzz-%ld-%u", (long)getpid(), kind);
    segment_make(image);
    hold(kind >= IMAGE_LARGE || image->n <= 65536, "the small segment has %llu bytes", (unsigned long long)image->n);
    image->sound = malloc(image->n);
    image->needed_by = calloc(image->n / 8, sizeof *image->needed_by);
    image->summed = calloc(image->n, 1);
    hold(image->sound != NULL && image->needed_by != NULL && image->summed != NULL, "memory");
    memcpy(image->sound, image->bytes, image->n);
    view_make(image);
    for (uint32_t k = 0; k < KEYS_N; k++)
        depend(image, k);
    image->left = left_by_the_dead(image);
}

void image_restore(struct image *image) { memcpy(image->bytes, image->sound, image->n); }

void image_free(struct image *image)
{
    (void)munmap(image->bytes, image->n);
    (void)unlink(image->path);
    free(image->sound);
    free(image->needed_by);
    free(image->summed);
}

static uint64_t checksum_of(const struct segment_header *h)
{
    return hash_bytes(h, offsetof(struct segment_header, checksum), hash_bytes(h->store, sizeof h->store, SEGMENT_MAGIC));
}

void image_sign(struct image *image)
{
    struct segment_header *h = (struct segment_header *)(void *)image->bytes;
    h->checksum = checksum_of(h);
}

bool image_is_signed(const struct image *image)
{
    const struct segment_header *h = (const struct segment_header *)(const void *)image->bytes;
    return h->checksum == checksum_of(h);
}

/* -- Regions ------------------------------------------------------------------------------------------------- */

static bool is_head(const struct image *image, uint64_t slot_i)
{
    return load_relaxed_u64(segment_slot(&image->view, slot_i)) != 0;
}

static uint64_t heads_n(const struct image *image)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < image->view.slots_n; i++)
        n += is_head(image, i);
    return n;
}

static uint64_t head_at(const struct image *image, uint64_t head_i)
{
    uint64_t i = 0;
    for (;; i++)
        if (is_head(image, i) && head_i-- == 0)
            return slot_block(load_relaxed_u64(segment_slot(&image->view, i)));
}

/* Where a region that lies in one piece begins; the next one's begin is its end. */
static uint64_t region_begin(const struct image *image, enum region region)
{
    const struct geometry *g = &image->view.geo;
    const uint64_t at[] = { 0, g->wait_at, g->entries_at, g->summary_at, g->spans_at, g->hints_at, 0, g->heap_at };
    return at[region];
}

uint64_t region_words(const struct image *image, enum region region)
{
    const struct geometry *g = &image->view.geo;
    switch (region) {
    case REGION_HEADER:
        return 640 / 8;
    case REGION_HINTS:
        return g->classes_n * g->hint_words;
    case REGION_HEADS:
        return heads_n(image) * HEAD_WORDS;
    case REGION_HEAP:
        return g->heap_bytes / 8;
    default:
        return (region_begin(image, region + 1) - region_begin(image, region)) / 8;
    }
}

uint64_t region_at(const struct image *image, enum region region, uint64_t word_i)
{
    if (region == REGION_HEADS)
        return head_at(image, word_i / HEAD_WORDS) + word_i % HEAD_WORDS * 8;
    return region_begin(image, region) + word_i * 8;
}
