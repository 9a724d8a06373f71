/* SPDX-License-Identifier: MIT
 *
 * Memory of this process, and of files.
 */
#ifndef SHOAL_BENCH_WEIGH_H
#define SHOAL_BENCH_WEIGH_H

/* Resident memory of this process that is no file's, bytes. */
double weigh_resident(void);
/* What the file system gave to a file, or to the files of a directory, bytes.  -1: there is none. */
double weigh_file(const char *path);
/* How much of this process's memory, shared and not, lies in huge pages, bytes. */
double weigh_huge(void);

#endif
