/* SPDX-License-Identifier: MIT */
#include "memory/segment.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/os.h"

static void segment_cut(struct segment *s)
{
    const struct geometry *g = &s->geo;
    s->header = (struct segment_header *)(void *)s->base;
    s->wait = (shared_u32 *)(void *)(s->base + g->wait_at);
    s->entries = (struct entry *)(void *)(s->base + g->entries_at);
    s->summary = (shared_u32 *)(void *)(s->base + g->summary_at);
    s->groups = (struct group *)(void *)(s->base + g->groups_at);
    s->spans = (shared_u64 *)(void *)(s->base + g->spans_at);
    s->maps = (shared_u64 *)(void *)(s->base + g->maps_at);
    s->hints = (shared_u64 *)(void *)(s->base + g->hints_at);
    if (g->dirty_n != 0) {
        s->dirty = (shared_u64 *)(void *)(s->base + g->dirty_at);
        s->syncing = s->dirty + g->dirty_n;
        s->recency = (shared_u8 *)(void *)(s->base + g->recency_at);
    }
    s->window = (g->features & FEATURE_SPILL) ? WINDOW_SPILL : WINDOW_GROUPS;
    s->version_mask = g->dirty_n != 0 ? VERSION_TABLE : UINT64_MAX;
    s->slots_n = g->groups_all_n * GROUP_SLOTS;
    s->span_shift = (uint32_t)__builtin_ctzll(g->span_bytes);
    classes_plan(g->span_bytes, g->spans_n, &s->classes);
}

int segment_map(int fd, const struct geometry *geometry, bool readonly, struct segment **ret_segment)
{
    struct segment *s = calloc(1, sizeof *s);
    uint8_t *held = calloc(geometry->entries_n, 1);
    if (s == NULL || held == NULL) {
        free(s);
        free(held);
        errno = ENOMEM;
        return error_os("map of %llu bytes", (unsigned long long)geometry->segment_bytes);
    }
    s->geo = *geometry;
    s->readonly = readonly;
    s->file = fd;
    s->mapped = os_file_of(fd);
    s->own = s->probe = -1;
    s->held = held;
    s->base = os_map(fd, geometry->segment_bytes, !readonly);
    if (s->base == NULL) {
        int rc = error_os("mmap of %llu bytes", (unsigned long long)geometry->segment_bytes);
        free(held);
        free(s);
        return rc;
    }
    segment_cut(s);
    pthread_mutex_init(&s->lock, NULL);
    *ret_segment = s;
    return 0;
}

void segment_unmap(struct segment *s)
{
    os_unmap(s->base, s->geo.segment_bytes);
    os_close(s->own);
    os_close(s->probe);
    os_close(s->file);
    pthread_mutex_destroy(&s->lock);
    free(s->held);
    free(s);
}
