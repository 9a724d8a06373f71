/* SPDX-License-Identifier: MIT
 *
 * Boost.Interprocess: the map of tests/lib/boost_map.hpp, which says what its settings are, under a sharable mutex and under a
 * plain one.
 */
#include "lib/boost_map.hpp"
#include "guard.hpp"
#include "peers.h"

namespace bip = boost::interprocess;

namespace
{

std::size_t segment_bytes(const driver_setup *setup)
{
    return setup->keys * (setup->key_bytes + setup->value_bytes + 256) * 2 + (64u << 20);
}

template <class Handle> int open_it(const driver_setup *setup, void *host, void **ret_handle)
{
    return guarded([&] {
        *ret_handle = host ? new Handle(bip::open_only, setup->name)
                           : new Handle(bip::create_only, setup->name, segment_bytes(setup), setup->keys);
        return DRIVER_OK;
    });
}

template <class Handle> void close_it(void *at) { delete static_cast<Handle *>(at); }

void unlink_it(const driver_setup *setup) { bip::shared_memory_object::remove(setup->name); }

template <class Handle>
int get(void *at, const void *key, std::size_t key_bytes, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    Handle *own = static_cast<Handle *>(at);
    return guarded(
        [&] { return own->get({ key, key_bytes }, buf, buf_bytes, ret_bytes) ? DRIVER_OK : DRIVER_MISSING; });
}

template <class Handle>
int get_many(void *at, const driver_key *keys, std::size_t n, driver_result *results)
{
    Handle *own = static_cast<Handle *>(at);
    return guarded([&] {
        typename Handle::sharing lock(own->mutex());
        for (std::size_t i = 0; i < n; i++) {
            driver_result *one = &results[i];
            one->code = own->read({ keys[i].key, keys[i].bytes }, one->buf, one->buf_bytes, &one->bytes)
                            ? DRIVER_OK
                            : DRIVER_MISSING;
        }
        return DRIVER_OK;
    });
}

template <class Handle>
int insert(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    Handle *own = static_cast<Handle *>(at);
    return guarded(
        [&] { return own->insert({ key, key_bytes }, { value, value_bytes }) ? DRIVER_OK : DRIVER_EXISTS; });
}

template <class Handle>
int put(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    Handle *own = static_cast<Handle *>(at);
    return guarded([&] {
        own->put({ key, key_bytes }, { value, value_bytes });
        return DRIVER_OK;
    });
}

template <class Handle>
int del(void *at, const void *key, std::size_t key_bytes)
{
    Handle *own = static_cast<Handle *>(at);
    return guarded([&] { return own->del({ key, key_bytes }) ? DRIVER_OK : DRIVER_MISSING; });
}

} // namespace

#define CALLS_OF(Handle)                                                                                               \
    open_it<Handle>, close_it<Handle>, unlink_it, insert<Handle>, get<Handle>, get_many<Handle>, put<Handle>, del<Handle>, \
        nullptr, nullptr, nullptr

const struct driver driver_boost_interprocess = {
    "boost_interprocess",
    "managed_shared_memory, unordered_map reserved, one interprocess_sharable_mutex, XXH3, no allocator mutex",
    DRIVER_PROCESSES,
    DRIVER_MULTI_PROCESS,
    DRIVER_MEMORY_FILE,
    CALLS_OF(boost_map::handle),
};

const struct driver driver_boost_mutex = {
    "boost_mutex",
    "managed_shared_memory, unordered_map reserved, one interprocess_mutex, XXH3, no allocator mutex",
    DRIVER_PROCESSES,
    DRIVER_MULTI_PROCESS,
    DRIVER_MEMORY_FILE,
    CALLS_OF(boost_map::exclusive_handle),
};
