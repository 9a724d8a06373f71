/* SPDX-License-Identifier: MIT
 *
 * Bytes of the file that are not what was written (guarantee E): an error that names file and page, or what was there
 * before, never another value, a signal or a hang.
 */
#include "store/frame.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/random.h"
#include "store/pager.h"

#define KEYS_N 60u

/* -- A store with a page of each kind ------------------------------------------------------------- */

struct reference {
    struct contents *contents;
    uint8_t *bytes;
    size_t n;
};

/* Free pages in short stretches make a large value's runs need a list. */
static void fill(struct frame *frame, struct contents *contents)
{
    struct store *store = frame_open(frame);
    assert_int_equal(store_lock(store, 1000), 0);
    for (uint32_t i = 0; i < KEYS_N - 1; i++)
        contents_put(contents, store, i, i + 1, i * 37);
    assert_int_equal(store_commit(store), 0);
    contents_put(contents, store, 3, 4711, 5000);
    contents_delete(contents, store, 8);
    assert_int_equal(store_commit(store), 0);
    store_unlock(store);
    frame_close(frame);
}

static struct reference reference_make(struct frame *frame)
{
    struct reference it = { .contents = calloc(1, sizeof *it.contents) };
    it.contents->keys_n = KEYS_N;
    fill(frame, it.contents);
    FILE *file = fopen(frame_pages(frame), "rb");
    assert_non_null(file);
    struct stat st;
    assert_int_equal(fstat(fileno(file), &st), 0);
    it.n = (size_t)st.st_size;
    it.bytes = malloc(it.n);
    assert_int_equal(fread(it.bytes, 1, it.n, file), it.n);
    fclose(file);
    return it;
}

static void reference_free(struct reference *it)
{
    free(it->contents);
    free(it->bytes);
}

static void write_at(struct frame *frame, size_t at, const void *bytes, size_t n)
{
    int file = open(frame_pages(frame), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(file, bytes, n, (off_t)at), n);
    close(file);
}

/* As it was made, with nothing left of what was done to it. */
static void restore(struct frame *frame, const struct reference *it)
{
    char lock_name[128];
    (void)snprintf(lock_name, sizeof lock_name, "%s/lock", frame->path);
    (void)unlink(lock_name);
    assert_int_equal(truncate(frame_pages(frame), (off_t)it->n), 0);
    write_at(frame, 0, it->bytes, it->n);
}

/* -- What a damaged store may answer -------------------------------------------------------------- */

static void assert_code(int rc, const char *what)
{
    if (rc != SHOAL_ECORRUPT && rc != SHOAL_ESTORE && rc != SHOAL_EVERSION)
        fail_msg("%s: %d, %s", what, rc, shoal_error_text());
    assert_text_has("pages");
}

/* Each key has its value, or the answer is an error.  How many errors. */
static int read_all(struct store *store, const struct contents *contents)
{
    static uint8_t key[KEY_ROOM], value[8192], expected[8192];
    int errors = 0;
    for (uint32_t i = 0; i < contents->keys_n; i++) {
        struct store_record record;
        int rc = store_get(store, key, key_make(i, key), value, sizeof value, &record);
        if (rc < 0) {
            assert_code(rc, "get");
            errors++;
            continue;
        }
        assert_int_equal(rc, contents->key[i].seed == 0 ? SHOAL_MISSING : 0);
        if (rc != 0)
            continue;
        assert_int_equal(record.value_bytes, contents->key[i].bytes);
        value_make(contents->key[i].seed, record.value_bytes, expected);
        assert_memory_equal(value, expected, record.value_bytes);
    }
    return errors;
}

static int walk_all(struct store *store)
{
    struct store_walk *walk;
    struct store_record record;
    uint64_t hash;
    int rc, n = 0;
    assert_int_equal(store_walk_open(store, 0, &walk), 0);
    while ((rc = store_walk_next(walk, &hash, &record)) == 0)
        assert_true(n++ < (int)KEYS_N);
    store_walk_close(walk);
    if (rc != SHOAL_END)
        assert_code(rc, "walk");
    return rc != SHOAL_END;
}

/* Changes may fail, and then are given up; what they do not meet they may do. */
static void change_all(struct store *store)
{
    static uint8_t key[KEY_ROOM];
    int rc = store_lock(store, 1000);
    if (rc != 0) {
        assert_code(rc, "lock");
        return;
    }
    for (uint32_t i = 0; i < KEYS_N && rc >= 0; i += 3)
        rc = store_put(store, &(struct store_record){ .key = key, .key_bytes = key_make(i, key), .value = "v",
                                                      .value_bytes = 1 }, NULL);
    if (rc == 0)
        rc = store_publish(store);
    if (rc < 0)
        assert_code(rc, "put");
    store_unlock(store);
}

