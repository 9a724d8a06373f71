/* SPDX-License-Identifier: MIT
 *
 * The writing calls of one key: each is a decision over what the key holds, made so by mutate_key.
 */
#include "map/batch.h"
#include "map/key.h"
#include "map/move.h"
#include "table/at_once.h"
#include "table/move.h"
#include "table/mutate.h"
#include "tier/tier.h"

/* -- Deciding --------------------------------------------------------------------------------------- */

struct condition {
    bool if_absent, if_present, if_version;
    bool durable; /* and then on disk */
    uint64_t version;
};

static enum mutate_verdict keep(struct mutation *m, int code)
{
    m->code = code;
    return MUTATE_KEEP;
}

static enum mutate_verdict decide_put(struct mutation *m, const struct segment *s, const struct mutate_found *found,
                                      void *arg)
{
    const struct condition *c = arg;
    (void)s;
    if (c->if_absent && found != NULL)
        return keep(m, SHOAL_EXISTS);
    if (c->if_present && found == NULL)
        return keep(m, SHOAL_MISSING);
    if (c->if_version && (found != NULL ? found->version : 0) != c->version)
        return keep(m, SHOAL_CHANGED);
    return MUTATE_STORE;
}

static enum mutate_verdict decide_delete(struct mutation *m, const struct segment *s,
                                         const struct mutate_found *found, void *arg)
{
    const struct condition *c = arg;
    (void)s;
    if (found == NULL)
        return keep(m, SHOAL_MISSING);
    if (c->if_version && found->version != c->version)
        return keep(m, SHOAL_CHANGED);
    return MUTATE_REMOVE;
}

struct take {
    void *buf;
    size_t buf_bytes, bytes;
    bool found;
};

static enum mutate_verdict decide_take(struct mutation *m, const struct segment *s, const struct mutate_found *found,
                                       void *arg)
{
    struct take *t = arg;
    t->found = found != NULL;
    if (found == NULL)
        return keep(m, SHOAL_MISSING);
    int rc = mutate_verify(s, found);
    if (rc != 0)
        return keep(m, rc);
    t->bytes = found->value_bytes;
    if (t->bytes > t->buf_bytes)
        return keep(m, SHOAL_SHORT);
    mutate_copy_value(found, t->buf);
    return MUTATE_REMOVE;
}

struct incr {
    uint64_t delta, sum;
};

static enum mutate_verdict decide_incr(struct mutation *m, const struct segment *s, const struct mutate_found *found,
                                       void *arg)
{
    struct incr *in = arg;
    uint64_t old = 0;
    if (found != NULL) {
        if (found->type != SHOAL_I64 || found->value_bytes != sizeof old)
            return keep(m, error_set(SHOAL_EINVAL, "incr: the key holds type %u with %llu bytes, not an integer",
                                     found->type, (unsigned long long)found->value_bytes));
        int rc = mutate_verify(s, found);
        if (rc != 0)
            return keep(m, rc);
        mutate_copy_value(found, &old);
    }
    in->sum = old + in->delta; /* wraps */
    m->source = (struct record_source){ .value = &in->sum, .value_bytes = sizeof in->sum, .type = SHOAL_I64 };
    m->source_is_new = true;
    return MUTATE_STORE;
}

struct update {
    const struct shoal *map;
    shoal_update_fn *fn;
    void *arg;
};

static enum mutate_verdict decide_update(struct mutation *m, const struct segment *s,
                                         const struct mutate_found *found, void *arg)
{
    struct update *u = arg;
    struct shoal_change change = { .size = sizeof change };
    if (found != NULL) {
        int rc = mutate_verify(s, found);
        if (rc != 0)
            return keep(m, rc);
        change.old = found->value;
        change.old_bytes = found->value_bytes;
        change.old_version = found->version;
        change.old_type = change.type = found->type;
    }
    struct update_frame frame;
    update_enter(&frame, u->map);
    int verdict = u->fn(&change, u->arg);
    update_leave(&frame);
    if (verdict < 0)
        return keep(m, error_set(verdict, "update: the function returned %d", verdict));
    if (verdict == SHOAL_KEEP)
        return keep(m, 0);
    if (verdict == SHOAL_REMOVE)
        return found != NULL ? MUTATE_REMOVE : keep(m, 0);
    if (verdict != SHOAL_STORE)
        return keep(m, error_set(SHOAL_EINVAL, "update: the function returned %d, which is no verdict", verdict));
    int rc = value_check(s, change.value, change.value_bytes);
    if (rc != 0)
        return keep(m, rc);
    m->source = (struct record_source){ .value = change.value, .value_bytes = change.value_bytes, .type = change.type };
    m->source_is_new = true;
    return MUTATE_STORE;
}

