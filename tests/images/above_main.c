/* SPDX-License-Identifier: MIT
 *
 * Guarantee F of maps above a store: what sync or a durable put returned for is in a new map over whatever the machine's
 * death left of the store, exactly; later changes are there or not, key by key.  All workloads of up to three steps of a
 * small map; then each call on the store's files is made to fail.
 *
 *   images_above                        about 8 000 images, 2 500 failed calls
 *   images_above --images N --calls M --seed S
 *   images_above --workload I [--image POINT.VARIANT | --call K --error eio|enospc|short]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "images/above.h"
#include "images/crash.h"
#include "images/program.h"
#include "images/record.h"
#include "images/wrong.h"
#include "lib/random.h"

#define STEPS_MOST 3u
#define BOOT_LATER 1000u
#define SECONDS_MAX 60u

static const struct above_step alphabet[] = {
    { ABOVE_PUT, "put", 0 },     { ABOVE_DELETE, "delete", 0 }, { ABOVE_UPDATE, "update", 0 },
    { ABOVE_READ, "read", 0 },   { ABOVE_SYNC, "sync", 0 },     { ABOVE_DURABLE, "durable", 0 },
    { ABOVE_SPILL, "spill", 0 }, { ABOVE_PUT, "other", 1 },     { ABOVE_DELETE, "delete-other", 1 },
};
#define ALPHABET (sizeof alphabet / sizeof alphabet[0])
#define WORKLOADS (1 + ALPHABET + ALPHABET * ALPHABET + ALPHABET * ALPHABET * ALPHABET)

static struct program_asked want = { .seed = 1, .images = 8000, .calls = 2500, .call = -1 };

static struct above run, judged;
static struct disk base, at, built;
static uint8_t base_lock[4096];
static struct crash crash;
static struct {
    uint64_t images, calls, unnoticed, refusals;
} counts;

/* -- Workloads ------------------------------------------------------------------------------------------- */

/* Those of fewer steps come first. */
static uint32_t steps_of(uint32_t i, const struct above_step *ret[STEPS_MOST])
{
    uint32_t n = 0, of_length = 1;
    while (i >= of_length) {
        i -= of_length;
        of_length *= (uint32_t)ALPHABET;
        n++;
    }
    for (uint32_t k = n; k-- > 0; i /= (uint32_t)ALPHABET)
        ret[k] = &alphabet[i % ALPHABET];
    return n;
}

static int begin(uint32_t boot)
{
    image_put(&run.image, &base, base_lock, sizeof base_lock);
    record_boot(boot);
    log_begin(&run.log, &base.names, base.files_n);
    record_into(&run.log, run.image.path);
    record_fail(0, FAIL_NOT);
    above_forget(&run);
    return 0;
}

/* The hot keys are in the store, and the map that put them there is gone. */
static int make_base(void)
{
    static const struct above_step steps[] = { { ABOVE_PUT, "", 0 }, { ABOVE_PUT, "", 1 }, { ABOVE_SYNC, "", 0 } };
    base.is_there = true;
    image_put(&run.image, &base, NULL, 0);
    record_boot(1);
    log_begin(&run.log, &base.names, base.files_n);
    record_into(&run.log, run.image.path);
    above_forget(&run);
    int code = above_create(&run);
    for (uint32_t i = 0; i < 3 && code == 0; i++)
        code = above_step(&run, &steps[i]);
    above_close(&run);
    record_mark(LOG_REBOOT, 0, false); /* all of it is on disk */
    image_absorb(&run.image, &run.log);
    disk_copy(&run.image.there, &base);
    if (code == 0)
        memcpy(base_lock, log_data(&run.log, run.log.entry[run.log.n - 1].lock_after), sizeof base_lock);
    return code == 0 ? 0 : wrong_code("making what workloads begin with", code);
}

