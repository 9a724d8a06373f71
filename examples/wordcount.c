/* SPDX-License-Identifier: MIT
 *
 * wordcount: counts the words of a text into a map, with a pool of forked workers, one shoal_incr for
 * each word, while a bystander on the same map is SIGKILLed again and again.
 *
 *                                              wordcount MAP TEXT KEYS [KILLS [WORKERS]]
 *   MAP    made here, left for other programs to read       TEXT   a file
 *   KEYS   different words to make room for                 KILLS  at least so many; default 100
 *
 * A word is [A-Za-z]+, lower-cased; of a longer run of letters than a key may have, each 65535 count
 * as one.  The text is handed out in portions, one after each of the first KILLS kills, so that the
 * count cannot be over before them; the kills go on until the count is done.
 *
 * After each kill what the bystander had acknowledged must be in the map (wordcount.h), before and
 * after shoal_reap.  Any mismatch ends the run with exit status 1.
 */
#include "wordcount.h"

#include <fcntl.h>
#include <limits.h>
#include <shoal/shoal.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 64, CHUNKS_MAX = 4096 };

struct text {
    const unsigned char *bytes;
    size_t n, chunk_bytes;
    uint32_t chunks_n;
};

static struct shared { /* between the supervisor and its children, outside the map */
    struct ledger ledger;
    _Atomic uint64_t words;
} * shared;

static void die(const char *what)
{
    fprintf(stderr, "wordcount: %s\n", what);
    exit(1);
}

static void need(bool holds, const char *what)
{
    if (!holds)
        die(what);
}

static void need_done(int code)
{
    if (code != SHOAL_OK)
        die(code < 0 ? shoal_error_text() : shoal_strerror(code));
}

/* -- The pool: each worker takes chunk numbers from a pipe until it is closed --------------- */

/* The letter in lower case, 0 for anything else; without the locale's opinion. */
static unsigned char letter(unsigned char byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return (unsigned char)(byte - 'A' + 'a');
    return byte >= 'a' && byte <= 'z' ? byte : 0;
}

/* Count the words that begin in this chunk; the last one may reach into the next. */
static void count_chunk(struct shoal *map, const struct text *text, uint32_t chunk)
{
    static unsigned char word[SHOAL_KEY_MAX];
    size_t at = chunk * text->chunk_bytes, end = at + text->chunk_bytes;
    uint64_t words = 0;
    if (end > text->n)
        end = text->n;
    while (at > 0 && at < text->n && letter(text->bytes[at - 1]) && letter(text->bytes[at]))
        at++; /* begun in the chunk before */
    while (at < end) {
        size_t n = 0;
        bool begins_here = letter(text->bytes[at]);
        while (begins_here && at < text->n && (word[n] = letter(text->bytes[at]))) {
            at++;
            if (++n == sizeof word) {
                need_done(shoal_incr(map, word, n, 1, NULL));
                words++;
                n = 0;
            }
        }
        if (n > 0) {
            need_done(shoal_incr(map, word, n, 1, NULL));
            words++;
        }
        at += !begins_here;
    }
    atomic_fetch_add(&shared->words, words);
}

static void die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
}

static void work(struct shoal *map, const struct text *text, int chunks, pid_t parent)
{
    uint32_t chunk;
    ssize_t got;
    die_with(parent);
    while ((got = read(chunks, &chunk, sizeof chunk)) == sizeof chunk)
        count_chunk(map, text, chunk);
    shoal_close(map);
    exit(got == 0 ? 0 : 1);
}

/* Workers that have ended well; none of them may end badly. */
static int workers_done(const pid_t *workers, int n)
{
    static bool ended[WORKERS_MAX];
    int done = 0;
    for (int i = 0; i < n; i++) {
        int status = 0;
        if (!ended[i] && waitpid(workers[i], &status, WNOHANG) == workers[i]) {
            need(status == 0, "a worker failed");
            ended[i] = true;
        }
        done += ended[i];
    }
    return done;
}

/* -- The bystander: started, killed, held against its ledger -------------------------------- */

struct toll {
    uint64_t kills, in_flight, took_effect, dead, aborted, completed;
};

