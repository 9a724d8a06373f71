/* SPDX-License-Identifier: MIT
 *
 * Taking blocks.  In order: what this attachment has retired and nobody pins, the private cache of the class, bitmaps of
 * its spans, an unused span; what to do when none of these has any is in room.c.
 *
 * A hint leads to a block; the block is then pinned, the span word re-read, and H moved FREE -> OWNED by
 * one CAS.  A stale hint costs a look.  If the taker dies: hints that it held come back by the sweep
 * (FREE but missing from the bitmap), a block it made OWNED is named in its entry.
 */
#include "memory/heap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "memory/evacuate.h"
#include "memory/retire.h"

/* -- Bitmaps ---------------------------------------------------------------------------------- */

static shared_u64 *bitmap_word(const struct segment *s, uint32_t span_i, uint32_t class_i, uint32_t word)
{
    if (class_i == s->classes.n || s->classes.of[class_i].bitmap_n == 1)
        return &s->maps[span_i];
    return segment_block(s, segment_span_at(s, span_i)) + word;
}

static shared_u64 *hint_word(const struct segment *s, uint32_t class_i, uint32_t span_i)
{
    return &s->hints[(uint64_t)class_i * s->geo.hint_words + span_i / 64];
}

static void hint_set(const struct segment *s, uint32_t class_i, uint32_t span_i)
{
    if (class_i == s->classes.n)
        return;
    shared_u64 *word = hint_word(s, class_i, span_i);
    uint64_t bit = (uint64_t)1 << (span_i % 64);
    if ((load_relaxed_u64(word) & bit) == 0) /* [hint] */
        (void)fetch_or_u64(word, bit); /* [hint] */
}

void heap_publish(const struct segment *s, const struct block_place *p)
{
    shared_u64 *word = bitmap_word(s, p->span_i, p->class_i, p->index / 64);
    (void)fetch_or_u64(word, (uint64_t)1 << (p->index % 64)); /* [hint] */
    hint_set(s, p->class_i, p->span_i);
}

static bool hint_is_set(const struct segment *s, uint32_t class_i, uint32_t span_i)
{
    return class_i == s->classes.n || (load_relaxed_u64(hint_word(s, class_i, span_i)) >> (span_i % 64) & 1) != 0; /* [hint] */
}

bool heap_is_published(const struct segment *s, const struct block_place *p)
{
    uint64_t word = load_relaxed_u64(bitmap_word(s, p->span_i, p->class_i, p->index / 64)); /* [hint] */
    return (word >> (p->index % 64) & 1) != 0 && hint_is_set(s, p->class_i, p->span_i);
}

uint32_t heap_published_n(const struct segment *s, uint32_t span_i, uint32_t class_i)
{
    uint32_t words = class_i == s->classes.n ? 1 : s->classes.of[class_i].bitmap_n, n = 0;
    for (uint32_t w = 0; w < words; w++)
        n += (uint32_t)__builtin_popcountll(load_relaxed_u64(bitmap_word(s, span_i, class_i, w))); /* [hint] */
    uint32_t most = segment_blocks_n(s, class_i);
    return n < most ? n : most;
}

bool heap_class_is_hinted(const struct segment *s, uint32_t class_i)
{
    for (uint64_t w = 0; w < s->geo.hint_words; w++)
        if (load_relaxed_u64(&s->hints[(uint64_t)class_i * s->geo.hint_words + w]) != 0) /* [hint] */
            return true;
    return false;
}

/* -- Caches -------------------------------------------------------------------------------------- */

static struct block_cache *cache_of(struct attachment *a, uint32_t class_i)
{
    if (a->cache[class_i] == NULL) {
        a->cache[class_i] = calloc(1, sizeof *a->cache[class_i]);
        if (a->cache[class_i] != NULL) /* attachments begin far apart, so that they share few lines */
            a->cache[class_i]->span_at = a->claim_at;
    }
    return a->cache[class_i];
}

