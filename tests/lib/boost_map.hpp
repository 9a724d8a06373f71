/* SPDX-License-Identifier: MIT
 *
 * Boost.Interprocess as a map of byte strings: an unordered_map in a managed_shared_memory segment under one mutex,
 * sharable or not.  Measured in bench/, killed and stopped in tests/baselines.
 *
 * The best that its documentation offers for that:
 *   - buckets reserved for all keys; XXH3 as hash; strings that keep short keys inside the node
 *   - look-ups by view, without making a string; a put to a present key assigns in place
 *   - the segment's own allocator mutex is left out (null_mutex_family): every allocation happens under the
 *     exclusive lock anyway
 * Its mutexes have no robust variant.
 *
 * All of it is inline, and whatever fails throws a std::exception.
 */
#ifndef TESTS_LIB_BOOST_MAP_HPP
#define TESTS_LIB_BOOST_MAP_HPP

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <boost/container/string.hpp>
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/indexes/iset_index.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/interprocess/sync/sharable_lock.hpp>
#include <boost/unordered_map.hpp>

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

namespace boost_map
{

namespace bip = boost::interprocess;

using segment = bip::basic_managed_shared_memory<char, bip::rbtree_best_fit<bip::null_mutex_family>, bip::iset_index>;
template <class T> using allocator = bip::allocator<T, segment::segment_manager>;
using bytes = boost::container::basic_string<char, std::char_traits<char>, allocator<char>>;

struct view {
    const char *at;
    std::size_t n;
    view(const void *from, std::size_t size) : at(static_cast<const char *>(from)), n(size) {}
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

template <class Mutex> struct table {
    Mutex mutex;
    map records;
    table(std::size_t keys, segment::segment_manager *manager)
        : records(keys, hasher(), equal(), map_allocator(manager))
    {
        records.reserve(keys);
    }
};

struct no_table : std::runtime_error {
    no_table() : std::runtime_error("the segment holds no table") {}
};

/* The map as one process has it open.  Sharing: the lock that readers take. */
template <class Mutex, template <class> class Sharing> class handle_of
{
  public:
    using sharing = Sharing<Mutex>;
    using alone = bip::scoped_lock<Mutex>;

    /* A new one, empty, with room for so many keys.  The file is sparse; only what is touched takes memory. */
    handle_of(bip::create_only_t, const char *name, std::size_t segment_bytes, std::size_t keys)
        : memory(bip::create_only, name, segment_bytes),
          shared(memory.construct<table<Mutex>>("table")(keys, memory.get_segment_manager())),
          chars(memory.get_segment_manager())
    {
    }

    /* The one of that name; no_table where its making was not finished. */
    handle_of(bip::open_only_t, const char *name)
        : memory(bip::open_only, name), shared(memory.find<table<Mutex>>("table").first), chars(memory.get_segment_manager())
    {
        if (!shared)
            throw no_table();
    }

    Mutex &mutex() const { return shared->mutex; }

    /* Copy the value; false = missing.  The caller holds the lock. */
    bool read(const view &key, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes) const
    {
        const map &records = shared->records;
        auto found = records.find(key, hasher(), equal());
        if (found == records.end())
            return false;
        const bytes &value = found->second;
        if (value.size() > buf_bytes)
            throw std::length_error("a value of " + std::to_string(value.size()) + " bytes");
        std::memcpy(buf, value.data(), value.size());
        *ret_bytes = value.size();
        return true;
    }

    bool get(const view &key, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes) const
    {
        sharing lock(mutex());
        return read(key, buf, buf_bytes, ret_bytes);
    }

    /* False = it is there already, and nothing changed. */
    bool insert(const view &key, const view &value)
    {
        alone lock(mutex());
        if (shared->records.find(key, hasher(), equal()) != shared->records.end())
            return false;
        add(key, value);
        return true;
    }

    void put(const view &key, const view &value)
    {
        alone lock(mutex());
        auto found = shared->records.find(key, hasher(), equal());
        if (found != shared->records.end())
            found->second.assign(value.at, value.n);
        else
            add(key, value);
    }

    /* False = it was not there. */
    bool del(const view &key)
    {
        alone lock(mutex());
        auto found = shared->records.find(key, hasher(), equal());
        if (found == shared->records.end())
            return false;
        shared->records.erase(found);
        return true;
    }

    /* Of the segment's allocator. */
    bool is_sane()
    {
        sharing lock(mutex());
        return memory.check_sanity();
    }

  private:
    void add(const view &key, const view &value)
    {
        shared->records.emplace(std::piecewise_construct, std::forward_as_tuple(key.at, key.n, chars),
                                std::forward_as_tuple(value.at, value.n, chars));
    }

    segment memory;
    table<Mutex> *shared;
    allocator<char> chars;
};

using handle = handle_of<bip::interprocess_sharable_mutex, bip::sharable_lock>;
using exclusive_handle = handle_of<bip::interprocess_mutex, bip::scoped_lock>;

} // namespace boost_map

#endif
