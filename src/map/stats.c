/* SPDX-License-Identifier: MIT
 *
 * Every byte of the heap accounted for.
 */
#include "base/error.h"
#include "base/huge.h"
#include "base/os.h"
#include "map/registry.h"
#include "memory/count.h"
#include "table/move.h"
#include "table/record.h"
#include "tier/tier.h"

struct tally {
    const struct segment *segment;
    struct shoal_stats *stats;
    uint64_t largest; /* block or row of unused spans */
};

static void tally_live(const struct tally *t, const struct block_place *place)
{
    struct record record;
    t->stats->live_bytes += place->bytes;
    if (record_decode(t->segment, place, &record))
        t->stats->payload_bytes += record.key_bytes + record.value_bytes;
}

static void tally_block(struct tally *t, const struct block_place *place)
{
    const struct segment *s = t->segment;
    uint64_t h = load_acquire_u64(segment_block(s, place->block)); /* [block-state] */
    switch (h_state(h)) {
    case BLOCK_PUB:
        if (segment_is_referenced(s, place->block, h))
            tally_live(t, place);
        else
            t->stats->dead_bytes += place->bytes;
        break;
    case BLOCK_OWNED:
        if (!s->readonly && attach_is_dead(s, h_owner(h)))
            t->stats->dead_bytes += place->bytes;
        else
            t->stats->owned_bytes += place->bytes;
        break;
    case BLOCK_RETIRED:
        t->stats->retired_bytes += place->bytes;
        break;
    default:
        t->stats->free_bytes += place->bytes;
        t->largest = place->bytes > t->largest ? place->bytes : t->largest;
        break;
    }
}

static void tally_run(struct tally *t, uint32_t span_i, uint64_t word)
{
    const struct segment *s = t->segment;
    struct block_place place = { .span_word = word, .span_i = span_i, .class_i = span_class(word) };
    uint32_t n = segment_blocks_n(s, place.class_i);
    uint64_t run_bytes = (uint64_t)span_run(word) << s->span_shift;
    place.bytes = place.class_i == s->classes.n ? run_bytes : s->classes.of[place.class_i].bytes;
    for (uint32_t i = 0; i < n; i++) {
        place.index = i;
        place.block = segment_block_at(s, span_i, place.class_i, i);
        tally_block(t, &place);
    }
    t->stats->overhead_bytes += run_bytes - n * place.bytes;
}

static void tally_heap(struct tally *t)
{
    const struct segment *s = t->segment;
    uint64_t row = 0;
    for (uint32_t i = 0; i < s->geo.spans_n;) {
        uint64_t word = load_acquire_u64(&s->spans[i]); /* [span-ready] */
        row = span_state(word) == SPAN_FREE ? row + s->geo.span_bytes : 0;
        t->largest = row > t->largest ? row : t->largest;
        t->stats->backed_bytes += (word & SPAN_BACKED) ? s->geo.span_bytes : 0;
        if (segment_run_begins(s, i, word)) {
            t->stats->backed_bytes += (uint64_t)(span_run(word) - 1) << s->span_shift;
            tally_run(t, i, word);
            i += span_run(word);
            continue;
        }
        if (span_state(word) == SPAN_FREE) {
            t->stats->free_bytes += s->geo.span_bytes;
            t->stats->spans_free++;
        } else {
            t->stats->overhead_bytes += s->geo.span_bytes; /* being claimed or released */
        }
        i++;
    }
}

