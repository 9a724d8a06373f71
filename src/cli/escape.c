/* SPDX-License-Identifier: MIT
 *
 * Any bytes as text, and back.  Values go out byte by byte as they lie: a large one is never copied.
 */
#include "escape.h"

#include <stdint.h>
#include <string.h>

size_t utf8_length(const unsigned char *bytes, size_t n)
{
    unsigned char lead = bytes[0];
    if (lead < 0x80)
        return 1;
    size_t length = lead >= 0xf0 && lead <= 0xf4 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    /* overlong forms, surrogates, and what lies above U+10FFFF */
    if ((lead == 0xe0 && bytes[1] < 0xa0) || (lead == 0xed && bytes[1] > 0x9f) || (lead == 0xf0 && bytes[1] < 0x90) ||
        (lead == 0xf4 && bytes[1] > 0x8f))
        return 0;
    return length;
}

bool utf8_valid(const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    while (n > 0) {
        size_t length = utf8_length(at, n);
        if (length == 0)
            return false;
        at += length;
        n -= length;
    }
    return true;
}

static char escape_letter(unsigned char byte)
{
    switch (byte) {
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\\':
        return '\\';
    default:
        return 0;
    }
}

/* One sequence that must not go out as it is. */
static void write_escaped(FILE *out, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char letter = escape_letter(bytes[i]);
        if (letter)
            fprintf(out, "\\%c", letter);
        else
            fprintf(out, "\\x%02x", bytes[i]);
    }
}

static bool passes(enum escape_style style, const unsigned char *bytes, size_t length)
{
    if (length == 1 && style == ESCAPE_SCREEN && (bytes[0] == '\n' || bytes[0] == '\t' || bytes[0] == '\\'))
        return true;
    if (length == 1)
        return bytes[0] >= 0x20 && bytes[0] != 0x7f && bytes[0] != '\\';
    /* C1 controls, U+0080..U+009F: some terminals obey them */
    return length > 1 && !(length == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0);
}

void escape_write(FILE *out, enum escape_style style, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    size_t run = 0; /* where the bytes begin that can go out together */
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length(at + i, n - i);
        bool as_it_is = passes(style, at + i, length);
        length = length ? length : 1;
        if (!as_it_is) {
            fwrite(at + run, 1, i - run, out);
            write_escaped(out, at + i, length);
            run = i + length;
        }
        i += length;
    }
    if (run < n)
        fwrite(at + run, 1, n - run, out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The escape behind a backslash.  Returns how many characters it has, 0 = none. */
static size_t read_escape(const char *text, size_t n, char *ret_byte)
{
    if (n >= 3 && text[0] == 'x' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
        *ret_byte = (char)(hex_digit(text[1]) * 16 + hex_digit(text[2]));
        return 3;
    }
    const char *letters = "tnr\\", *bytes = "\t\n\r\\";
    const char *found = n && text[0] ? strchr(letters, text[0]) : NULL;
    if (!found)
        return 0;
    *ret_byte = bytes[found - letters];
    return 1;
}

bool unescape(char *text, size_t n, size_t *ret_n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        char byte = text[i];
        if (byte == '\\') {
            size_t used = read_escape(text + i + 1, n - i - 1, &byte);
            if (used == 0)
                return false;
            i += used;
        }
        text[kept++] = byte;
    }
    *ret_n = kept;
    return true;
}

/* How JSON writes the character at bytes[0]; 0 = as it is.  *ret_length: its bytes. */
static unsigned json_escape(const unsigned char *bytes, size_t n, size_t *ret_length)
{
    *ret_length = 1;
    if (bytes[0] < 0x20 || bytes[0] == 0x7f || bytes[0] == '"' || bytes[0] == '\\')
        return bytes[0] ? bytes[0] : 0x10000;
    if (bytes[0] == 0xc2 && n > 1 && bytes[1] < 0xa0) {
        *ret_length = 2; /* C1 controls: some terminals obey them */
        return bytes[1];
    }
    return 0;
}

void json_string_write(FILE *out, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    size_t run = 0, length;
    putc('"', out);
    for (size_t i = 0; i < n; i += length) {
        unsigned escaped = json_escape(at + i, n - i, &length);
        if (!escaped)
            continue;
        fwrite(at + run, 1, i - run, out);
        run = i + length;
        char letter = escaped < 0x80 ? escape_letter((unsigned char)escaped) : 0;
        if (letter || escaped == '"')
            fprintf(out, "\\%c", letter ? letter : '"');
        else
            fprintf(out, "\\u%04x", escaped & 0xffff);
    }
    if (run < n)
        fwrite(at + run, 1, n - run, out);
    putc('"', out);
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_write(FILE *out, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0) | (left > 2 ? at[i + 2] : 0);
        putc(base64_digits[bits >> 18], out);
        putc(base64_digits[bits >> 12 & 63], out);
        putc(left > 1 ? base64_digits[bits >> 6 & 63] : '=', out);
        putc(left > 2 ? base64_digits[bits & 63] : '=', out);
    }
}

bool base64_read(const char *text, size_t text_n, unsigned char *ret_bytes, size_t *ret_n)
{
    if (text_n % 4)
        return false;
    size_t pads = text_n && text[text_n - 1] == '=' ? (text[text_n - 2] == '=' ? 2 : 1) : 0;
    size_t n = 0;
    for (size_t i = 0; i < text_n; i += 4) {
        uint32_t bits = 0;
        for (size_t j = i; j < i + 4; j++) {
            const char *digit = j >= text_n - pads ? base64_digits
                                : text[j]          ? memchr(base64_digits, text[j], 64)
                                                   : NULL;
            if (!digit)
                return false;
            bits = bits << 6 | (uint32_t)(digit - base64_digits);
        }
        ret_bytes[n++] = (unsigned char)(bits >> 16);
        ret_bytes[n++] = (unsigned char)(bits >> 8);
        ret_bytes[n++] = (unsigned char)bits;
    }
    /* the bits under the padding must be zero: each value has one spelling */
    for (; pads > 0; pads--)
        if (ret_bytes[--n] != 0)
            return false;
    *ret_n = n;
    return true;
}
