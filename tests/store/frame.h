/* SPDX-License-Identifier: MIT
 *
 * What the tests of the store share: a directory of each test's own, a machine that can be started again, and what a
 * store must hold.
 */
#ifndef TESTS_STORE_FRAME_H
#define TESTS_STORE_FRAME_H

#include <stdbool.h>

#include "store/store.h"
#include "unit/ground.h"

struct frame {
    char dir[64];    /* of the test */
    char path[96];   /* of its store, not made yet */
    int fds;
    struct store *store;
};

int frame_setup(void **state);
int frame_teardown(void **state);

/* frame->store, made where there is none. */
struct store *frame_open(struct frame *frame);
void frame_close(struct frame *frame);
/* The file of pages, DIR/pages; good until the next call. */
const char *frame_pages(const struct frame *frame);

/* From now on the machine is in another life: what was not flushed is still in the files, but must not count. */
void machine_starts_again(void);

/* -- Contents: numbered keys, each with a value that its number and a seed make, or none --------------------- */

#define KEYS_MAX 4096u
struct contents {
    uint32_t keys_n;
    struct {
        uint64_t seed; /* 0: absent */
        uint64_t bytes, version;
    } key[KEYS_MAX];
};

/* Keys of 1..65535 bytes, most of them short. */
#define KEY_ROOM 65535u
size_t key_make(uint32_t i, uint8_t to[KEY_ROOM]);
void value_make(uint64_t seed, uint64_t bytes, uint8_t *to);

/* Changes the store, whose lock is held, and the contents alike. */
void contents_put(struct contents *contents, struct store *store, uint32_t i, uint64_t seed, uint64_t bytes);
void contents_delete(struct contents *contents, struct store *store, uint32_t i);

/* The store holds exactly these: by gets, by a walk, by its counts; and it is sound. */
void assert_contents(struct store *store, const struct contents *contents);
void assert_store_sound(struct store *store);
void assert_store_refused(int rc, int code, const char *part);

#define FRAME_TEST(fn) cmocka_unit_test_setup_teardown(fn, frame_setup, frame_teardown)

#endif
