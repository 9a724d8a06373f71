/* SPDX-License-Identifier: MIT
 *
 * Keys and values, and what a store holds of them (contents.h).
 */
#include "images/contents.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "images/wrong.h"
#include "lib/fail.h"
#include "lib/random.h"
#include "shoal/shoal.h"

#define FAR_FUTURE_NS 4000000000000000000
#define FIRST_ROOM 16384u

static uint8_t *value, *answer;
static uint64_t value_room, answer_room;

static uint8_t *room_for(uint8_t **buffer, uint64_t *room, uint64_t bytes)
{
    if (bytes > *room) {
        *room = bytes < FIRST_ROOM ? FIRST_ROOM : bytes;
        free(*buffer);
        *buffer = malloc(*room);
        require(*buffer != NULL, "no memory for a value of %llu bytes", (unsigned long long)bytes);
    }
    return *buffer;
}

/* -- Keys -------------------------------------------------------------------------------------------- */

/* One of a single byte, one that needs runs, all others short. */
static size_t key_bytes_of(uint32_t key) { return key == 1 ? 1 : key == 2 ? CONTENTS_KEY_BYTES_MAX : 2 + key % 23; }

static void key_fill(uint32_t key, uint8_t *to)
{
    const size_t bytes = key_bytes_of(key);
    for (size_t i = 2; i < bytes; i++)
        to[i] = (uint8_t)random_mix(((uint64_t)key << 32) + i);
    to[0] = (uint8_t)key;
    if (bytes > 1)
        to[1] = (uint8_t)(key >> 8);
}

/* CONTENTS_KEYS_MAX: of none. */
static uint32_t key_of(const void *bytes, size_t n)
{
    uint8_t wanted[CONTENTS_KEY_BYTES_MAX];
    const uint8_t *key = bytes;
    uint32_t number = n == 0 ? CONTENTS_KEYS_MAX : n == 1 ? key[0] : key[0] | (uint32_t)key[1] << 8;
    if (number >= CONTENTS_KEYS_MAX || n != key_bytes_of(number))
        return CONTENTS_KEYS_MAX;
    key_fill(number, wanted);
    return memcmp(wanted, key, n) == 0 ? number : CONTENTS_KEYS_MAX;
}

/* -- Records ----------------------------------------------------------------------------------------- */

struct store_record contents_record(uint32_t key, uint64_t number, uint64_t value_bytes)
{
    static uint8_t key_bytes[CONTENTS_KEY_BYTES_MAX];
    uint8_t *to = room_for(&value, &value_room, value_bytes);
    uint64_t chance = random_mix((uint64_t)key << 40 ^ number), word = 0;
    key_fill(key, key_bytes);
    for (uint64_t i = 0; i < value_bytes; i++) {
        if (i % 8 == 0)
            word = random_next(&chance);
        to[i] = (uint8_t)(word >> i % 8 * 8);
    }
    return (struct store_record){
        .key = key_bytes, .key_bytes = key_bytes_of(key), .value = to, .value_bytes = value_bytes,
        .expires_ns = number % 3 == 1 ? FAR_FUTURE_NS + (int64_t)number : 0,
        .mtime_ns = number % 5 == 2 ? 1 + (int64_t)number : 0, .type = (uint8_t)number,
    };
}

uint64_t contents_mark(uint32_t key, const struct store_record *record)
{
    const uint64_t words[] = { key, record->value_bytes, record->version, (uint64_t)record->expires_ns,
                               (uint64_t)record->mtime_ns, record->type };
    return hash_bytes(record->value, record->value_bytes, hash_bytes(words, sizeof words, 0)) | 1;
}

