/* SPDX-License-Identifier: MIT
 *
 * A fuzz target as a plain test: the files of its corpus, then variants of them that a seed fixes.  A breach, a signal
 * or a hang ends the process; the round is said, and runs again by itself.
 *
 *     fuzz_TARGET FOLDER [--rounds N] [--seed S] [--from ROUND]
 *     fuzz_TARGET FILE ...                                          inputs that a fuzzer left
 */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/target.h"
#include "lib/random.h"

#define INPUT_MAX 4096u
#define FILES_MAX 512u
#define CHANGES_MAX 6u
#define SECONDS_MAX 60 /* for one input, which takes a millisecond */

struct input {
    uint8_t bytes[INPUT_MAX];
    size_t n;
};

static struct input files[FILES_MAX];
static uint32_t files_n;
static char where[512]; /* for the handler */

static void say_where(int signal_number)
{
    (void)!write(STDERR_FILENO, where, strlen(where));
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static void run(const struct input *input)
{
    /* Its very own memory, so that AddressSanitizer knows where it ends. */
    uint8_t *bytes = malloc(input->n > 0 ? input->n : 1);
    memcpy(bytes, input->bytes, input->n);
    (void)alarm(SECONDS_MAX);
    (void)LLVMFuzzerTestOneInput(bytes, input->n);
    (void)alarm(0);
    free(bytes);
}

/* -- The corpus ---------------------------------------------------------------------------------------- */

static bool file_read(const char *path)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL || files_n == FILES_MAX) {
        if (in != NULL)
            (void)fclose(in);
        return false;
    }
    files[files_n].n = fread(files[files_n].bytes, 1, INPUT_MAX, in);
    files_n++;
    (void)fclose(in);
    return true;
}

static int is_input(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* In the order of names: the same in every run. */
static bool folder_read(const char *path)
{
    struct dirent **list;
    int n = scandir(path, &list, is_input, alphasort);
    bool read = true;
    if (n < 0)
        return false;
    for (int i = 0; i < n; i++) {
        char file[1024];
        (void)snprintf(file, sizeof file, "%s/%s", path, list[i]->d_name);
        read = file_read(file) && read;
        free(list[i]);
    }
    free(list);
    return read;
}

/* -- Variants --------------------------------------------------------------------------------------------- */

static void insert(struct input *input, size_t at, const uint8_t *bytes, size_t n)
{
    if (input->n + n > INPUT_MAX)
        return;
    memmove(input->bytes + at + n, input->bytes + at, input->n - at);
    memcpy(input->bytes + at, bytes, n);
    input->n += n;
}

static void cut(struct input *input, size_t at, size_t n)
{
    memmove(input->bytes + at, input->bytes + at + n, input->n - at - n);
    input->n -= n;
}

static void change(struct input *input, uint64_t *random)
{
    static const uint8_t telling[] = { 0, 1, 0x7f, 0x80, 0xff, '\\', '\t', '\n', '"', '=', '{', '-', '9', 'K' };
    const struct input *other = &files[random_below(random, files_n)];
    uint32_t at = random_below(random, (uint32_t)input->n + 1), left = (uint32_t)input->n - at;
    uint8_t some[8];
    uint64_t word = random_next(random);
    memcpy(some, &word, sizeof some);
    switch (random_below(random, 6)) {
    case 0:
        if (left > 0)
            input->bytes[at] ^= (uint8_t)(1u << random_below(random, 8));
        break;
    case 1:
        if (left > 0)
            input->bytes[at] = telling[random_below(random, sizeof telling)];
        break;
    case 2:
        insert(input, at, some, 1 + random_below(random, 8));
        break;
    case 3:
        cut(input, at, left > 0 ? 1 + random_below(random, left < 8 ? left : 8) : 0);
        break;
    case 4:
        insert(input, at, telling + random_below(random, sizeof telling), 1);
        break;
    default:
        if (other->n > 0) {
            size_t from = random_below(random, (uint32_t)other->n);
            insert(input, at, other->bytes + from, 1 + random_below(random, (uint32_t)(other->n - from)));
        }
        break;
    }
}

/* Each round follows from the seed and its number alone. */
static void variant(uint64_t seed, uint64_t round, struct input *ret)
{
    uint64_t random = random_mix(seed * 1000003 + round);
    *ret = files[random_below(&random, files_n)];
    for (uint32_t i = 1 + random_below(&random, CHANGES_MAX); i > 0; i--)
        change(ret, &random);
}

int main(int argc, char **argv)
{
    uint64_t rounds = 0, seed = 1, from = 0;
    static const int fatal[] = { SIGABRT, SIGSEGV, SIGBUS, SIGALRM, SIGFPE, SIGILL };
    struct input input;
    for (int i = 1; i < argc; i++) {
        uint64_t *number = strcmp(argv[i], "--rounds") == 0 ? &rounds
                           : strcmp(argv[i], "--seed") == 0 ? &seed
                           : strcmp(argv[i], "--from") == 0 ? &from
                                                            : NULL;
        if (number != NULL && i + 1 < argc)
            *number = strtoull(argv[++i], NULL, 0);
        else if (!folder_read(argv[i]) && !file_read(argv[i]))
            return fprintf(stderr, "%s: cannot be read\n", argv[i]), 2;
    }
    if (files_n == 0)
        return fprintf(stderr, "usage: fuzz_%s FOLDER|FILE... [--rounds N] [--seed S] [--from N]\n", fuzz_target), 2;
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        (void)signal(fatal[i], say_where);
    for (uint32_t i = 0; i < files_n; i++) {
        (void)snprintf(where, sizeof where, "in file %u of the corpus\n", i);
        run(&files[i]);
    }
    for (uint64_t round = from; round < from + rounds; round++) {
        variant(seed, round, &input);
        (void)snprintf(where, sizeof where, "again: fuzz_%s FOLDER --seed %" PRIu64 " --from %" PRIu64 " --rounds 1\n",
                       fuzz_target, seed, round);
        run(&input);
    }
    printf("fuzz_%s: %u files, %" PRIu64 " variants of them, seed %" PRIu64 "\n", fuzz_target, files_n, rounds, seed);
    return 0;
}
