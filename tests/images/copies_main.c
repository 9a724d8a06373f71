/* SPDX-License-Identifier: MIT
 *
 * Guarantee F of backups and restored stores: whatever the death of the process or the machine leaves of one is refused
 * as unfinished or whole, exactly; another call makes a whole one of it; what is copied is not written to.  Then each call on
 * either side's files is made to fail.  What a failed flush had to bring is lost: no later flush brings it.
 *
 *   images_copies                       about 7 000 images, all calls failed
 *   images_copies --images N --calls M --seed S
 *   images_copies --work NAME [--image POINT.VARIANT | --call K --error eio|enospc|short [--image POINT.VARIANT]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "images/copies.h"
#include "images/crash.h"
#include "images/program.h"
#include "images/record.h"
#include "images/wrong.h"
#include "lib/random.h"

#define BOOT_LATER 1000u
#define SECONDS_MAX 60u
#define IMAGES_EACH 3u   /* of a machine that goes down behind a failure */
#define IMAGES_FLUSH 60u /* behind a failed flush, which leaves others than the log alone would */

static struct program_asked want = { .seed = 1, .images = 4000, .calls = UINT64_MAX, .call = -1 };

static const struct copies_work *work;
static struct copies run, judged;
static struct disk base, at, built;
static struct crash crash;
static struct {
    uint64_t images, calls, unnoticed, refused;
} counts;

/* -- Images ---------------------------------------------------------------------------------------------- */

static bool has_returned(uint32_t point)
{
    for (uint32_t i = 0; i < point; i++)
        if (run.log.entry[i].kind == LOG_RETURNED)
            return true;
    return false;
}

/* The judge copies from the same side, in the life of the machine that the crash leaves. */
static int judge_image(uint32_t point)
{
    bool is_there = false;
    const char *path = judged.to.path;
    log_begin(&judged.log, &judged.to.there.names, judged.to.there.files_n);
    record_into(&judged.log, path);
    record_boot(crash.is_death ? 1 : BOOT_LATER);
    judged.pages = run.pages;
    memcpy(judged.marks, run.marks, sizeof run.marks);
    memcpy(judged.older, run.older, sizeof run.older);
    int code = copies_judge(&judged, work, path, has_returned(point), &is_there);
    if (code == 0 && !work->restores)
        code = store_open(run.from.path, 0, &judged.store);
    if (code == 0)
        code = copies_go_on(&judged, work, path, is_there);
    copies_close(&judged);
    return code;
}

static void judge_one(const struct crash_point *point, uint64_t variant)
{
    size_t lock_bytes;
    crash_choose(point, variant, &crash);
    disk_copy(&at, &built);
    disk_settle(&built, crash.how, crash.cut);
    const uint8_t *lock = crash_lock_bytes(point, crash.lock, &lock_bytes);
    (void)alarm(SECONDS_MAX);
    image_put(&judged.to, &built, lock, lock_bytes);
    counts.images++;
    if (judge_image(point->point) != 0)
        program_tell(&run.log, &crash, point->point);
}

static void advance(uint32_t i)
{
    const struct log_entry *entry = &run.log.entry[i];
    disk_advance(&at, &run.log, i);
    if (entry->kind == LOG_FLUSH_FAILED)
        disk_lose(&at, entry->file);
}

/* All kept and nothing kept are half of those that are judged, and of the end always: so it is seen what is on disk for
 * certain. */
static bool is_chosen(bool is_main, bool is_end, uint64_t images, const uint64_t all[2], uint64_t *io_chance)
{
    return (is_main && is_end) || random_next(io_chance) % all[is_main] < images / 2 + 1;
}

/* Every point of the log; about `images` of them all.  losses: of the machine's death alone. */
static void images_of(const char *id, uint64_t images, bool losses, uint64_t seed)
{
    uint64_t all[2] = { 0, 0 };
    for (int pass = 0; pass < 2; pass++) {
        disk_copy(&base, &at);
        for (uint32_t i = 0; i <= run.log.n; i++) {
            if (i > 0)
                advance(i - 1);
            const struct crash_point point = { &run.log, i, &at, want.seed };
            const uint64_t deaths = crash_deaths_n(&point), n = deaths + crash_losses_n(&point);
            for (uint64_t variant = losses ? deaths : 0; variant < n && wrong_n() < PROGRAM_FAILURES_MOST; variant++) {
                const bool is_main = variant >= deaths && variant - deaths < 2;
                all[is_main] += pass == 0;
                if (pass == 0 ||
                    (want.image != NULL ? !program_asks_for(&want, i, variant) : !is_chosen(is_main, i == run.log.n, images, all, &seed)))
                    continue;
                during("%s --image %u.%llu", id, i, (unsigned long long)variant);
                judge_one(&point, variant);
            }
        }
    }
}

static void images_of_work(uint64_t images)
{
    char id[64];
    (void)snprintf(id, sizeof id, "--work %s", work->name);
    during("%s", id);
    record_boot(1);
    int code = copies_open(&run, work, &base);
    if (code == 0)
        code = copies_do(&run, work);
    copies_close(&run);
    if (code == 0)
        code = copies_judge_source(&run, work);
    if (code == 0) {
        images_of(id, images, false, random_mix(want.seed));
    } else {
        (void)wrong_code("where nothing failed", code);
        wrong_tell("");
    }
}

/* -- Failed calls ------------------------------------------------------------------------------------------ */

