/* SPDX-License-Identifier: MIT
 *
 * Keys and values that their numbers fix, and what a store holds of them, as one mark for each key.
 */
#ifndef TESTS_IMAGES_CONTENTS_H
#define TESTS_IMAGES_CONTENTS_H

#include <stdbool.h>

#include "store/store.h"

#define CONTENTS_KEYS_MAX 1024u
#define CONTENTS_KEY_BYTES_MAX 2500u

/* The record of this key with the number-th value; its bytes are valid until the next call. */
struct store_record contents_record(uint32_t key, uint64_t number, uint64_t value_bytes);

/* Of all that a record is: value, type, times, version; never 0.  0 is the mark of a key that is absent. */
uint64_t contents_mark(uint32_t key, const struct store_record *record);

/* What the store holds of keys 0 .. keys_n - 1, by a walk and, is_each, by asking for each key.  A key beyond, a key
 * twice, hashes that do not grow, or answers that differ are wrong.  0, WRONG, or the store's code. */
int contents_read(struct store *store, uint32_t keys_n, bool is_each, uint64_t *ret_marks);

/* One key, as a reader sees it or, is_look, as the holder of the lock does.  0, WRONG or the store's code. */
int contents_ask(struct store *store, uint32_t key, bool is_look, uint64_t *ret_mark);

#endif
