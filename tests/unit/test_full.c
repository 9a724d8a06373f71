/* SPDX-License-Identifier: MIT
 *
 * Full: table, heap, attachment table, file system.  The text says which part, what was asked, what is
 * free and what would fit (guarantees G, H); nothing that was there is lost, and what is given back can be
 * used again.
 */
#include "unit/frame.h"
#include "unit/segment_image.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- What was there stays -------------------------------------------------------------------------- */

/* Key i holds `bytes` bytes that follow from i. */
static int put_filled(struct shoal *map, uint64_t i, size_t bytes)
{
    static uint8_t value[100000];
    fill_bytes(value, bytes, i);
    return shoal_put(map, &i, sizeof i, value, bytes);
}

/* 1 and a line where not (also for children). */
static int holds_filled(struct shoal *map, uint64_t i, size_t bytes)
{
    static uint8_t value[100000], got[100000];
    size_t n = 0;
    fill_bytes(value, bytes, i);
    CHECK(shoal_get(map, &i, sizeof i, got, sizeof got, &n) == 0);
    CHECK(n == bytes && memcmp(got, value, n) == 0);
    return 0;
}

static void assert_filled(struct shoal *map, uint64_t n, size_t bytes)
{
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(holds_filled(map, i, bytes), 0);
    uint64_t count = 0;
    assert_int_equal(shoal_count(map, 0, &count, NULL), 0);
    assert_int_equal(count, n);
}

/* -- Table ------------------------------------------------------------------------------------------- */

static uint64_t fill_table(struct frame *f, uint64_t capacity)
{
    struct shoal_options o = frame_options();
    o.capacity = capacity;
    o.heap_bytes = 1 << 20;
    struct shoal *map = frame_map(f, &o);
    uint64_t n = 0;
    int rc;
    while ((rc = put_filled(map, n, 20)) == 0)
        n++;
    assert_refused(rc, SHOAL_EFULL, "table full: no free slot in the 256 groups from group ");
    char text[96];
    (void)snprintf(text, sizeof text, "; capacity %llu, ", (unsigned long long)capacity);
    assert_text_has(text);
    (void)snprintf(text, sizeof text, "%llu slots, %llu keys", (unsigned long long)stats_of(map).slots,
                   (unsigned long long)n);
    assert_text_has(text);
    assert_true(n >= capacity);
    return n;
}

static int keep_it_full(struct shoal_change *change, void *arg)
{
    (void)arg;
    change->value = "x";
    change->value_bytes = 1;
    return SHOAL_STORE;
}

/* Every way to bring a new key in. */
static void assert_no_way_in(struct shoal *map, uint64_t key, const char *text)
{
    int64_t sum = 77;
    uint64_t version = 77;
    struct shoal_key keys = { &key, sizeof key };
    struct shoal_value values = { .value = "x", .bytes = 1 };
    struct shoal_result result;
    assert_refused(shoal_put(map, &key, sizeof key, "x", 1), SHOAL_EFULL, text);
    assert_refused(shoal_add(map, &key, sizeof key, "x", 1), SHOAL_EFULL, text);
    assert_refused(shoal_put_with(map, &key, sizeof key, "x", 1, NULL, &version), SHOAL_EFULL, text);
    assert_refused(shoal_incr(map, &key, sizeof key, 1, &sum), SHOAL_EFULL, text);
    assert_refused(shoal_update(map, &key, sizeof key, keep_it_full, NULL), SHOAL_EFULL, text);
    assert_refused(shoal_put_many(map, &keys, &values, 1, &result), SHOAL_EFULL, text);
    assert_true(sum == 77 && version == 77 && result.code == SHOAL_EFULL && result.version == 0);
    assert_int_equal(shoal_get(map, &key, sizeof key, NULL, 0, NULL), SHOAL_MISSING);
}

