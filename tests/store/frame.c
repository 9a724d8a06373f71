/* SPDX-License-Identifier: MIT */
#include "store/frame.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/random.h"
#include "store/file.h"

/* -- The machine ------------------------------------------------------------------------------------------ */

static uint8_t life;

int __real_file_boot(uint8_t ret_boot[FILE_BOOT_BYTES]);
int __wrap_file_boot(uint8_t ret_boot[FILE_BOOT_BYTES]);
int __wrap_file_boot(uint8_t ret_boot[FILE_BOOT_BYTES])
{
    int why = __real_file_boot(ret_boot);
    ret_boot[0] = (uint8_t)(ret_boot[0] + life);
    return why;
}

void machine_starts_again(void) { life++; }

/* -- Frame ------------------------------------------------------------------------------------------------ */

int frame_setup(void **state)
{
    struct frame *frame = calloc(1, sizeof *frame);
    frame->fds = fds_open();
    strcpy(frame->dir, "/dev/shm/shoal-store-XXXXXX"); /* where a flush costs nothing */
    assert_non_null(mkdtemp(frame->dir));
    (void)snprintf(frame->path, sizeof frame->path, "%s/store", frame->dir);
    *state = frame;
    return 0;
}

int frame_teardown(void **state)
{
    struct frame *frame = *state;
    frame_close(frame);
    if (chmod(frame->path, 0700) == 0)
        dir_clear(frame->path);
    dir_clear(frame->dir);
    (void)rmdir(frame->dir);
    assert_int_equal(fds_open(), frame->fds);
    free(frame);
    return 0;
}

struct store *frame_open(struct frame *frame)
{
    assert_null(frame->store);
    if (store_open(frame->path, STORE_CREATE, &frame->store) != 0)
        fail_msg("open: %s", shoal_error_text());
    return frame->store;
}

void frame_close(struct frame *frame)
{
    if (frame->store != NULL)
        store_close(frame->store);
    frame->store = NULL;
}

const char *frame_pages(const struct frame *frame)
{
    static char name[128];
    (void)snprintf(name, sizeof name, "%s/pages", frame->path);
    return name;
}

/* -- Contents --------------------------------------------------------------------------------------------- */

size_t key_make(uint32_t i, uint8_t to[KEY_ROOM])
{
    static const size_t long_ones[] = { 300, 1023, 1024, 1025, 4096, 4097, 65535 };
    uint64_t state = i;
    size_t n = i % 97 == 5 ? long_ones[i / 97 % 7] : 1 + random_below(&state, 40);
    for (size_t at = 0; at < n; at++)
        to[at] = (uint8_t)random_next(&state);
    return n < 5 ? (size_t)snprintf((char *)to, 8, "%u", i) : n; /* the short ones must differ */
}

void value_make(uint64_t seed, uint64_t bytes, uint8_t *to)
{
    uint64_t state = seed, word = 0;
    for (uint64_t at = 0; at < bytes; at++) {
        if (at % 8 == 0)
            word = random_next(&state);
        to[at] = (uint8_t)(word >> at % 8 * 8);
    }
}

void contents_put(struct contents *contents, struct store *store, uint32_t i, uint64_t seed, uint64_t bytes)
{
    uint8_t *key = malloc(KEY_ROOM), *value = malloc(bytes + 1);
    value_make(seed, bytes, value);
    struct store_record record = {
        .key = key, .key_bytes = key_make(i, key), .value = value, .value_bytes = bytes, .type = (uint8_t)seed,
        .expires_ns = seed % 3 == 0 ? (int64_t)seed : 0, .mtime_ns = seed % 2 == 0 ? (int64_t)i + 1 : 0,
    };
    uint64_t version = 0;
    if (store_put(store, &record, &version) != 0)
        fail_msg("put %u, %llu bytes: %s", i, (unsigned long long)bytes, shoal_error_text());
    assert_true(version > contents->key[i].version);
    contents->key[i].seed = seed;
    contents->key[i].bytes = bytes;
    contents->key[i].version = version;
    free(key);
    free(value);
}

void contents_delete(struct contents *contents, struct store *store, uint32_t i)
{
    uint8_t *key = malloc(KEY_ROOM);
    int rc = store_delete(store, key, key_make(i, key));
    if (rc != (contents->key[i].seed == 0 ? SHOAL_MISSING : 0))
        fail_msg("delete %u: %d, %s", i, rc, shoal_error_text());
    contents->key[i].seed = 0;
    free(key);
}

