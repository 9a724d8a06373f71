/* SPDX-License-Identifier: MIT
 *
 * What is done to a store (workload.h).
 */
#include "images/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/random.h"
#include "store/page.h"

const char *const base_names[BASES] = { "none", "bare", "filled", "lost" };

/* -- Short ones ---------------------------------------------------------------------------------------- */

#define SHORT_KEYS 12u

/* Key 0 is replaced, 5 is large, 7 is deleted; with the others a bucket is nearly full. */
static const struct step base_steps[] = {
    { STEP_PUT, "", 0, 100 }, { STEP_PUT, "", 1, 0 },    { STEP_PUT, "", 5, 9000 },
    { STEP_PUT, "", 7, 50 },  { STEP_PUT, "", 9, 1500 }, { STEP_PUT, "", 10, 1500 },
};

/* Keys of base_steps, but for 2 (which is large itself), 3, 6 and 8. */
static const struct step short_steps[] = {
    { STEP_PUT, "small", 3, 20 },        { STEP_PUT, "replace", 0, 300 },   { STEP_PUT, "large", 2, 10000 },
    { STEP_PUT, "shrink", 5, 30 },       { STEP_PUT, "split", 6, 1900 },    { STEP_DELETE, "delete", 7, 0 },
    { STEP_DELETE, "missing", 8, 0 },    { STEP_PUBLISH, "publish", 0, 0 }, { STEP_COMMIT, "commit", 0, 0 },
    { STEP_ABORT, "abort", 0, 0 },       { STEP_RELOCK, "relock", 0, 0 },   { STEP_REOPEN, "reopen", 0, 0 },
    { STEP_REBOOT, "reboot", 0, 0 },     { STEP_SWAP, "swap", 0, 0 },
    { STEP_COMPACT, "compact", 0, 0 },   { STEP_PIN, "pin", 0, 0 },
};
#define SHORT_N ((uint32_t)(sizeof short_steps / sizeof short_steps[0]))

const struct step *workload_base(uint32_t *ret_n)
{
    *ret_n = (uint32_t)(sizeof base_steps / sizeof base_steps[0]);
    return base_steps;
}

static uint32_t sequences(uint32_t steps)
{
    uint32_t n = 1;
    while (steps-- > 0)
        n *= SHORT_N;
    return n;
}

/* Of so many steps, upon this base. */
static uint32_t short_n(enum base base, uint32_t steps)
{
    static const uint32_t less[BASES] = { [BASE_NONE] = 2, [BASE_BARE] = 1, [BASE_LOST] = 2 };
    return steps + less[base] <= SHORT_STEPS ? sequences(steps) : 0;
}

uint32_t workload_short_n(void)
{
    uint32_t n = 0;
    for (uint32_t steps = 0; steps <= SHORT_STEPS; steps++)
        for (int base = 0; base < BASES; base++)
            n += short_n((enum base)base, steps);
    return n;
}

static void begin(struct workload *workload, enum base base, uint32_t keys_n)
{
    workload->base = base;
    workload->keys_n = keys_n;
    workload->steps_n = workload->steps_known = 0;
    (void)snprintf(workload->id, sizeof workload->id, "%s", base_names[base]);
}

static void add(struct workload *workload, const struct step *step)
{
    workload->step[workload->steps_n++] = *step;
}

static void add_named(struct workload *workload, const struct step *step)
{
    const size_t n = strlen(workload->id);
    add(workload, step);
    workload->steps_known = workload->steps_n;
    (void)snprintf(workload->id + n, sizeof workload->id - n, "/%s", step->name);
}

void workload_short(uint32_t i, struct workload *ret_workload)
{
    for (uint32_t steps = 0; steps <= SHORT_STEPS; steps++)
        for (int base = 0; base < BASES; base++) {
            const uint32_t n = short_n((enum base)base, steps);
            if (i < n) {
                begin(ret_workload, (enum base)base, SHORT_KEYS);
                for (uint32_t left = steps; left-- > 0; i %= sequences(left))
                    add_named(ret_workload, &short_steps[i / sequences(left)]);
                return;
            }
            i -= n;
        }
}

static bool find_short(const char *id, struct workload *ret_workload)
{
    char rest[ID_BYTES], *saved = NULL;
    (void)snprintf(rest, sizeof rest, "%s", id);
    const char *name = strtok_r(rest, "/", &saved);
    int base = 0;
    while (base < BASES && name != NULL && strcmp(name, base_names[base]) != 0)
        base++;
    if (base == BASES || name == NULL)
        return false;
    begin(ret_workload, (enum base)base, SHORT_KEYS);
    while ((name = strtok_r(NULL, "/", &saved)) != NULL) {
        uint32_t i = 0;
        while (i < SHORT_N && strcmp(name, short_steps[i].name) != 0)
            i++;
        if (i == SHORT_N)
            return false;
        add_named(ret_workload, &short_steps[i]);
    }
    return true;
}

