/* SPDX-License-Identifier: MIT
 *
 * The commands load and dump on a whole text: JSON lines or, where the first byte is odd, TSV.  What load must do is
 * told by the lines one by one: all records before the first line that is not valid, or does not fit, are stored, behind it
 * none or, where the map was full, those of its batch that found room, and the message has that line's number.  What dump
 * then writes loads into another map as the same.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "fuzz/guard.h"
#include "fuzz/target.h"
#include "fuzz/text.h"
#include "record.h"
#include "request.h"

const char fuzz_target[] = "load";

static char loaded[64], expected[64], reloaded[64], input[64];

static void files_remove(void)
{
    (void)shoal_unlink(loaded);
    (void)shoal_unlink(expected);
    (void)shoal_unlink(reloaded);
    (void)unlink(input);
}

static void names_make(void)
{
    long pid = (long)getpid();
    (void)snprintf(loaded, sizeof loaded, "/dev/shm/shoal-fuzz-%ld-loaded", pid);
    (void)snprintf(expected, sizeof expected, "/dev/shm/shoal-fuzz-%ld-expected", pid);
    (void)snprintf(reloaded, sizeof reloaded, "/dev/shm/shoal-fuzz-%ld-reloaded", pid);
    (void)snprintf(input, sizeof input, "/dev/shm/shoal-fuzz-%ld-input", pid);
    (void)atexit(files_remove);
}

/* What a heap takes depends on the order in which records come, up to a span for each size class in use (guarantee H):
 * a dump may have another order, and more classes than the smaller heap has spans. */
#define HEAP_BYTES (64u * 1024)
#define HEAP_IN_ANY_ORDER (1024u * 1024)

static struct shoal *map_make(const char *name, uint64_t heap_bytes)
{
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    options.capacity = 64;
    options.heap_bytes = heap_bytes;
    options.max_threads = 2;
    (void)unlink(name);
    hold(shoal_create(name, &options, &map) == 0, "%s", shoal_error_text());
    return map;
}

static void input_write(const char *bytes, size_t n)
{
    FILE *out = fopen(input, "wb");
    hold(out != NULL && fwrite(bytes, 1, n, out) == n && fclose(out) == 0, "%s", input);
}

