/* SPDX-License-Identifier: MIT
 *
 * Names of maps and their files: creation is atomic (guarantee C), opening trusts nothing (E), and no
 * error leaves anything behind.
 */
#include "segfile_place.h"

/* -- Names ---------------------------------------------------------------------------------------- */

static void bare_names_that_are_refused(void **state)
{
    (void)state;
    char long_name[66];
    memset(long_name, 'x', 65);
    long_name[65] = '\0';
    assert_refused(ALL, NULL, SHOAL_EINVAL, "NULL");
    assert_refused(ALL, "", SHOAL_EINVAL, "name \"\": empty");
    assert_refused(ALL, ".", SHOAL_EINVAL, "leading dot at 0");
    assert_refused(ALL, "..", SHOAL_EINVAL, "leading dot at 0");
    assert_refused(ALL, ".x", SHOAL_EINVAL, "name \".x\": leading dot at 0; bare names are [A-Za-z0-9._-]{1,64}");
    assert_refused(ALL, "a%b", SHOAL_EINVAL, "name \"a%b\": byte '%' at 1; bare names are [A-Za-z0-9._-]{1,64} without a leading dot");
    assert_refused(ALL, "ab cd", SHOAL_EINVAL, "byte ' ' at 2");
    assert_refused(ALL, "ab\ncd", SHOAL_EINVAL, "name \"ab\\x0acd\": byte 0x0a at 2");
    assert_refused(ALL, "caf\xc3\xa9", SHOAL_EINVAL, "byte 0xc3 at 3");
    assert_refused(ALL, long_name, SHOAL_EINVAL, "65 bytes; bare names are");
}

