/* SPDX-License-Identifier: MIT */
#include "fuzz/store_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/breach.h"
#include "lib/random.h"
#include "shoal/shoal.h"
#include "store/board.h"
#include "store/pager.h"
#include "store/store.h"

#define KEYS_N 60u
#define LONG_VALUE (40u * PAGE_BYTES) /* in two runs, so with a list of them */
#define PART_VALUE (22u * PAGE_BYTES)
#define ROOM (LONG_VALUE + 8)
#define KEY_ROOM 5000u
#define WALK_MAX 100000u
enum { K_LIST = 3, K_RUN = 5, K_KEY = 7, K_BOTH = 9, K_PARTS = 50 }; /* from K_PARTS on: deleted again */

/* -- Contents ----------------------------------------------------------------------------------------------- */

static size_t key_of(uint32_t k, uint8_t to[KEY_ROOM])
{
    size_t n = (size_t)snprintf((char *)to, KEY_ROOM, "key %u", k);
    size_t wanted = k == K_KEY || k == K_BOTH ? 4500 : n;
    memset(to + n, 'k', wanted - n);
    return wanted;
}

static size_t value_of(uint32_t k, uint8_t *to)
{
    uint64_t random = random_mix(k);
    size_t n = k == K_LIST ? LONG_VALUE - 3 : k == K_RUN || k == K_BOTH ? 5000 : k >= K_PARTS ? PART_VALUE : k * 37 % 500;
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(random_next(&random) >> 5);
    return n;
}

enum was { WAS_PUT, WAS_DELETED, WAS_CHANGED };

/* -- Making it ------------------------------------------------------------------------------------------------ */

static void put(struct store *store, uint32_t k)
{
    static uint8_t key[KEY_ROOM], value[ROOM];
    size_t key_n = key_of(k, key), n = value_of(k, value);
    struct store_record record = { .key = key, .key_bytes = key_n, .value = value, .value_bytes = n,
                                   .type = (uint8_t)k, .expires_ns = k % 3 == 0, .mtime_ns = k % 2 };
    hold(store_put(store, &record, NULL) == 0, "%s", shoal_error_text());
}

static void del(struct store *store, uint32_t k)
{
    static uint8_t key[KEY_ROOM];
    hold(store_delete(store, key, key_of(k, key)) == 0, "%s", shoal_error_text());
}

static void commit(struct store *store) { hold(store_commit(store) == 0, "%s", shoal_error_text()); }

/* Stretches of free pages that are shorter than the long value; then the same contents under each of the three metas. */
static void fill(struct store *store)
{
    hold(store_lock(store, 1000) == 0, "%s", shoal_error_text());
    for (uint32_t k = 0; k < KEYS_N; k++)
        if (k != K_LIST)
            put(store, k);
    commit(store);
    for (uint32_t k = K_PARTS; k < KEYS_N; k += 2)
        del(store, k);
    commit(store);
    put(store, 0);
    commit(store);
    put(store, K_LIST);
    commit(store);
    for (uint32_t k = K_PARTS + 1; k < KEYS_N; k += 2)
        del(store, k);
    for (uint32_t i = 0; i < 4; i++) {
        put(store, 0);
        commit(store);
    }
    store_unlock(store);
}

static uint8_t *file_map(const struct store_image *image, const char *name, uint64_t *ret_n)
{
    char path[96];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", image->dir, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    hold(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
    *ret_n = (uint64_t)st.st_size;
    uint8_t *at = mmap(NULL, *ret_n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    hold(at != MAP_FAILED, "%s", strerror(errno));
    close(fd);
    return at;
}

static uint8_t *copy_of(const uint8_t *bytes, uint64_t n)
{
    uint8_t *copy = malloc(n);
    hold(copy != NULL, "memory");
    return memcpy(copy, bytes, n);
}

/* What damaged bytes may make the library ask for; sanitizers take terabytes for themselves, and refuse by themselves. */
static void memory_limit(void)
{
#ifdef MEMORY_LIMITED
    const struct rlimit limit = { (rlim_t)4 << 30, (rlim_t)4 << 30 };
    hold(setrlimit(RLIMIT_AS, &limit) == 0, "%s", strerror(errno));
#endif
}

void store_image_make(struct store_image *image)
{
    struct store *store;
    uint64_t lock_n;
    bool has[PAGE_RUNS + 1] = { false };
    memory_limit();
    (void)snprintf(image->dir, sizeof image->dir, "/dev/shm/shoal-fuzz-%ld-store", (long)getpid());
    hold(store_open(image->dir, STORE_CREATE, &store) == 0, "%s", shoal_error_text());
    fill(store);
    store_close(store);
    image->bytes = file_map(image, "pages", &image->n);
    image->lock = file_map(image, "lock", &lock_n);
    hold(lock_n == BOARD_BYTES, "the lock file");
    image->sound = copy_of(image->bytes, image->n);
    image->lock_sound = copy_of(image->lock, BOARD_BYTES);
    for (uint64_t page = 0; page < image->n / PAGE_BYTES; page++)
        has[store_image_kind(image, page)] = true;
    for (int kind = PAGE_META; kind <= PAGE_RUNS; kind++)
        hold(has[kind], "no page of kind %d", kind);
}

static int file_of(const struct store_image *image, const char *name)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/%s", image->dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    hold(fd >= 0, "%s: %s", path, strerror(errno));
    return fd;
}

