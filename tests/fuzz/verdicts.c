/* SPDX-License-Identifier: MIT
 *
 * What check says of each kind of contradiction: by its text, so that it finds this one and not another by chance.
 */
#include <stdio.h>

#include "fuzz/guard.h"
#include "fuzz/image.h"
#include "table/record.h"

/* Does the damage to the bytes of the image. */
typedef void damage_fn(struct image *image);

static void store(struct image *image, const volatile void *sound_word, uint64_t w)
{
    memcpy(image->bytes + ((const volatile uint8_t *)sound_word - image->sound), &w, 8);
}

/* The n-th live slot of the sound image. */
static const shared_u64 *live_slot(const struct image *image, uint64_t n)
{
    for (uint64_t i = 0;; i++) {
        const shared_u64 *slot = segment_slot(&image->view, i);
        hold(i < image->view.slots_n, "fewer than %llu live slots", (unsigned long long)n);
        if (slot_is_live(load_relaxed_u64(slot)) && n-- == 0)
            return slot;
    }
}

static void becomes(struct image *image, enum slot_state state)
{
    const shared_u64 *slot = live_slot(image, 2);
    store(image, slot, slot_with(load_relaxed_u64(slot), state));
}

static void tent_of_nobody(struct image *image) { becomes(image, SLOT_TENT); }
static void abrt_of_nobody(struct image *image) { becomes(image, SLOT_ABRT); }
static void below_without_a_store(struct image *image) { becomes(image, SLOT_BELOW); }
static void tomb_without_a_store(struct image *image) { becomes(image, SLOT_TOMB); }

static void tent_of_nothing(struct image *image)
{
    store(image, live_slot(image, 0), slot_pack(SLOT_TENT, 1, image->view.geo.heap_at + 4, 1));
}

static void slot_of_nothing(struct image *image)
{
    store(image, live_slot(image, 0), slot_pack(SLOT_LIVE, 1, image->view.geo.segment_bytes, 1));
}

static void other_tag(struct image *image)
{
    const shared_u64 *slot = live_slot(image, 1);
    store(image, slot, load_relaxed_u64(slot) ^ 1);
}

static void other_fingerprint(struct image *image)
{
    const shared_u64 *slot = live_slot(image, 1);
    store(image, slot, load_relaxed_u64(slot) ^ (uint64_t)1 << (OFFSET_BITS + TAG_BITS));
}

/* One record in two slots: the other one names another slot. */
static void slot_twice(struct image *image)
{
    store(image, live_slot(image, 4), load_relaxed_u64(live_slot(image, 3)));
}

static const shared_u64 *record_of(const struct image *image, uint64_t n)
{
    return segment_block(&image->view, slot_block(load_relaxed_u64(live_slot(image, n))));
}

static void longer_than_its_block(struct image *image)
{
    const shared_u64 *place = record_of(image, 1) + 1;
    store(image, place, load_relaxed_u64(place) | 0xffff0000u);
}

/* The length of a checked value, one less. */
static void other_value(struct image *image)
{
    const shared_u64 *place = record_of(image, 1) + 1;
    store(image, place, load_relaxed_u64(place) ^ 1);
}

/* Every bound 0: keys that lie beyond their home's group are hidden. */
static void no_bounds(struct image *image)
{
    for (uint64_t g = 0; g < image->view.geo.groups_all_n; g++) {
        const shared_u64 *meta = &image->view.groups[g].meta;
        store(image, meta, load_relaxed_u64(meta) & ~((uint64_t)0xff << 56));
    }
}

static void no_summaries(struct image *image)
{
    const struct geometry *g = &image->view.geo;
    memset(image->bytes + g->summary_at, 0, g->runs_n * 4);
}

static void span_of_no_class(struct image *image)
{
    const shared_u64 *span = image->view.spans; /* one that holds no record, or slots would tell */
    while (span_state(load_relaxed_u64(span)) != SPAN_FREE)
        hold(++span < image->view.spans + image->view.geo.spans_n, "no span is free");
    store(image, span, span_pack(load_relaxed_u64(span), SPAN_READY, SPAN_CLASS_MAX, 1, true));
}

static void owner_beyond_all(struct image *image)
{
    store(image, record_of(image, 1), load_relaxed_u64(record_of(image, 1)) | (uint64_t)OWNER_MAX << 8);
}

static void another_count(struct image *image)
{
    const shared_u64 *counter = &image->view.entries[0].counter;
    store(image, counter, counter_pack(counter_count(load_relaxed_u64(counter)) + 1, load_relaxed_u64(counter), 0));
}

