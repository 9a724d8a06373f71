/* SPDX-License-Identifier: MIT
 *
 * What a map in shared memory must offer to be put through the kill and stop test beside Shoal.
 *
 * A driver is a struct of function pointers and a few facts.  The test knows nothing else of it: victim,
 * survivors, points and judgement are the same for all (run.c).  A driver stands for a careful user of that
 * system: its best settings, and its own recovery step where it has one.
 *
 * Everything that a system keeps lies in /dev/shm/<name>, so that the test can begin each run with the same
 * bytes; what else it may create (a lock file) is gone after unlink, and open makes it anew.
 *
 * Results are those of shoal.h: 0; SHOAL_MISSING; SHOAL_EFULL = no room, nothing changed; SHOAL_ECORRUPT =
 * the system itself found its structure broken; SHOAL_EOS = another failure.  A driver prints nothing and
 * never exits.  Values are byte strings; get copies the whole value, put returns when others see it.
 */
#ifndef TESTS_BASELINES_SYSTEM_H
#define TESTS_BASELINES_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every driver sizes its map so that about this many records of 100 bytes fit. */
#define SYSTEM_ROOM 500u
/* More processes than this are never there at one time. */
#define SYSTEM_PROCESSES 6u
#define SYSTEM_VALUE_MAX 512u

struct system_setup {
    const char *name;     /* of the POSIX shared memory object, <= 40 bytes */
    uint32_t *recoveries; /* shared; a driver adds one whenever it had to mend what a dead process left */
};

struct system {
    const char *name;     /* [a-z_] */
    const char *title;    /* for people */
    const char *settings; /* one line */
    const char *recovery; /* what somebody has to do after a death; NULL = nothing can be or need be done */

    const char *(*version)(void);
    int (*create)(const struct system_setup *setup); /* an empty map, closed again */
    int (*open)(const struct system_setup *setup, void **ret_handle);
    void (*close)(void *handle);
    void (*unlink)(const struct system_setup *setup); /* whatever is there */

    int (*get)(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes);
    int (*put)(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
    int (*del)(void *handle, const void *key, size_t key_bytes);
    int (*check)(void *handle);   /* the system's invariants; NULL = it offers no such look */
    int (*recover)(void *handle); /* its recovery step, by a survivor; NULL = none, or done inside the calls */
};

#define SYSTEMS_N 6u
struct system_place {
    const struct system *system; /* NULL: left out of this build */
    const char *name, *package;  /* the Debian packages that bring it; NULL where none is needed */
};
extern const struct system_place systems[SYSTEMS_N];

extern const struct system system_shoal, system_rwlock, system_robust_mutex, system_boost, system_lmdb,
    system_lmdb_writemap;

#ifdef __cplusplus
}
#endif
#endif
