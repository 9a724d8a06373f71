/* SPDX-License-Identifier: MIT
 *
 * What the programs of this suite share: what they are asked, the child that they work in, which calls they make fail.
 */
#ifndef TESTS_IMAGES_PROGRAM_H
#define TESTS_IMAGES_PROGRAM_H

#include "images/crash.h"
#include "images/record.h"

#define PROGRAM_CALLS_MOST 4096u
#define PROGRAM_FAILURES_MOST 20u /* then nothing more is tried */

struct program_asked {
    uint64_t seed, images, calls;
    const char *which, *image; /* NULL = all; image: POINT.VARIANT */
    long call;                 /* -1 = all */
    enum record_how how;
};

/* --seed, --images, --calls, --image, --call, --error, and --WHICH.  Ends the program where it asks for something else. */
void program_ask(struct program_asked *asked, const char *which, int argc, char **argv);
bool program_asks_for(const struct program_asked *asked, uint32_t point, uint64_t variant);

/* Run it in a child, so that somebody sweeps behind a crash; main's answer.  A crash says during what. */
int program_run(const char *name, uint64_t seed, int (*run)(void *arg), void *arg);

/* What is wrong with that image, and the entry before it. */
void program_tell(const struct log *log, const struct crash *crash, uint32_t point);

/* The calls of a run in which none failed. */
struct program_calls {
    uint8_t kind[PROGRAM_CALLS_MOST];
    uint64_t n;
};
void program_calls_learn(struct program_calls *ret);

/* Of those from `first` on about `most`, or the one that was asked for, in each way in which it can fail. */
void program_calls_fail(const struct program_asked *asked, const struct program_calls *calls, uint64_t first, uint64_t most,
                        uint64_t chance, void (*fail)(uint64_t call, enum record_how how));

#endif