void heap_offer(struct attachment *a, const struct block_place *p)
{
    struct block_cache *cache = p->class_i < a->segment->classes.n ? cache_of(a, p->class_i) : NULL;
    if (cache != NULL && cache->n < CACHE_N)
        cache->of[cache->n++] = *p;
    else
        heap_publish(a->segment, p);
}

static void cache_publish(struct attachment *a, const struct block_place *f)
{
    if (hazard_guard_span(a, f->span_i, f->span_word))
        heap_publish(a->segment, f);
    hazard_clear(a, HAZARD_GUARD);
}

void heap_flush_caches(struct attachment *a)
{
    for (uint32_t i = 0; i < a->segment->classes.n; i++) {
        struct block_cache *cache = a->cache[i];
        while (cache != NULL && cache->n > 0)
            cache_publish(a, &cache->of[--cache->n]);
    }
}

/* Move the free blocks of one bitmap word into the empty cache; the span is guarded. */
static void cache_take_word(struct attachment *a, struct block_cache *cache, uint32_t span_i, uint32_t class_i,
                            uint64_t span_word, uint32_t word_i)
{
    const struct segment *s = a->segment;
    shared_u64 *word = bitmap_word(s, span_i, class_i, word_i);
    if (load_relaxed_u64(word) == 0) /* [hint] */
        return;
    uint64_t bits = exchange_u64(word, 0); /* [hint] */
    uint32_t blocks_n = s->classes.of[class_i].blocks_n;
    for (uint32_t i = 64; i-- > 0;) { /* last in, first out: hand them out in ascending order */
        uint32_t index = word_i * 64 + i;
        if ((bits >> i & 1) != 0 && index < blocks_n && cache->n < CACHE_N)
            cache->of[cache->n++] = (struct block_place){ .block = segment_block_at(s, span_i, class_i, index),
                                                          .bytes = s->classes.of[class_i].bytes, .span_word = span_word,
                                                          .span_i = span_i, .class_i = class_i, .index = index };
    }
}

static bool cache_fill_from_span(struct attachment *a, struct block_cache *cache, uint32_t class_i, uint32_t span_i)
{
    const struct segment *s = a->segment;
    uint64_t word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
    bool mine = span_state(word) == SPAN_READY && span_class(word) == class_i &&
                segment_run_is_open(s, span_i, word) && hazard_guard_span(a, span_i, word);
    if (mine) {
        for (uint32_t w = 0; w < s->classes.of[class_i].bitmap_n && cache->n == 0; w++)
            cache_take_word(a, cache, span_i, class_i, word, w);
    }
    hazard_clear(a, HAZARD_GUARD);
    return cache->n > 0;
}

static bool span_is_being_emptied(uint64_t word, uint32_t class_i)
{
    return (span_state(word) == SPAN_DRAIN || span_state(word) == SPAN_CLOSED) && span_class(word) == class_i;
}

/* The span seems to have nothing: say so, and look again, because somebody may have freed in between (and
 * a death in between loses the hint until a sweep).  One that is being emptied keeps its hint: it may be
 * called off. */
static bool cache_fill_or_unhint(struct attachment *a, struct block_cache *cache, uint32_t class_i, uint32_t span_i)
{
    const struct segment *s = a->segment;
    shared_u64 *hint = hint_word(s, class_i, span_i);
    uint64_t bit = (uint64_t)1 << (span_i % 64), word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
    if (span_is_being_emptied(word, class_i))
        return false;
    (void)fetch_and_u64(hint, ~bit); /* [hint] */
    word = load_acquire_u64(&s->spans[span_i]); /* [span-ready] */
    bool filled = cache_fill_from_span(a, cache, class_i, span_i);
    if (filled || span_is_being_emptied(word, class_i))
        (void)fetch_or_u64(hint, bit); /* [hint] */
    return filled;
}

