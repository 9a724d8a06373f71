/* SPDX-License-Identifier: MIT
 *
 * What open must see by itself: files cut at every page and every byte of the header, longer ones, wiped ones, and
 * headers that lie under a checksum that is right.  Each is refused with a code and a text that names the file, and
 * nothing of it stays open or mapped; a lie that may be believed is lived with.
 *
 *     headers [--long]      every length of the file
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/guard.h"
#include "fuzz/use.h"

#define EVERY_BYTE_UP_TO 4200u /* the header, and what follows first */
#define BESIDE_A_PAGE 3u

static struct {
    uint64_t cut, longer, wiped, lies, believed, opens;
} counted;

/* -- Opening ---------------------------------------------------------------------------------------------- */

static uint32_t descriptors(void)
{
    uint32_t n = 0;
    DIR *list = opendir("/proc/self/fd");
    hold(list != NULL, "%s", strerror(errno));
    while (readdir(list) != NULL)
        n++;
    (void)closedir(list);
    return n;
}

static bool is_refusal(int rc) { return rc == SHOAL_ECORRUPT || rc == SHOAL_EVERSION; }

static void must_refuse(const struct image *image, const char *what, uint64_t where)
{
    for (int way = 0; way < 3; way++) {
        struct shoal *map = NULL;
        const struct shoal_options options = SHOAL_OPTIONS_INIT;
        int rc = way == 2 ? CALL(shoal_open_or_create(image->path, &options, 0, &map))
                          : CALL(shoal_open(image->path, way == 0 ? 0 : SHOAL_RDONLY, &map));
        hold(is_refusal(rc) && map == NULL, "%s %" PRIu64 ": open answered %d", what, where, rc);
        hold(strstr(shoal_error_text(), image->path) != NULL, "%s %" PRIu64 ": the text names no file: %s", what, where,
             shoal_error_text());
        counted.opens++;
    }
}

static void resize(const struct image *image, uint64_t n)
{
    hold(truncate(image->path, (off_t)n) == 0, "%s: %s", image->path, strerror(errno));
}

/* Truncating loses bytes: the mapping reaches them again once the file has its length. */
static void make_whole(const struct image *image)
{
    resize(image, image->n);
    memcpy(image->bytes, image->sound, image->n);
}

/* -- Lengths ------------------------------------------------------------------------------------------------- */

static void cut_at(const struct image *image, uint64_t n)
{
    const char *want = n == 0 ? "empty" : "truncated";
    resize(image, n);
    must_refuse(image, "cut at", n);
    hold(strstr(shoal_error_text(), want) != NULL, "cut at %" PRIu64 ": %s", n, shoal_error_text());
    counted.cut++;
}

static void cuts(const struct image *image, bool is_long)
{
    make_whole(image);
    for (uint64_t n = image->n - 1; n < image->n; n--) { /* downwards: what is left stays what it was */
        uint64_t rest = n % SEGMENT_PAGE;
        bool page = rest < BESIDE_A_PAGE || rest > SEGMENT_PAGE - BESIDE_A_PAGE;
        if (is_long || n < EVERY_BYTE_UP_TO || page)
            cut_at(image, n);
    }
    make_whole(image);
    static const uint64_t more[] = { 1, 7, 8, SEGMENT_PAGE - 1, SEGMENT_PAGE, 1u << 20 };
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        resize(image, image->n + more[i]);
        must_refuse(image, "longer by", more[i]);
        hold(strstr(shoal_error_text(), "longer") != NULL, "%s", shoal_error_text());
        counted.longer++;
    }
    make_whole(image);
}

static void wipe(const struct image *image, int byte, uint64_t n)
{
    make_whole(image);
    memset(image->bytes, byte, n);
    must_refuse(image, "wiped bytes", n);
    counted.wiped++;
}

