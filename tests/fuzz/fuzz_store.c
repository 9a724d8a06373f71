/* SPDX-License-Identifier: MIT
 *
 * A store damaged by an edit script, and every call on it.
 *
 *   byte 0   1: pages that are edited get the sum that belongs to them   2: the lock file counts   4: read-only
 *            8: the file is cut, at byte 1 * pages / 256
 *   byte 1
 *   then edits of 12 bytes: page (255: of the lock file), operation, word in the page (2), 8 bytes
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/breach.h"
#include "fuzz/store_image.h"
#include "fuzz/target.h"

#define EDIT_BYTES 12u
#define LOCK_PAGE 255u
enum { SIGN = 1, WITH_LOCK = 2, READ_ONLY = 4, CUT = 8 };
enum { SET, FLIP, ZERO, ONES, NEIGHBOUR, OFFSET, ADD, COPY_PAGE, OPERATIONS };

static struct store_image image;

static void image_remove(void) { store_image_free(&image); }

static void image_make(void)
{
    if (image.bytes != NULL)
        return;
    store_image_make(&image);
    (void)atexit(image_remove);
}

/* Pages with heads: where the others hold a value's bytes, one is as good as another. */
static uint64_t page_at(uint8_t i)
{
    uint64_t pages = image.n / PAGE_BYTES, heads = 0;
    for (uint64_t page = 0; page < pages; page++)
        heads += store_image_kind(&image, page) != 0;
    uint64_t wanted = i % (heads + 1), page = 0;
    if (wanted == heads)
        return pages - 1;
    for (;; page++)
        if (store_image_kind(&image, page) != 0 && wanted-- == 0)
            return page;
}

static void edit(const uint8_t *script, bool sign, bool with_lock)
{
    bool is_lock = script[0] == LOCK_PAGE && with_lock;
    uint64_t page = page_at(script[0]), word, operand;
    uint8_t *bytes = is_lock ? image.lock : image.bytes + page * PAGE_BYTES;
    size_t at = (size_t)(script[2] | script[3] << 8) % (PAGE_BYTES / 8) * 8;
    memcpy(&word, bytes + at, 8);
    memcpy(&operand, script + 4, 8);
    switch (script[1] % OPERATIONS) {
    case SET: word = operand; break;
    case FLIP: word ^= (uint64_t)1 << operand % 64; break;
    case ZERO: word = 0; break;
    case ONES: word = ~(uint64_t)0; break;
    case NEIGHBOUR: memcpy(&word, bytes + (at + 8) % PAGE_BYTES, 8); break;
    case OFFSET: word = at; break;
    case ADD: word += (uint64_t)(int8_t)script[4]; break;
    default:
        if (!is_lock)
            memcpy(bytes, image.sound + page_at(script[4]) * PAGE_BYTES, PAGE_BYTES);
        break;
    }
    if (script[1] % OPERATIONS != COPY_PAGE)
        memcpy(bytes + at, &word, 8);
    if (sign && !is_lock)
        store_image_sign(&image, page);
}

const char fuzz_target[] = "store";

/* libFuzzer's: before it takes the time of an input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    image_make();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct store_findings findings = { 0 };
    image_make();
    uint8_t how = n > 0 ? data[0] : 0, cut = n > 1 ? data[1] : 0;
    bool with_lock = (how & WITH_LOCK) != 0, harmless = (how & SIGN) != 0;
    store_image_restore(&image, with_lock);
    for (size_t at = 2; at + EDIT_BYTES <= n; at += EDIT_BYTES) {
        edit(data + at, (how & SIGN) != 0, with_lock);
        harmless = harmless || (data[at] == LOCK_PAGE && with_lock);
    }
    if (how & CUT)
        store_image_cut(&image, image.n * cut / 256);
    store_image_use(&image, harmless ? STORE_HARMLESS : STORE_EXACT, (how & READ_ONLY) != 0, &findings);
    return 0;
}