int contents_ask(struct store *store, uint32_t key, bool is_look, uint64_t *ret_mark)
{
    uint8_t bytes[CONTENTS_KEY_BYTES_MAX];
    struct store_record record = { 0 };
    int code;
    key_fill(key, bytes);
    uint8_t *to = room_for(&answer, &answer_room, FIRST_ROOM);
    for (;;) {
        code = (is_look ? store_look : store_get)(store, bytes, key_bytes_of(key), to, answer_room, &record);
        if (code != SHOAL_SHORT)
            break;
        if (record.value_bytes <= answer_room)
            return wrong("key %u: %llu bytes are too many for a room of %llu", key,
                         (unsigned long long)record.value_bytes, (unsigned long long)answer_room);
        to = room_for(&answer, &answer_room, record.value_bytes);
    }
    if (code != 0 && code != SHOAL_MISSING)
        return code < 0 ? code : wrong("key %u: code %d", key, code);
    if (code == 0 && (record.key_bytes != key_bytes_of(key) || record.version == 0))
        return wrong("key %u: %zu bytes of key, version %llu", key, record.key_bytes,
                     (unsigned long long)record.version);
    *ret_mark = code == SHOAL_MISSING ? 0 : contents_mark(key, &record);
    return 0;
}

/* -- The whole --------------------------------------------------------------------------------------- */

/* A walk leaves large values for those who ask. */
static int take_value(struct store_walk *from, struct store_record *io_record)
{
    if (io_record->value != NULL || io_record->value_bytes == 0)
        return 0;
    if (io_record->value_bytes <= STORE_WALK_VALUE)
        return wrong("the walk leaves a value of %llu bytes out", (unsigned long long)io_record->value_bytes);
    uint8_t *to = room_for(&answer, &answer_room, io_record->value_bytes);
    io_record->value = to;
    return store_walk_value(from, to, answer_room);
}

static int take(struct store *store, uint32_t keys_n, uint64_t hash, const struct store_record *record,
                uint64_t *io_marks)
{
    const uint32_t key = key_of(record->key, record->key_bytes);
    if (key >= keys_n)
        return wrong("the walk returns a key of %zu bytes that nobody put", record->key_bytes);
    if (io_marks[key] != 0)
        return wrong("the walk returns key %u twice", key);
    if (hash != store_hash(store, record->key, record->key_bytes))
        return wrong("the walk returns key %u with another hash", key);
    io_marks[key] = contents_mark(key, record);
    return 0;
}

static int walk(struct store *store, uint32_t keys_n, uint64_t *ret_marks, uint64_t *ret_n)
{
    struct store_walk *open;
    struct store_record record;
    uint64_t hash, before = 0;
    int code = store_walk_open(store, 0, &open);
    if (code != 0)
        return code;
    for (*ret_n = 0; (code = store_walk_next(open, &hash, &record)) == 0; (*ret_n)++) {
        if (hash < before)
            code = wrong("the walk goes back from hash %llx to %llx", (unsigned long long)before,
                         (unsigned long long)hash);
        else
            code = take_value(open, &record);
        if (code == 0)
            code = take(store, keys_n, hash, &record, ret_marks);
        if (code != 0)
            break;
        before = hash;
    }
    store_walk_close(open);
    return code == SHOAL_END ? 0 : code;
}

int contents_read(struct store *store, uint32_t keys_n, bool is_each, uint64_t *ret_marks)
{
    struct store_stat stat;
    uint64_t n;
    memset(ret_marks, 0, keys_n * sizeof *ret_marks);
    int code = walk(store, keys_n, ret_marks, &n);
    if (code == 0)
        code = store_stat(store, &stat);
    if (code != 0)
        return code;
    if (stat.records_n != n)
        return wrong("the store counts %llu records, a walk %llu", (unsigned long long)stat.records_n,
                     (unsigned long long)n);
    for (uint32_t i = 0; i < keys_n && is_each && code == 0; i++) {
        uint64_t mark;
        code = contents_ask(store, i, false, &mark);
        if (code == 0 && mark != ret_marks[i])
            code = wrong("key %u: the walk and store_get differ (%llx, %llx)", i, (unsigned long long)ret_marks[i],
                         (unsigned long long)mark);
    }
    return code;
}
