/* SPDX-License-Identifier: MIT
 *
 * Stores opened, made and closed (store.h).
 */
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/handle.h"

#define OPEN_LOCK_MS 10000

static int os_failed(const char *name, const char *what, int why)
{
    errno = why;
    (void)error_os("%s: %s", name, what);
    return SHOAL_ESTORE;
}

int lock_is_held(const struct store *store, int timeout_ms, int code)
{
    char holder[BOARD_HOLDER_BYTES];
    board_holder(&store->board, holder);
    return error_set(code, "%s: %s writes to it, for more than %d ms", store->name, holder, timeout_ms);
}

static int lock_failed(const struct store *store, int why)
{
    return why == ETIMEDOUT ? lock_is_held(store, OPEN_LOCK_MS, SHOAL_ESTORE) : os_failed(store->name, "its lock", why);
}

/* -- Names ---------------------------------------------------------------------------------------- */

/* A parent that one may not read (EACCES) is not where one made a directory. */
int names_flush(struct store *store, bool *ret_lost)
{
    int parent, why = file_open_directory(store->parent, false, &parent);
    *ret_lost = false;
    if (why != 0 && why != EACCES)
        return os_failed(store->name, "open its directory's parent", why);
    bool there = why == 0;
    why = file_flush_directory(store->dir);
    if (why == 0 && there)
        why = file_flush_directory(parent);
    if (there)
        file_close(parent);
    *ret_lost = why != 0;
    return why == 0 ? SHOAL_OK : os_failed(store->name, "flush its directory", why);
}

/* -- Make ---------------------------------------------------------------------------------------- */

/* A draft gets its name when it is whole and on disk.  The store's lock is held, so a draft that is there is a dead
 * creator's. */
static int make_pages(struct store *store)
{
    int part, why = file_open(store->dir, PART_NAME, false, &part);
    if (why == 0)
        file_close(part);
    if (why != ENOENT)
        return why != 0 ? os_failed(store->name, "look for an unfinished backup", why)
                        : error_set(SHOAL_ESTORE, "%s: an unfinished backup is there: `" PART_NAME "`", store->name);
    os_random(store->id, sizeof store->id);
    os_random(&store->seed, sizeof store->seed);
    memcpy(&store->pager.store, store->id, sizeof store->pager.store);
    why = file_make(store->dir, DRAFT_NAME, &store->file);
    if (why != 0)
        return os_failed(store->name, "make", why);
    store->pager.file = store->file;
    int rc = meta_make_store(store);
    if (rc != SHOAL_OK)
        return rc;
    why = file_flush(store->file);
    if (why == 0)
        why = file_rename(store->dir, DRAFT_NAME, PAGES_NAME);
    bool lost;
    return why == 0 ? names_flush(store, &lost) : os_failed(store->name, "make", why);
}

static int make_or_open(struct store *store)
{
    int why = board_lock(&store->board, OPEN_LOCK_MS);
    if (why != 0)
        return lock_failed(store, why);
    int rc = SHOAL_OK;
    why = file_open(store->dir, PAGES_NAME, true, &store->file);
    if (why == ENOENT)
        rc = make_pages(store);
    else if (why != 0)
        rc = os_failed(store->name, "open", why);
    board_unlock(&store->board);
    return rc;
}

/* -- Open ---------------------------------------------------------------------------------------- */

static int open_files(struct store *store, const char *directory, unsigned flags)
{
    int why = file_open_directory(directory, (flags & STORE_CREATE) != 0, &store->dir);
    if (why != 0)
        return os_failed(directory, "open the store's directory", why);
    why = board_open(&store->board, store->dir, store->writable);
    if (why != 0) {
        store->board.pid = 0; /* there is none to be closed */
        return os_failed(directory, "open the store's lock", why);
    }
    why = file_open(store->dir, PAGES_NAME, store->writable, &store->file);
    if (why == ENOENT && (flags & STORE_CREATE) != 0)
        return make_or_open(store);
    return why == 0 ? SHOAL_OK : os_failed(store->name, "open the store", why);
}

/* Which store it is.  Any of its metas says so. */
static int know(struct store *store)
{
    struct meta_choice choice;
    int why = file_boot(store->boot);
    if (why != 0)
        return os_failed(store->name, "the machine's boot id", why);
    store->pager.file = store->file;
    memset(store->id, 0, sizeof store->id);
    int rc = meta_choose(store, &choice);
    if (rc != SHOAL_OK)
        return rc;
    memcpy(store->id, choice.meta.id, sizeof store->id);
    memcpy(&store->pager.store, store->id, sizeof store->pager.store);
    store->seed = choice.meta.seed;
    store->is_backup = (choice.meta.flags & META_BACKUP) != 0;
    if (store->is_backup && store->writable)
        return error_set(SHOAL_ESTORE, "%s: is a backup: it can be read, and restored to another directory", store->name);
    return SHOAL_OK;
}