static int is_said(int code)
{
    const char *text = shoal_error_text();
    return strstr(text, "pages") != NULL || strstr(text, run.to.path) != NULL || strstr(text, run.from.path) != NULL
               ? 0
               : wrong("code %d, \"%s\" does not name a file", code, text);
}

/* Of the copy: were it to succeed, something would be taken for done that is not. */
static bool must_be_noticed(const struct record_failed *failed, enum record_how how)
{
    const enum record_call call = failed->call;
    return call == CALL_MAKE || call == CALL_RENAME || call == CALL_FLUSH || call == CALL_FLUSH_DIRECTORY ||
           (call == CALL_WRITE && how != FAIL_SHORT);
}

/* Nothing fails any more: what is there is whole or none; another call makes it whole, by the same handle. */
static int behind(const struct record_failed *failed, int failure)
{
    bool is_there;
    int code = is_said(failure);
    record_fail(0, FAIL_NOT);
    if (code == 0)
        code = copies_judge(&run, work, run.to.path, false, &is_there);
    if (code != 0)
        return code;
    if (work->restores && is_there)
        return 0; /* named, and perhaps not on disk */
    const bool is_refused = !work->restores && failed->call == CALL_FLUSH && strcmp(failed->name, RECORD_OTHER) == 0;
    counts.refused += is_refused;
    code = copies_do(&run, work);
    if (code != (is_refused ? SHOAL_ESTORE : 0))
        return wrong("again behind a failed %s of %s: %d %s", record_call_names[failed->call], failed->name, code,
                     shoal_error_text());
    return is_refused ? 0 : copies_judge(&run, work, run.to.path, true, &is_there);
}

static int fail_call(uint64_t call, enum record_how how)
{
    (void)error_set(SHOAL_OK, "%s", "");
    int code = copies_open(&run, work, &base);
    if (code != 0)
        return code;
    record_fail(call, how);
    code = copies_do(&run, work);
    const struct record_failed failed = *record_failed();
    counts.calls += failed.is;
    if (code < 0 && !failed.is)
        return wrong_code("where nothing failed", code);
    if (code < 0)
        return behind(&failed, code);
    counts.unnoticed += failed.is;
    if (code == 0 && failed.is && must_be_noticed(&failed, how))
        return wrong("a failed %s of %s is not noticed", record_call_names[failed.call], failed.name);
    return code;
}

static void fail_one(uint64_t call, enum record_how how)
{
    static uint32_t life = BOOT_LATER;
    char id[96];
    const char *name;
    (void)snprintf(id, sizeof id, "--work %s --call %llu --error %s", work->name, (unsigned long long)call,
                   record_how_names[how]);
    during("%s", id);
    (void)alarm(SECONDS_MAX);
    record_boot(++life); /* a store that refuses does so in one life */
    int code = fail_call(call, how);
    const struct record_failed failed = *record_failed();
    copies_close(&run);
    record_fail(0, FAIL_NOT);
    if (code == 0 && record_open_n(&name) != 0)
        code = wrong("%s is still open", name);
    if (code == 0)
        code = copies_judge_source(&run, work);
    if (code != 0) {
        (void)wrong_code("behind a failure", code);
        wrong_tell("");
    } else if (!work->uncommitted) {
        const bool is_flush = failed.call == CALL_FLUSH;
        images_of(id, is_flush ? IMAGES_FLUSH : IMAGES_EACH, true, random_mix(want.seed ^ call));
    }
}

static void calls_of_work(uint64_t calls)
{
    static struct program_calls made;
    int code = copies_open(&run, work, &base);
    record_fail(0, FAIL_NOT);
    if (code == 0)
        code = copies_do(&run, work);
    program_calls_learn(&made);
    copies_close(&run);
    if (code == 0) /* else told by images_of_work */
        program_calls_fail(&want, &made, 0, calls, random_mix(want.seed + 1), fail_one);
}

/* -- All --------------------------------------------------------------------------------------------------- */

static void run_work(const struct copies_work *of, uint64_t images, uint64_t calls)
{
    work = of;
    disk_drop(&base);
    record_boot(1);
    during("--work %s", work->name);
    if (copies_begin(&run, work, &base) != 0) {
        wrong_tell("");
        return;
    }
    image_begin(&judged.to, "judged");
    judged.from = (struct image){ .puts_n = 0 };
    (void)snprintf(judged.from.path, sizeof judged.from.path, "%s", run.from.path);
    if (want.call < 0)
        images_of_work(images);
    if (want.image == NULL || want.call >= 0)
        calls_of_work(calls);
    image_drop(&judged.to);
    copies_end(&run);
}

static int run_all(void *arg)
{
    (void)arg;
    uint32_t n = 0;
    for (uint32_t i = 0; i < copies_works_n && wrong_n() < PROGRAM_FAILURES_MOST; i++) {
        if (want.which != NULL && strcmp(want.which, copies_works[i].name) != 0)
            continue;
        run_work(&copies_works[i], want.images / copies_works_n, want.calls / copies_works_n);
        n++;
    }
    printf("images_copies: %llu images of %u works, %llu failed calls (%llu unnoticed, %llu flushes of what is copied); "
           "seed %llu: %llu failures\n", (unsigned long long)counts.images, n, (unsigned long long)counts.calls,
           (unsigned long long)counts.unnoticed, (unsigned long long)counts.refused, (unsigned long long)want.seed,
           (unsigned long long)wrong_n());
    return wrong_n() == 0 && n > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    program_ask(&want, "work", argc, argv);
    return program_run("images_copies", want.seed, run_all, NULL);
}
