/* SPDX-License-Identifier: MIT
 *
 * Forked children: a child becomes an attachment of its own, what belongs to the parent stays the
 * parent's, and the death of either is seen by the other (guarantee C).
 */
#include "unit/frame.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PINNED 24

static uint32_t attached_n(struct shoal *map)
{
    struct shoal_stats s = SHOAL_STATS_INIT;
    return shoal_stats(map, &s) == 0 ? s.attached : UINT32_MAX;
}

/* -- Calls ------------------------------------------------------------------------------------------- */

static int use_inherited(struct frame *f, void *arg)
{
    char buf[8];
    (void)arg;
    CHECK(attached_n(f->map) == 1); /* the parent's */
    CHECK(shoal_get(f->map, "key", 3, buf, sizeof buf, NULL) == 0 && buf[0] == 'a');
    CHECK(attached_n(f->map) == 1); /* reading needs none */
    CHECK(put_text(f->map, "key", "b") == 0);
    CHECK(put_text(f->map, "child", "c") == 0);
    CHECK(attached_n(f->map) == 2);
    shoal_close(f->map);
    CHECK(shoal_get(f->map, "key", 3, buf, sizeof buf, NULL) == SHOAL_EINVAL);
    CHECK(shoal_open(frame_path(f, "map"), 0, &f->map) == 0);
    CHECK(attached_n(f->map) == 2);
    shoal_close(f->map);
    return 0;
}

static void a_child_is_an_attachment_of_its_own(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    assert_int_equal(put_text(map, "key", "a"), 0);
    in_child(f, use_inherited, NULL, "");
    assert_int_equal(attached_n(map), 1); /* the child closed */
    assert_holds(map, "key", "b");
    assert_holds(map, "child", "c");
    assert_int_equal(put_text(map, "key", "d"), 0); /* the child's close took nothing from the parent */
}

static int generations(struct frame *f, void *arg)
{
    int depth = *(int *)arg - 1;
    CHECK(shoal_incr(f->map, "n", 1, 1, NULL) == 0);
    if (depth > 0) {
        pid_t pid = fork();
        int status = 0;
        if (pid == 0)
            _exit(generations(f, &depth));
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        CHECK(shoal_incr(f->map, "n", 1, 1, NULL) == 0);
    }
    return 0;
}

static void children_of_children(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    struct shoal_reaped r = SHOAL_REAPED_INIT;
    int depth = 5;
    int64_t n = 0;
    in_child(f, generations, &depth, "");
    assert_int_equal(shoal_incr(map, "n", 1, 0, &n), 0);
    assert_int_equal(n, 9);
    assert_int_equal(shoal_reap(map, &r), 0); /* they ended without closing */
    assert_true(r.dead > 0 && r.undecided == 0);
    assert_int_equal(attached_n(map), 1);
}

/* A clone that runs no atfork handlers. */
static void a_raw_clone_is_noticed(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    assert_int_equal(put_text(map, "key", "a"), 0);
    fflush(NULL);
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    assert_true(pid >= 0);
    if (pid == 0)
        syscall(SYS_exit_group, put_text(map, "key", "b") == 0 && attached_n(map) == 2 ? 0 : 1);
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(put_text(map, "key", "c"), 0);
    assert_int_equal(shoal_reap(map, NULL), 0);
    assert_int_equal(attached_n(map), 1);
}

/* -- Views -------------------------------------------------------------------------------------------- */

static int end_the_parents(struct frame *f, void *arg)
{
    struct shoal_view *view = arg, own;
    CHECK(put_text(f->map, "other", "x") == 0);
    for (int i = 0; i <= PINNED; i++) {
        shoal_view_end(&view[i]);
        shoal_view_end(&view[i]);
    }
    CHECK(shoal_view(f->map, "other", 5, &own) == 0);
    CHECK(own.bytes == 1 && memcmp(own.value, "x", 1) == 0);
    CHECK(shoal_delete(f->map, "key", 3) == 0);
    for (int i = 0; i < 2000; i++) /* enough to use freed blocks again */
        CHECK(shoal_put(f->map, &(int){ i % 8 }, sizeof(int), "yyyyyyyyyyyyyyyy", (size_t)(i % 16)) == 0);
    CHECK(shoal_reap(f->map, NULL) == 0);
    CHECK(memcmp(own.value, "x", 1) == 0);
    shoal_view_end(&own);
    shoal_close(f->map);
    return 0;
}

static void view_end_in_a_child_has_no_effect(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    struct shoal_view view[PINNED + 1]; /* the last one is a private copy */
    assert_int_equal(put_text(map, "key", "the parent's"), 0);
    for (int i = 0; i <= PINNED; i++)
        assert_int_equal(shoal_view(map, "key", 3, &view[i]), 0);
    in_child(f, end_the_parents, view, "");
    for (int i = 0; i <= PINNED; i++) {
        assert_int_equal(view[i].bytes, 12);
        assert_memory_equal(view[i].value, "the parent's", 12);
        shoal_view_end(&view[i]);
    }
    assert_int_equal(shoal_reap(map, NULL), 0);
    assert_int_equal(stats_of(map).retired_bytes, 0);
}

