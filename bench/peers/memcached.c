/* SPDX-License-Identifier: MIT
 *
 * memcached over a Unix socket, by its binary protocol, the only one that takes any bytes as a key: one request, one answer;
 * a batch is 32 quiet gets and a no-op.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"
#include "server.h"

enum opcode { OP_GET = 0, OP_SET = 1, OP_ADD = 2, OP_DELETE = 4, OP_GETQ = 9, OP_NOOP = 10 };
enum { STATUS_OK = 0, STATUS_MISSING = 1, STATUS_EXISTS = 2 };

#define KEY_MOST 250u /* memcached's limit */

/* Of requests and answers; numbers in network order. */
struct header {
    uint8_t magic, opcode;
    uint16_t key_bytes;
    uint8_t extra_bytes, type;
    uint16_t status;
    uint32_t body_bytes, opaque;
    uint64_t cas;
};
_Static_assert(sizeof(struct header) == 24, "the protocol's");

/* -- Handle ------------------------------------------------------------------------ */

static int open_it(const struct driver_setup *setup, void *host, void **ret_handle)
{
    char socket[SERVER_PATH_BYTES], memory[24], power[32];
    struct server *own = malloc(sizeof *own);
    if (!own)
        return driver_fail("no memory");
    unsigned buckets = 16;
    while ((uint64_t)1 << buckets < setup->keys)
        buckets++;
    server_socket(setup, socket);
    snprintf(power, sizeof power, "hashpower=%u", buckets);
    snprintf(memory, sizeof memory, "%lu",
             (unsigned long)(setup->keys * (setup->key_bytes + setup->value_bytes + 100) * 2 >> 20) + 128);
    char *argv[] = { "memcached", "-s", socket, "-u", "root", "-m", memory, "-M", "-t", "2", "-o", power, NULL };
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

/* -- Requests ---------------------------------------------------------------------- */

static void put_request(struct server *own, enum opcode opcode, const void *key, size_t key_bytes, const void *value,
                        size_t value_bytes)
{
    static const uint8_t no_flags_no_expiry[8];
    uint8_t extra_bytes = opcode == OP_SET || opcode == OP_ADD ? sizeof no_flags_no_expiry : 0;
    const struct header header = { .magic = 0x80,
                                   .opcode = (uint8_t)opcode,
                                   .key_bytes = htons((uint16_t)key_bytes),
                                   .extra_bytes = extra_bytes,
                                   .body_bytes = htonl((uint32_t)(extra_bytes + key_bytes + value_bytes)) };
    server_put(own, &header, sizeof header);
    server_put(own, no_flags_no_expiry, extra_bytes);
    server_put(own, key, key_bytes);
    if (value_bytes > 0)
        server_put(own, value, value_bytes);
}

static int take_header(struct server *own, struct header *header)
{
    if (server_take(own, header, sizeof *header) != 0)
        return DRIVER_FAILED;
    header->status = ntohs(header->status);
    header->body_bytes = ntohl(header->body_bytes);
    return 0;
}

/* Of an answer that brings a value; any other body is a text that nobody wants. */
static int take_body(struct server *own, const struct header *header, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    char rest[256];
    size_t body = header->body_bytes, extra = header->extra_bytes;
    if (header->status != STATUS_OK || !buf)
        return body > sizeof rest ? driver_fail("memcached: status %u", header->status) : server_take(own, rest, body);
    if (extra > body || body - extra > buf_bytes)
        return driver_fail("a value of %zu bytes", body - extra);
    *ret_bytes = body - extra;
    return server_take(own, rest, extra) != 0 ? DRIVER_FAILED : server_take(own, buf, *ret_bytes);
}

static int get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    struct header header;
    put_request(handle, OP_GET, key, key_bytes, NULL, 0);
    if (server_send(handle) != 0 || take_header(handle, &header) != 0 ||
        take_body(handle, &header, buf, buf_bytes, ret_bytes) != 0)
        return DRIVER_FAILED;
    if (header.status == STATUS_OK)
        return DRIVER_OK;
    return header.status == STATUS_MISSING ? DRIVER_MISSING : driver_fail("memcached: status %u", header.status);
}

/* Only hits are answered; an answer says by its opaque number whose it is. */
static int get_many(void *handle, const struct driver_key *keys, size_t n, struct driver_result *results)
{
    struct server *own = handle;
    for (size_t i = 0; i < n; i++) {
        size_t begin = own->end;
        put_request(own, OP_GETQ, keys[i].key, keys[i].bytes, NULL, 0);
        uint32_t opaque = (uint32_t)i;
        memcpy(own->buf + begin + offsetof(struct header, opaque), &opaque, sizeof opaque);
        results[i].code = DRIVER_MISSING;
    }
    put_request(own, OP_NOOP, "", 0, NULL, 0);
    if (server_send(own) != 0)
        return DRIVER_FAILED;
    for (;;) {
        struct header header;
        if (take_header(own, &header) != 0)
            return DRIVER_FAILED;
        if (header.opcode == OP_NOOP)
            return DRIVER_OK;
        if (header.opaque >= n)
            return driver_fail("memcached: an answer to nothing");
        struct driver_result *one = &results[header.opaque];
        if (take_body(own, &header, one->buf, one->buf_bytes, &one->bytes) != 0)
            return DRIVER_FAILED;
        one->code = header.status == STATUS_OK ? DRIVER_OK : DRIVER_FAILED;
    }
}

static int ask(struct server *own, int no_status, int no_code)
{
    struct header header;
    if (server_send(own) != 0 || take_header(own, &header) != 0 || take_body(own, &header, NULL, 0, NULL) != 0)
        return DRIVER_FAILED;
    if (header.status == STATUS_OK)
        return DRIVER_OK;
    return header.status == no_status ? no_code : driver_fail("memcached: status %u", header.status);
}

static int insert(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    put_request(handle, OP_ADD, key, key_bytes, value, value_bytes);
    return ask(handle, STATUS_EXISTS, DRIVER_EXISTS);
}

static int put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    put_request(handle, OP_SET, key, key_bytes, value, value_bytes);
    return ask(handle, -1, DRIVER_FAILED);
}

static int del(void *handle, const void *key, size_t key_bytes)
{
    put_request(handle, OP_DELETE, key, key_bytes, NULL, 0);
    return ask(handle, STATUS_MISSING, DRIVER_MISSING);
}

const struct driver driver_memcached = {
    .name = "memcached",
    .settings = "memcached on a Unix socket, 2 threads, buckets for all keys, no eviction; binary protocol, one request, one "
                "answer; batches by quiet gets",
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
    .key_most = KEY_MOST,
};
