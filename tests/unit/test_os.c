/* SPDX-License-Identifier: MIT
 *
 * What the rest relies on from the kernel: whose lock is seen by whom, what a fork inherits, who is woken.
 */
#include "unit/ground.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"

#define FAR ((uint64_t)1 << 62)

static void in_child(int (*fn)(void), const char *what)
{
    pid_t pid = child_start();
    if (pid == 0)
        _exit(fn());
    assert_exits(pid, what);
}

/* fork; the child does not outlive a test that fails. */
static pid_t fork_bound(void)
{
    pid_t pid = child_start();
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void kill_and_bury(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int new_file(off_t bytes)
{
    int fd = memfd_create("shoal-test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    return fd;
}

/* -- Locks ----------------------------------------------------------------------------------- */

static void a_lock_is_seen_from_other_descriptions_only(void **state)
{
    (void)state;
    int own = new_file(0), probe = os_reopen(own, true), same = dup(own);
    assert_true(probe >= 0);
    for (uint64_t byte = 7;; byte = FAR) {
        assert_false(os_is_locked(probe, byte));
        assert_int_equal(os_lock(own, byte), OS_LOCK_TAKEN);
        assert_int_equal(os_lock(own, byte), OS_LOCK_TAKEN);
        assert_int_equal(os_lock(same, byte), OS_LOCK_TAKEN); /* why indices are claimed in a registry first */
        assert_true(os_is_locked(probe, byte));
        assert_false(os_is_locked(own, byte)); /* why one asks on another description */
        assert_int_equal(os_lock(probe, byte), OS_LOCK_BUSY);
        assert_false(os_is_locked(probe, byte - 1));
        assert_false(os_is_locked(probe, byte + 1));
        os_unlock(own, byte);
        assert_false(os_is_locked(probe, byte));
        assert_int_equal(os_lock(probe, byte), OS_LOCK_TAKEN);
        if (byte == FAR)
            break;
    }
    os_close(same);
    os_close(own);
    os_close(probe);
}

static void neighbours_are_unlocked_one_by_one(void **state)
{
    (void)state;
    int own = new_file(0), probe = os_reopen(own, true);
    for (uint64_t byte = 0; byte < 64; byte++)
        assert_int_equal(os_lock(own, FAR + byte), OS_LOCK_TAKEN);
    for (uint64_t i = 0; i < 64; i++) {
        os_unlock(own, FAR + i * 37 % 64);
        for (uint64_t j = 0; j < 64; j++)
            assert_int_equal(os_is_locked(probe, FAR + j * 37 % 64), j > i);
    }
    os_close(own);
    os_close(probe);
}

static void read_locks_jam_the_taker_and_not_the_asker(void **state)
{
    (void)state;
    int own = new_file(0), probe = os_reopen(own, true), reader = os_reopen(own, false);
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = 1 };
    assert_int_equal(fcntl(reader, F_OFD_SETLK, &lock), 0);
    assert_false(os_is_locked(probe, 3));
    assert_int_equal(os_lock(own, 3), OS_LOCK_BUSY);
    os_close(reader);
    assert_int_equal(os_lock(own, 3), OS_LOCK_TAKEN);
    os_close(own);
    os_close(probe);
}

static void errors_mean_alive(void **state)
{
    (void)state;
    int fd = new_file(0);
    errno = 0;
    assert_true(os_is_locked(-1, 0));
    assert_true(os_is_locked(fd, UINT64_MAX));
    os_unlock(-1, 0);
    os_close(-1);
    assert_int_equal(errno, 0);
    assert_int_equal(os_lock(-1, 0), OS_LOCK_ERROR);
    assert_int_equal(errno, EBADF);
    assert_int_equal(os_lock(fd, UINT64_MAX), OS_LOCK_ERROR);
    int reader = os_reopen(fd, false);
    assert_int_equal(os_lock(reader, 0), OS_LOCK_ERROR); /* may not lock what it may not write */
    assert_false(os_is_locked(reader, 0));
    os_close(reader);
    os_close(fd);
}

static void a_dead_holder_is_seen(void **state)
{
    (void)state;
    int fd = new_file(0), told[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t holder = fork_bound();
    if (holder == 0) {
        int own = os_reopen(fd, true);
        if (os_lock(own, FAR) == OS_LOCK_TAKEN && write(told[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    assert_true(os_is_locked(fd, FAR));
    assert_int_equal(os_lock(fd, FAR), OS_LOCK_BUSY);
    assert_int_equal(kill(holder, SIGSTOP), 0); /* stopped is not dead */
    assert_int_equal(waitpid(holder, NULL, WUNTRACED), holder);
    assert_true(os_is_locked(fd, FAR));
    kill_and_bury(holder);
    assert_false(os_is_locked(fd, FAR));
    assert_int_equal(os_lock(fd, FAR), OS_LOCK_TAKEN);
    close(told[0]);
    close(told[1]);
    os_close(fd);
}

/* A child of the holder that opens its own description and closes the inherited one, without unlocking:
 * the holder keeps its lock, and the lock does not outlive the holder. */
static void a_fork_leaves_the_lock_with_the_parent(void **state)
{
    (void)state;
    int fd = new_file(0), told[2], end[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(end), 0);
    pid_t holder = fork_bound();
    if (holder == 0) {
        int own = os_reopen(fd, true);
        if (os_lock(own, FAR) != OS_LOCK_TAKEN)
            _exit(1);
        pid_t child = fork();
        if (child == 0) {
            int mine = os_reopen(own, true);
            os_close(own);
            close(end[1]);
            byte = os_is_locked(mine, FAR) && os_lock(mine, FAR) == OS_LOCK_BUSY ? 'y' : 'n';
            if (write(told[1], &byte, 1) == 1)
                (void)!read(end[0], &byte, 1); /* lives until the test is over */
            _exit(0);
        }
        pause();
        _exit(1);
    }
    close(end[0]);
    assert_int_equal(read(told[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_true(os_is_locked(fd, FAR));
    kill_and_bury(holder);
    assert_false(os_is_locked(fd, FAR));
    close(end[1]); /* the child goes */
    close(told[0]);
    close(told[1]);
    os_close(fd);
}

/* -- Descriptions ------------------------------------------------------------------------------- */

static void a_reopened_file_has_a_description_of_its_own(void **state)
{
    (void)state;
    int fd = new_file(100), again = os_reopen(fd, true), reader = os_reopen(fd, false);
    assert_true(again >= 0 && reader >= 0);
    assert_int_equal(lseek(fd, 50, SEEK_SET), 50);
    assert_int_equal(lseek(again, 0, SEEK_CUR), 0);
    assert_int_equal(fcntl(again, F_GETFL) & O_ACCMODE, O_RDWR);
    assert_int_equal(fcntl(reader, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(fcntl(again, F_GETFD), FD_CLOEXEC);
    assert_int_equal(os_reopen(12345, true), -1);
    assert_int_equal(errno, ENOENT);
    os_close(reader);
    os_close(again);
    os_close(fd);
}

static void *reopen_after_main(void *main_thread)
{
    (void)pthread_join(*(pthread_t *)main_thread, NULL);
    struct os_who who;
    int fd = memfd_create("shoal-test", MFD_CLOEXEC);
    bool fine = fd >= 0 && os_reopen(fd, true) >= 0;
    os_who(&who);
    _exit(fine && who.start != 0 && who.ns != 0 ? 0 : 1);
}

static int without_first_thread(void)
{
    static pthread_t first;
    pthread_t other;
    first = pthread_self();
    CHECK(pthread_create(&other, NULL, reopen_after_main, &first) == 0);
    pthread_exit(NULL);
}

static void a_process_whose_first_thread_ended_can_reopen(void **state)
{
    (void)state;
    in_child(without_first_thread, "");
}

static void a_file_without_a_name_says_so(void **state)
{
    (void)state;
    char path[] = "/tmp/shoal-os-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    assert_false(os_file_unlinked(fd));
    unlink(path);
    assert_true(os_file_unlinked(fd));
    assert_false(os_file_unlinked(-1));
    os_close(fd);
}

/* -- Memory ---------------------------------------------------------------------------------------- */

static bool smaps_has(const void *at, const char *flag)
{
    char line[512], begin[32];
    bool here = false, has = false;
    snprintf(begin, sizeof begin, "%lx-", (unsigned long)(uintptr_t)at);
    FILE *smaps = fopen("/proc/self/smaps", "re");
    while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
        if (strncmp(line, begin, strlen(begin)) == 0)
            here = true;
        if (here && strncmp(line, "VmFlags:", 8) == 0) {
            has = strstr(line, flag) != NULL;
            break;
        }
    }
    if (smaps != NULL)
        fclose(smaps);
    return has;
}

static void mappings_are_shared_and_not_dumped(void **state)
{
    (void)state;
    int fd = new_file(8192);
    shared_u32 *a = os_map(fd, 8192, true);
    const shared_u32 *b = os_map(fd, 8192, false);
    assert_non_null(a);
    assert_non_null(b);
    store_relaxed_u32(&a[5], 77);
    assert_int_equal(load_relaxed_u32(&b[5]), 77);
    assert_true(smaps_has(a, " dd"));
    assert_true(smaps_has(a, " wr"));
    assert_true(smaps_has(b, " dd"));
    assert_false(smaps_has(b, " wr"));
    os_unmap(a, 8192);
    os_unmap((void *)(uintptr_t)b, 8192);
    assert_null(os_map(-1, 4096, true));
    assert_int_equal(errno, EBADF);
    os_close(fd);
}

static void allocation_backs_what_was_asked(void **state)
{
    (void)state;
    const uint64_t mib = 1 << 20;
    int fd = new_file((off_t)(16 * mib));
    errno = 0;
    assert_int_equal(os_file_allocated_bytes(fd), 0);
    assert_int_equal(os_allocate(fd, mib, 0), 0);
    assert_int_equal(os_allocate(fd, mib + 4096, 5 * mib), 0);
    uint64_t some = os_file_allocated_bytes(fd);
    assert_true(some >= 5 * mib && some <= 8 * mib);
    assert_int_equal(os_allocate(fd, 0, 16 * mib), 0);
    assert_int_equal(os_file_allocated_bytes(fd), 16 * mib);
    assert_int_equal(os_allocate(-1, 0, 1), EBADF);
    assert_int_equal(os_allocate(fd, UINT64_MAX, 2), EFBIG);
    assert_int_equal(os_allocate(fd, 2, UINT64_MAX), EFBIG);
    assert_int_equal(os_file_allocated_bytes(-1), 0);
    assert_int_equal(errno, 0);
    os_close(fd);
}

static volatile sig_atomic_t alarms;
static void on_alarm(int signal_n)
{
    (void)signal_n;
    alarms++;
}

static int allocate_under_signals(void)
{
    struct sigaction action = { .sa_handler = on_alarm };
    struct itimerval often = { { 0, 100 }, { 0, 100 } };
    int fd = memfd_create("shoal-test", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, 64 << 20) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    CHECK(os_allocate(fd, 0, 64 << 20) == 0);
    CHECK(os_file_allocated_bytes(fd) == 64 << 20 && alarms > 0);
    return 0;
}

static int allocate_on_full(void)
{
    char dir[] = "/tmp/shoal-os-XXXXXX", path[64];
    CHECK(mkdtemp(dir) != NULL);
    bool mounted = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount("tmpfs", dir, "tmpfs", 0, "size=3m") == 0;
    int result = CHILD_SKIPS;
    if (mounted) {
        snprintf(path, sizeof path, "%s/file", dir);
        int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        result = fd >= 0 && os_allocate(fd, 0, 2 << 20) == 0 && os_allocate(fd, 2 << 20, 8 << 20) == ENOSPC ? 0 : 1;
        umount2(dir, MNT_DETACH);
    }
    rmdir(dir);
    return result;
}

static void allocation_ends_under_signals_and_fails_when_full(void **state)
{
    (void)state;
    in_child(allocate_under_signals, "");
    in_child(allocate_on_full, "allocation on a full file system (mount is not permitted)");
}

/* -- Sleeping ----------------------------------------------------------------------------------------- */

#define HOUR_NS ((int64_t)3600 * 1000000000)

static void a_sleeper_in_another_process_is_woken(void **state)
{
    (void)state;
    int fd = new_file(4096);
    shared_u32 *word = os_map(fd, 4096, true), *again = os_map(fd, 4096, true);
    const shared_u32 *readonly = os_map(fd, 4096, false);
    const shared_u32 *sleeps_on[] = { word, again, readonly };
    for (uint32_t i = 0; i < 3; i++) {
        pid_t pid = fork_bound();
        if (pid == 0) {
            os_futex_wait(sleeps_on[i], 0, HOUR_NS);
            (void)fetch_add_u32(&word[1], 1);
            _exit(0);
        }
        /* The word stays, so only a wake ends that sleep; when it begins is not known, hence again and
         * again.  Were none to arrive, the alarm ends the test. */
        alarm(60);
        while (load_seq_u32(&word[1]) == i) {
            os_futex_wake_all(word);
            sched_yield();
        }
        alarm(0);
        assert_exits(pid, "");
    }
    os_unmap(word, 4096);
    os_unmap(again, 4096);
    os_unmap((void *)(uintptr_t)readonly, 4096);
    os_close(fd);
}

static void sleeps_end_by_themselves(void **state)
{
    (void)state;
    shared_u32 word = 1;
    errno = 0;
    os_futex_wait(&word, 0, HOUR_NS); /* changed already */
    os_futex_wait(&word, 1, 0);
    os_futex_wait(&word, 1, -1);
    os_futex_wait(&word, 1, 1000);
    os_futex_wake_all(&word);
    assert_int_equal(errno, 0);
}

/* -- Fork ------------------------------------------------------------------------------------------------ */

static void assert_wiped(pid_t pid, uint64_t *word)
{
    assert_true(pid >= 0);
    if (pid == 0) {
        bool wiped = os_wipe_on_fork_word() == word && *word == 0;
        *word = 7;
        _exit(wiped ? 0 : 1);
    }
    assert_exits(pid, "");
    assert_int_equal(*word, 42);
}

static void a_child_sees_the_word_wiped(void **state)
{
    (void)state;
    uint64_t *word = os_wipe_on_fork_word();
    assert_non_null(word);
    assert_ptr_equal(word, os_wipe_on_fork_word());
    assert_int_equal(*word, 0);
    *word = 42;
    fflush(NULL);
    assert_wiped(fork(), word);
    assert_wiped((pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL), word); /* no atfork handler runs */
    *word = 0;
}

/* -- Who, when, chance -------------------------------------------------------------------------------------- */

static uint64_t start_by_hand(void)
{
    char text[1024] = "", state;
    unsigned long long start = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    sscanf(strrchr(text, ')') + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
           &state, &start);
    return start;
}

static void assert_is_me(const char *command)
{
    struct os_who who;
    struct stat st;
    memset(&who, 0xff, sizeof who);
    os_who(&who);
    assert_int_equal(who.pid, getpid());
    assert_int_equal(who.start, start_by_hand());
    assert_int_equal(stat("/proc/self/ns/pid", &st), 0);
    assert_int_equal(who.ns, st.st_ino);
    char padded[16] = "";
    memcpy(padded, command, strlen(command));
    assert_memory_equal(who.command, padded, 16);
}

static void who_am_i(void **state)
{
    (void)state;
    char before[16];
    prctl(PR_GET_NAME, before);
    assert_is_me(before);
    prctl(PR_SET_NAME, "a) S 1 (b) 22");
    assert_is_me("a) S 1 (b) 22");
    prctl(PR_SET_NAME, "123456789012345");
    assert_is_me("123456789012345");
    prctl(PR_SET_NAME, before);
}

static int who_without_proc(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/proc", "tmpfs", 0, "size=64k") != 0)
        return CHILD_SKIPS;
    struct os_who who;
    memset(&who, 0xff, sizeof who);
    prctl(PR_SET_NAME, "nobody-knows");
    errno = 0;
    os_who(&who);
    CHECK(errno == 0 && who.pid == (uint32_t)getpid() && who.start == 0 && who.ns == 0);
    CHECK(memcmp(who.command, "nobody-knows\0\0\0", 16) == 0);
    int fd = memfd_create("shoal-test", MFD_CLOEXEC);
    CHECK(os_reopen(fd, true) == -1 && errno == ENOENT);
    return 0;
}

static void who_am_i_without_proc(void **state)
{
    (void)state;
    in_child(who_without_proc, "who_am_i_without_proc (mount is not permitted)");
}

static void clocks_go_on(void **state)
{
    (void)state;
    int64_t at = os_clock_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = os_clock_ns();
        assert_true(now >= at);
        at = now;
    }
    assert_true(os_wall_ns() > (int64_t)1600000000 * 1000000000);
}

static int random_differs(void)
{
    uint8_t some[300] = { 0 }, more[300] = { 0 }, last = 9;
    uint64_t seen = 0;
    errno = 0;
    os_random(some, sizeof some);
    os_random(more, sizeof more - 1);
    os_random(&last, 0);
    CHECK(errno == 0 && last == 9 && more[299] == 0);
    CHECK(memcmp(some, more, 299) != 0);
    for (size_t i = 0; i < sizeof some; i++)
        seen |= (uint64_t)1 << (some[i] & 63);
    CHECK(__builtin_popcountll(seen) > 40);
    return 0;
}

static int random_forbidden(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = 4, .filter = code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return CHILD_SKIPS;
    return random_differs();
}

static void chance(void **state)
{
    (void)state;
    assert_int_equal(random_differs(), 0);
    in_child(random_forbidden, "random numbers without getrandom (no seccomp)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_is_seen_from_other_descriptions_only),
        cmocka_unit_test(neighbours_are_unlocked_one_by_one),
        cmocka_unit_test(read_locks_jam_the_taker_and_not_the_asker),
        cmocka_unit_test(errors_mean_alive),
        cmocka_unit_test(a_dead_holder_is_seen),
        cmocka_unit_test(a_fork_leaves_the_lock_with_the_parent),
        cmocka_unit_test(a_reopened_file_has_a_description_of_its_own),
        cmocka_unit_test(a_process_whose_first_thread_ended_can_reopen),
        cmocka_unit_test(a_file_without_a_name_says_so),
        cmocka_unit_test(mappings_are_shared_and_not_dumped),
        cmocka_unit_test(allocation_backs_what_was_asked),
        cmocka_unit_test(allocation_ends_under_signals_and_fails_when_full),
        cmocka_unit_test(a_sleeper_in_another_process_is_woken),
        cmocka_unit_test(sleeps_end_by_themselves),
        cmocka_unit_test(a_child_sees_the_word_wiped),
        cmocka_unit_test(who_am_i),
        cmocka_unit_test(who_am_i_without_proc),
        cmocka_unit_test(clocks_go_on),
        cmocka_unit_test(chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
