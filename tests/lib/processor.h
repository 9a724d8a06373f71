/* SPDX-License-Identifier: MIT
 *
 * Where processes run.
 */
#ifndef TESTS_LIB_PROCESSOR_H
#define TESTS_LIB_PROCESSOR_H

#include <stdint.h>

/* Keep this process and those it forks on one processor, the same for the same `which`.  Tracer and victim take
 * turns: on one processor a turn is a switch, on two it is an interrupt to a sleeping one, several times as long
 * in a virtual machine. */
void processor_stay(uint32_t which);

#endif
