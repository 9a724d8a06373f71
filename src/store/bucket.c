/* SPDX-License-Identifier: MIT
 *
 * Records in a bucket's page (bucket.h).  Records lie at any byte, so they are copied, not pointed at.
 */
#include "store/bucket.h"

#include <stddef.h>
#include <string.h>

#include "base/hash.h"

#define WORD_BYTES 8u
#define STAMP_BYTES 8u
#define LINE_BYTES 64u
#define FINGER(hash) ((hash)&0xffffu)
#define WORD_FINGER(word) ((word)&0xffffu)
#define WORD_AT(word) ((uint32_t)((word) >> 16 & 0xffffu))
#define WORD_SUM(word) ((uint32_t)((word) >> 32))
#define WORD(finger, at, sum) ((finger) | (uint64_t)(at) << 16 | (uint64_t)(sum) << 32)

void bucket_make(struct bucket *bucket, uint64_t prefix, unsigned depth)
{
    memset(bucket, 0, sizeof *bucket);
    bucket->head.prefix = prefix;
    bucket->head.depth = (uint8_t)depth;
    bucket->head.free_at = PAGE_BYTES;
}

static uint32_t words_end(const struct bucket *bucket)
{
    return PAGE_HEAD_BYTES + bucket->head.used_n * WORD_BYTES;
}

static uint32_t stamps_bytes(unsigned flags)
{
    return ((flags & RECORD_EXPIRES) != 0) * STAMP_BYTES + ((flags & RECORD_MTIME) != 0) * STAMP_BYTES;
}

static uint32_t key_here(const struct bucket_item *item)
{
    return (item->flags & RECORD_LARGE_KEY) != 0 ? 0 : item->key_bytes;
}

uint32_t bucket_item_bytes(const struct bucket_item *item)
{
    return WORD_BYTES + (uint32_t)sizeof(struct bucket_record) + key_here(item) + item->value_bytes +
           stamps_bytes(item->flags);
}

/* -- Reading ------------------------------------------------------------------------------------- */

uint32_t bucket_next(const struct bucket *bucket, uint32_t i, uint64_t hash)
{
    while (i < bucket->head.used_n && WORD_FINGER(bucket->word[i]) != FINGER(hash))
        i++;
    return i;
}

void bucket_expect(const struct bucket *bucket, uint64_t hash, uint32_t bytes)
{
    uint32_t i = bucket_next(bucket, 0, hash);
    if (i == bucket->head.used_n)
        return;
    uintptr_t record = (uintptr_t)bucket + WORD_AT(bucket->word[i]); /* not looked at */
    for (uint32_t at = 0; at < bytes; at += LINE_BYTES)
        __builtin_prefetch((const void *)(record + at), 1);
    __builtin_prefetch((const void *)(record + bytes), 1);
}

static uint32_t record_sum(const uint8_t *record, size_t bytes) { return (uint32_t)hash_bytes(record, bytes, 0); }

static int64_t stamp_at(const uint8_t *at)
{
    int64_t stamp;
    memcpy(&stamp, at, sizeof stamp);
    return stamp;
}

bool bucket_item(const struct bucket *bucket, uint32_t i, struct bucket_item *ret_item)
{
    struct bucket_record record;
    uint32_t at = WORD_AT(bucket->word[i]);
    if (at < words_end(bucket) || at > PAGE_BYTES - sizeof record)
        return false;
    const uint8_t *from = (const uint8_t *)bucket + at;
    memcpy(&record, from, sizeof record);
    struct bucket_item item = {
        .version = record.version_and_type & VERSION_MAX,
        .type = (uint8_t)(record.version_and_type >> 48),
        .flags = (uint8_t)(record.version_and_type >> 56),
        .key_bytes = record.key_bytes,
        .value_bytes = record.value_bytes,
    };
    uint32_t bytes = bucket_item_bytes(&item) - WORD_BYTES;
    if ((item.flags & ~RECORD_FLAGS) != 0 || item.key_bytes == 0 || bytes > PAGE_BYTES - at ||
        record_sum(from, bytes) != WORD_SUM(bucket->word[i]))
        return false;
    from += sizeof record;
    item.key = key_here(&item) > 0 ? from : NULL;
    item.value = from += key_here(&item);
    from += item.value_bytes;
    if ((item.flags & RECORD_EXPIRES) != 0) {
        item.expires_ns = stamp_at(from);
        from += STAMP_BYTES;
    }
    if ((item.flags & RECORD_MTIME) != 0)
        item.mtime_ns = stamp_at(from);
    *ret_item = item;
    return true;
}

bool bucket_has_large(const struct bucket *bucket)
{
    for (uint32_t i = 0; i < bucket->head.used_n; i++) {
        struct bucket_record record;
        uint32_t at = WORD_AT(bucket->word[i]);
        if (at > PAGE_BYTES - sizeof record)
            continue; /* bucket_item refuses it */
        memcpy(&record, (const uint8_t *)bucket + at, sizeof record);
        if ((record.version_and_type >> 56 & RECORD_LARGE) != 0)
            return true;
    }
    return false;
}

