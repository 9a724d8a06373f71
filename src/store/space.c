/* SPDX-License-Identifier: MIT
 *
 * Maps of zones (space.h).
 */
#include "store/space.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/map.h"

#define ROW_MAX 256u   /* pages of a row; more get several */
#define ROW_LEAST 4u   /* shorter ones only where there are none */
#define ROW_LOOK 1024u /* pages that are looked at for one */
#define ROW_SHARE 1u   /* of the pages that a root leads to: as much may be free, else few rows are found */

struct zone {
    struct zone_entry entry; /* as published; place ZONE_MAPS: without a map, since nothing in it is in use */
    struct page_zone *map;   /* NULL: not read yet */
    bool changed;
    uint32_t cursor;         /* no page before it is FREE */
};

/* -- Geometry ------------------------------------------------------------------------------------ */

static uint64_t zone_of(uint64_t page) { return page / ZONE_PAGES; }
static uint64_t zone_start(uint64_t zone_i) { return zone_i * ZONE_PAGES; }

/* How many pages at a zone's start are never given. */
static uint32_t zone_own(uint64_t zone_i) { return zone_i == 0 ? META_PAGES + ZONE_MAPS : ZONE_MAPS; }

static uint64_t map_page(uint64_t zone_i, unsigned place)
{
    return zone_start(zone_i) + (zone_i == 0 ? META_PAGES : 0) + place;
}

static uint64_t indices_n(const struct space *space) { return (space->zones_n + INDEX_ZONES - 1) / INDEX_ZONES; }

/* -- Zones --------------------------------------------------------------------------------------- */

static int zones_reserve(struct space *space, uint64_t n)
{
    if (n <= space->zones_room)
        return SHOAL_OK;
    uint64_t room = n + n / 2 + 4;
    struct zone *zone = realloc(space->zone, room * sizeof *zone);
    if (zone == NULL)
        return error_os("%s: maps of %" PRIu64 " zones", space->pager->name, n);
    space->zone = zone;
    space->zones_room = room;
    return SHOAL_OK;
}

static int map_check(struct space *space, uint64_t zone_i, const struct page_zone *map)
{
    const struct zone_entry *entry = &space->zone[zone_i].entry;
    struct tally tally = map_count(map);
    bool own = true;
    for (uint32_t i = 0; i < zone_own(zone_i); i++)
        own = own && map_get(map, i) == PAGE_USED;
    if (map->head.prefix != zone_i || !own || tally.free_n != entry->free_n ||
        tally.held_n != entry->held_n)
        return page_bad(space->pager, map->head.page, "the map of zone %" PRIu64 ": its counts are wrong", zone_i);
    return SHOAL_OK;
}

/* The zone's map in memory. */
static int zone_map(struct space *space, uint64_t zone_i)
{
    struct zone *zone = &space->zone[zone_i];
    if (zone->map != NULL)
        return SHOAL_OK;
    struct page_zone *map = malloc(sizeof *map);
    if (map == NULL)
        return error_os("%s: a map of a zone", space->pager->name);
    int rc = SHOAL_OK;
    if (zone->entry.place == ZONE_MAPS) {
        map_make(map, zone_i, zone_own(zone_i));
    } else {
        struct page_ref ref = { map_page(zone_i, zone->entry.place), zone->entry.txn };
        rc = page_read(space->pager, ref, PAGE_ZONE, map);
        if (rc == SHOAL_OK)
            rc = map_check(space, zone_i, map);
    }
    if (rc != SHOAL_OK) {
        free(map);
        return rc;
    }
    zone->map = map;
    zone->cursor = 0;
    return SHOAL_OK;
}