static void a_full_table(struct frame *f, uint64_t capacity)
{
    struct image image;
    struct snapshot before;
    uint64_t n = fill_table(f, capacity);
    image_open(&image, frame_path(f, "map"));
    snapshot_take(&before, &image);
    for (int i = 0; i < 300; i++)
        assert_no_way_in(f->map, n, "table full");
    assert_unchanged(&before);
    image_close(&image);
    assert_filled(f->map, n, 20);
    for (uint64_t i = 0; i < n; i++) /* keys that are there can still be written */
        assert_int_equal(put_filled(f->map, i, 20), 0);
    uint64_t gone = 0;
    while (put_filled(f->map, n, 20) == SHOAL_EFULL) { /* a slot where this key may lie */
        assert_int_equal(shoal_delete(f->map, &gone, sizeof gone), 0);
        gone++;
    }
    assert_int_equal(holds_filled(f->map, n, 20), 0);
    assert_sound(f->map);
    shoal_close(f->map);
    f->map = NULL;
    assert_int_equal(shoal_unlink(frame_path(f, "map")), 0);
}

static void full_tables_lose_nothing(void **state)
{
    static const uint64_t capacities[] = { 1, 2, 3, 7, 8, 64, 1000, 3000 };
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++)
        a_full_table(*state, capacities[i]);
}

/* -- Heap ---------------------------------------------------------------------------------------------- */

/* The number behind `label` in the last text. */
static uint64_t number_behind(const char *label)
{
    const char *at = strstr(shoal_error_text(), label);
    assert_non_null(at);
    return strtoull(at + strlen(label), NULL, 10);
}

static uint64_t fill_heap(struct frame *f, uint32_t flags, size_t bytes)
{
    struct shoal_options o = frame_options();
    o.capacity = 40000;
    o.heap_bytes = 1 << 20;
    o.flags = flags;
    struct shoal *map = frame_map(f, &o);
    uint64_t n = 0;
    int rc;
    while ((rc = put_filled(map, n, bytes)) == 0)
        n++;
    assert_refused(rc, SHOAL_EFULL, "heap full: a record of ");
    assert_true(number_behind("a record of ") >= bytes + sizeof n + 16);
    assert_text_has("of 1048576 bytes free, the largest that fits is ");
    assert_true(number_behind("asked, ") <= o.heap_bytes);
    return n;
}

/* A record of this many bytes: header, key, padding and all. */
static int put_record(struct shoal *map, uint64_t key, uint64_t record)
{
    size_t bytes = (size_t)(record - 16 - sizeof key);
    return put_filled(map, key, bytes < VALUE_LONG ? bytes : bytes - 8);
}

static void a_full_heap(struct frame *f, uint32_t flags, size_t bytes)
{
    uint64_t n = fill_heap(f, flags, bytes);
    struct shoal *map = f->map;
    assert_filled(map, n, bytes);
    for (uint64_t i = 0; i < n; i += 7) { /* replacing needs room too: refused or done, never half */
        int rc = put_filled(map, i, bytes);
        assert_true(rc == 0 || rc == SHOAL_EFULL);
    }
    assert_filled(map, n, bytes);
    assert_sound(map);
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(shoal_delete(map, &i, sizeof i), 0); /* works on a full map */
    for (uint64_t i = 0; i < n; i++)
        if (put_filled(map, i, bytes) != 0)
            fail_msg("%llu of %llu fitted the second time: %s", (unsigned long long)i, (unsigned long long)n,
                     shoal_error_text());
    assert_filled(map, n, bytes);
    assert_sound(map);
    shoal_close(map);
    f->map = NULL;
    assert_int_equal(shoal_unlink(frame_path(f, "map")), 0);
}

static void full_heaps_lose_nothing(void **state)
{
    static const size_t sizes[] = { 0, 8, 100, 480, 481, 3000, 5000, 20000, 70000 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        a_full_heap(*state, 0, sizes[i]);
        a_full_heap(*state, SHOAL_MTIME | SHOAL_CHECKSUM, sizes[i]);
    }
}

static void the_text_tells_the_largest_that_fits(void **state)
{
    struct frame *f = *state;
    uint64_t n = fill_heap(f, 0, 100), hole;
    for (hole = 0; hole < n; hole += 2)
        assert_int_equal(shoal_delete(f->map, &hole, sizeof hole), 0);
    assert_int_equal(put_filled(f->map, n, 90000), 0); /* the holes come together (H) */
    uint64_t key = n + 1;
    int rc;
    while ((rc = put_filled(f->map, key, 90000)) == 0)
        key++;
    assert_int_equal(rc, SHOAL_EFULL);
    uint64_t largest = number_behind("the largest that fits is ");
    assert_true(largest < 90000 + 24);
    if (largest != 0 && put_record(f->map, key, largest) != 0)
        fail_msg("a record of %llu bytes was said to fit: %s", (unsigned long long)largest, shoal_error_text());
    for (hole = 1; hole < n; hole += 2)
        assert_int_equal(holds_filled(f->map, hole, 100), 0);
}

