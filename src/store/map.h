/* SPDX-License-Identifier: MIT
 *
 * How the pages of a zone are used, as its map says in its page (page.h).  Functions of the page alone.
 */
#ifndef SHOAL_STORE_MAP_H
#define SHOAL_STORE_MAP_H

#include <stdint.h>

#include "store/page.h"

#define MAP_PAGES_PER_WORD 32u

static inline enum page_use map_get(const struct page_zone *map, uint32_t i)
{
    return (enum page_use)(map->use[i / MAP_PAGES_PER_WORD] >> i % MAP_PAGES_PER_WORD * 2 & 3);
}

static inline void map_set(struct page_zone *map, uint32_t i, enum page_use use)
{
    uint64_t *word = &map->use[i / MAP_PAGES_PER_WORD];
    unsigned shift = i % MAP_PAGES_PER_WORD * 2;
    *word = (*word & ~((uint64_t)3 << shift)) | (uint64_t)use << shift;
}

/* Of a zone in which nothing is in use but `own` pages at its start. */
void map_make(struct page_zone *map, uint64_t zone_i, uint32_t own);

struct tally {
    uint32_t free_n, held_n;
};
struct tally map_count(const struct page_zone *map);

/* A later root is durable: NEW becomes USED. */
void map_settle(struct page_zone *map);
/* And nobody reads an older one: HELD becomes FREE. */
void map_release(struct page_zone *map);

/* The first run of at least `least` FREE pages from..end-1, cut to n.  0: none.  No page before the cursor is FREE. */
uint32_t map_find(const struct page_zone *map, uint32_t from, uint32_t end, uint64_t n, uint64_t least, uint32_t *io_cursor,
                  uint32_t *ret_first);

#endif