static void tally_entries(const struct segment *s, struct shoal_stats *stats)
{
    uint32_t used = segment_entries_used(s);
    for (uint32_t i = 0; i < used; i++) {
        const struct entry *e = &s->entries[i];
        stats->attached += load_acquire_u32(&e->attached) != ENTRY_UNUSED; /* [attached] */
        stats->dead += !s->readonly && attach_has_died(s, i);
        stats->gets += load_relaxed_u64(&e->gets); /* relaxed: statistics */
        stats->hits += load_relaxed_u64(&e->hits);
        stats->writes += load_relaxed_u64(&e->writes);
        stats->deletes += load_relaxed_u64(&e->deletes);
        stats->reaped += load_relaxed_u64(&e->reaped);
        stats->healed += load_relaxed_u64(&e->healed);
        stats->evacuated += load_relaxed_u64(&e->evacuated);
        stats->freed += load_relaxed_u64(&e->freed);
        stats->store_gets += load_relaxed_u64(&e->below_gets);
        stats->store_hits += load_relaxed_u64(&e->below_hits);
        stats->copied += load_relaxed_u64(&e->copied);
        stats->evicted += load_relaxed_u64(&e->evicted);
        stats->promoted += load_relaxed_u64(&e->promoted);
        stats->flushes += load_relaxed_u64(&e->flushes);
        stats->flush_failures += load_relaxed_u64(&e->flush_failures);
    }
}

/* Key and value bytes that a block takes however they are split. */
static uint64_t payload_of(const struct segment *s, uint64_t block_bytes)
{
    uint64_t most = record_bytes(s->geo.features, 7, block_bytes, true) - block_bytes; /* header and paddings */
    most += block_bytes % 8 == 0 ? 8 : 0;
    return block_bytes > most ? block_bytes - most : 0;
}

static void stats_geometry(const struct segment *s, struct shoal_stats *stats)
{
    const struct geometry *g = &s->geo;
    stats->capacity = g->capacity;
    stats->slots = s->slots_n;
    stats->max_threads = g->entries_n;
    stats->span_bytes = g->span_bytes;
    stats->segment_bytes = g->segment_bytes;
    stats->max_key_bytes = g->max_key_bytes;
    stats->max_value_bytes = g->max_value_bytes;
    stats->layout_version = SEGMENT_LAYOUT;
    stats->flags = ((g->features & FEATURE_MTIME) ? SHOAL_MTIME : 0) |
                   ((g->features & FEATURE_CHECKSUM) ? SHOAL_CHECKSUM : 0);
    stats->heap_bytes = g->heap_bytes;
    stats->spans = g->spans_n;
    /* relaxed: a fact by itself */
    stats->unlinked = load_relaxed_u32(&s->header->unlinked) != 0 || os_file_unlinked(s->file);
}

/* What is still in the old table. */
static void tally_old(const struct call *call, struct shoal_stats *stats)
{
    const struct segment *s = call->segment;
    stats->moved = load_relaxed_u64(&s->header->moved_n); /* relaxed: statistics */
    stats->moved_most = load_relaxed_u64(&s->header->moved_most);
    stats->moving = segment_predecessor(s) != 0;
    if (call->old != NULL)
        stats->count += move_left_n(call->old->segment);
}

static int tally_store(struct tier *tier, struct shoal_stats *stats)
{
    struct store_stat stat;
    int rc = store_stat(tier->store, &stat);
    if (rc != 0)
        return rc;
    stats->store_records = stat.records_n;
    stats->store_payload_bytes = stat.record_bytes;
    stats->store_file_bytes = stat.file_bytes;
    return 0;
}

int shoal_stats(struct shoal *map, struct shoal_stats *ret_stats)
{
    if (ret_stats == NULL || ret_stats->size != sizeof *ret_stats)
        return error_set(SHOAL_EINVAL, "shoal_stats: ret_stats is NULL or not initialised");
    struct call call;
    int rc = call_begin(map, &call);
    if (rc != 0)
        return rc;
    const struct segment *s = call.segment;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    struct tally tally = { .segment = s, .stats = &stats };
    stats_geometry(s, &stats);
    tally_heap(&tally);
    tally_entries(s, &stats);
    stats.largest_record = payload_of(s, tally.largest);
    int64_t count = count_sum(s);
    stats.count = count < 0 ? 0 : (uint64_t)count;
    if (call.map->tier != NULL) {
        rc = tally_store(call.map->tier, &stats);
        if (rc == 0)
            rc = tier_estimate(call.map->tier, &stats.count);
    }
    tally_old(&call, &stats);
    stats.huge_bytes = huge_got(s->base, s->geo.segment_bytes);
    if (rc == 0)
        *ret_stats = stats;
    call_end(&call);
    return rc;
}
