/* SPDX-License-Identifier: MIT
 *
 * Three tables of tkrzw behind one interface: HashDBM, a mapped file of chained buckets, here on tmpfs; TinyDBM, chained
 * buckets in memory; CacheDBM, the same with an order of last use.  Threads of one process share them.
 *
 * Values go out through a record processor, without a string between.
 */
#include <cstring>
#include <memory>
#include <string_view>
#include <unistd.h>

#include <tkrzw_dbm_cache.h>
#include <tkrzw_dbm_hash.h>
#include <tkrzw_dbm_tiny.h>
#include <tkrzw_file_mmap.h>

#include "guard.hpp"
#include "peers.h"

namespace
{

int failed(const char *call, const tkrzw::Status &status)
{
    return driver_fail("%s: %s", call, tkrzw::ToString(status).c_str());
}

/* Workers are threads: they use the host's. */
template <class Make> int open_with(void *host, void **ret_handle, Make &&make)
{
    return guarded([&] {
        if (host) {
            *ret_handle = host;
            return static_cast<int>(DRIVER_OK);
        }
        tkrzw::DBM *made = nullptr;
        const tkrzw::Status status = make(made);
        *ret_handle = made;
        return status == tkrzw::Status::SUCCESS ? DRIVER_OK : failed("open", status);
    });
}

/* Offsets of 4 bytes in units of 8 reach 32 GiB. */
int open_hash(const driver_setup *setup, void *host, void **ret_handle)
{
    return open_with(host, ret_handle, [&](tkrzw::DBM *&made) {
        tkrzw::HashDBM::TuningParameters tuning;
        tuning.update_mode = tkrzw::HashDBM::UPDATE_IN_PLACE;
        tuning.record_crc_mode = tkrzw::HashDBM::RECORD_CRC_NONE;
        tuning.offset_width = 4;
        tuning.align_pow = 3;
        tuning.num_buckets = static_cast<int64_t>(setup->keys * 2);
        tuning.fbp_capacity = 2048;
        auto *table = new tkrzw::HashDBM(std::make_unique<tkrzw::MemoryMapParallelFile>());
        made = table;
        return table->OpenAdvanced(setup->path, true, tkrzw::File::OPEN_TRUNCATE, tuning);
    });
}

int open_tiny(const driver_setup *setup, void *host, void **ret_handle)
{
    return open_with(host, ret_handle, [&](tkrzw::DBM *&made) {
        made = new tkrzw::TinyDBM(static_cast<int64_t>(setup->keys * 2));
        return tkrzw::Status(tkrzw::Status::SUCCESS);
    });
}

/* Room for twice as many as are put in, because each of its 32 shards drops what is over its own part. */
int open_cache(const driver_setup *setup, void *host, void **ret_handle)
{
    return open_with(host, ret_handle, [&](tkrzw::DBM *&made) {
        const auto records = static_cast<int64_t>(setup->keys * 2 + 10000);
        made = new tkrzw::CacheDBM(
            records, static_cast<int64_t>(setup->key_bytes + setup->value_bytes + 256) * records * 2 + (1 << 28));
        return tkrzw::Status(tkrzw::Status::SUCCESS);
    });
}

/* What is in memory goes with its process; the file is removed. */
void close_it(void *) {}

void unlink_it(const driver_setup *setup) { unlink(setup->path); }

tkrzw::DBM *dbm(void *at) { return static_cast<tkrzw::DBM *>(at); }

std::string_view view(const void *at, std::size_t bytes) { return { static_cast<const char *>(at), bytes }; }

class copier final : public tkrzw::DBM::RecordProcessor
{
  public:
    void *buf = nullptr;
    std::size_t room = 0, bytes = 0;
    bool found = false;
    std::string_view ProcessFull(std::string_view, std::string_view value) override
    {
        found = true;
        bytes = value.size();
        if (bytes <= room)
            std::memcpy(buf, value.data(), bytes);
        return NOOP;
    }
};

int get(void *at, const void *key, std::size_t key_bytes, void *buf, std::size_t buf_bytes, std::size_t *ret_bytes)
{
    return guarded([&] {
        copier out;
        out.buf = buf;
        out.room = buf_bytes;
        const tkrzw::Status status = dbm(at)->Process(view(key, key_bytes), &out, false);
        if (status != tkrzw::Status::SUCCESS)
            return failed("Process", status);
        *ret_bytes = out.bytes;
        return out.found ? static_cast<int>(DRIVER_OK) : static_cast<int>(DRIVER_MISSING);
    });
}

int set(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes, bool overwrite)
{
    return guarded([&] {
        const tkrzw::Status status = dbm(at)->Set(view(key, key_bytes), view(value, value_bytes), overwrite);
        if (status == tkrzw::Status::DUPLICATION_ERROR)
            return static_cast<int>(DRIVER_EXISTS);
        return status == tkrzw::Status::SUCCESS ? DRIVER_OK : failed("Set", status);
    });
}

int insert(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    return set(at, key, key_bytes, value, value_bytes, false);
}

int put(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes)
{
    return set(at, key, key_bytes, value, value_bytes, true);
}

int del(void *at, const void *key, std::size_t key_bytes)
{
    return guarded([&] {
        const tkrzw::Status status = dbm(at)->Remove(view(key, key_bytes));
        if (status == tkrzw::Status::NOT_FOUND_ERROR)
            return static_cast<int>(DRIVER_MISSING);
        return status == tkrzw::Status::SUCCESS ? DRIVER_OK : failed("Remove", status);
    });
}

} // namespace

#define SAME_CALLS insert, get, nullptr, put, del, nullptr, nullptr, nullptr

const struct driver driver_tkrzw_hash = {
    "tkrzw_hash",
    "HashDBM on MemoryMapParallelFile on tmpfs, UPDATE_IN_PLACE, 2 buckets a key, no CRC, offsets of 4 bytes in units of "
    "8; batches are single gets",
    DRIVER_THREADS,
    DRIVER_SAME_CONTRACT,
    DRIVER_MEMORY_FILE,
    open_hash,
    close_it,
    unlink_it,
    SAME_CALLS,
};

const struct driver driver_tkrzw_tiny = {
    "tkrzw_tiny",
    "TinyDBM, 2 buckets a key; batches are single gets",
    DRIVER_THREADS,
    DRIVER_SAME_CONTRACT,
    DRIVER_MEMORY_RSS,
    open_tiny,
    close_it,
    nullptr,
    SAME_CALLS,
};

const struct driver driver_tkrzw_cache = {
    "tkrzw_cache",
    "CacheDBM with room for twice the keys, so that it drops none; batches are single gets",
    DRIVER_THREADS,
    DRIVER_SAME_CONTRACT,
    DRIVER_MEMORY_RSS,
    open_cache,
    close_it,
    nullptr,
    SAME_CALLS,
};