static void bare_names_are_shared_memory_objects(void **state)
{
    (void)state;
    char name[65], path[100];
    memset(name, 'x', 64);
    name[64] = '\0';
    int n = snprintf(name, sizeof name, "shoal-test.%d_", (int)getpid());
    name[n] = 'x';
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    for (int i = 0; i < CREATORS_N; i++) {
        create_small(creators[i], name);
        assert_opens(name);
        assert_opens(path);
        assert_int_equal(segfile_unlink(name), 0);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static void long_names_are_shown_in_part(void **state)
{
    (void)state;
    char name[3000];
    memset(name, '\x01', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_refused(ALL, name, SHOAL_EINVAL, "byte 0x01 at 0; bare names are [A-Za-z0-9._-]{1,64} without a leading dot");
    assert_true(strlen(shoal_error_text()) < 400);
}

static void paths_that_end_badly(void **state)
{
    struct place *p = *state;
    char path[6000];
    size_t n = (size_t)snprintf(path, sizeof path, "%s/", p->dir);
    assert_refused(ALL, path, SHOAL_EINVAL, "must end in a file's name");
    strcpy(path + n, ".");
    assert_refused(ALL, path, SHOAL_EINVAL, "must end in a file's name");
    strcpy(path + n, "..");
    assert_refused(ALL, path, SHOAL_EINVAL, "must end in a file's name");
    assert_refused(ALL, "/", SHOAL_EINVAL, "must end in a file's name");
    assert_refused(ALL, "./.jobs.shoal-new.0123abcd", SHOAL_EINVAL, "\".shoal-new.\" at 7");
    memset(path + n, 'c', 300);
    path[n + 300] = '\0';
    char text[64];
    snprintf(text, sizeof text, "component of 300 bytes at %zu; the limit is 255", n);
    assert_refused(ALL, path, SHOAL_EINVAL, text);
    strcpy(path + n + 300, "/x");
    assert_refused(ALL, path, SHOAL_EINVAL, text);
    for (size_t i = 0; i < sizeof path - 1; i++)
        path[i] = i % 2 == 0 ? '.' : '/';
    path[sizeof path - 1] = '\0';
    assert_refused(ALL, path, SHOAL_EINVAL, "a path of 5999 bytes; the limit is 4095");
    assert_int_equal(entries_n(p), 0);
}

static void the_longest_component_works(void **state)
{
    struct place *p = *state;
    char last[256];
    memset(last, 'n', 255);
    last[255] = '\0';
    const char *path = in_place(p, 0, last);
    for (int i = 0; i < CREATORS_N; i++) {
        create_small(creators[i], path);
        assert_opens(path);
        assert_int_equal(entries_n(p), 1);
        assert_int_equal(segfile_unlink(path), 0);
    }
}

static void drafts_are_recognised(void **state)
{
    (void)state;
    struct name jobs, longest;
    struct draft_name draft;
    char path[300] = "/";
    memset(path + 1, 'n', 255);
    path[256] = '\0';
    assert_int_equal(name_parse("jobs", &jobs), 0);
    assert_int_equal(name_parse(path, &longest), 0);
    name_draft(&jobs, 0xabc, &draft);
    assert_string_equal(draft.last, ".jobs.shoal-new.00000abc");
    assert_true(name_is_draft_of(&jobs, draft.last));
    assert_false(name_is_draft_of(&longest, draft.last));
    name_draft(&longest, 0xffffffff, &draft);
    assert_int_equal(strlen(draft.last), 255);
    assert_true(name_is_draft_of(&longest, draft.last));
    static const char *const others[] = { "jobs", ".jobs", ".jobs.shoal-new.", ".jobs.shoal-new.0123abcg",
                                          ".jobs.shoal-new.0123abcde", ".jobs.shoal-new.0123abc", ".job.shoal-new.0123abcd",
                                          ".jobss.shoal-new.0123abcd", "jobs.shoal-new.0123abcd", "", "." };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(name_is_draft_of(&jobs, others[i]));
}

static void ends_that_are_no_regular_files(void **state)
{
    struct place *p = *state;
    const char *map = in_place(p, 0, "map"), *path = in_place(p, 1, "end");
    create_small(segfile_create, map);
    assert_int_equal(symlink(map, path), 0);
    assert_refused(ALL, path, SHOAL_EINVAL, "a symbolic link");
    unlink(path);
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    assert_refused(ALL, path, SHOAL_EINVAL, "a symbolic link");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(ALL, path, SHOAL_EINVAL, "a directory");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(ALL, path, SHOAL_EINVAL, "a FIFO");
    unlink(path);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int socket_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(socket_fd, (struct sockaddr *)&address, sizeof address), 0);
    close(socket_fd);
    assert_refused(ALL, path, SHOAL_EINVAL, "a socket");
    assert_refused(ALL, "/dev/null", SHOAL_EINVAL, "a device");
    unlink(path);
    assert_opens(map);
    assert_int_equal(entries_n(p), 1);
}

static void what_does_not_exist(void **state)
{
    struct place *p = *state;
    assert_refused(OPEN | UNLINK, in_place(p, 0, "jobs"), SHOAL_ENOMAP, "no such map");
    assert_refused(OPEN | UNLINK, in_place(p, 0, "sub/jobs"), SHOAL_ENOMAP, "no such map");
    errno = 0;
    assert_refused(CREATE, in_place(p, 0, "sub/jobs"), SHOAL_EOS, "No such file or directory");
    assert_int_equal(errno, ENOENT);
    close(open(in_place(p, 0, "sub"), O_CREAT | O_WRONLY, 0600));
    errno = 0;
    assert_refused(ALL, in_place(p, 0, "sub/jobs"), SHOAL_EOS, "Not a directory");
    assert_int_equal(errno, ENOTDIR);
}

/* -- Creation ------------------------------------------------------------------------------------------ */

static void a_new_map_is_complete(void **state)
{
    struct place *p = *state;
    struct shoal_options o = small();
    struct geometry made[CREATORS_N], opened;
    for (int i = 0; i < CREATORS_N; i++) {
        const char *path = in_place(p, 0, "jobs");
        int fd = UNTOUCHED, other = UNTOUCHED;
        struct stat st;
        assert_int_equal(new_file(creators[i], path, &o, &fd, &made[i]), 0);
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        assert_int_equal(st.st_nlink, 1);
        assert_int_equal(st.st_size, made[i].segment_bytes);
        assert_true(os_file_allocated_bytes(fd) >= made[i].heap_at);
        assert_true(made[i].created_ns > 0);
        assert_int_equal(segfile_open(path, 0, &other, &opened), 0);
        assert_memory_equal(&made[i], &opened, sizeof opened);
        assert_false(os_is_locked(other, SEGFILE_DRAFT_BYTE));
        assert_int_equal(entries_n(p), 1);
        close(fd);
        close(other);
        unlink(path);
    }
    assert_true(made[0].seed != made[1].seed);
    assert_true(made[0].version_salt != made[1].version_salt);
}

static void preallocated_spans_say_so(void **state)
{
    struct place *p = *state;
    struct shoal_options o = small();
    o.heap_bytes = (uint64_t)600 * 4096;
    o.flags = SHOAL_PREALLOCATE;
    for (int i = 0; i < CREATORS_N; i++) {
        struct geometry g = { 0 };
        int fd = UNTOUCHED;
        assert_int_equal(new_file(creators[i], in_place(p, 0, "jobs"), &o, &fd, &g), 0);
        assert_true(g.spans_n > 512);
        assert_true(os_file_allocated_bytes(fd) >= g.segment_bytes);
        uint64_t words[1024] = { 0 };
        assert_int_equal(pread(fd, words, g.spans_n * 8, (off_t)g.spans_at), g.spans_n * 8);
        for (uint64_t s = 0; s < g.spans_n; s++)
            assert_int_equal(words[s], span_pack(0, SPAN_FREE, 0, 0, true));
        uint64_t behind = 1;
        assert_int_equal(pread(fd, &behind, 8, (off_t)(g.spans_at + g.spans_n * 8)), 8);
        assert_int_equal(behind, 0);
        close(fd);
        assert_int_equal(segfile_unlink(in_place(p, 0, "jobs")), 0);
    }
}

static void a_taken_name_is_refused(void **state)
{
    struct place *p = *state;
    const char *path = in_place(p, 0, "jobs");
    create_small(segfile_create, path);
    assert_refused(CREATE, path, SHOAL_EMAPEXISTS, "exists already");
    assert_opens(path);
    assert_int_equal(entries_n(p), 1);
}

static void bad_options_leave_nothing(void **state)
{
    struct place *p = *state;
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    o.on_full = SHOAL_FULL_SPILL;
    for (int i = 0; i < CREATORS_N; i++)
        assert_int_equal(new_file(creators[i], in_place(p, 0, "jobs"), &o, &fd, &g), SHOAL_EINVAL);
    assert_int_equal(fd, UNTOUCHED);
    assert_int_equal(entries_n(p), 0);
}

#define RACERS 8
#define RACES 40

/* Which of the creators, 2 = they take turns. */
static void race(struct place *p, int which)
{
    const char *path = in_place(p, 0, "jobs");
    pid_t pid[RACERS];
    int gate[2];
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    fflush(NULL);
    for (int i = 0; i < RACERS; i++) {
        pid[i] = fork();
        assert_true(pid[i] >= 0);
        if (pid[i] == 0) {
            char byte;
            struct shoal_options o = small();
            struct geometry g;
            int fd;
            close(gate[1]);
            while (read(gate[0], &byte, 1) > 0) {} /* until the parent opens the gate by closing it */
            _exit(-new_file(creators[which < 2 ? which : i % 2], path, &o, &fd, &g));
        }
    }
    close(gate[0]);
    close(gate[1]);
    int won = 0, lost = 0;
    for (int i = 0; i < RACERS; i++) {
        int status;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFEXITED(status));
        won += WEXITSTATUS(status) == 0;
        lost += WEXITSTATUS(status) == -SHOAL_EMAPEXISTS;
    }
    assert_int_equal(won, 1);
    assert_int_equal(lost, RACERS - 1);
    assert_int_equal(entries_n(p), 1);
    assert_opens(path);
    unlink(path);
}

static void of_racing_creators_one_wins(void **state)
{
    for (int round = 0; round < RACES; round++)
        for (int which = 0; which < 3; which++)
            race(*state, which);
}

/* -- Permissions -------------------------------------------------------------------------------------------- */

static void the_umask_does_not_apply(void **state)
{
    struct place *p = *state;
    static const mode_t masks[] = { 077, 0, 0777 }, modes[] = { 0, 0660, 0444, 0666 };
    mode_t before = umask(0);
    for (int i = 0; i < 3 * 4 * CREATORS_N; i++) {
        struct shoal_options o = small();
        struct geometry g;
        struct stat st;
        int fd = UNTOUCHED;
        const mode_t mode = modes[i / 3 % 4];
        o.mode = mode;
        umask(masks[i % 3]);
        int code = new_file(creators[i / 12], in_place(p, 0, "jobs"), &o, &fd, &g);
        umask(before);
        assert_int_equal(code, 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, mode != 0 ? mode : 0600);
        close(fd);
        unlink(p->path[0]);
    }
}

static void the_group_is_set(void **state)
{
    struct place *p = *state;
    struct shoal_options o = small();
    o.gid = geteuid() == 0 ? 12345 : (int64_t)getegid();
    o.mode = 0660;
    for (int i = 0; i < CREATORS_N; i++) {
        struct geometry g;
        struct stat st;
        int fd = UNTOUCHED;
        assert_int_equal(new_file(creators[i], in_place(p, 0, "jobs"), &o, &fd, &g), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_gid, o.gid);
        assert_int_equal(st.st_mode & 07777, 0660);
        close(fd);
        unlink(p->path[0]);
    }
}

static int as_nobody(struct place *p)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    create_small(segfile_create, in_place(p, 1, "roots"));
    o.mode = 0664;
    CHECK(new_file(segfile_create, in_place(p, 2, "readable"), &o, &fd, &g) == 0);
    close(fd);
    fd = UNTOUCHED;
    CHECK(chmod(p->dir, 0777) == 0);
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return CHILD_SKIPS;
    o.mode = 0600;
    o.gid = 12345;
    for (int i = 0; i < CREATORS_N; i++) {
        CHECK(new_file(creators[i], in_place(p, 0, "jobs"), &o, &fd, &g) == SHOAL_EOS && errno == EPERM);
        CHECK(strstr(shoal_error_text(), "give it to group 12345") != NULL);
    }
    CHECK(entries_n(p) == 2 && fd == UNTOUCHED);
    CHECK(segfile_open(p->path[1], SHOAL_FOREIGN, &fd, &g) == SHOAL_EOS && errno == EACCES);
    CHECK(segfile_unlink(p->path[1]) == SHOAL_EOS && errno == EACCES);
    CHECK(segfile_open(p->path[2], SHOAL_FOREIGN, &fd, &g) == SHOAL_EOS && errno == EACCES);
    CHECK(segfile_open(p->path[2], SHOAL_RDONLY, &fd, &g) == SHOAL_EOS && errno == EPERM);
    CHECK(segfile_open(p->path[2], SHOAL_RDONLY | SHOAL_FOREIGN, &fd, &g) == 0);
    close(fd);
    fd = UNTOUCHED;
    CHECK(chdir(p->dir) == 0);
    CHECK(new_file(segfile_create, "/proc/jobs", NULL, &fd, &g) == SHOAL_EOS);
    CHECK(fd == UNTOUCHED);
    return 0;
}

