/* SPDX-License-Identifier: MIT
 *
 * The reading calls of one key.
 */
#include "map/batch.h"
#include "map/lookup.h"

HOT_INLINE void count_read(struct attachment *a, bool hit)
{
    if (a != NULL && UNLIKELY(attach_count_read(a, hit)))
        attach_tell_reads(a);
}

/* A read needs no attachment, but uses the thread's to keep count, and to pin a value that keeps changing. */
HOT_INLINE int read_begin(struct shoal *map, const void *key, size_t key_bytes, struct call *ret_call, struct probe *ret_probe)
{
    int rc = key_call(map, key, key_bytes, false, ret_call, ret_probe);
    if (rc == 0)
        ret_call->a = call_attachment(ret_call);
    return rc;
}

HOT_INLINE void read_end(struct call *call, bool hit)
{
    count_read(call->a, hit);
    call_end(call);
}

/* A call that has begun, to its end. */
__attribute__((noinline)) static int read_begun(struct call *call, const struct probe *probe, struct read_sink *sink)
{
    int rc = lookup_key(call, probe, sink);
    if (rc == SHOAL_CHANGED && !call->map->readonly && call_attach(call) == 0) {
        if (call->old != NULL) /* lost to those who write there still: not in the new table */
            (void)move_for(call, probe);
        rc = lookup_key(call, probe, sink);
    }
    read_end(call, rc == 0 || rc == SHOAL_SHORT);
    return rc;
}

static int key_read(struct shoal *map, const void *key, size_t key_bytes, struct read_sink *sink)
{
    int rc;
    do {
        struct call call;
        struct probe probe;
        rc = read_begin(map, key, key_bytes, &call, &probe);
        if (rc == 0)
            rc = read_begun(&call, &probe, sink);
    } while (rc == TABLE_MOVED);
    return rc;
}

/* As key_read, where that is said by one look at a plain map: else SHOAL_CHANGED, and nothing has happened.  A key that is too
 * long for the map is not there, so only then it is asked whether it is. */
HOT_INLINE int key_read_at_once(struct shoal *map, const void *key, size_t key_bytes, struct read_sink *sink)
{
    struct plain_call call;
    if (UNLIKELY(key == NULL || key_bytes - 1 >= SHOAL_KEY_MAX || !call_plain_begin(map, &call)))
        return SHOAL_CHANGED;
    int rc = SHOAL_CHANGED;
    if (LIKELY(!segment_has_successor(call.segment))) {
        const struct probe probe = probe_make(call.segment, key, key_bytes);
        rc = lookup_plainly(call.segment, &probe, sink);
        if (rc == SHOAL_MISSING && UNLIKELY(!key_is_fit(call.segment, key, key_bytes)))
            rc = SHOAL_CHANGED;
        if (LIKELY(rc != SHOAL_CHANGED))
            call_plain_count(&call, rc == 0);
    }
    call_plain_end(&call);
    return rc;
}

/* Without a buffer the question is only whether it is there. */
__attribute__((noinline)) static int get_slowly(struct shoal *map, const void *key, size_t key_bytes, void *buf,
                                                size_t buf_bytes, size_t *ret_bytes, uint64_t *ret_version)
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
    return rc == SHOAL_SHORT && buf == NULL ? 0 : rc;
}

/* What was asked, for the rare case: in memory, so that no register holds it meanwhile. */
struct asked {
    struct shoal *map;
    const void *key;
    size_t key_bytes;
    void *buf;
    size_t buf_bytes, *ret_bytes;
    uint64_t *ret_version;
};

HOT_INLINE int get(struct shoal *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes,
                   uint64_t *ret_version)
{
    struct asked asked = { map, key, key_bytes, buf, buf_bytes, ret_bytes, ret_version };
    __asm__("" : "+m"(asked));
    struct read_sink sink = { .buf = buf, .buf_bytes = buf_bytes };
    int rc = LIKELY(buf != NULL) ? key_read_at_once(map, key, key_bytes, &sink) : SHOAL_CHANGED;
    if (UNLIKELY(rc == SHOAL_CHANGED))
        return get_slowly(asked.map, asked.key, asked.key_bytes, asked.buf, asked.buf_bytes, asked.ret_bytes,
                          asked.ret_version);
    if (ret_version != NULL)
        *asked.ret_version = rc == 0 ? sink.version : 0;
    if (rc == 0 && asked.ret_bytes != NULL)
        *asked.ret_bytes = sink.value_bytes;
    return rc;
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

/* One of a batch, whose slot was seen ahead. */
HOT_INLINE int get_expected(const struct call *call, const struct probe *p, const shared_u64 *slot, struct read_sink *sink)
{
    int rc = slot != NULL && call->segment->geo.features == 0 ? lookup_slot_plainly(call->segment, p, slot, sink)
                                                              : lookup_at_once(call, p, sink);
    return UNLIKELY(rc == SHOAL_CHANGED) ? lookup_key(call, p, sink) : rc;
}

/* As many as one call can answer, from the first on; the rest is left to calls of their own. */
static size_t get_batch(struct shoal *map, const struct shoal_key *keys, size_t n, struct shoal_result *results)
{
    struct call call;
    struct batch batch;
    size_t i = 0;
    if (call_begin(map, &call) != 0)
        return 0;
    call.a = call_attachment(&call);
    n = batch_probe(call.segment, keys, n, false, &batch);
    for (; i < n; i++) {
        struct read_sink sink = result_sink(&results[i]);
        int rc = get_expected(&call, &batch.probe[i], batch.slot[i], &sink);
        if (rc == TABLE_MOVED || rc == SHOAL_CHANGED)
            break;
        result_fill(&results[i], rc, &sink);
        count_read(call.a, rc == 0 || rc == SHOAL_SHORT);
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