/* -- Calls -------------------------------------------------------------------------------------------- */

/* Attached, and what is to be moved for the key has moved. */
HOT_INLINE int write_begin(struct shoal *map, const void *key, size_t key_bytes, struct call *ret_call, struct probe *ret_probe)
{
    int rc = key_call(map, key, key_bytes, true, ret_call, ret_probe);
    if (rc != 0 || ret_call->old == NULL)
        return rc;
    rc = move_for(ret_call, ret_probe);
    if (rc != 0)
        call_end(ret_call);
    return rc;
}

/* lasts: what decides may take its time, and close other maps. */
static int key_mutate(struct shoal *map, const void *key, size_t key_bytes, mutate_decide *decide, void *arg, bool lasts,
                      struct mutation *m)
{
    int rc;
    do {
        struct call call;
        struct probe probe;
        rc = write_begin(map, key, key_bytes, &call, &probe);
        if (rc != 0)
            return rc;
        if (lasts)
            call_pin(&call);
        rc = mutate_key(call.a, &probe, decide, arg, m);
        call_end(&call);
    } while (rc == TABLE_MOVED);
    return rc;
}

static struct mutation mutation_of(const void *value, size_t value_bytes, uint8_t type, const struct condition *c)
{
    return (struct mutation){ .source = { .value = value, .value_bytes = value_bytes, .type = type },
                              .blind = !c->if_absent && !c->if_present && !c->if_version };
}

static int key_store_once(struct shoal *map, struct call *call, const struct probe *probe, struct condition *condition, struct mutation *m,
                          uint64_t *ret_version)
{
    int rc = value_check(call->segment, m->source.value, m->source.value_bytes);
    if (rc == 0 && condition->durable && call->map->tier == NULL)
        rc = error_set(SHOAL_EINVAL, "how.flags: SHOAL_DURABLE needs a store");
    if (rc == 0)
        rc = mutate_key(call->a, probe, decide_put, condition, m);
    if (rc == 0 && ret_version != NULL)
        *ret_version = m->ret_version;
    if (rc == 0 && condition->durable) {
        call_pin(call);
        rc = tier_sync_key(call->map->tier, call->a, probe);
        if (rc == 0 && segment_has_successor(call->segment)) /* it may have moved before it was copied */
            rc = shoal_sync(map);
        rc = rc < 0 ? SHOAL_ESTORE : rc; /* the text says why; it is visible, whatever the reason */
    }
    return rc;
}

static int key_store(struct shoal *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes,
                     struct condition *condition, uint8_t type, uint64_t *ret_version)
{
    struct mutation m = mutation_of(value, value_bytes, type, condition);
    int rc;
    do {
        struct call call;
        struct probe probe;
        rc = write_begin(map, key, key_bytes, &call, &probe);
        if (rc != 0)
            return rc;
        rc = key_store_once(map, &call, &probe, condition, &m, ret_version);
        call_end(&call);
    } while (rc == TABLE_MOVED);
    return rc;
}

/* A call on one key of a plain map, in a straight line; then call_plain_end.  NULL: nothing has begun. */
HOT_INLINE struct attachment *at_once_begin(struct shoal *map, const void *key, size_t key_bytes, struct plain_call *ret_call,
                                            struct probe *ret_probe)
{
    if (!call_plain_begin(map, ret_call))
        return NULL;
    if (LIKELY(key_is_fit(ret_call->segment, key, key_bytes))) {
        *ret_probe = probe_make(ret_call->segment, key, key_bytes);
        read_expect_group(ret_call->segment, ret_probe, true);
        struct attachment *a = call_plain_attachment(ret_call);
        if (LIKELY(a != NULL && !segment_has_successor(ret_call->segment)))
            return a;
    }
    call_plain_end(ret_call);
    return NULL;
}

