/* SPDX-License-Identifier: MIT */
#include "fuzz/use.h"

#include <stdio.h>
#include <stdlib.h>

#include "fuzz/guard.h"
#include "lib/act.h"

#define SOME 4u
#define KEY_NO_INTEGER 8u /* incr refuses it, unless it got lost */
#define PUT_BYTES(k) ((k) % 10u)

/* Not written by write_all(). */
static bool is_spared(uint32_t k) { return k % 6 == 5 && key_is_there(k); }

static const char put_text[] = "0123456789", add_text[] = "another";

void damage_add(struct damage *damage, const struct image *image, uint64_t word_at)
{
    uint64_t w = image_word(image->bytes, word_at) ^ image_word(image->sound, word_at);
    damage->touched |= image->needed_by[word_at / 8];
    damage->fixed |= word_at < IMAGE_FIXED_BYTES ||
                     (word_at >= offsetof(struct segment_header, store) && word_at < sizeof(struct segment_header));
    damage->unsigned_ = !image_is_signed(image);
    for (uint32_t i = 0; i < 8; i++)
        damage->summed |= (w >> (i * 8) & 0xff) != 0 && image->summed[word_at + i] != 0;
}

/* One use of one image. */
struct use {
    const struct image *image;
    const struct damage *damage;
    struct findings *findings;
    struct shoal *map;
    bool readonly, written;
};

/* Codes of calls that work on a key or on the whole map, whatever the bytes. */
static int answered(int rc)
{
    bool known = (rc >= 0 && rc <= SHOAL_END) || rc == SHOAL_EINVAL || rc == SHOAL_EFULL || rc == SHOAL_ETOOBIG ||
                 rc == SHOAL_EREADONLY || rc == SHOAL_ECORRUPT || rc == SHOAL_EATTACH || rc == SHOAL_EOS;
    hold(known, "answered %d, %s", rc, shoal_error_text());
    return rc;
}
#define ANSWERED(call) answered(CALL(call))

/* -- Reading --------------------------------------------------------------------------------------- */

static bool is_original(const struct image *image, uint32_t k, const uint8_t *value, size_t n)
{
    static uint8_t want[VALUE_ROOM];
    key_value(image, k, want);
    return n == value_bytes(image, k) && memcmp(value, want, n) == 0;
}

/* What write_all() may have left under a key. */
static bool is_written(uint32_t k, const uint8_t *value, size_t n)
{
    int64_t integer;
    if (n == 0 && k % 6 == 0) /* an update of a key that got lost */
        return true;
    if (n == PUT_BYTES(k) && memcmp(value, put_text, n) == 0)
        return true;
    if (n == sizeof add_text && memcmp(value, add_text, n) == 0)
        return true;
    if ((k != KEY_INTEGER && k != KEY_NO_INTEGER) || n != sizeof integer)
        return false;
    memcpy(&integer, value, sizeof integer);
    return integer == 1 || integer == INTEGER_VALUE + 1;
}

static void judge_get(const struct use *u, uint32_t k, int rc, const uint8_t *value, size_t n)
{
    const struct damage *d = u->damage;
    hold(rc == 0 || rc == SHOAL_MISSING || rc == SHOAL_ECORRUPT || rc == SHOAL_SHORT || d->fixed,
         "get of key %u: %d", k, rc);
    bool original = rc == 0 && is_original(u->image, k, value, n);
    if (d->fixed)
        return;
    if (image_is_checked(u->image))
        hold(rc != 0 || original || (u->written && is_written(k, value, n)), "a wrong value of key %u", k);
    bool right = key_is_there(k) ? original : rc == SHOAL_MISSING;
    if (u->written && !(is_spared(k) && d->alone))
        return;
    hold(right || (d->touched >> k & 1) != 0, "key %u, whose words were not touched: %d, %zu bytes", k, rc, n);
    if (u->written)
        return;
    u->findings->lost += !right && key_is_there(k);
    u->findings->kept += right && d->touched != 0;
}

static void get_one(const struct use *u, uint32_t k)
{
    char key[KEY_ROOM];
    size_t key_n = key_make(k, key), room = value_bytes(u->image, k) + 16, n = 0;
    uint8_t *value = malloc(room); /* so that AddressSanitizer knows its end */
    struct shoal_info info = SHOAL_INFO_INIT;
    uint64_t version;
    hold(value != NULL, "memory");
    int rc = ANSWERED(shoal_get(u->map, key, key_n, value, room, &n));
    hold(rc != 0 || n <= room, "get of key %u: %zu bytes", k, n);
    judge_get(u, k, rc, value, n);
    (void)ANSWERED(shoal_getv(u->map, key, key_n, NULL, 0, &n, &version));
    (void)ANSWERED(shoal_info(u->map, key, key_n, &info));
    free(value);
}

