/* SPDX-License-Identifier: MIT
 *
 * What it costs to open a store, by size: calls on its files and bytes that they read (tests/lib/count_calls.h), and
 * whether every record is there again, read-write and read-only.
 *
 *   shoal-store-open DIRECTORY VALUE_BYTES RECORDS...      a line of CSV for each; DIRECTORY/store is made and removed
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "keyset.h"
#include "lib/count_calls.h"
#include "store/store.h"

#define LOCK_MS 10000
#define WRITES_PER_COMMIT 1000000u
#define VALUE_MAX 4096u

static int failed(const char *what, int code)
{
    fprintf(stderr, "shoal-store-open: %s: %d (%s)\n", what, code, shoal_error_text());
    return -1;
}

static double clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void key_of(uint64_t i, uint64_t key[2])
{
    key[0] = i * 0x9e3779b97f4a7c15u;
    key[1] = i;
}

static int fill(const char *path, uint64_t n, size_t value_bytes)
{
    static char value[VALUE_MAX];
    struct store *store;
    int code = store_open(path, STORE_CREATE, &store);
    if (code != 0)
        return failed("open", code);
    code = store_lock(store, LOCK_MS);
    for (uint64_t i = 0; i < n && code == 0; i++) {
        uint64_t key[2];
        key_of(i, key);
        keyset_value((const char *)key, 1, value, value_bytes);
        const struct store_record record = { .key = key, .key_bytes = sizeof key, .value = value, .value_bytes = value_bytes };
        code = store_put(store, &record, NULL);
        if (code == 0 && (i + 1) % WRITES_PER_COMMIT == 0)
            code = store_publish(store);
    }
    if (code == 0)
        code = store_commit(store);
    store_close(store);
    return code == 0 ? 0 : failed("fill", code);
}

struct opened {
    struct calls calls;
    double seconds; /* up to the first record */
};

/* The last one is not closed: *ret_store. */
static int open_counted(const char *path, unsigned flags, struct opened *ret, struct store **ret_store)
{
    char value[VALUE_MAX];
    struct store_record record;
    uint64_t key[2];
    double start = clock_s();
    memset(&calls, 0, sizeof calls);
    int code = store_open(path, flags, ret_store);
    ret->calls = calls;
    key_of(0, key);
    if (code == 0)
        code = store_get(*ret_store, key, sizeof key, value, sizeof value, &record);
    ret->seconds = clock_s() - start;
    return code == 0 ? 0 : failed("reopen", code);
}

/* How many are not there, or not what they were. */
static uint64_t compare(struct store *store, uint64_t n, size_t value_bytes)
{
    char value[VALUE_MAX];
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct store_record record;
        uint64_t key[2];
        key_of(i, key);
        wrong += store_get(store, key, sizeof key, value, sizeof value, &record) != 0 || record.value_bytes != value_bytes ||
                 !keyset_value_ok((const char *)key, value, value_bytes);
    }
    return wrong;
}

static int measure(const char *path, uint64_t n, size_t value_bytes)
{
    static const struct { const char *name; unsigned flags; } ways[] = { { "read-write", 0 }, { "read-only", STORE_RDONLY } };
    if (fill(path, n, value_bytes) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        struct opened opened;
        struct store *store;
        struct store_stat stat;
        if (open_counted(path, ways[i].flags, &opened, &store) != 0)
            return -1;
        double start = clock_s();
        uint64_t wrong = compare(store, n, value_bytes);
        double seconds = clock_s() - start;
        int code = store_stat(store, &stat);
        store_close(store);
        if (code != 0)
            return failed("stat", code);
        printf("%s,%" PRIu64 ",%zu,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.6f,%" PRIu64 ",%" PRIu64 ",%.2f\n",
               ways[i].name, n, value_bytes, opened.calls.n, opened.calls.reads, opened.calls.read_bytes / 4096,
               stat.file_bytes, opened.seconds, stat.records_n, wrong, seconds);
        fflush(stdout);
        if (wrong > 0 || stat.records_n != n)
            return failed("compare", 0);
    }
    return 0;
}

static void clear(const char *path)
{
    static const char *const names[] = { "pages", "lock", "pages.new" };
    char name[300];
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(name, sizeof name, "%s/%s", path, names[i]);
        unlink(name);
    }
    rmdir(path);
}

int main(int argc, char **argv)
{
    char path[256];
    if (argc < 4 || strtoull(argv[2], NULL, 10) < KEYSET_VALUE_MIN || strtoull(argv[2], NULL, 10) > VALUE_MAX) {
        fprintf(stderr, "usage: shoal-store-open DIRECTORY VALUE_BYTES RECORDS...\n");
        return 2;
    }
    snprintf(path, sizeof path, "%.200s/store", argv[1]);
    clear(path);
    printf("open,records,value_bytes,calls,reads,pages_read,file_bytes,seconds_to_first_record,records_found,records_wrong,"
           "seconds_to_compare\n");
    int result = 0;
    for (int i = 3; i < argc && result == 0; i++) {
        result = measure(path, strtoull(argv[i], NULL, 10), strtoull(argv[2], NULL, 10));
        clear(path);
    }
    return result == 0 ? 0 : 1;
}
