/* SPDX-License-Identifier: MIT
 *
 * The ways to die at one point of a log (crash.h).
 *
 * A process: with all it did, the lock file in three versions; or within its last write, at each page.
 *
 * A machine: all kept, all dropped, each operation dropped, alone, as a hole, as noise; each write torn at each sector,
 * with its head or its tail, everything else kept; all subsets where there are at most SUBSETS_OF operations, else some
 * by chance; and mixtures of it all by chance.
 */
#include "images/crash.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/fail.h"
#include "lib/random.h"

#define SECTOR 512u
#define LINE 64u /* mixtures are of pieces that no disk makes: who has sums need not know its sectors */
#define PAGE 4096u
#define EACH_SECTOR_UP_TO 16384u
#define SUBSETS_OF 8u
#define RANDOM_SUBSETS 24u
#define MIXTURES 16u
#define LOCK_BYTES 4096u

/* -- Cuts -------------------------------------------------------------------------------------------- */

/* Of a larger write: at each page, and one sector from either end. */
static uint64_t cuts_n(size_t bytes)
{
    if (bytes <= SECTOR)
        return 0;
    return bytes <= EACH_SECTOR_UP_TO ? (bytes - 1) / SECTOR : (bytes - 1) / PAGE + 2;
}

static size_t cut_at(size_t bytes, uint64_t i)
{
    if (bytes <= EACH_SECTOR_UP_TO)
        return (size_t)(i + 1) * SECTOR;
    const uint64_t pages = (bytes - 1) / PAGE;
    return i < pages ? (size_t)(i + 1) * PAGE : i == pages ? SECTOR : bytes - SECTOR;
}

static uint64_t cuts_of(const struct log_entry *entry)
{
    return entry->kind == LOG_WRITE ? cuts_n(entry->data.bytes) : 0;
}

static uint64_t page_cuts_of(const struct log_entry *entry)
{
    return entry->kind == LOG_WRITE && entry->data.bytes > 0 ? (entry->data.bytes - 1) / PAGE : 0;
}

/* -- Numbers ----------------------------------------------------------------------------------------- */

#define DEATHS_WHOLE 3u

uint64_t crash_deaths_n(const struct crash_point *point)
{
    if (point->point == 0)
        return 0;
    return DEATHS_WHOLE + page_cuts_of(&point->log->entry[point->point - 1]);
}

/* Of each operation: a hole, noise; dropped and alone, where that is no subset. */
static uint64_t hows_each(uint32_t n) { return n <= SUBSETS_OF ? 2 : 4; }
static uint64_t subsets_n(uint32_t n) { return n <= SUBSETS_OF ? (uint64_t)1 << n : RANDOM_SUBSETS; }

uint64_t crash_losses_n(const struct crash_point *point)
{
    const uint32_t n = point->disk->pending_n;
    if (n == 0)
        return 1;
    uint64_t all = 2 + n * hows_each(n) + subsets_n(n) + MIXTURES;
    for (uint32_t i = 0; i < n; i++)
        all += 2 * cuts_of(disk_op(point->disk, i));
    return all;
}

/* -- Choices ----------------------------------------------------------------------------------------- */

static void all(struct crash *crash, uint32_t n, enum op_how how)
{
    for (uint32_t i = 0; i < n; i++)
        crash->how[i] = (uint8_t)how;
}

static void choose_death(const struct crash_point *point, uint64_t variant, struct crash *crash)
{
    static const enum crash_lock locks[DEATHS_WHOLE] = { LOCK_AFTER, LOCK_NEXT, LOCK_ABSENT };
    const uint32_t n = point->disk->pending_n;
    crash->is_death = true;
    all(crash, n, OP_KEPT);
    if (variant < DEATHS_WHOLE) {
        crash->lock = locks[variant];
        (void)snprintf(crash->text, sizeof crash->text, "death, lock %u", (unsigned)variant);
        return;
    }
    crash->lock = LOCK_BEFORE;
    crash->cut = (size_t)(variant - DEATHS_WHOLE + 1) * PAGE;
    crash->how[n - 1] = OP_HEAD; /* the last entry, a write */
    (void)snprintf(crash->text, sizeof crash->text, "death, write cut at %zu", crash->cut);
}

/* The operation and the cut that this number of a tear means. */
static void choose_tear(const struct crash_point *point, uint64_t tear, struct crash *crash)
{
    uint32_t i = 0;
    while (tear >= 2 * cuts_of(disk_op(point->disk, i)))
        tear -= 2 * cuts_of(disk_op(point->disk, i++));
    all(crash, point->disk->pending_n, OP_KEPT);
    crash->cut = cut_at(disk_op(point->disk, i)->data.bytes, tear / 2);
    crash->how[i] = tear % 2 == 0 ? OP_HEAD : OP_TAIL;
    (void)snprintf(crash->text, sizeof crash->text, "%s of operation %u at %zu", tear % 2 == 0 ? "head" : "tail", i,
                   crash->cut);
}