static void what_permissions_forbid(void **state)
{
    if (geteuid() != 0)
        print_message("skipped: what_permissions_forbid (not root)\n");
    else
        in_child(*state, as_nobody, "what_permissions_forbid (setuid is not permitted)");
}

static void the_owner_must_be_oneself(void **state)
{
    struct place *p = *state;
    const char *path = in_place(p, 0, "jobs");
    struct geometry g;
    int fd = UNTOUCHED;
    create_small(segfile_create, path);
    if (geteuid() != 0 || chown(path, NOBODY, (gid_t)-1) != 0) {
        print_message("skipped: the_owner_must_be_oneself (not root)\n");
        return;
    }
    errno = 0;
    assert_int_equal(segfile_open(path, 0, &fd, &g), SHOAL_EOS);
    assert_int_equal(errno, EPERM);
    assert_text_has("belongs to uid 65534, and this process is uid 0; SHOAL_FOREIGN accepts that");
    assert_int_equal(segfile_open(path, SHOAL_RDONLY, &fd, &g), SHOAL_EOS);
    assert_int_equal(fd, UNTOUCHED);
    assert_int_equal(segfile_open(path, SHOAL_FOREIGN, &fd, &g), 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    close(fd);
    assert_int_equal(segfile_open(path, SHOAL_FOREIGN | SHOAL_RDONLY, &fd, &g), 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(fd);
    fd = UNTOUCHED;
    assert_int_equal(segfile_open(path, 1u << 9, &fd, &g), SHOAL_EINVAL);
    assert_text_has("0x200");
    assert_int_equal(fd, UNTOUCHED);
}

/* -- File systems and kernels that cannot ------------------------------------------------------------------- */

/* A mount of this process's own, gone with it. */
static bool mount_here(const char *where, const char *size)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", where, "tmpfs", 0, size) == 0;
}

static int on_a_full_file_system(struct place *p)
{
    if (!mount_here(p->dir, "size=256k"))
        return CHILD_SKIPS;
    struct shoal_options large = small(), whole = small();
    large.capacity = 100000;
    whole.heap_bytes = 16 << 20;
    whole.flags = SHOAL_PREALLOCATE;
    struct geometry g;
    int fd = UNTOUCHED;
    for (int i = 0; i < CREATORS_N; i++) {
        errno = 0;
        CHECK(new_file(creators[i], in_place(p, 0, "jobs"), &large, &fd, &g) == SHOAL_EOS && errno == ENOSPC);
        CHECK(strstr(shoal_error_text(), "bytes for header and table: No space left") != NULL);
        CHECK(new_file(creators[i], p->path[0], &whole, &fd, &g) == SHOAL_EOS && errno == ENOSPC);
        CHECK(strstr(shoal_error_text(), "bytes for header, table and heap: No space left") != NULL);
        CHECK(fd == UNTOUCHED && entries_n(p) == 0);
        whole.flags = 0;
        CHECK(new_file(creators[i], p->path[0], &whole, &fd, &g) == 0); /* a heap may be larger than what is free */
        whole.flags = SHOAL_PREALLOCATE;
        CHECK(entries_n(p) == 1 && segfile_unlink(p->path[0]) == 0 && close(fd) == 0);
        fd = UNTOUCHED;
    }
    return 0;
}

static void a_full_file_system_is_seen_at_creation(void **state)
{
    in_child(*state, on_a_full_file_system, "a_full_file_system_is_seen_at_creation (mount is not permitted)");
}

static int without_proc(struct place *p)
{
    if (!mount_here("/proc", "size=64k"))
        return CHILD_SKIPS;
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    touch(in_place(p, 1, ".jobs.shoal-new.0123abcd"));
    CHECK(new_file(segfile_create, in_place(p, 0, "jobs"), &o, &fd, &g) == 0);
    CHECK(segfile_open(p->path[0], 0, &fd, &g) == 0);
    CHECK(entries_n(p) == 1); /* it came the other way, and cleaned up there */
    return 0;
}

static void maps_are_made_without_proc(void **state)
{
    in_child(*state, without_proc, "maps_are_made_without_proc (mount is not permitted)");
}

/* From now on this process gets `error` from the call, where argument `arg` has all bits of `bits`. */
static bool forbid(long call, unsigned arg, uint32_t bits, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, args) + arg * 8),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof code / sizeof code[0], .filter = code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int create_and_look(struct place *p)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    struct stat st;
    touch(in_place(p, 1, ".jobs.shoal-new.0123abcd"));
    CHECK(new_file(segfile_create, in_place(p, 0, "jobs"), &o, &fd, &g) == 0);
    CHECK(entries_n(p) == 1);
    CHECK(fstat(fd, &st) == 0 && st.st_nlink == 1);
    CHECK(new_file(segfile_create, p->path[0], &o, &fd, &g) == SHOAL_EMAPEXISTS);
    CHECK(segfile_open(p->path[0], 0, &fd, &g) == 0);
    CHECK(segfile_unlink(p->path[0]) == 0 && entries_n(p) == 0);
    return 0;
}