/* The same, to be changed.  Only now, because what is held from here on belongs to this transaction. */
static int zone_change(struct space *space, uint64_t zone_i)
{
    struct zone *zone = &space->zone[zone_i];
    if (zone->changed)
        return SHOAL_OK;
    int rc = zone_map(space, zone_i);
    if (rc != SHOAL_OK)
        return rc;
    if (zone->entry.txn <= space->durable_txn)
        map_settle(zone->map);
    if (zone->entry.txn <= space->release_txn) {
        map_release(zone->map);
        zone->entry.free_n = (uint16_t)(zone->entry.free_n + zone->entry.held_n);
        zone->entry.held_n = 0;
        zone->cursor = 0;
    }
    zone->changed = true;
    return SHOAL_OK;
}

static int zone_add(struct space *space)
{
    uint64_t zone_i = space->zones_n;
    if (zone_i >= (uint64_t)META_INDICES * INDEX_ZONES)
        return error_set(SHOAL_EFULL, "%s: has the most pages that a store can have", space->pager->name);
    int rc = zones_reserve(space, zone_i + 1);
    if (rc != SHOAL_OK)
        return rc;
    space->zone[zone_i] = (struct zone){
        .entry = { .free_n = (uint16_t)(ZONE_PAGES - zone_own(zone_i)), .place = ZONE_MAPS, .durable_place = ZONE_MAPS },
    };
    space->zones_n++;
    return SHOAL_OK;
}

static bool zone_has(const struct space *space, const struct zone *zone)
{
    return zone->entry.free_n > 0 ||
           (zone->entry.held_n > 0 && !zone->changed && zone->entry.txn <= space->release_txn);
}

/* -- Load ---------------------------------------------------------------------------------------- */

static int entry_check(const struct space *space, const struct page_index *index, const struct zone_entry *entry)
{
    if (entry->free_n + entry->held_n > ZONE_PAGES - ZONE_MAPS || entry->place > ZONE_MAPS ||
        entry->durable_place > ZONE_MAPS || (entry->place == entry->durable_place && entry->place != ZONE_MAPS &&
                                            entry->txn > space->durable_txn))
        return page_bad(space->pager, index->head.page, "an impossible entry of a zone");
    return SHOAL_OK;
}

/* What was read before stays where nothing has changed. */
static void entry_follow(struct zone *zone, const struct zone_entry *entry)
{
    if (memcmp(&zone->entry, entry, sizeof *entry) == 0)
        return;
    free(zone->map);
    *zone = (struct zone){ .entry = *entry };
}

static int index_load(struct space *space, uint64_t index_i)
{
    struct page_index index;
    int rc = page_read(space->pager, space->index[index_i], PAGE_INDEX, &index);
    if (rc != SHOAL_OK)
        return rc;
    uint64_t first = index_i * INDEX_ZONES;
    uint64_t n = space->zones_n - first < INDEX_ZONES ? space->zones_n - first : INDEX_ZONES;
    if (index.head.prefix != index_i || index.head.used_n != n)
        return page_bad(space->pager, index.head.page, "not index %" PRIu64 " of %" PRIu64 " zones", index_i, n);
    for (uint64_t i = 0; i < n && rc == SHOAL_OK; i++) {
        rc = entry_check(space, &index, &index.zone[i]);
        if (rc == SHOAL_OK)
            entry_follow(&space->zone[first + i], &index.zone[i]);
    }
    return rc;
}

int space_follow(struct space *space, const struct page_meta *meta)
{
    uint64_t had = space->zones_n;
    if (meta->zones_n == 0 || meta->zones_n > (uint64_t)META_INDICES * INDEX_ZONES || meta->zones_n < had)
        return page_bad(space->pager, meta->head.page, "%" PRIu64 " zones", meta->zones_n);
    if (meta->pages_end > meta->zones_n * ZONE_PAGES)
        return page_bad(space->pager, meta->head.page, "%" PRIu64 " pages in %" PRIu64 " zones", meta->pages_end, meta->zones_n);
    int rc = zones_reserve(space, meta->zones_n);
    if (rc != SHOAL_OK)
        return rc;
    memset(space->zone + had, 0, (meta->zones_n - had) * sizeof *space->zone);
    space->zones_n = meta->zones_n;
    space->pages_end = meta->pages_end;
    space->durable_txn = meta->durable_txn;
    for (uint64_t i = 0; i < indices_n(space) && rc == SHOAL_OK; i++) {
        bool same = meta->index[i].page != 0 && memcmp(&space->index[i], &meta->index[i], sizeof meta->index[i]) == 0;
        space->index[i] = meta->index[i];
        rc = same ? SHOAL_OK : index_load(space, i);
    }
    return rc;
}

