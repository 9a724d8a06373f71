/* SPDX-License-Identifier: MIT
 *
 * The store: an extendible-hash file that several processes read without a lock and one at a time writes.
 *
 * A directory holds it: `pages`, and `lock` with the locks and what must be atomic between processes (board.h).  Shoal's
 * tables use it from above; it knows nothing of them, and works by itself.
 *
 * Writing  Between store_lock and store_unlock, by one holder in all processes.  Changes are the holder's alone until
 *          store_publish, at one instant, makes them everybody's; store_abort or the holder's death makes them nobody's.
 *          store_commit publishes, and returns when everything published so far is on disk: it survives the machine
 *          (guarantee F).  What is only published survives every process.
 * Reading  store_get and store_walk_next take no lock, wait for nobody and write nothing shared (guarantee D); they
 *          return what was true at one instant of the call.
 * Trust    What lies in the files is input (guarantee E): a damaged page is SHOAL_ECORRUPT with file and page in the
 *          text.
 *
 * A struct store may be used by several threads, and by a forked child: what the child inherits is opened anew at its
 * first call.  Keys have 1..65535 bytes, values 0..STORE_VALUE_MAX.
 *
 * Results: codes of shoal.h, texts by error_set.  SHOAL_ESTORE: the system failed a call on the files, or the store is
 * not one, or another's, or refuses because a flush failed; SHOAL_ECORRUPT: bytes are not what was written;
 * SHOAL_EFULL: somebody else held the lock for too long, or the disk is full.
 */
#ifndef SHOAL_STORE_STORE_H
#define SHOAL_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shoal/shoal.h"

#define STORE_VALUE_MAX ((uint64_t)1 << 40)
#define STORE_KEY_MAX 65535u
#define STORE_PAGE_BYTES 4096u

struct store;

enum store_open_flags {
    STORE_RDONLY = 0x01, /* needs no right to write; locks nothing */
    STORE_CREATE = 0x02, /* where there is none yet; the directory too, but not its parents */
};

/* *ret_store is NULL after a failure. */
int store_open(const char *directory, unsigned flags, struct store **ret_store);
/* From here on the store is `user`'s (not 0), in all processes that say so, until the last of them has closed it or died.
 * SHOAL_ESTORE: it is another's; the text says what he calls himself.  The first one waits for the lock, as store_lock does. */
int store_bind(struct store *store, uint64_t user, const char *name);
/* True for one process at a time, from the first time on until it closes *io_file (-1 before) or dies: for work that one is
 * enough for. */
bool store_lead(struct store *store, int *io_file);
void store_close(struct store *store); /* changes that are not published are given up */

/* -- Reading ------------------------------------------------------------------------------------- */

struct store_record {
    const void *key;
    size_t key_bytes;
    const void *value;
    uint64_t value_bytes;
    uint64_t version;    /* grows with each put of the store, so never the same again for a key; 0: absent */
    int64_t expires_ns;  /* 0: never; wall clock */
    int64_t mtime_ns;    /* 0: not kept */
    uint8_t type;
};

/* The value goes to buf, which has room for `room` bytes; everything else of it to *ret_record, whose value points to buf and
 * whose key is the caller's.  SHOAL_MISSING, or SHOAL_SHORT where value_bytes > room (buf then is as it was); SHOAL_CHANGED
 * where writers replaced the value faster than it can be read, and kept the lock from this reader besides. */
int store_get(struct store *store, const void *key, size_t key_bytes, void *buf, uint64_t room,
              struct store_record *ret_record);

/* Calls may be made inside an RCU read-side section of urcu-bp; what they leave to be freed waits for the next call outside
 * of one, or for store_tidy. */
bool store_is_untidy(const struct store *store);
void store_tidy(struct store *store);

uint64_t store_hash(const struct store *store, const void *key, size_t key_bytes);

/* -- Writing ------------------------------------------------------------------------------------- */

/* SHOAL_EFULL after timeout_ms, with a text that says who holds it.  Not recursive, also between threads. */
int store_lock(struct store *store, int timeout_ms);
void store_unlock(struct store *store); /* what is not published is given up */

/* These need the lock. */
/* Puts and removals are made some at a time: what fails of one may be the answer of a later call of the transaction, which
 * then can only be given up.  record->version is not read. */
int store_put(struct store *store, const struct store_record *record, uint64_t *ret_version);
int store_erase(struct store *store, const void *key, size_t key_bytes); /* it need not be there */
int store_delete(struct store *store, const void *key, size_t key_bytes); /* SHOAL_MISSING */
/* As store_get, but sees what this holder has changed. */
int store_look(struct store *store, const void *key, size_t key_bytes, void *buf, uint64_t room,
               struct store_record *ret_record);