/* *ret_ready: a byte comes when it has done its LIFE_OPERATIONS calls, end of file if it ends before. */
static pid_t bystander_start(const char *map_name, int ledger_fd, int *ret_ready)
{
    char program[PATH_MAX], ledger_text[16], ready_text[16];
    int ready[2];
    need(pipe2(ready, O_CLOEXEC) == 0, "no pipe");
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 32);
    need(n > 0, "cannot tell where this program lies");
    program[n] = 0;
    strcpy(strrchr(program, '/') + 1, "wordcount_bystander");
    snprintf(ledger_text, sizeof ledger_text, "%d", ledger_fd);
    snprintf(ready_text, sizeof ready_text, "%d", ready[1]);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        die_with(parent);
        fcntl(ready[1], F_SETFD, 0);
        execl(program, program, map_name, ledger_text, ready_text, (char *)NULL);
        _exit(127);
    }
    need(child > 0, "fork failed");
    close(ready[1]);
    *ret_ready = ready[0];
    return child;
}

/* Whether an own key is as operation `number` leaves it; 0 = never touched. */
static bool own_is(struct shoal *map, int index, uint64_t number)
{
    char key[32];
    unsigned char expected[VALUE_MAX], value[VALUE_MAX];
    size_t bytes = 0;
    int code = shoal_get(map, key, own_key(index, key), value, sizeof value, &bytes);
    if (number == 0 || is_delete(number))
        return code == SHOAL_MISSING;
    return code == SHOAL_OK && bytes == value_of(number, expected) && memcmp(value, expected, bytes) == 0;
}

static int64_t noise_sum(struct shoal *map, int index)
{
    char key[32];
    int64_t sum = 0;
    int code = shoal_get(map, key, noise_key(index, key), &sum, sizeof sum, NULL);
    need(code == SHOAL_OK || code == SHOAL_MISSING, shoal_error_text());
    return sum;
}

/* Hold every key against the ledger.  Returns how many calls were under way (0 or 1), and how many of
 * them have taken effect. */
static void hold_against(struct shoal *map, uint64_t *ret_in_flight, uint64_t *ret_took_effect)
{
    struct ledger *ledger = &shared->ledger;
    *ret_in_flight = *ret_took_effect = 0;
    for (int i = 0; i < OWN_KEYS; i++) {
        uint64_t begun = ledger->begun[i], done = ledger->done[i];
        bool is_done = own_is(map, i, done), is_begun = own_is(map, i, begun);
        need(is_done || is_begun, "a key holds neither its last acknowledged value nor that of the call in flight");
        *ret_in_flight += begun != done;
        *ret_took_effect += begun != done && !is_done;
    }
    for (int i = 0; i < NOISE_KEYS; i++) {
        int64_t begun = ledger->noise_begun[i], done = ledger->noise_done[i], sum = noise_sum(map, i);
        need(sum == done || sum == begun, "an acknowledged increment is lost, or one was made up");
        *ret_in_flight += begun != done;
        *ret_took_effect += begun != done && sum != done;
    }
    need(*ret_in_flight <= 1, "more than one call in flight");
}

/* What is in the map now is what the next life starts from. */
static void settle_ledger(struct shoal *map)
{
    struct ledger *ledger = &shared->ledger;
    for (int i = 0; i < OWN_KEYS; i++) {
        if (own_is(map, i, ledger->begun[i]))
            ledger->done[i] = ledger->begun[i];
        ledger->begun[i] = ledger->done[i];
    }
    for (int i = 0; i < NOISE_KEYS; i++)
        ledger->noise_done[i] = ledger->noise_begun[i] = noise_sum(map, i);
}

/* One life of the bystander, from its start to the reaping. */
static void kill_once(struct shoal *map, const char *map_name, int ledger_fd, struct toll *toll)
{
    char byte;
    int status = 0, ready;
    uint64_t in_flight, took_effect;
    pid_t child = bystander_start(map_name, ledger_fd, &ready);
    need(read(ready, &byte, 1) == 1, "the bystander failed");
    close(ready);
    usleep((useconds_t)(rand() % 300));
    kill(child, SIGKILL);
    need(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "the bystander failed");
    toll->kills++;
    hold_against(map, &in_flight, &took_effect);
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    need_done(shoal_reap(map, &reaped));
    toll->dead += reaped.dead;
    toll->aborted += reaped.aborted;
    toll->completed += reaped.completed;
    hold_against(map, &in_flight, &took_effect);
    toll->in_flight += in_flight;
    toll->took_effect += took_effect;
    settle_ledger(map);
}

/* -- Setting out ------------------------------------------------------------------------------ */

