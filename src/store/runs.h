/* SPDX-License-Identifier: MIT
 *
 * Large keys and values: pages in a row without heads, written from and read into the caller's memory.
 */
#ifndef SHOAL_STORE_RUNS_H
#define SHOAL_STORE_RUNS_H

#include "store/space.h"

/* Writes the value, and the key where with_key, into runs that it takes; describes them. */
int runs_write(struct space *space, const void *key, uint32_t key_bytes, bool with_key, const void *value,
               uint64_t value_bytes, struct bucket_large *ret_large);

#define RUN_LEAST 16u /* pages; a value in shorter ones costs a call for each */

/* The same record in other runs, of `least` pages or more (1..RUN_LEAST); the old ones are given back. */
int runs_move(struct space *space, const struct bucket_large *large, uint32_t key_bytes, bool with_key, uint64_t least,
              struct bucket_large *ret_large);

/* Gives back what runs_write took. */
int runs_free(struct space *space, const struct bucket_large *large, bool with_key);

/* SHOAL_ECORRUPT where the sums do not match; the buffer then holds anything. */
int runs_read_value(const struct pager *pager, const struct bucket_large *large, void *ret_value);
int runs_check_value(const struct pager *pager, const struct bucket_large *large); /* its sums alone */
int runs_read_key(const struct pager *pager, const struct bucket_large *large, uint32_t key_bytes, void *ret_key);

/* Each run and each page of a list, seen to be what it is; `at`: in the value.  That of the key comes first. */
typedef int runs_fn(void *arg, uint64_t page, uint64_t pages_n);
typedef int run_fn(void *arg, const struct page_run *run, uint64_t at);
int runs_walk(const struct pager *pager, const struct bucket_large *large, bool with_key, run_fn *each_run,
              runs_fn *each_list, void *arg);

/* Each stretch of pages that the record lies in, its lists too. */
int runs_each(const struct pager *pager, const struct bucket_large *large, bool with_key, runs_fn *fn, void *arg);

#endif