int store_publish(struct store *store);
int store_commit(struct store *store);
/* On a full disk a transaction fails, although the file may have room: the next ones are content with that. */
void store_abort(struct store *store);

/* -- Walking ------------------------------------------------------------------------------------- */

/* By hash, upwards: whoever is in the store during the whole walk is returned exactly once.  A record is good until the
 * next call.  A value of more than STORE_WALK_VALUE bytes is left out (NULL): store_walk_value reads it to where it is
 * wanted; SHOAL_CHANGED: it has been replaced or deleted since.  store_walk_next: SHOAL_CHANGED as for store_get. */
#define STORE_WALK_VALUE ((uint64_t)1 << 20)
struct store_walk;
int store_walk_open(struct store *store, uint64_t from_hash, struct store_walk **ret_walk);
void store_walk_seek(struct store_walk *walk, uint64_t from_hash); /* what comes next is read from then on */
int store_walk_next(struct store_walk *walk, uint64_t *ret_hash, struct store_record *ret_record); /* SHOAL_END */
int store_walk_value(struct store_walk *walk, void *buf, uint64_t room);
void store_walk_close(struct store_walk *walk);

/* -- Copies ---------------------------------------------------------------------------------------- */

/* By the holder of the lock, who has changed nothing: what the present root leads to is not written over until store_unpin,
 * or the death of this process.  The file grows meanwhile by what others rewrite.  SHOAL_EFULL: too many already. */
struct store_pin;
int store_pin(struct store *store, struct store_pin **ret_pin);
void store_unpin(struct store_pin *pin); /* without the lock; NULL is allowed */
/* Reads every page that the pinned root leads to. */
int store_pin_check(struct store_pin *pin);

/* A copy of the present root, which is made durable before; others read and write meanwhile.  `directory` is made where it
 * is missing; into a backup of this store, whole or not, only what differs is written.  It is a backup when all of it is on
 * disk and was read again; until then it cannot be opened.  Progress is in pages; what it answers, not 0, ends the call,
 * and the next one goes on.  SHOAL_ESTORE: it is a store, or a backup of another one, or somebody makes one there. */
int store_backup(struct store *store, const char *directory, shoal_progress_fn *progress, void *arg);

/* A new store out of a backup, both of them read to the end.  It has an id of its own.  Nothing is there until it is whole.
 * SHOAL_ESTORE: it is no backup, or there is a store already. */
int store_restore(const char *backup, const char *directory, shoal_progress_fn *progress, void *arg);

/* -- Compacting ------------------------------------------------------------------------------------ */

/* What lies at the file's end moves to where there is room, buckets that fit into one become one, and the file is cut; in
 * transactions between which others have the lock, of 1024 pages or one large value.  Who dies in the middle leaves
 * nothing to be repaired.  Afterwards everything published is durable.  Progress is in pages of the present pass.
 * SHOAL_EFULL: roots are pinned, so nothing can be given back; or as store_lock; or the disk is. */
int store_compact(struct store *store, shoal_progress_fn *progress, void *arg);

/* By the holder of the lock: the hashes of all records in the bucket that covers this one, in no order, and the first hash
 * behind it; 0: there is none. */
typedef void store_hash_fn(void *arg, uint64_t hash);
int store_hashes(struct store *store, uint64_t hash, store_hash_fn *each, void *arg, uint64_t *ret_next);
/* Between two holds of the lock: whoever waits for it comes first. */
void store_give_way(struct store *store);

/* -- Looking after it ------------------------------------------------------------------------------ */

struct store_stat {
    uint64_t txn, durable_txn;
    uint64_t records_n, record_bytes; /* keys and values */
    uint64_t file_bytes, pages_n, free_n, held_n;
    uint32_t levels; /* nodes on the way to a bucket */
    uint32_t pins_n; /* roots that are pinned */
    bool is_backup;
    uint8_t id[16];
    uint8_t boot[16]; /* of the life of the machine in which this process opened it */
    uint64_t seed;    /* of its hashes */
};
const char *store_name(const struct store *store); /* of its file of pages */
int store_stat(struct store *store, struct store_stat *ret_stat);

struct store_fault {
    uint64_t page;
    char text[160];
};
typedef void store_fault_fn(void *arg, const struct store_fault *fault);
/* Every page that the present root leads to, every record, every count; `each` is told of the first 32 faults.  Takes the lock
 * where the store can be written to.  SHOAL_ECORRUPT: there were some; SHOAL_CHANGED: read-only, and others wrote. */
int store_check(struct store *store, store_fault_fn *each, void *arg, uint64_t *ret_faults_n);
/* And `progress` is asked, under that lock, with pages; what it answers, not 0, ends it. */
int store_check_with(struct store *store, store_fault_fn *each, void *arg, shoal_progress_fn *progress, void *progress_arg,
                     uint64_t *ret_faults_n);

#endif
