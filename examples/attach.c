/* SPDX-License-Identifier: MIT
 *
 * attach: separate programs open one map by its name and find what the others left.      attach [MAP]
 *
 * With the name of a map: opens it, prints what it finds, and leaves a key of its own.  Without one:
 * makes a map, starts itself three times with its name, and looks whether all three were there.
 */
#include <shoal/shoal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(void)
{
    fprintf(stderr, "attach: %s\n", shoal_error_text());
    return 1;
}

static int visit(const char *name)
{
    struct shoal *map;
    struct shoal_iter *iter;
    struct shoal_item item;
    if (shoal_open(name, 0, &map) != SHOAL_OK || shoal_iter_open(map, "visitor/", 8, &iter) != SHOAL_OK)
        return fail();
    printf("attach: program %d finds in %s:", (int)getpid(), name);
    while (shoal_iter_next(iter, &item) == SHOAL_OK)
        printf(" %.*s=%.*s", (int)item.key_bytes, (const char *)item.key, (int)item.value_bytes,
               (const char *)item.value);
    putchar('\n');
    shoal_iter_close(iter);
    char key[32];
    int key_bytes = snprintf(key, sizeof key, "visitor/%d", (int)getpid());
    if (shoal_put(map, key, (size_t)key_bytes, "was here", 8) != SHOAL_OK)
        return fail();
    shoal_close(map);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return visit(argv[1]);
    char name[32];
    snprintf(name, sizeof name, "attach.%d", (int)getpid());
    struct shoal *map;
    if (shoal_create(name, NULL, &map) != SHOAL_OK)
        return fail();
    int failed = 0, found = 0;
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", argv[0], name, (char *)NULL); /* another program: nothing is inherited */
            _exit(127);
        }
        int status;
        failed += waitpid(child, &status, 0) != child || status != 0;
        char key[32], value[16];
        int key_bytes = snprintf(key, sizeof key, "visitor/%d", (int)child);
        size_t bytes;
        found += shoal_get(map, key, (size_t)key_bytes, value, sizeof value, &bytes) == SHOAL_OK && bytes == 8 &&
                 memcmp(value, "was here", 8) == 0;
    }
    printf("attach: %d of 3 visitors left their key\n", found);
    shoal_close(map);
    shoal_unlink(name);
    return failed == 0 && found == 3 ? 0 : 1;
}