/* A command with stdout and stderr caught. */
static int command(int (*run)(int, char **), const char *const *words, struct text *out, struct text *err)
{
    char *argv[8];
    int argc = 0;
    for (; words[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    argv[argc] = NULL;
    FILE *keep_out = stdout, *keep_err = stderr;
    stdout = text_begin(out);
    stderr = text_begin(err);
    int status = run(argc, argv);
    text_end(out);
    text_end(err);
    stdout = keep_out;
    stderr = keep_err;
    return status;
}

/* -- What load must do ---------------------------------------------------------------------------------- */

struct outcome {
    uint64_t line, records; /* the line that ends it, 0 = none */
    bool is_valid;          /* that line: it is a record, which could not be stored */
};

#define BATCH 64u /* lines that load stores by one call */

struct held {
    char *line;
    uint64_t number;
    struct record_read read;
};

struct by_hand {
    struct shoal *map;
    struct held held[BATCH];
    size_t held_n;
    uint64_t max_key_bytes, max_value_bytes;
    struct outcome outcome;
};

static bool put_held(const struct by_hand *by, const struct held *held)
{
    const struct record *record = &held->read.record;
    struct shoal_how how = SHOAL_HOW_INIT;
    how.type = record->type;
    return shoal_put_with(by->map, record->key, record->key_bytes, record->value, record->value_bytes, &how, NULL) == 0;
}

/* As one batch, then again from the first that was refused.  False: one is refused again, and ends the load. */
static bool batch_store(struct by_hand *by)
{
    size_t good = 0;
    for (size_t i = 0; i < by->held_n; i++)
        good += put_held(by, &by->held[i]) && good == i;
    while (good < by->held_n && put_held(by, &by->held[good]))
        good++;
    by->outcome.records += good;
    if (good < by->held_n) {
        by->outcome.line = by->held[good].number;
        by->outcome.is_valid = true;
    }
    for (size_t i = 0; i < by->held_n; i++) {
        record_read_end(&by->held[i].read);
        free(by->held[i].line);
    }
    by->held_n = 0;
    return by->outcome.line == 0;
}

/* False: it ends the load.  A record points into what it was read to, so that stays where it is. */
static bool line_store(struct by_hand *by, bool tsv, const char *bytes, size_t n, uint64_t number)
{
    struct held *held = &by->held[by->held_n];
    const struct record *record = &held->read.record;
    *held = (struct held){ .line = text_copy(bytes, n, false), .number = number };
    bool valid = tsv ? record_read_tsv(held->line, n, &held->read) : record_read_json(held->line, n, &held->read);
    if (valid && record->key_bytes - 1 < by->max_key_bytes && record->value_bytes <= by->max_value_bytes)
        return ++by->held_n < BATCH || batch_store(by);
    if (batch_store(by)) {
        hold(!valid || !put_held(by, held), "line %" PRIu64 " is stored, and larger than the map takes", number);
        by->outcome.line = number;
        by->outcome.is_valid = valid;
    }
    record_read_end(&held->read);
    free(held->line);
    return false;
}

static void load_by_hand(struct shoal *map, bool tsv, const char *bytes, size_t n, struct outcome *ret)
{
    static struct by_hand by;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    hold(shoal_stats(map, &stats) == 0, "%s", shoal_error_text());
    by = (struct by_hand){ .map = map, .max_key_bytes = stats.max_key_bytes, .max_value_bytes = stats.max_value_bytes };
    bool goes_on = true;
    for (uint64_t line = 1; n > 0 && goes_on; line++) {
        const char *end = memchr(bytes, '\n', n);
        size_t length = end ? (size_t)(end - bytes) : n, used = end ? length + 1 : n;
        goes_on = length == 0 || line_store(&by, tsv, bytes, length, line);
        bytes += used;
        n -= used;
    }
    if (goes_on)
        (void)batch_store(&by);
    *ret = by.outcome;
}

/* -- Comparing ---------------------------------------------------------------------------------------------- */

static uint64_t keys_of(struct shoal *map)
{
    uint64_t n;
    hold(shoal_count(map, SHOAL_EXACT, &n, NULL) == 0, "%s", shoal_error_text());
    return n;
}

/* Every record of a is b's, byte for byte, and there are no others. */
static void same_maps(const char *a_name, const char *b_name)
{
    struct shoal *a, *b;
    struct shoal_iter *iter;
    struct shoal_item item;
    struct shoal_view view;
    int rc;
    hold(shoal_open(a_name, SHOAL_RDONLY, &a) == 0 && shoal_open(b_name, SHOAL_RDONLY, &b) == 0, "%s",
         shoal_error_text());
    hold(keys_of(a) == keys_of(b), "%" PRIu64 " keys, not %" PRIu64, keys_of(a), keys_of(b));
    hold(shoal_iter_open(a, NULL, 0, &iter) == 0, "%s", shoal_error_text());
    while ((rc = shoal_iter_next(iter, &item)) == 0) {
        hold(shoal_view(b, item.key, item.key_bytes, &view) == 0, "a key of one map is not in the other");
        hold(view.type == item.type && view.bytes == item.value_bytes &&
                 memcmp(view.value, item.value, view.bytes) == 0,
             "one key, two values");
        shoal_view_end(&view);
    }
    hold(rc == SHOAL_END, "%s", shoal_error_text());
    shoal_iter_close(iter);
    shoal_close(a);
    shoal_close(b);
}

static void judge(const struct outcome *o, int status, const struct text *out, const struct text *err)
{
    char want[100];
    if (o->line == 0) {
        (void)snprintf(want, sizeof want, "%" PRIu64 " records\n", o->records);
        hold(status == EXIT_DONE && err->n == 0 && strcmp(out->bytes, want) == 0, "status %d: %s%s", status, out->bytes,
             err->bytes);
        return;
    }
    hold(status == (o->is_valid ? status : EXIT_USAGE) && status != EXIT_DONE, "line %" PRIu64 " ends with status %d",
         o->line, status);
    (void)snprintf(want, sizeof want, "-input: line %" PRIu64 ": ", o->line);
    hold(strstr(err->bytes, want) != NULL, "no number of line %" PRIu64 ": %s", o->line, err->bytes);
    (void)snprintf(want, sizeof want, "(%" PRIu64 " records before it are stored)", o->records);
    hold(strstr(err->bytes, want) != NULL, "not %s: %s", want, err->bytes);
    hold(text_is_harmless(err->bytes, err->n, true), "a terminal could obey the message");
}

static void dump_and_reload(bool tsv)
{
    const char *dump[] = { "shoal dump", tsv ? "--tsv" : "--json", loaded, NULL };
    const char *load[] = { "shoal load", tsv ? "--tsv" : "--json", reloaded, input, NULL };
    struct text out, err;
    hold(command(command_dump, dump, &out, &err) == EXIT_DONE, "dump: %s", err.bytes);
    input_write(out.bytes, out.n);
    text_free(&out);
    text_free(&err);
    if (!tsv) /* the text of load's answer would be JSON */
        load[1] = "--foreign";
    shoal_close(map_make(reloaded, HEAP_IN_ANY_ORDER));
    hold(command(command_load, load, &out, &err) == EXIT_DONE, "load of a dump: %s", err.bytes);
    text_free(&out);
    text_free(&err);
    same_maps(loaded, reloaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct outcome outcome;
    struct text out, err;
    if (n == 0)
        return 0;
    if (loaded[0] == '\0')
        names_make();
    guard_call("load and dump"); /* counted together */
    bool tsv = data[0] % 2 != 0;
    const char *load[] = { "shoal load", tsv ? "--tsv" : "--foreign", loaded, input, NULL };
    struct shoal *by_hand = map_make(expected, HEAP_BYTES);
    load_by_hand(by_hand, tsv, (const char *)data + 1, n - 1, &outcome);
    shoal_close(by_hand);
    shoal_close(map_make(loaded, HEAP_BYTES));
    input_write((const char *)data + 1, n - 1);
    int status = command(command_load, load, &out, &err);
    judge(&outcome, status, &out, &err);
    text_free(&out);
    text_free(&err);
    same_maps(expected, loaded);
    dump_and_reload(tsv);
    return 0;
}
