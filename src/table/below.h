/* SPDX-License-Identifier: MIT
 *
 * What the table asks of the store that lies below it.  The table knows the store by this alone, and asks it only
 * where it holds no entry for the key and the key's spill bit is set.
 */
#ifndef SHOAL_TABLE_BELOW_H
#define SHOAL_TABLE_BELOW_H

#include "table/record.h"

/* What lies below for a key. */
struct below_record {
    uint64_t version; /* the store's; 0 = absent */
    uint64_t value_bytes;
    int64_t mtime_ns;
    uint8_t type;
};

/* Room for a value; grows as needed, freed by who made it. */
struct below_value {
    void *bytes;
    uint64_t room;
};

struct below {
    /* io_value NULL: the value is not wanted.  0, SHOAL_MISSING (version is 0), or a failure with its text. */
    int (*look)(const struct below *below, const struct probe *p, struct below_value *io_value,
                struct below_record *ret_record);
    /* For a record of so many bytes, 0 = a slot for the key: make entries leave.  round: how often this operation has asked,
     * from 1 on: it was not enough.  0: some left, or may have.  SHOAL_MISSING: nobody is there who could.  SHOAL_EFULL,
     * SHOAL_ESTORE, with a text. */
    int (*make_room)(const struct below *below, struct attachment *a, const struct probe *p, uint64_t bytes,
                     uint32_t round);
};

#endif
