/* SPDX-License-Identifier: MIT
 *
 * Every writing call: find the key, let the call decide, make it so by one CAS, or look again.
 */
#ifndef SHOAL_TABLE_MUTATE_H
#define SHOAL_TABLE_MUTATE_H

#include "table/below.h"

/* What the key holds now.  In the table: pinned while the call decides.  Below it: version, type, length, and the value
 * where the call wants it. */
struct mutate_found {
    uint64_t slot_i, w, h, version;
    struct block_place place;
    struct record record;
    const void *value;
    uint64_t value_bytes;
    uint8_t type;
    bool below;
};

enum mutate_verdict { MUTATE_STORE, MUTATE_KEEP, MUTATE_REMOVE };

struct mutation {
    struct record_source source; /* for STORE; set by decide, or before and left alone */
    bool source_is_new;          /* decide sets it where source differs from its last one */
    bool blind;                  /* what the key holds decides nothing */
    bool wants_value;            /* decide looks at the value, and not at the version alone */
    int code;                    /* for KEEP: the call's result */
    uint64_t ret_version;        /* of what was stored */
};

/* found NULL: absent. */
typedef enum mutate_verdict mutate_decide(struct mutation *m, const struct segment *s, const struct mutate_found *found,
                                          void *arg);

/* TABLE_MOVED (move.h): nothing was done, the call belongs to another table by now. */
int mutate_key(struct attachment *a, const struct probe *p, mutate_decide *decide, void *arg, struct mutation *m);

/* The value as it was when it was found.  SHOAL_ECORRUPT if its checksum is wrong. */
void mutate_copy_value(const struct mutate_found *found, void *to);
int mutate_verify(const struct segment *s, const struct mutate_found *found);

/* Pin the key's entry with this hazard; it may be a TOMB.  0, SHOAL_MISSING, SHOAL_ECORRUPT. */
int mutate_find(struct attachment *a, const struct probe *p, uint32_t hazard, struct mutate_found *ret);
/* Whatever entry the slot holds, likewise. */
int mutate_find_in(struct attachment *a, uint32_t hazard, uint64_t slot_i, struct mutate_found *ret);

/* The pinned entry leaves its slot, whoever it is of; waiters are not told.  False: the slot has changed. */
bool mutate_evict(struct attachment *a, const struct mutate_found *found, uint64_t home);

/* Brings a record up from below: born clean, and given up for any other entry of the key.  0, SHOAL_CHANGED where it was
 * given up, SHOAL_EFULL, or a failure. */
int mutate_promote(struct attachment *a, const struct probe *p, const void *value, const struct below_record *record);

/* Brings a record, or a deletion, here from the table that is moved from: it counts from the moment on at which the old one
 * need not any more, unless the old one has moved meanwhile.  0, SHOAL_EXISTS (the key has an entry here), SHOAL_CHANGED
 * where it was given up, SHOAL_EFULL, or a failure. */
int mutate_bring(struct attachment *a, const struct probe *p, struct record_source *source, bool deleted);

#endif
