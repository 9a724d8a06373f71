/* SPDX-License-Identifier: MIT
 *
 * Guarantee H from outside.
 */
#include "heap/heap_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/act.h"
#include "memory/hazard.h"
#include "table/record.h"

/* -- Looking ----------------------------------------------------------------------------------- */

static uint64_t run_bytes(const struct segment *s, uint64_t word) { return (uint64_t)span_run(word) << s->span_shift; }

static bool hazards_touch(const struct segment *s, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < segment_entries_used(s); i++)
        for (uint32_t j = 0; load_seq_u32(&s->entries[i].attached) != 0 && j < HAZARDS_N; j++) {
            uint64_t hazard = load_seq_u64(&s->entries[i].hazard[j]) & ~(uint64_t)HAZARD_GUARD_BIT;
            if (hazard >= from && hazard < to)
                return true;
        }
    return false;
}

static bool run_is_owned(const struct segment *s, uint32_t span_i, uint64_t word)
{
    for (uint32_t i = 0; i < segment_blocks_n(s, span_class(word)); i++)
        if (h_state(load_seq_u64(segment_block(s, segment_block_at(s, span_i, span_class(word), i)))) == BLOCK_OWNED)
            return true;
    return false;
}

static uint64_t pinned_block_bytes(const struct segment *s)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < segment_entries_used(s); i++)
        for (uint32_t j = 0; load_seq_u32(&s->entries[i].attached) != 0 && j < HAZARDS_N; j++) {
            uint64_t hazard = load_seq_u64(&s->entries[i].hazard[j]);
            struct block_place place;
            if (hazard != 0 && (hazard & HAZARD_GUARD_BIT) == 0 && segment_locate(s, hazard, &place))
                bytes += place.bytes;
        }
    return bytes;
}

struct heap_view heap_look(struct shoal *map)
{
    const struct segment *s = segment_of(map);
    struct shoal_stats stats = scene_stats(map);
    struct heap_view v = { .room = stats.free_bytes + stats.retired_bytes + stats.dead_bytes };
    bool seen[CLASSES_MAX + 1] = { false };
    for (uint32_t i = 0; i < s->geo.spans_n;) {
        uint64_t word = load_seq_u64(&s->spans[i]);
        uint32_t class_i = span_class(word);
        if (!segment_run_is_open(s, i, word)) {
            v.claimed += span_state(word) == SPAN_FREE ? 0 : s->geo.span_bytes;
            i++;
            continue;
        }
        if (!seen[class_i] && class_i != s->classes.n) {
            seen[class_i] = true;
            v.classes_in_use++;
            v.one_run_each += run_bytes(s, word);
        }
        uint64_t at = segment_span_at(s, i);
        if (hazards_touch(s, at, at + run_bytes(s, word)) || run_is_owned(s, i, word))
            v.pinned_runs += run_bytes(s, word);
        i += span_run(word);
    }
    v.pinned_blocks = pinned_block_bytes(s);
    return v;
}

uint64_t heap_block_bytes(struct shoal *map, uint64_t key_bytes, uint64_t value_bytes)
{
    const struct segment *s = segment_of(map);
    uint64_t bytes = record_bytes(s->geo.features, key_bytes, value_bytes, false);
    uint32_t class_i = classes_find(&s->classes, bytes);
    return class_i == s->classes.n ? (bytes + s->geo.span_bytes - 1) / s->geo.span_bytes * s->geo.span_bytes
                                   : s->classes.of[class_i].bytes;
}

/* The run that its class would have to begin counts as overhead too. */
static uint64_t heap_allowance(struct shoal *map, const struct heap_view *v, uint64_t key_bytes, uint64_t value_bytes)
{
    const struct segment *s = segment_of(map);
    uint32_t class_i = classes_find(&s->classes, record_bytes(s->geo.features, key_bytes, value_bytes, false));
    uint32_t run = class_i == s->classes.n ? 0 : s->classes.of[class_i].run;
    uint64_t rows = run == 1 ? 0 : s->geo.heap_bytes / ROWS_SHARE;
    return heap_block_bytes(map, key_bytes, value_bytes) + v->one_run_each + ((uint64_t)run << s->span_shift) +
           v->pinned_runs + v->claimed + rows;
}

uint64_t heap_excess(struct shoal *map, uint64_t key_bytes, uint64_t value_bytes)
{
    struct heap_view v = heap_look(map);
    uint64_t allowed = heap_allowance(map, &v, key_bytes, value_bytes);
    return v.room > allowed ? v.room - allowed : 0;
}

