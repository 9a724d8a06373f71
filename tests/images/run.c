/* SPDX-License-Identifier: MIT
 *
 * A workload being done to a store (run.h).
 */
#include "images/run.h"

#include <stdlib.h>
#include <string.h>

#include "images/record.h"
#include "images/wrong.h"
#include "lib/fail.h"
#include "shoal/shoal.h"

void run_init(struct run *run, const char *name)
{
    *run = (struct run){ .boot = 1 };
    image_begin(&run->image, name);
}

void run_drop(struct run *run)
{
    image_drop(&run->image);
    log_drop(&run->log);
    oracle_drop(&run->oracle);
}

/* -- Base -------------------------------------------------------------------------------------------- */

static void take_base(const struct run *run, struct run_base *ret_base)
{
    const struct log_entry *last = run->log.n > 0 ? &run->log.entry[run->log.n - 1] : NULL;
    disk_copy(&run->image.there, &ret_base->disk);
    ret_base->number = run->number;
    ret_base->boot = run->boot;
    ret_base->lock_bytes = last == NULL ? 0 : last->lock_after.bytes;
    require(ret_base->lock_bytes <= sizeof ret_base->lock, "a lock file of %zu bytes", ret_base->lock_bytes);
    if (ret_base->lock_bytes > 0)
        memcpy(ret_base->lock, log_data(&run->log, last->lock_after), ret_base->lock_bytes);
}

int run_make_base(struct run *run, enum base base, struct run_base *ret_base)
{
    static const struct run_base nothing = { .boot = 1 };
    uint32_t n = 0;
    const struct step *steps = workload_base(&n);
    int code = 0;
    *ret_base = nothing;
    oracle_begin(&ret_base->oracle, CONTENTS_KEYS_MAX);
    ret_base->disk.is_there = base != BASE_NONE;
    if (base == BASE_NONE || base == BASE_BARE)
        return 0;
    run_begin(run, &nothing, CONTENTS_KEYS_MAX);
    code = run_open(run);
    for (uint32_t i = 0; i < n && code == 0; i++)
        code = run_step(run, &steps[i]);
    if (code == 0)
        code = run_end(run);
    if (code != 0)
        return wrong_code("making what workloads begin with", code);
    record_mark(LOG_REBOOT, 0, false); /* for the lock file as the store left it; all of it is on disk */
    image_absorb(&run->image, &run->log);
    take_base(run, ret_base);
    if (base == BASE_LOST)
        ret_base->lock_bytes = 0;
    memcpy(ret_base->oracle.working, oracle_state(&run->oracle, run->oracle.durable), sizeof run->oracle.working);
    (void)oracle_add(&ret_base->oracle);
    return 0;
}

void run_base_drop(struct run_base *base)
{
    disk_drop(&base->disk);
    oracle_drop(&base->oracle);
}

static void begin_oracle(struct oracle *oracle, const struct oracle *base, uint32_t keys_n)
{
    oracle_begin(oracle, keys_n);
    if (base->states_n == 0)
        return;
    const uint64_t *marks = oracle_state(base, 0);
    memcpy(oracle->working, marks, keys_n * sizeof *marks);
    oracle->working[keys_n] = marks[base->keys_n];
    oracle->visible = oracle->durable = oracle_add(oracle);
    states_only(&oracle->first_visible, oracle->visible);
    states_only(&oracle->first_durable, oracle->durable);
}

void run_begin(struct run *run, const struct run_base *base, uint32_t keys_n)
{
    image_put(&run->image, &base->disk, base->lock_bytes > 0 ? base->lock : NULL, base->lock_bytes);
    begin_oracle(&run->oracle, &base->oracle, keys_n);
    run->number = base->number;
    run->boot = base->boot;
    record_boot(run->boot);
    log_begin(&run->log, &base->disk.names, base->disk.files_n);
    record_into(&run->log, run->image.path);
}

/* -- Steps ------------------------------------------------------------------------------------------- */

