/* SPDX-License-Identifier: MIT
 *
 * create, rebuild, rm, stat, check, reap: a map as a whole.
 */
#include "commands.h"
#include "fields.h"
#include "lasting.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>

/* -- create ------------------------------------------------------------------------ */

struct create {
    struct request request;
    struct shoal_options options;
    uint64_t sizes[3]; /* --for */
    bool for_sizes, plain_sizes;
};

enum {
    KEY_CAPACITY = 0x200,
    KEY_HEAP,
    KEY_FOR,
    KEY_MAX_THREADS,
    KEY_MODE,
    KEY_GROUP,
    KEY_MAX_KEY,
    KEY_MAX_VALUE,
    KEY_MTIME,
    KEY_CHECKSUM,
    KEY_PREALLOCATE,
    KEY_STORE,
    KEY_SPILL,
};

static const struct argp_option create_options[] = {
    { "capacity", KEY_CAPACITY, "KEYS", 0, "Keys that must fit (1024)", 0 },
    { "heap", KEY_HEAP, "BYTES", 0, "Room for records (64 bytes a key)", 0 },
    { "for", KEY_FOR, "KEYS,KEY,VALUE", 0,
      "Capacity and heap from a number of keys and the mean sizes of key and value", 0 },
    { "max-threads", KEY_MAX_THREADS, "N", 0, "Attached threads over all processes (256)", 0 },
    { "mode", KEY_MODE, "OCTAL", 0, "Permissions (600); the umask does not apply", 0 },
    { "group", KEY_GROUP, "GROUP", 0, "Group of the map, by name or number", 0 },
    { "max-key", KEY_MAX_KEY, "BYTES", 0, "Longest key (65535)", 0 },
    { "max-value", KEY_MAX_VALUE, "BYTES", 0, "Longest value (what the heap holds)", 0 },
    { "mtime", KEY_MTIME, NULL, 0, "Keep each record's time of last change", 0 },
    { "checksum", KEY_CHECKSUM, NULL, 0, "Keep a checksum of each record", 0 },
    { "preallocate", KEY_PREALLOCATE, NULL, 0, "Allocate the heap now instead of on demand", 0 },
    { "store", KEY_STORE, "DIRECTORY", 0, "Lay a persistent store below it; made where there is none", 0 },
    { "spill", KEY_SPILL, NULL, 0, "Records that were not used lately leave for the store when the map is full", 0 },
    { 0 },
};

/* KEYS,KEY,VALUE */
static void read_sizes(struct argp_state *state, char *argument, uint64_t sizes[3])
{
    char *rest = argument;
    for (int i = 0; i < 3; i++) {
        char *part = strsep(&rest, ",");
        if (!part || !parse_amount(part, &sizes[i]) || (i == 2 && rest))
            argp_error(state, "--for takes three numbers: KEYS,KEY,VALUE");
    }
}

static void read_group(struct argp_state *state, const char *argument, int64_t *ret_gid)
{
    uint64_t number;
    const struct group *group = getgrnam(argument);
    if (group)
        *ret_gid = group->gr_gid;
    else if (parse_amount(argument, &number) && number < UINT32_MAX)
        *ret_gid = (int64_t)number;
    else
        argp_error(state, "--group %s: no such group", argument);
}

static void read_mode(struct argp_state *state, const char *argument, uint32_t *ret_mode)
{
    char *end;
    unsigned long mode = strtoul(argument, &end, 8);
    if (argument[0] < '0' || argument[0] > '7' || *end || mode == 0 || mode > 07777)
        argp_error(state, "--mode %s: not octal permissions", argument);
    *ret_mode = (uint32_t)mode;
}

static const char *option_name(int key)
{
    const struct argp_option *option = create_options;
    while (option->key != key)
        option++;
    return option->name;
}

