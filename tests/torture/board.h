/* SPDX-License-Identifier: MIT
 *
 * What workers were about to do and have done, written down outside the map.
 *
 * A worker fills a slot of the board.  Before each call that changes something it writes its intent,
 * after the call's return the acknowledgement; whoever follows a killed worker in the slot knows what is
 * certain and what may have happened.
 */
#ifndef TESTS_TORTURE_BOARD_H
#define TESTS_TORTURE_BOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shoal/shoal.h"

#define BOARD_SLOTS 9u
#define BOARD_OWN 40u      /* keys that only this slot writes */
#define BOARD_COUNTERS 6u  /* shared, only ever incremented by 1 */
#define BOARD_CONTESTED 6u /* shared, put and deleted by all */
#define BOARD_NONE UINT64_MAX

/* A tag says who wrote a value, and how long it is.
 *  slot:8 | key:8 | size:4 | sequence:44 */
#define TAG_SIZES 6u
uint64_t tag_make(uint32_t slot, uint32_t key, uint32_t size_i, uint64_t sequence);
uint32_t tag_slot(uint64_t tag);
uint32_t tag_key(uint64_t tag);
uint64_t tag_sequence(uint64_t tag);
uint32_t tag_bytes(uint64_t tag);

enum intent { INTENT_NONE = 0, INTENT_OWN, INTENT_COUNTER, INTENT_CONTESTED };

/* What killed workers may have made of a key, one behind the other: a worker may put a key, and be killed, before anybody
 * has seen what its predecessor's last call came to.  Open are from <= i < to; each is changed by one store. */
#define BOARD_DOUBTS 8u
struct board_doubt {
    uint32_t from, to;
    uint64_t tag[BOARD_DOUBTS];
};

struct board_slot {
    pid_t pid;
    uint32_t intent; /* enum intent; written last before a call, and cleared after the acknowledgement */
    uint32_t intent_key;
    uint16_t parent;  /* this one forked others: see worker.h */
    uint16_t stopped;
    uint64_t intent_tag;
    uint64_t own[BOARD_OWN];   /* tags; 0 = absent */
    struct board_doubt doubt[BOARD_OWN];
    uint64_t counted[BOARD_COUNTERS], counted_maybe[BOARD_COUNTERS];
    uint64_t counter_seen[BOARD_COUNTERS];
    uint64_t contested_done[BOARD_CONTESTED];                  /* last acknowledged sequence */
    uint64_t contested_seen[BOARD_CONTESTED][BOARD_SLOTS];     /* highest that was read, by writer */
    uint64_t sequence;
    uint64_t lives, calls, reopened;
    uint64_t most_accesses, most_swaps; /* of any call */
    uint64_t alone_n, alone_accesses;   /* calls during which nobody else ended one, and the longest of them */
};

struct board {
    char name[64];
    uint64_t seed;
    uint32_t slots_n;
    uint64_t counter_base[BOARD_COUNTERS];
    uint64_t fresh_fill;
    uint64_t accesses_limit; /* of a call, for each call that others ended meanwhile: see worker.c */
    uint64_t kills, parents_killed, stops, killed_while_stopped, solos;
    uint64_t doubts_on_doubts, older_seen; /* a key's second doubt; and it was the first that had come true */
    char text[1500];
    struct board_slot slot[BOARD_SLOTS];
};

struct board *board_new(const char *name, uint32_t slots_n, uint64_t seed);
/* The worker of this slot is dead: what it intended may have happened. */
void board_bury(struct board *board, uint32_t slot_i);

bool board_doubtful(const struct board_slot *slot, uint32_t key);
/* The key was seen to be this.  Settles the doubts that this settles; false: it can be neither what was acknowledged
 * nor what a killed worker may have made of it. */
bool board_seen(struct board *board, struct board_slot *slot, uint32_t key, uint64_t tag);
/* What is acknowledged is all that can be seen. */
void board_certain(struct board_slot *slot, uint32_t key);
/* "acknowledged 17, perhaps 18 19" */
#define BOARD_SAY_BYTES 256
void board_say(const struct board_slot *slot, uint32_t key, char text[BOARD_SAY_BYTES]);

int board_own_key(uint32_t slot_i, uint32_t key_i, char key[24]);
int board_counter_key(uint32_t counter_i, char key[24]);
int board_contested_key(uint32_t key_i, char key[24]);

/* Create the map, and count what fits into it (outside ledger). */
void board_create_map(struct board *board, const struct shoal_options *options);

/* Everybody is dead: reap, check, and hold the map against the board (A, C).  In a child of its own.
 * true = all is as it must be; else board->text says what is not. */
bool board_judge(struct board *board);
/* Delete all, fill up, compare with the fresh map.  In a child of its own. */
bool board_ledger(struct board *board);

#endif
