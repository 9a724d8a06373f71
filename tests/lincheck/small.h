/* SPDX-License-Identifier: MIT
 *
 * Small histories, made up: a few processes call a model, whose answers are right; then one or two of the
 * answers may be changed at random, rightly or wrongly.  For a second judge who tries every order.
 */
#ifndef TESTS_LINCHECK_SMALL_H
#define TESTS_LINCHECK_SMALL_H

#include "lincheck/history.h"

#define SMALL_OPS 8u

/* The seed fixes it. */
void small_history(uint64_t seed, struct history *ret_history);
/* Change up to two answers. */
void small_spoil(struct history *history, uint64_t *random);

#endif
