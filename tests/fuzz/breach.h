/* SPDX-License-Identifier: MIT
 *
 * How the fuzz suite says that something is wrong: by abort(), which libFuzzer and a waiting parent both notice.
 */
#ifndef TESTS_FUZZ_BREACH_H
#define TESTS_FUZZ_BREACH_H

__attribute__((format(printf, 4, 5), noreturn)) void breach_at(const char *file, int line, const char *condition,
                                                               const char *format, ...);
#define hold(condition, ...)                                                                                           \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            breach_at(__FILE__, __LINE__, #condition, __VA_ARGS__);                                                    \
    } while (0)

/* The call that is under way, for the text. */
extern const char *breach_call;

#endif
