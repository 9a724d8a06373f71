/* SPDX-License-Identifier: MIT
 *
 * Boost.Interprocess: an unordered_map in a managed_shared_memory segment under one sharable mutex.
 *
 * The best that its documentation offers for this contract:
 *   - buckets reserved for all keys; XXH3 as hash; strings that keep short keys inside the node
 *   - look-ups by view, without making a string; a put to a present key assigns in place
 *   - the segment's own allocator mutex is left out (null_mutex_family): every allocation happens under the
 *     exclusive lock anyway
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <boost/container/string.hpp>
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/indexes/iset_index.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/interprocess/sync/sharable_lock.hpp>
#include <boost/unordered_map.hpp>

#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>

#include "peers.h"

namespace bip = boost::interprocess;

namespace
{

using segment = bip::basic_managed_shared_memory<char, bip::rbtree_best_fit<bip::null_mutex_family>, bip::iset_index>;
template <class T> using allocator = bip::allocator<T, segment::segment_manager>;
using bytes = boost::container::basic_string<char, std::char_traits<char>, allocator<char>>;

struct view {
    const char *at;
    std::size_t n;
};

struct hasher {
    std::size_t operator()(const bytes &key) const { return XXH3_64bits(key.data(), key.size()); }
    std::size_t operator()(const view &key) const { return XXH3_64bits(key.at, key.n); }
};

struct equal {
    static bool same(const char *a, std::size_t a_n, const char *b, std::size_t b_n)
    {
        return a_n == b_n && std::memcmp(a, b, a_n) == 0;
    }
    bool operator()(const bytes &a, const bytes &b) const { return same(a.data(), a.size(), b.data(), b.size()); }
    bool operator()(const view &a, const bytes &b) const { return same(a.at, a.n, b.data(), b.size()); }
    bool operator()(const bytes &a, const view &b) const { return same(a.data(), a.size(), b.at, b.n); }
};

using map_allocator = allocator<std::pair<const bytes, bytes>>;
using map = boost::unordered_map<bytes, bytes, hasher, equal, map_allocator>;

struct table {
    bip::interprocess_sharable_mutex mutex;
    map records;
    table(std::size_t keys, segment::segment_manager *manager)
        : records(keys, hasher(), equal(), map_allocator(manager))
    {
        records.reserve(keys);
    }
};

struct handle {
    segment memory;
    table *shared;
    allocator<char> chars;
    handle(segment &&opened, table *found)
        : memory(std::move(opened)), shared(found), chars(memory.get_segment_manager())
    {
    }
};

/* The file is sparse; only what is touched takes memory. */
std::size_t segment_bytes(const driver_setup *setup)
{
    return setup->keys * (setup->key_bytes + setup->value_bytes + 256) * 2 + (64u << 20);
}

/* Nothing may be thrown into the harness, which is C. */
template <class F> int guarded(F &&call)
{
    try {
        return call();
    } catch (const std::exception &problem) {
        return driver_fail("%s", problem.what());
    }
}

int open_it(const driver_setup *setup, void *host, void **ret_handle)
{
    return guarded([&] {
        if (host) {
            segment opened(bip::open_only, setup->name);
            table *found = opened.find<table>("table").first;
            if (!found)
                return driver_fail("the segment holds no table");
            *ret_handle = new handle(std::move(opened), found);
            return 0;
        }
        segment made(bip::create_only, setup->name, segment_bytes(setup));
        table *fresh =
            made.construct<table>("table")(static_cast<std::size_t>(setup->keys), made.get_segment_manager());
        *ret_handle = new handle(std::move(made), fresh);
        return 0;
    });
}

void close_it(void *at) { delete static_cast<handle *>(at); }

void unlink_it(const driver_setup *setup) { bip::shared_memory_object::remove(setup->name); }

const map &records_of(const handle *own) { return own->shared->records; }

int read_one(const handle *own, const view &key, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    auto found = records_of(own).find(key, hasher(), equal());
    if (found == records_of(own).end())
        return DRIVER_MISSING;
    const bytes &value = found->second;
    if (value.size() > buf_bytes)
        return driver_fail("a value of %zu bytes", value.size());
    std::memcpy(buf, value.data(), value.size());
    *ret_bytes = value.size();
    return DRIVER_OK;
}

int get(void *at, const void *key, std::size_t key_bytes, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        bip::sharable_lock<bip::interprocess_sharable_mutex> lock(own->shared->mutex);
        return read_one(own, view{ static_cast<const char *>(key), key_bytes }, buf, buf_bytes, ret_bytes);
    });
}

int get_many(void *at, const driver_key *keys, std::size_t n, driver_result *results)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        bip::sharable_lock<bip::interprocess_sharable_mutex> lock(own->shared->mutex);
        for (std::size_t i = 0; i < n; i++) {
            view key{ static_cast<const char *>(keys[i].key), keys[i].bytes };
            results[i].code = read_one(own, key, results[i].buf, results[i].buf_bytes, &results[i].bytes);
            if (results[i].code < 0)
                return results[i].code;
        }
        return static_cast<int>(DRIVER_OK);
    });
}

void add_record(handle *own, const view &key, const char *value, std::size_t value_bytes)
{
    own->shared->records.emplace(std::piecewise_construct, std::forward_as_tuple(key.at, key.n, own->chars),
                                 std::forward_as_tuple(value, value_bytes, own->chars));
}

int insert(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        view wanted{ static_cast<const char *>(key), key_bytes };
        bip::scoped_lock<bip::interprocess_sharable_mutex> lock(own->shared->mutex);
        if (own->shared->records.find(wanted, hasher(), equal()) != own->shared->records.end())
            return static_cast<int>(DRIVER_EXISTS);
        add_record(own, wanted, static_cast<const char *>(value), value_bytes);
        return static_cast<int>(DRIVER_OK);
    });
}

int put(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        view wanted{ static_cast<const char *>(key), key_bytes };
        bip::scoped_lock<bip::interprocess_sharable_mutex> lock(own->shared->mutex);
        auto found = own->shared->records.find(wanted, hasher(), equal());
        if (found != own->shared->records.end())
            found->second.assign(static_cast<const char *>(value), value_bytes);
        else
            add_record(own, wanted, static_cast<const char *>(value), value_bytes);
        return static_cast<int>(DRIVER_OK);
    });
}

int del(void *at, const void *key, std::size_t key_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        view wanted{ static_cast<const char *>(key), key_bytes };
        bip::scoped_lock<bip::interprocess_sharable_mutex> lock(own->shared->mutex);
        auto found = own->shared->records.find(wanted, hasher(), equal());
        if (found == own->shared->records.end())
            return static_cast<int>(DRIVER_MISSING);
        own->shared->records.erase(found);
        return static_cast<int>(DRIVER_OK);
    });
}

} // namespace

const struct driver driver_boost_interprocess = {
    "boost_interprocess",
    "managed_shared_memory, unordered_map reserved, one interprocess_sharable_mutex, XXH3, no allocator mutex",
    DRIVER_PROCESSES,
    DRIVER_MULTI_PROCESS,
    DRIVER_MEMORY_FILE,
    open_it,
    close_it,
    unlink_it,
    insert,
    get,
    get_many,
    put,
    del,
};
