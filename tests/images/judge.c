/* SPDX-License-Identifier: MIT
 *
 * Does a store, opened as a crash left it, hold what it must (judge.h)?
 */
#include "images/judge.h"

#include <stdio.h>
#include <string.h>

#include "images/record.h"
#include "images/wrong.h"
#include "shoal/shoal.h"

#define PROBE_NUMBER ((uint64_t)1 << 32) /* no workload gives so many values */
#define PROBE_BYTES 700u
#define LOCK_MS 1000

/* Bits of what is left to chance. */
#define CHANCE_EACH_FIRST 0x01u /* each key is asked for when it is read-only, not when it is opened for writing */
#define CHANCE_LAST_LOOK 0x06u  /* neither: once more read-only, behind all */
#define CHANCE_PUBLISH 0x08u    /* more than one transaction before a commit */

void judge_drop(struct judge *judge)
{
    log_drop(&judge->log);
    oracle_drop(&judge->oracle);
}

/* Does this failure of store_open say that there is no store? */
static bool is_none(int code)
{
    return (code == SHOAL_ESTORE || code == SHOAL_ENOMAP || code == SHOAL_EOS) && shoal_error_text()[0] != '\0';
}

/* -- Looking ----------------------------------------------------------------------------------------- */

static int open_store(const char *path, unsigned flags, struct store **ret_store)
{
    int code = store_open(path, flags, ret_store);
    return code == 0 ? 0 : wrong_code(flags == STORE_RDONLY ? "opening it read-only" : "opening it", code);
}

/* The contents are those of this state of the judge's oracle. */
static int same(const struct judge *judge, struct store *store, uint32_t state, bool is_each, const char *when)
{
    const uint32_t keys_n = judge->oracle.keys_n;
    const uint64_t *wanted = oracle_state(&judge->oracle, state);
    uint64_t marks[CONTENTS_KEYS_MAX];
    int code = contents_read(store, keys_n, is_each, marks);
    if (code != 0)
        return wrong_code(when, code);
    for (uint32_t i = 0; i < keys_n; i++)
        if (marks[i] != wanted[i])
            return wrong("%s: key %u is not as it was found at first", when, i);
    return 0;
}

static int look_again(const struct judge *judge, const char *path, uint32_t state)
{
    struct store *store;
    int code = open_store(path, STORE_RDONLY, &store);
    if (code != 0)
        return code;
    code = same(judge, store, state, false, "after a commit, read-only");
    store_close(store);
    return code;
}

/* -- The first look ---------------------------------------------------------------------------------- */

/* What is there, without writing: which of the expected states. */
static int find(const char *path, const struct expected *expected, bool is_each, uint32_t *ret_state)
{
    struct store *store;
    uint64_t marks[CONTENTS_KEYS_MAX];
    int code = store_open(path, STORE_RDONLY, &store);
    *ret_state = NO_STORE;
    if (code != 0 && expected_has(expected, NO_STORE) && is_none(code))
        return 0;
    if (code != 0)
        return wrong_code("opening it read-only", code);
    code = contents_read(store, expected->oracle->keys_n, is_each, marks);
    store_close(store);
    return code == 0 ? expected_match(expected, marks, ret_state) : wrong_code("reading it", code);
}

/* A state of another oracle becomes one of the judge's. */
static uint32_t adopt(struct oracle *oracle, const struct expected *from, uint32_t state)
{
    if (state == NO_STORE)
        return NO_STORE;
    const uint64_t *marks = oracle_state(from->oracle, state);
    memcpy(oracle->working, marks, (oracle->keys_n + 1) * sizeof *marks);
    return oracle_add(oracle);
}

/* Those from this one on. */
static void adopt_from(struct oracle *oracle, const struct expected *from, uint32_t state, struct states *ret_states)
{
    ret_states->n = 0;
    for (uint32_t i = 0; i < from->states.n; i++)
        if (from->states.state[i] == state || ret_states->n > 0)
            states_also(ret_states, adopt(oracle, from, from->states.state[i]));
}

/* What was there before the judge's log begins.  A process may have died in the middle of its last call: then whoever
 * locks the store next may find that call's state instead, until then nobody.  What a loss leaves meanwhile is another
 * matter. */
static void know(struct judge *judge, const struct expected *expected, const struct expected *later, uint32_t found)
{
    struct oracle *oracle = &judge->oracle;
    if (later == NULL) {
        states_only(&oracle->first_visible, adopt(oracle, expected, found));
        oracle->first_durable = oracle->first_visible;
        return;
    }
    adopt_from(oracle, expected, found, &oracle->first_visible);
    adopt_from(oracle, later, later->states.state[0], &oracle->first_durable);
}

