/* SPDX-License-Identifier: MIT
 *
 * stress_kill: workers are SIGKILLed in mid-flight, again and again; nothing acknowledged is lost.
 *                                                                       stress_kill [MAP [KILLS]]
 * Each worker counts its own key up and writes down, outside the map, which number is in the map for
 * certain.  After the kill the key holds that number, or the next one: the call in flight happened or
 * it did not.
 */
#include <shoal/shoal.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 4 };

static void work(struct shoal *map, int key, _Atomic int64_t *acknowledged)
{
    for (int64_t sum;;) {
        if (shoal_incr(map, &key, sizeof key, 1, &sum) != SHOAL_OK)
            _exit(1);
        atomic_store(acknowledged, sum);
    }
}

int main(int argc, char **argv)
{
    char own[32];
    snprintf(own, sizeof own, "stress_kill.%d", (int)getpid());
    const char *name = argc > 1 ? argv[1] : own;
    int kills = argc > 2 ? atoi(argv[2]) : 200, lost = 0, in_flight = 0;
    struct shoal *map;
    _Atomic int64_t *acknowledged =
        mmap(NULL, WORKERS * sizeof *acknowledged, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (acknowledged == MAP_FAILED || shoal_create(name, NULL, &map) != SHOAL_OK) {
        fprintf(stderr, "stress_kill: %s\n", shoal_error_text());
        return 1;
    }
    pid_t workers[WORKERS] = { 0 };
    for (int i = 0; i < kills + WORKERS; i++) {
        int key = i % WORKERS, status = 0;
        int64_t sum = 0;
        if (workers[key] > 0) { /* the oldest one dies, wherever it is */
            kill(workers[key], SIGKILL);
            waitpid(workers[key], &status, 0);
            int code = shoal_incr(map, &key, sizeof key, 0, &sum);
            int64_t last = atomic_load(&acknowledged[key]);
            lost += code != SHOAL_OK || !WIFSIGNALED(status) || (sum != last && sum != last + 1);
            in_flight += sum == last + 1;
            atomic_store(&acknowledged[key], sum);
        }
        if (i < kills && (workers[key] = fork()) == 0)
            work(map, key, &acknowledged[key]);
        usleep(2000);
    }
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    struct shoal_report report = SHOAL_REPORT_INIT;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    lost += shoal_reap(map, &reaped) != SHOAL_OK || shoal_check(map, &report) != SHOAL_OK;
    lost += shoal_stats(map, &stats) != SHOAL_OK || stats.count != WORKERS;
    printf("stress_kill: %d kills, %d with a call that took effect unacknowledged; lost: %d\n"
           "             %llu increments, %llu dead reaped, %llu calls settled; check: %llu problems %s\n",
           kills, in_flight, lost, (unsigned long long)stats.writes, (unsigned long long)stats.reaped,
           (unsigned long long)stats.healed, (unsigned long long)report.problems, report.text);
    shoal_close(map);
    shoal_unlink(name);
    return lost != 0;
}