int space_load(struct space *space, const struct pager *pager, const struct page_meta *meta)
{
    *space = (struct space){ .pager = pager };
    int rc = space_follow(space, meta);
    if (rc != SHOAL_OK)
        space_drop(space);
    return rc;
}

int space_make(struct space *space, const struct pager *pager, uint64_t txn)
{
    *space = (struct space){ .pager = pager, .txn = txn, .pages_end = META_PAGES + ZONE_MAPS };
    return zone_add(space);
}

void space_drop(struct space *space)
{
    for (uint64_t i = 0; i < space->zones_n; i++)
        free(space->zone[i].map);
    free(space->zone);
    free(space->later);
    space->later = NULL;
    space->later_n = space->later_room = 0;
    space->zone = NULL;
    space->zones_n = space->zones_room = 0;
}

/* Rows are put behind the file's end up to here, so that others find room for them before it; behind this none are looked
 * for, so a file of which much was deleted gets shorter. */
static uint64_t row_end(const struct space *space)
{
    uint64_t held = 0, used = space->zones_n * ZONE_PAGES;
    for (uint64_t i = 0; i < space->zones_n; i++) {
        held += space->zone[i].entry.held_n;
        used -= space->zone[i].entry.free_n;
    }
    return used + (used - held) / ROW_SHARE + ROW_MAX;
}

void space_begin(struct space *space, uint64_t txn, uint64_t durable_txn, uint64_t oldest_pinned, uint64_t newest_pinned)
{
    space->txn = txn;
    space->durable_txn = durable_txn;
    space->release_txn = durable_txn < oldest_pinned ? durable_txn : oldest_pinned;
    space->pinned_txn = newest_pinned;
    space->first_free = 0;
    space->row_end = row_end(space);
    space->rows_missed = 0;
    space->packs = false;
}

void space_stay(struct space *space)
{
    if (space->row_end > space->pages_end)
        space->row_end = space->pages_end;
}

void space_pack(struct space *space) { space->packs = true; }

/* -- Take and free --------------------------------------------------------------------------------- */

static void zone_take(struct space *space, uint64_t zone_i, uint32_t first, uint32_t n)
{
    struct zone *zone = &space->zone[zone_i];
    uint64_t end = zone_start(zone_i) + first + n;
    for (uint32_t i = 0; i < n; i++)
        map_set(zone->map, first + i, PAGE_NEW);
    zone->entry.free_n = (uint16_t)(zone->entry.free_n - n);
    if (end > space->pages_end)
        space->pages_end = end;
}

struct wanted_run {
    uint64_t n, least;
    uint64_t page, got; /* 0: none */
};

/* From one page to another. */
static int take_between(struct space *space, uint64_t from, uint64_t end, struct wanted_run *io_run)
{
    io_run->got = 0;
    for (uint64_t zone_i = zone_of(from); zone_i < space->zones_n && zone_start(zone_i) < end; zone_i++) {
        struct zone *zone = &space->zone[zone_i];
        if (!zone_has(space, zone))
            continue;
        int rc = zone_change(space, zone_i);
        if (rc != SHOAL_OK)
            return rc;
        uint32_t first = zone_i == zone_of(from) ? (uint32_t)(from - zone_start(zone_i)) : 0;
        uint32_t last = end - zone_start(zone_i) < ZONE_PAGES ? (uint32_t)(end - zone_start(zone_i)) : ZONE_PAGES;
        uint32_t n = map_find(zone->map, first, last, io_run->n, io_run->least, &zone->cursor, &first);
        if (n == 0)
            continue;
        zone_take(space, zone_i, first, n);
        io_run->page = zone_start(zone_i) + first;
        io_run->got = n;
        return SHOAL_OK;
    }
    return SHOAL_OK;
}