/* Reads every byte that it shows. */
static void view_read(const struct shoal_view *view)
{
    static volatile uint8_t sum;
    for (size_t at = 0; at < view->bytes; at++)
        sum = (uint8_t)(sum + ((const uint8_t *)view->value)[at]);
}

static void view_one(const struct use *u, uint32_t k)
{
    char key[KEY_ROOM];
    struct shoal_view view;
    if (ANSWERED(shoal_view(u->map, key, key_make(k, key), &view)) != 0)
        return;
    view_read(&view);
    guard_call("shoal_view_end");
    shoal_view_end(&view);
}

static void get_some_at_once(const struct use *u)
{
    char text[SOME][KEY_ROOM];
    uint8_t *buf = malloc(SOME * 64);
    struct shoal_key keys[SOME];
    struct shoal_result results[SOME] = { 0 };
    for (uint32_t i = 0; i < SOME; i++) {
        keys[i] = (struct shoal_key){ text[i], key_make(i * 5, text[i]) };
        results[i].buf = buf + i * 64;
        results[i].buf_bytes = 64;
    }
    (void)ANSWERED(shoal_get_many(u->map, keys, SOME, results));
    for (uint32_t i = 0; i < SOME; i++)
        (void)answered(results[i].code);
    free(buf);
}

static void walk(const struct use *u, const char *prefix, uint64_t slots)
{
    struct shoal_iter *iter;
    struct shoal_item item;
    struct shoal_view bytes = { 0 };
    int rc = ANSWERED(shoal_iter_open(u->map, prefix, strlen(prefix), &iter));
    hold(rc == 0, "iter_open: %d", rc);
    for (uint64_t i = 0; (rc = ANSWERED(shoal_iter_next(iter, &item))) != SHOAL_END; i++) {
        hold(i <= slots, "the walk over %llu slots does not end", (unsigned long long)slots);
        if (rc != 0)
            continue;
        hold(item.key_bytes >= strlen(prefix) && memcmp(item.key, prefix, strlen(prefix)) == 0, "a key without %s",
             prefix);
        bytes.value = item.value;
        bytes.bytes = item.value_bytes;
        view_read(&bytes);
    }
    shoal_iter_close(iter);
}

static void check(const struct use *u)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    int rc = ANSWERED(shoal_check(u->map, &report));
    hold(rc == 0 || rc == SHOAL_ECORRUPT || rc == SHOAL_EOS, "check: %d", rc);
    if (rc == SHOAL_EOS)
        return;
    hold((rc == 0) == (report.problems == 0), "check: %d with %llu problems", rc, (unsigned long long)report.problems);
    hold(rc == 0 || (report.text[0] != '\0' && strstr(shoal_error_text(), report.text) != NULL),
         "check without a text");
    if (u->written)
        return;
    hold(!u->damage->summed || u->damage->fixed || !u->damage->alone || report.problems > 0,
         "check does not see a changed byte under a checksum");
    u->findings->reported += report.problems + (report.slots_tentative + report.unreferenced != u->image->left);
}

static void look(const struct use *u)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    uint64_t n;
    int exact;
    for (uint32_t k = 0; k < KEYS_N; k++) {
        get_one(u, k);
        view_one(u, k);
    }
    get_some_at_once(u);
    int rc = ANSWERED(shoal_stats(u->map, &stats));
    hold(rc == 0, "stats: %d", rc);
    rc = ANSWERED(shoal_count(u->map, 0, &n, &exact));
    hold(rc == 0, "count: %d", rc);
    rc = ANSWERED(shoal_count(u->map, SHOAL_EXACT, &n, NULL));
    hold(rc == 0 && n <= (uint64_t)INT64_MAX, "count: %d", rc);
    walk(u, "", stats.slots);
    walk(u, "key-01", stats.slots);
    check(u);
}

/* -- Writing ----------------------------------------------------------------------------------------- */

static int again(struct shoal_change *change, void *arg)
{
    const struct use *u = arg;
    static uint8_t value[VALUE_ROOM];
    size_t n = change->old_bytes < sizeof value ? change->old_bytes : sizeof value;
    hold(shoal_delete(u->map, "k0", 2) == SHOAL_EINVAL, "a call from an update function");
    if (n > 0)
        memcpy(value, change->old, n);
    change->value = value;
    change->value_bytes = n;
    return SHOAL_STORE;
}

