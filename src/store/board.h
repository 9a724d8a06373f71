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
 *   pins     roots that somebody reads as they are: pages that they lead to are not written over meanwhile (space.h).  A
 *            word counts only while its byte, one of those from 3 on, is locked by who pinned; so his death leaves nothing.
 *   wanted   somebody waited for byte 0: who takes it again and again gives way.  A hint.
 *
 *   user     whose store it is, and for people his name.  Written by who binds, when nobody shares byte 1: he has that byte
 *            alone, then shares it.  Who dies between has written a user whom nobody confirms: the next one writes his own,
 *            as he would where the user has ended.
 *   byte 1   shared by all processes of the user, for as long as they have the store open
 *   byte 2   locked by the one of them that does what one is enough for; free again when it ends or dies
 *   byte 3.. one for each pin, locked by who pinned
 *
 * The holder of byte 0 writes all words, one store each, so his death leaves no half of anything; half a name is for people.
 * A pin is set by the holder of byte 0, who locks the pin's byte first and then stores the word: who dies between leaves a
 * word of before and a byte that nobody has.  Its owner alone takes it away, without byte 0: the word, then the lock.
 *
 *  [store-root]     release: the holder's stores of root, durable, started, refused, and of ready behind all others; of a
 *                   pin by who has the lock, and its end behind the last read of a page.
 *                   acquire: who begins to read, or has the lock.  Visible: the meta that the word names, and what that
 *                   leads to, which was written before; and where `ready` counts, what the others say; of a pin that is
 *                   no more, that its owner reads no more.
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
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/os.h"

#define BOARD_BYTES 4096u
#define BOARD_NAME_BYTES 64u
#define BOARD_WHO 4
#define BOARD_PINS 8u /* backups at a time */

struct board_page {
    shared_u64 ready;        /*   0  0: nobody has filled it in this life */
    shared_u64 root;         /*   8  txn:62 | place:2 */
    shared_u64 durable;      /*  16  likewise */
    shared_u64 started;      /*  24 */
    shared_u64 horizon;      /*  32 */
    shared_u32 refused;      /*  40 */
    shared_u32 bell;         /*  44 */
    shared_u64 holder[BOARD_WHO]; /*  48  for people: pid, then the first 24 bytes of its command */
    shared_u64 user;         /*  80  whose store it is, while anybody has byte 1 locked; 0: nobody's yet */
    shared_u64 user_name[BOARD_NAME_BYTES / 8]; /*  88  for people */
    shared_u64 pin[BOARD_PINS]; /* 152  transactions; 0: none */
    shared_u32 wanted;       /* 216 */
    uint8_t unused[BOARD_BYTES - 220];
};
static_assert(sizeof(struct board_page) == BOARD_BYTES, "a page");
static_assert(offsetof(struct board_page, pin) == 152 && offsetof(struct board_page, wanted) == 216, "as it says");

struct board {
    struct board_page *page; /* NULL: read-only, and there is none */
    bool writable;
    int dir;                 /* borrowed */
    struct os_file file;     /* that page is of */
    int lock_file;           /* the description that holds locks; -1 between them */
    int pin_file[BOARD_PINS]; /* those that hold this process's pins; -1: not its own */
    uint32_t pid;            /* who opened lock_file and made the mutex */
    uint32_t rung;           /* the bell, as this process rang it last */
    pthread_mutex_t mutex;   /* between the threads of this process */
    uint64_t who[BOARD_WHO]; /* what this process says in `holder`, as it was called when who_pid locked first */
    uint32_t who_pid;
    struct board *next;      /* all boards of this process, for its forks */
};

/* 0 or an errno value. */
int board_open(struct board *board, int dir, bool writable);
void board_close(struct board *board);

/* 0, ETIMEDOUT, or another errno value.  Makes the page where there is none. */
int board_lock(struct board *board, int timeout_ms);
void board_unlock(struct board *board);
/* Between two holds of the lock: whoever waits for it comes first. */
void board_give_way(struct board *board);

/* Under the lock: the store is `user`'s, as long as the descriptor, or one that a forked child got of it, is open.  0, EBUSY
 * where it is another's, whose name stands in the page, or another errno value. */
int board_bind(struct board *board, uint64_t user, const char *name, int *ret_file);
/* The same without the lock, where it is his already: else false. */
bool board_bind_again(struct board *board, uint64_t user, int *ret_file);
/* Byte 2: whoever does for all what one is enough for. */
bool board_lead(struct board *board, int *io_file);
/* -- Pins -- */

/* Under the lock: the root of this transaction, which is the present one.  0, EBUSY: all are in use, or another errno
 * value. */
int board_pin(struct board *board, uint64_t txn, unsigned *ret_pin);
void board_unpin(struct board *board, unsigned pin);
/* False: the lock file was lost meanwhile, and with it the pin. */
bool board_is_pinned(const struct board *board, unsigned pin, uint64_t txn);

struct board_pins {
    uint64_t oldest, newest; /* transactions; UINT64_MAX and 0 where there are none */
    unsigned n;
};
/* Those that live.  By the holder of the lock, to be sure. */
void board_pins(const struct board *board, struct board_pins *ret_pins);

void board_user(const struct board *board, char ret_name[BOARD_NAME_BYTES + 1]);

/* "process 17 (gunicorn)": who holds byte 0, as far as it says so. */
#define BOARD_HOLDER_BYTES 64
void board_holder(const struct board *board, char ret_text[BOARD_HOLDER_BYTES]);

/* A root word. */
#define BOARD_ROOT(txn, place) ((uint64_t)(txn) << 2 | (place))
#define BOARD_TXN(word) ((word) >> 2)
#define BOARD_PLACE(word) ((unsigned)((word)&3))

#endif
