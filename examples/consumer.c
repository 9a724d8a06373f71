/* SPDX-License-Identifier: MIT
 *
 * consumer: takes numbers from the producer, a program of its own.      consumer MAP [N]
 *
 * Start both, in either order, with the same MAP.  It sleeps in shoal_wait while there is nothing to take.
 */
#include <shoal/shoal.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: consumer MAP [N]\n");
        return 2;
    }
    long n = argc > 2 ? atol(argv[2]) : 1000, sleeps = 0, sum = 0, last = 0;
    struct shoal *map;
    int code = shoal_open_or_create(argv[1], NULL, 0, &map);
    while (code >= 0 && last < n) {
        long item = 0;
        uint64_t version;
        code = shoal_getv(map, "item", 4, &item, sizeof item, NULL, &version);
        if (code < 0)
            break;
        if (item == last) { /* nothing new (or nothing at all): sleep until the key changes */
            code = shoal_wait(map, "item", 4, version, 60000, NULL);
            sleeps++;
            if (code == SHOAL_TIMEOUT)
                break;
            continue;
        }
        if (item != last + 1) {
            fprintf(stderr, "consumer: item %ld came after item %ld\n", item, last);
            return 1;
        }
        sum += last = item;
        code = shoal_put(map, "taken", 5, &last, sizeof last);
    }
    if (code != SHOAL_OK) {
        fprintf(stderr, "consumer: %s\n", code < 0 ? shoal_error_text() : shoal_strerror(code));
        return 1;
    }
    printf("consumer: %ld items in order, sum %ld; slept %ld times\n", last, sum, sleeps);
    shoal_close(map);
    return sum == n * (n + 1) / 2 ? 0 : 1;
}
