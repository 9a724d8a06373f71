/* SPDX-License-Identifier: MIT */
#include "table/wait.h"

#include "map/key.h"
#include "map/lookup.h"

static int version_now(const struct call *call, const struct probe *p, uint64_t *ret_version)
{
    struct read_sink sink = { .buf = NULL };
    int rc = lookup_key(call, p, &sink);
    if (rc < 0 || rc == TABLE_MOVED)
        return rc;
    *ret_version = rc == SHOAL_MISSING ? 0 : sink.version;
    return 0;
}

/* 0; SHOAL_EINVAL: closed; TABLE_MOVED: followed, by another thread. */
static int still_open(struct shoal *map, const struct call *call)
{
    const struct open_map *now = atomic_load_explicit(&map->open, memory_order_relaxed); /* relaxed: not looked into */
    if (now == call->map)
        return segment_has_successor(call->segment) ? TABLE_MOVED : 0;
    return now != NULL ? TABLE_MOVED : error_set(SHOAL_EINVAL, "wait: the map was closed");
}

static int wait_changed(struct shoal *map, const struct call *call, const struct probe *p, uint64_t seen_version,
                        int64_t deadline_ns, uint64_t *ret_version)
{
    for (;;) {
        uint32_t word_seen;
        const shared_u32 *word = wait_announce(call->segment, p->hash, &word_seen);
        int rc = version_now(call, p, ret_version);
        if (rc != 0 || *ret_version != seen_version)
            return rc;
        int64_t left = deadline_ns < 0 ? WAIT_LOOK_NS : deadline_ns - os_clock_ns();
        if (left <= 0)
            return SHOAL_TIMEOUT;
        rc = still_open(map, call);
        if (rc != 0)
            return rc;
        os_futex_wait(word, word_seen, left < WAIT_LOOK_NS ? left : WAIT_LOOK_NS);
    }
}

static int wait_once(struct shoal *map, const void *key, size_t key_bytes, uint64_t seen_version, int64_t deadline_ns,
                     uint64_t *ret_version)
{
    struct call call;
    struct probe probe;
    int rc = key_call(map, key, key_bytes, true, &call, &probe);
    if (rc != 0)
        return rc;
    call_pin(&call); /* sleeping under the lock would hold up every close in the process */
    rc = wait_changed(map, &call, &probe, seen_version, deadline_ns, ret_version);
    call_end(&call);
    return rc;
}

int shoal_wait(struct shoal *map, const void *key, size_t key_bytes, uint64_t seen_version, int timeout_ms,
               uint64_t *ret_version)
{
    uint64_t version = 0;
    int64_t deadline_ns = timeout_ms < 0 ? -1 : os_clock_ns() + (int64_t)timeout_ms * 1000000;
    int rc;
    while ((rc = wait_once(map, key, key_bytes, seen_version, deadline_ns, &version)) == TABLE_MOVED) {
    }
    if (rc == 0 && ret_version != NULL)
        *ret_version = version;
    return rc;
}
