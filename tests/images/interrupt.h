/* SPDX-License-Identifier: MIT
 *
 * System calls that a signal interrupts, and reads and writes that do a part of their work: what the kernel may do at
 * any time.  Linked with --wrap.
 */
#ifndef TESTS_IMAGES_INTERRUPT_H
#define TESTS_IMAGES_INTERRUPT_H

#include <stdint.h>

/* From now on, by chance; 0: no more. */
void interrupt_begin(uint64_t seed);
uint64_t interrupt_n(void); /* since the program began */

#endif
