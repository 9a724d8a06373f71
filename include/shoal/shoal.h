/* SPDX-License-Identifier: MIT
 *
 * Shoal: a lock-free hash map in shared memory.
 *
 * Separate processes open one map by name, read and write it at memory speed,
 * and any of them may be killed at any instruction without the others noticing.
 *
 * Guarantees (the letters are used throughout the documentation)
 *   A  Linearizable per key: each call that takes one key takes effect at one
 *      instant between call and return.  Iteration and count are weaker: a key
 *      present during the whole walk is returned exactly once.
 *   B  Lock-free: some operation completes in a bounded number of steps of the
 *      system, whatever stopped, descheduled or dead processes do.
 *   C  Death costs nothing: after SIGKILL at any instruction every key has its
 *      old or its new value, nobody waits, and what the dead held comes back
 *      while the others run.
 *   D  Readers write nothing shared.
 *   E  Bad bytes in the segment never crash an attacher.
 *   F  With a store: what shoal_sync returned for is on disk, in full, after power
 *      loss; later changes are there or not, key by key, never torn.
 *   G  With SHOAL_FULL_SPILL: a full map makes operations slower, not failing, except
 *      while another process holds the store.
 *   H  Full means full: a record fits while its size and a stated overhead are
 *      free, whichever process freed the memory.
 * docs/design.md says how each is kept, and what is not promised.
 *
 * Results of int functions: 0 = done; > 0 = a normal answer (missing, exists,
 * ...); < 0 = failure, and nothing changed; shoal_error_text() then says what
 * and where.  Outputs are named ret_*, stand last, and are untouched unless the
 * function says otherwise.  Sizes are in bytes.
 *
 * Threads and processes: every function may be called by any thread, at the same
 * time as any other, and by a forked child (which becomes an attachment of its
 * own at its first call).  A map may be closed while other threads use it; their
 * later calls on it answer SHOAL_EINVAL.  No function may be called from a
 * signal handler.  No function takes a signal away or installs a handler.
 *
 * Keys have 1..65535 bytes, values 0..(heap) bytes; both may hold any byte.
 */
#ifndef SHOAL_SHOAL_H
#define SHOAL_SHOAL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SHOAL_API __attribute__((visibility("default")))
#else
#define SHOAL_API
#endif

#define SHOAL_VERSION_MAJOR 0
#define SHOAL_VERSION_MINOR 1
#define SHOAL_VERSION_PATCH 0

/* -- Results ------------------------------------------------------------------ */

enum shoal_result_code {
    SHOAL_OK = 0,
    SHOAL_MISSING = 1, /* the key is absent */
    SHOAL_EXISTS,      /* the key is present already */
    SHOAL_CHANGED,     /* the version differs; or a read-only get lost every race with writers */
    SHOAL_SHORT,       /* the buffer is too small; *ret_bytes says how much is needed */
    SHOAL_TIMEOUT,     /* nothing happened in time */
    SHOAL_END,         /* the walk is over */

    SHOAL_EINVAL = -1,     /* a bad argument, or a call that this map or place does not allow */
    SHOAL_EFULL = -2,      /* no room for the record, or no slot for the key */
    SHOAL_ETOOBIG = -3,    /* a key or value over the map's limits */
    SHOAL_ENOMAP = -4,     /* no map of that name */
    SHOAL_EMAPEXISTS = -5, /* a map of that name exists already */
    SHOAL_EREADONLY = -6,  /* the map was opened with SHOAL_RDONLY */
    SHOAL_EVERSION = -7,   /* made by a library or machine with another layout */
    SHOAL_ECORRUPT = -8,   /* bytes in the map contradict each other */
    SHOAL_EATTACH = -9,    /* max_threads threads are attached already */
    SHOAL_ESTORE = -10,    /* the backing store failed */
    SHOAL_EOS = -11        /* a system call failed; errno is kept */
};

/* The fixed text of a result code; never NULL.  Any thread, no side effects. */
SHOAL_API const char *shoal_strerror(int code);

/* What went wrong in this thread's last call that failed, with names and
 * numbers; "" before any failure.  Valid until the thread's next failing call. */
SHOAL_API const char *shoal_error_text(void);

/* -- Creating and opening ------------------------------------------------------- */

struct shoal; /* an open map */

