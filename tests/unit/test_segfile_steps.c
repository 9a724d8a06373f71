/* SPDX-License-Identifier: MIT
 *
 * Creating, opening and unlinking beside death and rivals, at every system call (guarantee C).
 */
#include "segfile_place.h"

/* -- Death, and rivals at every system call ------------------------------------------------------------- */


static void leftovers_of_the_dead_are_removed(void **state)
{
    struct place *p = *state;
    const char *living = in_place(p, 1, ".jobs.shoal-new.11111111");
    touch(in_place(p, 0, ".jobs.shoal-new.0123abcd"));
    touch(in_place(p, 0, ".jobs.shoal-new.ffffffff"));
    touch(in_place(p, 0, ".other.shoal-new.0123abcd"));
    touch(in_place(p, 0, ".jobs.shoal-new.0123abcde"));
    touch(living);
    assert_int_equal(mkfifo(in_place(p, 0, ".jobs.shoal-new.22222222"), 0600), 0);
    assert_int_equal(symlink(living, in_place(p, 0, ".jobs.shoal-new.33333333")), 0);
    int lock = open(living, O_RDWR | O_CLOEXEC);
    assert_int_equal(os_lock(lock, SEGFILE_DRAFT_BYTE), OS_LOCK_TAKEN);
    create_small(segfile_create_by_rename, in_place(p, 0, "jobs"));
    assert_int_equal(access(in_place(p, 0, ".jobs.shoal-new.0123abcd"), F_OK), -1);
    assert_int_equal(access(in_place(p, 0, ".jobs.shoal-new.ffffffff"), F_OK), -1);
    assert_int_equal(access(in_place(p, 0, ".other.shoal-new.0123abcd"), F_OK), 0);
    assert_int_equal(access(in_place(p, 0, ".jobs.shoal-new.0123abcde"), F_OK), 0);
    assert_int_equal(access(living, F_OK), 0);
    assert_int_equal(entries_n(p), 6); /* these three, FIFO, link, map */
    close(lock);
    assert_refused(CREATE, in_place(p, 0, "jobs"), SHOAL_EMAPEXISTS, "exists already"); /* cleans up all the same */
    assert_int_equal(access(living, F_OK), -1);
}

typedef int victim_fn(const char *path);

static int victim_link(const char *path)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd;
    return new_file(segfile_create, path, &o, &fd, &g);
}

static int victim_rename(const char *path)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd;
    return new_file(segfile_create_by_rename, path, &o, &fd, &g);
}

/* A child that runs fn and stands before or behind its step-th system call.  0 where it ended earlier, with
 * its exit status; -1 where tracing is not permitted. */
static pid_t stand_at(victim_fn *fn, const char *path, int step, int *ret_status)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that fails */
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(CHILD_SKIPS);
        raise(SIGSTOP);
        _exit(-fn(path));
    }
    assert_int_equal(waitpid(pid, ret_status, 0), pid);
    if (WIFEXITED(*ret_status) && WEXITSTATUS(*ret_status) == CHILD_SKIPS)
        return -1;
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_EXITKILL), 0);
    for (int i = 0; i < step; i++) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, ret_status, 0), pid);
        if (WIFEXITED(*ret_status))
            return 0;
        assert_true(WIFSTOPPED(*ret_status) && WSTOPSIG(*ret_status) == SIGTRAP);
    }
    return pid;
}

static void kill_it(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static int let_go(pid_t pid)
{
    int status;
    assert_int_equal(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

/* Calls visit for each step of fn until fn ends by itself. */
typedef void visit_fn(struct place *p, const char *path, pid_t pid);
static void at_every_step(struct place *p, victim_fn *fn, visit_fn *visit, const char *what, bool needs_map)
{
    const char *path = in_place(p, 0, "jobs");
    for (int step = 1;; step++) {
        int status;
        if (needs_map)
            create_small(segfile_create, path);
        pid_t pid = stand_at(fn, path, step, &status);
        if (pid == -1)
            print_message("skipped: %s (ptrace is not permitted)\n", what);
        else if (pid == 0)
            print_message("%s: %d steps\n", what, step - 1);
        if (pid > 0)
            visit(p, path, pid);
        dir_clear(p->dir);
        if (pid <= 0)
            return;
    }
}

static void visit_kill_link(struct place *p, const char *path, pid_t pid)
{
    kill_it(pid);
    bool made = access(path, F_OK) == 0;
    assert_int_equal(entries_n(p), made);
    if (made)
        assert_opens(path);
    else
        create_small(segfile_create, path);
}

static void visit_kill_rename(struct place *p, const char *path, pid_t pid)
{
    kill_it(pid);
    struct shoal_options o = small();
    struct geometry g;
    int fd;
    if (access(path, F_OK) == 0) {
        assert_opens(path);
        assert_int_equal(new_file(segfile_create_by_rename, path, &o, &fd, &g), SHOAL_EMAPEXISTS);
    } else {
        create_small(segfile_create_by_rename, path);
    }
    assert_int_equal(entries_n(p), 1);
    assert_opens(path);
}

static void a_killed_creator_leaves_no_half(void **state)
{
    at_every_step(*state, victim_link, visit_kill_link, "creator by link killed at every system call", false);
    at_every_step(*state, victim_rename, visit_kill_rename, "creator by rename killed at every system call", false);
}

static void visit_rival(struct place *p, const char *path, pid_t pid)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    int mine = new_file(segfile_create_by_rename, path, &o, &fd, &g);
    int its = let_go(pid);
    assert_true((mine == 0 && its == SHOAL_EMAPEXISTS) || (mine == SHOAL_EMAPEXISTS && its == 0));
    close(fd);
    assert_int_equal(entries_n(p), 1);
    assert_opens(path);
}

static void a_stopped_creator_stops_nobody(void **state)
{
    at_every_step(*state, victim_link, visit_rival, "creator by link overtaken at every system call", false);
    at_every_step(*state, victim_rename, visit_rival, "creator by rename overtaken at every system call", false);
}

/* As a rival would between open and lock; at the other steps, as somebody with rm would. */
static void visit_remove_drafts(struct place *p, const char *path, pid_t pid)
{
    struct name name;
    assert_int_equal(name_parse(path, &name), 0);
    DIR *list = opendir(p->dir);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list))
        if (name_is_draft_of(&name, e->d_name))
            unlinkat(dirfd(list), e->d_name, 0);
    closedir(list);
    assert_int_equal(let_go(pid), 0);
    assert_int_equal(entries_n(p), 1);
    assert_opens(path);
}

