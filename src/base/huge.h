/* SPDX-License-Identifier: MIT
 *
 * Huge pages of a shared mapping.  The kernel gives them to files on a tmpfs that is mounted with huge=always, and to
 * shared memory objects where /sys/kernel/mm/transparent_hugepage/shmem_enabled says always; most machines say never.
 * With advise, who asks has them only when khugepaged comes by, because memory is allocated through the file, not the
 * mapping, so that a full file system is an error and no signal.
 */
#ifndef SHOAL_BASE_HUGE_H
#define SHOAL_BASE_HUGE_H

#include <stdint.h>

#define HUGE_BYTES ((uint64_t)2 << 20)
#define HUGE_LEAST (8 * HUGE_BYTES) /* a smaller mapping needs few entries of the TLB, and would be rounded up by much */

/* How many of these bytes this process has mapped by them. */
uint64_t huge_got(const void *at, uint64_t bytes);

#endif