void store_image_cut(struct store_image *image, uint64_t bytes)
{
    int fd = file_of(image, "pages");
    hold(ftruncate(fd, (off_t)bytes) == 0, "%s", strerror(errno));
    close(fd);
}

/* The lock file is made anew, so that nothing of it is mapped by anybody. */
void store_image_restore(struct store_image *image, bool with_lock)
{
    char path[96];
    uint64_t n;
    store_image_cut(image, image->n);
    memcpy(image->bytes, image->sound, image->n);
    (void)snprintf(path, sizeof path, "%s/lock", image->dir);
    (void)munmap(image->lock, BOARD_BYTES);
    image->lock = NULL;
    (void)unlink(path);
    if (!with_lock)
        return;
    int fd = file_of(image, "lock");
    hold(write(fd, image->lock_sound, BOARD_BYTES) == BOARD_BYTES, "%s", strerror(errno));
    close(fd);
    image->lock = file_map(image, "lock", &n);
}

void store_image_free(struct store_image *image)
{
    static const char *const names[] = { "/pages", "/lock", "/pages.new", "" };
    char path[96];
    (void)munmap(image->bytes, image->n);
    if (image->lock != NULL)
        (void)munmap(image->lock, BOARD_BYTES);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", image->dir, names[i]);
        (void)remove(path);
    }
    free(image->sound);
    free(image->lock_sound);
}

/* By the sound bytes.  A free page may still have a head: it is as good as any to be damaged. */
uint8_t store_image_kind(const struct store_image *image, uint64_t page)
{
    struct page_head head;
    memcpy(&head, image->sound + page * PAGE_BYTES, sizeof head);
    return head.magic == PAGE_MAGIC && head.page == page && head.kind >= PAGE_META && head.kind <= PAGE_RUNS ? head.kind : 0;
}

void store_image_sign(struct store_image *image, uint64_t page)
{
    uint8_t *at = image->bytes + page * PAGE_BYTES;
    struct page_head *head = (struct page_head *)(void *)at;
    head->magic = PAGE_MAGIC;
    head->sum = page_sum(at);
}

/* -- Using it ---------------------------------------------------------------------------------------------------- */

struct use {
    struct store *store;
    enum store_trust trust;
    enum was was[KEYS_N];
    struct store_findings *findings;
};

static void judge(const struct use *u, int rc, const char *what)
{
    hold(rc == SHOAL_ECORRUPT || rc == SHOAL_ESTORE || rc == SHOAL_EVERSION || rc == SHOAL_EFULL ||
             (rc == SHOAL_EOS && u->trust == STORE_HARMLESS) || (rc == SHOAL_ETOOBIG && u->trust == STORE_HARMLESS),
         "%s: %d, %s", what, rc, shoal_error_text());
    hold(shoal_error_text()[0] != 0, "%s: without a text", what);
    u->findings->errors++;
}

static void get(const struct use *u, uint32_t k)
{
    static uint8_t key[KEY_ROOM], value[ROOM], expected[ROOM];
    struct store_record record;
    int rc = store_get(u->store, key, key_of(k, key), value, sizeof value, &record);
    if (rc < 0) {
        judge(u, rc, "get");
        return;
    }
    hold(rc == 0 || rc == SHOAL_MISSING || (u->trust == STORE_HARMLESS && (rc == SHOAL_SHORT || rc == SHOAL_CHANGED)),
         "get of key %u: %d", k, rc);
    if (u->trust == STORE_HARMLESS)
        return;
    hold((rc == SHOAL_MISSING) == (u->was[k] == WAS_DELETED), "key %u: %d", k, rc);
    if (rc != 0)
        return;
    size_t n = u->was[k] == WAS_CHANGED ? 1 : value_of(k, expected);
    hold(record.value_bytes == n, "key %u: %llu bytes", k, (unsigned long long)record.value_bytes);
    hold(u->was[k] == WAS_CHANGED ? value[0] == 'v' : memcmp(value, expected, n) == 0, "key %u: another value", k);
    u->findings->right++;
}