bool bucket_item_large(const struct bucket_item *item, struct bucket_large *ret_large)
{
    if ((item->flags & RECORD_LARGE) == 0 || item->value_bytes != sizeof *ret_large)
        return false;
    memcpy(ret_large, item->value, sizeof *ret_large);
    return true;
}

bool bucket_check(const struct bucket *bucket)
{
    const struct page_head *head = &bucket->head;
    if (head->used_n > BUCKET_RECORDS_MAX || head->free_at < words_end(bucket) || head->free_at > PAGE_BYTES ||
        head->used_bytes > PAGE_BODY_BYTES)
        return false;
    for (uint32_t i = 0; i < head->used_n; i++)
        if (WORD_AT(bucket->word[i]) < head->free_at)
            return false;
    return true;
}

/* -- Changing ------------------------------------------------------------------------------------ */

/* All records to the page's end again, without holes.  False, with nothing changed: one of them is bad. */
static bool compact(struct bucket *bucket)
{
    struct bucket old = *bucket, made = *bucket;
    uint32_t at = PAGE_BYTES;
    for (uint32_t i = 0; i < old.head.used_n; i++) {
        struct bucket_item item;
        if (!bucket_item(&old, i, &item))
            return false;
        uint32_t bytes = bucket_item_bytes(&item) - WORD_BYTES;
        if (bytes > at - words_end(bucket))
            return false; /* they overlap */
        at -= bytes;
        memcpy((uint8_t *)&made + at, (const uint8_t *)&old + WORD_AT(old.word[i]), bytes);
        made.word[i] = WORD(WORD_FINGER(old.word[i]), at, WORD_SUM(old.word[i]));
    }
    made.head.free_at = at;
    memset((uint8_t *)&made + words_end(bucket), 0, at - words_end(bucket));
    *bucket = made;
    return true;
}

static uint8_t *put_bytes(uint8_t *to, const void *from, size_t n)
{
    if (n > 0)
        memcpy(to, from, n);
    return to + n;
}

/* The record's bytes there, and its word. */
static uint64_t item_write(struct bucket *bucket, uint32_t at, uint64_t hash, const struct bucket_item *item)
{
    struct bucket_record record = {
        .version_and_type = item->version | (uint64_t)item->type << 48 | (uint64_t)item->flags << 56,
        .key_bytes = (uint16_t)item->key_bytes,
        .value_bytes = (uint16_t)item->value_bytes,
    };
    uint8_t *from = (uint8_t *)bucket + at;
    uint8_t *to = put_bytes(from, &record, sizeof record);
    to = put_bytes(to, item->key, key_here(item));
    to = put_bytes(to, item->value, item->value_bytes);
    if ((item->flags & RECORD_EXPIRES) != 0)
        to = put_bytes(to, &item->expires_ns, STAMP_BYTES);
    if ((item->flags & RECORD_MTIME) != 0)
        to = put_bytes(to, &item->mtime_ns, STAMP_BYTES);
    return WORD(FINGER(hash), at, record_sum(from, (size_t)(to - from)));
}

enum bucket_added bucket_add(struct bucket *bucket, uint64_t hash, const struct bucket_item *item)
{
    uint32_t bytes = bucket_item_bytes(item);
    if (bytes > PAGE_BODY_BYTES - bucket->head.used_bytes)
        return BUCKET_FULL;
    if (bytes > bucket->head.free_at - words_end(bucket) &&
        (!compact(bucket) || bytes > bucket->head.free_at - words_end(bucket)))
        return BUCKET_BAD;
    uint32_t at = (uint32_t)bucket->head.free_at - (bytes - WORD_BYTES);
    bucket->word[bucket->head.used_n++] = item_write(bucket, at, hash, item);
    bucket->head.free_at = at;
    bucket->head.used_bytes += bytes;
    return BUCKET_ADDED;
}

bool bucket_replace(struct bucket *bucket, uint32_t i, const struct bucket_item *old, uint64_t hash,
                    const struct bucket_item *item)
{
    if (bucket_item_bytes(old) != bucket_item_bytes(item))
        return false;
    bucket->word[i] = item_write(bucket, WORD_AT(bucket->word[i]), hash, item);
    return true;
}

void bucket_remove(struct bucket *bucket, uint32_t i, const struct bucket_item *item)
{
    uint32_t bytes = bucket_item_bytes(item);
    if (WORD_AT(bucket->word[i]) == bucket->head.free_at)
        bucket->head.free_at += bytes - WORD_BYTES;
    bucket->head.used_bytes -= bytes < bucket->head.used_bytes ? bytes : bucket->head.used_bytes;
    bucket->word[i] = bucket->word[--bucket->head.used_n];
}
