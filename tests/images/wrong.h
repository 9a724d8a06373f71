/* SPDX-License-Identifier: MIT
 *
 * What a test found wrong, in words.  It goes on with the next image, so this is a result and no end.
 */
#ifndef TESTS_IMAGES_WRONG_H
#define TESTS_IMAGES_WRONG_H

#include <stdint.h>

/* Beside the codes of shoal.h: not what the store said but what it did is wrong. */
#define WRONG 1000

/* Keeps the text, unless one is kept already. */
__attribute__((format(printf, 1, 2))) int wrong(const char *format, ...);
/* The same, of a call that had to succeed; appends the code and the store's own text. */
int wrong_code(const char *call, int code);

/* What is kept; "" = nothing. */
const char *wrong_text(void);
void wrong_forget(void);

/* -- Where ------------------------------------------------------------------------------------------- */

#define DURING_BYTES 256u

/* What is being tried from now on, as the options that bring it back. */
__attribute__((format(printf, 1, 2))) void during(const char *format, ...);
const char *during_text(void);

/* One line: what was tried, how, and what is kept as wrong, which is then forgotten.  Counted. */
void wrong_tell(const char *how);
uint64_t wrong_n(void);

#endif
