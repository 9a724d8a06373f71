/* SPDX-License-Identifier: MIT
 *
 * Boost.Interprocess: an unordered_map of strings in a managed_shared_memory segment under one sharable mutex.
 *
 * As its documentation shows it: buckets reserved for all keys, look-ups by view without making a string, a put
 * to a present key assigns in place, the allocator without a mutex of its own because every allocation happens
 * under the exclusive lock.  Its mutexes have no robust variant.
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
#include <boost/version.hpp>

#include <cstring>
#include <exception>
#include <tuple>
#include <utility>

#include "baselines/system.h"
#include "shoal/shoal.h"

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
    explicit table(segment::segment_manager *manager) : records(SYSTEM_ROOM, hasher(), equal(), map_allocator(manager))
    {
        records.reserve(SYSTEM_ROOM);
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

/* A node, the value's block and their headers take about 240 bytes a record. */
const std::size_t segment_bytes = 16384 + SYSTEM_ROOM * 256;

/* Nothing may be thrown into the test, which is C. */
template <class F> int guarded(F &&call)
{
    try {
        return call();
    } catch (const bip::bad_alloc &) {
        return SHOAL_EFULL;
    } catch (const std::exception &) {
        return SHOAL_EOS;
    }
}

int create(const system_setup *setup)
{
    return guarded([&] {
        segment made(bip::create_only, setup->name, segment_bytes);
        made.construct<table>("table")(made.get_segment_manager());
        return 0;
    });
}

int open_it(const system_setup *setup, void **ret_handle)
{
    return guarded([&] {
        segment opened(bip::open_only, setup->name);
        table *found = opened.find<table>("table").first;
        if (!found)
            return static_cast<int>(SHOAL_ECORRUPT);
        *ret_handle = new handle(std::move(opened), found);
        return 0;
    });
}

void close_it(void *at) { delete static_cast<handle *>(at); }

void unlink_it(const system_setup *setup) { bip::shared_memory_object::remove(setup->name); }

int get(void *at, const void *key, std::size_t key_bytes, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        bip::sharable_lock<bip::interprocess_sharable_mutex> lock(own->shared->mutex);
        const map &records = own->shared->records;
        auto found = records.find(view{ static_cast<const char *>(key), key_bytes }, hasher(), equal());
        if (found == records.end())
            return static_cast<int>(SHOAL_MISSING);
        const bytes &value = found->second;
        if (value.size() > buf_bytes)
            return static_cast<int>(SHOAL_EOS);
        std::memcpy(buf, value.data(), value.size());
        *ret_bytes = value.size();
        return 0;
    });
}

int put(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        const char *text = static_cast<const char *>(value);
        view wanted{ static_cast<const char *>(key), key_bytes };
        bip::scoped_lock<bip::interprocess_sharable_mutex> lock(own->shared->mutex);
        auto found = own->shared->records.find(wanted, hasher(), equal());
        if (found != own->shared->records.end())
            found->second.assign(text, value_bytes);
        else
            own->shared->records.emplace(std::piecewise_construct,
                                         std::forward_as_tuple(wanted.at, wanted.n, own->chars),
                                         std::forward_as_tuple(text, value_bytes, own->chars));
        return 0;
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
            return static_cast<int>(SHOAL_MISSING);
        own->shared->records.erase(found);
        return 0;
    });
}

int check(void *at)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        bip::sharable_lock<bip::interprocess_sharable_mutex> lock(own->shared->mutex);
        return own->memory.check_sanity() ? 0 : static_cast<int>(SHOAL_ECORRUPT);
    });
}

const char *version() { return "Boost " BOOST_LIB_VERSION; }

} // namespace

extern "C" const struct system system_boost = {
    "boost_interprocess",
    "Boost.Interprocess",
    "managed_shared_memory, unordered_map reserved, one interprocess_sharable_mutex, no allocator mutex",
    nullptr,
    version,
    create,
    open_it,
    close_it,
    unlink_it,
    get,
    put,
    del,
    check,
    nullptr,
};
