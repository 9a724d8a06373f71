/* SPDX-License-Identifier: MIT
 *
 * What is whole in a damaged file.
 *
 * The header must be right.  Of the rest every page may be of another time, or garbage, or missing: nothing leads anywhere
 * but to a record whose checksum holds.  Two ways lead to candidates: the slots, and the blocks of the spans.  They are
 * sorted by the hash of their keys, the best of each key first, and read and verified once more to be given out.
 *
 * Read by pread alone: a mapping would end the process where somebody cuts the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/grow.h"
#include "map/segfile.h"
#include "table/record.h"

#define SALVAGE_FLAGS (SHOAL_FOREIGN | SHOAL_UNVERIFIED)
#define GROUPS_AT_ONCE 64u
#define HEAD_WORDS 3u  /* H, place, and the length of a long value */
#define SPANS_UNSURE 16u /* where no span word confirms a block: no run of several blocks is longer */

struct candidate {
    uint64_t hash, block, generation;
    int64_t mtime_ns;
    enum shoal_trust trust;
};

struct salvage {
    struct segment segment; /* not mapped: geometry, classes, and a copy of the span words */
    int fd;
    unsigned flags;
    struct candidate *found;
    uint64_t found_n, found_room; /* room in bytes */
    void *buffer;                 /* of one record */
    uint64_t buffer_room;
    struct shoal_salvaged count;
};

/* One record in the buffer. */
struct found {
    struct record record;
    uint64_t block, h;
    enum shoal_trust trust;
};

/* -- Reading --------------------------------------------------------------------------------------- */

