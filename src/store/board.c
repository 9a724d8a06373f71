/* SPDX-License-Identifier: MIT
 *
 * The page that the processes of a store share, and its lock (board.h).
 */
#include "store/board.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/file.h"

#define LOCK_NAME "lock"
#define LOCK_BYTE 0
#define USER_BYTE 1
#define LEAD_BYTE 2
#define PIN_BYTE 3
#define GIVE_WAY_NS 2000000 /* who was waiting for the lock has it by then, or has gone */
#define ASK_AGAIN_NS 20000000
#define NS_PER_MS 1000000

/* -- Forks --------------------------------------------------------------------------------------- */

/* A child must not keep its parent's locks alive behind the parent's death. */
static pthread_mutex_t boards_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct board *boards;

static void fork_begins(void) { (void)pthread_mutex_lock(&boards_mutex); }
static void fork_was_here(void) { (void)pthread_mutex_unlock(&boards_mutex); }

static void forked(void)
{
    for (struct board *board = boards; board != NULL; board = board->next) {
        file_close(board->lock_file);
        board->lock_file = -1;
        for (unsigned i = 0; i < BOARD_PINS; i++) {
            file_close(board->pin_file[i]);
            board->pin_file[i] = -1;
        }
    }
    fork_was_here();
}

static void watch_forks(void) { (void)pthread_atfork(fork_begins, fork_was_here, forked); }

static void boards_add(struct board *board)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
    (void)pthread_mutex_lock(&boards_mutex);
    board->next = boards;
    boards = board;
    (void)pthread_mutex_unlock(&boards_mutex);
}

static void boards_remove(struct board *board)
{
    (void)pthread_mutex_lock(&boards_mutex);
    struct board **at = &boards;
    while (*at != NULL && *at != board)
        at = &(*at)->next;
    if (*at != NULL)
        *at = board->next;
    (void)pthread_mutex_unlock(&boards_mutex);
}

/* The child has one thread, which holds no board. */
static void become_own(struct board *board)
{
    uint32_t pid = (uint32_t)getpid();
    if (board->pid == pid)
        return;
    file_close(board->lock_file); /* a child that was made without fork's hooks */
    board->lock_file = -1;
    board->pid = pid;
    (void)pthread_mutex_init(&board->mutex, NULL);
}

/* -- Open ---------------------------------------------------------------------------------------- */

/* Mapped through a description of its own: a mapping would keep locks alive in forked children. */
static int map_page(struct board *board)
{
    uint64_t bytes = 0;
    int file, why = file_open(board->dir, LOCK_NAME, board->writable, &file);
    if (why != 0)
        return why;
    why = file_size(file, &bytes);
    if (why == 0 && bytes < BOARD_BYTES)
        why = ENOENT;
    if (why == 0) {
        board->page = os_map(file, BOARD_BYTES, board->writable);
        why = board->page == NULL ? ENOMEM : 0;
        board->file = os_file_of(file);
    }
    file_close(file);
    return why;
}

int board_open(struct board *board, int dir, bool writable)
{
    *board = (struct board){ .dir = dir, .writable = writable, .lock_file = -1, .pid = (uint32_t)getpid() };
    for (unsigned i = 0; i < BOARD_PINS; i++)
        board->pin_file[i] = -1;
    int why = map_page(board);
    if (why != 0 && why != ENOENT)
        return why;
    (void)pthread_mutex_init(&board->mutex, NULL);
    boards_add(board);
    return 0;
}

void board_close(struct board *board)
{
    boards_remove(board);
    file_close(board->lock_file);
    if (board->page != NULL)
        os_unmap(board->page, BOARD_BYTES);
    (void)pthread_mutex_destroy(&board->mutex);
}

/* -- Lock ---------------------------------------------------------------------------------------- */

static int mutex_lock_until(pthread_mutex_t *mutex, int64_t until_ns)
{
    struct timespec until = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };
    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
}

/* Locks byte 0 on a description that is new, so that no forked child shares it. */
static int byte_lock_until(struct board *board, int64_t until_ns)
{
    int file, why = file_open_or_make(board->dir, LOCK_NAME, &file);
    if (why != 0)
        return why;
    board->lock_file = file;
    for (;;) {
        uint32_t rung = board->page != NULL ? load_acquire_u32(&board->page->bell) : 0; /* [store-bell] */
        enum os_lock_answer answer = os_lock(file, LOCK_BYTE);
        if (answer == OS_LOCK_TAKEN)
            return 0;
        if (answer == OS_LOCK_ERROR) {
            why = errno;
            break;
        }
        int64_t left = until_ns - os_clock_ns();
        if (left <= 0) {
            why = ETIMEDOUT;
            break;
        }
        int64_t sleep = left < ASK_AGAIN_NS ? left : ASK_AGAIN_NS;
        if (board->page != NULL)
            store_relaxed_u32(&board->page->wanted, 1); /* relaxed: a hint */
        if (board->page != NULL)
            os_futex_wait(&board->page->bell, rung, sleep);
        else
            (void)nanosleep(&(struct timespec){ .tv_nsec = sleep }, NULL);
    }
    file_close(file);
    board->lock_file = -1;
    return why;
}

