/* SPDX-License-Identifier: MIT
 *
 * The maps of tests/baselines under a robust mutex and under a rwlock, as drivers.  They have room for SYSTEM_ROOM records.
 */
#include "locked.h"

#include "baselines/system.h"

/* Recoveries of dead owners are counted by the test, not here. */
static uint32_t recoveries;

static int open_system(const struct system *system, const struct driver_setup *setup, void *host, void **ret_handle)
{
    const struct system_setup of = { setup->name, &recoveries };
    *ret_handle = (void *)system; /* of the host, which only makes it */
    const int code = host ? system->open(&of, ret_handle) : system->create(&of);
    return code == 0 ? DRIVER_OK : driver_fail("%s: %d", host ? "open" : "create", code);
}

static int answer(int code) { return code >= 0 ? code : driver_fail("code %d", code); }

static void no_close(void *handle) { (void)handle; }

#define DRIVER_OF(lock, text)                                                                                          \
    static int lock##_open(const struct driver_setup *setup, void *host, void **ret_handle)                            \
    {                                                                                                                  \
        return open_system(&system_##lock, setup, host, ret_handle);                                                   \
    }                                                                                                                  \
    static void lock##_unlink(const struct driver_setup *setup)                                                        \
    {                                                                                                                  \
        const struct system_setup of = { setup->name, &recoveries };                                                   \
        system_##lock.unlink(&of);                                                                                     \
    }                                                                                                                  \
    static int lock##_get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes,                \
                          size_t *ret_bytes)                                                                           \
    {                                                                                                                  \
        return answer(system_##lock.get(handle, key, key_bytes, buf, buf_bytes, ret_bytes));                           \
    }                                                                                                                  \
    static int lock##_put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)      \
    {                                                                                                                  \
        return answer(system_##lock.put(handle, key, key_bytes, value, value_bytes));                                  \
    }                                                                                                                  \
    const struct driver driver_##lock = {                                                                              \
        .name = #lock,                                                                                                 \
        .settings = text,                                                                                              \
        .open = lock##_open,                                                                                           \
        .close = no_close,                                                                                             \
        .unlink = lock##_unlink,                                                                                       \
        .get = lock##_get,                                                                                             \
        .put = lock##_put,                                                                                             \
    }

DRIVER_OF(robust_mutex, "one robust process-shared pthread_mutex_t over a chained map");
DRIVER_OF(rwlock, "one process-shared pthread_rwlock_t over a chained map, gets share it");