/* -- Long ones ----------------------------------------------------------------------------------------- */

#define LARGE_MAX 40000u

/* Three records of about this size overflow a bucket, so a few dozen of them make one of depth 9, whose node of 8 bits
 * must be divided. */
static uint64_t random_bytes(uint64_t *chance, bool is_heavy)
{
    const uint32_t kind = random_below(chance, 16);
    if (kind == 0)
        return random_below(chance, LARGE_MAX);
    if (kind == 1)
        return 0;
    return is_heavy ? 1300 + random_below(chance, 650) : random_below(chance, 400);
}

static enum step_kind random_kind(uint64_t *chance)
{
    static const struct {
        enum step_kind kind;
        uint32_t of_100;
    } kinds[] = {
        { STEP_DELETE, 14 }, { STEP_PUBLISH, 7 }, { STEP_COMMIT, 5 }, { STEP_ABORT, 1 },
        { STEP_RELOCK, 1 },  { STEP_REOPEN, 1 },  { STEP_REBOOT, 1 }, { STEP_SWAP, 5 },
        { STEP_COMPACT, 2 }, { STEP_PIN, 5 },
    };
    uint32_t left = random_below(chance, 100);
    for (uint32_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (left < kinds[i].of_100)
            return kinds[i].kind;
        left -= kinds[i].of_100;
    }
    return STEP_PUT;
}

void workload_random(uint32_t i, uint64_t seed, struct workload *ret_workload)
{
    uint64_t chance = random_mix(seed) ^ i;
    const uint32_t keys_n = 16 + random_below(&chance, 120), steps_n = 40 + random_below(&chance, 260);
    const bool is_heavy = random_below(&chance, 4) != 0;
    begin(ret_workload, BASE_BARE, keys_n);
    (void)snprintf(ret_workload->id, sizeof ret_workload->id, "random/%u", i);
    while (ret_workload->steps_n < steps_n) {
        struct step step = { random_kind(&chance), "", random_below(&chance, keys_n - 1), 0 };
        step.bytes = random_bytes(&chance, is_heavy);
        add(ret_workload, &step);
    }
}

/* Puts, replaces and deletes large values, each made durable, the last ones in another life. */
static void come_and_go(struct workload *workload, const char *id, uint64_t large)
{
    const struct step steps[] = {
        { STEP_PUT, "", 3, 20 },        { STEP_COMMIT, "", 0, 0 },        { STEP_PUT, "", 4, large + large / 16 },
        { STEP_PUBLISH, "", 0, 0 },     { STEP_COMMIT, "", 0, 0 },        { STEP_PUT, "", 5, large / 2 },
        { STEP_COMMIT, "", 0, 0 },      { STEP_DELETE, "", 4, 0 },        { STEP_PUBLISH, "", 0, 0 },
        { STEP_COMMIT, "", 0, 0 },      { STEP_PUT, "", 4, large / 8 * 5 }, { STEP_COMMIT, "", 0, 0 },
        { STEP_DELETE, "", 4, 0 },      { STEP_PUT, "", 5, 100 },         { STEP_COMMIT, "", 0, 0 },
        { STEP_PUT, "", 6, 1900 },      { STEP_COMMIT, "", 0, 0 },        { STEP_REBOOT, "", 0, 0 },
        { STEP_PUT, "", 6, large / 4 }, { STEP_COMMIT, "", 0, 0 },        { STEP_DELETE, "", 6, 0 },
    };
    begin(workload, BASE_BARE, SHORT_KEYS);
    (void)snprintf(workload->id, sizeof workload->id, "%s", id);
    for (uint32_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        add(workload, &steps[i]);
}

#define CUT_BYTES ((uint64_t)2 << 20)
void workload_cut(struct workload *ret_workload) { come_and_go(ret_workload, "cut", CUT_BYTES); }

void workload_zones(struct workload *ret_workload)
{
    come_and_go(ret_workload, "zones", (uint64_t)ZONE_PAGES * PAGE_BYTES);
}

bool workload_find(const char *id, uint64_t seed, struct workload *ret_workload)
{
    static const char random[] = "random/";
    if (strncmp(id, random, sizeof random - 1) == 0) {
        workload_random((uint32_t)strtoul(id + sizeof random - 1, NULL, 10), seed, ret_workload);
        return true;
    }
    if (strcmp(id, "zones") == 0 || strcmp(id, "cut") == 0) {
        (strcmp(id, "cut") == 0 ? workload_cut : workload_zones)(ret_workload);
        return true;
    }
    return find_short(id, ret_workload);
}