/* The page of the file that was locked: made where there is none, with bytes of zero, not a hole, which may find no room
 * on a full disk later, a SIGBUS.  One that was deleted beneath its users tells them so. */
static int settle_page(struct board *board)
{
    static const uint8_t zeros[BOARD_BYTES];
    uint64_t bytes = 0;
    if (board->page != NULL && os_is_file(board->lock_file, board->file))
        return 0;
    if (board->page != NULL) {
        store_seq_u64(&board->page->ready, 0); /* [store-root] */
        os_unmap(board->page, BOARD_BYTES);
        board->page = NULL;
    }
    int why = file_size(board->lock_file, &bytes);
    if (why == 0 && bytes < BOARD_BYTES)
        why = file_write(board->lock_file, &(struct file_part){ zeros, sizeof zeros }, 1, 0);
    return why != 0 ? why : map_page(board);
}

/* Asked once in a process: five system calls. */
static void know_self(struct board *board)
{
    struct os_who who;
    os_who(&who);
    board->who[0] = who.pid;
    memcpy(&board->who[1], who.command, sizeof who.command);
    board->who_pid = board->pid;
}

static void say_who(struct board *board)
{
    if (board->who_pid != board->pid)
        know_self(board);
    for (int i = 0; i < BOARD_WHO; i++)
        store_relaxed_u64(&board->page->holder[i], board->who[i]);
}

int board_lock(struct board *board, int timeout_ms)
{
    become_own(board);
    int64_t until = os_clock_ns() + (int64_t)timeout_ms * NS_PER_MS;
    int why = mutex_lock_until(&board->mutex, until);
    if (why != 0)
        return why;
    if (board->page != NULL && load_relaxed_u32(&board->page->bell) == board->rung) /* relaxed: a hint */
        board_give_way(board); /* nobody had it since: on a busy machine who waits would meet it locked again each time */
    why = byte_lock_until(board, until);
    if (why == 0)
        why = settle_page(board);
    if (why == 0) {
        say_who(board);
        return 0;
    }
    file_close(board->lock_file);
    board->lock_file = -1;
    (void)pthread_mutex_unlock(&board->mutex);
    return why;
}

void board_unlock(struct board *board)
{
    store_relaxed_u64(&board->page->holder[0], 0);
    os_unlock(board->lock_file, LOCK_BYTE); /* a child made without fork's hooks may have the description too */
    file_close(board->lock_file);
    board->lock_file = -1;
    board->rung = fetch_add_u32(&board->page->bell, 1) + 1; /* [store-bell] */
    os_futex_wake_all(&board->page->bell);
    (void)pthread_mutex_unlock(&board->mutex);
}

void board_give_way(struct board *board)
{
    struct board_page *page = board->page;
    uint32_t rung = load_acquire_u32(&page->bell); /* [store-bell] */
    if (load_relaxed_u32(&page->wanted) == 0)      /* relaxed: a hint */
        return;
    store_relaxed_u32(&page->wanted, 0);
    os_futex_wait(&page->bell, rung, GIVE_WAY_NS);
}

/* -- Pins ---------------------------------------------------------------------------------------- */

int board_pin(struct board *board, uint64_t txn, unsigned *ret_pin)
{
    int file, why = file_open(board->dir, LOCK_NAME, true, &file);
    if (why != 0)
        return why;
    why = os_is_file(file, board->file) ? EBUSY : ESTALE;
    for (unsigned i = 0; i < BOARD_PINS && why == EBUSY; i++) {
        enum os_lock_answer answer = os_lock(file, PIN_BYTE + i);
        if (answer == OS_LOCK_BUSY)
            continue;
        why = answer == OS_LOCK_TAKEN ? 0 : errno;
        *ret_pin = i;
    }
    if (why != 0) {
        file_close(file);
        return why;
    }
    board->pin_file[*ret_pin] = file;
    store_release_u64(&board->page->pin[*ret_pin], txn); /* [store-root] */
    return 0;
}

/* In a child that was forked meanwhile there is nothing to give back. */
void board_unpin(struct board *board, unsigned pin)
{
    int file = board->pin_file[pin];
    if (file < 0)
        return;
    if (os_is_file(file, board->file))
        store_release_u64(&board->page->pin[pin], 0); /* [store-root] */
    board->pin_file[pin] = -1;
    os_unlock(file, PIN_BYTE + pin);
    file_close(file);
}

