/* SPDX-License-Identifier: MIT */
#include "fuzz/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/breach.h"

FILE *text_begin(struct text *text)
{
    *text = (struct text){ 0 };
    text->out = open_memstream(&text->bytes, &text->n);
    hold(text->out != NULL, "memory");
    return text->out;
}

void text_end(struct text *text) { hold(fclose(text->out) == 0, "memory"); }
void text_free(struct text *text) { free(text->bytes); }

char *text_copy(const void *bytes, size_t n, bool terminated)
{
    char *copy = malloc(n + terminated + (n == 0 && !terminated));
    hold(copy != NULL, "memory");
    if (n > 0)
        memcpy(copy, bytes, n);
    if (terminated)
        copy[n] = '\0';
    return copy;
}

/* The code point at bytes[0] by the table of the Unicode standard, not by the code under test; *ret_length 0: none. */
static uint32_t code_point(const uint8_t *bytes, size_t n, size_t *ret_length)
{
    uint8_t lead = bytes[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    static const uint8_t lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    *ret_length = 0;
    if (length == 0 || length > n)
        return 0;
    uint32_t point = lead & lead_bits[length];
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (bytes[i] & 0x3f);
    }
    if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return 0;
    *ret_length = length;
    return point;
}

bool text_is_harmless(const char *bytes, size_t n, bool lines)
{
    size_t length;
    for (size_t i = 0; i < n; i += length) {
        uint32_t point = code_point((const uint8_t *)bytes + i, n - i, &length);
        bool control = point < 0x20 || (point >= 0x7f && point < 0xa0);
        if (length == 0 || (control && !(lines && (point == '\n' || point == '\t'))))
            return false;
    }
    return true;
}