void heap_is_full(struct shoal *map, uint64_t key_bytes, uint64_t value_bytes, const char *what)
{
    struct heap_view v = heap_look(map);
    uint64_t allowed = heap_allowance(map, &v, key_bytes, value_bytes);
    require(v.room <= allowed,
            "H, %s: a record of %llu + %llu bytes was refused with %llu bytes free; the stated overhead is %llu: %llu "
            "for %u "
            "classes in use, %llu in pinned runs (%llu pinned), %llu claimed",
            what, (unsigned long long)key_bytes, (unsigned long long)value_bytes, (unsigned long long)v.room,
            (unsigned long long)allowed, (unsigned long long)v.one_run_each, v.classes_in_use,
            (unsigned long long)v.pinned_runs, (unsigned long long)v.pinned_blocks, (unsigned long long)v.claimed);
}

/* -- Filling ----------------------------------------------------------------------------------- */

void fill_key(char *to, char series, uint32_t n) { (void)snprintf(to, FILL_KEY_BYTES + 1, "%c%09u", series, n); }

int fill_put(struct shoal *map, char series, uint32_t n, uint32_t bytes)
{
    char key[FILL_KEY_BYTES + 1];
    uint8_t value[VALUE_MAX];
    require(bytes >= FILL_KEY_BYTES + 8 && bytes - FILL_KEY_BYTES <= sizeof value, "%u bytes", bytes);
    fill_key(key, series, n);
    value_make(value, (uint64_t)series << 40 | n, bytes - FILL_KEY_BYTES);
    int code = shoal_put(map, key, FILL_KEY_BYTES, value, bytes - FILL_KEY_BYTES);
    require(code == 0 || code == SHOAL_EFULL, "put: %d %s", code, shoal_error_text());
    require(code == 0 || strstr(shoal_error_text(), "heap full") != NULL, "not the heap: %s", shoal_error_text());
    return code;
}

uint32_t fill_series(struct shoal *map, char series, uint32_t bytes, uint32_t n_max)
{
    uint32_t n = 0;
    while (n < n_max && fill_put(map, series, n, bytes) == 0)
        n++;
    return n;
}

uint32_t fill_and_empty(struct shoal *map, uint32_t bytes)
{
    const uint32_t n = fill_series(map, 'f', bytes, UINT32_MAX);
    for (uint32_t i = 0; i < n; i++)
        fill_delete(map, 'f', i);
    return n;
}

void fill_holds(struct shoal *map, char series, uint32_t n, uint32_t bytes)
{
    char key[FILL_KEY_BYTES + 1];
    fill_key(key, series, n);
    scene_holds(map, key, (uint64_t)series << 40 | n, bytes - FILL_KEY_BYTES);
}

void fill_delete(struct shoal *map, char series, uint32_t n)
{
    char key[FILL_KEY_BYTES + 1];
    fill_key(key, series, n);
    must(shoal_delete(map, key, FILL_KEY_BYTES));
}

/* The record in a slot: its number in the series, and its run. */
static bool slot_record(const struct segment *s, uint64_t slot_i, char series, uint32_t *ret_n, uint32_t *ret_span)
{
    struct block_place place;
    struct record r;
    char key[FILL_KEY_BYTES + 1] = { 0 };
    uint64_t w = load_seq_u64(segment_slot(s, slot_i));
    if (!slot_is_live(w) || !segment_locate(s, slot_block(w), &place) || !record_decode(s, &place, &r) ||
        r.key_bytes != FILL_KEY_BYTES)
        return false;
    copy_out(r.words + r.key_at, key, r.key_bytes);
    *ret_n = (uint32_t)strtoul(key + 1, NULL, 10);
    *ret_span = place.span_i;
    return key[0] == series;
}

uint32_t fill_thin_out(struct shoal *map, char series, uint32_t n_max, bool *kept, uint64_t *random)
{
    const struct segment *s = segment_of(map);
    struct choice {
        uint32_t met, n;
    } *choices = calloc(s->geo.spans_n, sizeof *choices);
    uint32_t n = 0, span_i = 0, left = 0;
    require(choices != NULL, "memory");
    memset(kept, 0, n_max * sizeof *kept);
    for (uint64_t i = 0; i < s->slots_n; i++)
        if (slot_record(s, i, series, &n, &span_i) && random_below(random, ++choices[span_i].met) == 0)
            choices[span_i].n = n;
    for (uint32_t i = 0; i < s->geo.spans_n; i++)
        if (choices[i].met > 0) {
            require(choices[i].n < n_max, "record %u", choices[i].n);
            kept[choices[i].n] = true;
            left++;
        }
    free(choices);
    for (n = 0; n < n_max; n++)
        if (!kept[n])
            fill_delete(map, series, n);
    return left;
}
