/* SPDX-License-Identifier: MIT
 *
 * The reading calls of one key.
 */
#include "map/batch.h"
#include "map/lookup.h"

#define STATS_EVERY 4096u /* reads between two additions to the entry's line */

static void stats_add(struct attachment *a, bool hit)
{
    a->hits += hit;
    if (++a->gets < STATS_EVERY)
        return;
    bump_relaxed_u64(&a->entry->gets, a->gets);
    bump_relaxed_u64(&a->entry->hits, a->hits);
    a->gets = a->hits = 0;
}

/* A read needs no attachment, but uses the thread's to keep count, and to pin a value that keeps changing. */
static inline int key_read_once(struct shoal *map, const void *key, size_t key_bytes, struct read_sink *sink)
{
    struct call call;
    struct probe probe;
    int rc = key_call(map, key, key_bytes, false, &call, &probe);
    if (rc != 0)
        return rc;
    if (!call.map->readonly)
        call.a = call_attachment(&call);
    rc = lookup_key(&call, &probe, sink);
    if (rc == SHOAL_CHANGED && !call.map->readonly && call_attach(&call) == 0) {
        if (call.old != NULL) /* lost to those who write there still: not in the new table */
            (void)move_for(&call, &probe);
        rc = lookup_key(&call, &probe, sink);
    }
    if (call.a != NULL)
        stats_add(call.a, rc == 0 || rc == SHOAL_SHORT);
    call_end(&call);
    return rc;
}

static inline int key_read(struct shoal *map, const void *key, size_t key_bytes, struct read_sink *sink)
{
    int rc;
    while ((rc = key_read_once(map, key, key_bytes, sink)) == TABLE_MOVED) {
    }
    return rc;
}

static inline int get(struct shoal *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes,
                      uint64_t *ret_version)
{
    if (buf == NULL && buf_bytes != 0)
        return error_set(SHOAL_EINVAL, "buffer is NULL but has %zu bytes", buf_bytes);
    struct read_sink sink = { .buf = buf, .buf_bytes = buf_bytes };
    int rc = key_read(map, key, key_bytes, &sink);
    bool found = rc == 0 || rc == SHOAL_SHORT;
    if (found && ret_bytes != NULL)
        *ret_bytes = sink.value_bytes;
    if (ret_version != NULL && (found || rc == SHOAL_MISSING))
        *ret_version = found ? sink.version : 0;
    /* Without a buffer the question was only whether it is there. */
    return rc == SHOAL_SHORT && buf == NULL ? 0 : rc;
}

int shoal_getv(struct shoal *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes,
               uint64_t *ret_version)
{
    return get(map, key, key_bytes, buf, buf_bytes, ret_bytes, ret_version);
}

int shoal_get(struct shoal *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    return get(map, key, key_bytes, buf, buf_bytes, ret_bytes, NULL);
}

int shoal_info(struct shoal *map, const void *key, size_t key_bytes, struct shoal_info *ret_info)
{
    if (ret_info == NULL || ret_info->size != sizeof *ret_info)
        return error_set(SHOAL_EINVAL, "shoal_info: ret_info is NULL or not initialised");
    struct read_sink sink = { .buf = NULL };
    int rc = key_read(map, key, key_bytes, &sink);
    if (rc != 0 && rc != SHOAL_SHORT)
        return rc;
    *ret_info = (struct shoal_info){ .size = sizeof *ret_info,
                                     .version = sink.version,
                                     .bytes = sink.value_bytes,
                                     .mtime_ns = sink.mtime_ns,
                                     .expires_ns = sink.expires_ns,
                                     .tier = sink.below ? SHOAL_TIER_STORE : SHOAL_TIER_TABLE,
                                     .type = sink.type };
    return 0;
}

static void result_fill(struct shoal_result *r, int code, const struct read_sink *sink)
{
    bool found = code == 0 || code == SHOAL_SHORT;
    r->code = code == SHOAL_SHORT && r->buf == NULL ? 0 : code;
    r->bytes = found ? sink->value_bytes : 0;
    r->version = found ? sink->version : 0;
    r->type = found ? sink->type : SHOAL_RAW;
}

static struct read_sink result_sink(const struct shoal_result *r)
{
    return (struct read_sink){ .buf = r->buf, .buf_bytes = r->buf != NULL ? r->buf_bytes : 0 };
}

/* As many as one call can answer, from the first on; the rest is left to calls of their own. */
static size_t get_batch(struct shoal *map, const struct shoal_key *keys, size_t n, struct shoal_result *results)
{
    struct call call;
    struct probe probes[BATCH_KEYS];
    size_t i = 0;
    if (call_begin(map, &call) != 0)
        return 0;
    if (!call.map->readonly)
        call.a = call_attachment(&call);
    n = batch_probe(call.segment, keys, n, false, probes);
    for (; i < n; i++) {
        struct read_sink sink = result_sink(&results[i]);
        int rc = lookup_key(&call, &probes[i], &sink);
        if (rc == TABLE_MOVED || rc == SHOAL_CHANGED)
            break;
        result_fill(&results[i], rc, &sink);
        if (call.a != NULL)
            stats_add(call.a, rc == 0 || rc == SHOAL_SHORT);
    }
    call_end(&call);
    return i;
}

int shoal_get_many(struct shoal *map, const struct shoal_key *keys, size_t n, struct shoal_result *results)
{
    if (n != 0 && (keys == NULL || results == NULL))
        return error_set(SHOAL_EINVAL, "shoal_get_many: keys or results is NULL");
    for (size_t i = 0, end = 0; i < n;) {
        end = i + batch_least(n - i);
        for (i += get_batch(map, &keys[i], end - i, &results[i]); i < end; i++) {
            struct read_sink sink = result_sink(&results[i]);
            int rc = key_read(map, keys[i].key, keys[i].bytes, &sink);
            result_fill(&results[i], rc, &sink);
        }
    }
    return batch_first_failure(results, n);
}
