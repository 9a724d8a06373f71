/* SPDX-License-Identifier: MIT
 *
 * Filling a cold table (tier.h).
 */
#include <stdlib.h>

#include "base/error.h"
#include "table/mutate.h"
#include "tier/tier.h"

#define PROGRESS_EVERY 1024u
#define MISSED_MAX 64u /* records in a row that found no room: the others will not either */

/* One record of the walk, whose value may be too large to have come with it. */
static int warm_one(struct tier *tier, struct attachment *a, struct store_walk *walk, uint64_t hash,
                    const struct store_record *record)
{
    const struct segment *s = tier->segment;
    struct probe p = { record->key, hash, hash_home(hash, s->geo.groups_n), (uint32_t)record->key_bytes, hash_finger(hash) };
    struct below_record below = { record->version, record->value_bytes, record->mtime_ns, record->type };
    if (record->value != NULL || record->value_bytes == 0)
        return mutate_promote(a, &p, record->value, &below);
    if (record->value_bytes > s->geo.heap_bytes)
        return SHOAL_EFULL;
    void *value = malloc(record->value_bytes);
    if (value == NULL)
        return error_os("warm: a value of %llu bytes", (unsigned long long)record->value_bytes);
    int rc = store_walk_value(walk, value, record->value_bytes);
    if (rc == 0)
        rc = mutate_promote(a, &p, value, &below);
    free(value);
    return rc;
}

int tier_warm(struct tier *tier, struct attachment *a, shoal_progress_fn *progress, void *arg, uint64_t *ret_n)
{
    struct store_walk *walk;
    struct store_record record;
    struct store_stat stat;
    uint64_t hash, n = 0, looked = 0;
    uint32_t missed = 0;
    int rc = store_stat(tier->store, &stat);
    if (rc == 0)
        rc = store_walk_open(tier->store, 0, &walk);
    if (rc != 0)
        return rc;
    while (missed < MISSED_MAX && (rc = store_walk_next(walk, &hash, &record)) == 0) {
        rc = warm_one(tier, a, walk, hash, &record);
        if (rc < 0 && rc != SHOAL_EFULL)
            break;
        missed = rc == SHOAL_EFULL ? missed + 1 : 0; /* SHOAL_CHANGED: it has an entry already */
        n += rc == 0;
        if (++looked % PROGRESS_EVERY == 0 && progress != NULL && (rc = progress(looked, stat.records_n, arg)) != 0)
            break;
        rc = 0;
    }
    store_walk_close(walk);
    *ret_n = n;
    return rc == SHOAL_END ? 0 : rc;
}
