/* SPDX-License-Identifier: MIT
 *
 * The outside ledger.
 */
#include "lib/ledger.h"

#include <stdio.h>
#include <string.h>

#include "lib/act.h"
#include "lib/fail.h"

#define RECORD_BYTES 100u

void ledger_empty(struct shoal *map)
{
    struct shoal_iter *iter = NULL;
    struct shoal_item item = { 0 };
    int code = shoal_iter_open(map, NULL, 0, &iter);
    require(code == 0, "iter_open: %d %s", code, shoal_error_text());
    while ((code = shoal_iter_next(iter, &item)) == 0) {
        code = shoal_delete(map, item.key, item.key_bytes);
        require(code == 0, "delete of a key that the walk gave: %d %s", code, code < 0 ? shoal_error_text() : "");
    }
    require(code == SHOAL_END, "iter_next: %d %s", code, shoal_error_text());
    shoal_iter_close(iter);
    uint64_t n = 1;
    code = shoal_count(map, SHOAL_EXACT, &n, NULL);
    require(code == 0 && n == 0, "all keys were deleted, count says %llu (%d)", (unsigned long long)n, code);
}

uint64_t ledger_fill(struct shoal *map)
{
    ledger_empty(map);
    for (uint64_t n = 0;; n++) {
        char key[16];
        uint8_t value[RECORD_BYTES];
        const int key_bytes = snprintf(key, sizeof key, "f%08llu", (unsigned long long)n);
        value_make(value, n, sizeof value);
        const int code = shoal_put(map, key, (size_t)key_bytes, value, RECORD_BYTES - (size_t)key_bytes);
        if (code == SHOAL_EFULL)
            return n;
        require(code == 0, "put of record %llu: %d %s", (unsigned long long)n, code, shoal_error_text());
    }
}

void ledger_require(struct shoal *map, uint64_t fresh)
{
    char said[200];
    const uint64_t n = ledger_fill(map);
    snprintf(said, sizeof said, "%s", shoal_error_text());
    struct shoal_stats s = SHOAL_STATS_INIT;
    const int code = shoal_stats(map, &s);
    require(n + LEDGER_SLACK >= fresh && n <= fresh + LEDGER_SLACK,
            "C, H: %llu records fit, %llu into a fresh map; stats (%d): of %llu bytes %llu live, %llu free, %llu owned, "
            "%llu retired, %llu dead, %llu overhead; %llu of %llu spans free; %s",
            (unsigned long long)n, (unsigned long long)fresh, code, (unsigned long long)s.heap_bytes,
            (unsigned long long)s.live_bytes, (unsigned long long)s.free_bytes, (unsigned long long)s.owned_bytes,
            (unsigned long long)s.retired_bytes, (unsigned long long)s.dead_bytes, (unsigned long long)s.overhead_bytes,
            (unsigned long long)s.spans_free, (unsigned long long)s.spans, said);
}