/* How many of the answers were errors; those of store_check, which sees everything, at least. */
static int use_damaged(struct frame *frame, const struct contents *contents, bool change)
{
    uint64_t faults_n = 0;
    int rc = store_open(frame->path, 0, &frame->store);
    if (rc != 0) {
        assert_code(rc, "open");
        return 1;
    }
    int errors = read_all(frame->store, contents) + walk_all(frame->store);
    rc = store_check(frame->store, NULL, NULL, &faults_n);
    if (rc != 0)
        assert_code(rc, "check");
    if (rc == 0 && errors > 0)
        fail_msg("%d errors that check does not see", errors);
    if (change)
        change_all(frame->store);
    frame_close(frame);
    return rc != 0;
}

/* -- Tests --------------------------------------------------------------------------------------- */

/* A bit in every byte of each head and of each 97th byte behind it.  The last durable root is what counts in the machine's
 * next life, so most metas that are damaged leave an older one: then nothing is noticed, and nothing may be lost that the
 * older one does not lack too; here both of the newest are tried apart. */
static void a_flipped_bit_is_noticed(void **state)
{
    struct frame *frame = *state;
    struct reference it = reference_make(frame);
    int noticed = 0, tried = 0;
    for (size_t at = META_PAGES * (size_t)PAGE_BYTES; at < it.n; at += at % PAGE_BYTES < PAGE_HEAD_BYTES ? 1 : 97) {
        uint8_t bad = it.bytes[at] ^ (uint8_t)(1u << at % 8);
        write_at(frame, at, &bad, 1);
        noticed += use_damaged(frame, it.contents, at % 5 == 0);
        restore(frame, &it);
        tried++;
    }
    assert_true(noticed > tried / 4); /* the others lie in pages that are free */
    assert_int_equal(use_damaged(frame, it.contents, false), 0);
    reference_free(&it);
}

/* What is left of the file: every length in steps, and every page's edge. */
static void a_cut_file_is_noticed(void **state)
{
    struct frame *frame = *state;
    struct reference it = reference_make(frame);
    for (size_t n = 0; n < it.n; n += n % PAGE_BYTES == 0 ? 1 : n % PAGE_BYTES == 1 ? 511 : PAGE_BYTES - 512) {
        assert_int_equal(truncate(frame_pages(frame), (off_t)n), 0);
        (void)use_damaged(frame, it.contents, n % 3 == 0);
        restore(frame, &it);
    }
    restore(frame, &it);
    assert_int_equal(use_damaged(frame, it.contents, false), 0);
    reference_free(&it);
}

/* Sound pages in a wrong place: each page's bytes on each other one. */
static void a_misplaced_page_is_noticed(void **state)
{
    struct frame *frame = *state;
    struct reference it = reference_make(frame);
    size_t pages = it.n / PAGE_BYTES;
    for (size_t to = META_PAGES; to < pages; to++)
        for (size_t from = META_PAGES; from < pages; from += 1 + to % 3) {
            if (memcmp(it.bytes + from * PAGE_BYTES, it.bytes + to * PAGE_BYTES, PAGE_BYTES) == 0)
                continue;
            write_at(frame, to * PAGE_BYTES, it.bytes + from * PAGE_BYTES, PAGE_BYTES);
            (void)use_damaged(frame, it.contents, from % 7 == 0);
            restore(frame, &it);
        }
    assert_int_equal(use_damaged(frame, it.contents, false), 0);
    reference_free(&it);
}

/* Two stores' pages under one name: the other one's are not taken. */
static void another_stores_pages_are_noticed(void **state)
{
    struct frame *frame = *state;
    struct reference one = reference_make(frame);
    dir_clear(frame->path);
    struct reference two = reference_make(frame);
    size_t n = one.n < two.n ? one.n : two.n;
    int noticed = 0;
    for (size_t at = META_PAGES * (size_t)PAGE_BYTES; at + PAGE_BYTES <= n; at += PAGE_BYTES) {
        write_at(frame, at, one.bytes + at, PAGE_BYTES);
        noticed += use_damaged(frame, two.contents, false);
        restore(frame, &two);
    }
    assert_true(noticed > 10);
    reference_free(&one);
    reference_free(&two);
}

/* -- Lies with a right checksum ------------------------------------------------------------------------- */

#define ROUNDS 800
#define EDITS_MAX 3u
#define ANSWER_SECONDS 20

static uint64_t lie_about(uint64_t was, uint64_t neighbour, uint64_t *random)
{
    switch (random_below(random, 8)) {
    case 0: return 0;
    case 1: return ~(uint64_t)0;
    case 2: return neighbour;
    case 3: return was + 1;
    case 4: return was - 1;
    case 5: return was ^ (uint64_t)1 << random_below(random, 64);
    case 6: return was << 8 | (was & 0xff);
    default: return random_next(random);
    }
}

