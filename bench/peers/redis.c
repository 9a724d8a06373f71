/* SPDX-License-Identifier: MIT
 *
 * Redis over a Unix socket, by its own protocol (RESP 2): one request, one answer; a batch is one MGET.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"
#include "server.h"

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    char socket[SERVER_PATH_BYTES];
    struct server *own = malloc(sizeof *own);
    if (!own)
        return driver_fail("no memory");
    server_socket(setup, socket);
    char *argv[] = { "redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", NULL };
    if ((host ? server_connect(setup, own) : server_start(setup, argv, own)) != 0) {
        free(own);
        return DRIVER_FAILED;
    }
    *ret_handle = own;
    return 0;
}

static void close_it(void *handle)
{
    server_end(handle);
    free(handle);
}

static double weigh(void *host) { return server_bytes(host); }

static void put_text(struct server *own, const char *format, size_t n)
{
    char text[32];
    server_put(own, text, (size_t)snprintf(text, sizeof text, format, n));
}

static void put_argument(struct server *own, const void *bytes, size_t n)
{
    put_text(own, "$%zu\r\n", n);
    server_put(own, bytes, n);
    server_put(own, "\r\n", 2);
}

static void put_command(struct server *own, const char *name, size_t arguments)
{
    put_text(own, "*%zu\r\n", arguments + 1);
    put_argument(own, name, strlen(name));
}

/* A bulk string.  A missing one reads $-1. */
static int take_value(struct server *own, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    char line[64], end[2];
    if (server_line(own, line, sizeof line) != 0)
        return DRIVER_FAILED;
    if (line[0] != '$')
        return driver_fail("redis: %s", line);
    if (line[1] == '-')
        return DRIVER_MISSING;
    *ret_bytes = strtoul(line + 1, NULL, 10);
    if (*ret_bytes > buf_bytes)
        return driver_fail("a value of %zu bytes", *ret_bytes);
    return server_take(own, buf, *ret_bytes) != 0 || server_take(own, end, sizeof end) != 0 ? DRIVER_FAILED : DRIVER_OK;
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    put_command(handle, "GET", 1);
    put_argument(handle, key, key_bytes);
    return server_send(handle) != 0 ? DRIVER_FAILED : take_value(handle, buf, buf_bytes, ret_bytes);
}

static int get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    char line[64];
    put_command(handle, "MGET", n);
    for (size_t i = 0; i < n; i++)
        put_argument(handle, keys[i].key, keys[i].bytes);
    if (server_send(handle) != 0 || server_line(handle, line, sizeof line) != 0)
        return DRIVER_FAILED;
    if (line[0] != '*' || strtoul(line + 1, NULL, 10) != n)
        return driver_fail("redis: %s", line);
    int code = 0;
    for (size_t i = 0; i < n && code >= 0; i++)
        code = results[i].code = take_value(handle, results[i].buf, results[i].buf_bytes, &results[i].bytes);
    return code < 0 ? code : DRIVER_OK;
}

/* The answer's first line says it all. */
static int ask(struct server *own, const char *yes, const char *no, int no_code)
{
    char line[64];
    if (server_send(own) != 0 || server_line(own, line, sizeof line) != 0)
        return DRIVER_FAILED;
    if (strcmp(line, yes) == 0)
        return DRIVER_OK;
    return strcmp(line, no) == 0 ? no_code : driver_fail("redis: %s", line);
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    put_command(handle, "SET", 3);
    put_argument(handle, key, key_bytes);
    put_argument(handle, value, value_bytes);
    put_argument(handle, "NX", 2);
    return ask(handle, "+OK", "$-1", DRIVER_EXISTS);
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    put_command(handle, "SET", 2);
    put_argument(handle, key, key_bytes);
    put_argument(handle, value, value_bytes);
    return ask(handle, "+OK", "", DRIVER_FAILED);
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    put_command(handle, "DEL", 1);
    put_argument(handle, key, key_bytes);
    return ask(handle, ":1", ":0", DRIVER_MISSING);
}

const struct driver driver_redis = {
    .name = "redis",
    .settings = "redis-server on a Unix socket, no saving; one request, one answer; batches by MGET",
    .workers = DRIVER_PROCESSES,
    .group = DRIVER_MULTI_PROCESS,
    .memory = DRIVER_MEMORY_OWN,
    .open = open_it,
    .close = close_it,
    .unlink = server_unlink,
    .insert = insert,
    .get = get,
    .get_many = get_many,
    .put = put,
    .del = del,
    .weigh = weigh,
    .slow = 1,
};
