/* SPDX-License-Identifier: MIT
 *
 * All that a crash may leave of a log (explore.h).
 */
#include "images/explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "images/wrong.h"
#include "lib/fail.h"
#include "lib/random.h"

#define DEPTHS 2u           /* a log, and the logs of its images */
#define NESTED_IMAGES 8u    /* of one log of an image */
#define NESTED_DEATHS 8u    /* what is left pending by a death is more often looked at */
#define BOOT_LATER 1000u    /* another life of the machine than any in which a log was written */
#define SECONDS_MAX 60u     /* for one image */
#define FAILURES_EACH 3u    /* of one log, then it is left */
#define SEEN_FIRST ((uint64_t)1 << 16)

struct explore_counts explore_counts;

/* What one depth works with. */
static struct level {
    struct disk disk, built; /* at the point; as the crash leaves it */
    struct crash crash;
    struct judge judge;
    uint64_t chance;
} levels[DEPTHS];
static struct image image;
static uint64_t *seen, seen_n, seen_room;

void explore_begin(void) { image_begin(&image, "image"); }

void explore_end(void)
{
    for (uint32_t i = 0; i < DEPTHS; i++) {
        disk_drop(&levels[i].disk);
        disk_drop(&levels[i].built);
        crash_drop(&levels[i].crash);
        judge_drop(&levels[i].judge);
    }
    image_drop(&image);
    free(seen);
    seen = NULL;
    seen_n = seen_room = 0;
}

/* -- What was seen ----------------------------------------------------------------------------------- */

static bool seen_put(uint64_t *table, uint64_t room, uint64_t hash)
{
    uint64_t i = hash & (room - 1);
    while (table[i] != 0 && table[i] != hash)
        i = (i + 1) & (room - 1);
    bool is_new = table[i] == 0;
    table[i] = hash;
    return is_new;
}

static bool is_seen(uint64_t hash)
{
    if (2 * seen_n >= seen_room) {
        uint64_t room = seen_room == 0 ? SEEN_FIRST : 2 * seen_room;
        uint64_t *table = calloc(room, sizeof *table);
        require(table != NULL, "no memory for %llu images", (unsigned long long)room);
        for (uint64_t i = 0; i < seen_room; i++)
            if (seen[i] != 0)
                (void)seen_put(table, room, seen[i]);
        free(seen);
        seen = table;
        seen_room = room;
    }
    bool is_new = seen_put(seen, seen_room, hash | 1);
    seen_n += is_new;
    return !is_new;
}

/* -- One image --------------------------------------------------------------------------------------- */

static void explore_at(const struct explore_log *log, const struct explore_asked *asked, uint32_t depth);

static uint32_t boot_at(const struct explore_log *log, uint32_t point)
{
    uint32_t boot = log->boot;
    for (uint32_t i = 0; i < point; i++)
        boot += log->log->entry[i].kind == LOG_REBOOT;
    return boot;
}

/* With the operations that were pending, so that it can be seen what was lost. */
static void tell(const struct explore_log *log, uint32_t point, const struct level *level)
{
    static const char *const hows[OP_HOWS] = { "kept", "dropped", "head", "tail", "hole", "noise" };
    char text[LOG_TEXT_BYTES];
    wrong_tell(level->crash.text);
    log_say(log->log, point == 0 ? 0 : point - 1, text);
    printf("    behind: %s\n", point == 0 ? "nothing" : text);
    for (uint32_t i = 0; i < level->disk.pending_n && i < 16; i++) {
        log_say(level->disk.pending[i].log, level->disk.pending[i].entry, text);
        printf("    %u %s: %s\n", i, hows[level->crash.how[i]], text);
    }
    (void)fflush(stdout);
}

/* A process that died has left operations pending, and what is done later may be lost together with them. */
static void explore_judged(const struct explore_asked *asked, uint32_t boot, const struct level *level)
{
    char id[DURING_BYTES];
    (void)snprintf(id, sizeof id, "%s", during_text());
    const struct explore_log nested = {
        .id = id, .log = &level->judge.log, .oracle = &level->judge.oracle, .boot = boot,
        .begin = level->crash.is_death && level->crash.cut == 0 ? &level->disk : &level->built,
    };
    struct explore_asked few = *asked;
    const char *deeper = asked->only == NULL ? NULL : strchr(asked->only, '/');
    const bool is_all = deeper != NULL && deeper[1] == '\0';
    few.images = is_all ? EXPLORE_ALL : NESTED_IMAGES;
    few.only = deeper == NULL || is_all ? NULL : deeper + 1;
    explore_at(&nested, &few, 1);
}

static bool is_judged_deeper(const struct explore_asked *asked, struct level *level)
{
    if (asked->only != NULL)
        return strchr(asked->only, '/') != NULL;
    const uint64_t share = asked->nested_percent * (level->crash.is_death ? NESTED_DEATHS : 1);
    return random_below(&level->chance, 100 * NESTED_IMAGES) < share;
}