bool board_is_pinned(const struct board *board, unsigned pin, uint64_t txn)
{
    return board->pin_file[pin] >= 0 && os_is_file(board->pin_file[pin], board->file) &&
           load_acquire_u64(&board->page->pin[pin]) == txn; /* [store-root] */
}

/* Asked on a description that holds no pin, or it would not see its own. */
void board_pins(const struct board *board, struct board_pins *ret_pins)
{
    int own = board->lock_file, file = -1;
    *ret_pins = (struct board_pins){ .oldest = UINT64_MAX };
    for (unsigned i = 0; board->page != NULL && i < BOARD_PINS; i++) {
        uint64_t txn = load_acquire_u64(&board->page->pin[i]); /* [store-root] */
        if (txn == 0)
            continue;
        if (own < 0 && file < 0 && file_open(board->dir, LOCK_NAME, false, &file) != 0)
            break;
        if (!os_is_locked(own >= 0 ? own : file, PIN_BYTE + i))
            continue;
        ret_pins->oldest = txn < ret_pins->oldest ? txn : ret_pins->oldest;
        ret_pins->newest = txn > ret_pins->newest ? txn : ret_pins->newest;
        ret_pins->n++;
    }
    file_close(file);
}

/* -- User ------------------------------------------------------------------------------------------ */

static void say_user(struct board_page *page, uint64_t user, const char *name)
{
    char text[BOARD_NAME_BYTES] = "";
    (void)snprintf(text, sizeof text, "%s", name);
    for (size_t i = 0; i < BOARD_NAME_BYTES / 8; i++) {
        uint64_t word;
        memcpy(&word, text + 8 * i, sizeof word);
        store_relaxed_u64(&page->user_name[i], word);
    }
    store_relaxed_u64(&page->user, user);
}

/* Who has the byte shared keeps others from writing another user. */
bool board_bind_again(struct board *board, uint64_t user, int *ret_file)
{
    int file;
    if (board->page == NULL || file_open(board->dir, LOCK_NAME, true, &file) != 0)
        return false;
    if (os_is_file(file, board->file) && os_lock_shared(file, USER_BYTE) == OS_LOCK_TAKEN &&
        load_relaxed_u64(&board->page->user) == user) {
        *ret_file = file;
        return true;
    }
    file_close(file);
    return false;
}

/* Others bind under the lock too, so that between asking and writing nobody comes. */
int board_bind(struct board *board, uint64_t user, const char *name, int *ret_file)
{
    int file, why = file_open(board->dir, LOCK_NAME, true, &file);
    if (why != 0)
        return why;
    if (load_relaxed_u64(&board->page->user) != user) {
        enum os_lock_answer alone = os_lock(file, USER_BYTE);
        why = alone == OS_LOCK_TAKEN ? 0 : alone == OS_LOCK_BUSY ? EBUSY : errno;
        if (why == 0)
            say_user(board->page, user, name);
    }
    if (why == 0 && os_lock_shared(file, USER_BYTE) != OS_LOCK_TAKEN)
        why = EBUSY;
    if (why != 0)
        file_close(file);
    else
        *ret_file = file;
    return why;
}

bool board_lead(struct board *board, int *io_file)
{
    if (*io_file >= 0)
        return true;
    int file;
    if (file_open(board->dir, LOCK_NAME, true, &file) != 0)
        return false;
    if (os_lock(file, LEAD_BYTE) != OS_LOCK_TAKEN) {
        file_close(file);
        return false;
    }
    *io_file = file;
    return true;
}

void board_user(const struct board *board, char ret_name[BOARD_NAME_BYTES + 1])
{
    for (size_t i = 0; i < BOARD_NAME_BYTES / 8; i++) {
        uint64_t word = load_relaxed_u64(&board->page->user_name[i]); /* relaxed: for people */
        memcpy(ret_name + 8 * i, &word, sizeof word);
    }
    ret_name[BOARD_NAME_BYTES] = '\0';
}

void board_holder(const struct board *board, char ret_text[BOARD_HOLDER_BYTES])
{
    uint64_t words[3], pid = 0;
    char command[sizeof words + 1] = "";
    if (board->page != NULL) {
        pid = load_relaxed_u64(&board->page->holder[0]);
        for (int i = 0; i < 3; i++)
            words[i] = load_relaxed_u64(&board->page->holder[1 + i]);
        memcpy(command, words, sizeof words);
        command[sizeof words] = '\0';
        for (char *c = command; *c != '\0'; c++)
            if (*c < ' ' || *c > '~')
                *c = '?';
    }
    if (pid == 0)
        (void)snprintf(ret_text, BOARD_HOLDER_BYTES, "a process that does not say who it is");
    else
        (void)snprintf(ret_text, BOARD_HOLDER_BYTES, "process %u (%s)", (uint32_t)pid, command);
}
