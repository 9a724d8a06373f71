/* SPDX-License-Identifier: MIT
 *
 * Words of a command line: escapes, UTF-8, JSON strings, base64, numbers, types.  What is written reads back to the
 * byte; what is read is written in the one canonical way; numbers agree with a second reading of them by hand.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "fuzz/breach.h"
#include "fuzz/target.h"
#include "fuzz/text.h"
#include "record.h"
#include "request.h"

const char fuzz_target[] = "words";

static bool same(const void *a, size_t a_n, const void *b, size_t b_n)
{
    return a_n == b_n && (a_n == 0 || memcmp(a, b, a_n) == 0);
}

/* -- Escapes ------------------------------------------------------------------------------------------ */

static void escapes_read_back(const void *bytes, size_t n)
{
    struct text text;
    size_t got = 0;
    escape_write(text_begin(&text), ESCAPE_LINE, bytes, n);
    text_end(&text);
    hold(text_is_harmless(text.bytes, text.n, false), "an escaped line holds control bytes or no UTF-8");
    hold(unescape(text.bytes, text.n, &got) && same(text.bytes, got, bytes, n), "escapes do not read back");
    text_free(&text);
}

static void any_text_unescapes(const void *bytes, size_t n)
{
    char *text = text_copy(bytes, n, false);
    size_t got = 0;
    if (unescape(text, n, &got)) {
        hold(got <= n, "unescaped text grows");
        escapes_read_back(text, got);
    } else {
        hold(memchr(bytes, '\\', n) != NULL, "text without a backslash is refused");
    }
    free(text);
}

static void screens_are_safe(const void *bytes, size_t n)
{
    struct text text;
    escape_write(text_begin(&text), ESCAPE_SCREEN, bytes, n);
    text_end(&text);
    hold(text_is_harmless(text.bytes, text.n, true), "a terminal could obey what is shown");
    text_free(&text);
}

static void json_reads_back(const void *bytes, size_t n)
{
    struct text text;
    json_error_t error;
    json_t *plain = json_stringn(bytes, n);
    hold(utf8_valid(bytes, n) == (plain != NULL), "UTF-8, or not: jansson says otherwise");
    json_decref(plain);
    if (!utf8_valid(bytes, n))
        return;
    json_string_write(text_begin(&text), bytes, n);
    text_end(&text);
    hold(text_is_harmless(text.bytes, text.n, false), "a JSON string holds control bytes");
    json_t *read = json_loadb(text.bytes, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    hold(json_is_string(read), "JSON: %s", error.text);
    hold(same(json_string_value(read), json_string_length(read), bytes, n), "JSON does not read back");
    json_decref(read);
    text_free(&text);
}

static void base64_reads_back(const void *bytes, size_t n)
{
    struct text text;
    size_t got = 0;
    base64_write(text_begin(&text), bytes, n);
    text_end(&text);
    unsigned char *back = malloc(text.n / 4 * 3 + 1);
    hold(back != NULL && base64_read(text.bytes, text.n, back, &got) && same(back, got, bytes, n),
         "base64 does not read back");
    free(back);
    text_free(&text);
}

static void any_base64_is_canonical(const void *bytes, size_t n)
{
    struct text text;
    size_t got = 0;
    size_t room = n / 4 * 3;
    unsigned char *back = malloc(room > 0 ? room : 1);
    char *copy = text_copy(bytes, n, false);
    if (base64_read(copy, n, back, &got)) {
        hold(got <= room, "more bytes than there is room");
        base64_write(text_begin(&text), back, got);
        text_end(&text);
        hold(same(text.bytes, text.n, bytes, n), "two spellings of one value are read");
        text_free(&text);
    }
    free(copy);
    free(back);
}

/* -- Numbers --------------------------------------------------------------------------------------------- */

#define TOO_MUCH ((unsigned __int128)1 << 64)

/* Digits from *at on, as a number that stops growing at TOO_MUCH.  False: there are none. */
static bool digits_read(const char **at, unsigned __int128 *ret)
{
    bool any = false;
    *ret = 0;
    for (; **at >= '0' && **at <= '9'; ++*at, any = true)
        *ret = *ret * 10 + (unsigned)(**at - '0') < TOO_MUCH ? *ret * 10 + (unsigned)(**at - '0') : TOO_MUCH;
    return any;
}

static bool amount_by_hand(const char *text, uint64_t *ret)
{
    static const char letters[] = "KkMmGgTt";
    unsigned __int128 number;
    if (!digits_read(&text, &number))
        return false;
    if (*text != '\0') {
        const char *letter = strchr(letters, *text);
        if (letter == NULL || text[1] != '\0')
            return false;
        for (long i = (letter - letters) / 2 + 1; i > 0 && number < TOO_MUCH; i--)
            number *= 1024;
    }
    if (number >= TOO_MUCH)
        return false;
    *ret = (uint64_t)number;
    return true;
}

static bool integer_by_hand(const char *text, int64_t *ret)
{
    unsigned __int128 number;
    bool minus = *text == '-';
    text += minus || *text == '+';
    if (!digits_read(&text, &number) || *text != '\0' || number > (unsigned __int128)INT64_MAX + minus)
        return false;
    *ret = (int64_t)(minus ? -(uint64_t)number : (uint64_t)number);
    return true;
}

static void numbers_agree(const char *text)
{
    uint64_t amount = 0, by_hand = 0;
    int64_t integer = 0, signed_by_hand = 0;
    bool read = parse_amount(text, &amount);
    hold(read == amount_by_hand(text, &by_hand) && amount == by_hand, "amount \"%s\": %d, %llu", text, read,
         (unsigned long long)amount);
    read = parse_integer(text, &integer);
    hold(read == integer_by_hand(text, &signed_by_hand) && integer == signed_by_hand, "integer \"%s\": %d, %lld", text,
         read, (long long)integer);
}

static void numbers_read_back(uint64_t number)
{
    static const char *const suffixes[] = { "", "K", "m", "G", "t" };
    char text[40];
    uint64_t amount = 0;
    int64_t integer = 0;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t small = number >> 10 * i;
        (void)snprintf(text, sizeof text, "%llu%s", (unsigned long long)small, suffixes[i]);
        hold(parse_amount(text, &amount) && amount == small << 10 * i, "%s reads as %llu", text,
             (unsigned long long)amount);
    }
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    hold(parse_integer(text, &integer) && integer == (int64_t)number, "%s reads as %lld", text, (long long)integer);
}

static void types_agree(const char *text)
{
    uint8_t type = 0;
    bool named = false;
    int64_t number;
    if (!type_read(text, &type, &named)) {
        hold(!integer_by_hand(text, &number) || number < 0 || number > UINT8_MAX, "type \"%s\" is refused", text);
        return;
    }
    hold(named != integer_by_hand(text, &number), "type \"%s\" is a name and a number", text);
    hold(named || number == type, "type \"%s\" reads as %u", text, type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint64_t number = 0;
    if (n == 0)
        data = (const uint8_t *)""; /* libFuzzer begins with NULL */
    char *text = text_copy(data, n, true);
    escapes_read_back(data, n);
    any_text_unescapes(data, n);
    screens_are_safe(data, n);
    json_reads_back(data, n);
    base64_reads_back(data, n);
    any_base64_is_canonical(data, n);
    numbers_agree(text);
    types_agree(text);
    memcpy(&number, data, n < sizeof number ? n : sizeof number);
    numbers_read_back(number);
    free(text);
    return 0;
}
