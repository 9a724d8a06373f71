/* SPDX-License-Identifier: MIT
 *
 * A disk with one store on it (disk.h).
 */
#include "images/disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "lib/fail.h"
#include "lib/random.h"

void disk_drop(struct disk *disk)
{
    for (uint32_t i = 0; i < DISK_FILES_MAX; i++)
        free(disk->file[i].bytes);
    free(disk->pending);
    *disk = (struct disk){ 0 };
}

/* -- One file ---------------------------------------------------------------------------------------- */

static void resize(struct disk_file *file, size_t size)
{
    if (size > file->room) {
        file->room = size + size / 2;
        file->bytes = realloc(file->bytes, file->room);
        require(file->bytes != NULL, "no memory for a file of %zu bytes", size);
    }
    if (size > file->size)
        memset(file->bytes + file->size, 0, size - file->size);
    file->size = size;
}

static void reach(struct disk_file *file, size_t size)
{
    if (size > file->size)
        resize(file, size);
}

static void put(struct disk_file *file, size_t at, const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return;
    reach(file, at + n);
    memcpy(file->bytes + at, bytes, n);
}

static void put_noise(struct disk_file *file, size_t at, size_t n)
{
    reach(file, at + n);
    for (size_t i = 0; i < n; i++)
        file->bytes[at + i] = (uint8_t)(random_mix(at + i / 8) >> i % 8 * 8);
}

static void write_as(struct disk_file *file, const struct log *log, const struct log_entry *entry, enum op_how how,
                     size_t cut)
{
    const uint8_t *data = log_data(log, entry->data);
    const size_t n = entry->data.bytes, at = entry->at, part = cut < n ? cut : n;
    switch (how) {
    case OP_KEPT:
        put(file, at, data, n);
        break;
    case OP_HEAD:
        put(file, at, data, part);
        break;
    case OP_TAIL:
        put(file, at + part, data + part, n - part);
        break;
    case OP_HOLE:
        reach(file, at + n);
        break;
    case OP_NOISE:
        put_noise(file, at, n);
        break;
    default:
        break;
    }
}

/* -- The operations ---------------------------------------------------------------------------------- */

static void apply(struct disk *disk, const struct disk_op *op, enum op_how how, size_t cut)
{
    const struct log_entry *entry = &op->log->entry[op->entry];
    if (how == OP_DROPPED)
        return;
    switch (entry->kind) {
    case LOG_MAKE_DIRECTORY:
        disk->is_there = true;
        break;
    case LOG_MAKE:
        names_set(&disk->names, entry->name, entry->file);
        break;
    case LOG_RENAME:
        names_rename(&disk->names, entry->name, entry->to);
        if (names_find(&disk->names, entry->to) != entry->file) /* the file was made, its first name is not on disk */
            names_set(&disk->names, entry->to, entry->file);
        break;
    case LOG_WRITE:
        write_as(&disk->file[entry->file], op->log, entry, how, cut);
        break;
    case LOG_RESIZE:
        resize(&disk->file[entry->file], entry->at);
        break;
    default:
        break;
    }
}

/* Does a flush of this kind, of this file, bring the operation to the disk? */
static bool is_flushed_by(const struct log_entry *op, enum log_kind flush, uint32_t file)
{
    switch (op->kind) {
    case LOG_MAKE_DIRECTORY:
        return flush == LOG_FLUSH_PARENT || flush == LOG_REBOOT;
    case LOG_MAKE:
    case LOG_RENAME:
        return flush == LOG_FLUSH_DIRECTORY || flush == LOG_REBOOT;
    default:
        return (flush == LOG_FLUSH && op->file == file) || flush == LOG_REBOOT;
    }
}

static void flush(struct disk *disk, enum log_kind kind, uint32_t file)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < disk->pending_n; i++)
        if (is_flushed_by(disk_op(disk, i), kind, file))
            apply(disk, &disk->pending[i], OP_KEPT, 0);
        else
            disk->pending[left++] = disk->pending[i];
    disk->pending_n = left;
}

static void pend(struct disk *disk, const struct log *log, uint32_t i)
{
    if (disk->pending_n == disk->pending_room) {
        disk->pending_room = disk->pending_room == 0 ? 64 : 2 * disk->pending_room;
        disk->pending = realloc(disk->pending, disk->pending_room * sizeof *disk->pending);
        require(disk->pending != NULL, "no memory for %u operations", disk->pending_room);
    }
    disk->pending[disk->pending_n++] = (struct disk_op){ log, i };
}

void disk_advance(struct disk *disk, const struct log *log, uint32_t i)
{
    const struct log_entry *entry = &log->entry[i];
    switch (entry->kind) {
    case LOG_BEGUN:
    case LOG_RETURNED:
    case LOG_FLUSH_FAILED:
        break;
    case LOG_FLUSH:
    case LOG_FLUSH_DIRECTORY:
    case LOG_FLUSH_PARENT:
    case LOG_REBOOT:
        flush(disk, entry->kind, entry->file);
        break;
    case LOG_MAKE:
        require(entry->file < DISK_FILES_MAX, "%u files were made", entry->file);
        disk->files_n = entry->file + 1;
        pend(disk, log, i);
        break;
    default:
        pend(disk, log, i);
        break;
    }
}

void disk_lose(struct disk *disk, uint32_t file)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < disk->pending_n; i++)
        if (!is_flushed_by(disk_op(disk, i), LOG_FLUSH, file))
            disk->pending[left++] = disk->pending[i];
    disk->pending_n = left;
}

void disk_settle(struct disk *disk, const uint8_t *how, size_t cut)
{
    for (uint32_t i = 0; i < disk->pending_n; i++)
        apply(disk, &disk->pending[i], how == NULL ? OP_KEPT : (enum op_how)how[i], cut);
    disk->pending_n = 0;
}

/* -- The whole --------------------------------------------------------------------------------------- */

void disk_copy(const struct disk *from, struct disk *to)
{
    to->is_there = from->is_there;
    to->names = from->names;
    for (uint32_t i = 0; i < from->files_n || i < to->files_n; i++) {
        to->file[i].size = 0;
        if (i < from->files_n)
            put(&to->file[i], 0, from->file[i].bytes, from->file[i].size);
    }
    to->files_n = from->files_n;
    to->pending_n = 0;
    for (uint32_t i = 0; i < from->pending_n; i++)
        pend(to, from->pending[i].log, from->pending[i].entry);
}

uint64_t disk_hash(const struct disk *disk)
{
    uint64_t hash = random_mix(disk->is_there);
    for (uint32_t i = 0; i < disk->names.n && disk->is_there; i++) {
        const char *name = disk->names.at[i].name;
        const struct disk_file *file = &disk->file[disk->names.at[i].file];
        hash += hash_bytes(file->bytes, file->size, hash_bytes(name, strlen(name), file->size));
    }
    return hash;
}
