/* SPDX-License-Identifier: MIT
 *
 * hello: make a map, store a value, read it back.       hello [MAP]
 */
#include <shoal/shoal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char name[64];
    snprintf(name, sizeof name, "%s", argc > 1 ? argv[1] : "");
    if (argc < 2)
        snprintf(name, sizeof name, "hello.%d", (int)getpid());

    struct shoal_options options = SHOAL_OPTIONS_INIT;
    options.capacity = 1000;
    struct shoal *map;
    if (shoal_create(name, &options, &map) != SHOAL_OK) {
        fprintf(stderr, "hello: %s\n", shoal_error_text());
        return 1;
    }

    char value[64] = "";
    size_t bytes = 0;
    int64_t visits = 0;
    int put = shoal_put(map, "greeting", 8, "hello, world", 12);
    int got = shoal_get(map, "greeting", 8, value, sizeof value, &bytes);
    int missing = shoal_get(map, "farewell", 8, value, sizeof value, NULL);
    int counted = shoal_incr(map, "visits", 6, 1, &visits);
    if (put < 0 || got < 0 || missing < 0 || counted < 0)
        fprintf(stderr, "hello: %s\n", shoal_error_text());
    printf("greeting: %.*s\n", (int)bytes, value);
    printf("farewell: %s\n", shoal_strerror(missing));
    printf("visits: %lld\n", (long long)visits);

    shoal_close(map);
    shoal_unlink(name); /* else the map would stay, for the next program */
    return bytes == 12 && memcmp(value, "hello, world", 12) == 0 && missing == SHOAL_MISSING && visits == 1 ? 0 : 1;
}
