/* SPDX-License-Identifier: MIT
 *
 * A server of its own for a session: started by the host on a socket in a directory of its own, asked by the workers, ended by
 * its pid.
 */
#ifndef SHOAL_BENCH_SERVER_H
#define SHOAL_BENCH_SERVER_H

#include <sys/types.h>

#include "../driver.h"

#define SERVER_PATH_BYTES 100u /* what an address of a socket holds */

struct server {
    pid_t pid;           /* the host's handle; 0 in a worker's */
    double bytes_before; /* of its memory, when it was empty */
    int socket;          /* a worker's; -1 in the host's */
    char *buf;           /* of requests, and of answers that came early */
    size_t buf_bytes, begin, end;
};

/* The directory of a session's server, and the socket in it. */
void server_directory(const struct driver_setup *setup, char directory[SERVER_PATH_BYTES]);
void server_socket(const struct driver_setup *setup, char path[SERVER_PATH_BYTES]);

/* Make the directory, start argv[0] and wait until it takes connections.  0 or DRIVER_FAILED. */
int server_start(const struct driver_setup *setup, char *const argv[], struct server *ret_server);
/* A worker's connection. */
int server_connect(const struct driver_setup *setup, struct server *ret_server);
/* The connection, or the server, whichever it is. */
void server_end(struct server *server);
/* What its memory has grown by since it was started. */
double server_bytes(const struct server *server);
/* What a killed session left. */
void server_unlink(const struct driver_setup *setup);

/* A request is put together and sent as a whole. */
void server_put(struct server *server, const void *bytes, size_t n);
int server_send(struct server *server);
/* The next n bytes of the answer. */
int server_take(struct server *server, void *buf, size_t n);
/* The next line, without its CR LF, NUL at its end. */
int server_line(struct server *server, char *buf, size_t buf_bytes);

#endif
