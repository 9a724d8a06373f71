/* SPDX-License-Identifier: MIT
 *
 * Every word of the pages of a small store damaged (guarantee E): each bit flipped, and replaced by 0, ~0, its neighbour,
 * its own offset; the file cut at each page; the words of the lock file likewise.  Sums are left as they were, or mended.
 *
 *     store_sweep [--long] [--seed N]
 *     store_sweep --page P --word W --how H --mode M      one image again; page -1: the lock file; how: 0..63 a bit
 *
 * By default each word has one bit flipped and one replacement, which the seed draws, in a mode that the seed draws.
 * --long: all of it in every mode.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/breach.h"
#include "fuzz/store_image.h"
#include "lib/random.h"

#define SECONDS_MAX 60 /* for one image, which takes a millisecond */
#define BITS 64u
#define WORDS (PAGE_BYTES / 8)
#define LOCK_WORDS 20u
#define LOCK_PAGE UINT64_MAX
enum { HOW_ZERO = BITS, HOW_ONES, HOW_NEIGHBOUR, HOW_OFFSET, HOWS };
enum { MODE_SIGN = 1, MODE_WITH_LOCK = 2, MODE_READ_ONLY = 4, MODES = 8 };

static struct store_image image;
static char where[128]; /* for the handler */

static struct {
    uint64_t images, cuts, lock_images;
    struct store_findings exact, harmless;
} count;