/* Find a span of the class that is said to have free blocks. */
static bool cache_fill(struct attachment *a, struct block_cache *cache, uint32_t class_i)
{
    const struct segment *s = a->segment;
    uint64_t words = s->geo.hint_words;
    uint64_t first = cache->span_at / 64 % words;
    for (uint64_t k = 0; k <= words; k++) {
        uint32_t base = (uint32_t)((first + k) % words) * 64;
        uint64_t bits = load_relaxed_u64(hint_word(s, class_i, base)); /* [hint] */
        if (k == 0)
            bits &= ~(uint64_t)0 << (cache->span_at % 64);
        for (; bits != 0; bits &= bits - 1) {
            uint32_t span_i = base + (uint32_t)__builtin_ctzll(bits);
            if (span_i >= s->geo.spans_n)
                break;
            if (cache_fill_from_span(a, cache, class_i, span_i) ||
                cache_fill_or_unhint(a, cache, class_i, span_i)) {
                cache->span_at = span_i;
                return true;
            }
        }
    }
    return false;
}

/* -- Blocks ------------------------------------------------------------------------------------------ */

int heap_alloc_at_hand(struct attachment *a, uint32_t class_i, bool may_claim, uint32_t owned_i, uint32_t hazard,
                       struct heap_block *ret)
{
    struct block_cache *cache = cache_of(a, class_i);
    if (cache == NULL) {
        errno = ENOMEM;
        return error_os("cache of free blocks");
    }
    for (;;) {
        while ((cache->ready | cache->n) != 0)
            if (retire_take_hot(a, cache, owned_i, hazard, ret))
                return 0;
        hazard_clear(a, hazard);
        if (cache_fill(a, cache, class_i))
            continue;
        uint32_t span_i;
        int rc = may_claim ? heap_claim(a, class_i, a->segment->classes.of[class_i].run, &span_i) : SHOAL_MISSING;
        if (rc != 0)
            return rc;
    }
}

void heap_free_unplaced(struct attachment *a, const struct heap_block *b)
{
    bool freed = cas_u64(segment_block(a->segment, b->place.block), b->h,
                         h_pack(h_generation(b->h), 0, BLOCK_FREE)); /* [block-state] */
    if (freed)
        heap_offer(a, &b->place); /* pinned still by b->hazard */
    heap_disown(a, b);
    if (freed && b->place.class_i == a->segment->classes.n)
        (void)evacuate_span(a, b->place.span_i, false);
}

/* -- Spans ------------------------------------------------------------------------------------------- */

static bool span_cas(const struct segment *s, uint32_t span_i, uint64_t from, enum span_state state, uint32_t class_i,
                     uint32_t run, bool backed)
{
    return cas_u64(&s->spans[span_i], from, span_pack(from, state, class_i, run, backed)); /* [span-ready] */
}

static bool is_backed(uint64_t word) { return (word & SPAN_BACKED) != 0; }

/* Descending, so that the head says until the end that the rest is being released. */
void heap_unclaim(const struct segment *s, uint32_t span_i, uint32_t run, uint32_t owner)
{
    for (uint32_t j = run; j-- > 0;) {
        uint64_t word = load_seq_u64(&s->spans[span_i + j]); /* [span-ready] */
        bool claimed = span_state(word) == SPAN_CLAIMED && span_run(word) == owner;
        bool rest = span_state(word) == SPAN_CONT && span_run(word) == j;
        if (claimed || rest)
            (void)span_cas(s, span_i + j, word, SPAN_FREE, 0, 0, is_backed(word));
    }
}

/* The head is taken first and given up last, so where it is not the dead one's, nothing is. */
void heap_settle_claim(const struct segment *s, struct entry *e, uint32_t owner)
{
    uint64_t claim = load_acquire_u64(&e->claim); /* [entry-names] */
    uint32_t span_i = (uint32_t)(claim >> 32), run = (uint32_t)claim;
    if (run != 0 && span_i + (uint64_t)run <= s->geo.spans_n) {
        uint64_t head = load_seq_u64(&s->spans[span_i]); /* [span-ready] */
        if (span_state(head) == SPAN_CLAIMED && span_run(head) == owner)
            heap_unclaim(s, span_i, run, owner);
    }
    store_release_u64(&e->claim, 0); /* [entry-names] */
}

