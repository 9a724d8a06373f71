/* SPDX-License-Identifier: MIT
 *
 * Three tables of Kyoto Cabinet in memory: StashDB, packed chains under striped locks; ProtoHashDB, std::unordered_map
 * under one lock; CacheDB, hash tables with an order of last use, 16 locks.
 */
#include <cstring>

#include <kccachedb.h>
#include <kcprotodb.h>
#include <kcstashdb.h>

#include "guard.hpp"
#include "peers.h"

namespace kc = kyotocabinet;

namespace
{

kc::BasicDB *db(void *at) { return static_cast<kc::BasicDB *>(at); }

const char *bytes_of(const void *at) { return static_cast<const char *>(at); }

int failed(void *at, const char *call) { return driver_fail("%s: %s", call, db(at)->error().message()); }

/* Workers are threads: they use the host's. */
template <class Make> int open_with(void *host, void **ret_handle, Make &&make)
{
    return guarded([&] {
        *ret_handle = host ? host : make();
        if (host || db(*ret_handle)->open("", kc::BasicDB::OWRITER | kc::BasicDB::OCREATE))
            return static_cast<int>(DRIVER_OK);
        return failed(*ret_handle, "open");
    });
}

int open_stash(const driver_setup *setup, void *host, void **ret_handle)
{
    return open_with(host, ret_handle, [&] {
        auto *table = new kc::StashDB;
        table->tune_buckets(static_cast<int64_t>(setup->keys * 2));
        return static_cast<kc::BasicDB *>(table);
    });
}

int open_proto(const driver_setup *, void *host, void **ret_handle)
{
    return open_with(host, ret_handle, [&] { return static_cast<kc::BasicDB *>(new kc::ProtoHashDB); });
}

int open_cache(const driver_setup *setup, void *host, void **ret_handle)
{
    return open_with(host, ret_handle, [&] {
        auto *table = new kc::CacheDB;
        table->tune_buckets(static_cast<int64_t>(setup->keys * 2));
        return static_cast<kc::BasicDB *>(table);
    });
}

/* The table goes with its process. */
void close_it(void *) {}

int get(void *at, const void *key, std::size_t key_bytes, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    return guarded([&] {
        const int32_t bytes = db(at)->get(bytes_of(key), key_bytes, static_cast<char *>(buf), buf_bytes);
        if (bytes < 0)
            return db(at)->error() == kc::BasicDB::Error::NOREC ? static_cast<int>(DRIVER_MISSING) : failed(at, "get");
        *ret_bytes = static_cast<std::size_t>(bytes); /* the value's, even where the buffer is shorter */
        return *ret_bytes <= buf_bytes ? DRIVER_OK : driver_fail("a value of %zu bytes", *ret_bytes);
    });
}

int insert(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    return guarded([&] {
        if (db(at)->add(bytes_of(key), key_bytes, bytes_of(value), value_bytes))
            return static_cast<int>(DRIVER_OK);
        return db(at)->error() == kc::BasicDB::Error::DUPREC ? static_cast<int>(DRIVER_EXISTS) : failed(at, "add");
    });
}

int put(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    return guarded([&] {
        return db(at)->set(bytes_of(key), key_bytes, bytes_of(value), value_bytes) ? static_cast<int>(DRIVER_OK)
                                                                                   : failed(at, "set");
    });
}

int del(void *at, const void *key, std::size_t key_bytes)
{
    return guarded([&] {
        if (db(at)->remove(bytes_of(key), key_bytes))
            return static_cast<int>(DRIVER_OK);
        return db(at)->error() == kc::BasicDB::Error::NOREC ? static_cast<int>(DRIVER_MISSING) : failed(at, "remove");
    });
}

} // namespace

#define SAME_FIELDS DRIVER_THREADS, DRIVER_SAME_CONTRACT, DRIVER_MEMORY_RSS
#define SAME_CALLS close_it, nullptr, insert, get, nullptr, put, del, nullptr, nullptr, nullptr

const struct driver driver_kyoto_stash = {
    "kyoto_stash", "StashDB, 2 buckets a key; batches are single gets", SAME_FIELDS, open_stash, SAME_CALLS,
};

const struct driver driver_kyoto_proto = {
    "kyoto_proto", "ProtoHashDB as it comes: it has nothing to set; batches are single gets", SAME_FIELDS, open_proto,
    SAME_CALLS,
};

const struct driver driver_kyoto_cache = {
    "kyoto_cache", "CacheDB, 2 buckets a key, no limit; batches are single gets", SAME_FIELDS, open_cache, SAME_CALLS,
};
