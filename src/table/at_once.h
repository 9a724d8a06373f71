/* SPDX-License-Identifier: MIT
 *
 * Put, add and delete in a straight line, for a map without features, where everything is as it mostly is: a block is at hand, the
 * key's entry is the first that has its fingerprint, LIVE, and of a record that is PUB.  Each step is the one that the general way
 * (mutate.h, insert.h) takes there, in the same order, so that deaths and races mean the same; whatever else is met leads
 * out, with nothing done and nothing held.
 */
#ifndef SHOAL_TABLE_AT_ONCE_H
#define SHOAL_TABLE_AT_ONCE_H

#include "table/record.h"

#define AT_ONCE_NOT (INT32_MAX - 3) /* the general way must say */

/* The value is not too long for the map; of source its bytes and type count.  0, AT_ONCE_NOT, or what the general way would have
 * said; add: SHOAL_EXISTS. */
int put_at_once(struct attachment *a, const struct probe *p, const struct record_source *source, uint64_t *ret_version);
int add_at_once(struct attachment *a, const struct probe *p, const struct record_source *source);

/* 0, SHOAL_MISSING, AT_ONCE_NOT. */
int delete_at_once(struct attachment *a, const struct probe *p);

#endif
