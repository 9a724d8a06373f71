/* SPDX-License-Identifier: MIT
 *
 * Calls on many keys: each key's lines are asked for before the first key is worked on, so that the memory is waited for
 * once and not key by key.  Every key is still a call of its own: nothing that is seen ahead is relied on.
 */
#ifndef SHOAL_MAP_BATCH_H
#define SHOAL_MAP_BATCH_H

#include "map/key.h"
#include "table/read.h"

#define BATCH_KEYS 32u /* about as many lines as a core has under way at a time */

struct batch {
    struct probe probe[BATCH_KEYS];
    const shared_u64 *slot[BATCH_KEYS]; /* that may be the key's; NULL: none was seen */
};

/* Of the keys that can be ones, up to the first that cannot; how many. */
static inline size_t batch_probe(const struct segment *s, const struct shoal_key *keys, size_t n, bool write, struct batch *batch)
{
    size_t m = 0;
    for (; m < n && key_is_fit(s, keys[m].key, keys[m].bytes); m++) {
        batch->probe[m] = probe_make(s, keys[m].key, keys[m].bytes);
        read_expect_group(s, &batch->probe[m], write);
    }
    uint8_t further[BATCH_KEYS]; /* keys that lie behind their homes, if anywhere */
    size_t further_n = 0;
    for (size_t i = 0; i < m; i++) {
        const struct probe *p = &batch->probe[i];
        batch->slot[i] = read_expect_record(s, p, p->home, write);
        if (batch->slot[i] == NULL && read_expect_next(s, p, write))
            further[further_n++] = (uint8_t)i;
    }
    for (size_t i = 0; i < further_n; i++) {
        const struct probe *p = &batch->probe[further[i]];
        batch->slot[further[i]] = read_expect_record(s, p, p->home + 1, write);
    }
    return m;
}

static inline size_t batch_least(size_t n) { return n < BATCH_KEYS ? n : BATCH_KEYS; }

static inline int batch_first_failure(const struct shoal_result *results, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (results[i].code < 0)
            return results[i].code;
    return 0;
}

#endif
