/* SPDX-License-Identifier: MIT
 *
 * growt: linear probing over pairs of words (Maier, Sanders, Dementiev, PPoPP 2016), the variant that grows and deletes.  As
 * with CLHT, the key is XXH3 of the byte string, the value points to a record that a put writes over where it lies, and there
 * is one writer a key and no reader beside it (driver.h: owner).
 */
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <allocator/alignedallocator.hpp>
#include <data-structures/hash_table_mods.hpp>
#include <data-structures/table_config.hpp>

#include "guard.hpp"
#include "peers.h"

namespace
{

struct record {
    std::uint32_t value_bytes;
    char value[];
};

/* The key is a hash already; places are taken from the top bits. */
struct as_it_is {
    static constexpr std::string_view name = "as it is";
    static constexpr std::size_t significant_digits = 64;
    std::uint64_t operator()(std::uint64_t key) const { return key << 2; }
};

using table = growt::table_config<std::uint64_t, std::uint64_t, as_it_is, growt::AlignedAllocator<>, hmod::growable,
                                  hmod::deletion>::table_type;

struct handle {
    table *shared = nullptr;
    std::unique_ptr<table::handle_type> own; /* a worker's */
};

/* The top bit is the table's mark, and the smallest words have a meaning to it. */
std::uint64_t word_of(const void *key, std::size_t key_bytes)
{
    const std::uint64_t hash = XXH3_64bits(key, key_bytes) >> 2;
    return hash > 8 ? hash : hash + 8;
}

unsigned owner(const driver_setup *setup, const void *key, std::size_t key_bytes)
{
    return static_cast<unsigned>((word_of(key, key_bytes) & 0xffffffffu) * setup->workers >> 32);
}

int open_it(const driver_setup *setup, void *host, void **ret_handle)
{
    return guarded([&] {
        auto made = std::make_unique<handle>();
        made->shared = host ? static_cast<handle *>(host)->shared : new table(setup->keys);
        if (host)
            made->own = std::make_unique<table::handle_type>(made->shared->get_handle());
        *ret_handle = made.release();
        return DRIVER_OK;
    });
}

/* The table goes with its process. */
void close_it(void *at) { delete static_cast<handle *>(at); }

record *find(void *at, const void *key, std::size_t key_bytes)
{
    auto &own = *static_cast<handle *>(at)->own;
    auto found = own.find(word_of(key, key_bytes));
    return found == own.end() ? nullptr : reinterpret_cast<record *>(static_cast<std::uint64_t>((*found).second));
}

record *record_make(const void *value, std::size_t value_bytes)
{
    auto *made = static_cast<record *>(std::malloc(sizeof(record) + value_bytes));
    if (!made)
        throw std::bad_alloc();
    made->value_bytes = static_cast<std::uint32_t>(value_bytes);
    std::memcpy(made->value, value, value_bytes);
    return made;
}

int insert(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    return guarded([&] {
        record *made = record_make(value, value_bytes);
        auto &own = *static_cast<handle *>(at)->own;
        if (own.insert(word_of(key, key_bytes), reinterpret_cast<std::uint64_t>(made)).second)
            return DRIVER_OK;
        std::free(made);
        return DRIVER_EXISTS;
    });
}

int get(void *at, const void *key, std::size_t key_bytes, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    return guarded([&] {
        const record *found = find(at, key, key_bytes);
        if (!found)
            return static_cast<int>(DRIVER_MISSING);
        if (found->value_bytes > buf_bytes)
            return driver_fail("a value of %u bytes", found->value_bytes);
        std::memcpy(buf, found->value, found->value_bytes);
        *ret_bytes = found->value_bytes;
        return static_cast<int>(DRIVER_OK);
    });
}

int del(void *at, const void *key, std::size_t key_bytes)
{
    return guarded([&] {
        record *found = find(at, key, key_bytes);
        if (!found || !static_cast<handle *>(at)->own->erase(word_of(key, key_bytes)))
            return DRIVER_MISSING;
        std::free(found);
        return DRIVER_OK;
    });
}

int put(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    record *found = find(at, key, key_bytes);
    if (found && found->value_bytes == value_bytes) {
        std::memcpy(found->value, value, value_bytes);
        return DRIVER_OK;
    }
    if (found)
        (void)del(at, key, key_bytes);
    return insert(at, key, key_bytes, value, value_bytes);
}

} // namespace

const struct driver driver_growt = {
    "growt",
    "growable, deletion; room for all keys, XXH3 as the key, values overwritten in place by one writer a key, glibc malloc; "
    "batches are single gets",
    DRIVER_THREADS,
    DRIVER_UNSAFE,
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
    owner,
};
