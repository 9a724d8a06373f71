/* SPDX-License-Identifier: MIT
 *
 * What a store did to its files (log.h).
 */
#include "images/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fail.h"

void log_begin(struct log *log, const struct names *live, uint32_t files_n)
{
    log->n = 0;
    log->bytes_n = 1; /* at 0 there is nothing */
    log->live = *live;
    log->files_n = files_n;
}

void log_drop(struct log *log)
{
    free(log->entry);
    free(log->bytes);
    *log = (struct log){ 0 };
}

struct log_bytes log_keep(struct log *log, const void *bytes, size_t bytes_n)
{
    struct log_bytes kept = { log->bytes_n, bytes_n };
    if (log->bytes_n + bytes_n > log->bytes_room) {
        log->bytes_room = 2 * (log->bytes_n + bytes_n);
        log->bytes = realloc(log->bytes, log->bytes_room);
        require(log->bytes != NULL, "no memory for a log of %zu bytes", log->bytes_room);
    }
    if (bytes_n > 0)
        memcpy(log->bytes + log->bytes_n, bytes, bytes_n);
    log->bytes_n += bytes_n;
    return kept;
}

struct log_entry *log_add(struct log *log, enum log_kind kind)
{
    if (log->n == log->room) {
        log->room = log->room == 0 ? 256 : 2 * log->room;
        log->entry = realloc(log->entry, log->room * sizeof *log->entry);
        require(log->entry != NULL, "no memory for a log of %u entries", log->room);
    }
    struct log_entry *entry = &log->entry[log->n++];
    *entry = (struct log_entry){ .kind = kind, .file = NO_FILE };
    return entry;
}

void log_say(const struct log *log, uint32_t i, char ret_text[LOG_TEXT_BYTES])
{
    static const char *const names[] = {
        [LOG_MAKE_DIRECTORY] = "make the directory", [LOG_FLUSH_PARENT] = "flush the directory's parent",
        [LOG_MAKE] = "make", [LOG_RENAME] = "rename", [LOG_FLUSH_DIRECTORY] = "flush the directory",
        [LOG_WRITE] = "write", [LOG_RESIZE] = "resize", [LOG_FLUSH] = "flush", [LOG_FLUSH_FAILED] = "a failed flush", [LOG_REBOOT] = "reboot",
        [LOG_BEGUN] = "begun", [LOG_RETURNED] = "returned",
    };
    const struct log_entry *entry = &log->entry[i];
    int n = snprintf(ret_text, LOG_TEXT_BYTES, "%s", names[entry->kind]);
    char *rest = ret_text + n;
    const size_t room = LOG_TEXT_BYTES - (size_t)n;
    switch (entry->kind) {
    case LOG_MAKE:
    case LOG_RENAME:
        (void)snprintf(rest, room, " %s %s", entry->name, entry->to);
        break;
    case LOG_WRITE:
    case LOG_RESIZE:
    case LOG_FLUSH:
    case LOG_FLUSH_FAILED:
        (void)snprintf(rest, room, " file %u at %llu: %zu bytes", entry->file, (unsigned long long)entry->at,
                       entry->data.bytes);
        break;
    case LOG_BEGUN:
    case LOG_RETURNED:
        (void)snprintf(rest, room, ": %s of state %u", entry->is_commit ? "commit" : "publish", entry->state);
        break;
    default:
        break;
    }
}