static void no_way_into_a_full_heap(void **state)
{
    struct frame *f = *state;
    uint64_t n = fill_heap(f, 0, 8); /* the smallest block: nothing smaller fits beside */
    assert_no_way_in(f->map, n, "heap full");
    assert_int_equal(shoal_replace(f->map, &n, sizeof n, "x", 1), SHOAL_MISSING);
    assert_filled(f->map, n, 8);
    assert_int_equal(shoal_delete(f->map, &(uint64_t){ 5 }, 8), 0);
    assert_int_equal(put_filled(f->map, n, 8), 0);
}

/* -- Attachments ------------------------------------------------------------------------------------------ */

static struct shoal *map_for_two(struct frame *f)
{
    struct shoal_options o = frame_options();
    o.max_threads = 2;
    struct shoal *map = frame_map(f, &o);
    assert_int_equal(put_text(map, "key", "a"), 0);
    return map;
}

#define FULL_TEXT "all 2 entries are in use; the map was made with max_threads = 2"

/* A thread that is attached and stays so until it is told. */
struct guest {
    struct shoal *map;
    pthread_barrier_t arrived, leave;
    int rc;
};

static void *visit(void *arg)
{
    struct guest *g = arg;
    g->rc = put_text(g->map, "guest", "x");
    pthread_barrier_wait(&g->arrived);
    pthread_barrier_wait(&g->leave);
    return NULL;
}

static void *read_unattached(void *arg)
{
    struct shoal *map = arg;
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_iter *iter;
    struct shoal_item item;
    uint64_t n = 0;
    assert_holds(map, "key", "a");
    assert_refused(put_text(map, "other", "x"), SHOAL_EATTACH, FULL_TEXT);
    assert_refused(shoal_delete(map, "key", 3), SHOAL_EATTACH, FULL_TEXT);
    assert_refused(shoal_wait(map, "key", 3, 0, 0, NULL), SHOAL_EATTACH, FULL_TEXT);
    assert_refused(shoal_reap(map, NULL), SHOAL_EATTACH, FULL_TEXT);
    assert_int_equal(shoal_iter_open(map, NULL, 0, &iter), 0);
    assert_int_equal(shoal_iter_next(iter, &item), 0);
    shoal_iter_close(iter);
    struct shoal_view view;
    assert_int_equal(shoal_view(map, "key", 3, &view), 0); /* a private copy */
    assert_true(view.bytes == 1 && memcmp(view.value, "a", 1) == 0);
    shoal_view_end(&view);
    assert_int_equal(shoal_view(map, "none", 4, &view), SHOAL_MISSING);
    assert_int_equal(shoal_count(map, 0, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(shoal_check(map, &report), 0);
    return NULL;
}

static void *write_once(void *arg)
{
    assert_int_equal(put_text(arg, "other", "x"), 0);
    return NULL;
}

static void run_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void threads_fill_the_attachment_table(void **state)
{
    struct frame *f = *state;
    struct guest g = { .map = map_for_two(f) };
    struct shoal *second = NULL, *reader;
    pthread_t thread;
    pthread_barrier_init(&g.arrived, NULL, 2);
    pthread_barrier_init(&g.leave, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, visit, &g), 0);
    pthread_barrier_wait(&g.arrived);
    assert_int_equal(g.rc, 0);
    run_thread(read_unattached, g.map);
    assert_refused(shoal_open(frame_path(f, "map"), 0, &second), SHOAL_EATTACH, FULL_TEXT);
    assert_refused(shoal_open_or_create(frame_path(f, "map"), NULL, 0, &second), SHOAL_EATTACH, FULL_TEXT);
    assert_null(second);
    assert_int_equal(shoal_open(frame_path(f, "map"), SHOAL_RDONLY, &reader), 0); /* needs no entry */
    assert_holds(reader, "key", "a");
    shoal_close(reader);
    pthread_barrier_wait(&g.leave);
    assert_int_equal(pthread_join(thread, NULL), 0);
    run_thread(write_once, g.map); /* a thread's end frees its entry */
    run_thread(write_once, g.map);
    pthread_barrier_destroy(&g.arrived);
    pthread_barrier_destroy(&g.leave);
}

/* -- Many threads ---------------------------------------------------------------------------------------------- */

#define CROWD 4096u
struct crowd {
    struct shoal *map;
    _Atomic uint32_t failed;
    pthread_barrier_t all;
};

static void *join_the_crowd(void *arg)
{
    struct crowd *c = arg;
    c->failed += shoal_incr(c->map, "n", 1, 1, NULL) != 0;
    pthread_barrier_wait(&c->all); /* all are attached at once */
    return NULL;
}

static void thousands_of_threads_attach(void **state)
{
    struct shoal_options o = frame_options();
    static pthread_t thread[CROWD];
    pthread_attr_t small;
    int64_t n = 0;
    o.max_threads = CROWD + 1;
    o.heap_bytes = 64 << 20;
    struct crowd c = { .map = frame_map(*state, &o) };
    pthread_barrier_init(&c.all, NULL, CROWD + 1);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 * 1024);
    for (uint32_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&thread[i], &small, join_the_crowd, &c), 0);
    pthread_barrier_wait(&c.all);
    for (uint32_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    pthread_attr_destroy(&small);
    pthread_barrier_destroy(&c.all);
    assert_int_equal(c.failed, 0);
    assert_int_equal(shoal_incr(c.map, "n", 1, 0, &n), 0);
    assert_int_equal(n, CROWD);
    assert_int_equal(stats_of(c.map).attached, 1);
}

