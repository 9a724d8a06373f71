/* SPDX-License-Identifier: MIT
 *
 * Every bit of a small reference segment flipped, and every 8-byte word replaced by 0, ~0, its neighbour, its own
 * offset and one more: each image opened for reading and for writing, and every call made on it (use.h).
 *
 *     sweep KIND [--long] [--seed N] [--every N]     small, small-checked, large, large-checked; one of N words
 *     sweep KIND --at BYTE --how N                   one image again; N: 0 .. 63 a bit, then the replacements
 *
 * By default the words of the small segment that say where things are (header, attachments, table, spans, heads of
 * records) have each bit flipped, other words as many as the seed draws, and an image is opened in one of the two
 * ways, in turn.  --long: every bit of every word, both ways.  Of the large segments only those words are tried.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/guard.h"
#include "fuzz/use.h"
#include "lib/random.h"

#define SECONDS_MAX 120 /* for one image, which takes less than a millisecond */
#define BITS 64u
#define BITS_DRAWN 1u
#define BITS_DRAWN_STRUCTURE 8u
static_assert(SHOAL_RDONLY == 1, "the flags of the two opens are 0 and 1");
enum { HOW_ZERO = BITS, HOW_ONES, HOW_NEIGHBOUR, HOW_OFFSET, HOW_MORE, HOWS };

struct sweep {
    enum image_kind kind;
    bool is_long;
    uint64_t seed;
    uint64_t only_at, every;
    uint32_t only_how;
};

/* In shared memory: where the child is, and what it counted. */
struct board {
    uint64_t at, how;
    uint64_t flips, replaced, opens, steps;
    uint64_t words, words_whole; /* words tried; those with every bit */
    struct findings findings;
    char call[120];
};

static uint64_t replacement(const struct image *image, uint64_t at, uint32_t how)
{
    uint64_t was = image_word(image->sound, at);
    switch (how) {
    case HOW_ZERO:
        return 0;
    case HOW_ONES:
        return ~(uint64_t)0;
    case HOW_NEIGHBOUR:
        return image_word(image->sound, at + 8 < image->n ? at + 8 : at - 8);
    case HOW_OFFSET:
        return at;
    case HOW_MORE:
        return was + 1;
    default:
        return was ^ (uint64_t)1 << how;
    }
}

static void try_image(struct image *image, const struct sweep *sweep, struct board *board, uint64_t at, uint32_t how)
{
    bool both = sweep->is_long || sweep->only_at == at;
    struct damage damage = { .alone = true };
    uint64_t w = replacement(image, at, how);
    if (w == image_word(image->sound, at))
        return;
    board->at = at;
    board->how = how;
    for (unsigned flags = 0; flags <= SHOAL_RDONLY; flags += SHOAL_RDONLY) {
        if (!both && (at / 8 + how) % 2 != flags)
            continue;
        image_restore(image);
        memcpy(image->bytes + at, &w, 8);
        damage_add(&damage, image, at);
        (void)alarm(SECONDS_MAX);
        use_image(image, &damage, flags, &board->findings);
        board->opens++;
    }
    *(how < BITS ? &board->flips : &board->replaced) += 1;
}

static bool is_structure(const struct image *image, uint64_t at)
{
    static const enum region regions[] = { REGION_HEADER, REGION_ENTRIES, REGION_TABLE, REGION_SPANS };
    for (size_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        uint64_t from = region_at(image, regions[i], 0);
        if (at >= from && at < from + region_words(image, regions[i]) * 8)
            return true;
    }
    for (uint64_t i = 0; i < region_words(image, REGION_HEADS); i++)
        if (region_at(image, REGION_HEADS, i) == at)
            return true;
    return false;
}

static void try_word(struct image *image, const struct sweep *sweep, struct board *board, uint64_t at)
{
    uint64_t random = sweep->seed + at;
    bool structure = is_structure(image, at);
    uint32_t drawn = structure ? BITS_DRAWN_STRUCTURE : BITS_DRAWN;
    if (image->kind >= IMAGE_LARGE && !structure)
        return;
    bool whole = sweep->is_long || (structure && image->kind == IMAGE_SMALL);
    for (uint32_t bit = 0; bit < BITS && whole; bit++)
        try_image(image, sweep, board, at, bit);
    for (uint32_t i = 0; i < drawn && !whole; i++)
        try_image(image, sweep, board, at, random_below(&random, BITS));
    for (uint32_t how = BITS; how < HOWS; how++)
        try_image(image, sweep, board, at, how);
    board->words++;
    board->words_whole += whole;
}