/* Claim [span_i, span_i + run), ascending: of claimers that overlap, the one that began highest gets through. */
static bool spans_take(struct attachment *a, uint32_t span_i, uint32_t run)
{
    const struct segment *s = a->segment;
    store_seq_u64(&a->entry->claim, (uint64_t)span_i << 32 | run); /* [entry-names] */
    for (uint32_t j = 0; j < run; j++) {
        uint64_t word = load_seq_u64(&s->spans[span_i + j]); /* [span-ready] */
        if (span_state(word) != SPAN_FREE || !span_cas(s, span_i + j, word, SPAN_CLAIMED, 0, a->index, is_backed(word))) {
            if (j > 0)
                heap_unclaim(s, span_i, j, a->index);
            store_release_u64(&a->entry->claim, 0); /* [entry-names] */
            return false;
        }
    }
    return true;
}

/* Memory for the claimed spans that have none: exactly one process asks for each. */
static int spans_back(struct attachment *a, uint32_t span_i, uint32_t run)
{
    const struct segment *s = a->segment;
    for (uint32_t j = 0; j < run; j++) {
        uint64_t word = load_seq_u64(&s->spans[span_i + j]); /* [span-ready] */
        if (is_backed(word))
            continue;
        int e = os_allocate(s->file, segment_span_at(s, span_i + j), s->geo.span_bytes);
        if (e != 0) {
            errno = e;
            return e == ENOSPC || e == EDQUOT
                       ? error_set(SHOAL_EFULL, "heap: the file system has no room for %llu bytes at %llu",
                                   (unsigned long long)s->geo.span_bytes,
                                   (unsigned long long)segment_span_at(s, span_i + j))
                       : error_os("fallocate of %llu bytes", (unsigned long long)s->geo.span_bytes);
        }
        store_seq_u64(&s->spans[span_i + j], word | SPAN_BACKED); /* [span-ready] */
    }
    return 0;
}

static void run_format(struct attachment *a, uint32_t span_i, uint32_t class_i, uint32_t run)
{
    const struct segment *s = a->segment;
    uint32_t n = segment_blocks_n(s, class_i);
    uint64_t h = h_pack(attach_generation(a), 0, BLOCK_FREE);
    for (uint32_t i = 0; i < n; i++)
        store_relaxed_u64(segment_block(s, segment_block_at(s, span_i, class_i, i)), h); /* released with the span */
    for (uint32_t i = 0; i < (n + 63) / 64; i++) {
        uint32_t rest = n - i * 64;
        store_relaxed_u64(bitmap_word(s, span_i, class_i, i), rest >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << rest) - 1);
    }
    for (uint32_t j = 1; j < run; j++) /* dies here: the head is still CLAIMED, so all of them are released */
        (void)span_cas(s, span_i + j, load_seq_u64(&s->spans[span_i + j]), SPAN_CONT, 0, j, true); /* [span-ready] */
    (void)span_cas(s, span_i, load_seq_u64(&s->spans[span_i]), SPAN_READY, class_i, run, true); /* [span-ready] */
    hint_set(s, class_i, span_i);
}

/* The first row of unused spans at or after `from`; on a full file system, of spans that have memory. */
static bool spans_find(const struct attachment *a, uint32_t from, uint32_t run, uint32_t *ret_span)
{
    const struct segment *s = a->segment;
    uint32_t row = 0;
    for (uint32_t i = from; i < s->geo.spans_n; i++) {
        bool avoided = i - a->avoid_at < a->avoid_n;
        uint64_t word = load_relaxed_u64(&s->spans[i]); /* relaxed: the CAS decides */
        bool usable = span_state(word) == SPAN_FREE && !avoided && (is_backed(word) || !a->no_space);
        row = usable ? row + 1 : 0;
        if (row == run) {
            *ret_span = i + 1 - run;
            return true;
        }
    }
    return false;
}

