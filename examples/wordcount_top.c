/* SPDX-License-Identifier: MIT
 *
 * wordcount_top: opens the map that wordcount made, by its name, and reads it.
 *                                              wordcount_top MAP [N]      the N (20) most frequent words, check, stats
 *                                              wordcount_top MAP --all    all words, as `sort | uniq -c` writes them
 * Keys that are no words ("~bystander/3") are left out by their names.
 */
#include <inttypes.h>
#include <shoal/shoal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word {
    int64_t count;
    char *letters;
};

struct words {
    struct word *of;
    size_t n, room;
    uint64_t left_out;
    int64_t sum;
};

static void die(const char *what)
{
    fprintf(stderr, "wordcount_top: %s\n", what);
    exit(1);
}

static void *checked(void *allocated)
{
    if (!allocated)
        die("out of memory");
    return allocated;
}

static void keep(struct words *words, const struct shoal_item *item)
{
    if (item->type != SHOAL_I64 || item->value_bytes != sizeof(int64_t))
        die("a word whose value is no count");
    if (words->n == words->room) {
        words->room = words->room ? 2 * words->room : 1024;
        words->of = checked(realloc(words->of, words->room * sizeof *words->of));
    }
    struct word *word = &words->of[words->n++];
    memcpy(&word->count, item->value, sizeof word->count);
    word->letters = checked(strndup(item->key, item->key_bytes));
    words->sum += word->count;
}

static void read_words(struct shoal *map, struct words *words)
{
    struct shoal_iter *iter;
    struct shoal_item item;
    int code = shoal_iter_open(map, NULL, 0, &iter);
    if (code != SHOAL_OK)
        die(shoal_error_text());
    while ((code = shoal_iter_next(iter, &item)) == SHOAL_OK) {
        if (*(const char *)item.key == '~')
            words->left_out++;
        else
            keep(words, &item);
    }
    if (code != SHOAL_END)
        die(code < 0 ? shoal_error_text() : shoal_strerror(code));
    shoal_iter_close(iter);
}

static int by_letters(const void *a, const void *b)
{
    return strcmp(((const struct word *)a)->letters, ((const struct word *)b)->letters);
}

static int by_count(const void *a, const void *b)
{
    const struct word *left = a, *right = b;
    if (left->count != right->count)
        return left->count < right->count ? 1 : -1;
    return by_letters(a, b);
}

static void print_top(struct words *words, size_t n)
{
    qsort(words->of, words->n, sizeof *words->of, by_count);
    printf("%" PRId64 " words, %zu different (and %" PRIu64 " keys of the bystander); the most frequent:\n", words->sum,
           words->n, words->left_out);
    for (size_t i = 0; i < n && i < words->n; i++)
        printf("%12" PRId64 " %s\n", words->of[i].count, words->of[i].letters);
}

static void print_check(struct shoal *map)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    int code = shoal_check(map, &report);
    printf("check       %" PRIu64 " problems%s%s\n", report.problems, *report.text ? ": " : "", report.text);
    printf("            groups %" PRIu64 ", slots live %" PRIu64 ", tentative %" PRIu64 "; counted %" PRIu64 ", %s\n",
           report.groups, report.slots_live, report.slots_tentative, report.counted,
           report.quiet ? "nobody wrote meanwhile" : "others wrote meanwhile");
    printf("            blocks %" PRIu64 ": live %" PRIu64 ", free %" PRIu64 ", owned %" PRIu64 ", retired %" PRIu64
           ", unreferenced %" PRIu64 "\n",
           report.blocks, report.blocks_live, report.blocks_free, report.blocks_owned, report.blocks_retired,
           report.unreferenced);
    if (code != SHOAL_OK)
        die(shoal_error_text());
}

static void print_stats(struct shoal *map)
{
    struct shoal_stats stats = SHOAL_STATS_INIT;
    if (shoal_stats(map, &stats) != SHOAL_OK)
        die(shoal_error_text());
    printf("stats       keys %" PRIu64 " of %" PRIu64 " that fit; slots %" PRIu64 "; segment %" PRIu64 " bytes\n",
           stats.count, stats.capacity, stats.slots, stats.segment_bytes);
    printf("            heap %" PRIu64 " = live %" PRIu64 " + free %" PRIu64 " + owned %" PRIu64 " + retired %" PRIu64
           " + dead %" PRIu64 " + overhead %" PRIu64 "\n",
           stats.heap_bytes, stats.live_bytes, stats.free_bytes, stats.owned_bytes, stats.retired_bytes,
           stats.dead_bytes, stats.overhead_bytes);
    printf("            writes %" PRIu64 ", deletes %" PRIu64 "; attached %u, dead %u; reaped %" PRIu64
           ", healed %" PRIu64 "\n",
           stats.writes, stats.deletes, stats.attached, stats.dead, stats.reaped, stats.healed);
    if (stats.heap_bytes != stats.live_bytes + stats.free_bytes + stats.owned_bytes + stats.retired_bytes +
                                stats.dead_bytes + stats.overhead_bytes)
        die("the heap's bytes do not add up");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: wordcount_top MAP [N | --all]\n");
        return 2;
    }
    struct shoal *map;
    struct words words = { 0 };
    if (shoal_open(argv[1], SHOAL_RDONLY, &map) != SHOAL_OK)
        die(shoal_error_text());
    read_words(map, &words);
    if (argc > 2 && strcmp(argv[2], "--all") == 0) {
        qsort(words.of, words.n, sizeof *words.of, by_letters);
        for (size_t i = 0; i < words.n; i++)
            printf("%7" PRId64 " %s\n", words.of[i].count, words.of[i].letters);
    } else {
        print_top(&words, argc > 2 ? strtoul(argv[2], NULL, 10) : 20);
        print_check(map);
        print_stats(map);
    }
    for (size_t i = 0; i < words.n; i++)
        free(words.of[i].letters);
    free(words.of);
    shoal_close(map);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
