/* SPDX-License-Identifier: MIT
 *
 * A segment damaged by an edit script (edit.h), and every call on it (use.h).
 */
#include <stdlib.h>

#include "fuzz/edit.h"
#include "fuzz/target.h"

static struct image images[IMAGE_KINDS];

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

static void use_edited(const uint8_t *script, size_t n, unsigned flags)
{
    struct findings findings = { 0 };
    struct damage damage;
    struct image *image;
    edit_run(images, script, n, &image, &damage);
    use_image(image, &damage, flags, &findings);
}

const char fuzz_target[] = "segment";

/* libFuzzer's: before it takes the time of an input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    images_make();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    images_make();
    use_edited(data, n, SHOAL_RDONLY);
    use_edited(data, n, 0);
    return 0;
}