static void assert_record(const struct contents *contents, uint32_t i, const struct store_record *record,
                          const uint8_t *value)
{
    uint64_t seed = contents->key[i].seed, bytes = contents->key[i].bytes;
    uint8_t *expected = malloc(bytes + 1);
    value_make(seed, bytes, expected);
    assert_int_equal(record->value_bytes, bytes);
    if (memcmp(value, expected, bytes) != 0)
        fail_msg("key %u: another value", i);
    assert_int_equal(record->version, contents->key[i].version);
    assert_int_equal(record->type, (uint8_t)seed);
    assert_int_equal(record->expires_ns, seed % 3 == 0 ? (int64_t)seed : 0);
    assert_int_equal(record->mtime_ns, seed % 2 == 0 ? (int64_t)i + 1 : 0);
    free(expected);
}

static void assert_gets(struct store *store, const struct contents *contents, uint32_t i, const uint8_t *key, size_t n)
{
    struct store_record record;
    uint64_t bytes = contents->key[i].bytes;
    uint8_t *value = malloc(bytes + 1);
    value[bytes] = 0x5a;
    int rc = store_get(store, key, n, value, bytes, &record);
    if (rc != (contents->key[i].seed == 0 ? SHOAL_MISSING : 0))
        fail_msg("get %u: %d, %s", i, rc, shoal_error_text());
    if (rc == 0) {
        assert_record(contents, i, &record, value);
        assert_int_equal(value[bytes], 0x5a);
        if (bytes > 0)
            assert_int_equal(store_get(store, key, n, value, bytes - 1, &record), SHOAL_SHORT);
    }
    free(value);
}

/* Which key it is; keys_n: none of them. */
static uint32_t key_number(const struct contents *contents, const struct store_record *record, uint8_t *room)
{
    for (uint32_t i = 0; i < contents->keys_n; i++)
        if (key_make(i, room) == record->key_bytes && memcmp(room, record->key, record->key_bytes) == 0)
            return i;
    return contents->keys_n;
}

static void assert_walks(struct store *store, const struct contents *contents, uint8_t *room)
{
    struct store_walk *walk;
    struct store_record record;
    uint64_t hash, last = 0;
    uint32_t n = 0, present = 0;
    bool *met = calloc(contents->keys_n, sizeof *met);
    int rc;
    assert_int_equal(store_walk_open(store, 0, &walk), 0);
    while ((rc = store_walk_next(walk, &hash, &record)) == 0) {
        uint32_t i = key_number(contents, &record, room);
        assert_true(i < contents->keys_n && !met[i] && contents->key[i].seed != 0 && hash >= last);
        met[i] = true;
        last = hash;
        n++;
        uint8_t *value = malloc(record.value_bytes + 1);
        if (record.value != NULL)
            memcpy(value, record.value, record.value_bytes);
        else
            assert_int_equal(store_walk_value(walk, value, record.value_bytes), 0);
        assert_record(contents, i, &record, value);
        free(value);
    }
    if (rc != SHOAL_END)
        fail_msg("walk: %d, %s", rc, shoal_error_text());
    store_walk_close(walk);
    for (uint32_t i = 0; i < contents->keys_n; i++)
        present += contents->key[i].seed != 0;
    assert_int_equal(n, present);
    free(met);
}

static void tell(void *arg, const struct store_fault *fault)
{
    (void)arg;
    print_error("page %llu: %s\n", (unsigned long long)fault->page, fault->text);
}

void assert_store_sound(struct store *store)
{
    uint64_t faults_n = 0;
    int rc = store_check(store, tell, NULL, &faults_n);
    if (rc != 0)
        fail_msg("check: %d, %s", rc, shoal_error_text());
    assert_int_equal(faults_n, 0);
    struct store_stat stat;
    assert_int_equal(store_stat(store, &stat), 0);
    assert_true(stat.free_n < stat.pages_n && stat.held_n < stat.pages_n && stat.free_n + stat.held_n < stat.pages_n);
}

void assert_contents(struct store *store, const struct contents *contents)
{
    uint8_t *room = malloc(KEY_ROOM);
    for (uint32_t i = 0; i < contents->keys_n; i++) {
        size_t n = key_make(i, room);
        assert_gets(store, contents, i, room, n);
    }
    assert_walks(store, contents, room);
    assert_store_sound(store);
    free(room);
}

void assert_store_refused(int rc, int code, const char *part)
{
    if (rc != code)
        fail_msg("%d, not %d: %s", rc, code, shoal_error_text());
    assert_text_has(part);
}