/* -- Forks ------------------------------------------------------------------------------------------------------- */

/* A child that is attached and says so by a byte. */
static pid_t attached_child(struct shoal *map, int *ret_pipe)
{
    int pipes[2];
    char byte = 0;
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        byte = put_text(map, "guest", "x") == 0 ? 'y' : 'n';
        if (write(pipes[1], &byte, 1) == 1)
            (void)pause();
        _exit(0);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    *ret_pipe = pipes[0];
    return pid;
}

static int no_entry_left(struct frame *f, void *arg)
{
    struct shoal *map = NULL;
    (void)arg;
    CHECK(put_text(f->map, "other", "x") == SHOAL_EATTACH && strstr(shoal_error_text(), FULL_TEXT) != NULL);
    CHECK(shoal_get(f->map, "key", 3, NULL, 0, NULL) == 0);
    CHECK(shoal_open(frame_path(f, "map"), 0, &map) == SHOAL_EATTACH && map == NULL);
    return 0;
}

static int an_entry_left(struct frame *f, void *arg)
{
    struct shoal *map = NULL;
    (void)arg;
    CHECK(shoal_open(frame_path(f, "map"), 0, &map) == 0);
    CHECK(put_text(map, "other", "y") == 0);
    shoal_close(map);
    CHECK(put_text(f->map, "other", "x") == 0);
    return 0;
}

static void forks_fill_the_attachment_table(void **state)
{
    struct frame *f = *state;
    struct shoal *map = map_for_two(f);
    int told;
    pid_t pid = attached_child(map, &told);
    in_child(f, no_entry_left, NULL, "");
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(told);
    in_child(f, an_entry_left, NULL, ""); /* the entry of a dead process is taken over, nobody reaped */
    in_child(f, an_entry_left, NULL, "");
    assert_holds(map, "other", "x");
}

/* -- File system ---------------------------------------------------------------------------------------------- */

/* A mount of this process's own, gone with it. */
static bool mount_here(const char *where, const char *size)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", where, "tmpfs", 0, size) == 0;
}

static int create_on_a_full_one(struct frame *f, void *arg)
{
    struct shoal_options large = frame_options(), whole = frame_options();
    struct shoal *map = NULL;
    (void)arg;
    if (!mount_here(f->dir, "size=256k"))
        return CHILD_SKIPS;
    large.capacity = 100000;
    whole.flags = SHOAL_PREALLOCATE;
    errno = 0;
    CHECK(shoal_create(frame_path(f, "map"), &large, &map) == SHOAL_EOS && errno == ENOSPC);
    CHECK(strstr(shoal_error_text(), "map: allocate ") != NULL);
    CHECK(strstr(shoal_error_text(), "bytes for header and table: No space left") != NULL);
    errno = 0;
    CHECK(shoal_create(frame_path(f, "map"), &whole, &map) == SHOAL_EOS && errno == ENOSPC);
    CHECK(strstr(shoal_error_text(), "bytes for header, table and heap: No space left") != NULL);
    CHECK(map == NULL && access(frame_path(f, "map"), F_OK) != 0);
    whole.flags = 0;
    CHECK(shoal_create(frame_path(f, "map"), &whole, &map) == 0);
    return 0;
}