/* What the base has is there from the first entry on. */
static void know_base(void)
{
    for (uint32_t key = 0; key < ABOVE_HOT; key++) {
        run.change[key].number = key + 1;
        run.change[key].begun = 0;
    }
    run.number = ABOVE_HOT;
}

/* ret_new: entries, or calls, before the last step.  fail: this call of those behind the creation. */
static int work(uint32_t workload, uint64_t call, enum record_how how, uint32_t *ret_entries, uint64_t *ret_calls)
{
    const struct above_step *step[STEPS_MOST];
    const uint32_t n = steps_of(workload, step);
    int code = begin(1);
    know_base();
    code = above_create(&run);
    *ret_entries = 0;
    *ret_calls = 0;
    record_fail(call, how);
    for (uint32_t i = 0; i < n && code == 0; i++) {
        if (i + 1 == n && n > 0) {
            *ret_entries = run.log.n;
            *ret_calls = record_calls_n();
        }
        code = above_step(&run, step[i]);
    }
    return code;
}

/* -- Images ---------------------------------------------------------------------------------------------- */

static void judge_one(const struct crash_point *point, uint64_t variant)
{
    size_t lock_bytes;
    crash_choose(point, variant, &crash);
    disk_copy(&at, &built);
    disk_settle(&built, crash.how, crash.cut);
    const uint8_t *lock = crash_lock_bytes(point, crash.lock, &lock_bytes);
    (void)alarm(SECONDS_MAX);
    image_put(&judged.image, &built, lock, lock_bytes);
    record_boot(crash.is_death ? 1 : BOOT_LATER);
    log_begin(&judged.log, &judged.image.there.names, judged.image.there.files_n);
    record_into(&judged.log, judged.image.path);
    const int code = above_judge(&judged, &run, point->point);
    image_absorb(&judged.image, &judged.log);
    counts.images++;
    if (code != 0)
        program_tell(&run.log, &crash, point->point);
}

/* Every point of the log from `first` on; about `images` of them all. */
static void images_of(const char *id, uint32_t first, uint64_t images, uint64_t seed)
{
    uint64_t all = 0;
    for (int pass = 0; pass < 2; pass++) {
        disk_copy(&base, &at);
        for (uint32_t i = 0; i <= run.log.n; i++) {
            if (i > 0)
                disk_advance(&at, &run.log, i - 1);
            if (i < first)
                continue;
            const struct crash_point point = { &run.log, i, &at, want.seed };
            const uint64_t variants = crash_deaths_n(&point) + crash_losses_n(&point);
            all += pass == 0 ? variants : 0;
            for (uint64_t variant = 0; pass == 1 && variant < variants && wrong_n() < PROGRAM_FAILURES_MOST; variant++) {
                if (want.image != NULL ? !program_asks_for(&want, i, variant) : random_next(&seed) % all >= images)
                    continue;
                during("%s --image %u.%llu", id, i, (unsigned long long)variant);
                judge_one(&point, variant);
            }
        }
    }
}

static void workload_images(uint32_t workload, uint64_t images)
{
    char id[64];
    uint32_t first;
    uint64_t ignored;
    (void)snprintf(id, sizeof id, "--workload %u", workload);
    during("%s", id);
    int code = work(workload, 0, FAIL_NOT, &first, &ignored);
    if (code == 0)
        code = above_look(&run);
    above_close(&run);
    image_absorb(&run.image, &run.log);
    if (code == 0)
        images_of(id, first, images, random_mix(want.seed ^ workload));
    else {
        (void)wrong_code("where nothing failed", code);
        wrong_tell("");
    }
}

/* -- Failed calls ------------------------------------------------------------------------------------------ */

