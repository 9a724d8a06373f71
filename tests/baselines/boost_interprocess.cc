/* SPDX-License-Identifier: MIT
 *
 * Boost.Interprocess: the map of lib/boost_map.hpp.
 */
#include <boost/version.hpp>

#include <exception>

#include "baselines/system.h"
#include "lib/boost_map.hpp"
#include "shoal/shoal.h"

namespace bip = boost::interprocess;
using boost_map::handle;

namespace
{

/* A node, the value's block and their headers take about 240 bytes a record. */
const std::size_t segment_bytes = 16384 + SYSTEM_ROOM * 256;

/* Nothing may be thrown into the test, which is C. */
template <class F> int guarded(F &&call)
{
    try {
        return call();
    } catch (const bip::bad_alloc &) {
        return SHOAL_EFULL;
    } catch (const boost_map::no_table &) {
        return SHOAL_ECORRUPT;
    } catch (const std::exception &) {
        return SHOAL_EOS;
    }
}

int create(const system_setup *setup)
{
    return guarded([&] {
        handle made(bip::create_only, setup->name, segment_bytes, SYSTEM_ROOM);
        return 0;
    });
}

int open_it(const system_setup *setup, void **ret_handle)
{
    return guarded([&] {
        *ret_handle = new handle(bip::open_only, setup->name);
        return 0;
    });
}

void close_it(void *at) { delete static_cast<handle *>(at); }

void unlink_it(const system_setup *setup) { bip::shared_memory_object::remove(setup->name); }

int get(void *at, const void *key, std::size_t key_bytes, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] { return own->get({ key, key_bytes }, buf, buf_bytes, ret_bytes) ? 0 : SHOAL_MISSING; });
}

int put(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] {
        own->put({ key, key_bytes }, { value, value_bytes });
        return 0;
    });
}

int del(void *at, const void *key, std::size_t key_bytes)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] { return own->del({ key, key_bytes }) ? 0 : SHOAL_MISSING; });
}

int check(void *at)
{
    handle *own = static_cast<handle *>(at);
    return guarded([&] { return own->is_sane() ? 0 : SHOAL_ECORRUPT; });
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