enum shoal_full_policy {
    SHOAL_FULL_FAIL = 0, /* SHOAL_EFULL when there is no room; above a store: and nothing that it holds already can leave */
    SHOAL_FULL_SPILL = 1, /* what was not used lately leaves for options.store (G) */
    SHOAL_FULL_EVICT = 2 /* not in this version */
};

enum shoal_create_flags {
    SHOAL_MTIME = 1u << 0,       /* keep each record's time of last change (8 bytes a record) */
    SHOAL_CHECKSUM = 1u << 1,    /* keep an XXH3-64 of each record, verified by get and check (8 bytes a record) */
    SHOAL_PREALLOCATE = 1u << 2  /* allocate the whole heap at creation instead of on demand */
};

enum shoal_open_flags {
    SHOAL_RDONLY = 1u << 0, /* map PROT_READ: no attachment entry, no lock, no write to the segment */
    SHOAL_FOREIGN = 1u << 1 /* accept a map whose file belongs to another user */
};

enum shoal_count_flags {
    SHOAL_EXACT = 1u << 0 /* by a walk if need be */
};

/* Type byte of a record.  C leaves it SHOAL_RAW; incr uses SHOAL_I64. */
enum shoal_type {
    SHOAL_RAW = 0,
    SHOAL_STR,
    SHOAL_I64,
    SHOAL_BIGINT,
    SHOAL_F64,
    SHOAL_BOOL,
    SHOAL_NONE,
    SHOAL_JSON,
    SHOAL_PICKLE,
    SHOAL_USER = 128 /* 128..255 are the application's own */
};

#define SHOAL_KEY_MAX 65535u

struct shoal_options {
    size_t size;              /* sizeof(struct shoal_options) */
    uint64_t capacity;        /* keys that must fit, 1 .. 2^31 */
    uint64_t heap_bytes;      /* for records; 0 = from capacity and a 64-byte mean of key and value; <= 512 GiB */
    uint32_t max_threads;     /* attached threads over all processes, 1 .. 16384; 0 = 256 */
    uint32_t mode;            /* permissions, 0 = 0600; the umask does not apply */
    int64_t gid;              /* group of the file, -1 = the creator's */
    uint64_t max_key_bytes;   /* 0 = 65535 */
    uint64_t max_value_bytes; /* 0 = whatever the heap holds */
    const char *store;        /* directory of the backing store, made where there is none; NULL = none.  Such a
                               * map's own file, where it has a path, is refused after a start of the machine
                               * (SHOAL_ESTORE): unlink it and make it anew, the store has what was synced */
    uint32_t on_full;         /* enum shoal_full_policy */
    uint32_t flags;           /* enum shoal_create_flags */
};
#define SHOAL_OPTIONS_INIT { .size = sizeof(struct shoal_options), .gid = -1 }

/* Set ret_options->capacity and ->heap_bytes so that `keys` records of these mean
 * sizes fit, with the flags that ret_options already has; other members stay.
 * ret_options must be initialised.  Returns 0 or SHOAL_EINVAL. */
SHOAL_API int shoal_size_for(uint64_t keys, uint64_t mean_key, uint64_t mean_value,
                             struct shoal_options *ret_options);

/* Create a map and open it.
 *   name     "jobs" = POSIX shared memory object, [A-Za-z0-9._-]{1,64} without a
 *            leading dot; anything with a '/' = a mapped file of that path
 *   options  NULL = capacity 1024 and defaults
 * Creation is atomic: a map is never seen half made, and a creator that is killed
 * or fails leaves nothing.  0, SHOAL_EMAPEXISTS, SHOAL_EINVAL, SHOAL_EOS (also when the
 * file system has no room for header and table). */
SHOAL_API int shoal_create(const char *name, const struct shoal_options *options, struct shoal **ret_map);

/* Open a map.  flags: enum shoal_open_flags.  The calling thread is attached at
 * once, so that a full attachment table shows here; other threads and forked
 * children attach at their first write.
 * A map in a file (a name with a '/') that was open for writing when the machine stopped is refused then:
 * SHOAL_ECORRUPT, because its pages reached the disk in any order; shoal_salvage brings out what is sound.  One
 * that its last process closed (shoal_close) opens as if nothing had happened.
 * 0, SHOAL_ENOMAP, SHOAL_EVERSION, SHOAL_ECORRUPT, SHOAL_EATTACH, SHOAL_EINVAL, SHOAL_EOS. */