int space_take(struct space *space, uint64_t pages_n, uint64_t least, uint64_t *ret_page, uint64_t *ret_pages_n)
{
    struct wanted_run run = { .n = pages_n, .least = least };
    int rc = SHOAL_OK;
    while (space->first_free < space->zones_n && !zone_has(space, &space->zone[space->first_free]))
        space->first_free++;
    for (uint64_t zone_i = space->first_free; rc == SHOAL_OK && run.got == 0; zone_i = space->zones_n - 1) {
        rc = zone_i < space->zones_n ? take_between(space, zone_start(zone_i), UINT64_MAX, &run) : SHOAL_OK;
        if (rc == SHOAL_OK && run.got == 0)
            rc = zone_add(space);
    }
    *ret_page = run.page;
    *ret_pages_n = run.got;
    return rc;
}

/* A row from the next place on, or behind the file's end. */
static int row_find(struct space *space, struct wanted_run *io_run)
{
    uint64_t last = space->pages_end < space->row_end ? space->pages_end : space->row_end;
    uint64_t end = space->next + ROW_LOOK < last ? space->next + ROW_LOOK : last;
    int rc = space->rows_missed < last ? take_between(space, space->next, end, io_run) : SHOAL_OK;
    if (rc == SHOAL_OK && io_run->got > 0) {
        space->next = io_run->page + io_run->got;
        space->rows_missed = 0;
        return SHOAL_OK;
    }
    space->next = end < last ? end : 0;
    space->rows_missed += ROW_LOOK;
    if (rc != SHOAL_OK || space->pages_end >= space->row_end)
        return rc;
    if (zone_start(space->zones_n) < space->pages_end + io_run->least)
        rc = zone_add(space);
    return rc == SHOAL_OK ? take_between(space, space->pages_end, UINT64_MAX, io_run) : rc;
}

int space_take_row(struct space *space, uint64_t pages_n, uint64_t *ret_page, uint64_t *ret_pages_n)
{
    struct wanted_run run = { .n = pages_n < ROW_MAX ? pages_n : ROW_MAX, .least = pages_n < ROW_LEAST ? pages_n : ROW_LEAST };
    int rc = pages_n < 2 || space->packs ? SHOAL_OK : row_find(space, &run);
    if (rc != SHOAL_OK || run.got == 0)
        return rc != SHOAL_OK ? rc : space_take(space, pages_n, 1, ret_page, ret_pages_n);
    *ret_page = run.page;
    *ret_pages_n = run.got;
    return SHOAL_OK;
}

void space_set_aside(struct space *space, uint64_t page, uint64_t pages_n)
{
    space->aside = page;
    space->aside_n = pages_n;
}

static void zone_give(struct space *space, uint64_t zone_i, uint32_t first, uint32_t n)
{
    struct zone *zone = &space->zone[zone_i];
    for (uint32_t i = 0; i < n; i++)
        map_set(zone->map, first + i, PAGE_FREE);
    zone->entry.free_n = (uint16_t)(zone->entry.free_n + n);
    if (first < zone->cursor)
        zone->cursor = first;
    if (zone_i < space->first_free)
        space->first_free = zone_i;
}

static int later_add(struct space *space, uint64_t page)
{
    if (space->later_n == space->later_room) {
        uint64_t room = space->later_room * 2 + 64, *later = realloc(space->later, room * sizeof *later);
        if (later == NULL)
            return error_os("%s: a list of %" PRIu64 " pages", space->pager->name, room);
        space->later = later;
        space->later_room = room;
    }
    space->later[space->later_n++] = page;
    return SHOAL_OK;
}

