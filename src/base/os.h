/* SPDX-License-Identifier: MIT
 *
 * The only place with system calls.
 */
#ifndef SHOAL_BASE_OS_H
#define SHOAL_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

/* Memory.  Both return NULL / nonzero with errno set on failure. */
void *os_map(int fd, uint64_t bytes, bool writable); /* shared; left out of core dumps */
void os_unmap(void *at, uint64_t bytes);
/* What was written to this part of a mapping, through whichever, is on disk, with what is needed to find it. */
int os_flush(void *at, uint64_t bytes);

/* Allocate [at, at + bytes) of the file; EINTR is retried.  0, or an errno value. */
int os_allocate(int fd, uint64_t at, uint64_t bytes);
uint64_t os_file_allocated_bytes(int fd); /* st_blocks * 512; 0 on error */
bool os_file_unlinked(int fd);            /* the inode has no name any more */

bool os_file_outlives(int fd);            /* a start of the machine: true when in doubt */
bool os_file_is_hugetlb(int fd);          /* which has no write(2) */

/* Which file it is, for as long as somebody has it open. */
struct os_file {
    uint64_t device, inode; /* inode 0: unknown, equal to nothing */
};
struct os_file os_file_of(int fd);
bool os_is_file(int fd, struct os_file file);

/* A new open file description of the file behind fd (through /proc/self/fd).  -1 and errno. */
int os_reopen(int fd, bool writable);
void os_close(int fd);

/* Open-file-description locks on one byte.  They belong to the description, so a process that asks
 * about its own threads asks on another one. */
enum os_lock_answer { OS_LOCK_TAKEN, OS_LOCK_BUSY, OS_LOCK_ERROR };
enum os_lock_answer os_lock(int fd, uint64_t byte); /* exclusive, never waits */
enum os_lock_answer os_lock_shared(int fd, uint64_t byte); /* with others who share it; also from exclusive */
void os_unlock(int fd, uint64_t byte);
/* Does another description hold the byte exclusively?  An error means yes: a false "dead" corrupts, a
 * false "alive" only delays. */
bool os_is_locked(int fd, uint64_t byte);
/* The same of any of n bytes. */
bool os_any_locked(int fd, uint64_t byte, uint64_t n);

/* Sleep while *word == seen, at most timeout_ns; returns early at will. */
void os_futex_wait(const shared_u32 *word, uint32_t seen, int64_t timeout_ns);
void os_futex_wake_all(shared_u32 *word);

int64_t os_clock_ns(void);     /* CLOCK_MONOTONIC */
int64_t os_wall_ns(void);      /* CLOCK_REALTIME */
void os_random(void *buf, size_t bytes);
uint64_t os_memory_bytes(void); /* of the machine */

struct os_who {
    uint32_t pid;
    uint64_t start, ns; /* start time in clock ticks since boot; inode of the pid namespace */
    char command[16];   /* NUL padded, need not end in NUL */
};
void os_who(struct os_who *ret_who);

/* The machine's present life, as the kernel names it.  0 or an errno value. */
#define OS_BOOT_BYTES 16
int os_boot(uint8_t ret_boot[OS_BOOT_BYTES]);

/* A word that reads 0 in a forked child until it is set there again (MADV_WIPEONFORK); one per process.
 * NULL where the kernel refuses. */
uint64_t *os_wipe_on_fork_word(void);

#endif