/* Nothing fails any more: the table has what it held; sync succeeds, or refuses for good behind a failed flush. */
static int behind(int failure)
{
    static const struct above_step sync = { ABOVE_SYNC, "", 0 };
    const struct record_failed failed = *record_failed();
    const char *text = shoal_error_text();
    if (strstr(text, "pages") == NULL && strstr(text, "lock") == NULL && strstr(text, run.image.path) == NULL)
        return wrong("code %d, \"%s\" does not name a file", failure, text);
    record_fail(0, FAIL_NOT);
    int code = above_look(&run);
    if (code != 0)
        return wrong_code("reading behind the failure", code);
    const bool flush = failed.call == CALL_FLUSH && strcmp(failed.name, "pages") == 0;
    counts.refusals += flush;
    for (int i = 0; i < 2; i++) {
        code = above_step(&run, &sync);
        if (code != (flush ? SHOAL_ESTORE : 0))
            return wrong("sync behind a failed %s: %d %s", record_call_names[failed.call], code, shoal_error_text());
    }
    return above_look(&run);
}

static uint32_t workload; /* whose calls fail */

static void fail_one(uint64_t call, enum record_how how)
{
    char id[96];
    uint32_t entries;
    uint64_t calls;
    (void)snprintf(id, sizeof id, "--workload %u --call %llu --error %s", workload, (unsigned long long)call,
                   record_how_names[how]);
    during("%s", id);
    (void)alarm(SECONDS_MAX);
    (void)error_set(SHOAL_OK, "%s", "");
    int code = work(workload, call, how, &entries, &calls);
    const struct record_failed failed = *record_failed();
    counts.calls += failed.is;
    const uint32_t first = run.log.n;
    if (code < 0 && !failed.is) {
        code = wrong_code("where nothing failed", code);
    } else if (code < 0) {
        code = behind(code);
    } else if (code == 0) {
        counts.unnoticed += failed.is;
        record_fail(0, FAIL_NOT);
        code = above_look(&run);
    }
    above_close(&run);
    image_absorb(&run.image, &run.log);
    if (code != 0) {
        (void)wrong_code("behind a failure", code);
        wrong_tell("");
    } else {
        images_of(id, first, 2, random_mix(want.seed ^ call));
    }
}

static void workload_calls(uint32_t i, uint64_t most)
{
    static struct program_calls made;
    uint32_t entries;
    uint64_t first;
    workload = i;
    int code = work(workload, 0, FAIL_NOT, &entries, &first);
    program_calls_learn(&made);
    above_close(&run);
    image_absorb(&run.image, &run.log);
    if (code == 0) /* else told by workload_images */
        program_calls_fail(&want, &made, first, most, random_mix(want.seed + workload), fail_one);
}

/* -- All --------------------------------------------------------------------------------------------------- */

static int run_all(void *arg)
{
    (void)arg;
    image_begin(&run.image, "run");
    image_begin(&judged.image, "judged");
    int code = make_base();
    const uint32_t from = want.which == NULL ? 0 : (uint32_t)atol(want.which);
    const uint32_t to = want.which == NULL ? (uint32_t)WORKLOADS : from + 1;
    for (uint32_t i = from; i < to && code == 0 && wrong_n() < PROGRAM_FAILURES_MOST; i++) {
        const uint64_t images = want.images > counts.images ? want.images - counts.images : 0;
        const uint64_t calls = want.calls > counts.calls ? want.calls - counts.calls : 0;
        if (want.call < 0)
            workload_images(i, images / (to - i) + 1);
        if (want.image == NULL)
            workload_calls(i, calls / (to - i) + 1);
    }
    if (code != 0)
        wrong_tell("");
    printf("images_above: %llu images of %u workloads, %llu failed calls (%llu unnoticed, %llu flushes); seed %llu: "
           "%llu failures\n", (unsigned long long)counts.images, to - from, (unsigned long long)counts.calls,
           (unsigned long long)counts.unnoticed, (unsigned long long)counts.refusals, (unsigned long long)want.seed,
           (unsigned long long)wrong_n());
    (void)shoal_unlink(run.name);
    return wrong_n() == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    program_ask(&want, "workload", argc, argv);
    return program_run("images_above", want.seed, run_all, NULL);
}