static int free_in_zone(struct space *space, uint64_t page, uint32_t n, enum space_freed how)
{
    uint64_t zone_i = zone_of(page);
    uint32_t first = (uint32_t)(page - zone_start(zone_i));
    int rc = zone_change(space, zone_i);
    if (rc != SHOAL_OK)
        return rc;
    struct zone *zone = &space->zone[zone_i];
    for (uint32_t i = 0; i < n; i++) {
        enum page_use use = map_get(zone->map, first + i);
        if (first < zone_own(zone_i) || (use != PAGE_USED && use != PAGE_NEW))
            return page_bad(space->pager, page + i, "something leads there, but the map of its zone has it free");
    }
    if (how == SPACE_OWN) {
        zone_give(space, zone_i, first, n);
        return SHOAL_OK;
    }
    for (uint32_t i = 0; i < n && rc == SHOAL_OK; i++) {
        if (how == SPACE_HEADED && map_get(zone->map, first + i) == PAGE_NEW) {
            rc = later_add(space, page + i);
            continue;
        }
        map_set(zone->map, first + i, PAGE_HELD);
        zone->entry.held_n++;
    }
    return rc;
}

int space_free(struct space *space, uint64_t page, uint64_t pages_n, enum space_freed how)
{
    while (pages_n > 0) {
        uint64_t zone_i = zone_of(page);
        if (zone_i >= space->zones_n)
            return page_bad(space->pager, page, "something leads there, behind the last zone");
        uint64_t n = zone_start(zone_i + 1) - page;
        if (n > pages_n)
            n = pages_n;
        int rc = free_in_zone(space, page, (uint32_t)n, how);
        if (rc != SHOAL_OK)
            return rc;
        page += n;
        pages_n -= n;
    }
    return SHOAL_OK;
}

int space_free_page(struct space *space, struct page_ref ref)
{
    enum space_freed how = ref.txn == space->txn ? SPACE_OWN : ref.txn <= space->pinned_txn ? SPACE_RUN : SPACE_HEADED;
    return space_free(space, ref.page, 1, how);
}

int space_claim(struct space *space, uint64_t page, uint64_t pages_n)
{
    for (; pages_n > 0; page++, pages_n--) {
        uint64_t zone_i = zone_of(page);
        int rc = SHOAL_OK;
        while (rc == SHOAL_OK && zone_i >= space->zones_n)
            rc = zone_add(space);
        if (rc == SHOAL_OK)
            rc = zone_change(space, zone_i);
        if (rc != SHOAL_OK)
            return rc;
        struct zone *zone = &space->zone[zone_i];
        uint32_t i = (uint32_t)(page - zone_start(zone_i));
        if (map_get(zone->map, i) != PAGE_FREE)
            return page_bad(space->pager, page, "in use twice");
        map_set(zone->map, i, PAGE_USED);
        zone->entry.free_n--;
    }
    return SHOAL_OK;
}

int space_release(struct space *space)
{
    int rc = SHOAL_OK;
    for (uint64_t i = 0; i < space->zones_n && rc == SHOAL_OK; i++) {
        const struct zone_entry *entry = &space->zone[i].entry;
        if (entry->held_n > 0 && entry->txn <= space->release_txn)
            rc = zone_change(space, i);
    }
    return rc;
}

int space_shorten(struct space *space)
{
    return space->pages_end > space->row_end ? space_release(space) : SHOAL_OK;
}

static bool is_used(const struct page_zone *map, uint32_t i)
{
    enum page_use use = map_get(map, i);
    return use == PAGE_USED || use == PAGE_NEW;
}

