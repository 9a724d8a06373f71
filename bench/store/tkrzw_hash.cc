/* SPDX-License-Identifier: MIT
 *
 * tkrzw's HashDBM: a file of chained buckets, mapped.  It has no transactions; one process has the file at a time.
 * Values go out through a record processor, without a string between.
 */
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include <tkrzw_dbm_hash.h>
#include <tkrzw_file_mmap.h>

#include "peers.h"

namespace
{

struct handle {
    tkrzw::HashDBM dbm{ std::make_unique<tkrzw::MemoryMapParallelFile>() };
    bool open = false;
};

int failed(const char *call, const tkrzw::Status &status)
{
    return driver_fail("%s: %s", call, tkrzw::ToString(status).c_str());
}

/* Buckets for the keys with room to spare; offsets of 4 bytes in units of 8 reach 32 GiB. */
tkrzw::HashDBM::TuningParameters tuning(const driver_setup *setup)
{
    tkrzw::HashDBM::TuningParameters tuning;
    tuning.update_mode = tkrzw::HashDBM::UPDATE_IN_PLACE;
    tuning.record_crc_mode = tkrzw::HashDBM::RECORD_CRC_NONE;
    tuning.offset_width = 4;
    tuning.align_pow = 3;
    tuning.num_buckets = static_cast<int64_t>(setup->keys * 2);
    tuning.fbp_capacity = 2048;
    tuning.restore_mode = tkrzw::HashDBM::RESTORE_DEFAULT;
    return tuning;
}

void close_it(void *at)
{
    handle *own = static_cast<handle *>(at);
    if (own->open)
        own->dbm.Close();
    delete own;
}

/* The host only makes the file. */
int open_it(const driver_setup *setup, void *host, void **ret_handle)
{
    auto own = std::make_unique<handle>();
    const tkrzw::Status status =
        own->dbm.OpenAdvanced(setup->path, true, host ? 0 : tkrzw::File::OPEN_TRUNCATE, tuning(setup));
    if (status != tkrzw::Status::SUCCESS)
        return failed("HashDBM::OpenAdvanced", status);
    own->open = true;
    if (!host) {
        own->open = false;
        own->dbm.Close();
    }
    *ret_handle = own.release();
    return DRIVER_OK;
}

void unlink_it(const driver_setup *setup) { unlink(setup->path); }

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
    copier out;
    out.buf = buf;
    out.room = buf_bytes;
    const tkrzw::Status status = static_cast<handle *>(at)->dbm.Process(view(key, key_bytes), &out, false);
    if (status != tkrzw::Status::SUCCESS)
        return failed("HashDBM::Process", status);
    *ret_bytes = out.bytes;
    return out.found ? DRIVER_OK : DRIVER_MISSING;
}

int set(void *at, const void *key, std::size_t key_bytes, const void *value, std::size_t value_bytes, bool overwrite)
{
    const tkrzw::Status status =
        static_cast<handle *>(at)->dbm.Set(view(key, key_bytes), view(value, value_bytes), overwrite);
    if (status == tkrzw::Status::DUPLICATION_ERROR)
        return DRIVER_EXISTS;
    return status == tkrzw::Status::SUCCESS ? DRIVER_OK : failed("HashDBM::Set", status);
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
    const tkrzw::Status status = static_cast<handle *>(at)->dbm.Remove(view(key, key_bytes));
    if (status == tkrzw::Status::NOT_FOUND_ERROR)
        return DRIVER_MISSING;
    return status == tkrzw::Status::SUCCESS ? DRIVER_OK : failed("HashDBM::Remove", status);
}

int sync_it(void *at)
{
    const tkrzw::Status status = static_cast<handle *>(at)->dbm.Synchronize(true);
    return status == tkrzw::Status::SUCCESS ? DRIVER_OK : failed("HashDBM::Synchronize", status);
}

} // namespace

const struct driver driver_tkrzw = {
    "tkrzw_hash",
    "HashDBM on MemoryMapParallelFile, UPDATE_IN_PLACE, 2 buckets a key, no CRC, offsets of 4 bytes in units of 8; "
    "sync = Synchronize(hard)",
    DRIVER_PROCESSES,
    DRIVER_ON_DISK,
    DRIVER_MEMORY_FILE,
    open_it,
    close_it,
    unlink_it,
    insert,
    get,
    nullptr,
    put,
    del,
    nullptr,
    sync_it,
    nullptr,
};