/* Words of one page, most of them at its begin, where its structure is. */
static void lie(uint8_t *page, uint64_t *random)
{
    for (uint32_t n = 1 + random_below(random, EDITS_MAX); n > 0; n--) {
        uint64_t word, next;
        size_t at = 8 * (size_t)random_below(random, random_below(random, 3) == 0 ? PAGE_BYTES / 8 - 1 : 40);
        memcpy(&word, page + at, 8);
        memcpy(&next, page + at + 8, 8);
        word = lie_about(word, next, random);
        memcpy(page + at, &word, 8);
    }
    struct page_head *head = (struct page_head *)(void *)page;
    head->magic = PAGE_MAGIC;
    head->sum = page_sum(page);
}

/* Any answer but one that the interface does not have. */
static void use_lying(struct frame *frame)
{
    static uint8_t key[KEY_ROOM], value[8192];
    uint64_t faults_n = 0;
    if (store_open(frame->path, 0, &frame->store) != 0)
        return;
    for (uint32_t i = 0; i < KEYS_N; i++) {
        struct store_record record;
        int rc = store_get(frame->store, key, key_make(i, key), value, sizeof value, &record);
        assert_true(rc <= SHOAL_SHORT && rc >= SHOAL_EOS);
    }
    struct store_walk *walk;
    struct store_record record;
    uint64_t hash;
    int n = 0;
    assert_int_equal(store_walk_open(frame->store, 0, &walk), 0);
    while (store_walk_next(walk, &hash, &record) == 0)
        assert_true(n++ < 1000000);
    store_walk_close(walk);
    (void)store_check(frame->store, NULL, NULL, &faults_n);
    if (store_lock(frame->store, 1000) == 0) {
        int rc = 0;
        for (uint32_t i = 0; i < KEYS_N && rc == 0; i++)
            rc = i % 3 == 0 ? store_delete(frame->store, key, key_make(i, key))
                            : store_put(frame->store, &(struct store_record){ .key = key, .key_bytes = key_make(i, key),
                                                                              .value = value, .value_bytes = i * 40 }, NULL);
        (void)store_commit(frame->store);
        store_unlock(frame->store);
    }
    frame_close(frame);
}

static void a_page_that_lies_does_no_harm(void **state)
{
    struct frame *frame = *state;
    struct reference it = reference_make(frame);
    uint8_t page[PAGE_BYTES];
    uint64_t random = 20;
    for (int round = 0; round < ROUNDS; round++) {
        size_t at = random_below(&random, (uint32_t)(it.n / PAGE_BYTES)) * (size_t)PAGE_BYTES;
        memcpy(page, it.bytes + at, PAGE_BYTES);
        if (((struct page_head *)(void *)page)->magic != PAGE_MAGIC)
            continue;
        lie(page, &random);
        write_at(frame, at, page, PAGE_BYTES);
        (void)alarm(ANSWER_SECONDS);
        use_lying(frame);
        (void)alarm(0);
        restore(frame, &it);
    }
    assert_int_equal(use_damaged(frame, it.contents, false), 0);
    reference_free(&it);
}

/* -- What the metas say of the zones --------------------------------------------------------------------- */

typedef void meta_lie(struct page_meta *meta);

static void more_zones(struct page_meta *meta) { meta->zones_n = META_INDICES * INDEX_ZONES; }
static void more_pages(struct page_meta *meta) { meta->pages_end = meta->zones_n * ZONE_PAGES + 1; }
static void no_index(struct page_meta *meta) { memset(meta->index, 0, sizeof meta->index); }

/* All of them, so that no older one counts. */
static void metas_lie(struct frame *frame, const struct reference *it, meta_lie *change)
{
    for (size_t at = 0; at < META_PAGES * (size_t)PAGE_BYTES; at += PAGE_BYTES) {
        struct page_meta meta;
        memcpy(&meta, it->bytes + at, sizeof meta);
        if (meta.head.magic != PAGE_MAGIC)
            continue;
        change(&meta);
        meta.head.sum = page_sum(&meta);
        write_at(frame, at, &meta, sizeof meta);
    }
}

/* Refused at once: no page is looked at for a fault. */
static void zones_that_are_nowhere_are_refused(void **state)
{
    meta_lie *const lies[] = { more_zones, more_pages, no_index };
    struct frame *frame = *state;
    struct reference it = reference_make(frame);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        uint64_t faults_n = 0;
        metas_lie(frame, &it, lies[i]);
        assert_int_equal(store_open(frame->path, STORE_RDONLY, &frame->store), 0);
        assert_int_equal(store_check(frame->store, NULL, NULL, &faults_n), SHOAL_ECORRUPT);
        assert_int_equal(faults_n, 0);
        assert_text_has("pages");
        frame_close(frame);
        restore(frame, &it);
    }
    assert_int_equal(use_damaged(frame, it.contents, false), 0);
    reference_free(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(a_flipped_bit_is_noticed),
        FRAME_TEST(a_cut_file_is_noticed),
        FRAME_TEST(a_misplaced_page_is_noticed),
        FRAME_TEST(another_stores_pages_are_noticed),
        FRAME_TEST(a_page_that_lies_does_no_harm),
        FRAME_TEST(zones_that_are_nowhere_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