static int close_with_the_parents_views(struct frame *f, void *arg)
{
    struct shoal_view *view = arg;
    int fds = fds_open();
    shoal_close(f->map); /* never attached here; the parent's views do not keep it open */
    CHECK(fds_open() < fds);
    shoal_view_end(view);
    CHECK(shoal_open(frame_path(f, "map"), 0, &f->map) == 0);
    CHECK(put_text(f->map, "key", "b") == 0);
    shoal_close(f->map);
    return 0;
}

static void a_child_closes_what_the_parent_views(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    struct shoal_view view;
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_int_equal(shoal_view(map, "key", 3, &view), 0);
    in_child(f, close_with_the_parents_views, &view, "");
    assert_memory_equal(view.value, "a", 1);
    shoal_view_end(&view);
    assert_holds(map, "key", "b");
}

/* -- Iterators --------------------------------------------------------------------------------------- */

static int use_iterator(struct frame *f, void *arg)
{
    struct shoal_iter *iter = arg, *own;
    struct shoal_item item;
    CHECK(shoal_iter_next(iter, &item) == SHOAL_EINVAL);
    CHECK(strstr(shoal_error_text(), "the iterator belongs to the parent of this forked process") != NULL);
    CHECK(put_text(f->map, "key", "a") == 0);
    CHECK(shoal_iter_next(iter, &item) == SHOAL_EINVAL);
    shoal_iter_close(iter);
    CHECK(shoal_iter_open(f->map, NULL, 0, &own) == 0);
    CHECK(shoal_iter_next(own, &item) == 0 && shoal_iter_next(own, &item) == 0);
    CHECK(shoal_iter_next(own, &item) == SHOAL_END);
    shoal_iter_close(own);
    return 0;
}

static void an_iterator_in_a_child_is_refused(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    struct shoal_iter *iter;
    struct shoal_item item;
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_int_equal(put_text(map, "other", "b"), 0);
    assert_int_equal(shoal_iter_open(map, NULL, 0, &iter), 0);
    assert_int_equal(shoal_iter_next(iter, &item), 0);
    in_child(f, use_iterator, iter, "");
    assert_int_equal(shoal_iter_next(iter, &item), 0); /* the parent's goes on */
    assert_int_equal(shoal_iter_next(iter, &item), SHOAL_END);
    shoal_iter_close(iter);
}

/* -- Inside calls ---------------------------------------------------------------------------------------- */

static int fork_inside(struct shoal_change *change, void *arg)
{
    struct frame *f = arg;
    pid_t pid = fork();
    int status = 1;
    if (pid == 0) /* still inside the parent's update: calls on the map stay refused, and nothing breaks */
        _exit(put_text(f->map, "key", "child") == SHOAL_EINVAL ? 0 : 1);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return -77;
    change->value = "parent";
    change->value_bytes = 6;
    return SHOAL_STORE;
}

static void an_update_function_that_forks(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    assert_int_equal(put_text(map, "key", "a"), 0);
    assert_int_equal(shoal_update(map, "key", 3, fork_inside, f), 0);
    assert_holds(map, "key", "parent");
}

/* Threads of the parent are in the middle of calls at every fork. */
struct busy {
    struct shoal *map;
    _Atomic int stop;
    int which;
};

static void *keep_busy(void *arg)
{
    struct busy *b = arg;
    for (uint64_t i = 0; !b->stop; i++) {
        uint64_t key = i % 16;
        (void)shoal_put(b->map, &key, sizeof key, &i, sizeof i);
        (void)shoal_delete(b->map, &key, sizeof key);
    }
    return NULL;
}

