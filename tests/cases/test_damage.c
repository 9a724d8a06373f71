/* SPDX-License-Identifier: MIT
 *
 * Damage: flipped bytes, cut files, wiped headers, a scribbler at work.  Guarantee E: a precise error or a
 * skipped record that is reported; never a signal, a hang, or (with SHOAL_CHECKSUM) a wrong value.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases/scene.h"
#include "cases/table_view.h"
#include "lib/act.h"
#include "table/record.h"

#define KEYS 24u
#define KEY_BYTES 16u
#define HEAP_BYTES (64u << 10)
#define MAX_BYTES 400u
#define PATIENCE 20u /* seconds for a batch: more is a hang */

/* The bytes of a map that was closed in order, and which of them are a live record's key or value. */
struct reference {
    uint8_t *bytes;
    uint8_t *is_record;
    size_t n;
    bool checksum;
};

static void key_of(char *to, uint32_t k) { (void)snprintf(to, KEY_BYTES, "key-%u", k); }
static size_t bytes_of(uint32_t k)
{
    static const size_t some[] = { 0, 8, 41, 200, MAX_BYTES - 1 };
    return some[k % 5];
}

static void path_of(char *path, size_t n, uint32_t i) { (void)snprintf(path, n, "/dev/shm/%s", scene_name(i)); }

static void mark_records(const struct segment *s, uint8_t *is_record)
{
    for (uint64_t i = 0; i < s->slots_n; i++) {
        struct block_place place;
        struct record r;
        uint64_t w = load_seq_u64(segment_slot(s, i));
        if (w == 0)
            continue;
        require(segment_locate(s, slot_block(w), &place) && record_decode(s, &place, &r), "slot %llu",
                (unsigned long long)i);
        memset(is_record + place.block + r.key_at * 8ul, 1, r.key_bytes);
        memset(is_record + place.block + r.value_at * 8, 1, r.value_bytes);
    }
}

static struct reference reference_make(uint32_t flags)
{
    struct shoal_options options = scene_options(KEYS, HEAP_BYTES, 2);
    struct reference ref = { .checksum = (flags & SHOAL_CHECKSUM) != 0 };
    char path[128], key[KEY_BYTES];
    options.flags = flags | SHOAL_PREALLOCATE;
    struct shoal *map = scene_create(scene_name(0), &options);
    for (uint32_t k = 0; k < KEYS; k++) {
        key_of(key, k);
        scene_put(map, key, k, bytes_of(k));
    }
    ref.n = scene_stats(map).segment_bytes;
    ref.bytes = malloc(ref.n);
    ref.is_record = calloc(1, ref.n);
    require(ref.bytes != NULL && ref.is_record != NULL, "memory");
    mark_records(segment_of(map), ref.is_record);
    shoal_close(map);
    path_of(path, sizeof path, 0);
    int fd = open(path, O_RDONLY);
    require(fd >= 0 && read(fd, ref.bytes, ref.n) == (ssize_t)ref.n, "%s: %s", path, strerror(errno));
    (void)close(fd);
    must(shoal_unlink(scene_name(0)));
    return ref;
}

/* The bytes as a file of this size, under name 1. */
static void file_write(const uint8_t *bytes, size_t n)
{
    char path[128];
    path_of(path, sizeof path, 1);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    require(fd >= 0 && write(fd, bytes, n) == (ssize_t)n, "%s: %s", path, strerror(errno));
    (void)close(fd);
}

static bool is_refusal(int code) { return code == SHOAL_ECORRUPT || code == SHOAL_EVERSION; }

static void must_refuse_open(const char *what, size_t where)
{
    struct shoal *map = NULL;
    int code = shoal_open(scene_name(1), 0, &map);
    require(is_refusal(code) && map == NULL, "E: %s %zu: open answered %d", what, where, code);
    require(strstr(shoal_error_text(), scene_name(1)) != NULL, "the text does not name the map: %s",
            shoal_error_text());
}

/* -- Everything that may be called on a damaged map -------------------------------------------- */