int run_open(struct run *run)
{
    struct oracle *oracle = &run->oracle;
    const bool is_new = oracle->visible == NO_STORE, is_first = oracle->states_n == 0;
    uint32_t state = is_new ? oracle_add(oracle) : oracle->visible;
    if (is_new)
        record_mark(LOG_BEGUN, state, true);
    int code = store_open(run->image.path, is_new ? STORE_CREATE : 0, &run->store);
    if (code != 0)
        return run->store == NULL ? code : wrong("a store that was not opened is not NULL");
    if (is_new)
        record_mark(LOG_RETURNED, state, is_first); /* one that an attempt that failed has left may not be on disk */
    oracle->visible = state;
    if (is_first)
        oracle->durable = state;
    oracle_return_to(oracle, state);
    code = store_lock(run->store, RUN_LOCK_MS);
    run->is_locked = code == 0;
    return code;
}

static void close_one(struct run *run)
{
    store_unpin(run->pin);
    run->pin = NULL;
    if (run->store == NULL)
        return;
    if (run->is_locked && run->number % 2 == 0) /* store_close unlocks too */
        store_unlock(run->store);
    store_close(run->store);
    run->store = NULL;
    run->is_locked = false;
}

void run_close(struct run *run)
{
    close_one(run);
    if (run->other != NULL)
        store_close(run->other);
    run->other = NULL;
}

/* The holder sees what it has changed, a reader what is published. */
static int look_at(const struct run *run, uint32_t key)
{
    const uint64_t wanted = oracle_state(&run->oracle, run->oracle.visible)[key];
    uint64_t seen;
    int code = contents_ask(run->store, key, true, &seen);
    if (code == 0 && seen != run->oracle.working[key])
        code = wrong("the holder does not see what it has done to key %u", key);
    if (code == 0)
        code = contents_ask(run->store, key, false, &seen);
    if (code == 0 && seen != wanted)
        code = wrong("a reader does not see key %u as it was published", key);
    return code;
}

static int put(struct run *run, const struct step *step)
{
    uint64_t version = 0;
    struct store_record record = contents_record(step->key, ++run->number, step->bytes);
    int code = store_put(run->store, &record, &version);
    if (code == 0)
        code = oracle_put(&run->oracle, step->key, &record, version);
    else if (code > 0)
        code = wrong("store_put answers %d", code);
    return code != 0 ? code : look_at(run, step->key);
}

static int remove_key(struct run *run, const struct step *step)
{
    const struct store_record record = contents_record(step->key, 0, 0);
    const int wanted = run->oracle.working[step->key] == 0 ? SHOAL_MISSING : 0;
    int code = store_delete(run->store, record.key, record.key_bytes);
    if (code < 0)
        return code;
    if (code != wanted)
        return wrong("store_delete of key %u answers %d", step->key, code);
    run->oracle.working[step->key] = 0;
    return look_at(run, step->key);
}

static int publish(struct run *run, bool is_commit)
{
    uint32_t state = oracle_add(&run->oracle);
    record_mark(LOG_BEGUN, state, is_commit);
    int code = is_commit ? store_commit(run->store) : store_publish(run->store);
    if (code != 0)
        return code < 0 ? code : wrong("publishing answers %d", code);
    record_mark(LOG_RETURNED, state, is_commit);
    run->oracle.visible = state;
    if (is_commit)
        run->oracle.durable = state;
    return 0;
}

static int lock(struct run *run)
{
    int code = store_lock(run->store, RUN_LOCK_MS);
    run->is_locked = code == 0;
    oracle_return_to(&run->oracle, run->oracle.visible);
    return code <= 0 ? code : wrong("store_lock answers %d", code);
}

static int relock(struct run *run)
{
    store_unlock(run->store);
    run->is_locked = false;
    return lock(run);
}

static int swap(struct run *run)
{
    struct store *was = run->store;
    store_unlock(was);
    run->is_locked = false;
    int code = run->other == NULL ? store_open(run->image.path, 0, &run->other) : 0;
    if (code != 0)
        return code;
    run->store = run->other;
    run->other = was;
    return lock(run);
}