static void say_where(int signal_number)
{
    (void)!write(STDERR_FILENO, where, strlen(where));
    store_image_free(&image); /* not safe in a handler, but better than to leave it */
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static uint64_t replacement(const uint8_t *bytes, uint64_t at, uint32_t how)
{
    uint64_t was, next;
    memcpy(&was, bytes + at, 8);
    memcpy(&next, bytes + (at + 8) % PAGE_BYTES, 8);
    switch (how) {
    case HOW_ZERO: return 0;
    case HOW_ONES: return ~(uint64_t)0;
    case HOW_NEIGHBOUR: return next;
    case HOW_OFFSET: return at;
    default: return was ^ (uint64_t)1 << how;
    }
}

static void use(enum store_trust trust, uint32_t mode)
{
    (void)alarm(SECONDS_MAX);
    store_image_use(&image, trust, (mode & MODE_READ_ONLY) != 0, trust == STORE_EXACT ? &count.exact : &count.harmless);
    (void)alarm(0);
}

static void try_image(uint64_t page, uint64_t word, uint32_t how, uint32_t mode)
{
    bool is_lock = page == LOCK_PAGE;
    mode |= is_lock ? MODE_WITH_LOCK : 0;
    (void)snprintf(where, sizeof where, "again: store_sweep --page %" PRId64 " --word %" PRIu64 " --how %u --mode %u\n",
                   (int64_t)page, word, how, mode);
    store_image_restore(&image, (mode & MODE_WITH_LOCK) != 0);
    uint8_t *bytes = is_lock ? image.lock : image.bytes + page * PAGE_BYTES;
    uint64_t w = replacement(bytes, word * 8, how);
    if (memcmp(bytes + word * 8, &w, 8) == 0)
        return;
    memcpy(bytes + word * 8, &w, 8);
    bool sign = !is_lock && (mode & MODE_SIGN) != 0;
    if (sign)
        store_image_sign(&image, page);
    use(sign || is_lock ? STORE_HARMLESS : STORE_EXACT, mode);
    *(is_lock ? &count.lock_images : &count.images) += 1;
}

/* The kinds of damage that one word gets. */
static void try_word(uint64_t page, uint64_t word, bool is_long, uint64_t *random)
{
    for (uint32_t how = 0; how < HOWS && is_long; how++)
        for (uint32_t mode = 0; mode < MODES; mode++)
            try_image(page, word, how, mode);
    if (is_long)
        return;
    try_image(page, word, random_below(random, BITS), random_below(random, MODES));
    try_image(page, word, BITS + random_below(random, HOWS - BITS), random_below(random, MODES));
}

static void try_cuts(bool is_long)
{
    for (uint64_t page = 0; page < image.n / PAGE_BYTES; page++)
        for (uint32_t mode = MODE_WITH_LOCK & (uint32_t)page; mode < MODES; mode += is_long ? 2 : MODE_READ_ONLY) {
            (void)snprintf(where, sizeof where, "cut at page %" PRIu64 ", mode %u\n", page, mode);
            store_image_restore(&image, (mode & MODE_WITH_LOCK) != 0);
            store_image_cut(&image, page * PAGE_BYTES);
            use(STORE_EXACT, mode);
            count.cuts++;
        }
}

/* The sound image must come out sound, or the sweep proves nothing. */
static void try_sound(void)
{
    for (uint32_t mode = 0; mode < MODES; mode += MODE_WITH_LOCK) {
        struct store_findings none = { 0 };
        store_image_restore(&image, (mode & MODE_WITH_LOCK) != 0);
        store_image_use(&image, STORE_EXACT, (mode & MODE_READ_ONLY) != 0, &none);
        hold(none.refused + none.errors + none.reported == 0 && none.right > 0, "the sound image is damaged");
    }
}

static void sweep_all(bool is_long, uint64_t seed)
{
    uint64_t random = random_mix(seed);
    for (uint64_t page = 0; page < image.n / PAGE_BYTES; page++)
        for (uint64_t word = 0; word < WORDS && store_image_kind(&image, page) != 0; word++)
            try_word(page, word, is_long, &random);
    for (uint64_t page = 0; page < image.n / PAGE_BYTES; page++) /* values: one word of each page */
        if (store_image_kind(&image, page) == 0)
            try_word(page, random_below(&random, WORDS), false, &random);
    try_cuts(is_long);
    for (uint64_t word = 0; word < LOCK_WORDS; word++)
        for (uint32_t how = 0; how < HOWS; how++)
            try_image(LOCK_PAGE, word, how, (word + how) % 2 == 0 ? MODE_READ_ONLY : 0);
}

static void report(uint64_t seed)
{
    const struct store_findings *e = &count.exact, *h = &count.harmless;
    printf("store_sweep, seed %" PRIu64 ": %" PRIu64 " words damaged, %" PRIu64 " cuts, %" PRIu64 " words of the lock file\n",
           seed, count.images, count.cuts, count.lock_images);
    printf("sums as they were, or cut: %" PRIu64 " refused, %" PRIu64 " errors, %" PRIu64 " right answers, %" PRIu64
           " reported, %" PRIu64 " changed; sums mended: %" PRIu64 " refused, %" PRIu64 " errors, %" PRIu64
           " reported, %" PRIu64 " changed\n",
           e->refused, e->errors, e->right, e->reported, e->changed, h->refused, h->errors, h->reported, h->changed);
}

int main(int argc, char **argv)
{
    static const int fatal[] = { SIGABRT, SIGSEGV, SIGBUS, SIGALRM, SIGFPE, SIGILL };
    uint64_t seed = 1, page = 0, word = 0, how = HOWS, mode = 0;
    bool is_long = false;
    for (int i = 1; i < argc; i++) {
        uint64_t *number = strcmp(argv[i], "--seed") == 0   ? &seed
                           : strcmp(argv[i], "--page") == 0 ? &page
                           : strcmp(argv[i], "--word") == 0 ? &word
                           : strcmp(argv[i], "--how") == 0  ? &how
                           : strcmp(argv[i], "--mode") == 0 ? &mode
                                                            : NULL;
        if (strcmp(argv[i], "--long") == 0)
            is_long = true;
        else if (number != NULL && i + 1 < argc)
            *number = strtoull(argv[++i], NULL, 0);
        else
            return fprintf(stderr, "usage: store_sweep [--long] [--seed N] [--page P --word W --how H --mode M]\n"), 2;
    }
    store_image_make(&image);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        (void)signal(fatal[i], say_where);
    try_sound();
    if (how < HOWS && word < WORDS && (page == LOCK_PAGE || page < image.n / PAGE_BYTES))
        try_image(page, word, (uint32_t)how, (uint32_t)mode % MODES);
    else
        sweep_all(is_long, seed);
    store_image_free(&image);
    report(seed);
    return 0;
}
