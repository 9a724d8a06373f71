/* SPDX-License-Identifier: MIT
 *
 * Roots that are kept as they are, copies of them, and stores made from copies (store.h).
 *
 * A backup is a directory with one file, `pages`, whose only meta says META_BACKUP: nobody writes to it but by another
 * backup of the same store.  While it is not whole its file is called `pages.part`, so nobody can open it.
 *
 *   1 `pages`, if it is there, becomes `pages.part`; the directory is flushed          dies here: unfinished
 *   2 the first meta says whose it will be, and that nothing counts; flushed           dies here: unfinished
 *   3 pages, those that differ; flushed                                                dies here: unfinished, gone on with
 *   4 the meta; flushed                                                                dies here: likewise
 *   5 every page of it is checked
 *   6 `pages.part` becomes `pages`; the directory is flushed                           dies here: whole, or unfinished
 *
 * Who does so has the file locked, before he gives it the other name: a second one is refused, and changes nothing.
 *
 * A restored store keeps the first half of its id, which is in the head of each page, and gets another second half: so a
 * map that was made for the older store does not take it for that one, and neither does a backup of that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "store/copy.h"

#define LOCK_MS 10000
#define PART_LOCK_BYTE 0

/* -- Pins ---------------------------------------------------------------------------------------- */

struct store_pin {
    struct store *store;
    struct page_meta meta;
    unsigned slot;
};

int store_pin(struct store *store, struct store_pin **ret_pin)
{
    if (store->changed || store->broken != SHOAL_OK)
        return error_set(SHOAL_EINVAL, "%s: changes that are not published cannot be pinned", store->name);
    struct store_pin *pin = malloc(sizeof *pin);
    if (pin == NULL)
        return error_os("%s: memory for a pin", store->name);
    *pin = (struct store_pin){ .store = store, .meta = store->meta };
    int why = board_pin(&store->board, store->meta.head.txn, &pin->slot);
    if (why != 0) {
        free(pin);
        return why == EBUSY ? error_set(SHOAL_EFULL, "%s: %u backups are being made of it already", store->name, BOARD_PINS)
                            : pager_failed(&store->pager, "a pin in its lock file", why);
    }
    *ret_pin = pin;
    return SHOAL_OK;
}

void store_unpin(struct store_pin *pin)
{
    if (pin == NULL)
        return;
    board_unpin(&pin->store->board, pin->slot);
    free(pin);
}

/* What cannot be read may have been written over by who knows of no pin. */
static int pin_judge(const struct store_pin *pin, int rc)
{
    if (rc >= 0 || board_is_pinned(&pin->store->board, pin->slot, pin->meta.head.txn))
        return rc;
    return error_set(SHOAL_ESTORE, "%s: its lock file was deleted while it was copied", pin->store->name);
}

int store_pin_check(struct store_pin *pin)
{
    struct page_meta meta;
    return pin_judge(pin, copy_root(&(struct copy_asked){ .from = pin->store, .meta = &pin->meta }, &meta));
}

/* -- The other side ------------------------------------------------------------------------------ */

static int failed(const struct store *to, const char *what, int why) { return pager_failed(&to->pager, what, why); }

/* Behind a failed flush the kernel may say that all of it is there, and have dropped what it could not write; whoever goes
 * on would compare with that, and find nothing to write.  So he must begin anew. */
static int flush(const struct store *to)
{
    int why = file_flush(to->file);
    if (why == 0)
        return SHOAL_OK;
    (void)file_resize(to->file, 0);
    return failed(to, "flush", why);
}

/* The other two places get their pages too, and forget what was there. */
static int meta_put(struct store *to, const struct page_meta *meta, unsigned flags)
{
    struct page_meta pages[META_PAGES];
    memset(pages, 0, sizeof pages);
    pages[0] = *meta;
    pages[0].flags = flags;
    memcpy(pages[0].id, to->id, sizeof pages[0].id);
    page_seal(&to->pager, &pages[0], PAGE_META, (struct page_ref){ 0, meta->head.txn });
    int rc = pager_write(&to->pager, 0, pages, sizeof pages);
    return rc == SHOAL_OK ? flush(to) : rc;
}

