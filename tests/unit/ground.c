/* SPDX-License-Identifier: MIT */
#include "unit/ground.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int fds_open(void)
{
    int n = 0;
    DIR *list = opendir("/proc/self/fd");
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list))
        n++;
    closedir(list);
    return n;
}

void dir_clear(const char *dir)
{
    DIR *list = opendir(dir);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlinkat(dirfd(list), e->d_name, 0) != 0)
            (void)unlinkat(dirfd(list), e->d_name, AT_REMOVEDIR);
    closedir(list);
}

void assert_text_has(const char *part)
{
    if (strstr(shoal_error_text(), part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", shoal_error_text(), part);
}

pid_t child_start(void)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    return pid;
}

void assert_exits(pid_t pid, const char *what)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
        print_message("skipped: %s\n", what);
    else
        assert_int_equal(status, 0);
}
