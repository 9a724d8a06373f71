/* SPDX-License-Identifier: MIT
 *
 * Every writing call: find the key, let the call decide, make it so by one CAS, or look again.
 */
#ifndef SHOAL_TABLE_MUTATE_H
#define SHOAL_TABLE_MUTATE_H

#include "table/record.h"

/* What the key holds now; pinned while the call decides. */
struct mutate_found {
    uint64_t slot_i, w, h, version;
    struct block_place place;
    struct record record;
    uint8_t type;
};

enum mutate_verdict { MUTATE_STORE, MUTATE_KEEP, MUTATE_REMOVE };

struct mutation {
    struct record_source source; /* for STORE; set by decide, or before and left alone */
    bool source_is_new;          /* decide sets it where source differs from its last one */
    int code;                    /* for KEEP: the call's result */
    uint64_t ret_version;        /* of what was stored */
};

/* found NULL: absent. */
typedef enum mutate_verdict mutate_decide(struct mutation *m, const struct segment *s, const struct mutate_found *found,
                                          void *arg);

int mutate_key(struct attachment *a, const struct probe *p, mutate_decide *decide, void *arg, struct mutation *m);

/* The value of a pinned record, in place.  SHOAL_ECORRUPT if its checksum is wrong. */
const void *mutate_value(const struct mutate_found *found);
int mutate_verify(const struct segment *s, const struct mutate_found *found);

/* Pin the key's record with this hazard.  0, SHOAL_MISSING, SHOAL_ECORRUPT. */
int mutate_find(struct attachment *a, const struct probe *p, uint32_t hazard, struct mutate_found *ret);

#endif
