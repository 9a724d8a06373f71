/* SPDX-License-Identifier: MIT
 *
 * Children of a test, and the memory that they share with it.
 */
#ifndef TESTS_LIB_CHILD_H
#define TESTS_LIB_CHILD_H

#include <stddef.h>
#include <sys/types.h>

/* fork, with nothing unwritten that the child would write once more.  Never < 0: the test fails. */
pid_t child_fork(void);

/* Likewise, and the child is killed with the thread that forked it, also where that dies before the child has run. */
pid_t child_fork_bound(void);

/* Zeros, shared with the children that are forked from now on; only what is touched takes memory. */
void *child_memory(size_t bytes);

#endif