static void write_one(struct use *u, uint32_t k)
{
    char key[KEY_ROOM], buf[16];
    size_t n = key_make(k, key);
    uint64_t version = 0;
    struct shoal_how how = SHOAL_HOW_INIT;
    how.flags = SHOAL_IF_VERSION;
    switch (k % 6) {
    case 0:
        (void)ANSWERED(shoal_update(u->map, key, n, again, u));
        break;
    case 1:
        (void)ANSWERED(shoal_getv(u->map, key, n, NULL, 0, NULL, &version));
        how.if_version = version;
        (void)ANSWERED(shoal_put_with(u->map, key, n, put_text, PUT_BYTES(k), &how, &version));
        break;
    case 2:
        (void)ANSWERED(shoal_replace(u->map, key, n, put_text, PUT_BYTES(k)));
        break;
    case 3:
        (void)ANSWERED(shoal_take(u->map, key, n, buf, sizeof buf, NULL));
        break;
    case 4:
        (void)ANSWERED(shoal_delete_if(u->map, key, n, 12345));
        (void)ANSWERED(shoal_add(u->map, key, n, add_text, sizeof add_text));
        break;
    default: /* spared: what becomes of it when others are written? */
        break;
    }
}

static void write_some_at_once(struct use *u)
{
    char text[SOME][KEY_ROOM];
    struct shoal_key keys[SOME];
    struct shoal_value values[SOME];
    struct shoal_result results[SOME] = { 0 };
    for (uint32_t i = 0; i < SOME; i++) {
        uint32_t k = KEYS_LIVE - 2 + i;
        keys[i] = (struct shoal_key){ text[i], key_make(k, text[i]) };
        values[i] = (struct shoal_value){ .value = put_text, .bytes = PUT_BYTES(k) };
    }
    (void)ANSWERED(shoal_put_many(u->map, keys, values, SOME, results));
    (void)ANSWERED(shoal_delete_many(u->map, keys, 2, results));
}

/* New records, from larger than what is free on: sweeps, evacuates and claims. */
static void fill(struct use *u)
{
    static const uint8_t zeros[200000];
    const uint64_t heap = u->image->view.geo.heap_bytes;
    char key[KEY_ROOM];
    for (uint32_t i = 0; i < 3; i++) {
        size_t n = (size_t)snprintf(key, sizeof key, "new-%u", i);
        (void)ANSWERED(shoal_put(u->map, key, n, zeros, heap / 2 >> i * 2));
        (void)ANSWERED(shoal_delete(u->map, key, n));
    }
}

static void write_all(struct use *u)
{
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    struct shoal_view held[2];
    char key[KEY_ROOM];
    int64_t sum;
    int views = 0;
    u->written = true;
    views += ANSWERED(shoal_view(u->map, "k4", 2, &held[0])) == 0;
    views += ANSWERED(shoal_view(u->map, "k12", 3, &held[views])) == 0;
    for (uint32_t k = 0; k < KEYS_N; k++)
        if (k != KEY_INTEGER)
            write_one(u, k);
    (void)ANSWERED(shoal_incr(u->map, key, key_make(KEY_INTEGER, key), 1, &sum));
    (void)ANSWERED(shoal_incr(u->map, key, key_make(KEY_NO_INTEGER, key), 1, NULL));
    (void)ANSWERED(shoal_wait(u->map, "k0", 2, 0, 0, NULL));
    write_some_at_once(u);
    (void)ANSWERED(shoal_reap(u->map, &reaped));
    fill(u);
    for (int i = 0; i < views; i++) {
        view_read(&held[i]);
        guard_call("shoal_view_end");
        shoal_view_end(&held[i]);
    }
}

/* -- All of it ------------------------------------------------------------------------------------------- */

static void refused(const struct use *u, int rc)
{
    hold(rc == SHOAL_ECORRUPT || rc == SHOAL_EVERSION, "open: %d, %s", rc, shoal_error_text());
    hold(strstr(shoal_error_text(), u->image->path) != NULL, "the text names no file: %s", shoal_error_text());
    hold(u->damage->fixed, "refused for words that open does not judge");
    u->findings->refused++;
}

void use_image(const struct image *image, const struct damage *damage, unsigned flags, struct findings *findings)
{
    struct findings mine = { 0 };
    struct use u = { image, damage, &mine, NULL, (flags & SHOAL_RDONLY) != 0, false };
    int rc = CALL(shoal_open(image->path, flags, &u.map));
    if (rc != 0) {
        refused(&u, rc);
    } else {
        hold(!damage->unsigned_, "a header that does not fit its checksum is believed");
        look(&u);
        hold(!image_is_checked(image) || !damage->alone || damage->fixed || mine.lost == 0 || mine.reported > 0,
             "%llu keys lost, and check says nothing", (unsigned long long)mine.lost);
        if (!u.readonly) {
            write_all(&u);
            look(&u);
        }
        guard_call("shoal_close");
        shoal_close(u.map);
    }
    findings->refused += mine.refused;
    findings->lost += mine.lost;
    findings->reported += mine.reported != 0;
    findings->kept += mine.kept;
}
