/* SPDX-License-Identifier: MIT
 *
 * pool: forked workers share one cache, and no result is worked out twice into it.      pool [MAP]
 *
 * The parent opens the map, the children inherit it.  Each worker looks a question up; where the
 * answer is missing it works it out and adds it.  Of two that add at once one gets SHOAL_EXISTS.
 */
#include <shoal/shoal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 4, QUESTIONS = 1000, REQUESTS = 20000 };

static long collatz_steps(long n) /* stands for something slow */
{
    long steps = 0;
    for (; n != 1; steps++)
        n = n % 2 ? 3 * n + 1 : n / 2;
    return steps;
}

static int worker(struct shoal *map, unsigned seed)
{
    for (int i = 0; i < REQUESTS; i++) {
        long question = rand_r(&seed) % QUESTIONS + 1, answer;
        int code = shoal_get(map, &question, sizeof question, &answer, sizeof answer, NULL);
        if (code == SHOAL_MISSING) {
            answer = collatz_steps(question);
            code = shoal_add(map, &question, sizeof question, &answer, sizeof answer);
            if (code == SHOAL_OK && shoal_incr(map, "added", 5, 1, NULL) != SHOAL_OK)
                return 1;
        }
        if (code < 0 || answer != collatz_steps(question))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    char own[32];
    snprintf(own, sizeof own, "pool.%d", (int)getpid());
    const char *name = argc > 1 ? argv[1] : own;
    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = QUESTIONS + 1;
    struct shoal *map;
    if (shoal_create(name, &options, &map) != SHOAL_OK) {
        fprintf(stderr, "pool: %s\n", shoal_error_text());
        return 1;
    }
    int failed = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        if (fork() == 0)
            _exit(worker(map, i + 1));
    for (int i = 0, status; i < WORKERS; i++)
        failed += wait(&status) < 0 || status != 0;

    int64_t added = 0;
    uint64_t count = 0;
    failed += shoal_incr(map, "added", 5, 0, &added) != SHOAL_OK;
    failed += shoal_count(map, 0, &count, NULL) != SHOAL_OK;
    printf("pool: %d workers, %d requests, %lld answers worked out and kept, %llu keys\n", WORKERS, WORKERS * REQUESTS,
           (long long)added, (unsigned long long)count);
    shoal_close(map);
    shoal_unlink(name);
    return failed == 0 && added == QUESTIONS && count == QUESTIONS + 1 ? 0 : 1;
}