struct first_fault {
    bool is;
    struct store_fault fault;
};

static void keep_first(void *arg, const struct store_fault *fault)
{
    struct first_fault *first = arg;
    if (!first->is)
        *first = (struct first_fault){ true, *fault };
}

static int check(struct store *store)
{
    struct first_fault first = { .is = false };
    uint64_t n;
    int rc = store_check(store, keep_first, &first, &n);
    if (!first.is)
        return rc;
    return error_set(SHOAL_ECORRUPT, "%s, page %llu: %s (%llu faults)", store->name, (unsigned long long)first.fault.page,
                     first.fault.text, (unsigned long long)n);
}

/* From 3 on: what the root leads to, the meta, a look at all of it, the name. */
static int copy_and_name(const struct copy_asked *asked, unsigned flags, const char *draft)
{
    struct page_meta meta;
    struct store *to = asked->to;
    bool lost;
    int rc = copy_root(asked, &meta);
    if (rc == SHOAL_OK)
        rc = flush(to);
    if (rc == SHOAL_OK)
        rc = meta_put(to, &meta, META_FLUSHED | flags);
    if (rc == SHOAL_OK)
        rc = check(to);
    int why = rc == SHOAL_OK ? file_rename(to->dir, draft, PAGES_NAME) : 0;
    if (rc == SHOAL_OK && why == 0)
        return names_flush(to, &lost);
    return why == 0 ? rc : failed(to, "name it", why);
}

/* A handle without files; `id` is the first one's, or zeros. */
static int side_make(const char *directory, struct store **ret_store)
{
    *ret_store = store_alloc(directory, false);
    if (*ret_store == NULL)
        return error_os("%s: memory for a store", directory);
    int why = file_open_directory(directory, true, &(*ret_store)->dir);
    return why == 0 ? SHOAL_OK : failed(*ret_store, "open its directory", why);
}

static void side_know(struct store *to, const struct store *from)
{
    memcpy(to->id, from->id, sizeof to->id);
    memcpy(to->boot, from->boot, sizeof to->boot);
    to->pager.file = to->file;
    to->pager.store = from->pager.store;
    to->seed = from->seed;
}

/* -- Backup -------------------------------------------------------------------------------------- */

static bool is_named(const struct store *to, const char *name)
{
    int file;
    if (file_open(to->dir, name, false, &file) != 0)
        return false;
    bool is = os_is_file(file, os_file_of(to->file));
    file_close(file);
    return is;
}

static int part_lock(const struct store *to, const char *name)
{
    if (os_lock(to->file, PART_LOCK_BYTE) == OS_LOCK_TAKEN && is_named(to, name))
        return SHOAL_OK;
    return error_set(SHOAL_ESTORE, "%s: another backup is being made there", to->name);
}

/* Is it one of this store?  Whoever it is, its first meta says so; a file without a sound one is an unfinished beginning. */
static int part_judge(const struct store *to, bool whole)
{
    struct page_meta meta;
    size_t got;
    int why = file_read(to->file, &meta, sizeof meta, 0, &got);
    if (why != 0)
        return failed(to, "read", why);
    bool sound = got == sizeof meta && meta.head.magic == PAGE_MAGIC && meta.head.kind == PAGE_META &&
                 meta.head.sum == page_sum(&meta);
    if (whole && !(sound && (meta.flags & META_BACKUP) != 0))
        return error_set(SHOAL_ESTORE, "%s: is a store, or damaged, and no backup", to->name);
    if (sound && memcmp(meta.id, to->id, sizeof meta.id) != 0)
        return error_set(SHOAL_ESTORE, "%s: is a backup of another store", to->name);
    return SHOAL_OK;
}

/* Step 1, upon a whole backup. */
static int part_of_whole(struct store *to)
{
    int rc = part_judge(to, true);
    if (rc == SHOAL_OK)
        rc = part_lock(to, PAGES_NAME);
    if (rc != SHOAL_OK)
        return rc;
    int why = file_rename(to->dir, PAGES_NAME, PART_NAME);
    return why == 0 ? SHOAL_OK : failed(to, "name it as unfinished", why);
}