SHOAL_API int shoal_open(const char *name, unsigned flags, struct shoal **ret_map);

/* Open the map, or create it where there is none: of several callers one creates,
 * all get the same map. */
SHOAL_API int shoal_open_or_create(const char *name, const struct shoal_options *options, unsigned flags,
                                   struct shoal **ret_map);

/* Close the map for all threads of this process.  Calls under way in other threads
 * finish first; views stay readable until shoal_view_end.  The map itself stays
 * until it is unlinked.  The last process to close a map in a file brings it to the disk; one that ends without
 * this call leaves that to the next.  NULL is allowed. */
SHOAL_API void shoal_close(struct shoal *map);

/* Remove the name.  Processes that are attached go on; their stats say `unlinked`. */
SHOAL_API int shoal_unlink(const char *name);

/* -- One key ---------------------------------------------------------------------
 * All of these are linearizable (A), lock-free (B), safe against death (C). */

/* Copy the value.  buf may be NULL when buf_bytes is 0 (is it there, and how long).
 * *ret_bytes (may be NULL) is set on 0 and on SHOAL_SHORT.
 * 0, SHOAL_MISSING, SHOAL_SHORT, SHOAL_CHANGED (SHOAL_RDONLY only, after 1024 lost
 * races), SHOAL_ECORRUPT.  Writes nothing to the segment (D). */
SHOAL_API int shoal_get(struct shoal *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes,
                        size_t *ret_bytes);

/* As get, and the value's version: equal only for the same incarnation of the
 * value, 0 = absent (also set on SHOAL_MISSING). */
SHOAL_API int shoal_getv(struct shoal *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes,
                         size_t *ret_bytes, uint64_t *ret_version);

enum shoal_tier { SHOAL_TIER_TABLE = 0, SHOAL_TIER_STORE };

struct shoal_info {
    size_t size; /* sizeof(struct shoal_info) */
    uint64_t version;
    uint64_t bytes;     /* of the value */
    int64_t mtime_ns;   /* since 1970, 0 without SHOAL_MTIME */
    int64_t expires_ns; /* 0 = never */
    uint32_t tier;      /* enum shoal_tier */
    uint8_t type;       /* enum shoal_type */
    uint8_t reserved[3];
};
#define SHOAL_INFO_INIT { .size = sizeof(struct shoal_info) }

/* What is known of a record, without its value.  0, SHOAL_MISSING, as get. */
SHOAL_API int shoal_info(struct shoal *map, const void *key, size_t key_bytes, struct shoal_info *ret_info);