static void choose_one(uint32_t n, uint64_t variant, struct crash *crash)
{
    static const char *const texts[] = { "hole for", "noise for", "without", "only" };
    static const uint8_t hows[] = { OP_HOLE, OP_NOISE, OP_DROPPED, OP_KEPT };
    const uint64_t what = variant / n, i = variant % n;
    all(crash, n, hows[what] == OP_KEPT ? OP_DROPPED : OP_KEPT);
    crash->how[i] = hows[what];
    (void)snprintf(crash->text, sizeof crash->text, "%s operation %u", texts[what], (unsigned)i);
}

static void choose_subset(uint32_t n, uint64_t bits, uint64_t chance, struct crash *crash)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t kept = n <= SUBSETS_OF ? bits >> i : random_next(&chance);
        crash->how[i] = kept % 2 == 1 ? OP_KEPT : OP_DROPPED;
    }
    (void)snprintf(crash->text, sizeof crash->text, "subset %u", (unsigned)bits);
}

static void choose_mixture(uint32_t n, uint64_t number, uint64_t chance, struct crash *crash)
{
    for (uint32_t i = 0; i < n; i++)
        crash->how[i] = (uint8_t)random_below(&chance, OP_HOWS);
    crash->cut = (1 + (size_t)random_below(&chance, PAGE / LINE - 1)) * LINE;
    (void)snprintf(crash->text, sizeof crash->text, "mixture %u", (unsigned)number);
}

static void choose_loss(const struct crash_point *point, uint64_t variant, struct crash *crash)
{
    static const enum crash_lock locks[] = { LOCK_ABSENT, LOCK_AFTER, LOCK_NOISE, LOCK_SHORT, LOCK_EMPTY };
    const uint32_t n = point->disk->pending_n;
    const uint64_t chance = random_mix(point->seed ^ (uint64_t)point->point << 32 ^ variant);
    crash->lock = locks[variant % (sizeof locks / sizeof locks[0])];
    if (variant < 2) {
        all(crash, n, variant == 0 ? OP_KEPT : OP_DROPPED);
        (void)snprintf(crash->text, sizeof crash->text, "%s kept", variant == 0 ? "all" : "nothing");
        return;
    }
    variant -= 2;
    if (variant < n * hows_each(n)) {
        choose_one(n, variant, crash);
        return;
    }
    variant -= n * hows_each(n);
    if (variant < subsets_n(n)) {
        choose_subset(n, variant, chance, crash);
        return;
    }
    variant -= subsets_n(n);
    if (variant < MIXTURES)
        choose_mixture(n, variant, chance, crash);
    else
        choose_tear(point, variant - MIXTURES, crash);
}

void crash_choose(const struct crash_point *point, uint64_t variant, struct crash *ret_crash)
{
    const uint32_t n = point->disk->pending_n;
    const uint64_t deaths = crash_deaths_n(point);
    if (n > ret_crash->how_room) {
        ret_crash->how_room = 2 * n;
        ret_crash->how = realloc(ret_crash->how, ret_crash->how_room);
        require(ret_crash->how != NULL, "no memory for %u choices", n);
    }
    ret_crash->is_death = false;
    ret_crash->cut = 0;
    if (variant < deaths)
        choose_death(point, variant, ret_crash);
    else
        choose_loss(point, variant - deaths, ret_crash);
}

void crash_drop(struct crash *crash)
{
    free(crash->how);
    *crash = (struct crash){ 0 };
}

/* -- The lock file ----------------------------------------------------------------------------------- */

const uint8_t *crash_lock_bytes(const struct crash_point *point, enum crash_lock lock, size_t *ret_bytes)
{
    static uint8_t noise[LOCK_BYTES];
    const struct log *log = point->log;
    const struct log_entry *last = point->point > 0 ? &log->entry[point->point - 1] : NULL;
    const struct log_entry *next = point->point < log->n ? &log->entry[point->point] : last;
    if (lock >= LOCK_NOISE) {
        for (uint32_t i = 0; i < LOCK_BYTES; i++)
            noise[i] = (uint8_t)random_mix(i);
        *ret_bytes = lock == LOCK_NOISE ? LOCK_BYTES : lock == LOCK_SHORT ? LOCK_BYTES / 2 : 0;
        return noise;
    }
    struct log_bytes kept = { 0, 0 };
    if (lock != LOCK_ABSENT && next != NULL)
        kept = lock == LOCK_NEXT ? next->lock_before : lock == LOCK_BEFORE ? last->lock_before :
               last != NULL ? last->lock_after : next->lock_before;
    *ret_bytes = kept.bytes;
    return kept.at == 0 ? NULL : log_data(log, kept);
}
