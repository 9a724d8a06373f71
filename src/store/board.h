/* SPDX-License-Identifier: MIT
 *
 * What must be atomic between the processes of a store: the file `lock`, one page of it mapped by all of them.
 *
 *   byte 0   locked by who writes to the store (an open-file-description lock: death releases it)
 *   root     the meta that counts: its transaction and its place.  The one instant at which a transaction becomes
 *            everybody's.
 *   durable  the last one that is known to be on disk, likewise.
 *   started  no transaction up to here is ever begun again in this life of the machine: one whose holder died may have
 *            left pages that carry its number.  Raised before the first of them is written.
 *   horizon  pages that were freed up to this transaction may be overwritten: who read runs, which have no heads, under
 *            an older root, reads again.
 *   refused  a flush failed: what the kernel then dropped is not known, so nobody writes any more in this life of the
 *            machine.
 *   bell     changes whenever byte 0 is given back; who waits for it sleeps on it, and asks again every 20 ms because
 *            the dead do not ring.
 *
 *   user     whose store it is, and for people his name.  Written by who binds, when nobody shares byte 1: he has that byte
 *            alone, then shares it.  Who dies between has written a user whom nobody confirms: the next one writes his own,
 *            as he would where the user has ended.
 *   byte 1   shared by all processes of the user, for as long as they have the store open
 *   byte 2   locked by the one of them that does what one is enough for; free again when it ends or dies
 *
 * The holder of byte 0 writes all words, one store each, so his death leaves no half of anything; half a name is for people.
 *
 *  [store-root]     release: the holder's stores of root, durable, started, refused, and of ready behind all others.
 *                   acquire: who begins to read, or has the lock.  Visible: the meta that the word names, and what that
 *                   leads to, which was written before; and where `ready` counts, what the others say.
 *  [store-horizon]  seq_cst: raised before the first page that it releases is written over; loaded behind the read of
 *                   runs.  Either the reader sees it, or what he read was not written over yet.
 *  [store-bell]     release: rung behind the unlocking.  acquire: loaded before the lock is tried, then slept on.
 *
 * All of it counts only while `ready` is what this life of the machine and this store make it; else the holder of byte 0
 * chooses a meta anew and fills the page (commit.c).  Nothing here is needed to open the store again.
 */
#ifndef SHOAL_STORE_BOARD_H
#define SHOAL_STORE_BOARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/os.h"

#define BOARD_BYTES 4096u
#define BOARD_NAME_BYTES 64u

struct board_page {
    shared_u64 ready;        /*   0  0: nobody has filled it in this life */
    shared_u64 root;         /*   8  txn:62 | place:2 */
    shared_u64 durable;      /*  16  likewise */
    shared_u64 started;      /*  24 */
    shared_u64 horizon;      /*  32 */
    shared_u32 refused;      /*  40 */
    shared_u32 bell;         /*  44 */
    shared_u64 holder[4];    /*  48  for people: pid, then the first 24 bytes of its command */
    shared_u64 user;         /*  80  whose store it is, while anybody has byte 1 locked; 0: nobody's yet */
    shared_u64 user_name[BOARD_NAME_BYTES / 8]; /*  88  for people */
    uint8_t unused[BOARD_BYTES - 88 - BOARD_NAME_BYTES];
};
static_assert(sizeof(struct board_page) == BOARD_BYTES, "a page");

struct board {
    struct board_page *page; /* NULL: read-only, and there is none */
    bool writable;
    int dir;                 /* borrowed */
    struct os_file file;     /* that page is of */
    int lock_file;           /* the description that holds locks; -1 between them */
    uint32_t pid;            /* who opened lock_file and made the mutex */
    pthread_mutex_t mutex;   /* between the threads of this process */
    struct board *next;      /* all boards of this process, for its forks */
};

/* 0 or an errno value. */
int board_open(struct board *board, int dir, bool writable);
void board_close(struct board *board);

/* 0, ETIMEDOUT, or another errno value.  Makes the page where there is none. */
int board_lock(struct board *board, int timeout_ms);
void board_unlock(struct board *board);

/* Under the lock: the store is `user`'s, as long as the descriptor, or one that a forked child got of it, is open.  0, EBUSY
 * where it is another's, whose name stands in the page, or another errno value. */
int board_bind(struct board *board, uint64_t user, const char *name, int *ret_file);
/* The same without the lock, where it is his already: else false. */
bool board_bind_again(struct board *board, uint64_t user, int *ret_file);
/* Byte 2: whoever does for all what one is enough for. */
bool board_lead(struct board *board, int *io_file);
void board_user(const struct board *board, char ret_name[BOARD_NAME_BYTES + 1]);

/* "process 17 (gunicorn)": who holds byte 0, as far as it says so. */
#define BOARD_HOLDER_BYTES 64
void board_holder(const struct board *board, char ret_text[BOARD_HOLDER_BYTES]);

/* A root word. */
#define BOARD_ROOT(txn, place) ((uint64_t)(txn) << 2 | (place))
#define BOARD_TXN(word) ((word) >> 2)
#define BOARD_PLACE(word) ((unsigned)((word)&3))

#endif
