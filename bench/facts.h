/* SPDX-License-Identifier: MIT
 *
 * What machine it is that was measured.
 */
#ifndef SHOAL_BENCH_FACTS_H
#define SHOAL_BENCH_FACTS_H

#include <stdio.h>

/* Comment lines for the head of a CSV; no names of hosts. */
void facts_machine(FILE *out);

#endif