static void gets_nothing_wrong(struct shoal *map, bool checksum)
{
    char key[KEY_BYTES];
    uint8_t value[MAX_BYTES + 64], right[MAX_BYTES + 64];
    for (uint32_t k = 0; k < KEYS; k++) {
        size_t got = 0;
        key_of(key, k);
        int code = shoal_get(map, key, strlen(key), value, sizeof value, &got);
        require(code == 0 || code == SHOAL_MISSING || code == SHOAL_ECORRUPT || code == SHOAL_SHORT, "get: %d", code);
        value_make(right, k, bytes_of(k));
        require(code != 0 || !checksum || (got == bytes_of(k) && memcmp(value, right, got) == 0),
                "E: a wrong value of %s behind a checksum", key);
    }
}

static void walk_ends(struct shoal *map)
{
    struct shoal_iter *iter = NULL;
    struct shoal_item item;
    uint32_t steps = 0;
    int code = shoal_iter_open(map, NULL, 0, &iter);
    require(code == 0, "iter_open: %d", code);
    while ((code = shoal_iter_next(iter, &item)) != SHOAL_END)
        require((code == 0 || code == SHOAL_ECORRUPT || code == SHOAL_EOS) && ++steps < 10000,
                "E: the walk: %d, step %u", code, steps);
    shoal_iter_close(iter);
}

static void writes_come_back(struct shoal *map)
{
    char key[KEY_BYTES];
    uint8_t value[MAX_BYTES] = { 0 };
    struct shoal_view view;
    for (uint32_t k = 0; k < KEYS + 8; k++) {
        key_of(key, k);
        (void)shoal_put(map, key, strlen(key), value, bytes_of(k + 1));
        if (shoal_view(map, key, strlen(key), &view) == 0)
            shoal_view_end(&view);
        if (k % 3 == 0)
            (void)shoal_delete(map, key, strlen(key));
        (void)shoal_incr(map, "counter", 7, 1, NULL);
    }
    (void)shoal_wait(map, "key-1", 5, 1, 0, NULL);
}

/* What check said before anything was written. */
static int exercise(struct shoal *map, bool checksum)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    uint64_t n;
    gets_nothing_wrong(map, checksum);
    int checked = shoal_check(map, &report);
    require(checked != SHOAL_ECORRUPT || (report.problems > 0 && report.text[0] != '\0'), "check without a text");
    walk_ends(map);
    (void)shoal_count(map, SHOAL_EXACT, &n, NULL);
    (void)shoal_stats(map, &stats);
    writes_come_back(map);
    (void)shoal_reap(map, NULL);
    (void)shoal_check(map, &report);
    walk_ends(map);
    return checked;
}

/* -- Flipped bits ------------------------------------------------------------------------------ */

struct flips {
    const struct reference *ref;
    uint64_t seed;
    size_t from, to, stride;
    _Atomic uint64_t at; /* the flip under way: byte << 3 | bit */
    _Atomic uint64_t found, refused;
};

static void flip(struct flips *f, uint8_t *bytes, size_t at, uint32_t bit)
{
    const struct reference *ref = f->ref;
    struct shoal *map = NULL;
    memcpy(bytes, ref->bytes, ref->n);
    bytes[at] ^= (uint8_t)(1u << bit);
    file_write(bytes, ref->n);
    if (at < offsetof(struct segment_header, checksum) + 8) {
        must_refuse_open("flipped byte", at);
        atomic_fetch_add(&f->refused, 1);
        return;
    }
    int code = shoal_open(scene_name(1), 0, &map);
    require(code == 0 || is_refusal(code), "open: %d %s", code, shoal_error_text());
    if (code != 0)
        return;
    int checked = exercise(map, ref->checksum);
    shoal_close(map);
    require(checked == 0 || checked == SHOAL_ECORRUPT || checked == SHOAL_EOS, "check: %d", checked);
    if (ref->is_record[at] && ref->checksum) {
        require(checked == SHOAL_ECORRUPT, "E: check does not find the flipped bit %u of byte %zu, in a record", bit,
                at);
        atomic_fetch_add(&f->found, 1);
    }
}

