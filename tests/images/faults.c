/* SPDX-License-Identifier: MIT
 *
 * Each call on the files of a workload made to fail (faults.h).
 *
 * Whatever fails: the store's call says so and names the file, what was published before is still read, what was
 * acknowledged survives the machine, no descriptor is left open.  Then work goes on, by the same handle and by another
 * one; but behind a failed flush of the pages nobody can know what is on disk, and nothing is committed any more until
 * the machine has been started again.
 */
#include "images/faults.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "images/explore.h"
#include "images/interrupt.h"
#include "images/wrong.h"
#include "lib/random.h"
#include "shoal/shoal.h"

#define SECONDS_MAX 60u
#define IMAGES_EACH 4u /* of a machine that goes down behind a failure */
#define PAGES_NAME "pages"

struct faults_counts faults_counts;
static struct run run, quiet;

void faults_begin(void)
{
    run_init(&run, "faults");
    run_init(&quiet, "quiet");
}

void faults_end(void)
{
    run_drop(&run);
    run_drop(&quiet);
}

/* -- A run ------------------------------------------------------------------------------------------- */

static bool has_reboot(const struct workload *workload)
{
    for (uint32_t i = 0; i < workload->steps_n; i++)
        if (workload->step[i].kind == STEP_REBOOT)
            return true;
    return false;
}

static int read_only(void)
{
    struct store *store;
    int code = store_open(run.image.path, STORE_RDONLY, &store);
    if (code != 0)
        return code;
    code = run_look(&run, store);
    store_close(store);
    return code;
}

/* The first code that is not 0.  *ret_new: how many calls a shorter workload has too. */
static int work(const struct run_base *base, const struct workload *workload, uint64_t call, enum record_how how,
                uint64_t *ret_new)
{
    int code = 0;
    run_begin(&run, base, workload->keys_n);
    record_fail(0, FAIL_NOT);
    *ret_new = 0;
    if (workload->base == BASE_FILLED && !has_reboot(workload))
        code = store_open(run.image.path, 0, &run.other);
    record_fail(call, how);
    if (code == 0)
        code = run_open(&run);
    for (uint32_t i = 0; i < workload->steps_n && code == 0; i++) {
        if (i + 1 == workload->steps_known)
            *ret_new = record_calls_n();
        code = run_step(&run, &workload->step[i]);
    }
    if (code == 0)
        code = run_step(&run, &(struct step){ .kind = STEP_COMMIT });
    if (code == 0)
        code = run_look(&run, run.store);
    return code == 0 ? read_only() : code;
}

static void leave(void)
{
    const char *name;
    run_close(&run);
    if (record_open_n(&name) != 0)
        (void)wrong("%s is still open", name);
    image_absorb(&run.image, &run.log);
}

/* -- Behind a failure -------------------------------------------------------------------------------- */

static int is_said(int code)
{
    const char *text = shoal_error_text();
    if (text[0] == '\0')
        return wrong("code %d comes without a text", code);
    if (strstr(text, PAGES_NAME) == NULL && strstr(text, "lock") == NULL && strstr(text, run.image.path) == NULL)
        return wrong("code %d, \"%s\" does not name a file", code, text);
    return 0;
}

/* Were it to succeed, something would be taken for done that is not.  (A write of which a part was done may have done
 * all that differs.) */
static bool must_be_noticed(enum record_call call, enum record_how how)
{
    return call == CALL_MAKE || call == CALL_RENAME || call == CALL_FLUSH || call == CALL_FLUSH_DIRECTORY ||
           (call == CALL_WRITE && how != FAIL_SHORT);
}

static int goes_on(struct store *store, const char *who)
{
    static const struct step put = { STEP_PUT, "", 0, 200 }, commit = { .kind = STEP_COMMIT };
    struct store *kept = run.store;
    run.store = store;
    int code = store_lock(store, RUN_LOCK_MS);
    run.is_locked = code == 0;
    if (code == 0)
        code = run_step(&run, &put);
    if (code == 0)
        code = run_step(&run, &commit);
    if (run.is_locked)
        store_unlock(store);
    run.is_locked = false;
    if (code == 0)
        code = run_look(&run, store);
    run.store = kept;
    return code == 0 || code == WRONG ? code : wrong("%s cannot go on: %d: %s", who, code, shoal_error_text());
}

/* Reading goes on, committing does not. */
static int is_refused(struct store *store, const char *who)
{
    const struct store_record record = contents_record(0, ++run.number, 200);
    uint64_t version;
    int code = run_look(&run, store);
    if (code != 0)
        return wrong_code("reading behind a failed flush", code);
    code = store_lock(store, RUN_LOCK_MS);
    const bool is_locked = code == 0;
    if (code == 0)
        code = store_put(store, &record, &version);
    if (code == 0)
        code = store_commit(store);
    if (is_locked)
        store_unlock(store);
    if (code != SHOAL_ESTORE)
        return wrong("%s commits behind a failed flush: %d", who, code);
    code = run_look(&run, store);
    return code == 0 ? is_said(SHOAL_ESTORE) : wrong_code("reading behind a failed flush", code);
}

/* By the same handle, by one that was open before, by a new one, and, when all of these are closed, by one more. */
static int by_all(int each(struct store *store, const char *who))
{
    struct store *another;
    int code = each(run.store, "the handle that failed");
    if (code == 0 && run.other != NULL)
        code = each(run.other, "another handle that was open before");
    for (int i = 0; i < 2 && code == 0; i++) {
        code = store_open(run.image.path, 0, &another);
        if (code != 0)
            return wrong_code("opening it behind a failure", code);
        code = each(another, i == 0 ? "a new handle" : "a handle opened later");
        store_close(another);
        run_close(&run);
    }
    return code;
}

