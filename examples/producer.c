/* SPDX-License-Identifier: MIT
 *
 * producer: hands numbers to a consumer, a program of its own, through one key.      producer MAP [N]
 *
 * Start both, in either order, with the same MAP.  Nobody polls: each sleeps in shoal_wait until the
 * other has changed the key that it waits for.
 */
#include <shoal/shoal.h>
#include <stdio.h>
#include <stdlib.h>

/* Sleep until *key holds at least `number`. */
static int wait_for(struct shoal *map, const char *key, size_t key_bytes, long number, long *sleeps)
{
    for (;;) {
        long value = 0;
        uint64_t version;
        int code = shoal_getv(map, key, key_bytes, &value, sizeof value, NULL, &version);
        if (code < 0 || (code == SHOAL_OK && value >= number))
            return code;
        /* a change between the get and here is not lost: the version differs already */
        code = shoal_wait(map, key, key_bytes, version, 60000, NULL);
        if (code != SHOAL_OK)
            return code;
        ++*sleeps;
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: producer MAP [N]\n");
        return 2;
    }
    long n = argc > 2 ? atol(argv[2]) : 1000, sleeps = 0;
    struct shoal *map;
    int code = shoal_open_or_create(argv[1], NULL, 0, &map);
    for (long i = 1; i <= n && code == SHOAL_OK; i++) {
        code = shoal_put(map, "item", 4, &i, sizeof i);
        if (code == SHOAL_OK)
            code = wait_for(map, "taken", 5, i, &sleeps);
    }
    if (code != SHOAL_OK) {
        fprintf(stderr, "producer: %s\n", code < 0 ? shoal_error_text() : shoal_strerror(code));
        return 1;
    }
    printf("producer: %ld items, all taken; woken %ld times\n", n, sleeps);
    shoal_close(map);
    shoal_unlink(argv[1]); /* the consumer has its last item: it needs the name no more */
    return 0;
}
