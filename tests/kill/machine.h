/* SPDX-License-Identifier: MIT
 *
 * What the library asks of the machine, where single-stepping or replaying asks for another answer.
 */
#ifndef TESTS_KILL_MACHINE_H
#define TESTS_KILL_MACHINE_H

#include <stdint.h>

/* From now on this process and its children get their chance from this seed: hash seeds, salts and ids, and so where a
 * key lies.  Else a setup cannot be had again. */
void machine_seed(uint64_t seed);

/* The thread that the call begins is run in this one, as far as its second sleep: who is stepped has one thread.  Returns
 * what the call does. */
int machine_run_thread(int begin(void *arg), void *arg);

#endif
