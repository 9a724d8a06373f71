/* SPDX-License-Identifier: MIT */
#include "cases/sleeper.h"

#include <string.h>

uint64_t version_of(struct shoal *map, const char *key)
{
    uint64_t version = ~(uint64_t)0;
    int code = shoal_getv(map, key, strlen(key), NULL, 0, NULL, &version);
    require(code == 0 || code == SHOAL_MISSING, "getv: %d", code);
    return version;
}

void sleep_on_key(uint32_t i, void *arg)
{
    struct sleeper *sleeper = arg;
    const char *key = sleeper->key[i];
    for (uint64_t seen = version_of(sleeper->map, key), first = 1; first || seen != 0; first = 0) {
        must(shoal_wait(sleeper->map, key, strlen(key), seen, NEVER_MS, &seen));
        atomic_store(&sleeper->seen[i], seen);
        bell_ring(&sleeper->woken);
    }
}

struct sleeper *sleeper_make(struct shoal *map)
{
    struct sleeper *sleeper = board_make(sizeof *sleeper);
    sleeper->map = map;
    sleeper->woken = bell_make();
    return sleeper;
}

int change_keep(struct shoal_change *change, void *arg)
{
    (void)arg;
    change->value = "updated";
    change->value_bytes = 7;
    return SHOAL_STORE;
}
