/* SPDX-License-Identifier: MIT
 *
 * Views: pinned records, read in place.
 *
 * A view holds one hazard of its thread's entry, a reference to the attachment (so that the entry stays
 * when the thread ends) and one to the mapping (so that the pages stay when the map is closed).  A private
 * copy holds nothing but its buffer.
 */
#include <errno.h>
#include <stdlib.h>

#include "map/key.h"
#include "map/lookup.h"
#include "table/mutate.h"

/* shoal_view.internal */
enum { VIEW_ATTACHMENT, VIEW_MAP, VIEW_COPY, VIEW_MARK };

/* fork id and hazard in one word, never 0 */
static void *mark_of(uint32_t hazard) { return (void *)(uintptr_t)((registry_fork_id() << 8) | hazard); }

static bool view_hazard(struct attachment *a, uint32_t *ret_hazard)
{
    for (uint32_t i = 0; i < HAZARDS_VIEW; i++) {
        uint32_t bit = 1u << i;
        if ((atomic_load_explicit(&a->views, memory_order_relaxed) & bit) == 0) {
            atomic_fetch_or_explicit(&a->views, bit, memory_order_acquire); /* only this thread sets bits */
            *ret_hazard = HAZARDS_OP + i;
            return true;
        }
    }
    return false;
}

static void view_hazard_drop(struct attachment *a, uint32_t hazard)
{
    hazard_clear(a, hazard);
    atomic_fetch_and_explicit(&a->views, ~(1u << (hazard - HAZARDS_OP)), memory_order_release);
}

static int view_copy(const struct call *call, const struct probe *p, struct shoal_view *ret)
{
    struct read_sink sink = { .buf = NULL };
    void *copy = NULL;
    int rc;
    while ((rc = lookup_key(call, p, &sink)) == SHOAL_SHORT) { /* it grew since the last look */
        free(copy);
        copy = malloc(sink.value_bytes);
        if (copy == NULL) {
            errno = ENOMEM;
            return error_os("view: copy of %llu bytes", (unsigned long long)sink.value_bytes);
        }
        sink.buf = copy;
        sink.buf_bytes = sink.value_bytes;
    }
    if (rc != 0) {
        free(copy);
        return rc;
    }
    static const uint64_t nothing;
    *ret = (struct shoal_view){ .value = copy != NULL ? copy : &nothing,
                                .bytes = sink.value_bytes,
                                .version = sink.version,
                                .type = sink.type };
    ret->internal[VIEW_COPY] = copy;
    return 0;
}

static int view_pin(const struct call *call, const struct probe *p, uint32_t hazard, struct shoal_view *ret)
{
    struct mutate_found found;
    int rc = mutate_find(call->a, p, hazard, &found);
    bool entry = rc == 0;
    if (entry)
        rc = slot_is_live(found.w) ? mutate_verify(call->segment, &found) : SHOAL_MISSING;
    if (rc != 0) {
        view_hazard_drop(call->a, hazard);
        return rc == SHOAL_MISSING && !entry ? view_copy(call, p, ret) : rc; /* below, or in what is moved from */
    }
    *ret = (struct shoal_view){ .value = found.value,
                                .bytes = found.value_bytes,
                                .version = found.version,
                                .type = found.type };
    ret->internal[VIEW_ATTACHMENT] = call->a;
    ret->internal[VIEW_MAP] = call->map;
    ret->internal[VIEW_MARK] = mark_of(hazard);
    attachment_ref(call->a);
    open_map_ref(call->map);
    return 0;
}

static int view_once(struct shoal *map, const void *key, size_t key_bytes, struct shoal_view *ret_view)
{
    struct call call;
    struct probe probe;
    uint32_t hazard;
    int rc = key_call(map, key, key_bytes, false, &call, &probe);
    if (rc != 0)
        return rc;
    bool attached = !call.map->readonly && call_attach(&call) == 0;
    if (attached && call.old != NULL) /* to where it can be pinned */
        (void)move_for(&call, &probe);
    if (attached && view_hazard(call.a, &hazard))
        rc = view_pin(&call, &probe, hazard, ret_view);
    else
        rc = view_copy(&call, &probe, ret_view);
    call_end(&call);
    return rc;
}

int shoal_view(struct shoal *map, const void *key, size_t key_bytes, struct shoal_view *ret_view)
{
    int rc;
    if (ret_view == NULL)
        return error_set(SHOAL_EINVAL, "shoal_view: ret_view is NULL");
    while ((rc = view_once(map, key, key_bytes, ret_view)) == TABLE_MOVED) {
    }
    return rc;
}

void shoal_view_end(struct shoal_view *view)
{
    if (view == NULL)
        return;
    struct attachment *a = view->internal[VIEW_ATTACHMENT];
    uintptr_t mark = (uintptr_t)view->internal[VIEW_MARK];
    free(view->internal[VIEW_COPY]);
    if (a != NULL && mark >> 8 == registry_fork_id()) { /* a parent's view is the parent's to end */
        view_hazard_drop(a, (uint32_t)(mark & 0xff));
        (void)fetch_add_u64(&a->entry->unpinned, 1); /* [hazard] memory may have become free: see settle_activity */
        attachment_unref(a);
        open_map_unref(view->internal[VIEW_MAP]);
    }
    *view = (struct shoal_view){ 0 };
}