int space_limit(struct space *space, uint64_t *ret_page)
{
    uint64_t used = 0, room = 0;
    for (uint64_t zone_i = 0; zone_i < space->zones_n; zone_i++) {
        int rc = zone_map(space, zone_i);
        if (rc != SHOAL_OK)
            return rc;
        for (uint32_t i = zone_own(zone_i); i < ZONE_PAGES; i++)
            used += is_used(space->zone[zone_i].map, i);
    }
    for (uint64_t zone_i = 0; zone_i < space->zones_n; zone_i++) {
        const struct page_zone *map = space->zone[zone_i].map;
        for (uint32_t i = zone_own(zone_i); i < ZONE_PAGES && used > room; i++) {
            *ret_page = zone_start(zone_i) + i + 1;
            used -= is_used(map, i);
            room += map_get(map, i) == PAGE_FREE;
        }
    }
    return SHOAL_OK;
}

uint64_t space_held(const struct space *space)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < space->zones_n; i++)
        if (space->zone[i].changed || space->zone[i].entry.txn > space->durable_txn)
            n += space->zone[i].entry.held_n;
    return n;
}

int space_use(struct space *space, uint64_t page, enum page_use *ret_use)
{
    uint64_t zone_i = zone_of(page);
    *ret_use = PAGE_USE_BAD;
    if (zone_i >= space->zones_n)
        return SHOAL_OK;
    int rc = zone_map(space, zone_i);
    if (rc == SHOAL_OK)
        *ret_use = map_get(space->zone[zone_i].map, (uint32_t)(page - zone_start(zone_i)));
    return rc;
}

/* -- Write --------------------------------------------------------------------------------------- */

/* Beside what is written with it, if a page was set aside. */
static int index_page(struct space *space, uint64_t *ret_page)
{
    uint64_t n;
    if (space->aside_n == 0)
        return space_take(space, 1, 1, ret_page, &n);
    *ret_page = space->aside++;
    space->aside_n--;
    return SHOAL_OK;
}

/* Each index of a changed zone gets a new page; that changes zones, and so on until all are settled: an index settles
 * once, so it ends. */
static int indices_settle(struct space *space)
{
    for (uint64_t zone_i = 0; zone_i < space->zones_n; zone_i++) {
        uint64_t index_i = zone_i / INDEX_ZONES;
        if (!space->zone[zone_i].changed || space->index_changed[index_i])
            continue;
        struct page_ref old = space->index[index_i];
        int rc = old.page != 0 ? space_free_page(space, old) : SHOAL_OK;
        if (rc == SHOAL_OK)
            rc = index_page(space, &space->index[index_i].page);
        if (rc != SHOAL_OK)
            return rc;
        space->index[index_i].txn = space->txn;
        space->index_changed[index_i] = true;
        zone_i = UINT64_MAX; /* from the first one again */
    }
    return SHOAL_OK;
}

/* The root that is being made does not lead there, so who makes the next one may write there. */
static void later_give(struct space *space)
{
    for (uint64_t i = 0; i < space->later_n; i++)
        zone_give(space, zone_of(space->later[i]), (uint32_t)(space->later[i] % ZONE_PAGES), 1);
    space->later_n = 0;
}

static void aside_give(struct space *space)
{
    for (; space->aside_n > 0; space->aside++, space->aside_n--)
        zone_give(space, zone_of(space->aside), (uint32_t)(space->aside % ZONE_PAGES), 1);
}

/* Z3. */
static void map_place(struct space *space, uint64_t zone_i)
{
    struct zone *zone = &space->zone[zone_i];
    struct zone_entry *entry = &zone->entry;
    unsigned durable = entry->txn <= space->durable_txn ? entry->place : entry->durable_place, place = 0;
    while (place == entry->place || place == durable)
        place++;
    bool unused = zone_i > 0 && entry->free_n == ZONE_PAGES - zone_own(zone_i);
    entry->place = unused ? ZONE_MAPS : (uint8_t)place;
    entry->durable_place = (uint8_t)durable;
    entry->txn = space->txn;
}