static struct text open_text(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    need(fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0, "cannot read the text, or it is empty");
    struct text text = { .n = (size_t)status.st_size };
    text.bytes = mmap(NULL, text.n, PROT_READ, MAP_PRIVATE, fd, 0);
    need(text.bytes != MAP_FAILED, "cannot map the text");
    close(fd);
    text.chunk_bytes = text.n / CHUNKS_MAX + 4096;
    text.chunks_n = (uint32_t)((text.n + text.chunk_bytes - 1) / text.chunk_bytes);
    return text;
}

static struct shoal *make_map(const char *name, uint64_t keys)
{
    struct shoal *map = NULL;
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    need_done(shoal_size_for(keys + OWN_KEYS + NOISE_KEYS, 12, 8, &options));
    options.heap_bytes += 8u << 20; /* the bystander's values, and runs of letters; only what is used is backed */
    need_done(shoal_create(name, &options, &map));
    return map;
}

/* Hand out the chunks up to the kill's share.  A pipe holds them all: 4096 numbers of 4 bytes. */
static void hand_out(const struct text *text, int *chunks, uint64_t kill, uint64_t kills, uint32_t *handed_out)
{
    for (; *handed_out < text->chunks_n * kill / kills; ++*handed_out)
        need(write(*chunks, handed_out, sizeof *handed_out) == sizeof *handed_out, "cannot hand out the text");
    if (kill >= kills && *chunks >= 0) {
        close(*chunks);
        *chunks = -1;
    }
}

static void supervise(struct shoal *map, const char *name, const struct text *text, uint64_t kills, int workers_n,
                      int ledger_fd, struct toll *toll)
{
    int chunks[2];
    pid_t workers[WORKERS_MAX], parent = getpid();
    uint32_t handed_out = 0;
    need(pipe2(chunks, O_CLOEXEC) == 0, "no pipe");
    for (int i = 0; i < workers_n; i++) {
        workers[i] = fork();
        need(workers[i] >= 0, "fork failed");
        if (workers[i] == 0) {
            close(chunks[1]);
            work(map, text, chunks[0], parent);
        }
    }
    close(chunks[0]);
    do {
        kill_once(map, name, ledger_fd, toll);
        if (chunks[1] >= 0)
            hand_out(text, &chunks[1], toll->kills, kills, &handed_out);
    } while (workers_done(workers, workers_n) < workers_n);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: wordcount MAP TEXT KEYS [KILLS [WORKERS]]\n");
        return 2;
    }
    struct text text = open_text(argv[2]);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int kills = argc > 4 ? atoi(argv[4]) : 100, workers = argc > 5 ? atoi(argv[5]) : (int)cpus;
    workers = workers < 2 ? 2 : workers > WORKERS_MAX ? WORKERS_MAX : workers;
    int ledger_fd = memfd_create("ledger", 0); /* inherited by the bystander */
    need(ledger_fd >= 0 && ftruncate(ledger_fd, sizeof *shared) == 0, "no ledger");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, ledger_fd, 0);
    need(shared != MAP_FAILED, "no ledger");

    struct shoal *map = make_map(argv[1], strtoull(argv[3], NULL, 10));
    struct toll toll = { 0 };
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    supervise(map, argv[1], &text, kills < 1 ? 1 : (uint64_t)kills, workers, ledger_fd, &toll);
    clock_gettime(CLOCK_MONOTONIC, &end);
    struct shoal_stats stats = SHOAL_STATS_INIT;
    need_done(shoal_stats(map, &stats));
    printf("counted     %llu words with %d workers in %.1f s, one shoal_incr each\n", (unsigned long long)shared->words,
           workers, (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
    printf("killed      the bystander %llu times meanwhile, each time after %d or more acknowledged calls,\n"
           "            %llu times with a call under way, of which %llu took effect; nothing acknowledged was lost\n",
           (unsigned long long)toll.kills, LIFE_OPERATIONS, (unsigned long long)toll.in_flight,
           (unsigned long long)toll.took_effect);
    printf("healed      %llu dead by shoal_reap: %llu calls in flight aborted, %llu completed; %llu calls by those\n"
           "            who were at work on the map\n",
           (unsigned long long)toll.dead, (unsigned long long)toll.aborted, (unsigned long long)toll.completed,
           (unsigned long long)(stats.healed - toll.aborted - toll.completed));
    shoal_close(map);
    return 0;
}