static int without_tmpfile(struct place *p)
{
    return forbid(SYS_openat, 2, O_TMPFILE, EOPNOTSUPP) ? create_and_look(p) : CHILD_SKIPS;
}
static int with_old_tmpfile(struct place *p)
{
    return forbid(SYS_openat, 2, O_TMPFILE, EISDIR) ? create_and_look(p) : CHILD_SKIPS;
}
static int without_hard_links(struct place *p)
{
    return forbid(SYS_linkat, 0, 0, EPERM) ? create_and_look(p) : CHILD_SKIPS;
}
static int without_tmpfile_and_rename(struct place *p)
{
    return forbid(SYS_openat, 2, O_TMPFILE, EOPNOTSUPP) && forbid(SYS_renameat2, 0, 0, EINVAL) ? create_and_look(p)
                                                                                                : CHILD_SKIPS;
}

static int without_anything(struct place *p)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    if (!forbid(SYS_linkat, 0, 0, EOPNOTSUPP) || !forbid(SYS_renameat2, 0, 0, EINVAL))
        return CHILD_SKIPS;
    CHECK(new_file(segfile_create, in_place(p, 0, "jobs"), &o, &fd, &g) == SHOAL_EOS && errno == EOPNOTSUPP);
    CHECK(entries_n(p) == 0 && fd == UNTOUCHED);
    return 0;
}

