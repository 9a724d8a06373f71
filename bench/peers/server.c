/* SPDX-License-Identifier: MIT
 *
 * Servers: start, connection, end.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_TRIES 1000u /* of 10 ms */

void server_directory(const struct driver_setup *setup, char directory[SERVER_PATH_BYTES])
{
    snprintf(directory, SERVER_PATH_BYTES, "/tmp/%.48s", setup->name);
}

void server_socket(const struct driver_setup *setup, char path[SERVER_PATH_BYTES])
{
    snprintf(path, SERVER_PATH_BYTES, "/tmp/%.48s/socket", setup->name);
}

/* -- The server -------------------------------------------------------------------- */

static double anonymous_bytes(pid_t pid)
{
    char path[40], line[128];
    unsigned long kib = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %lu kB", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return (double)kib * 1024;
}

double server_bytes(const struct server *server) { return anonymous_bytes(server->pid) - server->bytes_before; }

static void run_server(const char *directory, char *const argv[])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nothing = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++)
        dup2(nothing, i);
    if (chdir(directory) == 0)
        execvp(argv[0], argv);
    _exit(127);
}

static int wait_until_it_answers(const struct driver_setup *setup, pid_t pid)
{
    for (unsigned i = 0; i < START_TRIES; i++) {
        struct server probe;
        int status;
        if (server_connect(setup, &probe) == 0) {
            server_end(&probe);
            return 0;
        }
        if (waitpid(pid, &status, WNOHANG) == pid)
            return driver_fail("the server ended at once, with status %d", status);
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    return driver_fail("the server takes no connection");
}

int server_start(const struct driver_setup *setup, char *const argv[], struct server *ret_server)
{
    char directory[SERVER_PATH_BYTES];
    server_directory(setup, directory);
    *ret_server = (struct server){ .socket = -1 };
    if (mkdir(directory, 0700) != 0)
        return driver_fail("mkdir %s: %s", directory, strerror(errno));
    ret_server->pid = fork();
    if (ret_server->pid < 0)
        return driver_fail("fork: %s", strerror(errno));
    if (ret_server->pid == 0)
        run_server(directory, argv);
    if (wait_until_it_answers(setup, ret_server->pid) != 0)
        return DRIVER_FAILED;
    ret_server->bytes_before = anonymous_bytes(ret_server->pid);
    return 0;
}

void server_end(struct server *server)
{
    if (server->socket >= 0)
        close(server->socket);
    free(server->buf);
    if (server->pid > 0) {
        kill(server->pid, SIGKILL); /* it has nothing to keep */
        waitpid(server->pid, NULL, 0);
    }
}

void server_unlink(const struct driver_setup *setup)
{
    char path[SERVER_PATH_BYTES];
    server_socket(setup, path);
    unlink(path);
    server_directory(setup, path);
    rmdir(path);
}

/* -- A connection ------------------------------------------------------------------ */

int server_connect(const struct driver_setup *setup, struct server *ret_server)
{
    char path[SERVER_PATH_BYTES];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    server_socket(setup, path);
    memcpy(address.sun_path, path, strlen(path));
    /* A request or an answer of the longest batch, and headers. */
    *ret_server = (struct server){ .buf_bytes = DRIVER_BATCH * (setup->key_bytes + setup->value_bytes + 64) + 4096 };
    ret_server->buf = malloc(ret_server->buf_bytes);
    ret_server->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ret_server->buf && ret_server->socket >= 0 &&
        connect(ret_server->socket, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    server_end(ret_server);
    return driver_fail("connect: %s", strerror(errno));
}

void server_put(struct server *server, const void *bytes, size_t n)
{
    memcpy(server->buf + server->end, bytes, n);
    server->end += n;
}

int server_send(struct server *server)
{
    while (server->begin < server->end) {
        ssize_t n = write(server->socket, server->buf + server->begin, server->end - server->begin);
        if (n < 0 && errno != EINTR)
            return driver_fail("write: %s", strerror(errno));
        server->begin += n > 0 ? (size_t)n : 0;
    }
    server->begin = server->end = 0;
    return 0;
}

static int read_more(struct server *server)
{
    if (server->begin == server->end)
        server->begin = server->end = 0;
    ssize_t n = read(server->socket, server->buf + server->end, server->buf_bytes - server->end);
    if (n == 0 || (n < 0 && errno != EINTR))
        return driver_fail("the server hung up");
    server->end += n > 0 ? (size_t)n : 0;
    return 0;
}

int server_take(struct server *server, void *buf, size_t n)
{
    char *to = buf;
    while (n > 0) {
        if (server->begin == server->end && read_more(server) != 0)
            return DRIVER_FAILED;
        size_t here = server->end - server->begin, some = here < n ? here : n;
        memcpy(to, server->buf + server->begin, some);
        server->begin += some;
        to += some;
        n -= some;
    }
    return 0;
}

int server_line(struct server *server, char *buf, size_t buf_bytes)
{
    for (size_t i = 0; i < buf_bytes; i++) {
        if (server_take(server, &buf[i], 1) != 0)
            return DRIVER_FAILED;
        if (buf[i] == '\n') {
            buf[i > 0 ? i - 1 : 0] = '\0';
            return 0;
        }
    }
    return driver_fail("an answer too long");
}