static void get_all(const struct use *u)
{
    for (uint32_t k = 0; k < KEYS_N; k++)
        get(u, k);
}

static void walk(const struct use *u)
{
    struct store_walk *walk;
    struct store_record record;
    uint64_t hash, n = 0, there = 0;
    int rc = store_walk_open(u->store, 0, &walk);
    if (rc != 0) {
        judge(u, rc, "walk_open");
        return;
    }
    while ((rc = store_walk_next(walk, &hash, &record)) == 0 && n < WALK_MAX)
        n++;
    store_walk_close(walk);
    for (uint32_t k = 0; k < KEYS_N; k++)
        there += u->was[k] != WAS_DELETED;
    if (rc < 0)
        judge(u, rc, "walk");
    else if (u->trust == STORE_EXACT)
        hold(rc == SHOAL_END && n == there, "a walk over %llu of %llu keys: %d", (unsigned long long)n,
             (unsigned long long)there, rc);
}

static void count_fault(void *arg, const struct store_fault *fault)
{
    uint64_t *n = arg;
    hold(fault->text[0] != 0 && memchr(fault->text, 0, sizeof fault->text) != NULL, "a fault without a text");
    (*n)++;
}

#define TOLD_MAX 32u /* faults that check tells of; more are only counted */

/* What was reported is never more than was found, and what lies under the present root is whole where nothing is. */
static bool check(const struct use *u)
{
    uint64_t told = 0, n = 0, errors = u->findings->errors;
    int rc = store_check(u->store, count_fault, &told, &n);
    hold(rc != SHOAL_EOS, "check: %s", shoal_error_text());
    hold(rc <= 0 && (rc != 0 || n == 0) && told == (n < TOLD_MAX ? n : TOLD_MAX), "check: %d, %llu faults, %llu told", rc,
         (unsigned long long)n, (unsigned long long)told);
    if (rc != 0)
        judge(u, rc, "check");
    u->findings->errors = errors;
    u->findings->reported += rc != 0;
    return rc == 0;
}

/* Gives up at the first error; what is committed counts. */
static void change(struct use *u)
{
    static uint8_t key[KEY_ROOM];
    enum was was[KEYS_N];
    int rc = store_lock(u->store, 1000);
    if (rc != 0) {
        judge(u, rc, "lock");
        return;
    }
    memcpy(was, u->was, sizeof was);
    for (uint32_t k = 0; k < KEYS_N && rc >= 0; k++) {
        size_t n = key_of(k, key);
        struct store_record record = { .key = key, .key_bytes = n, .value = "v", .value_bytes = 1 };
        if (k % 3 == 1)
            continue;
        rc = k % 3 == 0 ? store_put(u->store, &record, NULL) : store_delete(u->store, key, n);
        was[k] = k % 3 == 0 ? WAS_CHANGED : WAS_DELETED;
    }
    if (rc >= 0)
        rc = store_commit(u->store);
    if (rc >= 0)
        memcpy(u->was, was, sizeof was);
    else
        judge(u, rc, "change");
    u->findings->changed += rc >= 0;
    store_unlock(u->store);
}

void store_image_use(struct store_image *image, enum store_trust trust, bool read_only, struct store_findings *findings)
{
    struct use u = { .trust = trust, .findings = findings };
    for (uint32_t k = K_PARTS; k < KEYS_N; k++)
        u.was[k] = WAS_DELETED;
    int rc = store_open(image->dir, read_only ? STORE_RDONLY : 0, &u.store);
    if (rc != 0) {
        judge(&u, rc, "open");
        findings->refused++;
        return;
    }
    uint64_t errors = findings->errors;
    get_all(&u);
    walk(&u);
    bool sound = check(&u);
    hold(trust != STORE_EXACT || !sound || findings->errors == errors, "check finds nothing, and %llu calls failed",
         (unsigned long long)(findings->errors - errors));
    if (!read_only) {
        change(&u);
        get_all(&u);
        (void)check(&u);
    }
    store_close(u.store);
}