/* Where an option that takes an amount puts it; NULL for other options. */
static uint64_t *amount_of(struct create *create, int key, uint64_t *max_threads)
{
    switch (key) {
    case KEY_CAPACITY:
        return &create->options.capacity;
    case KEY_HEAP:
        return &create->options.heap_bytes;
    case KEY_MAX_THREADS:
        return max_threads;
    case KEY_MAX_KEY:
        return &create->options.max_key_bytes;
    case KEY_MAX_VALUE:
        return &create->options.max_value_bytes;
    default:
        return NULL;
    }
}

static uint32_t flag_of(int key)
{
    return key == KEY_MTIME ? SHOAL_MTIME : key == KEY_CHECKSUM ? SHOAL_CHECKSUM : SHOAL_PREALLOCATE;
}

static error_t parse_create(int key, char *argument, struct argp_state *state)
{
    struct create *create = state->input;
    uint64_t max_threads = create->options.max_threads, *amount = amount_of(create, key, &max_threads);
    if (amount) {
        if (!parse_amount(argument, amount))
            argp_error(state, "--%s %s: not a number (digits, then K, M, G or T)", option_name(key), argument);
        create->options.max_threads = max_threads > UINT32_MAX ? UINT32_MAX : (uint32_t)max_threads;
        create->plain_sizes |= key == KEY_CAPACITY || key == KEY_HEAP;
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = create;
        return 0;
    case KEY_FOR:
        read_sizes(state, argument, create->sizes);
        create->for_sizes = true;
        return 0;
    case KEY_MODE:
        read_mode(state, argument, &create->options.mode);
        return 0;
    case KEY_GROUP:
        read_group(state, argument, &create->options.gid);
        return 0;
    case KEY_MTIME:
    case KEY_CHECKSUM:
    case KEY_PREALLOCATE:
        create->options.flags |= flag_of(key);
        return 0;
    case KEY_STORE:
        create->options.store = argument;
        return 0;
    case KEY_SPILL:
        create->options.on_full = SHOAL_FULL_SPILL;
        return 0;
    case ARGP_KEY_END:
        if (create->for_sizes && create->plain_sizes)
            argp_error(state, "--for sets capacity and heap: leave --capacity and --heap away");
        if (create->options.on_full == SHOAL_FULL_SPILL && create->options.store == NULL)
            argp_error(state, "--spill needs --store DIRECTORY");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_create(int argc, char **argv)
{
    static const struct argp argp = {
        .options = create_options,
        .parser = parse_create,
        .args_doc = "MAP",
        .doc = "Make a map.  Numbers may end in K, M, G or T: powers of 1024.",
        .children = request_child,
    };
    struct create create = { .options = SHOAL_OPTIONS_INIT };
    create.options.capacity = 1024;
    request_parse(&argp, argc, argv, &create.request, 1, 1);
    const char *name = create.request.words[0];
    int code = SHOAL_OK;
    if (create.for_sizes)
        code = shoal_size_for(create.sizes[0], create.sizes[1], create.sizes[2], &create.options);
    struct shoal *map = NULL;
    if (code == SHOAL_OK)
        code = shoal_create(name, &create.options, &map);
    shoal_close(map);
    return answer(&create.request, code, name, NULL);
}

static const struct field rebuild_fields[] = {
    FIELD(shoal_stats, capacity),
    FIELD(shoal_stats, heap_bytes),
    FIELD(shoal_stats, moved),
    FIELD(shoal_stats, moved_most),
    FIELD(shoal_stats, huge_bytes),
};

static const struct argp_option rebuild_options[] = {
    { "capacity", KEY_CAPACITY, "KEYS", 0, "Keys that must fit (as now)", 0 },
    { "heap", KEY_HEAP, "BYTES", 0, "Room for records (as now)", 0 },
    { "for", KEY_FOR, "KEYS,KEY,VALUE", 0,
      "Capacity and heap from a number of keys and the mean sizes of key and value", 0 },
    { "max-threads", KEY_MAX_THREADS, "N", 0, "Attached threads over all processes (as now)", 0 },
    { "max-key", KEY_MAX_KEY, "BYTES", 0, "Longest key (as now)", 0 },
    { "max-value", KEY_MAX_VALUE, "BYTES", 0, "Longest value (as now)", 0 },
    { "mtime", KEY_MTIME, NULL, 0, "From now on keep each record's time of last change", 0 },
    { "checksum", KEY_CHECKSUM, NULL, 0, "From now on keep a checksum of each record", 0 },
    { "preallocate", KEY_PREALLOCATE, NULL, 0, "Allocate the heap now instead of on demand", 0 },
    { 0 },
};

int command_rebuild(int argc, char **argv)
{
    static const struct argp argp = {
        .options = rebuild_options,
        .parser = parse_create,
        .args_doc = "MAP",
        .doc = "Move a map to another capacity and heap, while others use it: they follow by themselves.  "
               "Numbers may end in K, M, G or T: powers of 1024.",
        .children = request_child,
    };
    struct create create = { .options = SHOAL_OPTIONS_INIT };
    struct shoal *map = NULL;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    json_t *members = NULL;
    request_parse(&argp, argc, argv, &create.request, 1, 1);
    int code = request_open(&create.request, 0, &map);
    if (code == SHOAL_OK && create.for_sizes)
        code = shoal_size_for(create.sizes[0], create.sizes[1], create.sizes[2], &create.options);
    if (code == SHOAL_OK)
        code = shoal_rebuild(map, &create.options, NULL, NULL);
    if (code == SHOAL_OK)
        code = shoal_stats(map, &stats);
    if (code == SHOAL_OK)
        members = SHOW(&create.request, rebuild_fields, &stats);
    shoal_close(map);
    return answer(&create.request, code, create.request.words[0], members);
}

/* -- rm, stat, check, reap ------------------------------------------------------------ */

/* Reads the arguments of a command that has a map alone, and opens it. */
static int open_for(int argc, char **argv, const char *doc, unsigned flags, struct request *request,
                    struct shoal **ret_map)
{
    struct argp argp = request_argp;
    argp.args_doc = "MAP";
    argp.doc = doc;
    *ret_map = NULL;
    request_parse(&argp, argc, argv, request, 1, 1);
    return request_open(request, flags, ret_map);
}

int command_rm(int argc, char **argv)
{
    struct argp argp = request_argp;
    argp.args_doc = "MAP";
    argp.doc = "Remove a map's name.  Programs that are attached go on.";
    struct request request = { 0 };
    request_parse(&argp, argc, argv, &request, 1, 1);
    return answer(&request, shoal_unlink(request.words[0]), request.words[0], NULL);
}

static const struct field stat_fields[] = {
    FIELD(shoal_stats, count),
    FIELD(shoal_stats, capacity),
    FIELD(shoal_stats, slots),
    FIELD(shoal_stats, segment_bytes),
    FIELD(shoal_stats, heap_bytes),
    FIELD(shoal_stats, live_bytes),
    FIELD(shoal_stats, free_bytes),
    FIELD(shoal_stats, owned_bytes),
    FIELD(shoal_stats, retired_bytes),
    FIELD(shoal_stats, dead_bytes),
    FIELD(shoal_stats, overhead_bytes),
    FIELD(shoal_stats, payload_bytes),
    FIELD(shoal_stats, backed_bytes),
    FIELD(shoal_stats, largest_record),
    FIELD(shoal_stats, spans),
    FIELD(shoal_stats, spans_free),
    FIELD(shoal_stats, span_bytes),
    FIELD(shoal_stats, max_key_bytes),
    FIELD(shoal_stats, max_value_bytes),
    FIELD(shoal_stats, max_threads),
    FIELD(shoal_stats, attached),
    FIELD(shoal_stats, dead),
    FIELD(shoal_stats, unlinked),
    FIELD(shoal_stats, layout_version),
    FIELD(shoal_stats, flags),
    FIELD(shoal_stats, gets),
    FIELD(shoal_stats, hits),
    FIELD(shoal_stats, writes),
    FIELD(shoal_stats, deletes),
    FIELD(shoal_stats, reaped),
    FIELD(shoal_stats, healed),
    FIELD(shoal_stats, evacuated),
    FIELD(shoal_stats, freed),
    FIELD(shoal_stats, store_gets),
    FIELD(shoal_stats, store_hits),
    FIELD(shoal_stats, copied),
    FIELD(shoal_stats, evicted),
    FIELD(shoal_stats, promoted),
    FIELD(shoal_stats, flushes),
    FIELD(shoal_stats, flush_failures),
    FIELD(shoal_stats, store_records),
    FIELD(shoal_stats, store_payload_bytes),
    FIELD(shoal_stats, store_file_bytes),
    FIELD(shoal_stats, moving),
    FIELD(shoal_stats, moved),
    FIELD(shoal_stats, moved_most),
};

int command_stat(int argc, char **argv)
{
    struct request request = { 0 };
    struct shoal *map;
    struct shoal_stats stats = SHOAL_STATS_INIT;
    json_t *members = NULL;
    int code = open_for(argc, argv,
                        "Print a map's sizes and counters.  huge_bytes: what huge pages map of it, 0 where the system "
                        "gives none: it does to a map whose path is on a tmpfs mounted with huge=always, and to the "
                        "others where /sys/kernel/mm/transparent_hugepage/shmem_enabled says always.",
                        SHOAL_RDONLY, &request, &map);
    if (code == SHOAL_OK)
        code = shoal_stats(map, &stats);
    if (code == SHOAL_OK)
        members = SHOW(&request, stat_fields, &stats);
    shoal_close(map);
    return answer(&request, code, request.words[0], members);
}

static const struct field check_fields[] = {
    FIELD(shoal_report, problems),        FIELD(shoal_report, groups),       FIELD(shoal_report, slots_live),
    FIELD(shoal_report, slots_tentative), FIELD(shoal_report, blocks),       FIELD(shoal_report, blocks_free),
    FIELD(shoal_report, blocks_live),     FIELD(shoal_report, blocks_owned), FIELD(shoal_report, blocks_retired),
    FIELD(shoal_report, unreferenced),    FIELD(shoal_report, counted),      FIELD(shoal_report, quiet),
};

int command_check(int argc, char **argv)
{
    struct lasting lasting = { .unit = "" };
    const struct request *request = &lasting.request;
    struct shoal *map = NULL;
    struct shoal_report report = SHOAL_REPORT_INIT;
    json_t *members = NULL;
    lasting_parse(argc, argv, "MAP", "Test every invariant of a map, also while others write.  Exit status 4: one is broken.", 1,
                  &lasting);
    int code = request_open(request, SHOAL_RDONLY, &map);
    bool opened = code == SHOAL_OK;
    if (opened)
        code = shoal_check_with(map, &report, progress_of(&lasting), &lasting);
    if (code == SHOAL_CHANGED) { /* its store was written to all the time: under the lock then */
        shoal_close(map);
        map = NULL;
        code = request_open(request, 0, &map);
        opened = code == SHOAL_OK;
        if (opened)
            code = shoal_check_with(map, &report, progress_of(&lasting), &lasting);
    }
    progress_over(&lasting);
    if (opened && (code == SHOAL_OK || report.problems > 0))
        members = SHOW(request, check_fields, &report);
    shoal_close(map);
    return answer(request, code, request->words[0], members);
}

static const struct field reap_fields[] = {
    FIELD(shoal_reaped, dead),      FIELD(shoal_reaped, undecided), FIELD(shoal_reaped, aborted),
    FIELD(shoal_reaped, completed), FIELD(shoal_reaped, blocks),
};

int command_reap(int argc, char **argv)
{
    struct request request = { 0 };
    struct shoal *map;
    struct shoal_reaped reaped = SHOAL_REAPED_INIT;
    json_t *members = NULL;
    int code = open_for(argc, argv,
                        "Settle what dead processes left behind, and make all of their memory free.  This also "
                        "happens by itself, bit by bit, while others use the map.",
                        0, &request, &map);
    if (code == SHOAL_OK)
        code = shoal_reap(map, &reaped);
    if (code == SHOAL_OK)
        members = SHOW(&request, reap_fields, &reaped);
    shoal_close(map);
    return answer(&request, code, request.words[0], members);
}