/* Find and take a row.  SHOAL_MISSING: there is none. */
static int spans_claim(struct attachment *a, uint32_t run, uint32_t *ret_span)
{
    uint32_t from = run == 1 ? a->claim_at : 0;
    bool wrapped = from == 0;
    for (;;) {
        if (spans_find(a, from, run, ret_span)) {
            if (spans_take(a, *ret_span, run))
                return 0;
            from = *ret_span; /* somebody took one of them: look again from here */
        } else if (wrapped) {
            return SHOAL_MISSING;
        } else {
            from = 0;
            wrapped = true;
        }
    }
}

/* On a full file system only spans that have memory are of use, until it has room again. */
static int spans_claim_backed(struct attachment *a, uint32_t run, uint32_t *ret_span)
{
    for (uint32_t i = 0;; i++) {
        int rc = spans_claim(a, run, ret_span);
        if (rc != 0)
            return rc;
        rc = spans_back(a, *ret_span, run);
        if (rc == 0)
            return 0;
        heap_unclaim(a->segment, *ret_span, run, a->index);
        if (rc != SHOAL_EFULL || i > 0)
            return rc == SHOAL_EFULL ? SHOAL_MISSING : rc;
        a->no_space = true;
    }
}

int heap_claim(struct attachment *a, uint32_t class_i, uint32_t run, uint32_t *ret_span)
{
    a->no_space = false;
    int rc = spans_claim_backed(a, run, ret_span);
    if (rc == 0) {
        run_format(a, *ret_span, class_i, run);
        if (class_i < a->segment->classes.n && a->cache[class_i] != NULL)
            a->cache[class_i]->span_at = *ret_span;
        if (run == 1)
            a->claim_at = *ret_span;
    }
    store_release_u64(&a->entry->claim, 0); /* [entry-names] */
    return rc;
}

int heap_alloc_big(struct attachment *a, uint32_t run, uint32_t owned_i, uint32_t hazard, struct heap_block *ret)
{
    uint32_t span_i;
    int rc = heap_claim(a, a->segment->classes.n, run, &span_i);
    if (rc != 0)
        return rc;
    struct block_place f; /* an evacuation may take the empty run at once, and somebody give it another format */
    if (segment_locate(a->segment, segment_span_at(a->segment, span_i), &f) && f.class_i == a->segment->classes.n &&
        span_run(f.span_word) >= run && heap_take(a, &f, 0, owned_i, hazard, ret))
        return 0;
    hazard_clear(a, hazard);
    return SHOAL_MISSING;
}

void heap_room(const struct segment *s, struct heap_room *ret_room)
{
    struct heap_room room = { 0, 0 };
    uint64_t row = 0, best_row = 0;
    for (uint32_t i = 0; i < s->geo.spans_n; i++) {
        uint64_t word = load_acquire_u64(&s->spans[i]); /* [span-ready] */
        row = span_state(word) == SPAN_FREE ? row + 1 : 0;
        best_row = row > best_row ? row : best_row;
        if (span_state(word) == SPAN_FREE)
            room.free_bytes += s->geo.span_bytes;
        if (span_state(word) != SPAN_READY || !segment_run_is_open(s, i, word) || span_class(word) == s->classes.n)
            continue;
        uint64_t bytes = s->classes.of[span_class(word)].bytes;
        uint32_t free_n = heap_published_n(s, i, span_class(word));
        room.free_bytes += free_n * bytes;
        if (free_n > 0 && bytes > room.largest)
            room.largest = bytes;
    }
    if (best_row << s->span_shift > room.largest)
        room.largest = best_row << s->span_shift;
    *ret_room = room;
}