/* There is none, and it says so; then it can be made. */
static int make(struct judge *judge, const char *path, struct states *ret_found)
{
    struct store *store;
    int code = store_open(path, 0, &store);
    if (code == 0)
        store_close(store);
    if (code == 0 || !is_none(code))
        return wrong("there was no store to read, opening it for writing gives %d: %s", code, shoal_error_text());
    memset(judge->oracle.working, 0, sizeof judge->oracle.working);
    const uint32_t state = oracle_add(&judge->oracle);
    states_only(ret_found, state);
    record_mark(LOG_BEGUN, state, true);
    code = open_store(path, STORE_CREATE, &store);
    if (code != 0)
        return code;
    record_mark(LOG_RETURNED, state, true);
    store_close(store);
    return 0;
}

/* -- Work -------------------------------------------------------------------------------------------- */

static void keep_fault(void *arg, const struct store_fault *fault)
{
    char *text = arg;
    if (text[0] == '\0')
        (void)snprintf(text, sizeof fault->text, "page %llu: %.100s", (unsigned long long)fault->page, fault->text);
}

static int check(struct store *store)
{
    char text[sizeof((struct store_fault *)NULL)->text] = "";
    uint64_t faults = 0;
    int code = store_check(store, keep_fault, text, &faults);
    if (code != 0 || faults != 0)
        return wrong("store_check: %d, %llu faults: %s (%s)", code, (unsigned long long)faults, text,
                     shoal_error_text());
    return 0;
}

static int transact(struct judge *judge, struct store *store, bool is_commit, uint32_t *ret_state)
{
    const uint32_t key = judge->oracle.keys_n - 1;
    uint64_t version, mark;
    const struct store_record record = contents_record(key, PROBE_NUMBER + judge->log.n, PROBE_BYTES);
    int code = store_put(store, &record, &version);
    if (code == 0)
        code = oracle_put(&judge->oracle, key, &record, version);
    if (code != 0)
        return wrong_code("putting", code);
    *ret_state = oracle_add(&judge->oracle);
    record_mark(LOG_BEGUN, *ret_state, is_commit);
    code = is_commit ? store_commit(store) : store_publish(store);
    if (code != 0)
        return wrong_code("committing", code);
    record_mark(LOG_RETURNED, *ret_state, is_commit);
    code = contents_ask(store, key, false, &mark);
    if (code != 0 || mark != judge->oracle.working[key])
        return wrong("a reader does not see what was published (%d)", code);
    return 0;
}

/* Who locks the store settles what the dead have left; from then on it stays. */
static int settle(struct judge *judge, const char *path, const struct states *found, uint64_t chance,
                  uint32_t *ret_state)
{
    const struct expected expected = { &judge->oracle, *found };
    uint64_t marks[CONTENTS_KEYS_MAX];
    struct store *store;
    int code = open_store(path, 0, &store);
    if (code != 0)
        return code;
    code = same(judge, store, found->state[0], (chance & CHANCE_EACH_FIRST) == 0, "opened for writing");
    if (code == 0)
        code = check(store);
    if (code == 0 && (code = contents_read(store, judge->oracle.keys_n, false, marks)) != 0)
        code = wrong_code("behind a check", code);
    if (code == 0)
        code = expected_match(&expected, marks, ret_state);
    store_close(store);
    return code;
}

/* In the same life of the machine, what was committed before the death must outlast transactions that are not. */
static int work(struct judge *judge, const char *path, uint32_t found, bool is_death, uint64_t chance,
                uint32_t *ret_state)
{
    const int publishes = is_death || (chance & CHANCE_PUBLISH) != 0 ? 2 : 0;
    struct store *store;
    int code = open_store(path, 0, &store);
    if (code != 0)
        return code;
    code = same(judge, store, found, false, "opened again");
    if (code == 0 && (code = store_lock(store, LOCK_MS)) == 0) {
        oracle_return_to(&judge->oracle, found);
        for (int i = 0; i <= publishes && code == 0; i++)
            code = transact(judge, store, i == publishes, ret_state);
    }
    store_close(store);
    return code == 0 ? 0 : wrong_code("working on it", code);
}

int judge_image(struct judge *judge, struct image *image, const struct expected *expected, const struct expected *later,
                uint32_t boot, uint64_t chance)
{
    struct states found = { .n = 0 };
    uint32_t state = NO_STORE, last = NO_STORE;
    const char *name;
    record_boot(boot);
    log_begin(&judge->log, &image->there.names, image->there.files_n);
    record_into(&judge->log, image->path);
    oracle_begin(&judge->oracle, expected->oracle->keys_n);
    int code = find(image->path, expected, (chance & CHANCE_EACH_FIRST) != 0, &state);
    if (code == 0 && judge->log.n != 0)
        code = wrong("reading it wrote to it");
    if (code == 0) {
        know(judge, expected, later, state);
        found = judge->oracle.first_visible;
        if (state == NO_STORE)
            code = make(judge, image->path, &found);
    }
    if (code == 0)
        code = settle(judge, image->path, &found, chance, &state);
    if (code == 0)
        code = work(judge, image->path, state, later != NULL, chance, &last);
    if (code == 0 && (chance & CHANCE_LAST_LOOK) == 0)
        code = look_again(judge, image->path, last);
    if (code == 0 && record_open_n(&name) != 0)
        code = wrong("%s is still open", name);
    image_absorb(image, &judge->log);
    return code;
}
