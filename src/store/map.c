/* SPDX-License-Identifier: MIT
 *
 * Maps of zones (map.h).
 */
#include "store/map.h"

#include <assert.h>
#include <string.h>

#define EVEN_BITS 0x5555555555555555u

void map_make(struct page_zone *map, uint64_t zone_i, uint32_t own)
{
    memset(map, 0, sizeof *map);
    map->head.prefix = zone_i;
    for (uint32_t i = 0; i < own; i++)
        map_set(map, i, PAGE_USED);
}

struct tally map_count(const struct page_zone *map)
{
    struct tally tally = { 0, 0 };
    for (size_t i = 0; i < PAGE_BODY_BYTES / 8; i++) {
        uint64_t low = map->use[i] & EVEN_BITS, high = map->use[i] >> 1 & EVEN_BITS;
        tally.free_n += (uint32_t)__builtin_popcountll(~(low | high) & EVEN_BITS);
        tally.held_n += (uint32_t)__builtin_popcountll(high & ~low);
    }
    return tally;
}

void map_settle(struct page_zone *map)
{
    static_assert((PAGE_NEW & 1) == PAGE_USED && (PAGE_USED & 1) == 1, "the upper bit goes where the lower one is set");
    for (size_t i = 0; i < PAGE_BODY_BYTES / 8; i++)
        map->use[i] &= ~((map->use[i] & EVEN_BITS) << 1);
}

void map_release(struct page_zone *map)
{
    static_assert((PAGE_HELD & 1) == PAGE_FREE, "the upper bit goes where the lower one is not set");
    for (size_t i = 0; i < PAGE_BODY_BYTES / 8; i++)
        map->use[i] &= EVEN_BITS | (map->use[i] & EVEN_BITS) << 1;
}

uint32_t map_find(const struct page_zone *map, uint32_t from, uint32_t end, uint64_t n, uint64_t least, uint32_t *io_cursor,
                  uint32_t *ret_first)
{
    uint32_t run = 0, first_free = ZONE_PAGES;
    for (uint32_t i = from > *io_cursor ? from : *io_cursor; i < end; i++) {
        if (map_get(map, i) != PAGE_FREE) {
            if (run >= least)
                break;
            run = 0;
            uint64_t word = map->use[i / MAP_PAGES_PER_WORD];
            if (i % MAP_PAGES_PER_WORD == 0 && ((word | word >> 1) & EVEN_BITS) == EVEN_BITS)
                i += MAP_PAGES_PER_WORD - 1; /* none of the word is FREE */
            continue;
        }
        if (first_free == ZONE_PAGES)
            first_free = i;
        if (run++ == 0)
            *ret_first = i;
        if (run == n)
            break;
    }
    if (from <= *io_cursor && (first_free < ZONE_PAGES || end == ZONE_PAGES))
        *io_cursor = first_free;
    return run >= least ? run : 0;
}