/* quiet: counters are compared, which takes a segment that the dead have left nothing in. */
static const struct verdict {
    const char *name, *text;
    damage_fn *damage;
    bool quiet;
} verdicts[] = {
    { "tent_of_nobody", "is tentative, but nobody owns its record", tent_of_nobody, false },
    { "abrt_of_nobody", "is tentative, but nobody owns its record", abrt_of_nobody, false },
    { "tent_of_nothing", "is tentative and leads to no block", tent_of_nothing, false },
    { "below_without_a_store", "is in a state that this map never uses", below_without_a_store, false },
    { "tomb_without_a_store", "is in a state that this map never uses", tomb_without_a_store, false },
    { "slot_of_nothing", "leads to no sound record", slot_of_nothing, false },
    { "other_tag", "leads to no sound record", other_tag, false },
    { "other_fingerprint", "fingerprint is not the key's", other_fingerprint, false },
    { "slot_twice", "its record names another slot", slot_twice, false },
    { "longer_than_its_block", "leads to no sound record", longer_than_its_block, false },
    { "other_value", "leads to no sound record", other_value, false },
    { "no_bounds", "lies outside its home's bound (T1)", no_bounds, false },
    { "no_summaries", "its run's summary says unused (T3)", no_summaries, false },
    { "span_of_no_class", "describes no run", span_of_no_class, false },
    { "owner_beyond_all", "of its headers or parts contradict it", owner_beyond_all, false },
    { "another_count", "keys, 20 slots are live", another_count, true },
};
#define VERDICTS_N (sizeof verdicts / sizeof verdicts[0])

/* What the dead have left is settled first: then nothing but the damage is to be found. */
static void settle(struct image *image)
{
    struct shoal *map;
    hold(shoal_open(image->path, 0, &map) == 0 && shoal_reap(map, NULL) == 0, "%s", shoal_error_text());
    shoal_close(map);
}

static void must_say(struct image *image, const struct verdict *v)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal *map;
    image_restore(image);
    if (v->quiet)
        settle(image);
    memcpy(image->sound, image->bytes, image->n); /* damages read the sound bytes */
    v->damage(image);
    hold(shoal_open(image->path, SHOAL_RDONLY, &map) == 0, "%s: %s", v->name, shoal_error_text());
    int rc = CALL(shoal_check(map, &report));
    hold(rc == SHOAL_ECORRUPT && report.problems > 0, "%s: check answers %d", v->name, rc);
    hold(strstr(report.text, v->text) != NULL, "%s: check says \"%s\"", v->name, report.text);
    hold(strstr(shoal_error_text(), v->text) != NULL, "%s: the error's text is \"%s\"", v->name, shoal_error_text());
    shoal_close(map);
}

/* What gets answer, alone and in a batch. */
static void gets_call_it_corrupt(struct image *image, const char *what)
{
    static uint8_t value[VALUE_ROOM];
    struct shoal *map;
    hold(shoal_open(image->path, SHOAL_RDONLY, &map) == 0, "%s", shoal_error_text());
    for (uint32_t k = 0; k < KEYS_LIVE; k++) {
        char key[KEY_ROOM];
        size_t key_n = key_make(k, key), n = 0;
        struct shoal_key one = { key, key_n };
        struct shoal_result result = { .buf = value, .buf_bytes = sizeof value };
        int rc = CALL(shoal_get(map, key, key_n, value, sizeof value, &n));
        hold(rc == SHOAL_ECORRUPT, "key %u, %s: get answers %d, %zu bytes", k, what, rc, n);
        rc = CALL(shoal_get_many(map, &one, 1, &result));
        hold(rc == SHOAL_ECORRUPT && result.code == SHOAL_ECORRUPT, "key %u, %s: get_many answers %d", k, what, rc);
    }
    shoal_close(map);
}

/* A length that a buffer holds, but no block: gets answer that, and not with what lies behind the record. */
static void must_not_get(struct image *image)
{
    image_restore(image);
    for (uint32_t k = 0; k < KEYS_LIVE; k++) {
        const shared_u64 *place = record_of(image, k) + 1;
        store(image, place, (load_relaxed_u64(place) & ~(uint64_t)VALUE_LONG) | (VALUE_LONG - 1));
    }
    gets_call_it_corrupt(image, "longer than its block");
}

/* Each slot names the heap's last word, which says that a record begins there, in a span that says that it is open, and of this
 * class: the file ends before the record does. */
static void must_not_read_past(struct image *image, uint32_t class_i)
{
    const struct segment *s = &image->view;
    const uint64_t generation = 5, last = s->geo.heap_at + s->geo.heap_bytes - 8;
    const shared_u64 *span = &s->spans[s->geo.spans_n - 1];
    image_restore(image);
    store(image, span, span_pack(load_relaxed_u64(span), SPAN_READY, class_i, 1, true));
    store(image, segment_block(s, last), h_pack(generation, 0, BLOCK_PUB));
    for (uint32_t k = 0; k < KEYS_LIVE; k++) {
        const shared_u64 *slot = live_slot(image, k);
        store(image, slot, slot_pack(SLOT_LIVE, slot_finger(load_relaxed_u64(slot)), last, generation));
    }
    gets_call_it_corrupt(image, "behind the end of the file");
}

int main(void)
{
    struct image image;
    image_make(IMAGE_SMALL_CHECKED, &image);
    for (size_t i = 0; i < VERDICTS_N; i++)
        must_say(&image, &verdicts[i]);
    must_not_get(&image);
    must_not_read_past(&image, 0);
    must_not_read_past(&image, SPAN_CLASS_MAX); /* there is no such class */
    image_free(&image);
    image_make(IMAGE_SMALL, &image);
    must_not_get(&image);
    must_not_read_past(&image, 0);
    must_not_read_past(&image, SPAN_CLASS_MAX); /* there is no such class */
    image_free(&image);
    printf("verdicts: %zu contradictions, each named by check; lengths and places that no block has\n", VERDICTS_N);
    return 0;
}