static void forks_of_a_busy_process(void **state)
{
    struct frame *f = *state;
    struct busy busy = { .map = frame_small(f) };
    pthread_t thread[2];
    assert_int_equal(put_text(busy.map, "key", "a"), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, keep_busy, &busy), 0);
    for (int i = 0; i < 50; i++) {
        pid_t pid = fork();
        int status = 1;
        if (pid == 0)
            _exit(put_text(busy.map, "child", "x") == 0 && shoal_delete(busy.map, "child", 5) == 0 ? 0 : 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    busy.stop = 1;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(shoal_reap(busy.map, NULL), 0);
    assert_int_equal(attached_n(busy.map), 1);
    uint64_t n = 0;
    assert_int_equal(shoal_count(busy.map, 0, &n, NULL), 0);
    assert_int_equal(n, 1);
}

/* -- Death --------------------------------------------------------------------------------------------------- */

/* A process that attaches, takes a view, maybe closes, forks a child that only sits there, and is killed.
 * The child must not make it look alive. */
struct scene {
    bool close;
    int told[2], sit[2];
};

static int die_with_a_child(struct frame *f, struct scene *s)
{
    struct shoal *map;
    struct shoal_view view;
    char byte;
    CHECK(shoal_open(frame_path(f, "map"), 0, &map) == 0);
    CHECK(put_text(map, "dying", "x") == 0);
    CHECK(shoal_view(map, "dying", 5, &view) == 0);
    if (s->close)
        shoal_close(map);
    if (fork() == 0) {
        close(s->sit[1]);
        CHECK(write(s->told[1], "x", 1) == 1);
        (void)!read(s->sit[0], &byte, 1); /* until the test is over */
        _exit(0);
    }
    (void)pause();
    return 1;
}

static void death_is_seen_while_a_child_lives(struct frame *f, bool close_first)
{
    struct scene s = { .close = close_first };
    struct shoal_reaped r = SHOAL_REAPED_INIT;
    char byte;
    assert_true(pipe(s.told) == 0 && pipe(s.sit) == 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(die_with_a_child(f, &s));
    assert_int_equal(read(s.told[0], &byte, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(shoal_reap(f->map, &r), 0);
    uint32_t attached = attached_n(f->map);
    close(s.sit[1]);
    close(s.sit[0]);
    close(s.told[0]);
    close(s.told[1]);
    assert_int_equal(r.dead, 1);
    assert_int_equal(attached, 1);
}

static void a_dead_parent_of_a_living_child(void **state)
{
    (void)frame_small(*state);
    death_is_seen_while_a_child_lives(*state, false);
}

static void a_dead_parent_that_had_closed_but_viewed(void **state)
{
    (void)frame_small(*state);
    death_is_seen_while_a_child_lives(*state, true);
}

/* -- Descriptors that the program closes -------------------------------------------------------------- */

/* As daemons do, and other files take the numbers. */
static void close_all_descriptors(void)
{
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    while (open("/dev/null", O_RDWR) < 32) {
    }
}

static int attach_without_descriptors(struct frame *f, void *arg)
{
    char buf[8];
    (void)arg;
    close_all_descriptors();
    CHECK(shoal_get(f->map, "key", 3, buf, sizeof buf, NULL) == 0 && buf[0] == 'a');
    CHECK(put_text(f->map, "key", "b") == SHOAL_EOS);
    CHECK(strstr(shoal_error_text(), "has been closed by this program") != NULL);
    return 0;
}

static void *put_in_a_thread(void *arg)
{
    struct frame *f = arg;
    return put_text(f->map, "key", "t") == SHOAL_EOS ? NULL : arg;
}

static int reap_without_descriptors(struct frame *f, void *arg)
{
    struct shoal_reaped r = SHOAL_REAPED_INIT;
    (void)arg;
    CHECK(put_text(f->map, "child", "c") == 0);
    close_all_descriptors();
    CHECK(shoal_reap(f->map, &r) == 0);
    CHECK(r.dead == 0); /* nobody is known to be dead where the locks cannot be asked for */
    CHECK(attached_n(f->map) == 2);
    pthread_t thread;
    void *wrong = NULL;
    CHECK(pthread_create(&thread, NULL, put_in_a_thread, f) == 0 && pthread_join(thread, &wrong) == 0);
    CHECK(wrong == NULL); /* it would lock another file's byte, and nobody would see it alive */
    return 0;
}

/* One after the other, so that each look before a lock, or before "dead", is the only one that can notice. */
static int reap_without_one(struct frame *f, void *arg)
{
    (void)arg;
    CHECK(put_text(f->map, "child", "c") == 0 && shoal_reap(f->map, NULL) == 0); /* other children have died */
    for (int fd = 3; fd < 64; fd++) {
        struct shoal_reaped r = SHOAL_REAPED_INIT;
        struct shoal_stats stats = SHOAL_STATS_INIT;
        const int kept = dup(fd);
        const int other = open("/dev/null", O_RDWR);
        if (kept < 0 || dup2(other, fd) != fd) {
            close(other);
            continue;
        }
        CHECK(shoal_reap(f->map, &r) == 0 && shoal_stats(f->map, &stats) == 0);
        CHECK(r.dead == 0 && stats.dead == 0 && stats.attached == 2);
        CHECK(dup2(kept, fd) == fd);
        close(kept);
        close(other);
    }
    return put_text(f->map, "child", "d");
}

static void closed_descriptors_declare_nobody_dead(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f);
    assert_int_equal(put_text(map, "key", "a"), 0);
    in_child(f, attach_without_descriptors, NULL, "");
    in_child(f, reap_without_descriptors, NULL, "");
    in_child(f, reap_without_one, NULL, "");
    assert_holds(map, "key", "a");
    assert_int_equal(put_text(map, "key", "d"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(a_child_is_an_attachment_of_its_own),
        FRAME_TEST(children_of_children),
        FRAME_TEST(a_raw_clone_is_noticed),
        FRAME_TEST(view_end_in_a_child_has_no_effect),
        FRAME_TEST(a_child_closes_what_the_parent_views),
        FRAME_TEST(an_iterator_in_a_child_is_refused),
        FRAME_TEST(an_update_function_that_forks),
        FRAME_TEST(forks_of_a_busy_process),
        FRAME_TEST(a_dead_parent_of_a_living_child),
        FRAME_TEST(a_dead_parent_that_had_closed_but_viewed),
        FRAME_TEST(closed_descriptors_declare_nobody_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
