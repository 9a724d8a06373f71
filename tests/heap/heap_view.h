/* SPDX-License-Identifier: MIT
 *
 * Guarantee H from outside: what is free, and the overhead up to which a record may be refused.
 */
#ifndef TESTS_HEAP_HEAP_VIEW_H
#define TESTS_HEAP_HEAP_VIEW_H

#include "cases/scene.h"
#include "cases/table_view.h"

/* Of a heap at rest.  A run is the piece of the heap that a class takes at a time. */
struct heap_view {
    uint64_t room;         /* free, retired or dead: what H promises */
    uint64_t one_run_each; /* bytes of one run of each class that has any */
    uint32_t classes_in_use;
    uint64_t pinned_blocks; /* bytes of the blocks that a hazard names */
    uint64_t pinned_runs;   /* bytes of the runs that a hazard touches, or with a block that somebody owns */
    uint64_t claimed;       /* bytes of spans that somebody is making or unmaking */
};

/* Also with stopped processes, but not with running ones. */
struct heap_view heap_look(struct shoal *map);

/* A record that takes several spans in a row finds less: rows of unused spans that are too short, between runs
 * that nothing can move.  So much of the heap may be lost to that. */
#define ROWS_SHARE 16u

/* A record of key + value bytes was refused: is as little free as H allows?  Fails the test if not. */
void heap_is_full(struct shoal *map, uint64_t key_bytes, uint64_t value_bytes, const char *what);
/* The same, as an answer: how much more is free than H allows; 0 = rightly refused. */
uint64_t heap_excess(struct shoal *map, uint64_t key_bytes, uint64_t value_bytes);

/* Bytes of heap that a record needs: its block. */
uint64_t heap_block_bytes(struct shoal *map, uint64_t key_bytes, uint64_t value_bytes);

/* -- Filling ----------------------------------------------------------------------------------- */

#define FILL_KEY_BYTES 10u

/* Put records of `bytes` (key and value together) named by series and number until SHOAL_EFULL, or n_max of
 * them; how many fitted. */
uint32_t fill_series(struct shoal *map, char series, uint32_t bytes, uint32_t n_max);
/* How many records of `bytes` fit (of series 'f'); none of them is left. */
uint32_t fill_and_empty(struct shoal *map, uint32_t bytes);
void fill_key(char *to, char series, uint32_t n);
/* 0 or the result of put */
int fill_put(struct shoal *map, char series, uint32_t n, uint32_t bytes);
void fill_holds(struct shoal *map, char series, uint32_t n, uint32_t bytes);
void fill_delete(struct shoal *map, char series, uint32_t n);

/* Delete all records but one in each run, chosen at random; how many are left.  kept[n] (of series, 0..n_max - 1):
 * is it one of them? */
uint32_t fill_thin_out(struct shoal *map, char series, uint32_t n_max, bool *kept, uint64_t *random);

#endif
