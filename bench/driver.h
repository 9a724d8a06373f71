/* SPDX-License-Identifier: MIT
 *
 * The driver interface: what a table must offer to be measured beside Shoal.
 *
 * A driver is a struct of function pointers plus facts about the peer.  The harness knows nothing else of
 * it: the loops, keys, values, checks and clocks are the same for all (workloads.c, session.c).
 *
 * One session = one table, filled with setup->keys records and put through every workload, in a process of
 * its own that ends afterwards:
 *
 *   unlink(setup)                         leftovers of a session that was killed
 *   open(setup, NULL, &host)              the host makes the table, empty
 *   open(setup, host, &handle)            once in each worker, in the worker's own process or thread
 *     insert, get, get_many, put, del     by all workers at the same time
 *   close(handle)                         in each worker
 *   close(host)                           in the host
 *   unlink(setup)                         in the process above the host
 *
 * DRIVER_PROCESSES: workers are forked from the host after its open.  A worker must reach the table the way
 * a separately started program would, by setup->name or setup->path, and must not use what `host` points to
 * (it is the fork's copy).  DRIVER_THREADS: workers are threads of the host and share the table in `host`.
 *
 * What every driver must keep, so that figures compare:
 *   - keys and values are byte strings of any content; none is taken for a number or a pointer
 *   - get copies the whole value to the caller's buffer, safe against a put at the same time: the old or the
 *     new value, never a mixture (the harness compares every byte)
 *   - put returns when the next get of any worker sees the new value
 *   - each call stands for itself; only get_many may share a lock or transaction among its keys
 *   - the best settings that this contract allows, named in `settings`
 *
 * A driver with `owner` (unsafe ones) has one writer for each key: workers write only keys that are theirs, and read
 * others' only in workloads without a writer.
 *
 * Results: 0 = done, DRIVER_MISSING and DRIVER_EXISTS = normal answers, DRIVER_FAILED = the session ends;
 * say why with `return driver_fail(...)`.  A driver prints nothing and never exits.
 */
#ifndef SHOAL_BENCH_DRIVER_H
#define SHOAL_BENCH_DRIVER_H

#include <stddef.h>
#include <stdint.h>

/* What a driver in C++, which lists all fields in their order, need not write. */
#ifdef __cplusplus
#define DRIVER_NONE = {}
extern "C" {
#else
#define DRIVER_NONE
#endif

enum driver_result_code { DRIVER_OK = 0, DRIVER_MISSING = 1, DRIVER_EXISTS = 2, DRIVER_FAILED = -1 };

enum driver_workers { DRIVER_PROCESSES, DRIVER_THREADS };

/* Against whom a peer is counted. */
enum driver_group {
    DRIVER_SUBJECT,       /* Shoal itself */
    DRIVER_SAME_CONTRACT, /* within one process; whole byte strings, safe against replacement */
    DRIVER_MULTI_PROCESS, /* the same between processes */
    DRIVER_UNSAFE,        /* gives up part of the contract: a bound, not a rival */
    DRIVER_FLOOR,         /* Shoal's layout without any protection: what is left is the price of the protocol */
    DRIVER_REPLACING,     /* the floor, but a put makes a new record: what readers without a lock cost a writer at the least */
    DRIVER_ON_DISK        /* a file that outlives its processes */
};

/* How the bytes that a table takes are found, after the inserts. */
enum driver_memory {
    DRIVER_MEMORY_FILE, /* blocks the file system gave to setup->path, or to the files in it */
    DRIVER_MEMORY_OWN,  /* what its weigh() says */
    DRIVER_MEMORY_RSS   /* growth of the host's resident memory, files apart, since before its open */
};

/* The most keys that one get_many is given. */
#define DRIVER_BATCH 32u

struct driver_setup {
    const char *name;   /* unique in the machine while the session runs; [a-z0-9-], <= 48 bytes */
    const char *path;   /* "<directory>/<name>": where a file-like table is; /dev/shm for those in memory */
    uint64_t keys;      /* records that must fit; never more at one time */
    unsigned workers;   /* handles that will be open at one time, beside the host's */
    size_t key_bytes;   /* of every key */
    size_t value_bytes; /* of every value */
};

struct driver_key {
    const void *key;
    size_t bytes;
};

struct driver_result {
    void *buf; /* set by the harness: room for setup->value_bytes */
    size_t buf_bytes;
    size_t bytes; /* of the value; set on 0 */
    int code;     /* this key's result */
};

struct driver {
    const char *name;     /* [a-z0-9_]; how --peers and the results call it */
    const char *settings; /* one line: version-independent choices that matter to speed or memory */
    enum driver_workers workers;
    enum driver_group group;
    enum driver_memory memory;

    /* host == NULL: make the table.  Else: a worker's handle. */
    int (*open)(const struct driver_setup *setup, void *host, void **ret_handle);
    void (*close)(void *handle);
    /* Remove what a session may have left in the file system.  NULL where nothing can be. */
    void (*unlink)(const struct driver_setup *setup);

    /* Store a new key: 0, or DRIVER_EXISTS with nothing changed. */
    int (*insert)(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
    /* Copy the value: 0 and *ret_bytes, or DRIVER_MISSING.  buf holds at least setup->value_bytes. */
    int (*get)(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes);
    /* As n gets, n <= DRIVER_BATCH: 0, and results[i].code as get would have answered.  NULL = the harness
     * calls get n times. */
    int (*get_many)(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results);
    /* Store the value whether or not the key is there: 0. */
    int (*put)(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
    /* Remove the key: 0 or DRIVER_MISSING. */
    int (*del)(void *handle, const void *key, size_t key_bytes);

    /* Tables on disk; the others leave them out.  A driver may gather writes for one transaction, which its own gets
     * see: this ends it, at the end of each workload and inside of its time. */
    int (*commit)(void *handle);
    /* What was written is on disk: it survives the machine. */
    int (*sync)(void *handle);
    /* A handle in a process that comes after a death of the one that wrote.  NULL = open. */
    int (*reopen)(const struct driver_setup *setup, void **ret_handle);

    /* Unsafe ones: which worker alone may write this key, below setup->workers. */
    unsigned (*owner)(const struct driver_setup *setup, const void *key, size_t key_bytes) DRIVER_NONE;
    /* Before reopen, and before its clock: what a start of the machine would have done to memory. */
    int (*restart)(const struct driver_setup *setup) DRIVER_NONE;

    double (*weigh)(void *host) DRIVER_NONE; /* bytes; of a table whose memory is elsewhere */
    size_t key_most DRIVER_NONE;             /* bytes of the longest key that it takes; 0 = as long as any here */
    int slow DRIVER_NONE;                    /* a call takes microseconds: left out of the tables that --slow-keys says */
};

#if defined(__GNUC__)
#define DRIVER_PRINTF __attribute__((format(printf, 1, 2)))
#else
#define DRIVER_PRINTF
#endif

/* Keep a text for the report, this thread's; returns DRIVER_FAILED. */
int driver_fail(const char *format, ...) DRIVER_PRINTF;
/* The text kept last in this thread; never NULL. */
const char *driver_fail_text(void);

#ifdef __cplusplus
}
#endif
#endif