/* AT_ONCE_NOT: nothing has happened. */
HOT_INLINE int key_store_at_once(struct shoal *map, const void *key, size_t key_bytes, const void *value,
                                 size_t value_bytes, bool add)
{
    struct plain_call call;
    struct probe probe;
    uint64_t version;
    struct attachment *a = at_once_begin(map, key, key_bytes, &call, &probe);
    if (a == NULL)
        return AT_ONCE_NOT;
    int rc = AT_ONCE_NOT;
    if (LIKELY(value_is_fit(call.segment, value, value_bytes))) {
        const struct record_source source = { .value = value, .value_bytes = value_bytes, .type = SHOAL_RAW };
        rc = add ? add_at_once(a, &probe, &source) : put_at_once(a, &probe, &source, &version);
    }
    call_plain_end(&call);
    return rc;
}

int shoal_put(struct shoal *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct condition always = { 0 };
    int rc = key_store_at_once(map, key, key_bytes, value, value_bytes, false);
    return LIKELY(rc != AT_ONCE_NOT) ? rc : key_store(map, key, key_bytes, value, value_bytes, &always, SHOAL_RAW, NULL);
}

int shoal_add(struct shoal *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct condition absent = { .if_absent = true };
    int rc = key_store_at_once(map, key, key_bytes, value, value_bytes, true);
    return LIKELY(rc != AT_ONCE_NOT) ? rc : key_store(map, key, key_bytes, value, value_bytes, &absent, SHOAL_RAW, NULL);
}

int shoal_replace(struct shoal *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    struct condition present = { .if_present = true };
    return key_store(map, key, key_bytes, value, value_bytes, &present, SHOAL_RAW, NULL);
}

static int how_check(const struct shoal_how *how)
{
    if (how->size != sizeof *how)
        return error_set(SHOAL_EINVAL, "how.size: %zu, expected %zu; start from SHOAL_HOW_INIT", how->size, sizeof *how);
    if (how->flags & ~(uint32_t)(SHOAL_IF_VERSION | SHOAL_DURABLE))
        return error_set(SHOAL_EINVAL, "how.flags: 0x%x is not known to this version", how->flags);
    if (how->ttl_ms != 0)
        return error_set(SHOAL_EINVAL, "how.ttl_ms: this version has no expiry");
    return 0;
}

int shoal_put_with(struct shoal *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes,
                   const struct shoal_how *how, uint64_t *ret_version)
{
    struct shoal_how plain = SHOAL_HOW_INIT;
    const struct shoal_how *h = how != NULL ? how : &plain;
    int rc = how_check(h);
    if (rc != 0)
        return rc;
    struct condition condition = { .if_version = (h->flags & SHOAL_IF_VERSION) != 0, .version = h->if_version,
                                   .durable = (h->flags & SHOAL_DURABLE) != 0 };
    return key_store(map, key, key_bytes, value, value_bytes, &condition, h->type, ret_version);
}

int shoal_delete(struct shoal *map, const void *key, size_t key_bytes)
{
    struct plain_call call;
    struct probe probe;
    struct attachment *a = at_once_begin(map, key, key_bytes, &call, &probe);
    if (LIKELY(a != NULL)) {
        int rc = delete_at_once(a, &probe);
        call_plain_end(&call);
        if (LIKELY(rc != AT_ONCE_NOT))
            return rc;
    }
    struct condition always = { 0 };
    struct mutation m = { 0 };
    return key_mutate(map, key, key_bytes, decide_delete, &always, false, &m);
}

int shoal_delete_if(struct shoal *map, const void *key, size_t key_bytes, uint64_t version)
{
    struct condition condition = { .if_version = true, .version = version };
    struct mutation m = { 0 };
    return key_mutate(map, key, key_bytes, decide_delete, &condition, false, &m);
}

int shoal_take(struct shoal *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    if (buf == NULL && buf_bytes != 0)
        return error_set(SHOAL_EINVAL, "buffer is NULL but has %zu bytes", buf_bytes);
    struct take take = { .buf = buf, .buf_bytes = buf_bytes };
    struct mutation m = { .wants_value = true };
    int rc = key_mutate(map, key, key_bytes, decide_take, &take, false, &m);
    if ((rc == 0 || rc == SHOAL_SHORT) && ret_bytes != NULL)
        *ret_bytes = take.bytes;
    return rc;
}

int shoal_incr(struct shoal *map, const void *key, size_t key_bytes, int64_t delta, int64_t *ret_value)
{
    struct incr in = { .delta = (uint64_t)delta };
    struct mutation m = { .wants_value = true };
    int rc = key_mutate(map, key, key_bytes, decide_incr, &in, false, &m);
    if (rc == 0 && ret_value != NULL)
        *ret_value = (int64_t)in.sum;
    return rc;
}