static int without_allocation(struct place *p)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    if (!forbid(SYS_fallocate, 0, 0, EOPNOTSUPP))
        return CHILD_SKIPS;
    for (int i = 0; i < CREATORS_N; i++)
        CHECK(new_file(creators[i], in_place(p, 0, "jobs"), &o, &fd, &g) == SHOAL_EOS && errno == EOPNOTSUPP);
    CHECK(entries_n(p) == 0 && fd == UNTOUCHED);
    return 0;
}

static int without_locks(struct place *p)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    if (!forbid(SYS_fcntl, 1, F_OFD_SETLK, ENOLCK))
        return CHILD_SKIPS;
    CHECK(new_file(segfile_create_by_rename, in_place(p, 0, "jobs"), &o, &fd, &g) == SHOAL_EOS && errno == ENOLCK);
    CHECK(entries_n(p) == 0 && fd == UNTOUCHED);
    return 0;
}

static int over_the_size_limit(struct place *p)
{
    struct shoal_options o = small();
    struct geometry g;
    int fd = UNTOUCHED;
    struct rlimit limit = { 8192, 8192 };
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    for (int i = 0; i < CREATORS_N; i++)
        CHECK(new_file(creators[i], in_place(p, 0, "jobs"), &o, &fd, &g) == SHOAL_EOS && errno == EFBIG);
    CHECK(entries_n(p) == 0 && fd == UNTOUCHED);
    return 0;
}

