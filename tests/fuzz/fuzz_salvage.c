/* SPDX-License-Identifier: MIT
 *
 * A segment damaged by an edit script (edit.h), and cut, is salvaged: what is said to be verified is what a key was given,
 * and the file is as it was.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/edit.h"
#include "fuzz/guard.h"
#include "fuzz/target.h"

#define CUT_SHARE 4u /* of 255: one in so many inputs is cut, by its last byte */

static struct image images[IMAGE_KINDS];

struct taken {
    const struct image *image;
    bool fixed; /* the header was changed, and signed: checksums mean something else now */
    uint64_t n;
};

static void images_remove(void)
{
    for (uint32_t kind = 0; kind < IMAGE_KINDS; kind++)
        image_free(&images[kind]);
}

static void images_make(void)
{
    if (images[0].bytes != NULL)
        return;
    for (uint32_t kind = 0; kind < IMAGE_KINDS; kind++)
        image_make((enum image_kind)kind, &images[kind]);
    (void)atexit(images_remove);
}

/* KEYS_N was being put by one who died. */
static uint32_t key_find(const struct shoal_item *item)
{
    char key[KEY_ROOM];
    for (uint32_t k = 0; k <= KEYS_N; k++)
        if (key_make(k, key) == item->key_bytes && memcmp(key, item->key, item->key_bytes) == 0)
            return k;
    return UINT32_MAX;
}

static int take(const struct shoal_item *item, enum shoal_trust trust, void *arg)
{
    static uint8_t expected[VALUE_ROOM];
    struct taken *taken = arg;
    volatile uint8_t sum = 0; /* all of it can be read */
    for (size_t i = 0; i < item->key_bytes; i++)
        sum = (uint8_t)(sum ^ ((const uint8_t *)item->key)[i]);
    for (size_t i = 0; i < item->value_bytes; i++)
        sum = (uint8_t)(sum ^ ((const uint8_t *)item->value)[i]);
    taken->n++;
    if (trust == SHOAL_UNSURE || taken->fixed)
        return 0;
    uint32_t k = key_find(item);
    hold(k != UINT32_MAX, "a verified key of %zu bytes that nobody put", item->key_bytes);
    hold(item->value_bytes == value_bytes(taken->image, k), "key %u: a value of %zu bytes", k, item->value_bytes);
    key_value(taken->image, k, expected);
    hold(memcmp(item->value, expected, item->value_bytes) == 0, "key %u: another value", k);
    return 0;
}

const char fuzz_target[] = "salvage";

/* libFuzzer's: before it takes the time of an input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    images_make();
    return 0;
}

static void salvage(struct image *image, const struct damage *damage, unsigned flags)
{
    struct shoal_salvaged count = SHOAL_SALVAGED_INIT;
    struct taken taken = { image, damage->fixed, 0 };
    int rc = CALL(shoal_salvage(image->path, flags, take, &taken, &count));
    hold(rc == 0 || rc == SHOAL_ECORRUPT || rc == SHOAL_EVERSION || (rc == SHOAL_EINVAL && flags == 0), "salvage: %d, %s", rc,
         shoal_error_text());
    hold(rc != 0 || taken.n == count.named + count.loose + count.unsure, "counts");
    hold(rc == 0 || taken.n == 0, "%llu records of a refused file", (unsigned long long)taken.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct damage damage;
    struct image *image;
    images_make();
    edit_run(images, data, n, &image, &damage);
    uint8_t *as_edited = malloc(image->n);
    hold(as_edited != NULL, "memory");
    memcpy(as_edited, image->bytes, image->n);
    bool cut = n > 0 && data[n - 1] % CUT_SHARE == 0;
    uint64_t to = cut ? image->n * data[n - 1] / 256 : image->n;
    hold(truncate(image->path, (off_t)to) == 0, "truncate");
    for (unsigned flags = 0; flags <= SHOAL_UNVERIFIED; flags += SHOAL_UNVERIFIED)
        salvage(image, &damage, flags);
    hold(truncate(image->path, (off_t)image->n) == 0, "truncate");
    hold(memcmp(image->bytes, as_edited, to) == 0, "the file was changed");
    free(as_edited);
    return 0;
}