static void a_creator_whose_draft_was_removed_starts_again(void **state)
{
    at_every_step(*state, victim_rename, visit_remove_drafts, "draft removed at every system call", false);
}

static void visit_kill_unlink(struct place *p, const char *path, pid_t pid)
{
    kill_it(pid);
    if (access(path, F_OK) == 0)
        assert_opens(path);
    else
        create_small(segfile_create, path);
    assert_int_equal(entries_n(p), 1);
}

static int unmarked_n; /* new maps that an older unlink removed without a mark */

static void visit_new_map_during_unlink(struct place *p, const char *path, pid_t pid)
{
    struct geometry g;
    int fd = UNTOUCHED;
    bool was_gone = access(path, F_OK) != 0;
    unlink(path);
    create_small(segfile_create, path);
    assert_int_equal(segfile_open(path, 0, &fd, &g), 0);
    assert_int_equal(let_go(pid), 0);
    uint32_t mark = 0;
    assert_int_equal(pread(fd, &mark, sizeof mark, offsetof(struct segment_header, unlinked)), sizeof mark);
    assert_int_equal(mark, entries_n(p) == 0 && mark);
    unmarked_n += entries_n(p) == 0 && !mark;
    assert_true(!was_gone || entries_n(p) == 1); /* an unlink that was done leaves the new map alone */
    close(fd);
}

/* Another kind of file takes the map's place: it is refused, and its target not looked at. */
static void replace_by(const char *path, const char *target, pid_t pid)
{
    unlink(path);
    assert_int_equal(target != NULL ? symlink(target, path) : mkfifo(path, 0600), 0);
    alarm(60);
    int its = let_go(pid);
    alarm(0);
    assert_true(its == 0 || its == SHOAL_EINVAL);
}

static void visit_link_during_open(struct place *p, const char *path, pid_t pid)
{
    uint32_t layout = 77; /* who follows the link answers SHOAL_EVERSION */
    const char *other = in_place(p, 2, "other");
    create_small(segfile_create, other);
    put_bytes(other, &layout, sizeof layout, offsetof(struct segment_header, layout));
    replace_by(path, other, pid);
}

static void visit_fifo_during_open(struct place *p, const char *path, pid_t pid)
{
    (void)p;
    replace_by(path, NULL, pid);
}

static int victim_open(const char *path)
{
    struct geometry g;
    int fd;
    return segfile_open(path, 0, &fd, &g);
}

static int victim_open_readonly(const char *path)
{
    struct geometry g;
    int fd;
    return segfile_open(path, SHOAL_RDONLY, &fd, &g);
}

static void opening_at_every_step(void **state)
{
    at_every_step(*state, victim_open, visit_link_during_open, "map replaced by a link under its opener", true);
    at_every_step(*state, victim_open, visit_fifo_during_open, "map replaced by a FIFO under its opener", true);
    at_every_step(*state, victim_open_readonly, visit_fifo_during_open, "the same, opened read-only", true);
}

static void unlinking_at_every_step(void **state)
{
    at_every_step(*state, segfile_unlink, visit_kill_unlink, "unlinker killed at every system call", true);
    at_every_step(*state, segfile_unlink, visit_new_map_during_unlink, "map replaced under its unlinker", true);
    assert_true(unmarked_n <= 2); /* behind the look at the name, and before its removal */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(leftovers_of_the_dead_are_removed),
        TEST(a_killed_creator_leaves_no_half),
        TEST(a_stopped_creator_stops_nobody),
        TEST(a_creator_whose_draft_was_removed_starts_again),
        TEST(unlinking_at_every_step),
        TEST(opening_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