static void what_the_kernel_lacks(void **state)
{
    in_child(*state, without_tmpfile, "without O_TMPFILE (no seccomp)");
    in_child(*state, with_old_tmpfile, "with a kernel older than O_TMPFILE (no seccomp)");
    in_child(*state, without_hard_links, "without hard links (no seccomp)");
    in_child(*state, without_tmpfile_and_rename, "without O_TMPFILE and renameat2 (no seccomp)");
    in_child(*state, without_anything, "without links and renameat2 (no seccomp)");
    in_child(*state, without_allocation, "without fallocate (no seccomp)");
    in_child(*state, without_locks, "without locks (no seccomp)");
    in_child(*state, over_the_size_limit, "");
}

/* -- Bad files --------------------------------------------------------------------------------------------------- */

static void files_that_are_no_maps(void **state)
{
    struct place *p = *state;
    const char *path = in_place(p, 0, "jobs");
    char text[500];
    touch(path);
    assert_refused(OPEN, path, SHOAL_ECORRUPT, "truncated: 9 bytes, a header has 4096");
    assert_refused(UNLINK, path, SHOAL_ECORRUPT, "not a Shoal map (9 bytes), so not removed; by hand: rm /tmp/");
    resize(path, 0);
    assert_refused(OPEN, path, SHOAL_ECORRUPT, "empty");
    assert_refused(UNLINK, path, SHOAL_ECORRUPT, "(0 bytes), so not removed");
    resize(path, 4095);
    assert_refused(OPEN, path, SHOAL_ECORRUPT, "truncated: 4095 bytes");
    assert_refused(UNLINK, path, SHOAL_ECORRUPT, "not removed");
    resize(path, 0);
    resize(path, 1 << 20);
    assert_refused(OPEN, path, SHOAL_ECORRUPT, "not a Shoal map");
    snprintf(text, sizeof text, "(1048576 bytes without its magic number), so not removed; by hand: rm %s", path);
    assert_refused(UNLINK, path, SHOAL_ECORRUPT, text);
    assert_int_equal(access(path, F_OK), 0);
}

