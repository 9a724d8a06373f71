/* SPDX-License-Identifier: MIT
 *
 * The list, and the subject that shares nothing.
 */
#include "subjects.h"

#include <string.h>

#include "../keyset.h"
#include "../peers/peers.h"
#include "locked.h"

/* -- Nothing ----------------------------------------------------------------------------------- */

static int nothing_open(const struct driver_setup *setup, void *host, void **ret_handle)
{
    (void)host;
    *ret_handle = (void *)(uintptr_t)setup;
    return DRIVER_OK;
}

static void nothing_close(void *handle) { (void)handle; }

static int nothing_get(void *handle, const void *key, size_t key_bytes, void *buf, size_t buf_bytes, size_t *ret_bytes)
{
    const struct driver_setup *setup = handle;
    (void)key_bytes;
    (void)buf_bytes;
    keyset_value(key, 1, buf, setup->value_bytes);
    *ret_bytes = setup->value_bytes;
    return DRIVER_OK;
}

static int nothing_put(void *handle, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    (void)handle;
    (void)key;
    (void)key_bytes;
    (void)value;
    (void)value_bytes;
    return DRIVER_OK;
}

static const struct driver driver_nothing = {
    .name = "nothing",
    .settings = "no table; values are made in the process",
    .open = nothing_open,
    .close = nothing_close,
    .get = nothing_get,
    .put = nothing_put,
};

/* -- The list ---------------------------------------------------------------------------------- */

#ifdef PEER_LMDB
#include "lib/lmdb_map.h"

/* Slots of dead readers hold old pages back. */
static int lmdb_recover(void *handle)
{
    int dead = 0;
    return mdb_reader_check(((struct lmdb_map *)handle)->env, &dead);
}
#endif

const struct subject subjects[] = {
    { &driver_nothing, NULL },
    { &driver_shoal, NULL },
#ifdef PEER_XXHASH
    { &driver_robust_mutex, NULL },
    { &driver_rwlock, NULL },
#endif
#ifdef PEER_BOOST
    { &driver_boost_mutex, NULL },
    { &driver_boost_interprocess, NULL },
#endif
#ifdef PEER_LMDB
    { &driver_lmdb, lmdb_recover },
#endif
    { NULL, NULL },
};