int shoal_update(struct shoal *map, const void *key, size_t key_bytes, shoal_update_fn *fn, void *arg)
{
    if (fn == NULL)
        return error_set(SHOAL_EINVAL, "update: the function is NULL");
    struct update u = { .map = map, .fn = fn, .arg = arg };
    struct mutation m = { .wants_value = true };
    return key_mutate(map, key, key_bytes, decide_update, &u, true, &m);
}

/* Begin a call on as many keys as one can work on; *ret_n = 0 and nothing begun where each needs a call of its own. */
static void batch_begin(struct shoal *map, const struct shoal_key *keys, struct call *ret_call,
                        struct batch *batch, size_t *io_n)
{
    size_t n = *io_n;
    *io_n = 0;
    if (call_begin(map, ret_call) != 0)
        return;
    if (ret_call->old == NULL && call_attach(ret_call) == 0)
        *io_n = batch_probe(ret_call->segment, keys, n, true, batch);
    if (*io_n == 0)
        call_end(ret_call);
}

static size_t put_batch(struct shoal *map, const struct shoal_key *keys, const struct shoal_value *values, size_t n,
                        struct shoal_result *results)
{
    struct call call;
    struct batch batch;
    size_t i = 0;
    batch_begin(map, keys, &call, &batch, &n);
    if (n == 0)
        return 0;
    const bool plain = call.segment->geo.features == 0;
    for (; i < n; i++) {
        struct condition always = { 0 };
        struct mutation m = mutation_of(values[i].value, values[i].bytes, values[i].type, &always);
        int rc = plain && value_is_fit(call.segment, values[i].value, values[i].bytes)
                     ? put_at_once(call.a, &batch.probe[i], &m.source, &results[i].version)
                     : AT_ONCE_NOT;
        if (rc == AT_ONCE_NOT)
            rc = key_store_once(map, &call, &batch.probe[i], &always, &m, &results[i].version);
        if (rc == TABLE_MOVED)
            break;
        results[i].code = rc;
    }
    call_end(&call);
    return i;
}

static size_t delete_batch(struct shoal *map, const struct shoal_key *keys, size_t n, struct shoal_result *results)
{
    struct call call;
    struct batch batch;
    size_t i = 0;
    batch_begin(map, keys, &call, &batch, &n);
    if (n == 0)
        return 0;
    const bool plain = call.segment->geo.features == 0;
    for (; i < n; i++) {
        struct condition always = { 0 };
        struct mutation m = { 0 };
        int rc = plain ? delete_at_once(call.a, &batch.probe[i]) : AT_ONCE_NOT;
        if (rc == AT_ONCE_NOT)
            rc = mutate_key(call.a, &batch.probe[i], decide_delete, &always, &m);
        if (rc == TABLE_MOVED)
            break;
        results[i].code = rc;
    }
    call_end(&call);
    return i;
}

int shoal_put_many(struct shoal *map, const struct shoal_key *keys, const struct shoal_value *values, size_t n,
                   struct shoal_result *results)
{
    if (n != 0 && (keys == NULL || values == NULL || results == NULL))
        return error_set(SHOAL_EINVAL, "shoal_put_many: keys, values or results is NULL");
    for (size_t i = 0; i < n; i++)
        results[i].version = 0;
    for (size_t i = 0, end = 0; i < n;) {
        end = i + batch_least(n - i);
        for (i += put_batch(map, &keys[i], &values[i], end - i, &results[i]); i < end; i++) {
            struct condition always = { 0 };
            results[i].code = key_store(map, keys[i].key, keys[i].bytes, values[i].value, values[i].bytes, &always,
                                        values[i].type, &results[i].version);
        }
    }
    return batch_first_failure(results, n);
}

int shoal_delete_many(struct shoal *map, const struct shoal_key *keys, size_t n, struct shoal_result *results)
{
    if (n != 0 && (keys == NULL || results == NULL))
        return error_set(SHOAL_EINVAL, "shoal_delete_many: keys or results is NULL");
    for (size_t i = 0, end = 0; i < n;) {
        end = i + batch_least(n - i);
        for (i += delete_batch(map, &keys[i], end - i, &results[i]); i < end; i++)
            results[i].code = shoal_delete(map, keys[i].key, keys[i].bytes);
    }
    return batch_first_failure(results, n);
}