static void maps_that_were_damaged(void **state)
{
    struct place *p = *state;
    const char *path = in_place(p, 0, "jobs");
    struct geometry g;
    int fd;
    create_small(segfile_create, path);
    assert_int_equal(segfile_open(path, 0, &fd, &g), 0);
    close(fd);
    resize(path, (off_t)g.segment_bytes - 1);
    assert_refused(OPEN, path, SHOAL_ECORRUPT, "truncated");
    resize(path, (off_t)g.segment_bytes + 1);
    assert_refused(OPEN, path, SHOAL_ECORRUPT, "longer");
    resize(path, (off_t)g.segment_bytes);
    assert_opens(path);
    put_bytes(path, "\xff", 1, 100);
    assert_refused(OPEN, path, SHOAL_ECORRUPT, "checksum");
    uint32_t layout = 77;
    put_bytes(path, &layout, sizeof layout, offsetof(struct segment_header, layout));
    assert_refused(OPEN, path, SHOAL_EVERSION, "layout version 77");
    assert_int_equal(segfile_unlink(path), 0); /* a map all the same */
    assert_int_equal(entries_n(p), 0);
}

/* -- Unlinking ------------------------------------------------------------------------------------------------- */

static void unlinking_marks_the_header(void **state)
{
    struct place *p = *state;
    const char *path = in_place(p, 0, "jobs");
    struct geometry g;
    int fd = UNTOUCHED;
    create_small(segfile_create, path);
    assert_int_equal(segfile_open(path, 0, &fd, &g), 0);
    struct segment_header *header = os_map(fd, SEGMENT_PAGE, true);
    assert_non_null(header);
    assert_int_equal(load_relaxed_u32(&header->unlinked), 0);
    assert_false(os_file_unlinked(fd));
    assert_int_equal(segfile_unlink(path), 0);
    assert_int_equal(load_relaxed_u32(&header->unlinked), 1);
    assert_true(os_file_unlinked(fd));
    assert_refused(OPEN | UNLINK, path, SHOAL_ENOMAP, "no such map");
    create_small(segfile_create, path); /* the name is free again, and the old map goes on */
    store_relaxed_u32(&header->entries_used, 1);
    os_unmap(header, SEGMENT_PAGE);
    close(fd);
    assert_opens(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(bare_names_that_are_refused),
        TEST(bare_names_are_shared_memory_objects),
        TEST(long_names_are_shown_in_part),
        TEST(paths_that_end_badly),
        TEST(the_longest_component_works),
        TEST(drafts_are_recognised),
        TEST(ends_that_are_no_regular_files),
        TEST(what_does_not_exist),
        TEST(a_new_map_is_complete),
        TEST(preallocated_spans_say_so),
        TEST(a_taken_name_is_refused),
        TEST(bad_options_leave_nothing),
        TEST(of_racing_creators_one_wins),
        TEST(the_umask_does_not_apply),
        TEST(the_group_is_set),
        TEST(what_permissions_forbid),
        TEST(the_owner_must_be_oneself),
        TEST(a_full_file_system_is_seen_at_creation),
        TEST(maps_are_made_without_proc),
        TEST(what_the_kernel_lacks),
        TEST(files_that_are_no_maps),
        TEST(maps_that_were_damaged),
        TEST(unlinking_marks_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
