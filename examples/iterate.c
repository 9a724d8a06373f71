/* SPDX-License-Identifier: MIT
 *
 * iterate: walks over a map while others write; what stays is returned exactly once.      iterate [MAP]
 * 1000 keys stay, though their values are replaced all the time: every walk must meet each of them
 * once.  1000 others come and go: a walk may miss them, or meet one again that was made anew meanwhile.
 */
#include <shoal/shoal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 1000, WALKS = 100, WRITERS = 2 };

static void write_on(struct shoal *map, unsigned seed)
{
    char value[200];
    for (memset(value, '.', sizeof value);;) {
        int key = rand_r(&seed) % (2 * KEYS);
        size_t bytes = (size_t)rand_r(&seed) % sizeof value;
        int code = key >= KEYS && bytes % 2 ? shoal_delete(map, &key, sizeof key)
                                            : shoal_put(map, &key, sizeof key, value, bytes);
        if (code < 0)
            _exit(1);
    }
}

/* How many keys a walk got wrong. */
static int walk(struct shoal *map, long *met)
{
    unsigned char seen[2 * KEYS] = { 0 };
    struct shoal_iter *iter;
    struct shoal_item item;
    int wrong = 0, code = shoal_iter_open(map, NULL, 0, &iter);
    while (code == SHOAL_OK && (code = shoal_iter_next(iter, &item)) == SHOAL_OK) {
        int key = -1;
        memcpy(&key, item.key, item.key_bytes == sizeof key ? sizeof key : 0);
        if (key >= 0 && key < 2 * KEYS)
            seen[key]++;
        ++*met;
    }
    for (int i = 0; i < KEYS; i++)
        wrong += seen[i] != 1;
    shoal_iter_close(iter);
    return wrong + (code != SHOAL_END);
}

int main(int argc, char **argv)
{
    char own[32];
    snprintf(own, sizeof own, "iterate.%d", (int)getpid());
    const char *name = argc > 1 ? argv[1] : own;
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    struct shoal *map;
    if (shoal_size_for(2 * KEYS, sizeof(int), 200, &options) || shoal_create(name, &options, &map)) {
        fprintf(stderr, "iterate: %s\n", shoal_error_text());
        return 1;
    }
    int wrong = 0;
    long met = 0;
    for (int i = 0; i < KEYS; i++)
        wrong += shoal_put(map, &i, sizeof i, "first", 5) != SHOAL_OK;
    pid_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        if ((writers[i] = fork()) == 0)
            write_on(map, (unsigned)i + 1);
    for (int i = 0; i < WALKS; i++)
        wrong += walk(map, &met);
    for (int i = 0, status; i < WRITERS; i++) {
        kill(writers[i], SIGKILL);
        wrong += waitpid(writers[i], &status, 0) < 0 || !WIFSIGNALED(status);
    }
    printf("iterate: %d walks met %ld records while %d writers were at work; wrong: %d\n", WALKS, met, WRITERS, wrong);
    shoal_close(map);
    shoal_unlink(name);
    return wrong != 0;
}