/* The sound image must come out sound, or the sweep proves nothing. */
static void try_sound(struct image *image, struct board *board)
{
    const struct damage none = { .alone = true };
    for (unsigned flags = 0; flags <= SHOAL_RDONLY; flags += SHOAL_RDONLY) {
        struct findings findings = { 0 };
        image_restore(image);
        use_image(image, &none, flags, &findings);
        hold(findings.lost + findings.reported + findings.refused == 0, "the sound image is damaged");
    }
    (void)board;
}

static void sweep_all(const struct sweep *sweep, struct board *board)
{
    struct image image;
    image_make(sweep->kind, &image);
    try_sound(&image, board);
    if (sweep->only_at != UINT64_MAX)
        try_image(&image, sweep, board, sweep->only_at, sweep->only_how);
    for (uint64_t at = 0; at < image.n && sweep->only_at == UINT64_MAX; at += 8 * sweep->every)
        try_word(&image, sweep, board, at);
    const char *call;
    board->steps = guard_most(&call);
    (void)snprintf(board->call, sizeof board->call, "%s", call);
    image_free(&image);
}

static int options_read(int argc, char **argv, struct sweep *ret)
{
    *ret = (struct sweep){ .kind = IMAGE_KINDS, .seed = 1, .only_at = UINT64_MAX, .every = 1 };
    for (int k = 0; argc > 1 && k < IMAGE_KINDS; k++)
        if (strcmp(argv[1], image_name((enum image_kind)k)) == 0)
            ret->kind = (enum image_kind)k;
    for (int i = 2; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--long") == 0)
            ret->is_long = true;
        else if (strcmp(argv[i], "--seed") == 0 && more)
            ret->seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--every") == 0 && more && (ret->every = strtoull(argv[++i], NULL, 0)) > 0)
            continue;
        else if (strcmp(argv[i], "--at") == 0 && more)
            ret->only_at = strtoull(argv[++i], NULL, 0) & ~(uint64_t)7;
        else if (strcmp(argv[i], "--how") == 0 && more)
            ret->only_how = (uint32_t)strtoul(argv[++i], NULL, 0) % HOWS;
        else
            return 2;
    }
    return ret->kind == IMAGE_KINDS ? 2 : 0;
}

static int report(const struct sweep *sweep, const struct board *b, int status)
{
    if (status != 0) {
        printf("failed at byte %" PRIu64 ", how %" PRIu64 ": status 0x%x (signal %d)\n"
               "again: sweep %s --at %" PRIu64 " --how %" PRIu64 "\n",
               b->at, b->how, (unsigned)status, WIFSIGNALED(status) ? WTERMSIG(status) : 0, image_name(sweep->kind),
               b->at, b->how);
        return 1;
    }
    printf("seed %" PRIu64 "; most accesses in a call: %" PRIu64 ", in %s\n", sweep->seed, b->steps, b->call);
    printf("sweep %s: %" PRIu64 " words, %" PRIu64 " of them bit by bit: %" PRIu64 " flips, %" PRIu64
           " replacements, %" PRIu64 " opens; %" PRIu64 " refused, %" PRIu64 " reported, %" PRIu64
           " keys lost, %" PRIu64 " beside them right\n",
           image_name(sweep->kind), b->words, b->words_whole, b->flips, b->replaced, b->opens, b->findings.refused,
           b->findings.reported, b->findings.lost, b->findings.kept);
    return 0;
}

int main(int argc, char **argv)
{
    struct sweep sweep;
    int status = 0;
    if (options_read(argc, argv, &sweep) != 0) {
        fprintf(stderr, "usage: sweep small|small-checked|large|large-checked [--long] [--seed N] [--every N] "
                        "[--at BYTE --how N]\n");
        return 2;
    }
    struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    hold(board != MAP_FAILED, "memory");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        sweep_all(&sweep, board);
        exit(0);
    }
    hold(waitpid(pid, &status, 0) == pid, "waitpid");
    char path[64]; /* a child that crashed has left its file */
    (void)snprintf(path, sizeof path, "/dev/shm/shoal-fuzz-%ld-%u", (long)pid, sweep.kind);
    (void)unlink(path);
    return report(&sweep, board, status);
}
