/* SPDX-License-Identifier: MIT
 *
 * What tables of C++ objects are given to hold: a key that points to its bytes, and an entry that owns key and value.
 *
 * Byte strings of any length need memory of their own; one block for both keeps a look-up to the table's node and the
 * block.  The hash lies beside the pointer, so that keys that differ are hardly ever compared in their blocks.
 */
#ifndef SHOAL_BENCH_RECORD_HPP
#define SHOAL_BENCH_RECORD_HPP

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace held
{

struct slice {
    const char *at;
    std::size_t n;
    std::uint64_t hash;
    slice(const void *key, std::size_t bytes)
        : at(static_cast<const char *>(key)), n(bytes), hash(XXH3_64bits(key, bytes))
    {
    }
    slice(const char *key, const slice &same) : at(key), n(same.n), hash(same.hash) {}
    bool operator==(const slice &other) const
    {
        return hash == other.hash && n == other.n && std::memcmp(at, other.at, n) == 0;
    }
};

struct slice_hash {
    std::size_t operator()(const slice &key) const { return key.hash; }
};

/* Key and value in one block; a value that outgrows its place gets one of its own.  Copies share: the table's is the one
 * that counts, and who takes it out of the table lets go of it. */
template <void *(*Get)(std::size_t), void (*Free)(void *)> struct entry {
    char *block;
    char *value;
    std::size_t value_bytes, room;

    entry(const slice &key, const void *bytes, std::size_t n)
        : block(static_cast<char *>(Get(key.n + n))), value(block + key.n), value_bytes(n), room(n)
    {
        if (!block)
            throw std::bad_alloc();
        std::memcpy(block, key.at, key.n);
        std::memcpy(value, bytes, n);
    }

    slice key(const slice &same) const { return slice(block, same); }

    void assign(const slice &key, const void *bytes, std::size_t n)
    {
        if (n > room) {
            char *larger = static_cast<char *>(Get(n));
            if (!larger)
                throw std::bad_alloc();
            if (value != block + key.n)
                Free(value);
            value = larger;
            room = n;
        }
        value_bytes = n;
        std::memcpy(value, bytes, n);
    }

    bool copy_out(void *buf, std::size_t buf_bytes, std::size_t *ret_bytes) const
    {
        *ret_bytes = value_bytes;
        if (value_bytes > buf_bytes)
            return false;
        std::memcpy(buf, value, value_bytes);
        return true;
    }

    void let_go(const slice &key)
    {
        if (value != block + key.n)
            Free(value);
        Free(block);
    }
};

} // namespace held

#endif