static void wipes(const struct image *image)
{
    for (uint64_t n = 1; n <= image->n; n *= 2)
        wipe(image, 0, n);
    for (uint64_t n = 1; n <= image->n; n *= 2)
        wipe(image, 0xff, n);
    wipe(image, 0, image->n);
    wipe(image, 0xff, image->n);
    make_whole(image);
}

/* -- Lies ---------------------------------------------------------------------------------------------------- */

/* Words of the geometry that may hold anything of their kind: then a key may not be found, or a limit may be another
 * one.  A capacity may be any that leads to the same table. */
static bool may_be_any(uint64_t at)
{
    static const struct {
        size_t from, to;
    } fields[] = {
        { offsetof(struct geometry, capacity), offsetof(struct geometry, groups_n) },
        { offsetof(struct geometry, max_key_bytes), offsetof(struct geometry, features) + 4 },
        { offsetof(struct geometry, created_ns), offsetof(struct geometry, entries_n) },
        { offsetof(struct geometry, store_id), sizeof(struct geometry) },
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (at >= fields[i].from && at < fields[i].to)
            return true;
    return false;
}

/* The geometry's bytes from `at` on, as another word of 4 or 8 bytes, signed. */
static void lie(struct image *image, uint64_t at, const void *word, size_t bytes)
{
    uint8_t *to = image->bytes + offsetof(struct segment_header, geometry) + at;
    const struct damage damage = { .fixed = true };
    struct shoal *map;
    image_restore(image);
    if (memcmp(to, word, bytes) == 0)
        return;
    memcpy(to, word, bytes);
    image_sign(image);
    counted.lies++;
    if (CALL(shoal_open(image->path, SHOAL_RDONLY, &map)) != 0) {
        must_refuse(image, "lie at", at);
        return;
    }
    shoal_close(map);
    hold(may_be_any(at), "a lie at byte %" PRIu64 " of the geometry is believed", at);
    counted.believed++;
    for (unsigned flags = 0; flags <= SHOAL_RDONLY; flags++) {
        struct findings findings = { 0 };
        image_restore(image);
        memcpy(to, word, bytes);
        image_sign(image);
        use_image(image, &damage, flags, &findings);
    }
}

static void lies(struct image *image)
{
    const uint8_t *geometry = image->sound + offsetof(struct segment_header, geometry);
    for (uint64_t at = 0; at < sizeof(struct geometry); at += 4) {
        uint32_t was, beside;
        memcpy(&was, geometry + at, 4);
        memcpy(&beside, geometry + (at + 8) % sizeof(struct geometry), 4);
        const uint32_t some[] = { 0, UINT32_MAX, was + 1, was - 1, was * 2, was / 2, was ^ 0x80000000u, was + 4096,
                                  beside, (uint32_t)at };
        for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
            lie(image, at, &some[i], sizeof some[i]);
    }
    for (uint64_t at = 0; at + 8 <= sizeof(struct geometry); at += 8) {
        uint64_t was = image_word(geometry, at);
        const uint64_t some[] = { ~(uint64_t)0, was << 32, was + ((uint64_t)1 << 32), (uint64_t)1 << 63, INT64_MAX };
        for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
            lie(image, at, &some[i], sizeof some[i]);
    }
    image_restore(image);
}

int main(int argc, char **argv)
{
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    uint32_t before = descriptors();
    for (uint32_t kind = 0; kind < IMAGE_KINDS; kind++) {
        struct image image;
        image_make((enum image_kind)kind, &image);
        cuts(&image, is_long && kind < IMAGE_LARGE);
        wipes(&image);
        lies(&image);
        image_free(&image);
    }
    hold(descriptors() == before, "%u descriptors, %u before", descriptors(), before);
    printf("headers: cut at %" PRIu64 " lengths, longer %" PRIu64 ", wiped %" PRIu64 ", %" PRIu64 " lies, %" PRIu64
           " of them believed and lived with; %" PRIu64 " opens refused\n",
           counted.cut, counted.longer, counted.wiped, counted.lies, counted.believed, counted.opens);
    return 0;
}
