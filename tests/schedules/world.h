/* SPDX-License-Identifier: MIT
 *
 * What the logical processes live in: one small segment in private memory, the locks that a kernel would
 * keep, the private memory of each process; and the way back to how all of it was.
 */
#ifndef SCHEDULES_WORLD_H
#define SCHEDULES_WORLD_H

#include "map/registry.h"

#define WORLD_PROCS 3u   /* scheduled */
#define WORLD_CHECKER 3u /* looks at what they left; never scheduled */
#define WORLD_MEMBERS 4u
#define WORLD_ENTRIES 5u /* one more, so that who attaches need not wait for a death */
#define WORLD_NOBODY (-1)

/* Scheduling sees words of 4 bytes (an access to 8 goes by its first), then two locks per entry. */
#define WORLD_WORDS_MAX 16384u

struct member {
    struct segment segment;
    struct open_map open;
    struct shoal handle;
    struct attachment *a;
    uint8_t held[WORLD_ENTRIES];
};

struct world {
    uint8_t *bytes;
    uint32_t words_n; /* of the segment */
    struct member member[WORLD_MEMBERS];
};
extern struct world world;

/* A new segment with this capacity. */
void world_make(uint32_t capacity, uint32_t flags);
int world_attach(uint32_t member);

/* Remember everything; go back to it. */
void world_keep(void);
void world_restore(void);

/* False: not in the segment. */
static inline bool world_word(const volatile void *at, uint32_t *ret_word)
{
    uintptr_t off = (uintptr_t)at - (uintptr_t)world.bytes;
    *ret_word = (uint32_t)(off / 4);
    return off < (uintptr_t)world.words_n * 4;
}
/* Before every write to the segment. */
void world_dirty(uint32_t word);

static inline uint32_t world_lock_word(uint32_t entry, bool reap) { return world.words_n + 2 * entry + (reap ? 1 : 0); }
int world_lock_holder(uint32_t word);
/* The kernel's part of a death. */
void world_release_locks(uint32_t member);

/* "group 0 slot 3", "entry 1 hazard 4": for traces. */
void world_name(uint32_t word, char *to, size_t bytes);

#endif
