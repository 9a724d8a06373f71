/* SPDX-License-Identifier: MIT
 *
 * What the cases share: each test in a process of its own, maps that vanish with it, crews of children
 * that must all end well, and gates instead of sleeping.
 */
#ifndef TESTS_CASES_SCENE_H
#define TESTS_CASES_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "lib/fail.h"
#include "lib/random.h"
#include "shoal/shoal.h"

/* -- Tests ------------------------------------------------------------------------------------- */

/* One test: its body runs in a child, which may crash, hang (two minutes or SCENE_SECONDS) or fail alone.
 * Bodies use require() of lib/fail.h, in whichever process they are. */
struct scene {
    void (*body)(void);
};
void scene_run(void **scene);
/* clang-format off */
#define SCENE(f) { #f, scene_run, NULL, NULL, &(struct scene){ f } }
/* clang-format on */
/* Returns the index of the first that is no option. */
int scene_arguments(int argc, char **argv);

/* SCENE_MAIN(SCENE(a), SCENE(b)); an argument chooses tests by a pattern.  --checked before it: maps with checksums, whose calls
 * never go in a straight line. */
#define SCENE_MAIN(...)                                                                                                \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        const struct CMUnitTest tests[] = { __VA_ARGS__ };                                                             \
        const int at = scene_arguments(argc, argv);                                                                    \
        if (argc > at)                                                                                                 \
            cmocka_set_test_filter(argv[at]);                                                                          \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                              \
    }

/* A seed, printed; SHOAL_TEST_SEED repeats a run. */
uint64_t scene_seed(void);
/* How often: `quick` times SHOAL_TEST_ROUNDS (1). */
uint32_t scene_rounds(uint32_t quick);

/* -- Maps -------------------------------------------------------------------------------------- */

struct shoal_options scene_options(uint64_t capacity, uint64_t heap_bytes, uint32_t max_threads);
/* A bare name that this test may use; it is unlinked when the test ends, however it ends. */
const char *scene_name(uint32_t i);
/* Create, with a text on failure.  scene_map: under no name at all, for forked children. */
struct shoal *scene_create(const char *name, const struct shoal_options *options);
struct shoal *scene_open(const char *name);
struct shoal *scene_map(uint64_t capacity, uint64_t heap_bytes);

/* A result that must be 0; the text says the rest. */
#define must(call)                                                                                                     \
    do {                                                                                                               \
        const int must_code = (call);                                                                                  \
        require(must_code == 0, "%s: %d %s", #call, must_code, shoal_error_text());                                    \
    } while (0)
/* A result that must be this one. */
#define must_be(call, code)                                                                                            \
    do {                                                                                                               \
        const int must_code = (call);                                                                                  \
        require(must_code == (code), "%s: %d, not %d; %s", #call, must_code, (code), shoal_error_text());              \
    } while (0)

/* stats, with the heap's equation (H): every byte is in exactly one place. */
struct shoal_stats scene_stats(struct shoal *map);
/* check finds nothing wrong; at_rest: and it was quiet, so that counters were compared too. */
struct shoal_report scene_check(struct shoal *map, bool at_rest);
uint64_t scene_count(struct shoal *map); /* exact, at rest */

/* -- Values: lib/act.h's self-describing bytes ------------------------------------------------- */

void scene_put(struct shoal *map, const char *key, uint64_t tag, size_t bytes);
/* The key holds exactly this value. */
void scene_holds(struct shoal *map, const char *key, uint64_t tag, size_t bytes);

/* -- Children ---------------------------------------------------------------------------------- */

typedef void crew_fn(uint32_t i, void *arg);

/* Fork one: it runs fn(i, arg) and ends well; it dies with its parent, unless it outlives_parent. */
pid_t crew_start(uint32_t i, crew_fn *fn, void *arg);
pid_t crew_start_outliving(uint32_t i, crew_fn *fn, void *arg);
/* It must end well. */
void crew_end(pid_t pid);
/* n of them at once, and all must end well. */
void crew_run(uint32_t n, crew_fn *fn, void *arg);
void crew_kill(pid_t pid); /* SIGKILL, and gone when this returns */
void crew_stop(pid_t pid); /* SIGSTOP, and stopped when this returns */
void crew_continue(pid_t pid);
/* Until it sleeps in the kernel (or is stopped). */
void crew_await_asleep(pid_t pid);

/* Threads likewise. */
void crew_threads(uint32_t n, crew_fn *fn, void *arg);

/* A gate is made before the fork; passing waits until the maker opens it. */
struct gate {
    int in, out;
};
struct gate gate_make(void);
void gate_pass(const struct gate *gate);
void gate_open(struct gate *gate);
/* A bell is rung by anybody, any number of times; each ring lets one hear() return. */
struct gate bell_make(void);
void bell_ring(const struct gate *bell);
void bell_hear(const struct gate *bell);

/* Zeroed memory that children share. */
void *board_make(size_t bytes);

/* A short while of work, up to n rounds, that no compiler removes: for stops and kills at random points. */
void scene_spin(uint64_t *random, uint32_t n);

#endif
