/* SPDX-License-Identifier: MIT
 *
 * What every run of a scenario begins with: a small map as bytes, its keys, and what they hold.
 */
#ifndef TESTS_KILL_STAGE_H
#define TESTS_KILL_STAGE_H

#include "lib/pending.h"
#include "shoal/shoal.h"

/* A segment of 56 KiB: a state is one memcpy. */
struct shape {
    uint64_t capacity, heap_bytes;
    uint32_t flags, threads;
    bool store; /* with one below that takes what finds no room */
};
#define SHAPE_SMALL { .capacity = 300, .heap_bytes = 32 << 10, .threads = 8 }
#define SHAPE_ROOMY { .capacity = 1000, .heap_bytes = 96 << 10, .threads = 8 }
#define SHAPE_TIGHT { .capacity = 500, .heap_bytes = 32 << 10, .threads = 8 }
#define SHAPE_ABOVE { .capacity = 500, .heap_bytes = 32 << 10, .threads = 8, .store = true }
#define SHAPE_NARROW { .capacity = 2, .heap_bytes = 32 << 10, .threads = 8, .store = true }

struct stage_key {
    char text[16];
    uint32_t bytes;
    bool steady;      /* survivors leave it alone */
    struct cell cell; /* at the beginning */
};

#define STAGE_KEYS 420u
#define STAGE_HOT 4u   /* keys 0 .. 3: the victim's and others of its home group */
#define STAGE_WARM 10u /* the key by which a victim warms up; nobody else writes it */
#define STAGE_IMAGE (256u << 10)
#define STAGE_PAGES (1u << 20)
#define STAGE_LOCK 4096u

/* Shared memory: built by a child, read by the runs. */
struct stage {
    struct shape shape;
    uint64_t seed;
    uint32_t variant, variants_n; /* of the scenario; variants_n is found while building */
    uint32_t keys_n;
    struct stage_key keys[STAGE_KEYS];
    struct act corpse_act; /* what a process that was killed before the scene was doing to corpse_key */
    bool has_corpse;
    uint32_t corpse_key;
    uint64_t fresh_fill; /* 100-byte records in an empty map of this shape */
    uint64_t image_bytes, pages_bytes;
    uint8_t image[STAGE_IMAGE];
    uint8_t pages[STAGE_PAGES], lock[STAGE_LOCK]; /* of the store below */
};

struct stage *stage_new(void);

/* The maps of this process tree: "shoal-kill-<pid>-<slot>". */
void stage_name(uint32_t slot, char name[64]);
int stage_open_file(const char *name); /* the bare descriptor */

/* The directory of the store below the map `name`. */
#define STAGE_PATH 96u
void stage_store_path(const char *name, char path[STAGE_PATH]);
/* After a change of the header's immutable part. */
struct segment_header;
void stage_sign_header(struct segment_header *header);
/* Its files go. */
void stage_remove_store(const char *name);

/* While building.  Keys are put through map, which a setup has open under stage_name(slot). */
uint32_t stage_add_key(struct stage *stage, int fd, bool same_home_as_first);
/* Its hash begins with the same bits as that of the other. */
uint32_t stage_add_key_beside(struct stage *stage, int fd, uint32_t other, uint32_t bits);
void stage_put(struct stage *stage, struct shoal *map, uint32_t key_i, uint64_t tag, uint32_t bytes);
void stage_incr(struct stage *stage, struct shoal *map, uint32_t key_i, uint64_t delta);

int stage_create(const struct shape *shape, const char *name, struct shoal **ret_map);
/* Keep the bytes of the map `name` as the image. */
void stage_take_image(struct stage *stage, const char *name);
/* A new file with the image's bytes under the name, above a store of its own. */
void stage_restore(const struct stage *stage, const char *name);
/* The store alone, for a map of this name that is still to be made. */
void stage_restore_store(const struct stage *stage, const char *name);
/* How many records the ledger counts on a fresh map. */
void stage_measure_fresh(struct stage *stage, const char *name);

#endif