static int part_open(struct store *to, const struct store *from)
{
    bool lost;
    int why = file_open(to->dir, PAGES_NAME, true, &to->file);
    bool whole = why == 0;
    if (why == ENOENT)
        why = file_open_or_make(to->dir, PART_NAME, &to->file);
    if (why != 0)
        return failed(to, "open", why);
    side_know(to, from);
    int rc = whole ? part_of_whole(to) : part_lock(to, PART_NAME);
    if (rc == SHOAL_OK && !whole)
        rc = part_judge(to, false);
    return rc == SHOAL_OK ? names_flush(to, &lost) : rc;
}

static int backup(struct store_pin *pin, const char *directory, shoal_progress_fn *progress, void *arg)
{
    struct store *to;
    struct page_meta nothing = pin->meta;
    memset(nothing.boot, 0, sizeof nothing.boot);
    int rc = side_make(directory, &to);
    if (rc == SHOAL_OK)
        rc = part_open(to, pin->store);
    if (rc == SHOAL_OK)
        rc = meta_put(to, &nothing, META_BACKUP);
    if (rc == SHOAL_OK)
        rc = copy_and_name(&(struct copy_asked){ pin->store, &pin->meta, to, progress, arg }, META_BACKUP, PART_NAME);
    if (to != NULL)
        store_close(to);
    return rc;
}

int store_backup(struct store *store, const char *directory, shoal_progress_fn *progress, void *arg)
{
    struct store_pin *pin = NULL;
    int rc = store_lock(store, LOCK_MS);
    if (rc != SHOAL_OK)
        return rc;
    rc = store_commit(store);
    if (rc == SHOAL_OK)
        rc = store_pin(store, &pin);
    store_unlock(store);
    if (rc == SHOAL_OK)
        rc = pin_judge(pin, backup(pin, directory, progress, arg));
    store_unpin(pin);
    return rc;
}

/* -- Restore ------------------------------------------------------------------------------------- */

/* Under the lock of the new directory, so a draft that is there is a dead one's. */
static int restore_locked(struct store *from, const struct page_meta *meta, struct store *to, shoal_progress_fn *progress,
                          void *arg)
{
    int why = file_open(to->dir, PAGES_NAME, false, &to->file);
    if (why == 0)
        return error_set(SHOAL_ESTORE, "%s: is there already", to->name);
    if (why == ENOENT)
        why = file_make(to->dir, DRAFT_NAME, &to->file);
    if (why != 0)
        return failed(to, "make", why);
    side_know(to, from);
    os_random(to->id + STORE_ID_BYTES / 2, STORE_ID_BYTES / 2);
    return copy_and_name(&(struct copy_asked){ from, meta, to, progress, arg }, 0, DRAFT_NAME);
}

static int restore(struct store *from, const char *directory, shoal_progress_fn *progress, void *arg)
{
    struct store *to;
    struct page_meta meta;
    int rc = meta_current(from, &meta);
    if (rc == SHOAL_OK && (meta.flags & META_BACKUP) == 0)
        rc = error_set(SHOAL_ESTORE, "%s: is no backup", from->name);
    if (rc == SHOAL_OK)
        rc = check(from);
    if (rc == SHOAL_OK)
        rc = side_make(directory, &to);
    else
        return rc;
    int why = rc == SHOAL_OK ? board_open(&to->board, to->dir, true) : 0;
    if (why != 0)
        to->board.pid = 0; /* there is none to be closed */
    if (rc == SHOAL_OK && why == 0)
        why = board_lock(&to->board, LOCK_MS);
    if (rc == SHOAL_OK && why == 0) {
        rc = restore_locked(from, &meta, to, progress, arg);
        board_unlock(&to->board);
    }
    if (why != 0)
        rc = why == ETIMEDOUT ? lock_is_held(to, LOCK_MS, SHOAL_ESTORE) : failed(to, "its lock", why);
    if (to != NULL)
        store_close(to);
    return rc;
}

int store_restore(const char *backup, const char *directory, shoal_progress_fn *progress, void *arg)
{
    struct store *from;
    int rc = store_open(backup, STORE_RDONLY, &from);
    if (rc != SHOAL_OK)
        return rc;
    rc = restore(from, directory, progress, arg);
    store_close(from);
    return rc;
}
