/* SPDX-License-Identifier: MIT
 *
 * The straight way to judge a record beside the general one: of every length of key and value, with a type and without, both
 * say the same, and no key but the record's own is taken for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "table/record.h"

#define KEY_MAX 40u
#define VALUE_MAX 40u
#define BLOCK_WORDS 16u

/* A block with a record, written by hand: H, lengths, key, type, value. */
static void block_fill(uint64_t words[BLOCK_WORDS], const uint8_t *key, uint32_t key_bytes, bool typed, uint64_t value_bytes)
{
    memset(words, 0, BLOCK_WORDS * 8);
    words[1] = place_pack(7, key_bytes, typed, value_bytes);
    memcpy(&words[2], key, key_bytes);
    if (typed)
        ((uint8_t *)&words[2])[key_bytes] = SHOAL_JSON;
}

static const shared_u64 *shared(const uint64_t *words) { return (const shared_u64 *)(const void *)words; }

static struct probe probe_for(const uint8_t *key, uint32_t key_bytes)
{
    return (struct probe){ .key = key, .key_bytes = key_bytes };
}

static bool by_the_straight_way(const struct record *r, const struct probe *p)
{
    return record_key_words_same(r->words + r->key_at, p, r->typed);
}

static void assert_only_its_key(uint64_t words[BLOCK_WORDS], const struct record *r, uint8_t *key, uint32_t key_bytes)
{
    const struct probe p = probe_for(key, key_bytes);
    assert_true(by_the_straight_way(r, &p));
    for (uint32_t i = 0; i < key_bytes * 8; i++) {
        key[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(by_the_straight_way(r, &p));
        key[i / 8] ^= (uint8_t)(1u << i % 8);
        ((uint8_t *)&words[2])[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(by_the_straight_way(r, &p));
        ((uint8_t *)&words[2])[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_true(by_the_straight_way(r, &p));
}

/* Both ways, for a block of so many bytes. */
static void assert_agree(uint64_t words[BLOCK_WORDS], uint64_t bytes, uint8_t *key, uint32_t key_bytes)
{
    struct record straight, general;
    bool sound = record_decode_words(0, shared(words), bytes, &general);
    assert_int_equal(record_decode_plainly(shared(words), bytes, key_bytes, &straight), sound);
    if (!sound)
        return;
    assert_int_equal(straight.key_bytes, general.key_bytes);
    assert_int_equal(straight.value_bytes, general.value_bytes);
    assert_int_equal(straight.typed, general.typed);
    assert_int_equal(straight.key_at, general.key_at);
    assert_int_equal(straight.value_at, general.value_at);
    assert_int_equal(record_type(&straight), general.typed ? SHOAL_JSON : SHOAL_RAW);
    assert_only_its_key(words, &straight, key, key_bytes);
}

static void both_ways_agree(void **state)
{
    (void)state;
    uint64_t words[BLOCK_WORDS];
    uint8_t key[KEY_MAX];
    for (uint32_t i = 0; i < KEY_MAX; i++)
        key[i] = (uint8_t)(i * 37 + 1);
    for (uint32_t key_bytes = 1; key_bytes <= KEY_MAX; key_bytes++)
        for (uint64_t value_bytes = 0; value_bytes <= VALUE_MAX; value_bytes++)
            for (int typed = 0; typed < 2; typed++) {
                block_fill(words, key, key_bytes, typed != 0, value_bytes);
                for (uint64_t bytes = 24; bytes <= sizeof words; bytes += 8)
                    assert_agree(words, bytes, key, key_bytes);
            }
}

static void other_lengths_are_left_to_the_general_way(void **state)
{
    (void)state;
    uint64_t words[BLOCK_WORDS];
    const uint8_t key[KEY_MAX] = "key";
    struct record r;
    for (uint32_t of = 1; of <= KEY_MAX; of++)
        for (uint32_t asked = 1; asked <= KEY_MAX; asked++)
            for (int typed = 0; typed < 2; typed++) {
                block_fill(words, key, of, typed != 0, 8);
                assert_int_equal(record_decode_plainly(shared(words), sizeof words, asked, &r), of == asked);
            }
    block_fill(words, key, 3, false, VALUE_LONG); /* its length stands in the next word */
    assert_false(record_decode_plainly(shared(words), (uint64_t)1 << 20, 3, &r));
    block_fill(words, key, 3, true, VALUE_LONG);
    assert_false(record_decode_plainly(shared(words), (uint64_t)1 << 20, 3, &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_agree),
        cmocka_unit_test(other_lengths_are_left_to_the_general_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