/* What is in the store is the same before and behind it, and on disk then. */
static int compact(struct run *run)
{
    store_unpin(run->pin);
    run->pin = NULL;
    store_unlock(run->store);
    run->is_locked = false;
    oracle_return_to(&run->oracle, run->oracle.visible);
    uint32_t state = oracle_add(&run->oracle);
    record_mark(LOG_BEGUN, state, true);
    int code = store_compact(run->store, NULL, NULL);
    if (code != 0)
        return code < 0 ? code : wrong("compacting answers %d", code);
    record_mark(LOG_RETURNED, state, true);
    run->oracle.visible = run->oracle.durable = state;
    return lock(run);
}

static int pin(struct run *run)
{
    int code = run->pin == NULL ? publish(run, false) : store_pin_check(run->pin);
    if (run->pin == NULL && code == 0)
        return store_pin(run->store, &run->pin);
    store_unpin(run->pin);
    run->pin = NULL;
    return code;
}

static int reboot(struct run *run)
{
    run_close(run);
    record_mark(LOG_REBOOT, 0, false);
    record_boot(++run->boot);
    run->oracle.visible = run->oracle.durable;
    return run_open(run);
}

int run_step(struct run *run, const struct step *step)
{
    switch (step->kind) {
    case STEP_PUT:
        return put(run, step);
    case STEP_DELETE:
        return remove_key(run, step);
    case STEP_PUBLISH:
        return publish(run, false);
    case STEP_COMMIT:
        return publish(run, true);
    case STEP_ABORT:
        store_abort(run->store);
        oracle_return_to(&run->oracle, run->oracle.visible);
        return 0;
    case STEP_RELOCK:
        return relock(run);
    case STEP_SWAP:
        return swap(run);
    case STEP_COMPACT:
        return compact(run);
    case STEP_PIN:
        return pin(run);
    case STEP_REOPEN:
        close_one(run);
        return run_open(run);
    case STEP_REBOOT:
        return reboot(run);
    }
    return wrong("no such step");
}

/* -- The whole --------------------------------------------------------------------------------------- */

int run_end(struct run *run)
{
    int code = publish(run, true);
    if (code == 0)
        code = run_look(run, run->store);
    if (code == 0)
        run_close(run);
    return code;
}

int run_workload(struct run *run, const struct run_base *base, const struct workload *workload, uint32_t *ret_new)
{
    run_begin(run, base, workload->keys_n);
    *ret_new = 0;
    int code = run_open(run);
    for (uint32_t i = 0; i < workload->steps_n && code == 0; i++) {
        if (i + 1 == workload->steps_known)
            *ret_new = run->log.n;
        code = run_step(run, &workload->step[i]);
        if (code != 0)
            (void)wrong("step %u (%s): %d: %s", i, workload->step[i].name, code, shoal_error_text());
    }
    if (code == 0)
        code = run_end(run);
    image_absorb(&run->image, &run->log);
    return code;
}

static int find(const struct run *run, struct store *store, uint32_t *ret_state)
{
    const struct expected expected = oracle_expect(&run->oracle, &run->log, run->log.n, true);
    uint64_t marks[CONTENTS_KEYS_MAX];
    int code = contents_read(store, run->oracle.keys_n, true, marks);
    return code != 0 ? code : expected_match(&expected, marks, ret_state);
}

int run_look(const struct run *run, struct store *store)
{
    uint32_t state;
    return find(run, store, &state);
}

int run_settle(struct run *run)
{
    uint32_t state;
    if (run->is_locked) {
        store_abort(run->store);
        store_unlock(run->store);
        run->is_locked = false;
    }
    int code = find(run, run->store, &state);
    if (code != 0)
        return code;
    record_mark(LOG_RETURNED, state, false);
    run->oracle.visible = state;
    oracle_return_to(&run->oracle, state);
    return 0;
}
