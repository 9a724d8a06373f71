/* SPDX-License-Identifier: MIT
 *
 * What a fuzz target defines: for libFuzzer, and for corpus_main.c, which runs it as a plain test.
 */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

extern const char fuzz_target[]; /* its name, which is its folder's in corpus/ */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#endif
