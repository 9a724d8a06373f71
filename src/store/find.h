/* SPDX-License-Identifier: MIT
 *
 * A key's record in its bucket, and its value out of it.
 */
#ifndef SHOAL_STORE_FIND_H
#define SHOAL_STORE_FIND_H

#include "store/bucket.h"
#include "store/pager.h"
#include "store/store.h"

/* SHOAL_MISSING.  A key that lies elsewhere is read there. */
int find_item(const struct pager *pager, const struct bucket *bucket, uint64_t hash, const void *key, size_t key_bytes,
              uint32_t *ret_i, struct bucket_item *ret_item);

/* Everything of the record but its key, the value as store_get does it. */
int find_copy(const struct pager *pager, const struct bucket_item *item, void *buf, uint64_t room,
              struct store_record *ret_record);

#endif