static void judge_one(const struct explore_log *log, const struct explore_asked *asked,
                      const struct crash_point *point, uint64_t variant, uint32_t depth)
{
    struct level *level = &levels[depth];
    const struct crash *crash = &level->crash;
    size_t lock_bytes;
    crash_choose(point, variant, &level->crash);
    disk_copy(point->disk, &level->built);
    disk_settle(&level->built, crash->how, crash->cut);
    const uint8_t *lock = crash_lock_bytes(point, crash->lock, &lock_bytes);
    const struct expected expected = oracle_expect(log->oracle, log->log, point->point, crash->is_death);
    const struct expected later = oracle_expect(log->oracle, log->log, point->point, false);
    const uint32_t boot = boot_at(log, point->point) + (crash->is_death ? 0 : BOOT_LATER);
    const uint64_t words[] = { disk_hash(&level->built), lock == NULL ? 0 : hash_bytes(lock, lock_bytes, 1), boot,
                               expected_hash(&expected), crash->is_death ? expected_hash(&later) : 0 };
    if (asked->only == NULL && is_seen(hash_bytes(words, sizeof words, 0))) {
        explore_counts.repeated++;
        return;
    }
    during("%s%s%u.%llu", log->id, depth == 0 ? " --image " : "/", point->point, (unsigned long long)variant);
    (void)alarm(SECONDS_MAX);
    image_put(&image, &level->built, lock, lock_bytes);
    int code = judge_image(&level->judge, &image, &expected, crash->is_death ? &later : NULL, boot,
                           random_mix(words[0] ^ variant));
    explore_counts.images++;
    explore_counts.deaths += crash->is_death;
    explore_counts.nested += depth > 0;
    if (code != 0)
        tell(log, point->point, level);
    else if (depth + 1 < DEPTHS && is_judged_deeper(asked, level))
        explore_judged(asked, boot, level);
}

/* -- All of a log ------------------------------------------------------------------------------------ */

/* Whole, of the process; and of the machine, with all and with nothing. */
static bool is_main(uint64_t variant, uint64_t deaths) { return variant == 0 || variant - deaths < 2; }

struct tally {
    uint64_t main, other;
};

/* How many there are to choose from. */
static struct tally count(const struct explore_log *log, struct disk *disk)
{
    struct tally tally = { 0, 0 };
    disk_copy(log->begin, disk);
    for (uint32_t i = 0; i <= log->log->n; i++) {
        if (i > 0)
            disk_advance(disk, log->log, i - 1);
        const struct crash_point point = { log->log, i, disk, 0 };
        const uint64_t deaths = crash_deaths_n(&point), losses = crash_losses_n(&point);
        const uint64_t mains = (deaths > 0) + (losses > 1 ? 2u : 1u);
        if (i < log->first_point)
            continue;
        tally.main += mains;
        tally.other += deaths + losses - mains;
    }
    return tally;
}

/* One half of those that are wanted are main ones. */
static bool is_chosen(const struct explore_asked *asked, struct tally tally, bool is_main, uint64_t *io_chance)
{
    const uint64_t all = is_main ? tally.main : tally.other, wanted = asked->images / 2 + 1;
    return wanted >= all || random_next(io_chance) % all < wanted;
}

static bool is_only(const char *only, uint32_t point, uint64_t variant)
{
    char text[48];
    int n = snprintf(text, sizeof text, "%u.%llu", point, (unsigned long long)variant);
    return strncmp(only, text, (size_t)n) == 0 && (only[n] == '\0' || only[n] == '/');
}

static void explore_at(const struct explore_log *log, const struct explore_asked *asked, uint32_t depth)
{
    struct level *level = &levels[depth];
    const struct tally tally = count(log, &level->disk);
    const uint64_t failures = wrong_n();
    level->chance = random_mix(asked->seed ^ hash_bytes(log->id, strlen(log->id), 0));
    disk_copy(log->begin, &level->disk);
    for (uint32_t i = 0; i <= log->log->n; i++) {
        if (i > 0)
            disk_advance(&level->disk, log->log, i - 1);
        const struct crash_point point = { log->log, i, &level->disk, asked->seed };
        const uint64_t deaths = crash_deaths_n(&point);
        const uint64_t all = i < log->first_point ? 0 : deaths + crash_losses_n(&point);
        for (uint64_t variant = log->only_losses ? deaths : 0; variant < all; variant++) {
            if (wrong_n() - failures >= FAILURES_EACH)
                return;
            if (asked->only != NULL ? is_only(asked->only, i, variant) :
                                      is_chosen(asked, tally, is_main(variant, deaths), &level->chance))
                judge_one(log, asked, &point, variant, depth);
        }
    }
}

void explore(const struct explore_log *log, const struct explore_asked *asked) { explore_at(log, asked, 0); }