static bool read_at(struct salvage *v, void *to, uint64_t n, uint64_t at)
{
    uint8_t *next = to;
    while (n > 0) {
        ssize_t got = pread(v->fd, next, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        next += got;
        at += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return true;
}

static uint64_t heap_end(const struct salvage *v) { return v->segment.geo.heap_at + v->segment.geo.heap_bytes; }

/* How long a record may be that begins there; 0 = none can.  A span's first block may be a large value's. */
static uint64_t room_at(const struct salvage *v, uint64_t block)
{
    const struct segment *s = &v->segment;
    struct block_place place;
    if (block < s->geo.heap_at || block >= heap_end(v))
        return 0;
    if (segment_locate(s, block, &place))
        return place.bytes;
    uint64_t rest = heap_end(v) - block, most = SPANS_UNSURE * s->geo.span_bytes;
    bool first = (block - s->geo.heap_at) % s->geo.span_bytes == 0;
    return first || rest < most ? rest : most;
}

/* The record's bytes are in the buffer, and its lengths fit; 0 where not.  SHOAL_EOS without memory. */
static int record_read(struct salvage *v, uint64_t block, bool *ret_read, struct found *ret)
{
    uint64_t head[HEAD_WORDS], room = room_at(v, block);
    const struct segment *s = &v->segment;
    *ret_read = false;
    if (room < sizeof head || !read_at(v, head, sizeof head, block))
        return 0;
    if (!record_decode_words(s->geo.features, (const shared_u64 *)(const void *)head, room, &ret->record))
        return 0;
    uint64_t bytes = (ret->record.value_at + (ret->record.value_bytes + 7) / 8) * 8;
    if (ret->record.key_bytes > s->geo.max_key_bytes || !read_at(v, head, 8, block + bytes - 8))
        return 0; /* no memory for what the file does not have */
    int rc = grow(&v->buffer, &v->buffer_room, bytes, "salvage: record");
    if (rc != 0)
        return rc;
    /* decoded again: somebody may have written to the file meanwhile */
    const shared_u64 *words = v->buffer;
    *ret_read = bytes >= sizeof head && read_at(v, v->buffer, bytes, block) &&
                record_decode_words(s->geo.features, words, bytes, &ret->record);
    ret->block = block;
    ret->h = *ret_read ? load_relaxed_u64(words) : 0; /* relaxed: private */
    return 0;
}

/* -- Judging ---------------------------------------------------------------------------------------- */

static const void *key_of(const struct found *f) { return (const void *)(f->record.words + f->record.key_at); }
static const void *value_of(const struct found *f) { return (const void *)(f->record.words + f->record.value_at); }

static int64_t mtime_of(const struct found *f)
{
    return f->record.mtime_at != 0 ? (int64_t)payload_load(&f->record.words[f->record.mtime_at]) : 0;
}

static bool checksum_holds(const struct salvage *v, const struct found *f)
{
    const struct record *r = &f->record;
    return r->checksum_at != 0 &&
           payload_load(&r->words[r->checksum_at]) == record_checksum(&v->segment, key_of(f), r->key_bytes, value_of(f),
                                                                      r->value_bytes, record_type(r), mtime_of(f));
}

/* Does slot word w, at slot_i, mean this record? */
static bool slot_means(const struct salvage *v, uint64_t w, uint64_t slot_i, const struct found *f)
{
    const struct segment *s = &v->segment;
    struct probe p = probe_make(s, key_of(f), f->record.key_bytes);
    uint64_t group = slot_i / GROUP_SLOTS;
    return slot_names(w, f->block, h_generation(f->h)) && f->record.slot_i == slot_i && slot_finger(w) == p.finger &&
           group >= p.home && group - p.home < WINDOW_GROUPS;
}

static int keep(struct salvage *v, const struct found *f)
{
    if (v->found_n * sizeof *v->found >= v->found_room) {
        void *bytes = v->found;
        int rc = grow(&bytes, &v->found_room, (v->found_n + 1) * 2 * sizeof *v->found, "salvage: list of records");
        v->found = bytes;
        if (rc != 0)
            return rc;
    }
    uint64_t hash = hash_bytes(key_of(f), f->record.key_bytes, v->segment.geo.seed);
    v->found[v->found_n++] = (struct candidate){ hash, f->block, h_generation(f->h), mtime_of(f), f->trust };
    return 0;
}

/* -- From the slots ----------------------------------------------------------------------------------- */

static int try_slot(struct salvage *v, uint64_t w, uint64_t slot_i)
{
    struct found f;
    bool read;
    if (!slot_is_live(w))
        return 0;
    int rc = record_read(v, slot_block(w), &read, &f);
    if (rc != 0)
        return rc;
    bool means = read && slot_means(v, w, slot_i, &f), holds = read && checksum_holds(v, &f);
    f.trust = !holds ? SHOAL_UNSURE : means ? SHOAL_NAMED : SHOAL_LOOSE;
    if (holds || (means && (v->flags & SHOAL_UNVERIFIED)))
        return keep(v, &f);
    v->count.damaged++;
    return 0;
}

static int search_slots(struct salvage *v)
{
    const struct geometry *g = &v->segment.geo;
    uint64_t words[GROUPS_AT_ONCE][1 + GROUP_SLOTS];
    int rc = 0;
    for (uint64_t at = 0; at < g->groups_all_n && rc == 0; at += GROUPS_AT_ONCE) {
        uint64_t n = g->groups_all_n - at < GROUPS_AT_ONCE ? g->groups_all_n - at : GROUPS_AT_ONCE;
        if (!read_at(v, words, n * sizeof words[0], g->groups_at + at * sizeof words[0])) {
            v->count.unreadable++;
            continue;
        }
        for (uint64_t i = 0; i < n * GROUP_SLOTS && rc == 0; i++)
            rc = try_slot(v, words[i / GROUP_SLOTS][1 + i % GROUP_SLOTS], at * GROUP_SLOTS + i);
    }
    return rc;
}

/* -- From the blocks ------------------------------------------------------------------------------------ */

/* What a slot names was found there, or is deleted; what is FREE was given up long ago. */
static bool is_loose(struct salvage *v, const struct found *f)
{
    const struct geometry *g = &v->segment.geo;
    enum block_state state = h_state(f->h);
    uint64_t w = 0, slot_i = f->record.slot_i;
    if (state != BLOCK_OWNED && state != BLOCK_PUB && state != BLOCK_RETIRED)
        return false;
    if (slot_i < v->segment.slots_n)
        (void)read_at(v, &w, sizeof w, g->groups_at + (slot_i + slot_i / GROUP_SLOTS + 1) * 8);
    return !slot_is_in_effect(w) || !slot_names(w, f->block, h_generation(f->h));
}

static int try_block(struct salvage *v, uint64_t block)
{
    struct found f = { .trust = SHOAL_LOOSE };
    bool read;
    int rc = record_read(v, block, &read, &f);
    return rc == 0 && read && is_loose(v, &f) && checksum_holds(v, &f) ? keep(v, &f) : rc;
}

static int search_blocks(struct salvage *v)
{
    const struct segment *s = &v->segment;
    int rc = 0;
    for (uint32_t i = 0; i < s->geo.spans_n && rc == 0;) {
        uint64_t word = load_relaxed_u64(&s->spans[i]); /* relaxed: private */
        if (!segment_run_begins(s, i, word)) {
            i++;
            continue;
        }
        uint32_t class_i = span_class(word), n = segment_blocks_n(s, class_i);
        for (uint32_t b = 0; b < n && rc == 0; b++)
            rc = try_block(v, segment_block_at(s, i, class_i, b));
        i += span_run(word);
    }
    return rc;
}

/* -- Giving out ------------------------------------------------------------------------------------------- */

/* Of one key the best first; of one block, which two slots may lead to, one behind the other. */
static int compare(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    if (a->trust != b->trust)
        return a->trust < b->trust ? -1 : 1;
    if (a->mtime_ns != b->mtime_ns)
        return a->mtime_ns > b->mtime_ns ? -1 : 1;
    if (a->generation != b->generation)
        return a->generation > b->generation ? -1 : 1;
    return (a->block > b->block) - (a->block < b->block);
}

struct giving {
    shoal_salvage_fn *each;
    void *arg;
    void *key; /* of the last one given out, for those of the same hash */
    uint64_t key_room, key_bytes, hash;
};

static int give(struct salvage *v, struct giving *g, const struct found *f, uint64_t hash)
{
    const struct record *r = &f->record;
    struct shoal_item item = { .key = key_of(f), .key_bytes = r->key_bytes, .value = value_of(f),
                               .value_bytes = r->value_bytes, .mtime_ns = mtime_of(f), .type = record_type(r) };
    if (g->key != NULL && g->hash == hash && g->key_bytes == r->key_bytes && memcmp(g->key, item.key, r->key_bytes) == 0) {
        v->count.older++;
        return 0;
    }
    int rc = grow(&g->key, &g->key_room, r->key_bytes, "salvage: key");
    if (rc != 0)
        return rc;
    memcpy(g->key, item.key, r->key_bytes);
    g->key_bytes = r->key_bytes;
    g->hash = hash;
    *(f->trust == SHOAL_NAMED ? &v->count.named : f->trust == SHOAL_LOOSE ? &v->count.loose : &v->count.unsure) += 1;
    return g->each != NULL ? g->each(&item, f->trust, g->arg) : 0;
}

static int give_all(struct salvage *v, struct giving *g)
{
    int rc = 0;
    if (v->found_n > 0)
        qsort(v->found, v->found_n, sizeof *v->found, compare);
    for (uint64_t i = 0; i < v->found_n && rc == 0; i++) {
        const struct candidate *c = &v->found[i];
        struct found f = { .trust = c->trust };
        bool read;
        if (i > 0 && c[-1].block == c->block && c[-1].hash == c->hash)
            continue;
        rc = record_read(v, c->block, &read, &f);
        if (rc != 0 || !read || (c->trust != SHOAL_UNSURE && !checksum_holds(v, &f)) ||
            hash_bytes(key_of(&f), f.record.key_bytes, v->segment.geo.seed) != c->hash)
            continue; /* it changed under us, in a file that is in use */
        rc = give(v, g, &f, c->hash);
    }
    return rc;
}

/* -- The whole ---------------------------------------------------------------------------------------------- */

/* A segment to look things up in, which is mapped nowhere.  Span words that cannot be read lead nowhere. */
static int segment_prepare(struct salvage *v, const struct geometry *geometry)
{
    struct segment *s = &v->segment;
    s->geo = *geometry;
    s->slots_n = geometry->groups_all_n * GROUP_SLOTS;
    s->span_shift = (uint32_t)__builtin_ctzll(geometry->span_bytes);
    classes_plan(geometry->span_bytes, geometry->spans_n, &s->classes);
    s->spans = calloc(geometry->spans_n, sizeof *s->spans);
    if (s->spans == NULL) {
        errno = ENOMEM;
        return error_os("salvage: %llu spans", (unsigned long long)geometry->spans_n);
    }
    for (uint64_t at = 0; at < geometry->spans_n * 8; at += SEGMENT_PAGE) {
        uint64_t n = geometry->spans_n * 8 - at < SEGMENT_PAGE ? geometry->spans_n * 8 - at : SEGMENT_PAGE;
        if (!read_at(v, (uint8_t *)s->spans + at, n, geometry->spans_at + at)) {
            v->count.unreadable++;
            memset((uint8_t *)s->spans + at, 0, n);
        }
    }
    return 0;
}

static int salvage_run(struct salvage *v, const struct geometry *geometry, shoal_salvage_fn *each, void *arg)
{
    struct giving giving = { .each = each, .arg = arg };
    int rc = segment_prepare(v, geometry);
    if (rc == 0)
        rc = search_slots(v);
    if (rc == 0 && (geometry->features & FEATURE_CHECKSUM))
        rc = search_blocks(v);
    if (rc == 0)
        rc = give_all(v, &giving);
    free(giving.key);
    free((void *)v->segment.spans);
    free(v->found);
    free(v->buffer);
    return rc;
}

static int refuse(const char *name, unsigned flags, const struct shoal_salvaged *ret)
{
    if (name == NULL)
        return error_set(SHOAL_EINVAL, "shoal_salvage: name is NULL");
    if (flags & ~(unsigned)SALVAGE_FLAGS)
        return error_set(SHOAL_EINVAL, "shoal_salvage: flags 0x%x are not known", flags & ~(unsigned)SALVAGE_FLAGS);
    if (ret != NULL && ret->size != sizeof *ret)
        return error_set(SHOAL_EINVAL, "shoal_salvage: ret_salvaged is not initialised");
    return 0;
}

int shoal_salvage(const char *name, unsigned flags, shoal_salvage_fn *each, void *arg,
                  struct shoal_salvaged *ret_salvaged)
{
    struct geometry geometry;
    int fd, rc = refuse(name, flags, ret_salvaged);
    if (rc == 0)
        rc = segfile_open_damaged(name, flags & SHOAL_FOREIGN, &fd, &geometry);
    if (rc != 0)
        return rc;
    struct salvage *v = NULL;
    if (!(geometry.features & FEATURE_CHECKSUM) && !(flags & SHOAL_UNVERIFIED))
        rc = error_set(SHOAL_EINVAL, "%s: was made without SHOAL_CHECKSUM: nothing in it can be verified; what is sound in form "
                       "comes out only where that is asked for (SHOAL_UNVERIFIED, --unverified)", name);
    else if ((v = calloc(1, sizeof *v)) == NULL)
        errno = ENOMEM, rc = error_os("%s: salvage", name);
    if (v != NULL) {
        v->fd = fd;
        v->flags = flags;
        v->count = (struct shoal_salvaged)SHOAL_SALVAGED_INIT;
        rc = salvage_run(v, &geometry, each, arg);
        if (rc >= 0 && ret_salvaged != NULL)
            *ret_salvaged = v->count;
    }
    free(v);
    os_close(fd);
    return rc;
}
