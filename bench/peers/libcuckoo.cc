/* SPDX-License-Identifier: MIT
 *
 * libcuckoo: cuckoo hashing, two buckets of four a key, striped spin locks (Li et al., EuroSys 2014).
 */
#include <libcuckoo/cuckoohash_map.hh>

#include "guard.hpp"
#include "peers.h"
#include "record.hpp"

namespace
{

using held::slice;
using entry = held::entry<std::malloc, std::free>;
using table = libcuckoo::cuckoohash_map<slice, entry, held::slice_hash, std::equal_to<slice>>;

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
        bool fits = true;
        const bool found = static_cast<table *>(at)->find_fn(slice(key, key_bytes), [&](const entry &one) {
            fits = one.copy_out(buf, buf_bytes, ret_bytes);
        });
        return !found ? DRIVER_MISSING : fits ? DRIVER_OK : driver_fail("a value too long");
    });
}

int insert(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    return guarded([&] {
        const slice wanted(key, key_bytes);
        entry made(wanted, value, value_bytes);
        if (static_cast<table *>(at)->insert(made.key(wanted), made))
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
            if (static_cast<table *>(at)->update_fn(
                    wanted, [&](entry &one) { one.assign(wanted, value, value_bytes); }))
                return DRIVER_OK;
            if (insert(at, key, key_bytes, value, value_bytes) == DRIVER_OK)
                return DRIVER_OK;
        }
    });
}

int del(void *at, const void *key, std::size_t key_bytes)
{
    return guarded([&] {
        const slice wanted(key, key_bytes);
        return static_cast<table *>(at)->erase_fn(wanted,
                                                  [&](entry &one) {
                                                      one.let_go(wanted);
                                                      return true;
                                                  })
                   ? DRIVER_OK
                   : DRIVER_MISSING;
    });
}

} // namespace

const struct driver driver_libcuckoo = {
    "libcuckoo",
    "cuckoohash_map reserved for all keys, XXH3 kept beside each key, values assigned in place, glibc malloc; batches are "
    "single gets",
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