/* Store the value, whether or not the key is there.  0, SHOAL_EFULL, SHOAL_ETOOBIG. */
SHOAL_API int shoal_put(struct shoal *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
/* Store it only where the key is absent (else SHOAL_EXISTS). */
SHOAL_API int shoal_add(struct shoal *map, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
/* Store it only where the key is present (else SHOAL_MISSING). */
SHOAL_API int shoal_replace(struct shoal *map, const void *key, size_t key_bytes, const void *value,
                            size_t value_bytes);

enum shoal_how_flags {
    SHOAL_IF_VERSION = 1u << 0, /* only where the version is if_version; 0 = only where absent */
    SHOAL_DURABLE = 1u << 1     /* return when the record is on disk; maps with a store.  SHOAL_ESTORE: it is visible, and
                                 * not known to be durable (F) */
};
struct shoal_how {
    size_t size;         /* sizeof(struct shoal_how) */
    uint64_t if_version; /* looked at with SHOAL_IF_VERSION */
    uint64_t ttl_ms;     /* must be 0: this version has no expiry */
    uint32_t flags;      /* enum shoal_how_flags */
    uint8_t type;        /* enum shoal_type */
    uint8_t reserved[3];
};
#define SHOAL_HOW_INIT { .size = sizeof(struct shoal_how) }

/* Put with a type byte and, where asked, only over the version that was seen.
 * how may be NULL; ret_version (may be NULL): the new value's version, set on 0.
 * 0, SHOAL_CHANGED, as put. */
SHOAL_API int shoal_put_with(struct shoal *map, const void *key, size_t key_bytes, const void *value,
                             size_t value_bytes, const struct shoal_how *how, uint64_t *ret_version);

/* Remove the key.  0 or SHOAL_MISSING; works on a full map. */
SHOAL_API int shoal_delete(struct shoal *map, const void *key, size_t key_bytes);
/* Remove it only if its version is this one (else SHOAL_CHANGED; SHOAL_MISSING if absent). */
SHOAL_API int shoal_delete_if(struct shoal *map, const void *key, size_t key_bytes, uint64_t version);
/* Get and delete at one instant; with SHOAL_SHORT nothing is deleted. */
SHOAL_API int shoal_take(struct shoal *map, const void *key, size_t key_bytes, void *buf, size_t buf_bytes,
                         size_t *ret_bytes);

/* Add delta to a value of type SHOAL_I64 (8 bytes, native order), absent = 0;
 * overflow wraps.  *ret_value (may be NULL) is the sum.  Another type or size:
 * SHOAL_EINVAL. */
SHOAL_API int shoal_incr(struct shoal *map, const void *key, size_t key_bytes, int64_t delta, int64_t *ret_value);

enum shoal_change_verdict {
    SHOAL_STORE = 0, /* store value, value_bytes, type */
    SHOAL_KEEP,      /* leave the key as it is */
    SHOAL_REMOVE     /* delete the key (no effect where it is absent) */
};
struct shoal_change {
    size_t size;
    const void *old; /* NULL = absent; 8-byte aligned, readable until the function returns */
    size_t old_bytes;
    uint64_t old_version;
    const void *value; /* set by the function; must stay readable until shoal_update returns */
    size_t value_bytes;
    uint8_t old_type;
    uint8_t type; /* of the new value; starts as old_type */
    uint8_t reserved[6];
};
/* Decides what becomes of a key: a verdict, or a negative number that shoal_update
 * then returns with nothing changed.  Runs again when the key changed meanwhile.
 * It must not call this map (such calls answer SHOAL_EINVAL), longjmp or throw. */
typedef int shoal_update_fn(struct shoal_change *change, void *arg);

/* Atomic read-modify-write. */
SHOAL_API int shoal_update(struct shoal *map, const void *key, size_t key_bytes, shoal_update_fn *fn, void *arg);

/* -- Views ------------------------------------------------------------------------
 * A pinned record, read in place.  What it shows never changes; the memory is held
 * back from reuse until shoal_view_end, so keep views short. */
struct shoal_view {
    const void *value; /* 8-byte aligned */
    size_t bytes;
    uint64_t version;
    uint8_t type;
    uint8_t reserved[7];
    void *internal[4];
};

/* 0 or SHOAL_MISSING, as get.  SHOAL_RDONLY maps, threads that hold 24 views
 * already and those for whom no attachment is free get a private copy.  Not inherited by a fork: in the child the value
 * must not be used, and view_end has no effect. */
SHOAL_API int shoal_view(struct shoal *map, const void *key, size_t key_bytes, struct shoal_view *ret_view);
/* Ends the view, in whichever thread; also after shoal_close.  Ending twice is allowed. */
SHOAL_API void shoal_view_end(struct shoal_view *view);

/* -- Many keys --------------------------------------------------------------------
 * Each key by itself is as by the single call, in the order of the array: of two values for one key the later one stays.
 * The batch as a whole is not atomic. */
struct shoal_key {
    const void *key;
    size_t bytes;
};
struct shoal_value {
    const void *value;
    size_t bytes;
    uint8_t type; /* as how.type */
    uint8_t reserved[7];
};
struct shoal_result {
    void *buf; /* get_many: where the value goes; set by the caller */
    size_t buf_bytes;
    size_t bytes; /* of the value; set on 0 and SHOAL_SHORT */
    uint64_t version;
    int code; /* this key's result */
    uint8_t type;
    uint8_t reserved[3];
};
/* 0 when every code is >= 0, else the first negative code; every results[i] is set. */
SHOAL_API int shoal_get_many(struct shoal *map, const struct shoal_key *keys, size_t n, struct shoal_result *results);
SHOAL_API int shoal_put_many(struct shoal *map, const struct shoal_key *keys, const struct shoal_value *values,
                             size_t n, struct shoal_result *results);
SHOAL_API int shoal_delete_many(struct shoal *map, const struct shoal_key *keys, size_t n,
                                struct shoal_result *results);

/* -- Waiting ------------------------------------------------------------------------ */

/* Sleep until the key's version differs from seen_version (0 = absent), at most
 * timeout_ms (-1 = for ever, 0 = only look).  *ret_version (may be NULL) is the
 * version then.  0 or SHOAL_TIMEOUT; SHOAL_EREADONLY on a read-only map.  The
 * version may also change without the value (a record that was moved).  A signal
 * does not end it.  Loses no change, also when the writer dies (C): then it is seen
 * within 100 ms. */
SHOAL_API int shoal_wait(struct shoal *map, const void *key, size_t key_bytes, uint64_t seen_version, int timeout_ms,
                         uint64_t *ret_version);

/* -- Iteration ---------------------------------------------------------------------- */

struct shoal_iter;
struct shoal_item {
    const void *key;
    size_t key_bytes;
    const void *value; /* 8-byte aligned */
    size_t value_bytes;
    uint64_t version;
    int64_t mtime_ns;
    int64_t expires_ns;
    uint8_t type;
    uint8_t reserved[7];
};

/* Walk the keys that begin with prefix (NULL, 0 = all), in no order, while others
 * write.  A key present during the whole walk is returned exactly once; one that is
 * deleted and stored again meanwhile may be returned twice or not at all.  An
 * iterator belongs to one thread at a time; it does not pin anything between calls. */
SHOAL_API int shoal_iter_open(struct shoal *map, const void *prefix, size_t prefix_bytes,
                              struct shoal_iter **ret_iter);
/* 0 or SHOAL_END; the item is valid until the next call on this iterator.  In a
 * forked child: SHOAL_EINVAL. */
SHOAL_API int shoal_iter_next(struct shoal_iter *iter, struct shoal_item *ret_item);
SHOAL_API void shoal_iter_close(struct shoal_iter *iter);

/* -- The map as a whole --------------------------------------------------------------- */

/* How many keys.  flags: 0 = from counters, exact at rest and after reaping;
 * SHOAL_EXACT = by a walk where others are at work.  *ret_exact (may be NULL): 1 if
 * the number held at one instant during the call.  Above a store 0 is an estimate, and
 * SHOAL_EXACT a walk over both tiers; then SHOAL_ESTORE, SHOAL_ECORRUPT too. */
SHOAL_API int shoal_count(struct shoal *map, unsigned flags, uint64_t *ret_n, int *ret_exact);

struct shoal_stats {
    size_t size; /* sizeof(struct shoal_stats) */
    /* geometry */
    uint64_t capacity, slots, max_threads, span_bytes, segment_bytes;
    uint64_t max_key_bytes, max_value_bytes;
    uint32_t layout_version, flags;
    /* keys; above a store an estimate */
    uint64_t count;
    /* every byte of the heap is in exactly one of these:
     * heap_bytes = live + free + owned + retired + dead + overhead */
    uint64_t heap_bytes;
    uint64_t live_bytes;     /* blocks of records that a slot names, rounding included */
    uint64_t free_bytes;     /* free blocks and unused spans */
    uint64_t owned_bytes;    /* blocks that living attachments are filling */
    uint64_t retired_bytes;  /* replaced or deleted, not yet reusable */
    uint64_t dead_bytes;     /* left by the dead, or unlinked and not yet retired */
    uint64_t overhead_bytes; /* bitmaps and tails of spans, spans in transition */
    uint64_t payload_bytes;  /* keys and values of live records */
    uint64_t backed_bytes;   /* of heap_bytes: what the file system has given */
    uint64_t largest_record; /* key + value bytes that the emptiest place takes now */
    uint64_t spans, spans_free;
    /* who is here */
    uint32_t attached, dead; /* entries in use; of these, not yet reaped */
    uint32_t unlinked;       /* 1: the name is gone */
    uint32_t reserved;
    /* since creation, over all attachments; reads are added now and then */
    uint64_t gets, hits, writes, deletes, reaped, healed, evacuated, freed;
    /* above a store, since the map's creation: gets that asked it, and found the
     * key there; entries copied down, entries that left, records that came up */
    uint64_t store_gets, store_hits, copied, evicted, promoted;
    /* background syncs since then: that succeeded, that failed */
    uint64_t flushes, flush_failures;
    /* the store now: records, keys and values of them, bytes of its file */
    uint64_t store_records, store_payload_bytes, store_file_bytes;
    /* rebuilding: 1 = the map is being moved to this geometry; records that were moved to it so far, and the most that one
     * call has moved; what is still to be moved counts in count alone */
    uint64_t moving, moved, moved_most;
    /* of segment_bytes: what this process has mapped by huge pages; 0 where the system gives none */
    uint64_t huge_bytes;
};
#define SHOAL_STATS_INIT { .size = sizeof(struct shoal_stats) }

/* Counts by a walk over the heap's block headers: O(heap). */
SHOAL_API int shoal_stats(struct shoal *map, struct shoal_stats *ret_stats);

/* Called now and then by calls that last: so many of about so many records are done.  Anything but 0 ends the call with
 * that answer (a number > 0). */
typedef int shoal_progress_fn(uint64_t done, uint64_t total, void *arg);

struct shoal_report {
    size_t size; /* sizeof(struct shoal_report) */
    uint64_t problems; /* contradictions found; the first is in text */
    uint64_t groups, slots_live, slots_tentative;
    uint64_t blocks, blocks_free, blocks_live, blocks_owned, blocks_retired;
    uint64_t unreferenced; /* unlinked blocks not yet retired: a moment's state, or left by a dead process */
    uint64_t counted;      /* the counters' sum */
    uint32_t quiet;        /* 1: nobody wrote meanwhile, so counters were compared too */
    uint32_t reserved;
    char text[240];
};
#define SHOAL_REPORT_INIT { .size = sizeof(struct shoal_report) }

/* Every invariant, while others write; above a store all of that too, whose writers wait
 * meanwhile.  0 = none broken; SHOAL_ECORRUPT = see ret_report, which is filled in both
 * cases.  SHOAL_CHANGED: a read-only map, whose store others wrote to all the time. */
SHOAL_API int shoal_check(struct shoal *map, struct shoal_report *ret_report);
/* The same, and progress (may be NULL) is asked now and then, with groups, then spans of the heap, then pages of the store,
 * whose writers wait for it too: it must not write to the map.  Ended by what it answers, ret_report stays as it was. */
SHOAL_API int shoal_check_with(struct shoal *map, struct shoal_report *ret_report, shoal_progress_fn *progress, void *arg);

struct shoal_reaped {
    size_t size; /* sizeof(struct shoal_reaped) */
    uint32_t dead;       /* attachments settled, one whose entry this thread took over included */
    uint32_t undecided;  /* dead, but another process is settling them */
    uint64_t aborted;    /* operations in flight that had not taken effect */
    uint64_t completed;  /* operations in flight that had */
    uint64_t blocks;     /* blocks made free again */
};
#define SHOAL_REAPED_INIT { .size = sizeof(struct shoal_reaped) }

/* Collect the dead now, and sweep the whole heap; it also happens by itself, bit
 * by bit.  ret_reaped may be NULL.  Afterwards nothing of those who were dead
 * before the call can appear any more. */
SHOAL_API int shoal_reap(struct shoal *map, struct shoal_reaped *ret_reaped);

/* Everything that took effect before the call is in the store and on disk when it
 * returns 0 (F); many callers share one flush.  SHOAL_EINVAL without a store;
 * SHOAL_EFULL: another process holds the store for too long, the text names it;
 * SHOAL_ESTORE: nothing is lost that was durable before.  SHOAL_ECORRUPT: a record in
 * the map contradicts its checksum, or a page of the store its own; what is sound of
 * the others is on disk. */
SHOAL_API int shoal_sync(struct shoal *map);
/* The same, and progress (may be NULL) is asked now and then, with the groups of the map that were looked at, while nothing
 * waits for it.  Ended by what it answers, the call promises nothing. */
SHOAL_API int shoal_sync_with(struct shoal *map, shoal_progress_fn *progress, void *arg);

struct shoal_flush {
    size_t size;          /* sizeof(struct shoal_flush) */
    uint32_t interval_ms; /* so often, where anything has changed; 1 .. 3 600 000 */
    uint32_t reserved;
    uint64_t bytes;       /* and when so many bytes of records were written; 0 = at any number */
};
#define SHOAL_FLUSH_INIT { .size = sizeof(struct shoal_flush), .interval_ms = 1000 }

/* Sync in the background, by a thread of this process: what is lost with the machine is
 * at most what was written in an interval and the time that a sync takes.  Any number of
 * processes may ask for it; one of them works, and where it ends or dies another takes
 * over within its interval.  The thread takes one of the map's max_threads.  A second
 * call changes how.  What fails is tried again; shoal_stats says how often
 * (flush_failures).  Ends with shoal_flush_stop and shoal_close; not inherited by a fork.
 * how NULL = SHOAL_FLUSH_INIT.  0, SHOAL_EINVAL (also without a store), SHOAL_EREADONLY, SHOAL_EOS. */
SHOAL_API int shoal_flush_start(struct shoal *map, const struct shoal_flush *how);
/* 0 also where nothing was started.  Waits for a sync that is under way. */
SHOAL_API int shoal_flush_stop(struct shoal *map);

/* Bring records up from the store, as long as there is room for them: a map that was made over an
 * old store serves its keys from memory then.  Others may read and write meanwhile.
 * progress may be NULL.  *ret_n (may be NULL): how many came up.  0, also when no more
 * fit; what progress answered; SHOAL_EINVAL without a store; as shoal_sync. */
SHOAL_API int shoal_warm(struct shoal *map, shoal_progress_fn *progress, void *arg, uint64_t *ret_n);

/* Move the map to another geometry, while others read and write.
 *   options  capacity, heap_bytes, max_threads, max_key_bytes, max_value_bytes: 0 = as it is; flags: SHOAL_PREALLOCATE, or
 *            flags that the map does not have yet; everything else stays what it is
 *   progress may be NULL; asked now and then with the groups that have moved; an answer > 0 ends the call with it, and the
 *            move goes on bit by bit with what others write
 * The map is the new one from one instant on: attached processes follow at their next call, and its name is the
 * new one's.  Nobody waits for the move: who writes to a key first moves what shares its group's window (stats.moved_most).
 * Versions change.  Killed before that instant the map is what it was, killed behind it others finish.
 * Calls on the map as a whole (exact count, check, sync, reap; above a store walks, too) finish the move first; with
 * SHOAL_RDONLY they wait for others to do so, 5 s at most, then SHOAL_CHANGED.
 * 0; SHOAL_CHANGED: somebody else is rebuilding it; SHOAL_EFULL: what the map holds has no room there; SHOAL_EINVAL,
 * SHOAL_EREADONLY; SHOAL_EOS, also where the map belongs to another user; SHOAL_ENOMAP: its name is gone. */
SHOAL_API int shoal_rebuild(struct shoal *map, const struct shoal_options *options, shoal_progress_fn *progress, void *arg);
/* -- Salvage ------------------------------------------------------------------------
 * What is left in the file of a map that shoal_open refuses. */

enum shoal_salvage_flags {
    SHOAL_UNVERIFIED = 1u << 2 /* records too that no checksum vouches for (SHOAL_UNSURE); or SHOAL_FOREIGN */
};

/* What speaks for a record that was brought out.  Of any of them nobody can say that it is the last one of its key, or
 * that the key was not deleted since. */
enum shoal_trust {
    SHOAL_NAMED = 0, /* its checksum holds, and the table names it */
    SHOAL_LOOSE,     /* its checksum holds; the table names it no more, or not yet: older, deleted, or never finished */
    SHOAL_UNSURE     /* the table names it, its key fits; whether the value is whole nobody knows */
};

struct shoal_salvaged {
    size_t size;         /* sizeof(struct shoal_salvaged) */
    uint64_t named, loose, unsure; /* records, one for each key */
    uint64_t older;      /* of the same keys, left out */
    uint64_t damaged;    /* places of the table whose record does not hold */
    uint64_t unreadable; /* pieces of table or heap that the file ends before, or that the disk does not give */
};
#define SHOAL_SALVAGED_INIT { .size = sizeof(struct shoal_salvaged) }

/* Called for each record; the item is valid until it returns, its version is 0.  Anything but 0 ends the call with that
 * answer (a number > 0). */
typedef int shoal_salvage_fn(const struct shoal_item *item, enum shoal_trust trust, void *arg);

/* Bring out what is whole in a map's file: one that was in use when the machine stopped, or that is damaged or cut.  The
 * file is read and never changed, by read(2) alone; it may be in use.  Of several records of a key the best comes, alone:
 * NAMED before LOOSE before UNSURE, then the later mtime, then the higher generation, which tells two changes by one
 * thread apart, and those of different threads about.  Above a store: what the table has; the store is opened by itself.
 * each, ret_salvaged  may be NULL.  ret_salvaged is set where the call comes to its end.
 * 0; what `each` answered; SHOAL_ECORRUPT: the header does not hold, the text says how; SHOAL_EINVAL: the map was made
 * without SHOAL_CHECKSUM, so nothing in it can be verified, and SHOAL_UNVERIFIED was not asked for; SHOAL_ENOMAP,
 * SHOAL_EVERSION, SHOAL_EOS. */
SHOAL_API int shoal_salvage(const char *name, unsigned flags, shoal_salvage_fn *each, void *arg,
                            struct shoal_salvaged *ret_salvaged);
/* -- Looking after the store ------------------------------------------------------------ */

/* Make the store's file smaller while others read and write: sync, then move what lies at
 * its end to where there is room, join sparse buckets, and cut it.  Gets of absent keys, which
 * ask the store while any key with their bits is or was in it, do no longer.  Others get the store
 * between steps of at most 1024 pages or one value.  Who dies in it leaves nothing to repair.
 * progress (may be NULL) counts homes, then pages, stage by stage.
 * As shoal_sync; SHOAL_EFULL: a backup is being made, or another process holds the store, or the
 * disk is full; what progress answered.  Nothing is lost in any case. */
SHOAL_API int shoal_compact(struct shoal *map, shoal_progress_fn *progress, void *arg);

/* Copy the map, as it is in its store, to a directory (made where it is missing, but not its parents), while
 * others read and write.  What took effect before the call is in it, in full; what others write
 * meanwhile is or is not, key by key, never torn.  Into an older backup of this store only
 * pages that differ are written; one that was interrupted is gone on with.  Until all of it is on
 * disk, and was read again, it is no backup and cannot be opened.  The store grows meanwhile by
 * what is rewritten.  progress (may be NULL) counts pages.
 * As shoal_sync; SHOAL_ESTORE: the directory holds a store, or another store's backup, or another backup
 * is being made there, or it cannot be written; SHOAL_EFULL: its disk is full, or 8 backups are being made;
 * SHOAL_ECORRUPT: a page of the store, which the text names, is damaged; what progress answered. */
SHOAL_API int shoal_backup(struct shoal *map, const char *directory, shoal_progress_fn *progress, void *arg);

/* Make a new store out of a backup, which is read and verified, as is the new store; for options.store of
 * shoal_create.  Nothing is there until it is whole; where the call was interrupted it can be repeated.
 * A map that was made above the older store does not take the new one for it.
 * SHOAL_ESTORE: it is no backup, or there is a store already; SHOAL_ECORRUPT: the backup is damaged; SHOAL_EFULL;
 * what progress answered. */
SHOAL_API int shoal_restore(const char *backup, const char *directory, shoal_progress_fn *progress, void *arg);

struct shoal_store_stat {
    size_t size; /* sizeof(struct shoal_store_stat) */
    uint64_t records, payload_bytes; /* keys and values */
    uint64_t file_bytes, page_bytes;
    uint64_t pages;      /* up to the last one in use; of these: */
    uint64_t free_pages;
    uint64_t held_pages; /* free when another transaction is durable and no backup needs them */
    uint64_t transaction, durable_transaction; /* the present one, and the last one that is on disk */
    uint32_t levels; /* nodes on the way to a record's page */
    uint32_t pins;   /* backups that are being made of it */
    uint32_t backup; /* 1: it is a backup */
    uint32_t reserved;
    uint8_t id[16];  /* by chance; a restored store has the first half of the older one's */
};
#define SHOAL_STORE_STAT_INIT { .size = sizeof(struct shoal_store_stat) }

/* The store of a map or, where map is NULL, the one in a directory, which is opened read-only.
 * 0, SHOAL_EINVAL (also a map without a store), SHOAL_ESTORE, SHOAL_ECORRUPT, SHOAL_EVERSION. */
SHOAL_API int shoal_store_stat(struct shoal *map, const char *directory, struct shoal_store_stat *ret_stat);

#ifdef __cplusplus
}
#endif
#endif
