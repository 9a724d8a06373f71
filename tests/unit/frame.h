/* SPDX-License-Identifier: MIT
 *
 * What the tests of the public functions share: a directory of each test's own with a map in it, and what
 * must hold at the end of every test: the map is sound, and closing it gives everything back.
 */
#ifndef TESTS_UNIT_FRAME_H
#define TESTS_UNIT_FRAME_H

#include <stdbool.h>
#include <string.h>

#include "unit/ground.h"

#define NAMES_N 8
struct frame {
    char dir[64];
    char path[NAMES_N][400];
    int fds, next;
    bool damaged; /* the test broke the map on purpose */
    struct shoal *map;
};

int frame_setup(void **state);
int frame_teardown(void **state);

/* DIR/last; the last NAMES_N answers stay valid. */
const char *frame_path(struct frame *frame, const char *last);

/* frame->map, of the path DIR/map.  Small: a capacity of 64 and a heap of 512 KiB. */
struct shoal_options frame_options(void);
struct shoal *frame_map(struct frame *frame, const struct shoal_options *options);
struct shoal *frame_small(struct frame *frame);

/* shoal_check finds nothing, and heap_bytes is the sum of its parts. */
void assert_sound(struct shoal *map);
/* The call gave this code, and its text has this part. */
void assert_refused(int rc, int code, const char *part);

/* Bytes that follow from a seed; the last one is never 0, except where n is divisible by 3. */
void fill_bytes(void *to, size_t n, uint64_t seed);

/* Strings as keys and values, for short tests. */
int put_text(struct shoal *map, const char *key, const char *value);
void assert_holds(struct shoal *map, const char *key, const char *value); /* NULL: missing */
uint64_t version_of(struct shoal *map, const char *key);
struct shoal_stats stats_of(struct shoal *map);

#define CHILD_SECONDS 120 /* far beyond what any child needs: one that hangs is ended */

typedef int child_fn(struct frame *frame, void *arg);
/* Run fn in a forked child.  `what` is for the line that says why it was left out. */
void in_child(struct frame *frame, child_fn *fn, void *arg, const char *what);

#define FRAME_TEST(fn) cmocka_unit_test_setup_teardown(fn, frame_setup, frame_teardown)

#endif