static int maps_write(struct space *space, struct queue *queue)
{
    int rc = SHOAL_OK;
    for (uint64_t zone_i = 0; zone_i < space->zones_n && rc == SHOAL_OK; zone_i++) {
        struct zone *zone = &space->zone[zone_i];
        if (!zone->changed)
            continue;
        map_place(space, zone_i);
        if (zone->entry.place == ZONE_MAPS)
            continue;
        page_seal(space->pager, zone->map, PAGE_ZONE, (struct page_ref){ map_page(zone_i, zone->entry.place), space->txn });
        rc = queue_add(queue, &zone->map->head);
    }
    return rc;
}

static void index_fill(const struct space *space, uint64_t index_i, struct page_index *index)
{
    memset(index, 0, sizeof *index);
    uint64_t first = index_i * INDEX_ZONES;
    index->head.prefix = index_i;
    for (uint64_t i = 0; i < INDEX_ZONES && first + i < space->zones_n; i++) {
        index->zone[i] = space->zone[first + i].entry;
        index->head.used_n++;
    }
    page_seal(space->pager, index, PAGE_INDEX, space->index[index_i]);
}

static int indices_write(struct space *space, struct queue *queue)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < indices_n(space); i++)
        n += space->index_changed[i];
    struct page_index *pages = malloc((n + 1) * sizeof *pages), *page = pages;
    if (pages == NULL)
        return error_os("%s: %" PRIu64 " indices of zones", space->pager->name, n);
    int rc = SHOAL_OK;
    for (uint64_t i = 0; i < indices_n(space) && rc == SHOAL_OK; i++) {
        if (!space->index_changed[i])
            continue;
        index_fill(space, i, page);
        rc = queue_add(queue, &page++->head);
    }
    if (rc == SHOAL_OK)
        rc = queue_write(queue);
    queue_drop(queue);
    free(pages);
    return rc;
}

/* One behind the last page that is not FREE. */
static int end_find(struct space *space, uint64_t *ret_end)
{
    for (uint64_t zone_i = space->zones_n; zone_i-- > 0;) {
        if (space->zone[zone_i].entry.place == ZONE_MAPS)
            continue;
        int rc = zone_map(space, zone_i);
        if (rc != SHOAL_OK)
            return rc;
        static_assert(PAGE_FREE == 0 && ZONE_PAGES % MAP_PAGES_PER_WORD == 0, "a word of free pages is 0");
        uint32_t i = ZONE_PAGES;
        while (i > 0 && space->zone[zone_i].map->use[i / MAP_PAGES_PER_WORD - 1] == 0) /* most of a small store's */
            i -= MAP_PAGES_PER_WORD;
        while (i > 0 && map_get(space->zone[zone_i].map, i - 1) == PAGE_FREE)
            i--;
        *ret_end = zone_start(zone_i) + i;
        return SHOAL_OK;
    }
    *ret_end = META_PAGES + ZONE_MAPS;
    return SHOAL_OK;
}

int space_write(struct space *space, struct queue *queue, struct page_meta *io_meta)
{
    int rc = indices_settle(space);
    later_give(space);
    aside_give(space);
    if (rc == SHOAL_OK)
        rc = maps_write(space, queue);
    if (rc == SHOAL_OK)
        rc = end_find(space, &space->pages_end);
    if (rc == SHOAL_OK)
        rc = indices_write(space, queue);
    if (rc != SHOAL_OK)
        return rc;
    io_meta->zones_n = space->zones_n;
    io_meta->pages_end = space->pages_end;
    io_meta->free_n = io_meta->held_n = 0;
    uint64_t in_file_n = zone_of(space->pages_end - 1) + 1; /* zones; those behind are without maps */
    for (uint64_t i = 0; i < space->zones_n; i++) {
        space->zone[i].changed = false;
        io_meta->held_n += space->zone[i].entry.held_n;
        io_meta->free_n += i < in_file_n ? space->zone[i].entry.free_n : 0;
    }
    io_meta->free_n -= zone_start(in_file_n) - space->pages_end;
    memcpy(io_meta->index, space->index, sizeof io_meta->index);
    memset(space->index_changed, 0, sizeof space->index_changed);
    return SHOAL_OK;
}
