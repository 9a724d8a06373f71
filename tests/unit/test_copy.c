/* SPDX-License-Identifier: MIT
 *
 * Copies of every length up to some instructions' worth, at every place in a word on the private side: what is beside them
 * stays as it is, and the last word is padded with zeros.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/copy.h"

#define LENGTHS 300u
#define BESIDE 0xee

static struct bytes {
    uint8_t beside[8], at[LENGTHS + 8], behind[8];
} mine;
static struct words {
    shared_u64 beside, at[(LENGTHS + 7) / 8], behind;
} shared;

static uint8_t pattern(uint64_t i) { return (uint8_t)(i * 37 + 11); }

static void all_beside(void *what, size_t bytes) { memset(what, BESIDE, bytes); }

static void words_are_read_to_the_byte(void **state)
{
    (void)state;
    uint8_t *words = (uint8_t *)(void *)shared.at;
    for (uint64_t i = 0; i < sizeof shared.at; i++)
        words[i] = pattern(i);
    for (uint64_t n = 0; n <= LENGTHS; n++)
        for (uint64_t shift = 0; shift < 8; shift++) {
            uint8_t *to = mine.at + shift;
            all_beside(&mine, sizeof mine);
            copy_out(shared.at, to, n);
            for (uint64_t i = 0; i < n; i++)
                assert_int_equal(to[i], pattern(i));
            for (const uint8_t *p = (const uint8_t *)&mine; p < (const uint8_t *)(&mine + 1); p++)
                assert_true((p >= to && p < to + n) || *p == BESIDE);
        }
}

static void words_are_written_and_padded(void **state)
{
    (void)state;
    const uint8_t *words = (const uint8_t *)(const void *)shared.at;
    for (uint64_t n = 0; n <= LENGTHS; n++)
        for (uint64_t shift = 0; shift < 8; shift++) {
            uint8_t *from = mine.at + shift;
            all_beside(&mine, sizeof mine);
            all_beside(&shared, sizeof shared);
            for (uint64_t i = 0; i < n; i++)
                from[i] = pattern(i);
            const uint64_t words_n = copy_in(shared.at, from, n);
            assert_int_equal(words_n, (n + 7) / 8);
            for (uint64_t i = 0; i < sizeof shared.at; i++)
                assert_int_equal(words[i], i < n ? pattern(i) : i < words_n * 8 ? 0 : BESIDE);
            assert_int_equal(payload_load(&shared.beside) & 0xff, BESIDE);
            assert_int_equal(payload_load(&shared.behind) & 0xff, BESIDE);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read_to_the_byte),
        cmocka_unit_test(words_are_written_and_padded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
