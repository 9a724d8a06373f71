/* SPDX-License-Identifier: MIT
 *
 * System calls for memory, locks, sleeping, time and identity (os.h).  What os.h does not call a failure
 * leaves errno alone, so that cleaning up does not hide why.
 */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/huge.h"

/* fallocate works on a piece at a time: one call that allocates 64 GiB starts from nothing again at each
 * signal.  2 MiB also is the largest span, and a huge page. */
#define ALLOCATE_PIECE ((uint64_t)2 << 20)
#define ALLOCATE_PIECE_MIN ((uint64_t)4096)

#define NS_PER_S 1000000000

/* -- Memory ------------------------------------------------------------------------- */

void *os_map(int fd, uint64_t bytes, bool writable)
{
    int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *at = mmap(NULL, bytes, prot, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (at == MAP_FAILED)
        return NULL;
    /* A dump of a large segment would keep a dead process's locks for minutes.  A kernel that refuses
     * makes deaths slower to see, not wrong. */
    (void)madvise(at, bytes, MADV_DONTDUMP);
    if (bytes >= HUGE_LEAST)
        (void)madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

void os_unmap(void *at, uint64_t bytes)
{
    int keep = errno;
    (void)munmap(at, bytes);
    errno = keep;
}

int os_flush(void *at, uint64_t bytes)
{
    int result;
    do
        result = msync(at, bytes, MS_SYNC);
    while (result != 0 && errno == EINTR);
    return result;
}

/* -- Files --------------------------------------------------------------------------- */

int os_allocate(int fd, uint64_t at, uint64_t bytes)
{
    if (bytes > INT64_MAX || at > INT64_MAX - bytes)
        return EFBIG;
    uint64_t end = at + bytes, piece_max = ALLOCATE_PIECE;
    int keep = errno, result = 0;
    while (at < end && result == 0) {
        uint64_t piece = piece_max - at % piece_max; /* up to the next multiple, so huge pages stay whole */
        if (piece > end - at)
            piece = end - at;
        if (fallocate(fd, 0, (off_t)at, (off_t)piece) == 0)
            at += piece;
        else if (errno != EINTR)
            result = errno;
        else if (piece_max > ALLOCATE_PIECE_MIN)
            piece_max /= 2; /* tmpfs undoes an interrupted piece: smaller ones get through between signals */
    }
    errno = keep;
    return result;
}

uint64_t os_file_allocated_bytes(int fd)
{
    struct stat st;
    int keep = errno;
    uint64_t bytes = fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
    errno = keep;
    return bytes;
}

bool os_file_unlinked(int fd)
{
    struct stat st;
    int keep = errno;
    bool unlinked = fstat(fd, &st) == 0 && st.st_nlink == 0;
    errno = keep;
    return unlinked;
}

/* 0 where that is not known. */
static long file_system_of(int fd)
{
    struct statfs fs;
    int keep = errno;
    long type = fstatfs(fd, &fs) == 0 ? (long)fs.f_type : 0;
    errno = keep;
    return type;
}

bool os_file_outlives(int fd)
{
    long type = file_system_of(fd);
    return type != TMPFS_MAGIC && type != RAMFS_MAGIC && type != HUGETLBFS_MAGIC;
}

bool os_file_is_hugetlb(int fd) { return file_system_of(fd) == HUGETLBFS_MAGIC; }

struct os_file os_file_of(int fd)
{
    struct stat st;
    struct os_file file = { 0, 0 };
    int keep = errno;
    if (fstat(fd, &st) == 0)
        file = (struct os_file){ st.st_dev, st.st_ino };
    errno = keep;
    return file;
}

bool os_is_file(int fd, struct os_file file)
{
    struct os_file other = os_file_of(fd);
    return other.inode != 0 && other.inode == file.inode && other.device == file.device;
}

int os_reopen(int fd, bool writable)
{
    /* thread-self, not self: the directory of a process whose first thread has exited is empty. */
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
    return open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
}

void os_close(int fd)
{
    int keep = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = keep;
}

/* -- Locks ----------------------------------------------------------------------------- */

static int lock_call(int fd, int command, short type, uint64_t byte, uint64_t n, short *ret_type)
{
    if (byte > INT64_MAX || n > INT64_MAX - byte) {
        errno = EINVAL;
        return -1;
    }
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = (off_t)n };
    int result;
    do
        result = fcntl(fd, command, &lock);
    while (result != 0 && errno == EINTR);
    *ret_type = lock.l_type;
    return result;
}

static enum os_lock_answer lock_set(int fd, short kind, uint64_t byte)
{
    short type;
    if (lock_call(fd, F_OFD_SETLK, kind, byte, 1, &type) == 0)
        return OS_LOCK_TAKEN;
    return errno == EAGAIN || errno == EACCES ? OS_LOCK_BUSY : OS_LOCK_ERROR;
}

enum os_lock_answer os_lock(int fd, uint64_t byte) { return lock_set(fd, F_WRLCK, byte); }
enum os_lock_answer os_lock_shared(int fd, uint64_t byte) { return lock_set(fd, F_RDLCK, byte); }

/* May fail where the kernel is out of memory: it splits a range of neighbouring locks.  The byte then
 * stays locked until the description is closed, which only delays others. */
void os_unlock(int fd, uint64_t byte)
{
    short type;
    int keep = errno;
    (void)lock_call(fd, F_OFD_SETLK, F_UNLCK, byte, 1, &type);
    errno = keep;
}

/* Asks whether a read lock would be granted, so that other people's read locks are not seen. */
bool os_any_locked(int fd, uint64_t byte, uint64_t n)
{
    short type;
    int keep = errno;
    bool free = lock_call(fd, F_OFD_GETLK, F_RDLCK, byte, n, &type) == 0 && type == F_UNLCK;
    errno = keep;
    return !free;
}

bool os_is_locked(int fd, uint64_t byte) { return os_any_locked(fd, byte, 1); }

/* -- Sleeping -------------------------------------------------------------------------- */

/* Not FUTEX_PRIVATE_FLAG: the sleeper and the waker have different address spaces. */
void os_futex_wait(const shared_u32 *word, uint32_t seen, int64_t timeout_ns)
{
    if (timeout_ns <= 0)
        return;
    struct timespec timeout = { .tv_sec = timeout_ns / NS_PER_S, .tv_nsec = timeout_ns % NS_PER_S };
    int keep = errno;
    (void)syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
    errno = keep;
}

void os_futex_wake_all(shared_u32 *word)
{
    int keep = errno;
    (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    errno = keep;
}

/* -- Time and chance --------------------------------------------------------------------- */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now = { 0 };
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t os_clock_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
int64_t os_wall_ns(void) { return clock_ns(CLOCK_REALTIME); }

uint64_t os_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes : 0;
}

/* Where getrandom is forbidden: different for every process and call, but to be guessed.  It costs
 * nothing but the defence against chosen keys (splitmix64, Steele et al. 2014). */
static uint64_t guessable(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void random_without_kernel(uint8_t *to, size_t bytes)
{
    uint64_t state = (uint64_t)os_clock_ns() ^ ((uint64_t)os_wall_ns() << 20) ^ ((uint64_t)getpid() << 40) ^
                     (uint64_t)(uintptr_t)&state;
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)guessable(&state);
}

void os_random(void *buf, size_t bytes)
{
    uint8_t *to = buf;
    int keep = errno;
    while (bytes > 0) {
        ssize_t got = getrandom(to, bytes, 0);
        if (got < 0 && errno != EINTR) {
            random_without_kernel(to, bytes);
            break;
        }
        if (got > 0) {
            to += got;
            bytes -= (size_t)got;
        }
    }
    errno = keep;
}

/* -- Who is this --------------------------------------------------------------------------- */

/* A small file of /proc as a string; "" where there is none. */
static void read_text(const char *path, char *text, size_t size)
{
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd >= 0 && n < size - 1) {
        ssize_t got = read(fd, text + n, size - 1 - n);
        if (got > 0)
            n += (size_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    text[n] = '\0';
    os_close(fd);
}

/* Field 22 of /proc/PID/stat; `field` is the space before field 3. */
static uint64_t start_ticks(const char *field)
{
    for (int i = 3; i < 22 && field != NULL; i++)
        field = *field == ' ' ? strchr(field + 1, ' ') : NULL;
    return field != NULL ? strtoull(field, NULL, 10) : 0;
}

void os_who(struct os_who *ret_who)
{
    char text[1024], name[16] = "";
    struct stat st;
    int keep = errno;
    memset(ret_who, 0, sizeof *ret_who);
    ret_who->pid = (uint32_t)getpid();
    if (stat("/proc/thread-self/ns/pid", &st) == 0)
        ret_who->ns = (uint64_t)st.st_ino;

    read_text("/proc/self/stat", text, sizeof text);
    const char *open_at = strchr(text, '('), *close_at = strrchr(text, ')'); /* the command may hold ')' */
    if (open_at != NULL && close_at != NULL && open_at < close_at) {
        size_t n = (size_t)(close_at - open_at - 1);
        memcpy(ret_who->command, open_at + 1, n < sizeof ret_who->command ? n : sizeof ret_who->command);
        ret_who->start = start_ticks(close_at + 1);
    } else if (prctl(PR_GET_NAME, name) == 0) {
        memcpy(ret_who->command, name, strnlen(name, sizeof name));
    }
    errno = keep;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct {
    uint8_t id[OS_BOOT_BYTES];
    int why; /* 0, or why there is none */
} boot;      /* written once, by boot_read: it stays for as long as any process */

/* "1b4e28ba-2fa1-11d2-883f-0016d3cca427" */
static void boot_read(void)
{
    char text[64];
    size_t n = 0;
    read_text("/proc/sys/kernel/random/boot_id", text, sizeof text);
    for (const char *at = text; *at != '\0' && n < 2 * (size_t)OS_BOOT_BYTES; at++) {
        int digit = hex_digit(*at);
        if (digit < 0)
            continue;
        boot.id[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : boot.id[n / 2] | digit);
        n++;
    }
    boot.why = n == 2 * (size_t)OS_BOOT_BYTES ? 0 : EIO;
}

int os_boot(uint8_t ret_boot[OS_BOOT_BYTES])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int keep = errno;
    (void)pthread_once(&once, boot_read);
    errno = keep;
    memcpy(ret_boot, boot.id, sizeof boot.id);
    return boot.why;
}

/* -- Fork ------------------------------------------------------------------------------------ */

static uint64_t *wipe_word; /* written once, by wipe_word_make */

static void wipe_word_make(void)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return;
    if (madvise(at, bytes, MADV_WIPEONFORK) == 0)
        wipe_word = at;
    else
        (void)munmap(at, bytes);
}

uint64_t *os_wipe_on_fork_word(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int keep = errno;
    (void)pthread_once(&once, wipe_word_make);
    errno = keep;
    return wipe_word;
}
