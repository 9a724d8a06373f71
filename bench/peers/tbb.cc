/* SPDX-License-Identifier: MIT
 *
 * oneTBB's concurrent_hash_map: chained buckets, a reader-writer lock in each node; an accessor holds it while the value
 * is copied or written over.
 */
#include <tbb/concurrent_hash_map.h>
#include <tbb/scalable_allocator.h>

#include "guard.hpp"
#include "peers.h"
#include "record.hpp"

namespace
{

using held::slice;
using entry = held::entry<scalable_malloc, scalable_free>;

struct compare {
    static std::size_t hash(const slice &key) { return key.hash; }
    static bool equal(const slice &a, const slice &b) { return a == b; }
};

using table = tbb::concurrent_hash_map<slice, entry, compare>;

int open_it(const driver_setup *setup, void *host, void **ret_handle)
{
    return guarded([&] {
        *ret_handle = host ? host : new table(setup->keys);
        return DRIVER_OK;
    });
}

/* The table goes with its process. */
void close_it(void *) {}

int get(void *at, const void *key, std::size_t key_bytes, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    return guarded([&] {
        table::const_accessor found;
        if (!static_cast<table *>(at)->find(found, slice(key, key_bytes)))
            return static_cast<int>(DRIVER_MISSING);
        return found->second.copy_out(buf, buf_bytes, ret_bytes) ? DRIVER_OK : driver_fail("a value too long");
    });
}

int insert(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    return guarded([&] {
        const slice wanted(key, key_bytes);
        entry made(wanted, value, value_bytes);
        if (static_cast<table *>(at)->emplace(made.key(wanted), made))
            return DRIVER_OK;
        made.let_go(wanted);
        return DRIVER_EXISTS;
    });
}

int put(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    return guarded([&] {
        const slice wanted(key, key_bytes);
        for (;;) {
            table::accessor found;
            if (static_cast<table *>(at)->find(found, wanted)) {
                found->second.assign(wanted, value, value_bytes);
                return DRIVER_OK;
            }
            if (insert(at, key, key_bytes, value, value_bytes) == DRIVER_OK)
                return DRIVER_OK;
        }
    });
}

int del(void *at, const void *key, std::size_t key_bytes)
{
    return guarded([&] {
        const slice wanted(key, key_bytes);
        table::accessor found;
        if (!static_cast<table *>(at)->find(found, wanted))
            return DRIVER_MISSING;
        entry gone = found->second;
        if (!static_cast<table *>(at)->erase(found))
            return DRIVER_MISSING;
        gone.let_go(wanted);
        return DRIVER_OK;
    });
}

} // namespace

const struct driver driver_tbb = {
    "tbb",
    "concurrent_hash_map with buckets for all keys, tbbmalloc, XXH3 kept beside each key, values assigned in place; "
    "batches are single gets",
    DRIVER_THREADS,
    DRIVER_SAME_CONTRACT,
    DRIVER_MEMORY_RSS,
    open_it,
    close_it,
    nullptr,
    insert,
    get,
    nullptr,
    put,
    del,
    nullptr,
    nullptr,
    nullptr,
};