static void flip_batch(uint32_t who, void *arg)
{
    struct flips *f = arg;
    uint64_t random = f->seed + f->from;
    uint8_t *bytes = malloc(f->ref->n);
    (void)who;
    require(bytes != NULL, "memory");
    (void)alarm(PATIENCE);
    for (size_t at = f->from; at < f->to; at += 1 + random_below(&random, (uint32_t)(2 * f->stride - 1))) {
        uint32_t bit = random_below(&random, 8);
        atomic_store(&f->at, at << 3 | bit);
        flip(f, bytes, at, bit);
    }
    free(bytes);
}

static void batch_run(struct flips *f)
{
    int status = 0;
    pid_t pid = crew_start(0, flip_batch, f);
    require(waitpid(pid, &status, 0) == pid, "waitpid");
    uint64_t at = atomic_load(&f->at);
    require(status == 0, "E: byte %llu, bit %llu (heap from %llu): status 0x%x (signal %d)",
            (unsigned long long)at >> 3, (unsigned long long)at & 7, (unsigned long long)(f->ref->n - HEAP_BYTES),
            status, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void flips(uint32_t flags)
{
    struct reference ref = reference_make(flags);
    struct flips *f = board_make(sizeof *f);
    f->ref = &ref;
    f->seed = scene_seed();
    size_t stride = 24 / scene_rounds(1); /* SHOAL_TEST_ROUNDS=24: every byte */
    f->stride = stride > 0 ? stride : 1;
    for (size_t from = 0; from < ref.n; from += 4096) {
        f->from = from;
        f->to = from + 4096 < ref.n ? from + 4096 : ref.n;
        batch_run(f);
    }
    printf("%zu bytes; %llu flips refused by open, %llu found by check\n", ref.n, (unsigned long long)f->refused,
           (unsigned long long)f->found);
    free(ref.bytes);
    free(ref.is_record);
}

static void flipped_bits(void) { flips(0); }
static void flipped_bits_with_checksums(void) { flips(SHOAL_CHECKSUM | SHOAL_MTIME); }

/* -- Cut, wiped, replaced ---------------------------------------------------------------------- */

static void cut_files(void)
{
    struct reference ref = reference_make(0);
    uint64_t random = scene_seed();
    for (size_t n = 0; n < ref.n; n += n < 5000 ? 1 + random_below(&random, 40) : 1 + random_below(&random, 2000)) {
        file_write(ref.bytes, n);
        must_refuse_open("cut at", n);
    }
    uint8_t *longer = calloc(1, ref.n + 4096);
    require(longer != NULL, "memory");
    memcpy(longer, ref.bytes, ref.n);
    file_write(longer, ref.n + 1);
    must_refuse_open("longer by", 1);
    file_write(longer, ref.n + 4096);
    must_refuse_open("longer by", 4096);
    free(longer);
}

/* Each word of the header's immutable part as 0, ~0, one more, its neighbour; and all of it zero. */
static void wiped_headers(void)
{
    struct reference ref = reference_make(0);
    uint8_t *bytes = malloc(ref.n);
    size_t end = offsetof(struct segment_header, checksum) + 8;
    for (size_t at = 0; at < end; at += 8)
        for (uint32_t how = 0; how < 4; how++) {
            uint64_t word, was, next;
            memcpy(&was, ref.bytes + at, 8);
            memcpy(&next, ref.bytes + at + 8, 8);
            word = how == 0 ? 0 : how == 1 ? ~(uint64_t)0 : how == 2 ? was + 1 : next;
            memcpy(bytes, ref.bytes, ref.n);
            memcpy(bytes + at, &word, 8);
            file_write(bytes, ref.n);
            if (word != was)
                must_refuse_open("header word at", at);
        }
    for (size_t n = 8; n <= 4096; n *= 2) {
        memcpy(bytes, ref.bytes, ref.n);
        memset(bytes, 0, n);
        file_write(bytes, ref.n);
        must_refuse_open("zeroed bytes", n);
    }
    memset(bytes, 0, ref.n);
    file_write(bytes, ref.n);
    must_refuse_open("all bytes zero", ref.n);
}

/* -- Regions filled with noise, and a scribbler at work ---------------------------------------- */

struct noise {
    struct shoal *map;
    uint64_t seed;
    _Atomic uint32_t end;
    _Atomic uint64_t rounds;
};

static void noisy_word(const struct segment *s, uint64_t *random)
{
    /* Behind the immutable part; words that mean something now and then. */
    uint64_t words = (s->geo.segment_bytes - 512) / 8;
    shared_u64 *word = (shared_u64 *)(void *)(s->base + 512) + random_next(random) % words;
    uint64_t was = load_relaxed_u64(word);
    switch (random_below(random, 4)) {
    case 0:
        store_relaxed_u64(word, random_next(random));
        break;
    case 1:
        store_relaxed_u64(word, was ^ (uint64_t)1 << random_below(random, 64));
        break;
    case 2:
        store_relaxed_u64(word, was + 1);
        break;
    default:
        store_relaxed_u64(word, 0);
        break;
    }
}

static void suffer(uint32_t who, void *arg)
{
    struct noise *noise = arg;
    (void)who;
    (void)alarm(PATIENCE);
    while (!atomic_load(&noise->end)) {
        (void)exercise(noise->map, false);
        atomic_fetch_add(&noise->rounds, 1);
    }
}

static void scribbler_round(uint64_t seed, uint32_t words)
{
    struct noise *noise = board_make(sizeof *noise);
    struct shoal_options options = scene_options(KEYS, HEAP_BYTES, 4);
    int status = 0;
    options.flags = SHOAL_PREALLOCATE | (seed % 2 ? SHOAL_CHECKSUM : 0);
    noise->map = scene_create(scene_name(0), &options);
    must(shoal_unlink(scene_name(0)));
    const struct segment *s = segment_of(noise->map);
    pid_t pid = crew_start(0, suffer, noise);
    while (atomic_load(&noise->rounds) < 2)
        scene_spin(&seed, 1000);
    uint64_t random = seed;
    for (uint32_t i = 0; i < words; i++) {
        noisy_word(s, &random);
        scene_spin(&random, 2000);
    }
    atomic_store(&noise->end, 1);
    require(waitpid(pid, &status, 0) == pid, "waitpid");
    require(status == 0, "E: seed 0x%llx, scribbled %u words: status 0x%x (signal %d)", (unsigned long long)seed, words,
            status, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void scribbler(void)
{
    uint64_t seed = scene_seed();
    for (uint32_t i = 0; i < scene_rounds(40); i++)
        scribbler_round(seed + (uint64_t)i * 7, i % 4 == 0 ? 5000 : 300);
}

/* A TENT or ABRT slot whose record nobody owns would stay for ever: check names it. */
static void tentative_slot_of_nobody(void)
{
    static const enum slot_state states[] = { SLOT_TENT, SLOT_ABRT };
    for (uint32_t i = 0; i < 2; i++) {
        struct shoal_report report = SHOAL_REPORT_INIT;
        struct shoal *map = scene_map(100, HEAP_BYTES);
        const struct segment *s = segment_of(map);
        uint64_t slot_i = 0;
        scene_put(map, "key", 1, 100);
        while (load_seq_u64(segment_slot(s, slot_i)) == 0)
            slot_i++;
        uint64_t w = load_seq_u64(segment_slot(s, slot_i));
        store_seq_u64(segment_slot(s, slot_i), slot_with(w, states[i]));
        must_be(shoal_check(map, &report), SHOAL_ECORRUPT);
        require(strstr(shoal_error_text(), "tentative, but nobody owns its record") != NULL, "text: %s",
                shoal_error_text());
        shoal_close(map);
    }
}

SCENE_MAIN(SCENE(tentative_slot_of_nobody), SCENE(flipped_bits), SCENE(flipped_bits_with_checksums),
           SCENE(cut_files), SCENE(wiped_headers), SCENE(scribbler))
