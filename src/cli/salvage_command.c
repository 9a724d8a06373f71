/* SPDX-License-Identifier: MIT
 *
 * salvage: what is left in a damaged file.
 */
#include "commands.h"
#include "record.h"
#include "request.h"

#include <inttypes.h>
#include <stdio.h>

struct salvage {
    struct request request;
    bool unverified;
};

enum { KEY_UNVERIFIED = 0x200 };

static error_t parse_salvage(int key, char *argument, struct argp_state *state)
{
    struct salvage *salvage = state->input;
    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = salvage;
        return 0;
    case KEY_UNVERIFIED:
        salvage->unverified = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A disk that is full ends it: nobody reads on. */
static int write_line(const struct shoal_item *item, enum shoal_trust trust, void *arg)
{
    static const char *const names[] = { [SHOAL_NAMED] = "named", [SHOAL_LOOSE] = "loose", [SHOAL_UNSURE] = "unsure" };
    const struct record record = { item->key, item->key_bytes, item->value, item->value_bytes, item->type };
    (void)arg;
    putchar('{');
    record_write_json(stdout, &record, true);
    printf(", \"salvaged\": \"%s\"}\n", names[trust]);
    return ferror(stdout) ? SHOAL_END : 0;
}

int command_salvage(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "unverified", KEY_UNVERIFIED, NULL, 0, "Records too that no checksum vouches for, marked \"unsure\"", 0 },
        { 0 },
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_salvage,
        .args_doc = "MAP",
        .doc = "Print the records that are whole in a map's file that was in use when the machine stopped, or "
               "that is damaged, as JSON lines for `shoal load`.  The file is read alone.\v"
               "Each line says what speaks for its record: \"salvaged\": \"named\", the table names it; \"loose\", the "
               "table does not, so that it is older, deleted or was never finished.  The checksums of both hold.  "
               "\"unsure\": only its form holds.  Any of them may be older than what the key had last, or its key "
               "deleted.  Of one key the best record is printed.  `shoal load` takes no notice of the member.",
        .children = request_child,
    };
    struct salvage salvage = { 0 };
    struct shoal_salvaged count = SHOAL_SALVAGED_INIT;
    request_parse(&argp, argc, argv, &salvage.request, 1, 1);
    const char *name = salvage.request.words[0];
    unsigned flags = (salvage.unverified ? SHOAL_UNVERIFIED : 0u) | (salvage.request.foreign ? SHOAL_FOREIGN : 0u);
    int code = shoal_salvage(name, flags, write_line, NULL, &count);
    if (code < 0)
        return answer(&salvage.request, code, name, NULL);
    complain("%s: %" PRIu64 " named, %" PRIu64 " loose, %" PRIu64 " unsure; %" PRIu64 " older ones left out; %" PRIu64
             " damaged; %" PRIu64 " pieces unreadable",
             name, count.named, count.loose, count.unsure, count.older, count.damaged, count.unreadable);
    return answer_flush(EXIT_DONE);
}