static char *path_in(const char *directory, const char *last)
{
    size_t n = strlen(directory) + strlen(last) + 2;
    char *path = malloc(n);
    if (path != NULL)
        (void)snprintf(path, n, "%s/%s", directory, last);
    return path;
}

struct store *store_alloc(const char *directory, bool writable)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return NULL;
    store->name = path_in(directory, PAGES_NAME);
    store->parent = path_in(directory, "..");
    store->pager.name = store->name;
    store->queue.pager = &store->pager;
    store->queue.cache = &store->cache;
    store->dir = store->file = store->bind_file = -1;
    store->writable = writable;
    if (store->name != NULL && store->parent != NULL)
        return store;
    free(store->name);
    free(store->parent);
    free(store);
    return NULL;
}

int store_open(const char *directory, unsigned flags, struct store **ret_store)
{
    *ret_store = NULL;
    if ((flags & ~(unsigned)(STORE_RDONLY | STORE_CREATE)) != 0 || flags == (STORE_RDONLY | STORE_CREATE))
        return error_set(SHOAL_EINVAL, "%s: flags %#x", directory, flags);
    struct store *store = store_alloc(directory, (flags & STORE_RDONLY) == 0);
    if (store == NULL)
        return error_os("%s: memory for a store", directory);
    int rc = file_boot(store->boot) == 0 ? SHOAL_OK : os_failed(store->name, "the machine's boot id", EIO);
    if (rc == SHOAL_OK)
        rc = open_files(store, directory, flags);
    if (rc == SHOAL_OK)
        rc = know(store);
    if (rc != SHOAL_OK)
        store_close(store);
    else
        *ret_store = store;
    return rc;
}

void store_close(struct store *store)
{
    queue_drop(&store->queue);
    if (store->loaded) {
        tree_drop(&store->tree);
        space_drop(&store->space);
    }
    cache_close(&store->cache);
    if (store->board.pid != 0)
        board_close(&store->board);
    file_close(store->bind_file);
    file_close(store->file);
    file_close(store->dir);
    free(store->batch);
    free(store->name);
    free(store->parent);
    free(store);
}

/* -- User ---------------------------------------------------------------------------------------- */

int store_bind(struct store *store, uint64_t user, const char *name)
{
    char other[BOARD_NAME_BYTES + 1];
    if (board_bind_again(&store->board, user, &store->bind_file))
        return SHOAL_OK;
    int why = board_lock(&store->board, OPEN_LOCK_MS);
    if (why != 0)
        return lock_failed(store, why);
    why = board_bind(&store->board, user, name, &store->bind_file);
    if (why == EBUSY)
        board_user(&store->board, other);
    board_unlock(&store->board);
    if (why == EBUSY)
        return error_set(SHOAL_ESTORE, "%s: is in use by the map %s", store->name, other);
    return why == 0 ? SHOAL_OK : os_failed(store->name, "say whose it is", why);
}

bool store_lead(struct store *store, int *io_file) { return board_lead(&store->board, io_file); }

/* -- Stat ---------------------------------------------------------------------------------------- */

const char *store_name(const struct store *store) { return store->name; }

int store_stat(struct store *store, struct store_stat *ret_stat)
{
    struct page_meta meta;
    uint64_t bytes;
    int rc = meta_current(store, &meta);
    if (rc != SHOAL_OK)
        return rc;
    int why = file_size(store->file, &bytes);
    if (why != 0)
        return pager_failed(&store->pager, "its size", why);
    *ret_stat = (struct store_stat){
        .txn = meta.head.txn, .durable_txn = (meta.flags & META_FLUSHED) != 0 ? meta.head.txn : meta.durable_txn,
        .records_n = meta.records_n, .record_bytes = meta.record_bytes, .file_bytes = bytes, .pages_n = meta.pages_end,
        .free_n = meta.free_n, .held_n = meta.held_n, .levels = meta.head.level + 1u,
        .seed = meta.seed, .is_backup = store->is_backup,
    };
    struct board_pins pins;
    board_pins(&store->board, &pins);
    ret_stat->pins_n = pins.n;
    memcpy(ret_stat->id, meta.id, sizeof ret_stat->id);
    memcpy(ret_stat->boot, store->boot, sizeof ret_stat->boot);
    return SHOAL_OK;
}
