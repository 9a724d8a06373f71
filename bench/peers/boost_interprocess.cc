/* SPDX-License-Identifier: MIT
 *
 * Boost.Interprocess: the map of tests/lib/boost_map.hpp, which says what its settings are.
 */
#include <exception>

#include "lib/boost_map.hpp"
#include "peers.h"

namespace bip = boost::interprocess;
using boost_map::handle;

namespace
{

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
        *ret_handle = host ? new handle(bip::open_only, setup->name)
                           : new handle(bip::create_only, setup->name, segment_bytes(setup), setup->keys);
        return DRIVER_OK;
    });
}

void close_it(void *at) { delete static_cast<handle *>(at); }

void unlink_it(const driver_setup *setup) { bip::shared_memory_object::remove(setup->name); }

int get(void *at, const void *key, std::size_t key_bytes, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded(
        [&] { return own->get({ key, key_bytes }, buf, buf_bytes, ret_bytes) ? DRIVER_OK : DRIVER_MISSING; });
}

int get_many(void *at, const driver_key *keys, std::size_t n, driver_result *results)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        handle::sharing lock(own->mutex());
        for (std::size_t i = 0; i < n; i++) {
            driver_result *one = &results[i];
            one->code = own->read({ keys[i].key, keys[i].bytes }, one->buf, one->buf_bytes, &one->bytes)
                            ? DRIVER_OK
                            : DRIVER_MISSING;
        }
        return DRIVER_OK;
    });
}

int insert(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded(
        [&] { return own->insert({ key, key_bytes }, { value, value_bytes }) ? DRIVER_OK : DRIVER_EXISTS; });
}

int put(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        own->put({ key, key_bytes }, { value, value_bytes });
        return DRIVER_OK;
    });
}

int del(void *at, const void *key, std::size_t key_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] { return own->del({ key, key_bytes }) ? DRIVER_OK : DRIVER_MISSING; });
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
    nullptr,
    nullptr,
    nullptr,
};
