/* SPDX-License-Identifier: MIT
 *
 * sync, warm, compact, backup, restore, store-stat: the store below a map.
 */
#include "commands.h"
#include "fields.h"
#include "lasting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* -- Commands ------------------------------------------------------------------------ */

int command_sync(int argc, char **argv)
{
    struct lasting lasting = { .unit = " groups" };
    struct shoal *map = NULL;
    lasting_parse(argc, argv, "MAP", "Bring everything that is in the map to the disk of its store.", 1, &lasting);
    int code = request_open(&lasting.request, 0, &map);
    if (code == SHOAL_OK)
        code = shoal_sync_with(map, progress_of(&lasting), &lasting);
    progress_over(&lasting);
    shoal_close(map);
    return answer(&lasting.request, code, lasting.request.words[0], NULL);
}

int command_warm(int argc, char **argv)
{
    struct lasting lasting = { .unit = " records" };
    struct shoal *map = NULL;
    json_t *members = NULL;
    uint64_t n = 0;
    lasting_parse(argc, argv, "MAP", "Bring records up from the store into memory, as long as there is room.", 1, &lasting);
    int code = request_open(&lasting.request, 0, &map);
    if (code == SHOAL_OK)
        code = shoal_warm(map, progress_of(&lasting), &lasting, &n);
    progress_over(&lasting);
    if (code == SHOAL_OK && lasting.request.json)
        members = json_pack("{s:I}", "records", (json_int_t)n);
    else if (code == SHOAL_OK)
        printf("%" PRIu64 " records\n", n);
    shoal_close(map);
    return answer(&lasting.request, code, lasting.request.words[0], members);
}

int command_compact(int argc, char **argv)
{
    struct lasting lasting = { .unit = "" };
    struct shoal *map = NULL;
    lasting_parse(argc, argv, "MAP", "Make the file of a map's store as small as what is in it, while others use the map.", 1,
                  &lasting);
    int code = request_open(&lasting.request, 0, &map);
    if (code == SHOAL_OK)
        code = shoal_compact(map, progress_of(&lasting), &lasting);
    progress_over(&lasting);
    shoal_close(map);
    return answer(&lasting.request, code, lasting.request.words[0], NULL);
}

int command_backup(int argc, char **argv)
{
    struct lasting lasting = { .unit = " pages" };
    struct shoal *map = NULL;
    lasting_parse(argc, argv, "MAP DIRECTORY",
                  "Copy a map that has a store to DIRECTORY, while others use the map, and verify the copy.\v"
                  "Everything that was in the map before is in the copy.  Into an older backup of the same store only "
                  "what has changed is written.  A backup that was interrupted is no backup: the next one goes on with it.",
                  2, &lasting);
    int code = request_open(&lasting.request, 0, &map);
    if (code == SHOAL_OK)
        code = shoal_backup(map, lasting.request.words[1], progress_of(&lasting), &lasting);
    progress_over(&lasting);
    shoal_close(map);
    return answer(&lasting.request, code, lasting.request.words[1], NULL);
}

int command_restore(int argc, char **argv)
{
    struct lasting lasting = { .unit = " pages" };
    lasting_parse(argc, argv, "BACKUP DIRECTORY",
                  "Make a new store in DIRECTORY out of a backup, and verify both.\v"
                  "`shoal create --store DIRECTORY` makes a map above it.", 2, &lasting);
    int code = shoal_restore(lasting.request.words[0], lasting.request.words[1], progress_of(&lasting), &lasting);
    progress_over(&lasting);
    return answer(&lasting.request, code, lasting.request.words[1], NULL);
}

/* -- store-stat ---------------------------------------------------------------------- */

static const struct field stat_fields[] = {
    FIELD(shoal_store_stat, records),     FIELD(shoal_store_stat, payload_bytes),
    FIELD(shoal_store_stat, file_bytes),  FIELD(shoal_store_stat, page_bytes),
    FIELD(shoal_store_stat, pages),       FIELD(shoal_store_stat, free_pages),
    FIELD(shoal_store_stat, held_pages),  FIELD(shoal_store_stat, levels),
    FIELD(shoal_store_stat, transaction), FIELD(shoal_store_stat, durable_transaction),
    FIELD(shoal_store_stat, pins),        FIELD(shoal_store_stat, backup),
};

static json_t *show_stat(const struct request *request, const struct shoal_store_stat *stat)
{
    char id[2 * sizeof stat->id + 1];
    json_t *members = SHOW(request, stat_fields, stat);
    double each = stat->records == 0 ? 0 : (double)stat->file_bytes / (double)stat->records;
    for (size_t i = 0; i < sizeof stat->id; i++)
        snprintf(id + 2 * i, 3, "%02x", stat->id[i]);
    if (members) {
        json_object_set_new(members, "bytes_per_record", json_real(each));
        json_object_set_new(members, "id", json_string(id));
    } else {
        printf("%-19s %.1f\n%-19s %s\n", "bytes_per_record", each, "id", id);
    }
    return members;
}

/* As for maps: what has a '/' is a path. */
static bool is_directory(const char *word)
{
    struct stat st;
    return strchr(word, '/') != NULL && stat(word, &st) == 0 && S_ISDIR(st.st_mode);
}

int command_store_stat(int argc, char **argv)
{
    struct argp argp = request_argp;
    struct request request = { 0 };
    struct shoal *map = NULL;
    struct shoal_store_stat stat = SHOAL_STORE_STAT_INIT;
    argp.args_doc = "MAP|DIRECTORY";
    argp.doc = "Print the sizes and counters of a map's store, or of the store or backup in DIRECTORY (with a '/').";
    request_parse(&argp, argc, argv, &request, 1, 1);
    bool directory = is_directory(request.words[0]);
    int code = directory ? SHOAL_OK : request_open(&request, SHOAL_RDONLY, &map);
    if (code == SHOAL_OK)
        code = shoal_store_stat(map, directory ? request.words[0] : NULL, &stat);
    json_t *members = code == SHOAL_OK ? show_stat(&request, &stat) : NULL;
    shoal_close(map);
    return answer(&request, code, request.words[0], members);
}