static void a_file_system_that_is_full_at_creation(void **state)
{
    in_child(*state, create_on_a_full_one, NULL, "a_file_system_that_is_full_at_creation (mount is not permitted)");
}

/* On a file system of 1 MiB, a heap of 8 MiB. */
static struct shoal *map_on_a_small_one(struct frame *f)
{
    struct shoal_options o = frame_options();
    struct shoal *map = NULL;
    o.heap_bytes = 8 << 20;
    o.capacity = 12000;
    if (shoal_create(frame_path(f, "map"), &o, &map) != 0)
        return NULL;
    return map;
}

/* Records of `bytes` bytes from key `from` on, until the file system is full.  How many fitted. */
static uint64_t fill_file_system(struct shoal *map, uint64_t from, size_t bytes, int *ret_rc)
{
    uint64_t n = 0;
    while ((*ret_rc = put_filled(map, from + n, bytes)) == 0)
        n++;
    return n;
}

static int is_sound(struct shoal *map)
{
    struct shoal_report report = SHOAL_REPORT_INIT;
    CHECK(shoal_check(map, &report) == 0);
    return 0;
}

static int fill_and_refill(struct frame *f, void *arg)
{
    size_t bytes = *(size_t *)arg;
    int rc;
    if (!mount_here(f->dir, "size=1m"))
        return CHILD_SKIPS;
    struct shoal *map = map_on_a_small_one(f);
    CHECK(map != NULL);
    uint64_t n = fill_file_system(map, 0, 200, &rc);
    CHECK(rc == SHOAL_EFULL && strstr(shoal_error_text(), "the file system has no room for ") != NULL);
    CHECK(strstr(shoal_error_text(), "a record of 224 bytes") != NULL);
    CHECK(strstr(shoal_error_text(), "the largest that fits is ") != NULL);
    CHECK(n > 100);
    for (uint64_t i = 0; i < n; i++)
        CHECK(holds_filled(map, i, 200) == 0);
    CHECK(is_sound(map) == 0);
    for (uint64_t i = 0; i < n; i++)
        CHECK(shoal_delete(map, &i, sizeof i) == 0);
    CHECK(shoal_reap(map, NULL) == 0);
    uint64_t again = fill_file_system(map, n, bytes, &rc);
    fprintf(stderr, "first %llu records of 200 bytes, then %llu of %zu bytes\n", (unsigned long long)n,
            (unsigned long long)again, bytes);
    CHECK(rc == SHOAL_EFULL);
    CHECK(again * (bytes + 24) + 65536 >= n * 224); /* what was given back is enough for as much */
    for (uint64_t i = n; i < n + again; i++)
        CHECK(holds_filled(map, i, bytes) == 0);
    CHECK(is_sound(map) == 0);
    shoal_close(map);
    return 0;
}

static void a_file_system_that_becomes_full(void **state)
{
    size_t same = 200;
    in_child(*state, fill_and_refill, &same, "a_file_system_that_becomes_full (mount is not permitted)");
}

/* Memory that one size gave back serves another one, though the file system gives no more. */
static void another_size_on_a_full_file_system(void **state)
{
    size_t others[] = { 1000, 40, 6000 };
    for (size_t i = 0; i < 3; i++)
        in_child(*state, fill_and_refill, &others[i],
                 "another_size_on_a_full_file_system (mount is not permitted)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(full_tables_lose_nothing),
        FRAME_TEST(full_heaps_lose_nothing),
        FRAME_TEST(the_text_tells_the_largest_that_fits),
        FRAME_TEST(no_way_into_a_full_heap),
        FRAME_TEST(threads_fill_the_attachment_table),
        FRAME_TEST(thousands_of_threads_attach),
        FRAME_TEST(forks_fill_the_attachment_table),
        FRAME_TEST(a_file_system_that_is_full_at_creation),
        FRAME_TEST(a_file_system_that_becomes_full),
        FRAME_TEST(another_size_on_a_full_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