/* Names that may not be on disk are refused by some calls and flushed again by others: either is right, for all. */
static bool has_refused(void)
{
    const int code = store_lock(run.store, RUN_LOCK_MS);
    if (code == 0)
        store_unlock(run.store);
    return code == SHOAL_ESTORE;
}

static int behind(const struct record_failed *failed, int failure)
{
    int code = is_said(failure);
    if (code == 0 && run.store == NULL) {
        code = run_open(&run);
        if (code != 0)
            code = wrong_code("opening it a second time", code);
    }
    if (code == 0 && (code = run_settle(&run)) != 0)
        code = wrong_code("reading behind the failure", code);
    if (code != 0)
        return code;
    const bool is_flush = failed->call == CALL_FLUSH_DIRECTORY ? has_refused() :
                          failed->call == CALL_FLUSH && strcmp(failed->name, PAGES_NAME) == 0;
    faults_counts.refusals += is_flush;
    return by_all(is_flush ? is_refused : goes_on);
}

/* The machine goes down at any time behind the failure. */
static void lose(const struct run_base *base, uint32_t first_point, uint64_t seed)
{
    char id[DURING_BYTES];
    (void)snprintf(id, sizeof id, "%s", during_text());
    const struct explore_log log = { .id = id, .log = &run.log, .oracle = &run.oracle, .begin = &base->disk,
                                     .boot = base->boot, .first_point = first_point, .only_losses = true };
    const struct explore_asked asked = { .seed = seed, .images = IMAGES_EACH };
    explore(&log, &asked);
}

static void fail_one(const struct run_base *base, const struct workload *workload, uint64_t call, enum record_how how,
                     uint64_t seed)
{
    uint64_t ignored;
    during("--workload %s --call %llu --error %s", workload->id, (unsigned long long)call, record_how_names[how]);
    (void)alarm(SECONDS_MAX);
    (void)error_set(SHOAL_OK, "%s", ""); /* so that the text is that of the failure */
    int code = work(base, workload, call, how, &ignored);
    const struct record_failed failed = *record_failed();
    const uint32_t first_point = run.log.n;
    record_fail(0, FAIL_NOT);
    faults_counts.calls += failed.is;
    if (code < 0 && !failed.is) {
        code = wrong_code("where nothing failed", code);
    } else if (code == 0 && failed.is) {
        faults_counts.unnoticed++;
        if (must_be_noticed(failed.call, how))
            code = wrong("a failed %s of %s is not noticed", record_call_names[failed.call], failed.name);
    } else if (code < 0) {
        code = behind(&failed, code);
    }
    leave();
    if (code != 0 || wrong_text()[0] != '\0')
        wrong_tell("");
    else
        lose(base, first_point, seed);
}

/* -- Each call --------------------------------------------------------------------------------------- */

void faults_workload(const struct run_base *base, const struct workload *workload, const struct faults_asked *asked)
{
    uint64_t first, chance = hash_bytes(workload->id, strlen(workload->id), asked->seed);
    static uint8_t kinds[1u << 16];
    during("--workload %s", workload->id);
    int code = work(base, workload, 0, FAIL_NOT, &first);
    const uint64_t n = record_calls_n() < sizeof kinds ? record_calls_n() : sizeof kinds;
    for (uint64_t i = 0; i < n; i++)
        kinds[i] = (uint8_t)record_kind_of(i);
    leave();
    if (code != 0) {
        (void)wrong_code("where nothing failed", code);
        wrong_tell("");
        return;
    }
    if (asked->only_call != FAULTS_ALL)
        first = asked->only_call;
    const uint64_t all = 2 * (n - first); /* about */
    for (uint64_t call = first; call < n; call++)
        for (int how = FAIL_EIO; how < FAIL_KINDS; how++) {
            const bool is_only = (asked->only_call == FAULTS_ALL || call == asked->only_call) &&
                                 (asked->only_how == FAIL_NOT || (int)asked->only_how == how);
            if (!is_only || !record_can_fail((enum record_call)kinds[call], (enum record_how)how) ||
                (asked->calls < all && random_next(&chance) % all >= asked->calls))
                continue;
            fail_one(base, workload, call, (enum record_how)how, asked->seed);
        }
}

/* -- Interruptions ----------------------------------------------------------------------------------- */

static int is_same(const struct log *a, const struct log *b)
{
    for (uint32_t i = 0; i < a->n && i < b->n; i++) {
        const struct log_entry *one = &a->entry[i], *two = &b->entry[i];
        if (one->kind != two->kind || one->file != two->file || one->at != two->at ||
            one->data.bytes != two->data.bytes || strcmp(one->name, two->name) != 0 || one->state != two->state ||
            memcmp(log_data(a, one->data), log_data(b, two->data), one->data.bytes) != 0)
            return wrong("with interruptions entry %u of the log is another", i);
    }
    return a->n == b->n ? 0 : wrong("with interruptions the log has %u entries, not %u", b->n, a->n);
}

void faults_interrupt(const struct run_base *base, const struct workload *workload, uint64_t seed)
{
    uint32_t ignored;
    const uint64_t before = interrupt_n();
    during("--workload %s --interrupt", workload->id);
    (void)alarm(SECONDS_MAX);
    int code = run_workload(&quiet, base, workload, &ignored);
    run_close(&quiet);
    if (code == 0) {
        interrupt_begin(random_mix(seed) | 1);
        code = run_workload(&run, base, workload, &ignored);
        interrupt_begin(0);
        run_close(&run);
    }
    faults_counts.interrupted += interrupt_n() - before;
    if (code == 0)
        code = is_same(&quiet.log, &run.log);
    if (code != 0) {
        (void)wrong_code("with interruptions", code);
        wrong_tell("");
    }
}
